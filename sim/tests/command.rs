//! The command `sim`: what it prints, what it writes, and how it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().expect("the command runs")
}

/// What it prints when all is well.
fn told(arguments: &[&str]) -> String {
    let output = sim(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What it says when it is used wrongly.
fn refused(arguments: &[&str]) -> String {
    let output = sim(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// A file of its own for a test.
fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn fuzz_tells_what_it_came_to() {
    let told = told(&["fuzz", "--seeds", "12", "--start", "700"]);
    assert!(told.starts_with("3 regions, seeds 700 to 711 (--start 700 --seeds 12)\n"), "{told}");
    for figure in ["seeds            12\n", "events ", "virtual time ", "faults met ", "failed           0\n"] {
        assert!(told.contains(figure), "{told}");
    }
}

#[test]
fn threads_change_nothing_but_the_time() {
    let run = |jobs: &str| {
        let told = told(&["fuzz", "--seeds", "30", "--regions", "2", "--jobs", jobs, "--json"]);
        let mut object: serde_json::Value = serde_json::from_str(&told).expect("one JSON object");
        for key in ["cpu_seconds", "real_seconds", "events_per_cpu_second", "times_real_time"] {
            assert!(object.as_object_mut().and_then(|object| object.remove(key)).is_some(), "{key} is not in {told}");
        }
        object
    };
    let alone = run("1");
    assert_eq!(alone, run("4"));
    assert_eq!((&alone["seeds"], &alone["failed"], &alone["first_seed"]), (&30.into(), &0.into(), &0.into()));
    assert!(alone["events"].as_u64() > Some(10_000) && alone["faults"]["failed"].as_u64() > Some(0), "{alone}");
}

#[test]
fn minutes_play_fresh_seeds_and_tell_which() {
    let told = told(&["fuzz", "--minutes", "0.005", "--jobs", "1"]);
    let start = told.split_once("(--start ").expect("how to repeat it").1.split(' ').next().expect("a seed");
    assert_ne!(start.parse::<u64>().expect("a number"), 0);
}

#[test]
fn a_replay_of_a_file_is_that_of_its_seed() {
    let file = place("seed-42.json");
    let name = file.display().to_string();
    let of_seed = told(&["replay", "42", "--regions", "4", "--out", &name]);
    assert!(of_seed.contains("4 regions") && of_seed.contains("every check held"), "{of_seed}");
    let of_file = told(&["replay", &name]);
    assert_eq!(of_file.replace(&name, "seed 42"), of_seed);
    assert!(fs::read_to_string(file).expect("a file").contains("\"about\": \"Seed 42.\""));
}

#[test]
fn a_trace_tells_steps_requests_and_faults() {
    let told = told(&["replay", "34", "--trace"]);
    let is_there = |what: &str| assert!(told.contains(what), "{what} is not told");
    ["STEP 1: r", "asks b0    create v1/log/r0/", "FAULT: it ", "hears b1 ", "is gone"].into_iter().for_each(is_there);
    assert!(told.lines().count() > 1_000);
}

#[test]
fn a_story_that_holds_is_not_shrunk() {
    assert_eq!(told(&["shrink", "34"]), "seed 34: every check held, so there is nothing to shrink\n");
}

#[test]
fn a_drawing_is_written() {
    let file = place("seed-3.svg");
    told(&["draw", "3", "--out", &file.display().to_string()]);
    let svg = fs::read_to_string(file).expect("a file");
    assert!(svg.starts_with("<svg ") && svg.contains("Seed 3.") && svg.contains("Every check held."), "{svg}");
}

#[test]
fn help_and_version_are_no_errors() {
    assert!(told(&["--help"]).contains("Exit codes: 0 when every check held, 1 when one did not, 2 for wrong usage."));
    assert!(told(&["fuzz", "--help"]).contains("--minutes <M>"));
    assert!(told(&["--version"]).starts_with("sim "));
}

#[test]
fn wrong_usage_says_what_is_wrong() {
    let says = |arguments: &[&str], says: &str| {
        let refused = refused(arguments);
        assert!(refused.contains(says), "{refused}");
    };
    says(&[], "Usage: sim <COMMAND>");
    says(&["fuss"], "unrecognized subcommand 'fuss'");
    says(&["fuzz", "--sead", "3"], "unexpected argument '--sead'");
    says(&["fuzz", "--seeds"], "a value is required for '--seeds <N>'");
    says(&["fuzz", "--seeds", "many"], "invalid value 'many' for '--seeds <N>'");
    says(&["fuzz", "--start", "x"], "a seed is a number, or `random`");
    says(&["fuzz", "--minutes=-1"], "not a number of minutes");
    says(&["fuzz", "--minutes", "0"], "not a number of minutes");
    says(&["fuzz", "--regions", "8"], "8 is not in 2..=7");
    says(&["fuzz", "--jobs", "0"], "--jobs");
    says(&["fuzz", "--seeds", "1", "--out", "no/such/folder"], "there is no such folder: no/such/folder");
    says(&["replay"], "<SEED|FILE>");
    says(&["replay", "story.json"], "neither a seed, which is a number, nor a file that can be read");
    says(&["draw", "3"], "--out <FILE.svg>");
    let file = place("no-story.json");
    fs::write(&file, "{\"format\": 1, \"story\": {\"regions\": 99}}").expect("it is written");
    let name = file.display().to_string();
    says(&["replay", &name], "a story has 2 to 7 regions: regions=99");
    says(&["replay", &name, "--regions", "3"], "--regions goes with a seed");
    fs::write(&file, "[").expect("it is written");
    says(&["shrink", &name], "it is no JSON");
}
