//! The command `sim`: looks for histories in which replicas do not do what they promise.
//! Layer 6.

mod mutants_command;

use std::process::ExitCode;

use sim::{Failure, Story, generate, play, shrink};

const USAGE: &str = "\
sim fuzz [--seeds N] [--start S] [--regions R]   plays N stories (1000), from seed S (0) on, with R regions (3)
sim replay SEED [--regions R]                    plays one
sim shrink SEED [--regions R]                    plays one that fails with less and less in it
sim mutants [--only NAME] [--seeds N]            plants faults, and looks whether the checks find them

Exit codes: 0 when every check held, 1 when one did not, 2 for wrong usage.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("mutants", rest)) = arguments.split_first().map(|(what, rest)| (&**what, rest)) {
        return mutants_command::run(rest).unwrap_or_else(|| {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        });
    }
    match Asked::parse(&arguments) {
        Some(Asked { what: What::Fuzz, first, seeds, regions }) => fuzz(first, seeds, regions),
        Some(Asked { what: What::Replay, first, regions, .. }) => replay(&generate(first, regions), first),
        Some(Asked { what: What::Shrink, first, regions, .. }) => shrunk(&generate(first, regions), first),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

enum What {
    Fuzz,
    Replay,
    Shrink,
}

struct Asked {
    what: What,
    first: u64,
    seeds: u64,
    regions: usize,
}

impl Asked {
    fn parse(arguments: &[String]) -> Option<Self> {
        let mut asked = Self { what: What::Fuzz, first: 0, seeds: 1_000, regions: 3 };
        let (what, mut rest) = arguments.split_first()?;
        if what != "fuzz" {
            asked.what = if what == "replay" { What::Replay } else { What::Shrink };
            if !matches!(&**what, "replay" | "shrink") {
                return None;
            }
            asked.first = rest.first()?.parse().ok()?;
            rest = &rest[1..];
        }
        for pair in rest.chunks(2) {
            let [option, value] = pair else { return None };
            match (&**option, &asked.what) {
                ("--seeds", What::Fuzz) => asked.seeds = value.parse().ok()?,
                ("--start", What::Fuzz) => asked.first = value.parse().ok()?,
                ("--regions", _) => asked.regions = value.parse().ok().filter(|regions| (2..=7).contains(regions))?,
                _ => return None,
            }
        }
        Some(asked)
    }
}

fn fuzz(first: u64, seeds: u64, regions: usize) -> ExitCode {
    let (mut events, mut changes, mut failed, mut seconds) = (0, 0, 0, 0);
    for seed in first..first.saturating_add(seeds) {
        let outcome = play(&generate(seed, regions));
        events += outcome.trace.events;
        changes += outcome.changes;
        seconds += outcome.lasted.as_secs();
        if let Some(failure) = outcome.failure {
            failed += 1;
            tell(seed, regions, &failure);
        }
    }
    println!("{seeds} seeds: {changes} changes, {events} events in {seconds} virtual seconds; {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(story: &Story, seed: u64) -> ExitCode {
    let outcome = play(story);
    let sim::Trace { hash, events } = outcome.trace;
    println!("seed {seed}: {} changes, {events} events, trace {hash:016x}", outcome.changes);
    for (fault, times) in outcome.faults.iter().filter(|(_, times)| **times > 0) {
        println!("  {fault:?}: {times}");
    }
    let Some(failure) = outcome.failure else { return ExitCode::SUCCESS };
    tell(seed, story.regions, &failure);
    ExitCode::FAILURE
}

fn shrunk(story: &Story, seed: u64) -> ExitCode {
    const MOST: u64 = 5_000;
    let Some(failure) = play(story).failure else {
        println!("seed {seed}: every check holds");
        return ExitCode::SUCCESS;
    };
    let (small, played) = shrink(story, failure.check, MOST);
    println!("seed {seed}, after {played} stories: {} steps of {}", small.steps.len(), story.steps.len());
    println!("{:?}\n{:?}\n{:?}", small.settings, small.faults, small.hints);
    small.steps.iter().for_each(|step| println!("{:9.3} s  r{}  {:?}", step.at.as_secs_f64(), step.region, step.act));
    play(&small).failure.iter().for_each(|failure| println!("{failure}"));
    ExitCode::FAILURE
}

fn tell(seed: u64, regions: usize, failure: &Failure) {
    println!("seed {seed}: {failure}\n  again: sim replay {seed} --regions {regions}");
}
