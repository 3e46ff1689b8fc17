//! The metrics are OpenMetrics, and say what happened.

use std::collections::{BTreeMap, BTreeSet};

use replica::ErrorKind;
use serde_json::json;

use crate::{
    bucket::Mood,
    running::{Running, Two, until},
};

/// The samples of a text, by name and labels; the text is held against the grammar of OpenMetrics on the way.
#[track_caller]
fn samples(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("it ends");
    let (mut family, mut of, mut met) = (String::new(), String::new(), BTreeSet::new());
    let mut found = BTreeMap::new();
    for line in body.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        if words[0] == "#" {
            match words[1] {
                "TYPE" => {
                    (family, of) = (words[2].to_owned(), words[3].to_owned());
                    assert!(met.insert(family.clone()), "{family} stands in two places");
                    assert!(["gauge", "counter", "histogram", "info"].contains(&&*of), "{line}");
                }
                "HELP" => assert!(words[2] == family && !words[3].is_empty(), "{line}"),
                "UNIT" => assert!(words[2] == family && family.ends_with(&format!("_{}", words[3])), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let bare = name.split('{').next().unwrap_or_default();
        let suffixes: &[&str] = match &*of {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            _ => &[""],
        };
        assert!(suffixes.iter().any(|suffix| bare == format!("{family}{suffix}")), "{line} is in {family}");
        assert!(found.insert(name.to_owned(), value.parse().expect("a number")).is_none(), "{name} stands twice");
    }
    found
}

#[test]
fn metrics_are_well_formed_and_count_what_happened() {
    let Two { eu, us, .. } = Two::new();
    us.post("/v1/ops?durable=true", &json!({"op": "add", "kind": "pn_counter", "path": "secret/path", "by": 1})).ok();
    until(|| eu.get("/v1/objects/secret/path").status == 200);
    eu.get("/v1/objects/nothing");
    let answer = eu.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let samples = samples(answer.text());
    let is =
        |name: &str| *samples.get(&format!("archipelago_{name}")).unwrap_or_else(|| panic!("{name}: {samples:#?}"));
    assert_eq!(is("objects"), 1.0);
    assert_eq!(is("peer_state{peer=\"us-east-1\"}"), 0.0);
    assert_eq!(is("sync_lag_seconds{peer=\"us-east-1\"}"), 0.0);
    let gets = "region=\"us-east-1\",op=\"get\"";
    let ok = is(&format!("store_requests_total{{{gets},outcome=\"ok\"}}"));
    assert!(ok > 0.0);
    // The two are written one after the other.
    assert!(is(&format!("store_request_seconds_count{{{gets}}}")) >= ok);
    assert_eq!(is("store_requests_total{region=\"us-east-1\",op=\"create\",outcome=\"refused\"}"), 0.0);
    assert!(is("http_requests_total{route=\"/v1/objects/{path}\",status=\"2xx\"}") >= 1.0);
    assert!(is("http_requests_total{route=\"/v1/objects/{path}\",status=\"4xx\"}") >= 1.0);
    let (count, all) = (
        is("http_request_seconds_count{route=\"/v1/objects/{path}\"}"),
        is("http_request_seconds_bucket{route=\"/v1/objects/{path}\",le=\"+Inf\"}"),
    );
    assert_eq!(count, all);
    let delays = is("apply_delay_seconds_count{peer=\"us-east-1\"}");
    assert!(delays >= 1.0);
    assert_eq!(is("apply_delay_seconds_bucket{peer=\"us-east-1\",le=\"900.0\"}"), delays);
    assert!(is("apply_delay_seconds_sum{peer=\"us-east-1\"}") < 60.0);
    assert_eq!(["gc_deleted_total", "orphans", "clock_refusals_total", "fenced_total"].map(is), [0.0; 4]);
    assert!(is("hlc_skew_seconds") < 60.0);
    assert_eq!(is("duplicates_total{source=\"segment\"}"), 0.0);
    let ambiguous =
        |resolution| is(&format!("store_ambiguous_puts_total{{region=\"eu-west-1\",resolution=\"{resolution}\"}}"));
    assert_eq!(["created", "exists", "given_up"].map(ambiguous), [0.0; 3]);
    // Of these there is nothing: no queue is asked, and nothing is damaged.
    for family in ["dlq_messages", "queue_oldest_age_seconds", "quarantined_objects"] {
        assert!(answer.text().contains(&format!("# TYPE archipelago_{family} ")), "{family}");
    }
    assert!(is("gc_unacknowledged_segments{peer=\"us-east-1\"}") <= 1.0);
    // What is kept is nobody's business who looks after processes.
    assert!(!answer.text().contains("secret"));
}

/// A conflict is counted where it is met, and stands until it is resolved.
#[test]
fn conflicts_are_counted() {
    let Two { ours, theirs, eu, us } = Two::new();
    // Nothing passes while both write.
    [&ours, &theirs].into_iter().for_each(|bucket| bucket.set(Mood::Away));
    for (at, value) in [(&eu, "ours"), (&us, "theirs")] {
        at.post("/v1/ops", &json!({"op": "set", "kind": "lww_register", "path": "motto", "value": value})).ok();
    }
    [&ours, &theirs].into_iter().for_each(|bucket| bucket.set(Mood::Well));
    let counted = |at: &Running| {
        let samples = samples(at.get("/metrics").text());
        ["conflicted_objects", "conflicts_total"].map(|name| {
            let of = |of: &str| samples[&format!("archipelago_{name}{{type=\"{of}\"}}")];
            assert_eq!(of("mv_register"), 0.0);
            of("lww_register")
        })
    };
    [&eu, &us].into_iter().for_each(|at| until(|| counted(at) == [1.0, 1.0]));
    let conflict = eu.get("/v1/conflicts").ok()["conflicts"][0].clone();
    let keep = json!({"path": "motto", "kind": "lww_register", "keep": conflict["writes"][0]["id"]});
    eu.post("/v1/conflicts/resolve", &keep).ok();
    [&eu, &us].into_iter().for_each(|at| until(|| counted(at) == [0.0, 1.0]));
}

/// The kinds of alarms that the rules ask for.
const KINDS: [ErrorKind; 4] = [ErrorKind::Corrupt, ErrorKind::LostHistory, ErrorKind::Unsupported, ErrorKind::Store];

/// Each alarm rests on metrics that are there.
#[test]
fn the_rules_for_alarms_name_what_is_there() {
    let Two { eu, us, .. } = Two::new();
    us.post("/v1/ops?durable=true", &json!({"op": "add", "kind": "pn_counter", "path": "a"})).ok();
    until(|| eu.get("/v1/objects/a").status == 200);
    let text = eu.get("/metrics").text().to_owned();
    let found = samples(&text);
    let is_there = |name: &str| found.keys().any(|sample| sample.split('{').next() == Some(name));
    // Of these there is nothing while all is well.
    let is_told = |name: &str| text.contains(&format!("# TYPE {} ", name.trim_end_matches("_total")));
    let rules = include_str!("../../../docs/alerts.yml");
    let told: Vec<&str> = rules.lines().filter(|line| !line.starts_with('#')).collect();
    let mut named = BTreeSet::new();
    for line in told {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("archipelago_")) {
            assert!(is_there(name) || is_told(name), "{line}");
            named.insert(name);
        }
        // What is asked of a label must be something that it can be.
        let after = |label: &str| line.split_once(label).and_then(|(_, after)| after.split('"').next());
        for kind in after("kind=~\"").or(after("kind=\"")).into_iter().flat_map(|kinds| kinds.split('|')) {
            assert!(KINDS.iter().any(|known| known.name() == kind), "{line}");
        }
        for label in line.split("$labels.").skip(1).filter_map(|after| after.split(' ').next()) {
            assert!(["kind", "peer", "by", "region", "type", "queue"].contains(&label), "{line}");
            let is_label = found.keys().any(|sample| sample.contains(&format!("{label}=\"")));
            assert!(is_label || ["kind", "queue"].contains(&label), "{line}");
        }
    }
    assert!(named.len() >= 12, "{named:?}");
    let count = |what: &str| rules.matches(what).count();
    assert!(["expr: ", "severity: ", "summary: ", "do: "].iter().all(|field| count(field) == count("- alert: ")));
}

/// Each panel rests on metrics that are there, too.
#[test]
fn the_dashboard_names_what_is_there() {
    let dashboard: serde_json::Value = serde_json::from_str(include_str!("../../../docs/grafana.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let asked: Vec<&str> = targets.map(|target| target["expr"].as_str().expect("a query")).collect();
    assert!(asked.len() >= 10, "{asked:?}");
    let server = Running::alone();
    let text = server.get("/metrics").text().to_owned();
    for query in asked {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> = words.filter(|word| word.starts_with("archipelago_")).collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            let family = ["_total", "_bucket"].iter().fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
            assert!(text.contains(&format!("# TYPE {family} ")), "{query}");
        }
    }
}

/// However much is kept and asked for, the metrics are as many.
#[test]
fn the_number_of_metrics_does_not_grow_with_the_data() {
    let server = Running::alone();
    let count = || {
        server.get("/v1/objects/a");
        server.get("/metrics");
        samples(server.get("/metrics").text()).len()
    };
    server.post("/v1/ops", &json!({"op": "add", "kind": "or_set", "path": "a", "value": 1})).ok();
    let before = count();
    for number in 0..100 {
        server.post("/v1/ops", &json!({"op": "add", "kind": "or_set", "path": format!("a{number}"), "value": 1})).ok();
        server.get(&format!("/v1/objects/a{number}"));
    }
    assert_eq!(count(), before);
}
