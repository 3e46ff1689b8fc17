//! Stories reach what they are meant to: a few hundred of them are enough for the points of this list.

use sim::{POINTS, Points, generate, play};

/// Points that a few hundred seeds reach again and again. That all are reached takes thousands.
const SOON: [&str; 30] = [
    "own segment answered Exists",
    "a segment's answer is lost",
    "a conflict on a segment",
    "a segment is created twice",
    "a zombie changes something",
    "a frozen process goes on after its log was taken over",
    "a process ends at a part of a snapshot",
    "a process ends between a manifest and its check",
    "a process ends while it recovers its log",
    "a process ends while it recovers a snapshot",
    "a bucket is away",
    "a bucket takes writes and answers no reads",
    "a bucket answers reads and takes no writes",
    "a bucket is rolled back",
    "an opener finds its history lost",
    "a reader notices a rollback",
    "a replica that lost its history is replaced",
    "a collection while a peer is cut off",
    "a collection while a peer is opening",
    "a change is refused by back-pressure",
    "a removal waits for its add",
    "an observer has a closed view",
    "a token is followed",
    "two regions have one frontier",
    "a newcomer reads a snapshot",
    "all is at rest",
    "a removal ahead of its add",
    "a purge",
    "a snapshot past a collected slot",
    "a taken slot is one's own",
];

#[test]
fn a_few_hundred_stories_reach_what_is_reached_soon() {
    let mut reached = Points::default();
    for seed in 0..400 {
        let outcome = play(&generate(seed, 3));
        assert_eq!(outcome.failure, None, "seed {seed}");
        reached.merge(&outcome.points);
    }
    let missing: Vec<_> = SOON.iter().filter(|name| reached.times(name) == 0).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(reached.never_reached().len() < POINTS.len() / 3, "{:?}", reached.never_reached());
}

#[test]
fn points_have_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = POINTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), POINTS.len());
    assert!(SOON.iter().all(|name| names.contains(name)));
}

#[test]
fn what_was_never_reached_is_named() {
    let outcome = play(&generate(3, 3));
    let never = outcome.points.never_reached();
    assert!(never.iter().all(|name| outcome.points.times(name) == 0));
    assert_eq!(outcome.points.all().filter(|(.., times)| *times > 0).count(), POINTS.len() - never.len());
}
