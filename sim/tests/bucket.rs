//! The bucket's faults: each does what it says, and no more.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use replica::ports::{Bucket, BucketError, Created, Outcome};
use sim::{Damage, Executor, Fault, Faults, Gate, Image, Lists, Moment, SimBucket, Stop, Way};

const HOUR: Duration = Duration::from_secs(3_600);

/// What every request over a link with this fault meets, and the state of the store after.
fn always(fault: Fault) -> (Executor, SimBucket, SimBucket) {
    let executor = Executor::new(7);
    let sound = SimBucket::new(executor.world(), "sound", Faults::none());
    let faulty = sound.link("faulty", Faults::none().with(fault, 1_000_000));
    (executor, sound, faulty)
}

fn outcome<T: std::fmt::Debug>(result: Result<T, BucketError>) -> Outcome {
    result.expect_err("a fault").outcome
}

fn body() -> Bytes {
    Bytes::from_static(b"a body")
}

/// Runs a request of the link.
macro_rules! ask {
    ($executor:expr, $link:expr, $call:ident($($argument:expr),*)) => {{
        let link = $link.clone();
        $executor.run(HOUR, async move { link.$call($($argument),*).await }).unwrap()
    }};
}

#[test]
fn what_fails_or_is_throttled_has_no_effect() {
    for (fault, expected) in [(Fault::Failed, Outcome::Unavailable), (Fault::Throttled, Outcome::Throttled)] {
        let (mut executor, sound, faulty) = always(fault);
        assert_eq!(outcome(ask!(executor, faulty, create("a", body()))), expected);
        assert_eq!(outcome(ask!(executor, faulty, get("a"))), expected);
        assert_eq!(outcome(ask!(executor, faulty, list("", None, 9))), expected);
        assert_eq!(outcome(ask!(executor, faulty, folders(""))), expected);
        assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
        assert_eq!(sound.keys(), [""; 0]);
        assert_eq!(faulty.met(fault), 4);
        assert_eq!(sound.met(fault), 0);
    }
}

#[test]
fn a_lost_answer_is_indeterminate_and_the_repetition_finds_its_own() {
    let (mut executor, sound, faulty) = always(Fault::AnswerLost);
    assert_eq!(outcome(ask!(executor, faulty, create("a", body()))), Outcome::Indeterminate);
    assert_eq!(sound.peek("a"), Some(body()));
    faulty.set_faults(Faults::none());
    assert_eq!(ask!(executor, faulty, create("a", body())).unwrap(), Created::Exists);
}

#[test]
fn a_late_effect_comes_once_after_its_answer() {
    let (mut executor, sound, faulty) = always(Fault::Late);
    assert_eq!(outcome(ask!(executor, faulty, create("a", body()))), Outcome::Indeterminate);
    assert_eq!(sound.keys(), [""; 0]);
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
    assert_eq!(sound.keys(), ["a"]);
    assert_eq!(outcome(ask!(executor, faulty, delete("a"))), Outcome::Indeterminate);
    assert_eq!(sound.keys(), ["a"]);
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
    assert_eq!(sound.keys(), [""; 0]);
}

#[test]
fn a_dropped_create_lands_late_or_not_at_all() {
    let mut landed = 0;
    for seed in 0..200 {
        let mut executor = Executor::new(seed);
        let bucket = SimBucket::new(executor.world(), "b", Faults::none());
        let region = executor.region("eu");
        let link = bucket.clone();
        executor.spawn(region, async move { link.create("a", body()).await });
        assert_eq!(executor.run_until(Duration::from_millis(1)), Stop::Reached);
        let before = bucket.keys().len();
        executor.crash(region);
        assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
        landed += bucket.keys().len() - before;
    }
    assert!((60..140).contains(&landed), "about half: {landed}");
}

#[test]
fn a_repeating_library_reports_its_own_object_as_there() {
    let (mut executor, sound, faulty) = always(Fault::OwnExists);
    assert_eq!(ask!(executor, faulty, create("a", body())).unwrap(), Created::Exists);
    assert_eq!(sound.peek("a"), Some(body()));
}

#[test]
fn what_is_read_can_be_short_or_flipped_and_the_store_is_whole() {
    for fault in [Fault::Truncated, Fault::Flipped] {
        let (mut executor, sound, faulty) = always(fault);
        ask!(executor, sound, create("a", body())).unwrap();
        let mut other = 0;
        for _ in 0..20 {
            let read = ask!(executor, faulty, get("a")).unwrap().unwrap();
            other += u32::from(read != body());
            let bits: u32 = read.iter().zip(&body()).map(|(read, is)| (read ^ is).count_ones()).sum();
            assert_eq!(bits, u32::from(fault == Fault::Flipped));
        }
        assert!(other > 10, "{other}");
        assert_eq!(sound.peek("a"), Some(body()));
    }
}

#[test]
fn damage_at_rest_stays() {
    let (mut executor, sound, _) = always(Fault::Failed);
    ask!(executor, sound, create("a", body())).unwrap();
    assert!(sound.damage("a", Damage::Truncate(2)) && !sound.damage("b", Damage::Truncate(2)));
    assert_eq!(ask!(executor, sound, get("a")).unwrap().as_deref(), Some(&b"a "[..]));
    assert!(sound.damage("a", Damage::Flip(1)));
    assert_eq!(ask!(executor, sound, get("a")).unwrap().as_deref(), Some(&b"c "[..]));
}

#[test]
fn a_stale_list_is_one_of_some_time_ago() {
    let (mut executor, sound, faulty) = always(Fault::StaleList);
    ask!(executor, sound, create("log/a/0", body())).unwrap();
    executor.pass(Duration::from_secs(100));
    ask!(executor, sound, create("log/b/1", body())).unwrap();
    ask!(executor, sound, delete("log/a/0")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let page = ask!(executor, faulty, list("log/", None, 9)).unwrap();
        seen.insert(page.objects.iter().map(|stored| stored.key.clone()).collect::<Vec<_>>());
        let folders = ask!(executor, faulty, folders("log/")).unwrap();
        assert!(folders == ["a"] || folders == ["b"] || folders == ["a", "b"] || folders.is_empty(), "{folders:?}");
    }
    assert!(seen.contains(&vec!["log/a/0".to_owned()]), "{seen:?}");
    executor.pass(Duration::from_secs(100));
    let page = ask!(executor, faulty, list("log/", None, 9)).unwrap();
    assert_eq!(page.objects[0].key, "log/b/1", "in the end it is true");
}

#[test]
fn an_unreachable_link_is_one_party_s_alone() {
    let (mut executor, sound, other) = always(Fault::Failed);
    other.set_faults(Faults::none());
    other.unreachable(Duration::ZERO..Duration::from_secs(10));
    ask!(executor, sound, create("a", body())).unwrap();
    assert_eq!(outcome(ask!(executor, other, get("a"))), Outcome::Unavailable);
    assert_eq!(outcome(ask!(executor, other, create("b", body()))), Outcome::Unavailable);
    assert!(other.met(Fault::Unreachable) > 0);
    executor.pass(Duration::from_secs(10));
    assert_eq!(ask!(executor, other, get("a")).unwrap(), Some(body()));
    assert_eq!(sound.keys(), ["a"]);
}

#[test]
fn an_answer_that_meets_the_cut_leaves_a_create_indeterminate() {
    let mut indeterminate = 0;
    for seed in 0..100 {
        let mut executor = Executor::new(seed);
        let bucket = SimBucket::new(executor.world(), "b", Faults::none());
        bucket.unreachable(Duration::from_millis(20)..HOUR);
        match ask!(executor, bucket, create("a", body())) {
            Ok(created) => assert_eq!((created, bucket.keys().len()), (Created::New, 1)),
            Err(error) if error.outcome == Outcome::Indeterminate => {
                assert_eq!(bucket.keys(), ["a"]);
                indeterminate += 1;
            }
            Err(error) => assert_eq!((error.outcome, bucket.keys().len()), (Outcome::Unavailable, 0)),
        }
    }
    assert!(indeterminate > 10, "{indeterminate}");
}

#[test]
fn a_store_goes_back_to_an_image_or_to_nothing() {
    let (mut executor, sound, _) = always(Fault::Failed);
    ask!(executor, sound, create("a", body())).unwrap();
    let yesterday = sound.image();
    ask!(executor, sound, create("b", body())).unwrap();
    sound.restore(&yesterday);
    assert_eq!(sound.keys(), ["a"]);
    sound.restore(&Image::default());
    assert_eq!(sound.keys(), [""; 0]);
    assert_eq!(ask!(executor, sound, create("a", body())).unwrap(), Created::New);
}

#[test]
fn requests_and_bytes_are_counted() {
    let (mut executor, sound, _) = always(Fault::Failed);
    ask!(executor, sound, create("a/b", body())).unwrap();
    ask!(executor, sound, get("a/b")).unwrap();
    ask!(executor, sound, get_range("a/b", 0, 2)).unwrap();
    ask!(executor, sound, list("", None, 1)).unwrap();
    assert_eq!(ask!(executor, sound, folders("")).unwrap(), ["a"]);
    ask!(executor, sound, delete("a/b")).unwrap();
    let counted = sound.requests();
    assert_eq!(
        [counted.creates, counted.gets, counted.ranges, counted.lists, counted.folders, counted.deletes],
        [1; 6]
    );
    assert_eq!((counted.sent, counted.received), (6, 8));
}

#[test]
fn of_tasks_that_create_one_key_one_wins() {
    let mut executor = Executor::new(3);
    let bucket = Arc::new(SimBucket::new(executor.world(), "b", Faults::none()));
    let region = executor.region("eu");
    let joins: Vec<_> = (0..64)
        .map(|_| {
            let bucket = Arc::clone(&bucket);
            executor.spawn(region, async move { bucket.create("a", body()).await.unwrap() })
        })
        .collect();
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
    assert_eq!(joins.iter().filter(|join| join.take() == Some(Created::New)).count(), 1);
}

#[test]
fn a_conflict_and_a_failure_without_a_word_have_no_effect() {
    for (fault, expected) in [(Fault::Conflict, Outcome::Unavailable), (Fault::Unsure, Outcome::Indeterminate)] {
        let (mut executor, sound, faulty) = always(fault);
        assert_eq!(outcome(ask!(executor, faulty, create("a", body()))), expected);
        assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
        assert_eq!(sound.keys(), [""; 0]);
        assert_eq!(ask!(executor, faulty, get("a")).unwrap(), None, "reads do not meet it");
    }
}

#[test]
fn a_read_can_answer_with_another_object_s_body() {
    let (mut executor, sound, faulty) = always(Fault::WrongBody);
    ask!(executor, sound, create("a", body())).unwrap();
    assert_eq!(ask!(executor, faulty, get("a")).unwrap(), Some(body()), "there is no other one");
    ask!(executor, sound, create("b", Bytes::from_static(b"other"))).unwrap();
    assert_eq!(ask!(executor, faulty, get("a")).unwrap().as_deref(), Some(&b"other"[..]));
    assert_eq!(ask!(executor, faulty, get("c")).unwrap(), None);
}

#[test]
fn lists_can_leave_keys_out_and_name_ghosts_where_they_may() {
    let keys = |page: replica::ports::Page| page.objects.into_iter().map(|stored| stored.key).collect::<Vec<_>>();
    let (mut executor, sound, partial) = always(Fault::PartialList);
    let ghosts = sound.link("ghosts", Faults::none().with(Fault::GhostKeys, 1_000_000));
    let believed =
        sound.link("believed", Faults::none().with(Fault::PartialList, 1_000_000)).with_lists(|_| Lists::Sound);
    let blind = sound.link("blind", Faults::none()).with_lists(|_| Lists::Empty);
    for key in ["log/a/0", "log/b/0", "log/c/0"] {
        ask!(executor, sound, create(key, body())).unwrap();
    }
    let mut counts = std::collections::BTreeSet::new();
    for _ in 0..40 {
        counts.insert(keys(ask!(executor, partial, list("log/", None, 9)).unwrap()).len());
        assert_eq!(keys(ask!(executor, believed, list("log/", None, 9)).unwrap()).len(), 3);
    }
    assert!(counts.len() > 2, "{counts:?}");
    ask!(executor, sound, delete("log/b/0")).unwrap();
    assert_eq!(keys(ask!(executor, ghosts, list("log/", None, 9)).unwrap()), ["log/a/0", "log/b/0", "log/c/0"]);
    assert_eq!(ask!(executor, ghosts, folders("log/")).unwrap(), ["a", "b", "c"]);
    assert_eq!(ask!(executor, ghosts, get("log/b/0")).unwrap(), None);
    assert_eq!(keys(ask!(executor, blind, list("log/", None, 9)).unwrap()), [""; 0]);
}

#[test]
fn a_bucket_can_be_away_one_way() {
    let (mut executor, sound, other) = always(Fault::Failed);
    other.set_faults(Faults::none());
    sound.away(Way::Reads, Duration::ZERO..Duration::from_secs(10));
    ask!(executor, other, create("a", body())).unwrap();
    assert_eq!(outcome(ask!(executor, other, get("a"))), Outcome::Unavailable);
    executor.pass(Duration::from_secs(10));
    sound.away(Way::Writes, Duration::ZERO..HOUR);
    assert_eq!(ask!(executor, other, get("a")).unwrap(), Some(body()));
    assert_eq!(outcome(ask!(executor, other, create("b", body()))), Outcome::Unavailable);
    sound.back();
    ask!(executor, other, create("b", body())).unwrap();
}

#[test]
fn a_process_ends_at_a_request_before_or_after_its_effect() {
    for after in [false, true] {
        let mut executor = Executor::new(5);
        let (bucket, gate) = (SimBucket::new(executor.world(), "b", Faults::none()), Gate::default());
        let (region, link) = (executor.region("eu"), bucket.link("eu", Faults::none()).behind(&gate));
        gate.end_at(Moment::Manifest, 1, after);
        let work = gate.guard(async move {
            for slot in 0..4 {
                link.create(&format!("v1/snap/eu/{slot}"), body()).await.unwrap();
            }
        });
        let join = executor.spawn(region, work);
        assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
        assert_eq!(bucket.keys().len(), if after { 2 } else { 1 });
        assert_eq!((gate.ended(), join.take()), (Some(Moment::Manifest), Some(None)));
    }
}

#[test]
fn a_frozen_process_goes_on_where_it_was() {
    let mut executor = Executor::new(5);
    let (bucket, gate) = (SimBucket::new(executor.world(), "b", Faults::none()), Gate::default());
    let (region, link) = (executor.region("eu"), bucket.link("eu", Faults::none()));
    let work =
        gate.guard(async move { link.create("a", body()).await.is_ok() && link.create("b", body()).await.is_ok() });
    let join = executor.spawn(region, work);
    gate.freeze();
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 1 });
    assert_eq!(bucket.keys(), [""; 0]);
    gate.thaw();
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
    assert_eq!(join.take(), Some(Some(true)));
    assert_eq!(bucket.keys(), ["a", "b"]);
}
