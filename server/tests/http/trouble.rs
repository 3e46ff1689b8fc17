//! When the bucket is away or full, the replica fenced, the server stopped: nothing is lost that was acknowledged, and all of it
//! is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use replica::{
    Replica, SystemClock, SystemEntropy,
    ports::{Answer, Clock},
};
use serde_json::{Value, json};

use crate::{
    bucket::{Mood, Moody},
    client::{Connection, request},
    running::{Running, builder, options, place, settings, until},
};

fn add(by: i64) -> Value {
    json!({"op": "add", "kind": "pn_counter", "path": "a", "by": by})
}

#[test]
fn without_its_bucket_a_server_goes_on_until_too_much_waits() {
    let bucket = Moody::new();
    let mut tight = settings();
    tight.pending_bytes = 64 << 10;
    let server = Running::start(Replica::builder("eu-west-1", bucket.clone()).settings(tight), options());
    server.post("/v1/ops?durable=true", &add(1)).ok();
    bucket.set(Mood::Away);
    // It is done, and says that it is not durable.
    let waited = server.post("/v1/ops?durable=true", &add(1));
    assert_eq!((waited.status, &waited.json()["durable"]), (202, &json!(false)));
    let text = "x".repeat(1_000);
    let mut accepted = 0;
    let refused = loop {
        let element = json!({"op": "add", "kind": "or_set", "path": "s", "value": format!("{accepted} {text}")});
        let answer = server.post("/v1/ops", &element);
        match answer.status {
            200 => accepted += 1,
            _ => break answer,
        }
        assert!(accepted < 1_000, "it does not push back");
    };
    assert_eq!(refused.problem(503), "backpressure");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(accepted > 20, "{accepted}");
    // Reads go on, and whoever looks is told what is wrong and what to do.
    assert_eq!(server.value("a"), 2);
    until(|| server.get("/readyz").status == 503);
    assert_eq!(server.get("/readyz").json()["not_ready"], json!(["bucket"]));
    let status = server.get("/v1/status").ok();
    let alarm = status["alarms"].as_array().and_then(|alarms| alarms.iter().find(|alarm| alarm["kind"] == "store"));
    let alarm = alarm.unwrap_or_else(|| panic!("{status}"));
    assert!(alarm["says"].as_str().is_some_and(|says| says.contains("nobody answers")), "{alarm}");
    assert!(alarm["advice"].as_str().is_some_and(|advice| !advice.is_empty()));

    bucket.set(Mood::Well);
    until(|| server.get("/readyz").status == 200);
    until(|| server.post("/v1/ops?durable=true", &add(1)).status == 200);
    let elements = server.value("s").as_array().map(Vec::len);
    assert_eq!(elements, Some(accepted));
    server.close();
    let server = Running::start(builder("eu-west-1", &bucket), options());
    assert_eq!((server.value("a"), server.value("s").as_array().map(Vec::len)), (json!(3), Some(accepted)));
}

#[test]
fn a_full_disk_is_told_by_its_name() {
    let bucket = Moody::new();
    let server = Running::start(builder("eu-west-1", &bucket), options());
    bucket.set(Mood::Full);
    assert_eq!(server.post("/v1/ops?durable=true", &add(1)).status, 202);
    let written = server.post("/v1/ops", &add(1)).ok();
    assert_eq!(written["in_memory_until"], Value::Null);
    assert!(written["trouble"].as_str().is_some_and(|says| says.contains("no space is left")), "{written}");
    bucket.set(Mood::Well);
    until(|| server.post("/v1/ops?durable=true", &add(1)).status == 200);
}

#[test]
fn a_fenced_server_says_so_and_still_reads() {
    let bucket = Moody::new();
    let server = Running::start(builder("eu-west-1", &bucket), options());
    server.post("/v1/ops?durable=true", &add(1)).ok();
    let other = Running::start(builder("eu-west-1", &bucket), options());
    other.post("/v1/ops?durable=true", &add(1)).ok();
    // It hears of it when it writes.
    let refused = server.post("/v1/ops?durable=true", &add(1));
    assert_eq!(refused.problem(503), "fenced");
    assert_eq!(refused.json()["indeterminate"], true, "whether it was durable is not known");
    let refused = server.post("/v1/ops", &add(1));
    assert_eq!(refused.problem(503), "fenced");
    assert_eq!(refused.json()["indeterminate"], false);
    let by = other.get("/v1/status").ok()["process"].as_str().map(|process| format!("process={process}"));
    let by = by.expect("who it is");
    assert!(
        refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("eu-west-1") && detail.contains(&by))
    );
    assert_eq!(server.get("/readyz").json()["not_ready"], json!(["fenced"]));
    assert_eq!(server.get("/v1/status").ok()["ended"]["kind"], "fenced");
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/v1/objects/a").status, 200);
    assert!(server.get("/metrics").text().contains("archipelago_fenced_total 1\n"));
    assert_eq!(other.value("a"), 2);
}

/// What is under way when a server is stopped is answered, and nothing that it took is lost.
#[test]
fn a_server_that_stops_ends_what_it_has_begun() {
    let bucket = Moody::new();
    let mut server = Running::start(builder("eu-west-1", &bucket), options());
    server.post("/v1/ops", &add(5)).ok();
    bucket.set(Mood::Away);
    let mut waiting = Connection::open(server.address);
    let body = add(1).to_string();
    waiting.send(&request("POST", "/v1/ops?durable=true", &[("Content-Type", "application/json")], body.as_bytes()));
    until(|| server.replica.pn_counter("a").is_ok_and(|counter| counter.value() == 6));
    // A connection that nobody uses holds up nothing.
    let idle = Connection::open(server.address);
    server.tell_to_stop();
    bucket.set(Mood::Well);
    assert_eq!(waiting.rest().expect("an answer").ok()["durable"], true);
    assert!(idle.rest().is_none());
    server.wait();
    assert!(std::net::TcpStream::connect(server.address).is_err(), "nobody is taken any more");
    server.runtime.block_on(server.replica.close()).expect("it closes");
    let again = Running::start(builder("eu-west-1", &bucket), options());
    assert_eq!(again.value("a"), 6);
}

#[test]
fn a_peer_that_is_away_keeps_nobody_from_being_ready() {
    let (ours, theirs) = (Moody::new(), Moody::new());
    theirs.set(Mood::Away);
    let eu = Running::start(builder("eu-west-1", &ours).peer("us-east-1", theirs.clone()), options());
    until(|| eu.get("/readyz").status == 200);
    let alarms = eu.get("/v1/status").ok()["alarms"].clone();
    assert!(alarms.as_array().is_some_and(|alarms| !alarms.is_empty()), "{alarms}");
    eu.post("/v1/ops?durable=true", &add(1)).ok();
}

/// It has been started and is asked before it has read what there is to read.
#[test]
fn a_server_is_not_ready_before_it_has_caught_up() {
    let (ours, theirs) = (Moody::new(), Moody::new());
    let us = Running::start(builder("us-east-1", &theirs), options());
    us.post("/v1/ops?durable=true", &add(1)).ok();
    let mut patient = settings();
    patient.catch_up = Duration::from_secs(600);
    let eu = Replica::builder("eu-west-1", ours).peer("us-east-1", theirs.clone()).settings(patient);
    let eu = Running::start_behind(place(), eu, options(), |_| theirs.set(Mood::Silent));
    let refused = eu.get("/readyz");
    assert_eq!((refused.status, &refused.json()["not_ready"]), (503, &json!(["catching_up"])));
    assert!(eu.get("/metrics").text().contains("archipelago_ready 0\n"));
    // It answers all the same: whoever wants the last value sends a token.
    eu.post("/v1/ops?durable=true", &add(2)).ok();
    theirs.set(Mood::Well);
    until(|| eu.get("/readyz").status == 200);
    until(|| eu.value("a") == 3);
}

/// What takes too long ends for the client, who is told that it may have been done.
#[test]
fn a_request_that_takes_too_long_is_answered() {
    let (ours, theirs) = (Moody::new(), Moody::new());
    let us = Running::start(builder("us-east-1", &theirs), options());
    us.post("/v1/ops?durable=true", &add(1)).ok();
    let mut hasty = options();
    (hasty.limits.request, hasty.limits.durable) = (Duration::from_secs(2), Duration::from_millis(200));
    let eu = Running::start(builder("eu-west-1", &ours).peer("us-east-1", theirs.clone()), hasty);
    until(|| eu.get("/v1/objects/a").status == 200);
    theirs.set(Mood::Silent);
    let refused = eu.post("/v1/evict", &json!({"replica": "us-east-1"}));
    assert_eq!(refused.problem(503), "late");
    assert_eq!((refused.header("retry-after"), &refused.json()["indeterminate"]), (Some("5"), &json!(true)));
    until(|| eu.get("/v1/objects/a").status == 200);
    theirs.set(Mood::Well);
}

/// The clock of this machine, set back.
#[derive(Debug)]
struct SetBack(SystemClock, AtomicU64);

impl Clock for SetBack {
    fn wall_ms(&self) -> u64 {
        self.0.wall_ms() - self.1.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Answer<'static, ()> {
        self.0.sleep(duration)
    }
}

/// A write under a time that others would not follow could never be superseded by them, so it is not made.
#[test]
fn a_clock_that_is_far_behind_is_told_by_its_name() {
    let clock = Arc::new(SetBack(SystemClock::new(), AtomicU64::new(0)));
    let eu = Replica::builder_with("eu-west-1", Moody::new(), clock.clone(), Arc::new(SystemEntropy));
    let eu = Running::start_behind(place(), eu.settings(settings()), options(), |replica| {
        let replica = replica.clone();
        tokio::spawn(async move { replica.run().await });
    });
    let set = |value: &str| json!({"op": "set", "kind": "lww_register", "path": "name", "value": value});
    eu.post("/v1/ops?durable=true", &set("Ada")).ok();
    clock.1.store(600_000, Ordering::Relaxed);
    let refused = eu.post("/v1/ops", &set("Grace"));
    assert_eq!(refused.problem(503), "clock_skew");
    assert!(refused.json()["advice"].as_str().is_some_and(|advice| advice.contains("clock")), "{}", refused.json());
    assert_eq!(eu.value("name"), "Ada");
    assert!(eu.get("/metrics").text().contains("archipelago_clock_refusals_total 1\n"));
    // What needs no time goes on.
    eu.post("/v1/ops?durable=true", &add(1)).ok();
    clock.1.store(0, Ordering::Relaxed);
    eu.post("/v1/ops?durable=true", &set("Grace")).ok();
}
