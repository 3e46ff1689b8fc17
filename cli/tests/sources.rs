//! `apply --resume`: a source is done once, whoever begins it and however often.

mod support;

use serde_json::json;
use support::*;

const LINE: &[u8] = b"{\"op\":\"add\",\"kind\":\"pn_counter\",\"path\":\"goals\"}\n";

/// What is said of a source that another replica has begun is what can be done, and where it says so nothing else is done.
#[test]
fn a_source_goes_on_where_it_was_begun_and_nowhere_else() {
    let folder = configured();
    let folder = folder.path();
    assert!(applied(folder, &["--resume", "s"], LINE).status.success());
    let output = applied(folder, &["--region", "eu-west-1", "--resume", "s"], LINE);
    let says = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{says}");
    assert!(says.contains("go on there: `--region us-east-1 --replica us-east-1-cli`"), "{says}");
    assert!(!says.contains("evict"), "{says}");

    // In the wrong region that name would be a second log.
    let wrong = ["--region", "eu-west-1", "--replica", "us-east-1-cli", "--resume", "s"];
    let output = applied(folder, &wrong, LINE);
    let says = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{says}");
    assert!(says.contains("in another region's bucket") && says.contains("region=us-east-1"), "{says}");
    assert_eq!(log_len(folder, "eu-west-1", "us-east-1-cli"), 0);

    let right = ["--region", "us-east-1", "--replica", "us-east-1-cli", "--resume", "s"];
    let summary = summary(&applied(folder, &right, &LINE.repeat(2)).stdout);
    assert_eq!((&summary["applied"], &summary["skipped"]), (&json!(1), &json!(1)));
    assert_eq!(value(folder, "eu-west-1", "goals"), json!(2));
}

/// Both may withdraw, and the source is free then; never do both go on.
#[test]
fn of_two_that_begin_a_source_at_once_at_most_one_does() {
    let (mut refused, mut both) = (0, 0);
    for round in 0..30 {
        let folder = configured();
        let folder = folder.path();
        std::fs::write(folder.join("goals.ndjson"), LINE.repeat(100)).expect("it is written");
        let start = |region: &str| {
            Running::start(folder, region, &["--region", region, "apply", "goals.ndjson", "--resume", "s"])
        };
        let mut running = [start("us-east-1"), start("eu-west-1")];
        let codes = running.each_mut().map(|running| running.end().expect("it is not killed"));
        for (running, code) in running.iter().zip(codes) {
            let says = running.complained();
            assert!(code == 0 || code == 1 && says.contains("by the replica"), "{round}: {code} {says}");
        }
        refused += codes.iter().filter(|code| **code == 1).count();
        assert_ne!(codes, [0, 0], "{round}");
        if codes == [1, 1] {
            both += 1;
            assert_eq!(fails(folder, &["get", "goals"]).0, 3);
            let output = run(folder, &["apply", "goals.ndjson", "--resume", "s"]);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        assert_eq!(value(folder, "ap-southeast-1", "goals"), json!(100), "{round}: {codes:?}");
    }
    assert!(refused >= 30, "{refused} {both}");
}

/// What `delete` removes is all that there is, also what other regions wrote before.
#[test]
fn what_is_applied_knows_what_other_regions_have_written() {
    let folder = configured();
    let folder = folder.path();
    let add = |kind: &str| format!("{{\"op\":\"add\",\"kind\":\"{kind}\",\"path\":\"{kind}\",\"value\":1}}\n");
    let lines = [add("or_set"), add("or_set").replace("\"path\":\"or_set\"", "\"path\":\"removed\"")].concat();
    let us = "{\"op\":\"delete\",\"path\":\"nothing\"}\n";
    assert!(applied(folder, &[], us.as_bytes()).status.success());
    assert!(applied(folder, &["--region", "eu-west-1"], lines.as_bytes()).status.success());
    let undone = "{\"op\":\"delete\",\"path\":\"or_set\"}\n{\"op\":\"remove\",\"kind\":\"or_set\",\"path\":\"removed\",\"value\":1}\n";
    assert!(applied(folder, &[], undone.as_bytes()).status.success());
    for path in ["or_set", "removed"] {
        assert_eq!(fails(folder, &["--region", "eu-west-1", "get", path]).0, 3, "{path}");
    }
}
