//! Watching: a snapshot, changes, coming back, being slow.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use crate::{
    bucket::Moody,
    client::{Connection, request},
    running::{Running, Two, builder, options, until},
};

/// A reader of events.
struct Reader {
    connection: Connection,
    come: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    id: Option<String>,
    name: String,
    data: Value,
}

impl Reader {
    fn open(address: SocketAddr, prefix: &str, last: Option<&str>) -> Self {
        let mut connection = Connection::open(address);
        let headers: Vec<(&str, &str)> = last.map(|last| ("Last-Event-ID", last)).into_iter().collect();
        connection.send(&request("GET", &format!("/v1/watch?prefix={prefix}"), &headers, b""));
        let mut come = String::new();
        connection.until(&mut come, |come| come.contains("\r\n\r\n"));
        assert!(come.starts_with("HTTP/1.1 200"), "{come}");
        assert!(come.contains("content-type: text/event-stream"), "{come}");
        Self { connection, come }
    }

    /// The events that have come, once there are so many.
    #[track_caller]
    fn events(&mut self, count: usize) -> Vec<Event> {
        self.connection.until(&mut self.come, |come| events(come).len() >= count);
        events(&self.come)
    }

    /// The same, until there is one of this name.
    #[track_caller]
    fn until(&mut self, name: &str) -> Vec<Event> {
        self.connection.until(&mut self.come, |come| events(come).iter().any(|event| event.name == name));
        events(&self.come)
    }
}

/// The whole events of a stream. Chunks are cut where events are.
fn events(come: &str) -> Vec<Event> {
    let body = come.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let whole = body.split("\n\n").collect::<Vec<_>>();
    let whole = &whole[..whole.len() - 1];
    let event = |text: &&str| {
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        };
        let data = serde_json::from_str(&field("data")?).expect("JSON");
        Some(Event { id: field("id"), name: field("event")?, data })
    };
    whole.iter().filter_map(event).collect()
}

fn add(path: &str, by: i64) -> Value {
    json!({"op": "add", "kind": "pn_counter", "path": path, "by": by})
}

#[test]
fn a_watch_begins_with_what_is_there_and_goes_on_with_what_changes() {
    let server = Running::alone();
    server.post("/v1/ops", &json!([add("w/a", 1), add("w/b", 2), add("x", 3)])).ok();
    let mut reader = Reader::open(server.address, "w/", None);
    let snapshot = reader.events(1).remove(0);
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(
        snapshot.data,
        json!({"part": 0, "last": true, "objects": [
            {"path": "w/a", "kind": "pn_counter", "value": 1}, {"path": "w/b", "kind": "pn_counter", "value": 2},
        ]})
    );
    server.post("/v1/ops", &json!([add("x", 1), add("w/a", 4)])).ok();
    server.delete("/v1/objects/w/b").ok();
    let events = reader.events(3);
    assert_eq!(
        (&*events[1].name, &events[1].data),
        ("change", &json!({"path": "w/a", "kind": "pn_counter", "value": 5, "deleted": false, "origin": "eu-west-1"}))
    );
    assert_eq!(
        events[2].data,
        json!({"path": "w/b", "kind": "pn_counter", "value": null, "deleted": true, "origin": "eu-west-1"})
    );
    assert!(events.iter().all(|event| event.id.is_some()));
}

#[test]
fn what_another_region_changes_says_who_did() {
    let Two { eu, us, .. } = Two::new();
    let mut reader = Reader::open(eu.address, "", None);
    reader.events(1);
    us.post("/v1/ops", &json!({"op": "set", "kind": "lww_register", "path": "r", "value": null})).ok();
    assert_eq!(
        reader.events(2)[1].data,
        json!({"path": "r", "kind": "lww_register", "value": null, "deleted": false, "origin": "us-east-1"})
    );
}

#[test]
fn a_large_snapshot_comes_in_parts() {
    let server = Running::alone();
    let operations: Vec<Value> = (0..1_000).map(|number| add(&format!("p/{number:04}"), 1)).collect();
    server.post("/v1/ops", &Value::from(operations)).ok();
    let mut reader = Reader::open(server.address, "p/", None);
    reader.connection.until(&mut reader.come, |come| come.contains("\"last\":true"));
    let parts = events(&reader.come);
    let numbers: Vec<u64> = parts.iter().filter_map(|part| part.data["part"].as_u64()).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let paths: Vec<&str> = parts
        .iter()
        .flat_map(|part| part.data["objects"].as_array().expect("objects"))
        .filter_map(|object| object["path"].as_str())
        .collect();
    assert_eq!(paths.len(), 1_000);
    assert!(paths.is_sorted());
    // Whoever breaks off within a snapshot begins anew.
    assert_eq!(parts.iter().map(|part| part.id.is_some()).collect::<Vec<_>>(), [false, false, false, true]);
}

#[test]
fn whoever_comes_back_goes_on_where_it_was() {
    let server = Running::alone();
    server.post("/v1/ops", &add("a", 1)).ok();
    let mut reader = Reader::open(server.address, "", None);
    let first = reader.events(1).remove(0).id.expect("an id");
    drop(reader);
    for number in 0..5 {
        server.post("/v1/ops", &add(&format!("b/{number}"), 1)).ok();
    }
    let mut reader = Reader::open(server.address, "", Some(&first));
    let missed = reader.events(5);
    assert!(missed.iter().all(|event| event.name == "change"), "{missed:?}");
    let paths: Vec<&str> = missed.iter().filter_map(|event| event.data["path"].as_str()).collect();
    assert_eq!(paths, ["b/0", "b/1", "b/2", "b/3", "b/4"]);
    let third = missed[2].id.clone().expect("an id");
    let mut reader = Reader::open(server.address, "", Some(&third));
    assert_eq!(reader.events(2)[0].data["path"], "b/3");
    // An id that nobody knows, one of another prefix, or of another server: a snapshot.
    for last in ["", "x", "x.1", "99", &format!("{third}9")] {
        assert_eq!(Reader::open(server.address, "", Some(last)).events(1)[0].name, "snapshot", "{last}");
    }
    assert_eq!(Reader::open(server.address, "b/", Some(&third)).events(1)[0].name, "snapshot");
}

/// The server keeps some thousand changes for those who are slow. Whoever is slower is told, and sees what is there then.
#[test]
fn a_slow_reader_is_told_that_it_lags_and_gets_a_snapshot() {
    let server = Running::alone();
    let mut reader = Reader::open(server.address, "", None);
    reader.events(1);
    // Far more than the system holds of a connection, and the server of changes.
    let text = "x".repeat(60_000);
    for number in 0..400 {
        let set = json!({"op": "set", "kind": "lww_register", "path": format!("r/{}", number % 50), "value": format!("{number} {text}")});
        server.post("/v1/ops", &set).ok();
    }
    let events = reader.until("lagged");
    let at = events.iter().position(|event| event.name == "lagged").expect("it lags");
    reader.connection.until(&mut reader.come, |come| {
        let events = self::events(come);
        events.iter().skip(at).any(|event| event.data["last"] == true)
    });
    // What a reader holds who does as it is told is what is there.
    let mut held = std::collections::BTreeMap::new();
    for event in self::events(&reader.come) {
        let objects = match &*event.name {
            "snapshot" => {
                if event.data["part"] == 0 {
                    held.clear();
                }
                event.data["objects"].as_array().expect("objects").clone()
            }
            "change" => vec![event.data],
            _ => Vec::new(),
        };
        for object in objects {
            held.insert(object["path"].to_string(), object["value"].clone());
        }
    }
    let there = server.get("/v1/scan?limit=40").ok();
    for object in there["objects"].as_array().expect("objects") {
        assert_eq!(held[&object["path"].to_string()], object["value"]);
    }
    assert!(server.get("/metrics").text().contains("archipelago_watches_lagged_total 1\n"));
}

#[test]
fn a_watch_with_nothing_to_tell_says_that_it_is_there() {
    let mut options = options();
    options.limits.heartbeat = Duration::from_millis(50);
    let server = Running::start(builder("eu-west-1", &Moody::new()), options);
    let mut reader = Reader::open(server.address, "", None);
    reader.connection.until(&mut reader.come, |come| come.matches(": heartbeat").count() >= 3);
    assert_eq!(events(&reader.come).len(), 1);
}

#[test]
fn a_watch_ends_when_the_server_stops_or_its_replica_does() {
    let mut server = Running::alone();
    let mut reader = Reader::open(server.address, "", None);
    reader.events(1);
    server.tell_to_stop();
    assert_eq!(reader.until("closing").last().map(|event| &*event.name), Some("closing"));
    server.wait();

    let server = Running::alone();
    let mut reader = Reader::open(server.address, "", None);
    reader.events(1);
    server.runtime.block_on(server.replica.close()).expect("it closes");
    reader.until("closing");
}

/// A balancer wants its connections back: nothing is missed by whoever goes on.
#[test]
fn a_watch_that_has_lasted_long_enough_ends_and_goes_on() {
    let mut short = options();
    short.limits.watch = Some(Duration::from_millis(300));
    let server = Running::start(builder("eu-west-1", &Moody::new()), short);
    server.post("/v1/ops", &add("w/a", 1)).ok();
    let mut first = Reader::open(server.address, "w/", None);
    let seen = first.until("closing");
    assert_eq!(seen.iter().map(|event| &*event.name).collect::<Vec<_>>(), ["snapshot", "closing"]);
    first.connection.until(&mut first.come, |come| come.ends_with("0\r\n\r\n"));
    server.post("/v1/ops", &add("w/a", 1)).ok();
    let mut second = Reader::open(server.address, "w/", seen[0].id.as_deref());
    let seen = second.until("closing");
    assert_eq!((&*seen[0].name, &seen[0].data["value"]), ("change", &json!(2)));
    assert_eq!(seen.len(), 2);
}

#[test]
fn whoever_goes_away_is_forgotten() {
    let mut options = options();
    options.limits.heartbeat = Duration::from_millis(20);
    let server = Running::start(builder("eu-west-1", &Moody::new()), options);
    let readers: Vec<Reader> =
        (0..20).map(|number| Reader::open(server.address, &format!("p{number}"), None)).collect();
    assert_eq!(server.get("/v1/status").ok()["watches"], 20);
    drop(readers);
    until(|| server.get("/v1/status").ok()["watches"] == 0);
}

/// The largest batch there is reaches whoever watches, change by change.
#[test]
fn nothing_of_a_large_batch_is_missed() {
    let server = Running::alone();
    let mut reader = Reader::open(server.address, "", None);
    reader.until("snapshot");
    let add = |number: usize| json!({"op": "add", "kind": "pn_counter", "path": format!("o/{number}"), "by": 1});
    server.post("/v1/ops", &(0..10_000).map(add).collect::<Value>()).ok();
    let events = reader.events(10_001);
    assert!(events[1..].iter().all(|event| event.name == "change" && event.data["value"] == 1), "it lags");
    let paths: std::collections::BTreeSet<_> = events[1..].iter().map(|event| event.data["path"].to_string()).collect();
    assert_eq!(paths.len(), 10_000);
}

/// Each prefix that is watched costs something with every change, so there are only so many. One that is watched takes more.
#[test]
fn too_many_prefixes_are_refused() {
    let server = Running::alone();
    for number in 0..1_024 {
        // They are let go at once: what is watched is kept for a minute, for whoever comes back.
        Reader::open(server.address, &format!("p{number}/"), None);
    }
    let refused = server.get("/v1/watch?prefix=another/");
    assert_eq!(refused.problem(503), "too_many_watches");
    assert_eq!(refused.header("retry-after"), Some("10"));
    Reader::open(server.address, "p7/", None).until("snapshot");
    assert!(server.get("/metrics").text().contains("archipelago_watched_prefixes 1024\n"));
}
