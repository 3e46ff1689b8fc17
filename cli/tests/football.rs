//! The main job at the scale of real input: goals, counted in three regions at once.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use support::*;

/// As many as international football has seen.
const GOALS: u64 = 48_000;
const TEAMS: u64 = 230;

/// What a plain count gives.
#[derive(Debug, Default, PartialEq, Eq)]
struct Truth {
    goals: BTreeMap<String, i64>,
    scorers: BTreeMap<String, BTreeSet<String>>,
    last: BTreeMap<String, String>,
}

/// The bits of a number, mixed: SplitMix64.
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// Writes the operations of each region, a third of the teams, and counts the goals.
fn make(folder: &Path) -> Truth {
    let mut truth = Truth::default();
    let mut lines = [const { String::new() }; 3];
    for goal in 0..GOALS {
        let random = mixed(goal);
        // The stronger teams score more often.
        let team = (random % TEAMS).min(random >> 32 & 0xff);
        let lines = &mut lines[team as usize % 3];
        let (scorer, is_own) = (format!("player {team}-{}", random >> 16 & 0x3f), random.is_multiple_of(31));
        let when =
            format!("{:04}-{:02}-{:02} {}'", 1916 + goal / 450, goal / 40 % 12 + 1, goal % 28 + 1, random >> 8 & 0x3f);
        let team = format!("team {team:03}");
        let (by, line) = (if is_own { -1 } else { 1 }, &mut *lines);
        let wrote =
            writeln!(line, r#"{{"op":"add","kind":"pn_counter","path":"goals/{team}","by":{by}}}"#).and_then(|()| {
                writeln!(line, r#"{{"op":"set","kind":"lww_register","path":"last/{team}","value":"{when}"}}"#)
            });
        assert!(wrote.is_ok());
        *truth.goals.entry(format!("goals/{team}")).or_default() += by;
        truth.last.insert(format!("last/{team}"), when);
        if !is_own {
            *lines +=
                &format!("{{\"op\":\"add\",\"kind\":\"or_set\",\"path\":\"scorers/{team}\",\"value\":\"{scorer}\"}}\n");
            truth.scorers.entry(format!("scorers/{team}")).or_default().insert(scorer);
        }
    }
    for (region, lines) in REGIONS.iter().zip(lines) {
        std::fs::write(folder.join(format!("{region}.ndjson")), lines).expect("it is written");
    }
    truth
}

/// What a region shows.
fn seen(folder: &Path, region: &str) -> Truth {
    let mut seen = Truth::default();
    for object in objects(&says(folder, &["--region", region, "--json", "scan"])) {
        let path = object["path"].as_str().expect("a path").to_owned();
        match &object["value"] {
            Value::Number(number) => drop(seen.goals.insert(path, number.as_i64().expect("a number of goals"))),
            Value::String(when) => drop(seen.last.insert(path, when.clone())),
            Value::Array(scorers) => {
                let scorers = scorers.iter().filter_map(Value::as_str).map(str::to_owned);
                seen.scorers.insert(path, scorers.collect());
            }
            other => panic!("{path}: {other}"),
        }
    }
    seen
}

fn start(folder: &Path, region: &str) -> Running {
    let (file, source) = (format!("{region}.ndjson"), format!("goals-{region}"));
    Running::start(folder, region, &["--region", region, "apply", &file, "--resume", &source])
}

fn check_ended(mut running: Running) {
    assert_eq!(running.end(), Some(0), "{}", running.complained());
}

#[test]
fn every_region_shows_the_totals_of_a_plain_count() {
    let folder = configured();
    let truth = make(folder.path());
    let running = REGIONS.map(|region| start(folder.path(), region));
    running.into_iter().for_each(check_ended);
    for region in REGIONS {
        assert_eq!(seen(folder.path(), region), truth, "{region}");
    }
}

/// Three processes apply three parts at once, are killed at random and started again with the same name: nothing is lost and
/// nothing counts twice.
#[test]
fn so_it_does_when_processes_are_killed_at_random_and_started_again() {
    let folder = configured();
    let truth = make(folder.path());
    let (mut kills, mut left) = (0, REGIONS.to_vec());
    for round in 0.. {
        assert!(round < 300, "it gets nowhere");
        let started: Vec<_> = left.iter().map(|region| (*region, start(folder.path(), region))).collect();
        // Longer from time to time, so that it ends on a slow machine too.
        pause(Duration::from_millis(10 + mixed(round) % (40 + 10 * kills)));
        for (region, mut running) in started {
            if running.ended().is_some() {
                check_ended(running);
                left.retain(|waiting| *waiting != region);
            } else {
                running.kill();
                kills += 1;
            }
        }
        if left.is_empty() {
            break;
        }
    }
    assert!(kills >= 3, "{kills}");
    for region in REGIONS {
        assert_eq!(seen(folder.path(), region), truth, "{region}");
    }
    // Once more, and with another input: nothing is done, and it is told.
    let output = run(folder.path(), &["apply", "us-east-1.ndjson", "--resume", "goals-us-east-1"]);
    let summary = summary(&output.stdout);
    let file = std::fs::read_to_string(folder.path().join("us-east-1.ndjson")).expect("it is there");
    assert_eq!((&summary["applied"], &summary["skipped"]), (&json!(0), &json!(file.lines().count())));
    std::fs::write(folder.path().join("other.ndjson"), file.replacen("team 0", "team 9", 1)).expect("it is written");
    let (code, says) = fails(folder.path(), &["apply", "other.ndjson", "--resume", "goals-us-east-1"]);
    assert_eq!((code, says.contains("are not those that were done")), (1, true), "{says}");
    let (code, says) =
        fails(folder.path(), &["--region", "eu-west-1", "apply", "us-east-1.ndjson", "--resume", "goals-us-east-1"]);
    let what_to_do =
        "begun by the replica us-east-1-cli in us-east-1; go on there: `--region us-east-1 --replica us-east-1-cli`";
    assert_eq!((code, says.contains(what_to_do)), (1, true), "{says}");
}
