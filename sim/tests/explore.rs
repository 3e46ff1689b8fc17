//! Exploring: every scenario begins with histories that hold, and finds faults that are planted where it must.

use std::thread;

use sim::{Explored, Planted, SCENARIOS, Scenario, Share, explore, play};

fn scenario(name: &str) -> &'static Scenario {
    Scenario::named(name).unwrap_or_else(|| panic!("{name} is a scenario"))
}

#[test]
fn one_trouble_or_two_letters_break_nothing() {
    thread::scope(|scope| {
        for scenario in SCENARIOS {
            scope.spawn(move || {
                let (explored, branches) = scenario.begin();
                if let Some((story, failure)) = &explored.failure {
                    panic!("{}: {failure}\n{story}", scenario.name);
                }
                assert!(explored.count() >= 10 && !branches.is_empty(), "{}: {explored:?}", scenario.name);
                assert!(explored.plays >= explored.count());
                assert_eq!(explored.histories.get(&0), Some(&1), "{}", scenario.name);
            });
        }
    });
}

#[test]
fn a_branch_is_the_same_whenever_it_is_followed() {
    let scenario = scenario("flush");
    let (_, branches) = scenario.begin();
    let follow = |index: usize| scenario.follow(&branches[index]);
    let both = [0, branches.len() - 1].map(|index| (follow(index), follow(index)));
    for (once, again) in both {
        assert_eq!((once.histories, once.traces, once.events), (again.histories, again.traces, again.events));
        assert!(once.failure.is_none());
    }
}

#[test]
fn shares_together_are_everything_once() {
    let mut all: Vec<u32> = (1..=7).flat_map(|part| Share { part, of: 7 }.of((0..100).collect())).collect();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<u32>>());
    assert_eq!(Share::ALL.of(vec![1, 2, 3]), [1, 2, 3]);
}

/// Explores with a fault planted, up to the first failure.
fn broken(mutant: &str, scenario: &str) -> (Explored, &'static Planted) {
    let planted = Planted::named(mutant).unwrap_or_else(|| panic!("{mutant} is planted"));
    (planted.during(|| explore(self::scenario(scenario), Share { part: 1, of: 8 })), planted)
}

/// Faults, and the scenarios in which they must show.
const PLANTED: [(&str, &str); 7] = [
    ("ack-before-durable", "flush"),
    ("own-success-is-a-fence", "flush"),
    ("replay-stops-at-the-first-seal", "open"),
    ("manifest-before-the-log", "snapshot"),
    ("collects-past-the-older", "collect"),
    ("removal-names-no-dots", "sets"),
    ("early-forgotten", "three"),
];

#[test]
fn what_is_planted_is_found_where_it_must_show() {
    thread::scope(|scope| {
        for (mutant, scenario) in PLANTED {
            scope.spawn(move || {
                let (explored, planted) = broken(mutant, scenario);
                let Some((story, failure)) = explored.failure else {
                    panic!("{mutant} is not found by {scenario} in {} histories", explored.count())
                };
                assert!(planted.checks.contains(&failure.check), "{mutant} in {scenario}: {failure}\n{story}");
                // Without it the same history holds.
                assert!(play(&story).failure.is_none(), "{mutant} in {scenario}: {story}");
            });
        }
    });
}
