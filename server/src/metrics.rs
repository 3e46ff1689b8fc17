//! `GET /metrics`: OpenMetrics text.
//! Layer 3.
//!
//! No label holds a path, so their number does not grow with the data.

use core::fmt::{Display, Write};
use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use replica::{APPLY_DELAYS_MS, Hinted, LogStatus, REQUEST_DELAYS_MS, Status};

use crate::{
    answer::typed,
    app::App,
    meter::{BUCKETS_US, CLASSES},
    problem::{Problem, Shown as ProblemShown},
    routes::Route,
    status::{not_ready, segments_between, state_of},
    text::Parameters,
};

/// What the text is, as OpenMetrics has it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Gives the metrics.
#[utoipa::path(
    get,
    path = "/metrics",
    responses(
        (status = 200, description = "OpenMetrics", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (status = 400, description = "There are no parameters", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn metrics(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    Parameters::read(&uri, &[])?;
    let mut text = Text::default();
    let status = app.look();
    about_the_replica(&app, &status, &mut text);
    about_peers(&status, &mut text);
    about_delays(&status, &mut text);
    about_buckets(&status, &mut text);
    about_requests(&app, &mut text);
    Ok(typed(StatusCode::OK, CONTENT_TYPE, text.end()))
}

fn about_the_replica(app: &App, status: &Status, text: &mut Text) {
    let (region, replica) = (&*app.options.region, status.replica.as_str());
    text.family("build", "info", "What this is.", "");
    let process = ("process", &*status.process);
    let of_build = [("version", env!("CARGO_PKG_VERSION")), ("region", region), ("replica", replica), process];
    text.line("build_info", &of_build, 1);
    text.gauge("objects", "Objects, live or not.", status.objects);
    text.gauge("memory_bytes", "About what the objects take.", status.memory_bytes);
    text.gauge("pending_bytes", "Changes that wait for the own bucket.", status.pending_bytes);
    text.gauge("ready", "1 when requests should be sent here.", u8::from(not_ready(app, status).is_empty()));
    text.gauge("behind", "1 while less has come back than was seen before the start.", u8::from(status.is_behind));
    text.gauge("incarnation", "The epoch in which the own log is written.", status.durable.epoch());
    let fenced = status.ended.as_ref().is_some_and(|(kind, _)| *kind == replica::ErrorKind::Fenced);
    text.counter(
        "fenced",
        "Times that another process has taken the log over: at most one, which ends this one.",
        u8::from(fenced),
    );
    text.gauge("ended", "1 when nothing can be written here any more.", u8::from(status.ended.is_some()));
    text.gauge("dead_tallies", "Deleted counters that wait to be purged.", status.dead_tallies);
    text.gauge("early_removals", "Removals that wait for what they remove.", status.early_removals);
    text.family("hlc_skew_seconds", "gauge", "How far the hybrid clock is ahead of the wall clock.", "seconds");
    text.line("hlc_skew_seconds", &[], status.skew.as_secs_f64());
    text.counter("clock_refusals", "Writes refused since the clock was too far behind.", status.clock_refusals);
    text.gauge(
        "orphans",
        "Parts of own snapshots that no kept manifest names, and that are too young to be collected.",
        status.orphans,
    );
    text.family("conflicted_objects", "gauge", "Registers in which several writes stand beside each other.", "");
    for of in &status.conflicts {
        text.line("conflicted_objects", &[("type", of.kind.name())], of.standing);
    }
    text.family("conflicts", "counter", "Writes to registers that have come to stand beside another one.", "");
    for of in &status.conflicts {
        text.line("conflicts_total", &[("type", of.kind.name())], of.met);
    }
    text.family("queue_messages", "counter", "Hints that have come, by what they were good for.", "");
    for (hinted, count) in &status.hints {
        text.line("queue_messages_total", &[("outcome", hinted.name())], count);
    }
    let help = "How long the oldest message that came last had waited; none told while the queue does not answer.";
    text.family("queue_oldest_age_seconds", "gauge", help, "seconds");
    for queue in &status.queues {
        if let Some(oldest) = queue.oldest {
            text.line("queue_oldest_age_seconds", &[("queue", &queue.name)], oldest.as_secs_f64());
        }
    }
    text.family("dlq_messages", "gauge", "Dead letters; none told where they could not be counted.", "");
    for queue in &status.queues {
        if let Some(dead) = queue.dead {
            text.line("dlq_messages", &[("queue", &queue.name)], dead);
        }
    }
    text.family(
        "duplicates",
        "counter",
        "What came and was known: hints of what had been heard of, segments that had been applied.",
        "",
    );
    let known = status.hints.iter().filter(|(hinted, _)| *hinted == Hinted::Known).map(|(_, count)| count).sum();
    for (source, count) in [("hint", known), ("segment", status.doubled)] {
        text.line("duplicates_total", &[("source", source)], count);
    }
    text.family(
        "quarantined_objects",
        "counter",
        "What stood in a log and could not be applied, so that it was held up.",
        "",
    );
    for (reason, count) in &status.quarantined {
        text.line("quarantined_objects_total", &[("reason", reason)], count);
    }
    text.counter("gc_deleted", "Objects of the own log and snapshots that were collected.", status.collected);
    text.counter("ahead_objects", "Objects whose time was too far in the future.", status.ahead);
    text.family("alarms", "gauge", "What is wrong and has not passed, by kind.", "");
    let mut kinds: Vec<&str> = status.alarms.iter().map(|(_, kind, _)| kind.name()).collect();
    kinds.sort_unstable();
    for kinds in kinds.chunk_by(|one, other| one == other) {
        text.line("alarms", &[("kind", kinds[0])], kinds.len());
    }
}

fn about_peers(status: &Status, text: &mut Text) {
    let peers = || status.logs.iter().filter(|log| log.replica != status.replica);
    type Of = fn(&LogStatus) -> Option<f64>;
    // What it has acknowledged may be of an epoch before this one: then all of this one is kept for it.
    let own = status.durable;
    let unacknowledged = |log: &LogStatus| {
        let acknowledged = log.acknowledged.filter(|acknowledged| acknowledged.epoch() == own.epoch());
        let first = acknowledged.map_or(0, |acknowledged| u64::from(acknowledged.slot()) + 1);
        (u64::from(own.slot()) + 1).saturating_sub(first)
    };
    let gauges: [(&str, &str, &str, Of); 6] = [
        (
            "sync_lag_seconds",
            "seconds",
            "How far this replica is behind a peer's log; none when it is not known.",
            |log| log.lag.map(|lag| lag.as_secs_f64()),
        ),
        ("sync_lag_segments", "", "The same in segments of the newest epoch.", |log| {
            Some(segments_between(log.applied, log.heard) as f64)
        }),
        ("sync_lag_bytes", "bytes", "The same in bytes, judged by those that were read.", |log| {
            log.pending_bytes.map(|bytes| bytes as f64)
        }),
        ("peer_state", "", "0 in sync, 1 behind, 2 unread, 3 evicted.", |log| {
            Some(match state_of(log) {
                "in_sync" => 0.0,
                "behind" => 1.0,
                "unread" => 2.0,
                _ => 3.0,
            })
        }),
        ("peer_answered_seconds", "seconds", "How long ago the peer's bucket last answered.", |log| {
            log.answered.map(|answered| answered.as_secs_f64())
        }),
        ("peer_agrees", "", "1 when its state was the same when it was last compared, 0 when not.", |log| {
            log.agrees.map(|agrees| f64::from(u8::from(agrees)))
        }),
    ];
    for (name, unit, help, of) in gauges {
        text.family(name, "gauge", help, unit);
        for log in peers() {
            if let Some(value) = of(log) {
                text.line(name, &[("peer", log.replica.as_str())], value);
            }
        }
    }
    let name = "reconcile_last_success_timestamp_seconds";
    text.family(name, "gauge", "When a peer's state was last found to be the same, since the Unix epoch.", "seconds");
    for log in peers().filter(|log| log.evicted.is_none()) {
        if let Some(agreed_ms) = log.agreed_ms {
            text.line(name, &[("peer", log.replica.as_str())], agreed_ms as f64 / 1e3);
        }
    }
    let help = "Own segments of the newest epoch that a peer has not acknowledged.";
    text.family("gc_unacknowledged_segments", "gauge", help, "");
    for log in peers().filter(|log| log.evicted.is_none()) {
        text.line("gc_unacknowledged_segments", &[("peer", log.replica.as_str())], unacknowledged(log));
    }
    let help = "For how long collecting has waited for a peer to acknowledge more; 0 while it does not.";
    text.family("gc_blocked_seconds", "gauge", help, "seconds");
    for log in peers().filter(|log| log.evicted.is_none()) {
        let blocks = log.blocks.unwrap_or_default();
        text.line("gc_blocked_seconds", &[("by", log.replica.as_str())], blocks.as_secs_f64());
    }
}

fn about_delays(status: &Status, text: &mut Text) {
    let help = "How long after a peer had cut them its segments were applied, by both clocks.";
    text.family("apply_delay_seconds", "histogram", help, "seconds");
    let ends = seconds(&APPLY_DELAYS_MS);
    for log in status.logs.iter().filter(|log| log.replica != status.replica) {
        let peer = [("peer", log.replica.as_str())];
        text.histogram("apply_delay_seconds", &peer, &ends, &log.delays.counts, log.delays.sum.as_secs_f64());
    }
}

fn seconds(ends_ms: &[u64]) -> Vec<f64> {
    ends_ms.iter().map(|end| *end as f64 / 1e3).collect()
}

fn about_buckets(status: &Status, text: &mut Text) {
    let requests = || status.regions.iter().flat_map(|region| region.requests.iter().map(|of| (&*region.region, of)));
    text.family(
        "store_requests",
        "counter",
        "Requests to a region's bucket that were answered or failed, repeated ones included.",
        "",
    );
    for (region, of) in requests() {
        let failed = of.failed.iter().map(|(outcome, count)| (outcome.name(), *count));
        for (outcome, count) in [("ok", of.ok)].into_iter().chain(failed) {
            text.line("store_requests_total", &[("region", region), ("op", of.request), ("outcome", outcome)], count);
        }
    }
    text.family("store_request_seconds", "histogram", "How long requests to a region's bucket took.", "seconds");
    for (region, of) in requests() {
        let sum = of.delays.sum.as_secs_f64();
        let labels = [("region", region), ("op", of.request)];
        text.histogram("store_request_seconds", &labels, &seconds(&REQUEST_DELAYS_MS), &of.delays.counts, sum);
    }
    text.family("store_repeated_requests", "counter", "Requests that were repeated.", "");
    for region in &status.regions {
        text.line("store_repeated_requests_total", &[("region", &region.region)], region.repeated);
    }
    let help = "Creates of which it was not known whether they had had their effect, by what came of them.";
    text.family("store_ambiguous_puts", "counter", help, "");
    for region in &status.regions {
        for (resolution, count) in &region.resolved {
            let labels = [("region", &*region.region), ("resolution", resolution.name())];
            text.line("store_ambiguous_puts_total", &labels, count);
        }
    }
    text.family("store_bytes", "counter", "Bytes sent to a region's bucket, and received.", "bytes");
    for region in &status.regions {
        for (op, dir, count) in [("create", "out", region.bytes_out), ("get", "in", region.bytes_in)] {
            text.line("store_bytes_total", &[("region", &region.region), ("op", op), ("dir", dir)], count);
        }
    }
}

fn about_requests(app: &App, text: &mut Text) {
    let (connections, refused, watches, lagged, limited) = app.meter.read();
    text.gauge("http_connections", "Connections now.", connections);
    text.counter("http_refused_connections", "Connections beyond the limit.", refused);
    text.counter("http_limited_requests", "Requests beyond the rate of their address.", limited);
    text.gauge("watches", "Watches now.", watches);
    text.gauge("watched_prefixes", "Prefixes that are watched.", app.hubs.len());
    text.counter("watches_lagged", "Times that a watch was too slow.", lagged);
    text.gauge("idempotency_keys", "Idempotency keys that are remembered.", app.keys.len());
    text.family("http_requests", "counter", "Requests that were answered, by status.", "");
    for route in Route::ALL {
        let (by_class, _, _) = app.meter.of(route).read();
        for (class, count) in CLASSES.iter().zip(by_class).filter(|(_, count)| *count > 0) {
            text.line("http_requests_total", &[("route", route.name()), ("status", class)], count);
        }
    }
    text.family("http_request_seconds", "histogram", "How long they took; of a watch, until it began.", "seconds");
    for route in Route::ALL {
        let (_, by_time, micros) = app.meter.of(route).read();
        let ends = BUCKETS_US.map(|end| end as f64 / 1e6);
        text.histogram("http_request_seconds", &[("route", route.name())], &ends, &by_time, micros as f64 / 1e6);
    }
}

/// Metrics as text.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    /// Begins what is told of one thing. A name that ends in a unit says which.
    fn family(&mut self, name: &str, of: &str, help: &str, unit: &str) {
        let _ = write!(self.0, "# TYPE archipelago_{name} {of}\n# HELP archipelago_{name} {help}\n");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT archipelago_{name} {unit}");
        }
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "archipelago_{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        let unit = if name.ends_with("_bytes") { "bytes" } else { "" };
        self.family(name, "gauge", help, unit);
        self.line(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help, "");
        self.line(&format!("{name}_total"), &[], value);
    }

    /// What was counted in classes that end at `ends`, and above the last; nothing where nothing was.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], ends: &[f64], counts: &[u64], sum: f64) {
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return;
        }
        let (bucket, mut below) = (format!("{name}_bucket"), 0);
        for (end, count) in ends.iter().zip(counts) {
            below += count;
            self.line(&bucket, &[labels, &[("le", &format!("{end:?}"))]].concat(), below);
        }
        self.line(&bucket, &[labels, &[("le", "+Inf")]].concat(), all);
        self.line(&format!("{name}_count"), labels, all);
        self.line(&format!("{name}_sum"), labels, sum);
    }

    fn end(mut self) -> String {
        self.0 += "# EOF\n";
        self.0
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
