//! A leaderboard in three regions, each with a page of its own: the service of `examples/leaderboard/README.md`.

use std::{convert::Infallible, error::Error, path::PathBuf, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{
        Html,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::{Stream, stream::unfold};
use replica::{Leaderboard, Replica, Watch};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store_object::{FolderHints, LocalBucket};
use tokio::{
    net::TcpListener,
    sync::{RwLock, watch},
};

/// The regions, and where their pages are.
const REGIONS: [(&str, u16); 3] = [("us-east-1", 8081), ("eu-west-1", 8082), ("ap-southeast-1", 8083)];

/// Where the counters of the players are.
const BOARD: &str = "board/";

/// A region: its replica, unless it is lost.
struct Region {
    name: &'static str,
    folder: PathBuf,
    live: RwLock<Option<Live>>,
    /// How often it has been lost. Whoever reads of a replica keeps it going, and has to let go.
    lost: watch::Sender<u32>,
}

/// What a region has while it is up.
#[derive(Clone)]
struct Live {
    replica: Replica,
    board: Leaderboard,
}

type Shared = State<Arc<Region>>;

/// Why a request failed.
type Refused = (StatusCode, String);

impl Region {
    /// Opens the region's replica: from what is in its bucket, and then from the others.
    async fn open(&self) -> Result<Live, Box<dyn Error + Send + Sync>> {
        let bucket = |name: &str| LocalBucket::open(self.folder.join(name));
        let mut builder = Replica::builder(self.name, bucket(self.name)?);
        for (peer, _) in REGIONS.into_iter().filter(|(peer, _)| *peer != self.name) {
            builder = builder.peer(peer, bucket(peer)?).hints(FolderHints::watch(self.folder.join(peer))?);
        }
        let replica = builder.open().await?;
        Ok(Live { board: replica.leaderboard(BOARD)?, replica })
    }

    async fn live(&self) -> Result<Live, Refused> {
        let lost = || (StatusCode::SERVICE_UNAVAILABLE, format!("{} is lost; ask another region", self.name));
        self.live.read().await.clone().ok_or_else(lost)
    }
}

#[derive(Deserialize)]
struct Score {
    player: String,
    points: i64,
}

/// Counts points, and answers with the new sum as soon as it cannot be lost any more.
async fn score(State(region): Shared, Json(score): Json<Score>) -> Result<Json<serde_json::Value>, Refused> {
    let refused = |error: replica::Error| (StatusCode::CONFLICT, error.to_string());
    let live = region.live().await?;
    let counter = live.replica.pn_counter(&format!("{BOARD}{}", score.player)).map_err(refused)?;
    let written = counter.add(score.points).map_err(refused)?;
    let sum = written.value();
    written.durable().await.map_err(refused)?;
    Ok(Json(json!({"player": score.player, "sum": sum})))
}

#[derive(Serialize)]
struct Standing {
    player: String,
    sum: i128,
}

/// The first ten, now and whenever something changes.
async fn top(State(region): Shared) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refused> {
    struct Following {
        board: Leaderboard,
        watch: Watch,
        lost: watch::Receiver<u32>,
        has_begun: bool,
    }
    let lost = region.lost.subscribe();
    let Live { replica, board } = region.live().await?;
    let following = Following { watch: replica.watch(BOARD), board, lost, has_begun: false };
    let events = unfold(following, |mut following| async move {
        if std::mem::replace(&mut following.has_begun, true) {
            // Whatever it is that has changed, the board is read anew.
            tokio::select! {
                changed = following.watch.next() => changed?,
                _ = following.lost.changed() => return None,
            };
        }
        let name = |path: &str| path[BOARD.len()..].to_owned();
        let ranked = following.board.top(10).into_iter();
        let top: Vec<_> =
            ranked.map(|ranked| Standing { player: name(ranked.key.path()), sum: ranked.value }).collect();
        let event = Event::default().json_data(top).unwrap_or_default();
        Some((Ok(event), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Loses the region, as in a crash: nothing is flushed.
async fn lose(State(region): Shared) -> StatusCode {
    *region.live.write().await = None;
    region.lost.send_modify(|lost| *lost += 1);
    StatusCode::NO_CONTENT
}

/// Has it come back.
async fn restore(State(region): Shared) -> Result<StatusCode, Refused> {
    let mut live = region.live.write().await;
    if live.is_none() {
        *live = Some(region.open().await.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "leaderboard-buckets".to_owned()));
    for (name, _) in REGIONS {
        std::fs::create_dir_all(folder.join(name))?;
    }
    let mut regions = Vec::new();
    for (name, port) in REGIONS {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let region =
            Arc::new(Region { name, folder: folder.clone(), live: RwLock::default(), lost: watch::Sender::new(0) });
        *region.live.write().await = Some(region.open().await?);
        let page = include_str!("page.html").replace("{region}", name);
        let router = Router::new()
            .route("/", get(async move || Html(page)))
            .route("/score", post(score))
            .route("/top", get(top))
            .route("/lose", post(lose))
            .route("/restore", post(restore))
            .with_state(region.clone());
        println!("{name:14}  http://127.0.0.1:{port}/");
        tokio::spawn(async move { axum::serve(listener, router).await });
        regions.push(region);
    }
    tokio::signal::ctrl_c().await?;
    for region in regions {
        if let Some(live) = region.live.write().await.take() {
            live.replica.close().await?;
        }
    }
    Ok(())
}
