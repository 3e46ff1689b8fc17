//! A leaderboard in three regions, each with a page of its own: the service of `examples/leaderboard/README.md`.

use std::{convert::Infallible, error::Error, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header::ACCESS_CONTROL_ALLOW_ORIGIN},
    middleware::map_response,
    response::{Html, Response, Sse, sse},
    routing::{get, post},
};
use futures_util::{FutureExt, Stream, stream::unfold};
use replica::{ErrorKind, Leaderboard, Replica, Settings, Watch};
use serde_json::{Value, json};
use store_object::{FolderHints, LocalBucket};
use tokio::{
    net::TcpListener,
    sync::{RwLock, watch},
    time::sleep,
};

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

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
type Failure = Box<dyn Error + Send + Sync>;

impl Region {
    /// Opens the region's replica: from what is in its bucket, and then from the others.
    async fn open(&self) -> Result<Live, Failure> {
        let bucket = |name: &str| LocalBucket::open(self.folder.join(name));
        // Shorter than usual: to be seen at once is worth more PUTs here.
        let mut settings = Settings::default();
        settings.flush_interval = Duration::from_millis(200);
        let mut builder = Replica::builder(self.name, bucket(self.name)?).settings(settings);
        for peer in REGIONS.into_iter().filter(|peer| *peer != self.name) {
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

fn refused(error: &replica::Error) -> Refused {
    let status = match error.kind() {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::KindMismatch => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, error.to_string())
}

/// Counts points, and answers with the new sum when it cannot be lost any more, unless the region is lost first.
async fn score(State(region): Shared, Path((player, points)): Path<(String, i64)>) -> Result<Json<Value>, Refused> {
    let mut lost = region.lost.subscribe();
    let Live { replica, .. } = region.live().await?;
    let counter = replica.pn_counter(&format!("{BOARD}{player}")).map_err(|error| refused(&error))?;
    let written = counter.add(points).map_err(|error| refused(&error))?;
    let sum = written.value();
    tokio::select! {
        durable = written.durable() => durable.map_err(|error| refused(&error))?,
        _ = lost.changed() => return Err((StatusCode::GATEWAY_TIMEOUT, "lost before it was durable".to_owned())),
    }
    Ok(Json(json!({"player": player, "sum": sum.to_string()})))
}

fn first_ten(board: &Leaderboard) -> Value {
    let first = board.top(10).into_iter();
    first.map(|ranked| json!({"player": ranked.key.path()[BOARD.len()..], "sum": ranked.value.to_string()})).collect()
}

/// The first ten, now and whenever they change, until the region is lost.
async fn top(State(region): Shared) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Refused> {
    struct Following {
        board: Leaderboard,
        watch: Watch,
        lost: watch::Receiver<u32>,
        told: Option<Value>,
    }
    let lost = region.lost.subscribe();
    let Live { replica, board } = region.live().await?;
    let following = Following { watch: replica.watch(BOARD), board, lost, told: None };
    let events = unfold(following, |mut following| async move {
        loop {
            let first = first_ten(&following.board);
            if following.told.as_ref() != Some(&first) {
                let event = sse::Event::default().data(first.to_string());
                following.told = Some(first);
                return Some((Ok(event), following));
            }
            tokio::select! {
                changed = following.watch.next() => drop(changed?),
                _ = following.lost.changed() => return None,
            }
            // What changes together is told together. Whatever it is that has changed, the board is read anew.
            sleep(Duration::from_millis(30)).await;
            while following.watch.next().now_or_never().flatten().is_some() {}
        }
    });
    Ok(Sse::new(events).keep_alive(sse::KeepAlive::default()))
}

async fn state(State(region): Shared) -> Json<Value> {
    Json(json!({"up": region.live.read().await.is_some()}))
}

/// Loses the region, as in a crash: nothing is flushed.
async fn lose(State(region): Shared) {
    *region.live.write().await = None;
    region.lost.send_modify(|lost| *lost += 1);
}

/// Has it come back.
async fn restore(State(region): Shared) -> Result<(), Refused> {
    let mut live = region.live.write().await;
    if live.is_none() {
        *live = Some(region.open().await.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let first_port: u16 = std::env::args().nth(1).as_deref().unwrap_or("8081").parse()?;
    let folder = PathBuf::from("leaderboard-buckets");
    let mut listeners = Vec::new();
    for (number, name) in (0..).zip(REGIONS) {
        std::fs::create_dir_all(folder.join(name))?;
        listeners.push(TcpListener::bind(("127.0.0.1", first_port + number)).await?);
    }
    let at =
        |(name, number): (&str, u16)| json!({"name": name, "url": format!("http://127.0.0.1:{}", first_port + number)});
    let all: Value = REGIONS.into_iter().zip(0..).map(at).collect();
    let mut regions = Vec::new();
    for (name, listener) in REGIONS.into_iter().zip(listeners) {
        let (folder, live, lost) = (folder.clone(), RwLock::default(), watch::Sender::new(0));
        let region = Arc::new(Region { name, folder, live, lost });
        *region.live.write().await = Some(region.open().await?);
        let page = include_str!("page.html").replace("{style}", include_str!("../../page.css"));
        let page = page.replace("{region}", name).replace("{regions}", &all.to_string());
        // The page of a region that is lost asks the others, and anybody may see the board.
        let open = map_response(|mut response: Response| async {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            response
        });
        let router = Router::new()
            .route("/", get(async move || Html(page)))
            .route("/score/{player}/{points}", post(score))
            .route("/top", get(top))
            .route("/state", get(state))
            .route("/lose", post(lose))
            .route("/restore", post(restore))
            .layer(open)
            .with_state(region.clone());
        println!("{name:14}  http://{}/", listener.local_addr()?);
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
