//! `apply` when something is wrong, or it is stopped: what is durable stays, and nothing is done twice.

mod support;

use std::path::Path;

use serde_json::json;
use support::*;

const GOOD: &str = r#"{"op":"add","kind":"pn_counter","path":"before"}"#;
const LATER: &str = r#"{"op":"add","kind":"pn_counter","path":"behind"}"#;

/// Lines that are wrong, the column of what is wrong, and why.
fn wrong_lines() -> Vec<(Vec<u8>, usize, &'static str)> {
    let line = |text: &str| text.as_bytes().to_vec();
    let counts = |by: &str| line(&format!(r#"{{"op":"add","kind":"pn_counter","path":"a","by":{by}}}"#));
    let at = |path: &str| line(&format!(r#"{{"op":"delete","path":"{path}"}}"#));
    vec![
        (line("goal!"), 1, "expected an object"),
        (line("{"), 1, "EOF while parsing an object"),
        (line(r#"{"op":"add","kind":"pn_counter","path":"a"} {}"#), 45, "trailing characters"),
        (line(r#"["add","pn_counter","a"]"#), 1, "expected an object"),
        (line(r#"{"op":"jump","kind":"or_set","path":"a"}"#), 12, "unknown variant `jump`"),
        (line(r#"{"op":"add","kind":"heap","path":"a"}"#), 25, "unknown variant `heap`"),
        (line(r#"{"kind":"or_set","path":"a","value":1}"#), 38, "missing field `op`"),
        (line(r#"{"op":"add","path":"a"}"#), 23, "missing field `kind`"),
        (line(r#"{"op":"add","kind":"pn_counter"}"#), 32, "missing field `path`"),
        (line(r#"{"op":"set","kind":"lww_register","path":"a"}"#), 45, "missing field `value`"),
        (line(r#"{"op":"add","kind":"pn_counter","path":"a","n":1}"#), 46, "unknown field `n`"),
        (line(r#"{"op":"add","kind":"pn_counter","path":"a","value":1}"#), 44, "`value` is for sets"),
        (line(r#"{"op":"add","kind":"or_set","path":"a","value":1,"by":1}"#), 50, "`by` is for counters"),
        (line(r#"{"op":"set","kind":"or_set","path":"a","value":1}"#), 13, "`set` is for lww_register"),
        (line(r#"{"op":"add","kind":"g_counter","path":"a","by":-1}"#), 43, "a g_counter only grows: -1"),
        (counts("1.5"), 51, "floating point `1.5`, expected a whole number"),
        (counts("1e3"), 0, "floating point `1000.0`, expected a whole number"),
        (counts("9223372036854775808"), 0, "expected a whole number between -2^63 and 2^63 - 1"),
        (counts("-9223372036854775809"), 0, "expected a whole number between -2^63 and 2^63 - 1"),
        (counts("\"1\""), 0, "expected a whole number"),
        (at(""), 24, "a path is not empty"),
        (at(&"x".repeat(1_025)), 1_049, "a path has at most 1024 bytes"),
        (at("a\\u0000"), 0, "a path has no control characters"),
        (at("a\\u0085"), 0, "a path has no control characters"),
        (at("a\tb"), 25, "control character"),
        (b"{\"op\":\"delete\",\"path\":\"\xff\"}".to_vec(), 24, "invalid unicode"),
        (line(r#"{"op":"add","kind":"or_set","path":"before","value":1}"#), 1, "stored=pn_counter asked=or_set"),
    ]
}

#[test]
fn each_wrong_line_is_told_with_its_line_column_and_reason_and_stops_the_run_there() {
    let folder = configured();
    for (number, (wrong, column, reason)) in wrong_lines().into_iter().enumerate() {
        let lines = [GOOD.as_bytes(), &wrong, LATER.as_bytes(), b""].join(&b'\n');
        let output = applied(folder.path(), &[], &lines);
        let (summary, says) = (summary(&output.stdout), text(&output.stderr));
        assert_eq!((output.status.code(), &summary["applied"]), (Some(1), &json!(1)), "{reason}: {says}");
        let place = if column == 0 { "standard input:2:".to_owned() } else { format!("standard input:2:{column}: ") };
        assert!(says.contains(&place) && says.contains(reason), "{place} {reason}\n{says}");
        if number % 9 == 0 {
            assert_eq!(value(folder.path(), "us-east-1", "before"), json!(number + 1), "what is before it is durable");
        }
    }
    assert_eq!(value(folder.path(), "us-east-1", "before"), json!(wrong_lines().len()));
    assert_eq!(fails(folder.path(), &["get", "behind"]).0, 3);
}

#[test]
fn skipped_lines_are_told_and_counted_and_everything_else_is_applied() {
    let folder = configured();
    let wrong = wrong_lines();
    let mut lines = Vec::new();
    for (wrong, ..) in &wrong {
        lines.extend([GOOD.as_bytes(), wrong, b"  ", LATER.as_bytes(), b""].join(&b'\n'));
    }
    let output = applied(folder.path(), &["--skip-bad", "--resume", "mixed"], &lines);
    let (first, says) = (summary(&output.stdout), text(&output.stderr));
    let count = wrong.len();
    assert!(output.status.success(), "{says}");
    assert_eq!((&first["rejected"], &first["skipped"]), (&json!(count), &json!(count)), "{says}");
    assert_eq!(says.lines().filter(|line| line.starts_with("skipped: standard input:")).count(), count, "{says}");
    for path in ["before", "behind"] {
        assert_eq!(value(folder.path(), "us-east-1", path), json!(count));
    }
    let again = summary(&applied(folder.path(), &["--skip-bad", "--resume", "mixed"], &lines).stdout);
    assert_eq!((&again["applied"], &again["rejected"]), (&json!(0), &json!(0)));
}

/// The most memory that a process has taken, in kB, where the system tells.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn a_line_of_100_mb_is_told_and_takes_no_memory() {
    let folder = configured();
    let mut apply = Running::start(folder.path(), "apply", &["apply"]);
    apply.give(format!("{GOOD}\n").as_bytes());
    let piece = vec![b'x'; 1 << 20];
    (0..100).for_each(|_| apply.give(&piece));
    let peak = peak(apply.id()).unwrap_or(0);
    assert!(peak < 60_000, "kB={peak}");
    apply.give(format!("\n{LATER}\n").as_bytes());
    apply.give_no_more();
    assert_eq!(apply.end(), Some(1));
    let says = apply.complained();
    assert!(says.contains("standard input:2:8388608: a line has at most 8388608 bytes"), "{says}");
    assert_eq!(summary(apply.printed().as_bytes())["applied"], 1);
    assert_eq!(fails(folder.path(), &["get", "behind"]).0, 3);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = configured();
    for (file, reason) in [("nowhere.ndjson", "No such file"), (".", "directory")] {
        let (code, says) = fails(folder.path(), &["apply", file]);
        assert_eq!((code, says.contains(file), says.contains(reason)), (1, true, true), "{says}");
    }
    assert_eq!(fails(folder.path(), &["apply", "x", "--resume", ""]).0, 2);
}

fn goals(from: usize, to: usize) -> String {
    (from..to)
        .map(|goal| format!("{{\"op\":\"add\",\"kind\":\"pn_counter\",\"path\":\"goals/{}\"}}\n", goal % 7))
        .collect()
}

fn sum(folder: &Path) -> i64 {
    let found = objects(&says(folder, &["--json", "scan", "goals/"]));
    found.iter().filter_map(|object| object["value"].as_i64()).sum()
}

#[test]
fn ctrl_c_leaves_what_the_summary_counts_and_resume_goes_on_behind_it() {
    let folder = configured();
    let mut apply = Running::start(folder.path(), "apply", &["apply", "--resume", "goals"]);
    apply.give(goals(0, 5_000).as_bytes());
    // Its seal, and a segment: it has begun.
    until(|| (log_len(folder.path(), "us-east-1", "us-east-1-cli") > 1).then_some(()));
    apply.give(goals(5_000, 6_000).as_bytes());
    apply.interrupt();
    assert_eq!(apply.end(), Some(130));
    assert!(apply.complained().contains("interrupted; what the summary counts is durable"), "{}", apply.complained());
    let done = summary(apply.printed().as_bytes())["applied"].as_i64().expect("a number");
    assert!((1..=6_000).contains(&done), "{done}");
    assert_eq!(sum(folder.path()), done);

    let output = applied(folder.path(), &["--resume", "goals"], goals(0, 8_000).as_bytes());
    let summary = summary(&output.stdout);
    assert_eq!((&summary["applied"], &summary["skipped"]), (&json!(8_000 - done), &json!(done)));
    assert_eq!(sum(folder.path()), 8_000);
}

#[test]
fn of_two_writers_of_one_name_the_first_is_told_what_to_do_and_two_names_do_not_meet() {
    let folder = configured();
    let mut first = Running::start(folder.path(), "first", &["apply"]);
    let mut other = Running::start(folder.path(), "other", &["apply", "--replica", "us-east-1-b"]);
    for running in [&mut first, &mut other] {
        running.give(format!("{GOOD}\n").as_bytes());
    }
    for name in ["us-east-1-cli", "us-east-1-b"] {
        until(|| (log_len(folder.path(), "us-east-1", name) > 1).then_some(()));
    }
    assert!(applied(folder.path(), &[], format!("{GOOD}\n").as_bytes()).status.success());
    for running in [&mut first, &mut other] {
        running.give(format!("{LATER}\n").as_bytes());
        running.give_no_more();
    }
    let codes = (first.end(), other.end());
    let says = first.complained();
    assert_eq!(codes, (Some(4), Some(0)), "{says}");
    assert_eq!(summary(first.printed().as_bytes())["applied"], 1, "what it has made durable is counted");
    assert!(says.contains("1 operation behind that"), "{says}");
    assert!(
        says.contains("another process has taken this replica's log over; stop this one, or open another name"),
        "{says}"
    );
    assert_eq!(value(folder.path(), "us-east-1", "before"), json!(3), "what was durable stays");
    assert_eq!(value(folder.path(), "us-east-1", "behind"), json!(1), "what was not is not");
}

#[test]
fn an_evicted_replica_writes_no_more_and_another_name_does() {
    let folder = configured();
    let line = format!("{GOOD}\n");
    assert!(applied(folder.path(), &["--region", "eu-west-1"], line.as_bytes()).status.success());
    assert!(!applied(folder.path(), &["--resume", "x", "--replica", "Wrong name"], line.as_bytes()).status.success());
    assert!(applied(folder.path(), &["--region", "eu-west-1", "--resume", "x"], line.as_bytes()).status.success());
    let (code, says) = fails(folder.path(), &["evict", "nobody"]);
    assert_eq!((code, says.contains("nobody")), (1, true), "{says}");
    assert_eq!(fails(folder.path(), &["evict", "eu-west-1-cli", "--at", "5"]).0, 2);
    let evicted = objects(&support::says(folder.path(), &["evict", "eu-west-1-cli", "--json"])).remove(0);
    assert_eq!(evicted["replica"], "eu-west-1-cli");
    assert!(support::says(folder.path(), &["status"]).contains("evicted at"));

    // What ends before what was read of it is not undone.
    assert!(applied(folder.path(), &["--replica", "early"], line.as_bytes()).status.success());
    assert!(applied(folder.path(), &["--replica", "early"], line.as_bytes()).status.success());
    let listed = objects(&support::says(folder.path(), &["log", "early", "--json"]));
    let first = listed.iter().find(|entry| entry["what"] == "segment").expect("a segment");
    let first = first["position"].as_str().expect("a position");
    let says = support::says(folder.path(), &["evict", "early", "--at", first]);
    assert!(
        says.contains(&format!("its log ends at {first}")) && says.contains("beyond that") && says.contains("stays"),
        "{says}"
    );
    assert_eq!(value(folder.path(), "us-east-1", "before"), json!(4));

    let output = applied(folder.path(), &["--region", "eu-west-1"], line.as_bytes());
    let says = text(&output.stderr);
    assert_eq!((output.status.code(), says.contains("open one of another name")), (Some(4), true), "{says}");
    assert_eq!(fails(folder.path(), &["--region", "eu-west-1", "delete", "before"]).0, 4);
    // How far it was with the source that it had begun is not known any more. Whoever begins it counts all of it again, as the
    // help says.
    let again = ["--region", "eu-west-1", "--replica", "eu-west-1-b", "--resume", "x"];
    let summary = summary(&applied(folder.path(), &again, line.as_bytes()).stdout);
    assert_eq!((&summary["applied"], &summary["skipped"]), (&json!(1), &json!(0)));
    assert_eq!(value(folder.path(), "us-east-1", "before"), json!(5));
    assert!(support::says(folder.path(), &["apply", "--help"]).contains("begins at line 1 and counts again"));
    let (code, says) = fails(folder.path(), &["evict", "us-east-1-cli"]);
    assert_eq!((code, says.contains("`--replica us-east-1-ops`")), (2, true), "{says}");
}
