//! `GET /v1/watch`: what is there, and then what changes, as server-sent events.
//! Layer 3.
//!
//! ```text
//! snapshot  {"objects":[…],"part":0,"last":true}     what is there: as many of them as it takes, the last one says so
//! change    {"path":…,"kind":…,"value":…,"deleted":false,"origin":"eu-west-1"}
//! lagged    {}                                       some were missed; a snapshot follows
//! closing   {}                                       the server or the replica stops, or it has lasted long enough: come back
//! ```

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream::unfold;
use replica::Scan;
use serde::Serialize;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use utoipa::ToSchema;

use crate::{
    answer::{Covered, typed},
    app::App,
    describe::{Frontier, Prefix},
    hub::{Next, Reader, event},
    problem::{Problem, Shown as ProblemShown},
    text::Parameters,
    value::{Object, weight},
};

/// How many objects are in one part of a snapshot, and how many bytes of them.
const PART_OBJECTS: usize = 256;
const PART_BYTES: usize = 256 << 10;

/// The header in which a reader says where it was.
const LAST_EVENT_ID: &str = "last-event-id";

#[derive(Serialize)]
struct Part {
    objects: Vec<Object>,
    part: usize,
    last: bool,
}

/// One of the events.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is what is written as text")]
pub(crate) struct Told {
    /// Where whoever has read this is, for `Last-Event-ID`; missing where nobody can go on.
    id: Option<String>,
    /// `snapshot`, `change`, `lagged` or `closing`.
    event: String,
    /// JSON, by the event.
    data: String,
}

/// Watches what is below a prefix.
///
/// Server-sent events: a `snapshot` of what is there, in one or more parts, then a `change` for each object that is not what it
/// was. Whoever reads too slowly is told `lagged`, and gets a new snapshot. With `Last-Event-ID` it goes on where it was, if
/// the server still knows.
#[utoipa::path(
    get,
    path = "/v1/watch",
    params(
        Prefix,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read"),
        Frontier,
    ),
    responses(
        (status = 200, description = "Events, without end unless the server was told how long a watch lasts", body = Told, content_type = "text/event-stream"),
        (status = 400, description = "No such parameter", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "Too many prefixes are watched", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn watch(
    _: Covered,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(&uri, &["prefix"])?;
    let prefix = parameters.prefix()?;
    let hub = app.hubs.enter(&app, prefix).ok_or_else(|| {
        let detail = "too many different prefixes are watched";
        let advice = "Watch a prefix that others watch, or try again later.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_watches", detail, advice).later(10)
    })?;
    let at = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).and_then(|id| hub.place_of(id));
    let state = match at {
        Some(place) => Place::Live(place),
        None => Place::snapshot(&app, prefix, &hub),
    };
    app.meter.watchers(1);
    let stream = Stream {
        news: hub.listen(),
        stopping: app.stopping.subscribe(),
        ends: app.options.limits.watch.and_then(|lasts| Instant::now().checked_add(lasts)),
        prefix: prefix.into(),
        app,
        hub,
        state,
        has_begun: false,
        has_told: false,
    };
    let events = unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), stream))
    });
    let mut response = typed(StatusCode::OK, "text/event-stream", Body::from_stream(events));
    // A proxy that keeps events back for later helps nobody.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One reader's events.
struct Stream {
    app: Arc<App>,
    hub: Reader,
    news: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// When it has lasted long enough.
    ends: Option<Instant>,
    prefix: Box<str>,
    state: Place,
    has_begun: bool,
    /// True when it was told of a change.
    has_told: bool,
}

/// Where a reader is.
enum Place {
    /// In a snapshot, behind so many parts. What changes meanwhile comes behind this place.
    Snapshot { scan: Box<Scan>, part: usize, place: u64 },
    /// Behind the event of this number.
    Live(u64),
    /// Nothing more comes.
    Closed,
}

impl Place {
    fn snapshot(app: &App, prefix: &str, hub: &Reader) -> Self {
        // SUBTLE: the place comes first. A change in between is in the snapshot and told once more; the other way round it
        // could be in neither.
        let place = hub.last();
        Self::Snapshot { scan: Box::new(app.replica.scan(prefix)), part: 0, place }
    }
}

impl Stream {
    /// What is sent next; nothing when it is over.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.has_begun, true) && matches!(self.state, Place::Live(_)) {
            return Some(Bytes::from_static(b": it goes on\n\n"));
        }
        loop {
            let place = match &mut self.state {
                Place::Closed => return None,
                Place::Snapshot { scan, part, place } => {
                    let (bytes, is_last) = next_part(scan, *part, &format!("{}.{place}", self.hub.id));
                    let place = *place;
                    *part += 1;
                    if is_last {
                        self.state = Place::Live(place);
                    }
                    return Some(bytes);
                }
                Place::Live(place) => *place,
            };
            // Not within a snapshot, which would begin anew; nor before whoever came back has got anything.
            let has_lasted = self.ends.is_some_and(|ends| Instant::now() >= ends);
            if has_lasted && self.has_told {
                return Some(self.close());
            }
            self.news.borrow_and_update();
            match self.hub.next(place) {
                Next::Event(number, bytes) => {
                    self.state = Place::Live(number);
                    self.has_told = true;
                    return Some(bytes);
                }
                Next::Lagged => {
                    self.app.meter.lagged();
                    self.state = Place::snapshot(&self.app, &self.prefix, &self.hub);
                    return Some(event("lagged", None, &json!({})));
                }
                Next::Ended => return Some(self.close()),
                Next::Nothing if has_lasted => return Some(self.close()),
                Next::Nothing => {}
            }
            let heartbeat = self.app.options.limits.heartbeat;
            let left = self.ends.map(|ends| ends.saturating_duration_since(Instant::now()));
            let quiet = left.map_or(heartbeat, |left| left.min(heartbeat));
            let is_there = tokio::select! {
                changed = timeout(quiet, self.news.changed()) => match changed {
                    Ok(changed) => changed.is_ok(),
                    Err(_) if quiet < heartbeat => continue,
                    Err(_) => return Some(Bytes::from_static(b": heartbeat\n\n")),
                },
                _ = self.stopping.wait_for(|stopping| *stopping) => false,
            };
            if !is_there {
                return Some(self.close());
            }
        }
    }

    fn close(&mut self) -> Bytes {
        self.state = Place::Closed;
        event("closing", None, &json!({}))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.app.meter.watchers(-1);
    }
}

/// The next part of a snapshot, and whether it is the last. That one alone has an id: whoever breaks off before begins anew.
fn next_part(scan: &mut Scan, part: usize, id: &str) -> (Bytes, bool) {
    let (mut objects, mut bytes) = (Vec::new(), 0);
    let mut is_last = true;
    for (key, value) in scan.by_ref() {
        bytes += key.path().len() + weight(&value);
        objects.push(Object::new(&key, &value));
        if objects.len() == PART_OBJECTS || bytes >= PART_BYTES {
            is_last = false;
            break;
        }
    }
    (event("snapshot", is_last.then_some(id), &Part { objects, part, last: is_last }), is_last)
}
