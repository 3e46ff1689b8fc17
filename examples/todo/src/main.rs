//! A to-do list that three regions share, each with a page of its own: the service of `examples/todo/README.md`.

use std::{convert::Infallible, path::Path, pin::pin, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{self, State},
    http::StatusCode,
    response::{Html, Sse, sse},
    routing::{get, post, put},
};
use futures_util::{FutureExt, Stream, stream::unfold};
use replica::{Error, Replica, Settings};
use serde::Deserialize;
use serde_json::{Value, json};
use store_object::{FolderHints, LocalBucket};
use tokio::{net::TcpListener, sync::watch, time::sleep};

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// The ids of the items: a set, in which an add wins over a removal elsewhere at the same time.
const ITEMS: &str = "todo/items";

struct Region {
    replica: Replica,
    /// Whether it is cut off.
    cut_off: watch::Sender<bool>,
    /// What its pages show.
    shown: watch::Sender<Value>,
}

type Shared = State<Arc<Region>>;
type Refused = (StatusCode, String);
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn refused(error: impl std::fmt::Display) -> Refused {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// The paths of what an item has: its title, whether it is done, its note.
fn parts(id: &str) -> [String; 3] {
    ["title", "done", "note"].map(|part| format!("todo/item/{id}/{part}"))
}

impl Region {
    /// The list as this region has it. A note that was written concurrently has several values.
    fn list(&self) -> Result<Value, Error> {
        let item = |id: String| {
            let [title, done, note] = parts(&id);
            let title = self.replica.lww_register::<str>(&title)?.value()?.unwrap_or_default();
            let done = self.replica.lww_register::<bool>(&done)?.value()?.unwrap_or_default();
            let notes = self.replica.mv_register::<str>(&note)?.values()?;
            Ok(json!({"id": id, "title": title, "done": done, "notes": notes}))
        };
        let ids = self.replica.or_set::<str>(ITEMS)?.elements()?;
        let items: Value = ids.into_iter().map(item).collect::<Result<_, Error>>()?;
        Ok(json!({"cut_off": *self.cut_off.borrow(), "items": items}))
    }
}

/// Does what a replica does in the background: flushing, reading the others. While the region is cut off, nothing gets in or
/// out, its own bucket included: what is changed waits in memory.
async fn run(replica: Replica, mut cut_off: watch::Receiver<bool>) -> Error {
    let mut running = pin!(replica.run());
    loop {
        let is_cut_off = *cut_off.borrow_and_update();
        tokio::select! {
            ended = &mut running, if !is_cut_off => return ended,
            _ = cut_off.changed() => {}
        }
    }
}

/// Keeps up what the pages show.
async fn keep_up(region: Arc<Region>) -> Option<()> {
    let (mut watch, mut cut_off) = (region.replica.watch("todo/"), region.cut_off.subscribe());
    loop {
        // Whatever it is that has changed, the list is read anew; what changes together is shown together.
        region.shown.send_replace(region.list().ok()?);
        tokio::select! {
            changed = watch.next() => drop(changed?),
            cut_off = cut_off.changed() => cut_off.ok()?,
        }
        sleep(Duration::from_millis(20)).await;
        while watch.next().now_or_never().flatten().is_some() {}
    }
}

/// The list, now and whenever it changes.
async fn list(State(region): Shared) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let mut shown = region.shown.subscribe();
    shown.mark_changed();
    let events = unfold(shown, |mut shown| async move {
        shown.changed().await.ok()?;
        let event = sse::Event::default().data(shown.borrow_and_update().to_string());
        Some((Ok(event), shown))
    });
    Sse::new(events).keep_alive(sse::KeepAlive::default())
}

#[derive(Deserialize)]
struct Edit {
    title: Option<String>,
    done: Option<bool>,
    /// The note, and what its writer has seen of it: it takes the place of that, and of nothing else.
    note: Option<(String, Vec<String>)>,
}

/// Makes an item, changes it, or brings it back: whoever changes one wants it on the list, also if it is removed elsewhere
/// meanwhile. What is changed together arrives together.
async fn edit(
    State(region): Shared,
    extract::Path(id): extract::Path<String>,
    Json(edit): Json<Edit>,
) -> Result<(), Refused> {
    let [title, done, note] = parts(&id);
    if let Some((_, seen)) = &edit.note {
        let values = region.replica.mv_register::<str>(&note).and_then(|note| note.values()).map_err(refused)?;
        if values != *seen {
            return Err((StatusCode::CONFLICT, "The note has changed meanwhile. Look at it again.".to_owned()));
        }
    }
    let written = region.replica.batch(|batch| {
        batch.or_set::<str>(ITEMS).add(&*id);
        edit.title.iter().for_each(|text| _ = batch.lww_register::<str>(&title).set(text));
        edit.done.iter().for_each(|is| _ = batch.lww_register::<bool>(&done).set(is));
        edit.note.iter().for_each(|(text, _)| _ = batch.mv_register::<str>(&note).set(text));
        Ok(())
    });
    written.map(drop).map_err(refused)
}

/// Takes an item off the list. What it held stays below its path, so that it can be brought back.
async fn remove(State(region): Shared, extract::Path(id): extract::Path<String>) -> Result<(), Refused> {
    region.replica.or_set::<str>(ITEMS).and_then(|items| items.remove(&*id)).map(drop).map_err(refused)
}

/// Cuts the region off, or lets it reach the others again.
async fn cut(State(region): Shared, Json(is): Json<bool>) {
    region.cut_off.send_replace(is);
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let first_port: u16 = std::env::args().nth(1).as_deref().unwrap_or("8091").parse()?;
    let folder = Path::new("todo-buckets");
    REGIONS.iter().try_for_each(|name| std::fs::create_dir_all(folder.join(name)))?;
    let mut regions = Vec::new();
    for (name, port) in REGIONS.into_iter().zip(first_port..) {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        // Shorter than usual: to be seen at once is worth more PUTs here.
        let mut settings = Settings::default();
        settings.flush_interval = Duration::from_millis(100);
        let mut builder = Replica::builder(name, LocalBucket::open(folder.join(name))?).settings(settings).manual();
        for peer in REGIONS.into_iter().filter(|peer| *peer != name) {
            builder = builder.peer(peer, LocalBucket::open(folder.join(peer))?);
            builder = builder.hints(FolderHints::watch(folder.join(peer))?);
        }
        let (replica, cut_off) = (builder.open().await?, watch::Sender::new(false));
        tokio::spawn(run(replica.clone(), cut_off.subscribe()));
        let region = Arc::new(Region { replica, cut_off, shown: watch::Sender::new(json!({"items": []})) });
        tokio::spawn(keep_up(region.clone()));
        regions.push(region.clone());
        let page = include_str!("page.html").replace("{style}", include_str!("../../page.css"));
        let page = page.replace("{region}", name);
        let router = Router::new()
            .route("/", get(async move || Html(page)))
            .route("/list", get(list))
            .route("/items/{id}", put(edit).delete(remove))
            .route("/cut-off", post(cut))
            .with_state(region);
        println!("{name:14}  http://{}/", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    tokio::signal::ctrl_c().await?;
    for region in regions {
        region.cut_off.send_replace(false);
        region.replica.close().await?;
    }
    Ok(())
}
