//! `demo` as a newcomer calls it: what happens is told, the regions agree with the truth, and what is wrong is noticed.

mod support;

use std::{
    io::{BufRead, BufReader},
    path::Path,
};

use support::*;

/// Where it makes its temporary directory.
fn played(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(folder, arguments).env("TMPDIR", folder).output().expect("it runs");
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("it is there").next().is_none()
}

#[test]
fn the_regions_are_cut_killed_and_healed_and_agree_with_the_truth() {
    let folder = folder();
    let (code, says) = played(folder.path(), &["demo", "--seconds", "5", "--seed", "1"]);
    assert_eq!(code, Some(0), "{says}");
    let told = [
        "eu-west-1 is CUT OFF",
        "eu-west-1 is BACK",
        "eu-west-1 has caught up",
        "ap-southeast-1 is KILLED",
        "ap-southeast-1 is REOPENED",
        "every region has seen every write",
        "the same everywhere",
        "pn_counter eu-west-1 deleted it at 300",
        "All three regions agree with the independently kept truth",
    ];
    let words = says.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut from = 0;
    for told in told {
        let at = words[from..].find(told);
        assert!(at.is_some(), "{told} is missing, or comes too early:\n{says}");
        from += at.unwrap_or_default();
    }
    assert!(REGIONS.iter().all(|region| says.contains(region)), "{says}");
    assert!(!says.contains('\x1b'), "a pipe is no terminal");
    let is_narrow = |line: &str| line.chars().count() <= 80 || line.contains("archipelago-demo-");
    assert!(says.lines().all(is_narrow), "{says}");
    assert!(is_empty(folder.path()), "the temporary directory is gone");
}

#[test]
fn a_truth_that_is_falsified_is_noticed() {
    let folder = folder();
    let (code, says) = played(folder.path(), &["demo", "--seconds", "5", "--seed", "9", "--falsify"]);
    assert_eq!(code, Some(1), "{says}");
    assert!(says.contains("3 differences:") && says.contains("The regions do not agree"), "{says}");
    for region in REGIONS {
        let names = |line: &str| {
            let line = line.trim_start();
            line.starts_with(region) && line.contains("score/") && line.contains("expected") && line.contains("seen")
        };
        assert!(says.lines().any(names), "{region}: {says}");
    }
}

#[test]
fn as_json_it_is_events_and_a_summary() {
    let folder = folder();
    let (code, says) = played(folder.path(), &["demo", "--seconds", "5", "--json"]);
    assert_eq!(code, Some(0), "{says}");
    let told = objects(&says);
    let events: Vec<&str> = told.iter().filter_map(|object| object["event"].as_str()).collect();
    assert_eq!(events.len(), told.len());
    for event in ["begun", "opened", "cut_off", "healed", "caught_up", "killed", "reopened", "converged"] {
        assert_eq!(events.iter().filter(|told| **told == event).count(), 1, "{event}: {says}");
    }
    let summary = told.last().expect("there are some");
    assert_eq!((&summary["event"], &summary["agrees"]), (&"summary".into(), &true.into()));
    assert_eq!(summary["top"]["us-east-1"].as_array().map(Vec::len), Some(10));
    assert_eq!(summary["top"]["us-east-1"], summary["top"]["ap-southeast-1"]);
    assert!(
        summary["used"].as_array().is_some_and(|used| used.iter().all(|used| used["used"]["puts"].as_u64() > Some(0)))
    );
}

#[test]
fn configured_buckets_serve_again_and_again_and_keep_what_was_there() {
    let folder = folder();
    assert_eq!(played(folder.path(), &["init"]).0, Some(0));
    let demo = ["demo", "--seconds", "5", "--config", "archipelago.toml", "--json"];
    let mut prefixes = Vec::new();
    for _ in 0..2 {
        let (code, says) = played(folder.path(), &demo);
        assert_eq!(code, Some(0), "{says}");
        prefixes.push(objects(&says).pop().expect("a summary")["prefix"].as_str().expect("text").to_owned());
    }
    assert_ne!(prefixes[0], prefixes[1]);
    // A reader of the same buckets finds both runs.
    for prefix in &prefixes {
        let (code, says) =
            played(folder.path(), &["--region", "eu-west-1", "top", &format!("{prefix}score/"), "-n", "3"]);
        assert_eq!((code, says.lines().count()), (Some(0), 3), "{says}");
    }
    let (code, says) = played(folder.path(), &["init", "--dir", "two", "paris", "tokyo"]);
    assert_eq!(code, Some(0), "{says}");
    let (code, says) = played(folder.path(), &["demo", "--config", "two/archipelago.toml"]);
    assert_eq!((code, says.contains("needs 3 regions, and two/archipelago.toml has 2")), (Some(2), true), "{says}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = folder();
    for (arguments, code, part) in [
        (&["demo", "--seconds", "4"][..], 2, "4 is not in 5..=3600"),
        (&["demo", "--seconds", "100000"], 2, "100000 is not in 5..=3600"),
        (&["demo", "--region", "eu-west-1"], 2, "takes no --region"),
        (&["demo", "--config", "nowhere.toml"], 2, "nowhere.toml"),
    ] {
        let (found, says) = played(folder.path(), arguments);
        assert_eq!((found, says.contains(part)), (Some(code), true), "{says}");
    }
    let output =
        command(folder.path(), &["demo"]).env("TMPDIR", folder.path().join("nowhere")).output().expect("it runs");
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), says.contains("no temporary directory can be made")), (Some(1), true), "{says}");
}

/// Whoever leaves early is not told that all is well, and nothing is left behind.
#[test]
fn a_reader_who_leaves_ends_it() {
    let folder = folder();
    let mut child =
        command(folder.path(), &["demo", "--seconds", "60"]).env("TMPDIR", folder.path()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.next().is_some_and(|line| line.is_ok_and(|line| line.contains("Three regions"))));
    drop(lines);
    assert_eq!(child.wait().expect("it ends").code(), Some(141));
    assert!(is_empty(folder.path()));
}

#[test]
fn whoever_stops_it_leaves_nothing_behind() {
    let folder = folder();
    for (signal, code) in [("-TERM", 143), ("-HUP", 129), ("-INT", 130)] {
        let inside = folder.path().join(&signal[1..]);
        std::fs::create_dir(&inside).expect("it is made");
        let mut demo = Running::start_in(folder.path(), &signal[1..], &["demo"], &inside);
        until(|| demo.printed().contains("each takes").then_some(()));
        assert!(!is_empty(&inside));
        demo.signal(signal);
        assert_eq!(demo.end(), Some(code), "{}", demo.complained());
        assert!(is_empty(&inside), "{signal}");
    }
}
