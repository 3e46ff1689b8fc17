//! Stories drawn from seeds: every check holds in each of them, and each is the same run whenever it is played.

use std::ops::Range;

use sim::{Outcome, generate, play};

fn demand(seed: u64, regions: usize) -> Outcome {
    let outcome = play(&generate(seed, regions));
    if let Some(failure) = outcome.failure {
        panic!("seed {seed}, {regions} regions: {failure}");
    }
    outcome
}

#[test]
fn every_check_holds_in_hundreds_of_stories() {
    let outcomes: Vec<Outcome> = (0..250).map(|seed| demand(seed, 3)).collect();
    let changes: usize = outcomes.iter().map(|outcome| outcome.changes).sum();
    let met = outcomes.iter().flat_map(|outcome| &outcome.faults).filter(|(_, times)| **times > 0);
    let met: std::collections::BTreeSet<_> = met.map(|(fault, _)| *fault).collect();
    assert!(changes > 10_000, "{changes}");
    assert!(met.len() > 8, "{met:?}");
}

#[test]
fn two_regions_and_five_hold_too() {
    (0..40).for_each(|seed| drop(demand(seed, 2)));
    (0..25).for_each(|seed| drop(demand(seed, 5)));
}

/// Each seed twice, in two threads that share the seeds.
#[test]
fn a_story_is_one_run_event_by_event() {
    let once = |seeds: Range<u64>| {
        for seed in seeds {
            let story = generate(seed, 3);
            assert_eq!(play(&story).trace, play(&story).trace, "seed {seed}");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| once(1_000..1_500));
        once(1_500..2_000);
    });
}
