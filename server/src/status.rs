//! How the replica is doing: the status, and whether it is alive and ready.
//! Layer 3.

use core::time::Duration;
use std::sync::{Arc, atomic::Ordering};

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use operations::moment;
use replica::{ErrorKind, LogStatus, Position, RegionStatus, Status};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::json,
    app::App,
    problem::{Problem, Shown as ProblemShown, advice},
    text::Parameters,
};

/// S3 Standard in us-east-1, storage aside, and what most pairs of regions cost: dollars for a request, and for a byte that
/// goes from one region to another. The same as in the demonstration of the command. A DELETE costs nothing.
const PUT_OR_LIST: f64 = 0.005 / 1_000.0;
const GET: f64 = 0.000_4 / 1_000.0;
const BYTE: f64 = 0.02 / 1e9;

/// How a replica is doing.
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct Doing {
    region: String,
    replica: String,
    /// Which process has its log, of all that ever had it. One that is fenced says by which.
    process: String,
    /// When this was, by the clock of the server.
    now: String,
    /// The last position of its log that is in the bucket.
    durable: String,
    /// Bytes of changes that wait for the bucket.
    pending_bytes: u64,
    objects: usize,
    memory_bytes: u64,
    /// Why it takes no more writes, if so.
    ended: Option<Ended>,
    /// True while less has come back than this replica had seen before it was started.
    behind: bool,
    /// Why it is not ready; empty when it is.
    not_ready: Vec<&'static str>,
    alarms: Vec<Alarm>,
    /// What is known of every other replica's log: the column of this region in the matrix of pairs.
    peers: Vec<Peer>,
    /// The whole matrix: how far each replica has read each other one's log. This replica's own column is as of now, those of
    /// the others as they have told it themselves. Replicas that were evicted are not in it.
    pairs: Vec<Pair>,
    /// What was asked of each bucket since the start, the own one first.
    buckets: Vec<Bucket>,
    /// About what that came to, in dollars at the prices of S3, storage aside.
    cost_dollars: f64,
    /// The servers of other regions, as this one was told.
    siblings: Vec<Sibling>,
    /// How many watches there are.
    watches: i64,
}

/// Why a replica takes no more writes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ended {
    kind: &'static str,
    says: String,
    advice: &'static str,
}

/// What is wrong and has not passed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alarm {
    place: String,
    kind: &'static str,
    says: String,
    advice: &'static str,
}

/// What is known of another replica's log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Peer {
    replica: String,
    /// In which region's bucket its log is, as far as it was read since the start.
    region: Option<String>,
    /// `in_sync`, `behind`, `unread` or `evicted`.
    state: &'static str,
    applied: Option<String>,
    heard: Option<String>,
    /// When it last wrote, by its clock, as far as it has been read.
    written: Option<String>,
    lag_seconds: Option<f64>,
    pending_bytes: Option<u64>,
    /// How long ago its bucket last answered.
    answered_seconds: Option<f64>,
    /// How long ago something new of it was applied.
    silent_seconds: Option<f64>,
    /// Where its log ends, if it was evicted.
    evicted: Option<String>,
    /// Whether its state was the same when it was last compared.
    agrees: Option<bool>,
}

/// How far a replica has read another one's log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pair {
    /// Whose log.
    from: String,
    /// Who reads it.
    to: String,
    applied: Option<String>,
    /// How many segments of the newest epoch are known here that it had not applied when it told so.
    segments: u64,
    /// How long ago it has told so, by its clock and this one: 0 where it is this replica, `null` where nothing of it was read
    /// since this server was started. One that was just started may hold less than it tells, until it has read it again.
    told_seconds: Option<f64>,
}

/// What was asked of a bucket.
#[derive(Serialize, ToSchema)]
pub(crate) struct Bucket {
    region: String,
    puts: u64,
    gets: u64,
    lists: u64,
    deletes: u64,
    repeated: u64,
    bytes_out: u64,
    bytes_in: u64,
}

/// A server of another region.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sibling {
    region: String,
    origin: String,
}

impl Peer {
    fn new(log: &LogStatus) -> Self {
        Self {
            replica: log.replica.to_string(),
            region: log.region.clone(),
            state: state_of(log),
            applied: log.applied.map(|position| position.to_string()),
            heard: log.heard.map(|position| position.to_string()),
            written: (log.cut_ms > 0).then(|| moment(log.cut_ms)),
            lag_seconds: log.lag.map(|lag| lag.as_secs_f64()),
            pending_bytes: log.pending_bytes,
            answered_seconds: log.answered.map(|answered| answered.as_secs_f64()),
            silent_seconds: log.silent.map(|silent| silent.as_secs_f64()),
            evicted: log.evicted.map(|position| position.to_string()),
            agrees: log.agrees,
        }
    }
}

/// How far this replica is with a log, in a word.
pub(crate) fn state_of(log: &LogStatus) -> &'static str {
    match (log.evicted, log.applied, log.lag) {
        (Some(_), _, _) => "evicted",
        (None, None, _) => "unread",
        (None, _, Some(lag)) if lag.is_zero() => "in_sync",
        _ => "behind",
    }
}

impl Pair {
    fn all(status: &Status, wall_ms: u64) -> Vec<Self> {
        let live = || status.logs.iter().filter(|log| log.evicted.is_none());
        let pairs = live().flat_map(|reader| live().map(move |log| (reader, log)));
        let different = pairs.filter(|(reader, log)| reader.replica != log.replica);
        different.map(|(reader, log)| Self::new(status, wall_ms, reader, log)).collect()
    }

    fn new(status: &Status, wall_ms: u64, reader: &LogStatus, log: &LogStatus) -> Self {
        let (applied, told) = if reader.replica == status.replica {
            (log.applied, Some(Duration::ZERO))
        } else {
            let since = (reader.cut_ms > 0).then(|| Duration::from_millis(wall_ms.saturating_sub(reader.cut_ms)));
            (reader.told.get(log.replica.id()), since)
        };
        Self {
            from: log.replica.to_string(),
            to: reader.replica.to_string(),
            applied: applied.map(|position| position.to_string()),
            segments: segments_between(applied, log.heard),
            told_seconds: told.map(|told| told.as_secs_f64()),
        }
    }
}

/// How many segments of the newest epoch are known and not applied.
pub(crate) fn segments_between(applied: Option<Position>, heard: Option<Position>) -> u64 {
    let Some(heard) = heard.filter(|heard| Some(*heard) > applied) else { return 0 };
    let first = applied.filter(|applied| applied.epoch() == heard.epoch()).map_or(0, |applied| applied.slot() + 1);
    u64::from(heard.slot() - first) + 1
}

impl From<&RegionStatus> for Bucket {
    fn from(status: &RegionStatus) -> Self {
        let RegionStatus { region, creates, gets, lists, deletes, repeated, bytes_out, bytes_in, .. } = status.clone();
        Self { region, puts: creates, gets, lists, deletes, repeated, bytes_out, bytes_in }
    }
}

/// What the requests came to. What is read from the first bucket, the own one, crosses no region.
fn cost(status: &Status) -> f64 {
    let each = status.regions.iter().enumerate().map(|(number, region)| {
        let requests = (region.creates + region.lists) as f64 * PUT_OR_LIST + region.gets as f64 * GET;
        requests + if number == 0 { 0.0 } else { region.bytes_in as f64 * BYTE }
    });
    each.sum()
}

/// Why the replica is not ready, each in a word: nothing when it is.
pub(crate) fn not_ready(app: &App, status: &Status) -> Vec<&'static str> {
    let mut why = Vec::new();
    if let Some((kind, _)) = &status.ended {
        why.push(kind.name());
    }
    if app.is_stopping() {
        why.push("stopping");
    }
    if status.is_behind {
        why.push("behind");
    }
    if !app.has_caught_up.load(Ordering::Relaxed) {
        why.push("catching_up");
    }
    if status.alarms.iter().any(|(place, _, _)| place.starts_with("create ")) {
        why.push("bucket");
    }
    why
}

/// Says how the replica is doing.
#[utoipa::path(
    get,
    path = "/v1/status",
    responses(
        (status = 200, description = "How it is doing", body = Doing),
        (status = 400, description = "There are no parameters", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn status(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    Parameters::read(&uri, &[])?;
    let status = app.look();
    let alarm = |(place, kind, says): &(String, ErrorKind, String)| Alarm {
        place: place.clone(),
        kind: kind.name(),
        says: says.clone(),
        advice: advice(*kind),
    };
    let ended = status.ended.as_ref();
    let siblings = app.options.siblings.iter();
    json(
        StatusCode::OK,
        &Doing {
            region: app.options.region.clone(),
            replica: status.replica.to_string(),
            process: status.process.clone(),
            now: moment(app.wall_ms()),
            durable: status.durable.to_string(),
            pending_bytes: status.pending_bytes,
            objects: status.objects,
            memory_bytes: status.memory_bytes,
            ended: ended.map(|(kind, says)| Ended { kind: kind.name(), says: says.clone(), advice: advice(*kind) }),
            behind: status.is_behind,
            not_ready: not_ready(&app, &status),
            alarms: status.alarms.iter().map(alarm).collect(),
            peers: status.logs.iter().filter(|log| log.replica != status.replica).map(Peer::new).collect(),
            pairs: Pair::all(&status, app.wall_ms()),
            buckets: status.regions.iter().map(Bucket::from).collect(),
            cost_dollars: cost(&status),
            siblings: siblings
                .map(|sibling| Sibling { region: sibling.region.clone(), origin: sibling.origin.clone() })
                .collect(),
            watches: app.meter.watches(),
        },
    )
}

/// Whether the process is alive.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    alive: bool,
}

/// Says that the process is alive.
#[utoipa::path(get, path = "/healthz", security(()), responses((status = 200, description = "It is", body = Health)))]
pub(crate) async fn health() -> Result<Response, Problem> {
    json(StatusCode::OK, &Health { alive: true })
}

/// Whether requests should be sent here.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    ready: bool,
    /// Why not, in a word each: `fenced` and its like, `stopping`, `behind`, `catching_up`, `bucket`.
    not_ready: Vec<&'static str>,
}

/// Says whether requests should be sent here: the replica writes, has caught up, and its bucket takes what it writes.
#[utoipa::path(
    get,
    path = "/readyz",
    security(()),
    responses(
        (status = 200, description = "It is ready", body = Readiness),
        (status = 503, description = "It is not", body = Readiness),
    ),
)]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let not_ready = not_ready(&app, &app.look());
    let status = if not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &Readiness { ready: not_ready.is_empty(), not_ready })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted_from_what_is_applied_to_what_is_known() {
        let at = |epoch, slot| Some(Position::new(epoch, slot));
        for (applied, heard, segments) in [
            (None, None, 0),
            (None, at(1, 0), 1),
            (None, at(1, 4), 5),
            (at(1, 4), at(1, 4), 0),
            (at(1, 4), at(1, 6), 2),
            (at(1, 6), at(1, 4), 0),
            // Of the epochs before nobody knows how long they are.
            (at(1, 4), at(3, 6), 7),
            (at(3, 0), at(1, 6), 0),
        ] {
            assert_eq!(segments_between(applied, heard), segments, "{applied:?} {heard:?}");
        }
    }
}
