//! What a replica counts for whoever looks after it: it says what has happened, once each.

use std::time::Duration;

use replica::{ErrorKind, Position, Resolution};
use sim::{Damage, Fault, Faults, Request};
use tests::stage::{Actor, Stage};

/// What came of the creates of which it was not known whether they had had their effect: made after all, found there, given up. In
/// the own bucket, or in that of the region which was added first.
fn resolved(actor: &Actor, bucket: usize) -> [u64; 3] {
    let resolved = &actor.status().regions[bucket].resolved;
    Resolution::ALL.map(|resolution| resolved.iter().find(|(of, _)| *of == resolution).map_or(0, |(_, count)| *count))
}

/// The answer is lost before the effect, or after it; the log goes on in both, and it is told which it was.
#[test]
fn what_came_of_an_unclear_create_is_counted() {
    let mut stage = Stage::new(61, 1);
    let one = stage.open("one", 0);
    one.add("likes", 1).expect("it counts");
    stage.pass(5);
    assert_eq!(resolved(&one, 0), [0; 3]);
    for (fault, expected) in [(Fault::Unsure, [1, 0, 0]), (Fault::AnswerLost, [1, 1, 0])] {
        one.links[0].meet(Request::Create, fault, 0);
        one.add("likes", 1).expect("it counts");
        let replica = one.replica.clone();
        stage.wait(async move { replica.flush().await }).expect("it is flushed");
        assert_eq!(resolved(&one, 0), expected, "{fault:?}");
    }
    // What is plainly refused or fails is none of them.
    one.links[0].meet(Request::Create, Fault::Throttled, 0);
    one.add("likes", 1).expect("it counts");
    stage.pass(10);
    assert_eq!((resolved(&one, 0), one.status().pending_bytes), ([1, 1, 0], 0));
}

/// Who declares a replica for gone seals its log where that can be done, and else goes on without.
#[test]
fn an_unclear_create_that_is_given_up_is_counted() {
    let mut stage = Stage::new(65, 2);
    let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
    like(&two);
    stage.pass(5);
    stage.crash(two);
    one.links[1].set_faults(Faults::none().with(Fault::Unsure, 1_000_000));
    let replica = one.replica.clone();
    let evicted = stage.wait(async move { replica.evict("two", None).await });
    assert!(evicted.is_ok_and(|evicted| !evicted.is_sealed));
    let [created, exists, given_up] = resolved(&one, 1);
    assert!(created == 0 && exists == 0 && given_up > 0, "{created} {exists} {given_up}");
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
    let told = || of(&one, "two")?.told.get(three.replica.name().id());
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

/// What the rules for alarms ask of, beyond where they ask for it, and back: `docs/alerts.yml`.
#[test]
fn what_the_rules_for_alarms_ask_of_comes_and_goes() {
    let mut stage = Stage::new(64, 2);
    let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
    let of = |actor: &Actor, name: &str| {
        actor.status().logs.into_iter().find(|log| log.replica.as_str() == name).expect("it is known")
    };
    let store_alarms = |actor: &Actor| actor.alarms().iter().filter(|kind| **kind == ErrorKind::Store).count();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let _first = [like(&one), like(&two)];
    stage.pass(10);

    // A bucket does not answer: for `ArchipelagoLag` and `ArchipelagoStore`, then `ArchipelagoLagLong`.
    let now = stage.executor.world().now();
    two.links[0].unreachable(now..now + minutes(7));
    stage.pass(90);
    assert!(of(&two, "one").answered > Some(minutes(1)) && store_alarms(&two) > 0);
    stage.pass(240);
    assert!(of(&two, "one").answered > Some(minutes(5)));
    stage.pass(120);
    let two_of_one = of(&two, "one");
    assert!(
        two_of_one.answered < Some(minutes(1)) && two_of_one.lag == Some(Duration::ZERO) && store_alarms(&two) == 0
    );

    // Its own does not: for `ArchipelagoPending`.
    let now = stage.executor.world().now();
    one.links[0].unreachable(now..now + minutes(2));
    let large = vec![7; 60_000];
    for number in 0..600_u32 {
        let text = [&number.to_le_bytes()[..], &large].concat();
        let _written = one.replica.or_set::<[u8]>("large").expect("a path").add(&text).expect("it is added");
    }
    stage.pass(60);
    assert!(one.status().pending_bytes > 32 << 20);
    stage.pass(240);
    assert_eq!(one.status().pending_bytes, 0);

    // A peer is away, so that nothing can be collected: for `ArchipelagoCollectionBlocked`.
    stage.crash(two);
    for _ in 0..20 {
        like(&one);
        stage.pass(60);
    }
    assert!(of(&one, "two").blocks > Some(minutes(5)), "{:?}", of(&one, "two"));
    let two = stage.open("two", 1);
    like(&two);
    for _ in 0..5 {
        like(&one);
        stage.pass(60);
    }
    assert_eq!(of(&one, "two").blocks, None);
    assert_eq!((one.alarms(), two.alarms()), (vec![], vec![]));
}
