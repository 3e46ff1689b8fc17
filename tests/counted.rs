//! What a replica counts for whoever looks after it: it says what has happened, once each.

use std::time::Duration;

use replica::{Position, Resolution};
use sim::{Damage, Fault, Request};
use tests::stage::{Actor, Stage};

/// What came of the creates of which it was not known whether they had had their effect: made after all, found there, given up.
fn resolved(actor: &Actor) -> [u64; 3] {
    let resolved = &actor.status().regions[0].resolved;
    Resolution::ALL.map(|resolution| resolved.iter().find(|(of, _)| *of == resolution).map_or(0, |(_, count)| *count))
}

/// The answer is lost before the effect, or after it; the log goes on in both, and it is told which it was.
#[test]
fn what_came_of_an_unclear_create_is_counted() {
    let mut stage = Stage::new(61, 1);
    let one = stage.open("one", 0);
    one.add("likes", 1).expect("it counts");
    stage.pass(5);
    assert_eq!(resolved(&one), [0; 3]);
    for (fault, expected) in [(Fault::Unsure, [1, 0, 0]), (Fault::AnswerLost, [1, 1, 0])] {
        one.links[0].meet(Request::Create, fault, 0);
        one.add("likes", 1).expect("it counts");
        let replica = one.replica.clone();
        stage.wait(async move { replica.flush().await }).expect("it is flushed");
        assert_eq!(resolved(&one), expected, "{fault:?}");
    }
    // What is plainly refused or fails is none of them.
    one.links[0].meet(Request::Create, Fault::Throttled, 0);
    one.add("likes", 1).expect("it counts");
    stage.pass(10);
    assert_eq!((resolved(&one), one.status().pending_bytes), ([1, 1, 0], 0));
}

/// Counts once more, and gives the position of the segment that will carry it.
fn like(actor: &Actor) -> Position {
    actor.replica.pn_counter("likes").expect("a path").add(1).expect("it counts").position()
}

/// A damaged object holds up its log, and is counted once, however often it is read and whatever comes between.
#[test]
fn what_is_damaged_is_counted_once() {
    let mut stage = Stage::new(62, 2);
    let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
    like(&one);
    stage.pass(5);
    let away = stage.executor.world().now();
    two.links[0].unreachable(away..away + Duration::from_secs(30));
    let position = like(&one);
    stage.pass(5);
    let whole = stage.stores[0].image();
    assert!(stage.stores[0].damage(&format!("v1/log/one/{position}"), Damage::Flip(300)));
    assert_eq!(two.status().quarantined, []);
    stage.pass(60);
    assert_eq!((two.status().quarantined, two.count("likes")), (vec![("corrupt", 1)], 1));
    let away = stage.executor.world().now();
    two.links[0].unreachable(away..away + Duration::from_secs(30));
    stage.pass(90);
    assert_eq!(two.status().quarantined, [("corrupt", 1)]);
    stage.stores[0].restore(&whole);
    stage.pass(60);
    assert_eq!((two.status().quarantined, two.count("likes")), (vec![("corrupt", 1)], 2));
    assert_eq!(two.alarms(), []);
}

/// Each replica tells in its segments how far it has read, so everybody knows of every pair.
#[test]
fn how_far_others_have_read_is_known() {
    let mut stage = Stage::new(63, 3);
    let [one, two, three] = [stage.open("one", 0), stage.open("two", 1), stage.open("three", 2)];
    let of = |actor: &Actor, name: &str| actor.status().logs.into_iter().find(|log| log.replica.as_str() == name);
    // What `two` had read of `three` when it wrote, as `one` knows it.
    let told = || of(&one, "two")?.told.iter().find(|(name, _)| name.as_str() == "three").map(|(_, at)| *at);
    let mut before = None;
    for _ in 0..3 {
        let written = like(&three);
        assert_eq!(told(), before, "nobody can know of it yet");
        stage.pass(5);
        like(&two);
        stage.pass(5);
        assert!(
            told() >= Some(written) && told() <= of(&two, "three").and_then(|log| log.applied),
            "{:?} of {written}",
            told()
        );
        before = told();
    }
}
