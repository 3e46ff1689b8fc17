//! Faults that are planted: some of them are found, none of them shows when it is not there, and no command has any.

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use sim::{Limits, MUTANTS, Planted, Profile, Verdict, play};

fn look(name: &str) -> Verdict {
    let planted = Planted::named(name).unwrap_or_else(|| panic!("{name} is planted"));
    planted.look(Limits { seeds: 60, ..Limits::default() }, &|| Duration::ZERO)
}

/// The rest is found by `sim mutants`.
#[test]
fn some_faults_are_found_at_once() {
    for name in ["early-forgotten", "ack-before-durable", "own-success-is-a-fence", "needs-before-the-merge"] {
        let verdict = look(name);
        let Some((seed, failure)) = verdict.found else { panic!("{name} was not found: {:?}", verdict.others) };
        assert!(verdict.planted.checks.contains(&failure.check), "{name}, seed {seed}: {failure}");
    }
}

#[test]
fn without_a_fault_the_same_stories_hold() {
    let mut seen = Vec::new();
    for planted in MUTANTS {
        if seen.contains(&planted.profile) {
            continue;
        }
        seen.push(planted.profile);
        // A list that is stale by chance passes the probe by chance too, now and then.
        let seeds = if planted.profile == Profile::StaleLists { 1 } else { 12 };
        for seed in 0..seeds {
            if let Some(failure) = play(&planted.story(seed)).failure {
                panic!("{:?}, seed {seed}: {failure}", planted.profile);
            }
        }
    }
}

#[test]
fn a_fault_has_one_name_and_says_what_is_wrong() {
    let names: BTreeSet<&str> = MUTANTS.iter().map(|planted| planted.name).collect();
    let mutants: BTreeSet<_> = MUTANTS.iter().map(|planted| planted.mutant).collect();
    assert_eq!((names.len(), mutants.len()), (MUTANTS.len(), MUTANTS.len()));
    for Planted { name, wrong, source, checks, .. } in MUTANTS {
        assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'), "{name}");
        assert!(!wrong.is_empty() && !source.is_empty() && !checks.is_empty(), "{name}");
    }
}

fn holds(binary: &Path, what: &str) -> bool {
    let bytes = std::fs::read(binary).unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

/// Built alone, since building the whole workspace gives every crate the features that any of them asks for, and as it is shipped.
#[test]
fn the_command_has_no_planted_fault_in_it() {
    const TRACE: &str = "switched_on";
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in there");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--release", "-p", "cli"]).current_dir(root);
    // What `cargo test` sets is meant for this package.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR") {
            build.env_remove(name);
        }
    }
    assert!(build.status().unwrap().success());
    let suffix = std::env::consts::EXE_SUFFIX;
    assert!(!holds(&target.join(format!("release/archipelago{suffix}")), TRACE));
    assert!(holds(Path::new(env!("CARGO_BIN_EXE_sim")), TRACE), "this test could not fail");
}
