//! Stories reach what they are meant to: a few hundred of them are enough for the points of this list.

use std::{collections::BTreeSet, fs, path::Path};

use sim::{ALL_WITHIN, POINTS, Points, REACHED_SOON, SOON_WITHIN, generate, play};

#[test]
fn a_few_hundred_stories_reach_what_is_reached_soon() {
    let mut reached = Points::default();
    for seed in 0..400 {
        let outcome = play(&generate(seed, 3));
        assert_eq!(outcome.failure, None, "seed {seed}");
        reached.merge(&outcome.points);
    }
    let missing: Vec<_> = REACHED_SOON.iter().filter(|name| reached.times(name) == 0).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(reached.never_reached().len() < POINTS.len() / 3, "{:?}", reached.never_reached());
}

#[test]
fn points_have_names_of_their_own_and_most_are_conjunctions() {
    let names: BTreeSet<_> = POINTS.iter().map(|point| point.name).collect();
    assert_eq!(names.len(), POINTS.len());
    assert!(REACHED_SOON.iter().all(|name| names.contains(name)));
    let both = POINTS.iter().filter(|point| point.is_conjunction).count();
    assert!(POINTS.len() >= 40 && both >= 25 && both * 2 > POINTS.len(), "{both} of {}", POINTS.len());
}

/// The list of the documentation, as it must stand there.
#[test]
fn the_documentation_lists_every_point() {
    let line = |point: &sim::Situation| {
        let mark = if point.is_conjunction { "both" } else { "" };
        let soon = if REACHED_SOON.contains(&point.name) { "soon" } else { "" };
        format!("| {} | {} | {mark} | {soon} |\n", point.name, point.what)
    };
    let list: String = POINTS.iter().map(line).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/simulator.md");
    let text = fs::read_to_string(page).expect("the page");
    assert!(text.contains(&list), "docs/simulator.md must list:\n{list}");
}

#[test]
fn what_many_stories_have_not_reached_is_missing() {
    let none = Points::default();
    assert!(none.missing(SOON_WITHIN - 1).is_empty());
    assert_eq!(none.missing(SOON_WITHIN), REACHED_SOON);
    assert_eq!(none.missing(ALL_WITHIN), none.never_reached());
}

#[test]
fn what_was_never_reached_is_named() {
    let outcome = play(&generate(3, 3));
    let never = outcome.points.never_reached();
    assert!(never.iter().all(|name| outcome.points.times(name) == 0));
    assert_eq!(outcome.points.all().filter(|(.., times)| *times > 0).count(), POINTS.len() - never.len());
}
