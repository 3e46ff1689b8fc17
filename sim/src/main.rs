//! The command `sim`.

use std::process::ExitCode;

use sim::{generate, play, shrink};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq("shrink").is_some() {
        let seed: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let story = generate(seed, 3);
        let Some(failure) = play(&story).failure else { return ExitCode::SUCCESS };
        let (small, played) = shrink(&story, failure.check, 3_000);
        println!("{played} played; {:?}\n{:?}\n{:?}", small.faults, small.hints, small.settings);
        small.steps.iter().for_each(|step| println!("{:>8.3} r{} {:?}", step.at.as_secs_f64(), step.region, step.act));
        play(&small).failure.iter().for_each(|failure| println!("{failure}"));
        return ExitCode::FAILURE;
    }
    let first: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(100);
    let (mut events, mut failed) = (0, 0);
    for seed in first..first + count {
        let outcome = play(&generate(seed, 3));
        events += outcome.trace.events;
        if let Some(failure) = outcome.failure {
            failed += 1;
            println!("seed {seed}: {failure}");
        }
    }
    println!("{count} seeds, {events} events, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
