//! What each request answers.

use serde_json::{Value, json};

use crate::{
    bucket::{Mood, Moody},
    client::ask,
    running::{Running, Two, builder, options, until},
};

fn add(path: &str, by: i64) -> Value {
    json!({"op": "add", "kind": "pn_counter", "path": path, "by": by})
}

#[test]
fn every_kind_is_written_and_read() {
    let server = Running::alone();
    let written = server.post(
        "/v1/ops",
        &json!([
            {"op": "add", "kind": "g_counter", "path": "views", "by": 3},
            add("likes", -2),
            {"op": "set", "kind": "lww_register", "path": "name", "value": {"first": "Ada", "age": null}},
            {"op": "set", "kind": "mv_register", "path": "title", "value": "Draft"},
            {"op": "add", "kind": "or_set", "path": "cart", "value": "lamp"},
            {"op": "add", "kind": "or_set", "path": "cart", "value": 7},
        ]),
    );
    assert_eq!(written.ok()["applied"], 6);
    for (path, kind, value) in [
        ("views", "g_counter", json!(3)),
        ("likes", "pn_counter", json!(-2)),
        ("name", "lww_register", json!({"first": "Ada", "age": null})),
        ("title", "mv_register", json!(["Draft"])),
        ("cart", "or_set", json!([7, "lamp"])),
    ] {
        let found = server.get(&format!("/v1/objects/{path}")).ok();
        assert_eq!(found["path"], path);
        assert_eq!(found["values"], json!([{"kind": kind, "value": value}]));
        assert!(found["token"].as_str().is_some_and(|token| token.len() >= 10), "{found}");
        assert_eq!(server.get(&format!("/v1/objects/{path}?kind={kind}")).ok()["values"], found["values"]);
    }
    assert_eq!(server.get("/v1/objects/views?kind=or_set").problem(404), "missing");
    assert_eq!(server.get("/v1/objects/nothing").problem(404), "missing");
    assert_eq!(server.get("/v1/objects/views?kind=heap").problem(400), "invalid");
}

#[test]
fn one_operation_an_array_and_lines_do_the_same() {
    let server = Running::alone();
    let line = add("a", 1).to_string();
    let post = |content_type: &str, body: &str| {
        ask(server.address, "POST", "/v1/ops", &[("Content-Type", content_type)], body.as_bytes()).ok()["applied"]
            .clone()
    };
    assert_eq!(post("application/json", &line), 1);
    assert_eq!(post("application/json", &format!("[{line},\n{line}]")), 2);
    assert_eq!(post("application/x-ndjson", &format!("{line}\n\n{line}\r\n{line}")), 3);
    assert_eq!(server.value("a"), 6);
}

/// One line that is wrong, or one change that is refused, and none of them is made.
#[test]
fn a_request_is_done_as_a_whole_or_not_at_all() {
    let server = Running::alone();
    server.post("/v1/ops", &json!({"op": "add", "kind": "or_set", "path": "taken", "value": 1})).ok();
    assert_eq!(server.post("/v1/ops", &json!([add("a", 1), add("taken", 1)])).problem(409), "kind_mismatch");
    assert_eq!(server.post("/v1/ops", &json!([add("a", 1), {"op": "jump"}])).problem(400), "invalid");
    let lines = format!("{}\n{{\"op\":\"delete\"}}\n", add("a", 1));
    let headers = [("Content-Type", "application/x-ndjson")];
    let refused = ask(server.address, "POST", "/v1/ops", &headers, lines.as_bytes());
    assert_eq!(refused.problem(400), "invalid");
    assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.starts_with("line 2, column")));
    assert_eq!(server.get("/v1/objects/a").problem(404), "missing");
}

#[test]
fn durability_is_told_as_it_is() {
    let bucket = Moody::new();
    let server = Running::start(builder("eu-west-1", &bucket), options());
    let written = server.post("/v1/ops", &add("a", 1)).ok();
    assert_eq!(written["durable"], false);
    assert!(written["in_memory_until"].as_str().is_some_and(|until| until.ends_with('Z')), "{written}");
    let written = server.post("/v1/ops?durable=true", &add("a", 1)).ok();
    assert_eq!((&written["durable"], &written["in_memory_until"]), (&json!(true), &Value::Null));
    assert_eq!(server.replica.status().durable.to_string(), written["position"]);
    // What changes nothing is durable already.
    let nothing = json!({"op": "remove", "kind": "or_set", "path": "s", "value": 1});
    until(|| server.replica.status().pending_bytes == 0);
    assert_eq!(server.post("/v1/ops", &nothing).ok()["durable"], true);
    assert_eq!(server.post("/v1/ops?durable=yes", &add("a", 1)).problem(400), "invalid");
}

#[test]
fn a_deletion_is_of_one_kind_or_of_all_and_undoes_what_was_seen() {
    let server = Running::alone();
    server.post("/v1/ops", &json!([add("a", 5), add("a/b", 1)])).ok();
    assert_eq!(server.delete("/v1/objects/a?kind=or_set").problem(404), "missing");
    assert_eq!(server.delete("/v1/objects/a?kind=pn_counter&durable=true").ok()["durable"], true);
    assert_eq!(server.get("/v1/objects/a").problem(404), "missing");
    assert_eq!(server.delete("/v1/objects/a").problem(404), "missing");
    assert_eq!(server.value("a/b"), 1);
    server.post("/v1/ops", &add("a", 2)).ok();
    assert_eq!(server.value("a"), 2);
}

#[test]
fn pages_join_without_gap_or_overlap() {
    let server = Running::alone();
    let operations: Vec<Value> = (0..250).map(|number| add(&format!("p/{number:03}"), number + 1)).collect();
    server.post("/v1/ops", &Value::from(operations)).ok();
    server
        .post("/v1/ops", &json!([add("other", 1), {"op": "add", "kind": "or_set", "path": "p/x y&z", "value": 1}]))
        .ok();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/scan?prefix=p/&limit=100{after}")).ok();
        for object in page["objects"].as_array().expect("objects") {
            seen.push(object["path"].as_str().expect("a path").to_owned());
        }
        let Some(next) = page["next"].as_object() else { break };
        let path = next["after"].as_str().expect("a path");
        after = format!("&after={path}&after_kind={}", next["after_kind"].as_str().expect("a kind"));
    }
    let mut expected: Vec<String> = (0..250).map(|number| format!("p/{number:03}")).collect();
    expected.push("p/x y&z".to_owned());
    assert_eq!(seen, expected);
    assert_eq!(server.get("/v1/scan?prefix=p/x+y%26").ok()["objects"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get("/v1/scan?prefix=q").ok()["objects"], json!([]));
    for wrong in ["limit=0", "limit=1001", "prefix=%00", "after_kind=or_set", "after=", "offset=3", "limit=1&limit=2"] {
        assert_eq!(server.get(&format!("/v1/scan?{wrong}")).problem(400), "invalid", "{wrong}");
    }
}

/// A page ends long before it would fill the memory of whoever reads it.
#[test]
fn a_page_of_large_values_is_short() {
    let server = Running::alone();
    for number in 0..8 {
        let value = "x".repeat(1 << 20);
        let operation = json!({"op": "set", "kind": "lww_register", "path": format!("r/{number}"), "value": value});
        server.post("/v1/ops", &operation).ok();
    }
    let page = server.get("/v1/scan?prefix=r/").ok();
    assert_eq!(page["objects"].as_array().map(Vec::len), Some(4));
    assert_eq!(page["next"]["after"], "r/3");
}

#[test]
fn counters_stand_in_their_order() {
    let server = Running::alone();
    server.post("/v1/ops", &json!([add("s/a", 3), add("s/b", 9), add("s/c", -4), add("t/d", 100)])).ok();
    let top = server.get("/v1/top?prefix=s/&n=2").ok();
    assert_eq!(top["counters"][0], json!({"rank": 1, "path": "s/b", "kind": "pn_counter", "value": 9}));
    assert_eq!((&top["counters"][1]["path"], &top["of"], &top["sum"]), (&json!("s/a"), &json!(3), &json!(8)));
    server.post("/v1/ops", &add("s/c", 50)).ok();
    assert_eq!(server.get("/v1/top?prefix=s/&n=1").ok()["counters"][0]["path"], "s/c");
    assert_eq!(server.get("/v1/top?n=1").ok()["counters"][0]["path"], "t/d");
    let rank = server.get("/v1/rank?prefix=s/&path=s/a").ok();
    assert_eq!((&rank["rank"], &rank["of"], &rank["value"]), (&json!(3), &json!(3), &json!(3)));
    assert_eq!(server.get("/v1/rank?prefix=s/&path=t/d").problem(404), "missing");
    assert_eq!(server.get("/v1/rank?prefix=s/").problem(400), "invalid");
    // More prefixes than are kept.
    for number in 0..40 {
        assert_eq!(server.get(&format!("/v1/top?prefix=u/{number}")).ok()["of"], 0);
    }
    assert_eq!(server.get("/v1/top?prefix=s/&n=1").ok()["counters"][0]["path"], "s/c");
}

/// A whole number is told as it is, however large: no reader that can take it is given another one.
#[test]
fn a_large_count_is_exact() {
    let server = Running::alone();
    for _ in 0..2 {
        let add = json!({"op": "add", "kind": "g_counter", "path": "g", "by": i64::MAX});
        server.post("/v1/ops", &add).ok();
    }
    let answer = server.get("/v1/objects/g");
    assert!(answer.text().contains("\"value\":18446744073709551614"), "{}", answer.text());
    let more = json!({"op": "add", "kind": "g_counter", "path": "g", "by": i64::MAX});
    assert_eq!(server.post("/v1/ops", &more).problem(400), "invalid");
}

fn a_conflict_is_resolved(kind: &str, shown: impl Fn(&Value) -> Value) {
    let two = Two::new();
    let (eu, us) = (&two.eu, &two.us);
    let conflict = two.dispute(kind, "one");
    assert_eq!((&conflict["path"], &conflict["kind"]), (&json!("one"), &json!(kind)));
    let writes = conflict["writes"].as_array().expect("writes").clone();
    let replicas: std::collections::BTreeSet<&str> =
        writes.iter().filter_map(|write| write["replica"].as_str()).collect();
    assert_eq!(replicas.into_iter().collect::<Vec<_>>(), ["eu-west-1", "us-east-1"]);
    assert!(writes.iter().all(|write| write["region"] == write["replica"]), "each region has one replica: {conflict}");
    // The other one is kept, by the region that did not write it.
    let ids: Vec<&Value> = writes.iter().map(|write| &write["id"]).collect();
    let keep = json!({"path": "one", "kind": kind, "keep": ids[1], "seen": ids});
    assert_eq!(eu.post("/v1/conflicts/resolve?durable=true", &keep).ok()["durable"], true);
    assert_eq!(eu.value("one"), shown(&writes[1]["value"]));
    until(|| us.value("one") == shown(&writes[1]["value"]));
    until(|| us.get("/v1/conflicts").ok()["conflicts"] == json!([]));
    assert_eq!(eu.post("/v1/conflicts/resolve", &keep).problem(409), "conflict_changed");

    // Nothing is decided for somebody who has not seen all of it.
    let conflict = two.dispute(kind, "two");
    let one = &conflict["writes"][0]["id"];
    let unseen = json!({"path": "two", "kind": kind, "value": "both", "seen": [one]});
    assert_eq!(eu.post("/v1/conflicts/resolve", &unseen).problem(409), "conflict_changed");
    let neither = json!({"path": "two", "kind": kind});
    assert_eq!(eu.post("/v1/conflicts/resolve", &neither).problem(400), "invalid");
    let both = json!({"path": "two", "kind": kind, "keep": one, "value": 1});
    assert_eq!(eu.post("/v1/conflicts/resolve", &both).problem(400), "invalid");
    let another = if kind == "mv_register" { "lww_register" } else { "mv_register" };
    let other = json!({"path": "two", "kind": another, "value": 1});
    assert_eq!(eu.post("/v1/conflicts/resolve", &other).problem(409), "conflict_changed");
    let merged = json!({"path": "two", "kind": kind, "value": {"of": ["ours", "theirs"]}});
    eu.post("/v1/conflicts/resolve", &merged).ok();
    assert_eq!(eu.value("two"), shown(&json!({"of": ["ours", "theirs"]})));
    until(|| us.value("two") == shown(&json!({"of": ["ours", "theirs"]})));

    // To write `null` is to write something.
    two.dispute(kind, "three");
    eu.post("/v1/conflicts/resolve", &json!({"path": "three", "kind": kind, "value": null})).ok();
    until(|| us.value("three") == shown(&Value::Null));
}

/// Somebody decides, and until then the latest is read.
#[test]
fn a_conflict_of_last_writers_is_listed_and_resolved() {
    a_conflict_is_resolved("lww_register", Clone::clone);
    let two = Two::new();
    let conflict = two.dispute("lww_register", "one");
    assert_eq!(two.eu.value("one"), conflict["writes"][0]["value"]);
}

/// Somebody decides, and until then all are read.
#[test]
fn a_conflict_of_many_values_is_listed_and_resolved() {
    a_conflict_is_resolved("mv_register", |value| json!([value]));
    let two = Two::new();
    two.dispute("mv_register", "one");
    assert_eq!(two.eu.value("one").as_array().map(Vec::len), Some(2));
}

#[test]
fn pages_of_conflicts_join_without_gap_or_overlap() {
    let two = Two::new();
    let paths = ["p/1", "p/2", "p/3", "p/4", "p/5", "q"];
    for path in paths {
        two.dispute("mv_register", path);
    }
    let (mut seen, mut behind) = (Vec::new(), String::new());
    loop {
        let page = two.eu.get(&format!("/v1/conflicts?prefix=p/&limit=2{behind}")).ok();
        let conflicts = page["conflicts"].as_array().expect("conflicts");
        assert!((1..=2).contains(&conflicts.len()), "{page}");
        seen.extend(conflicts.iter().filter_map(|conflict| conflict["path"].as_str()).map(str::to_owned));
        let Some(next) = page["next"].as_object() else { break };
        behind = format!(
            "&after={}&after_kind={}",
            next["after"].as_str().expect("a path"),
            next["after_kind"].as_str().expect("a kind")
        );
    }
    assert_eq!(seen, paths[..5]);
}

/// Two regions have made objects of different kinds at one path while apart: both are there, and each can be asked for by its kind.
#[test]
fn several_kinds_at_one_path_are_told_apart() {
    let two = Two::new();
    let (eu, us) = (&two.eu, &two.us);
    two.apart(|eu, us| {
        eu.post("/v1/ops", &add("both", 5)).ok();
        us.post("/v1/ops", &json!({"op": "add", "kind": "or_set", "path": "both", "value": "x"})).ok();
    });
    let values = json!([{"kind": "pn_counter", "value": 5}, {"kind": "or_set", "value": ["x"]}]);
    for at in [eu, us] {
        until(|| at.get("/v1/objects/both").ok()["values"] == values);
        assert_eq!(at.get("/v1/objects/both?kind=or_set").ok()["values"], json!([values[1]]));
        assert_eq!(at.get("/v1/objects/both?kind=g_counter").problem(404), "missing");
        // A page may end between them.
        let first = at.get("/v1/scan?limit=1").ok();
        assert_eq!(
            (&first["objects"][0]["kind"], &first["next"]["after_kind"]),
            (&json!("pn_counter"), &json!("pn_counter"))
        );
        let second = at.get("/v1/scan?limit=1&after=both&after_kind=pn_counter").ok();
        assert_eq!((&second["objects"][0]["kind"], &second["next"]), (&json!("or_set"), &Value::Null));
    }
    // One is deleted and not the other; and what somebody else has done to it meanwhile stays.
    two.apart(|eu, us| {
        eu.delete("/v1/objects/both?kind=or_set").ok();
        us.post("/v1/ops", &json!({"op": "add", "kind": "or_set", "path": "both", "value": "y"})).ok();
    });
    let values = json!([{"kind": "pn_counter", "value": 5}, {"kind": "or_set", "value": ["y"]}]);
    [eu, us].into_iter().for_each(|at| until(|| at.get("/v1/objects/both").ok()["values"] == values));
    eu.delete("/v1/objects/both").ok();
    [eu, us].into_iter().for_each(|at| until(|| at.get("/v1/objects/both").status == 404));
}

/// Each server has the whole matrix: its own column, and what the others have told.
#[test]
fn the_status_has_every_pair() {
    let regions = ["ap-southeast-1", "eu-west-1", "us-east-1"];
    let buckets = regions.map(|_| Moody::new());
    let servers: Vec<Running> = (0..3)
        .map(|own| {
            let others = (0..3).filter(|other| *other != own);
            let replica = others.fold(builder(regions[own], &buckets[own]), |replica, other| {
                replica.peer(regions[other], buckets[other].clone())
            });
            Running::start(replica, options())
        })
        .collect();
    let [ap, eu, us] = &servers[..] else { panic!("three") };
    let pair = |at: &Running, from: &str, to: &str| {
        let pairs = at.get("/v1/status").ok()["pairs"].as_array().expect("pairs").clone();
        pairs.into_iter().find(|pair| pair["from"] == from && pair["to"] == to).unwrap_or_default()
    };
    let write = |at: &Running| at.post("/v1/ops?durable=true", &add("a", 1)).ok();
    let all = || {
        servers.iter().for_each(|at| _ = write(at));
        let known = |at: &Running| {
            at.get("/v1/status").ok()["pairs"].as_array().is_some_and(|pairs| {
                pairs.len() == 6
                    && pairs.iter().all(|pair| !pair["applied"].is_null() && pair["told_seconds"].is_number())
            })
        };
        servers.iter().all(known)
    };
    until(all);
    // One tells how far it has read when it writes, and not before.
    let lacks = || pair(ap, regions[2], regions[1])["segments"].clone();
    let tells_all = || {
        write(eu);
        lacks() == 0
    };
    until(tells_all);
    write(us);
    until(|| lacks().as_u64() > Some(0));
    until(|| pair(eu, regions[2], regions[1])["segments"] == 0);
    assert_ne!(lacks(), 0, "it has read all, and has not said so");
    until(tells_all);
    // Who is evicted is in it no more.
    ap.post("/v1/evict", &json!({"replica": regions[2]})).ok();
    until(|| ap.get("/v1/status").ok()["pairs"].as_array().map(Vec::len) == Some(2));
}

#[test]
fn a_token_of_one_region_is_waited_for_in_another() {
    let Two { ours, eu, us, .. } = Two::new();
    let read = |server: &Running, token: &Value| {
        let token = token.as_str().expect("a token");
        ask(server.address, "GET", "/v1/objects/a", &[("X-Archipelago-Frontier", token)], b"")
    };
    for by in 1..=10 {
        // Not even durable: it will be.
        let written = eu.post("/v1/ops", &add("a", 1)).ok();
        assert_eq!(read(&us, &written["token"]).ok()["values"][0]["value"], by);
        // Where it was written it is read at once.
        assert_eq!(read(&eu, &written["token"]).ok()["values"][0]["value"], by);
    }
    ours.set(Mood::Away);
    let written = eu.post("/v1/ops", &add("a", 1)).ok();
    assert_eq!(read(&eu, &written["token"]).ok()["values"][0]["value"], 11);
    let waited = read(&us, &written["token"]);
    assert_eq!(waited.problem(503), "behind");
    assert_eq!(waited.header("retry-after"), Some("1"));
    assert_eq!(us.value("a"), 10);
    let token = [("X-Archipelago-Frontier", written["token"].as_str().expect("a token"))];
    for target in ["/v1/scan", "/v1/top?prefix=", "/v1/rank?prefix=&path=a", "/v1/conflicts", "/v1/watch"] {
        assert_eq!(ask(us.address, "GET", target, &token, b"").problem(503), "behind", "{target}");
    }
    ours.set(Mood::Well);
    until(|| read(&us, &written["token"]).status == 200);
    for wrong in ["", "x", "00", &format!("{}0", written["token"].as_str().expect("a token"))] {
        assert_eq!(read(&us, &json!(wrong)).problem(400), "invalid", "{wrong}");
    }
}

#[test]
fn the_status_tells_of_peers_buckets_and_readiness() {
    let Two { eu, us, .. } = Two::new();
    us.post("/v1/ops?durable=true", &add("a", 1)).ok();
    until(|| eu.get("/v1/status").ok()["peers"][0]["state"] == "in_sync");
    let status = eu.get("/v1/status").ok();
    assert_eq!((&status["region"], &status["replica"]), (&json!("eu-west-1"), &json!("eu-west-1")));
    assert_eq!(status["peers"][0]["replica"], "us-east-1");
    // Of the two columns of the matrix one is its own, and the other is what that replica has told.
    let pair = |from: &str, to: &str| {
        let pairs = status["pairs"].as_array().expect("pairs");
        assert_eq!(pairs.len(), 2, "{status}");
        pairs.iter().find(|pair| pair["from"] == from && pair["to"] == to).expect("a pair").clone()
    };
    let own = pair("us-east-1", "eu-west-1");
    assert_eq!(
        (&own["applied"], &own["segments"], &own["told_seconds"]),
        (&status["peers"][0]["applied"], &json!(0), &json!(0.0))
    );
    let theirs = pair("eu-west-1", "us-east-1");
    assert!(theirs["told_seconds"].as_f64().is_some_and(|told| told < 60.0), "{theirs}");
    assert_eq!(status["buckets"][0]["region"], "eu-west-1");
    assert!(status["buckets"][1]["gets"].as_u64() > Some(0), "{status}");
    assert!(status["cost_dollars"].as_f64() > Some(0.0), "{status}");
    until(|| eu.get("/readyz").status == 200);
    assert_eq!(eu.get("/readyz").ok(), json!({"ready": true, "not_ready": []}));
    assert_eq!(eu.get("/healthz").ok(), json!({"alive": true}));
    assert_eq!(eu.get("/v1/status").ok()["not_ready"], json!([]));
    assert_eq!(eu.get("/v1/status?x=1").problem(400), "invalid");
}

#[test]
fn a_replica_that_is_gone_is_evicted() {
    let Two { eu, us, .. } = Two::new();
    us.post("/v1/ops?durable=true", &add("a", 1)).ok();
    until(|| eu.get("/v1/objects/a").status == 200);
    us.close();
    for wrong in
        [json!({"replica": "nobody"}), json!({"replica": "us-east-1", "at": "x"}), json!({"replica": "EU"}), json!({})]
    {
        assert_eq!(eu.post("/v1/evict", &wrong).problem(400), "invalid", "{wrong}");
    }
    let evicted = eu.post("/v1/evict", &json!({"replica": "us-east-1"})).ok();
    assert_eq!((&evicted["replica"], &evicted["sealed"]), (&json!("us-east-1"), &json!(true)));
    assert_eq!(eu.get("/v1/status").ok()["peers"][0]["state"], "evicted");
}
