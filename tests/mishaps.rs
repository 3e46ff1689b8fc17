//! Mishaps: what a review has found, told with whole replicas. Each of them went wrong once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_lite::future;
use replica::{
    ErrorKind, MarkValue,
    ports::{Answer, Bucket, Hint, Hints},
};
use sim::{Faults, SimClock};
use tests::stage::{Actor, Stage, builder, slow_link};

/// A counter has reached its end while nothing else waits. What is written next is flushed all the same.
#[test]
fn an_overflow_does_not_stop_the_flush() {
    let mut stage = Stage::new(41, 1);
    let one = stage.open("one", 0);
    let counter = one.replica.g_counter("g").expect("a path");
    let _full = counter.add(u64::MAX).expect("it counts");
    stage.pass(5);
    assert_eq!(counter.add(1).expect_err("it overflows").kind(), ErrorKind::Invalid);
    assert_eq!(one.status().pending_bytes, 0, "nothing was changed");
    one.add("likes", 1).expect("it counts");
    stage.pass(5);
    assert_eq!(one.status().pending_bytes, 0);
    let replica = one.replica.clone();
    stage.wait(async move { replica.flush().await }).expect("it is flushed");
}

/// A counter was deleted in the segment in which it was full, and lives on in it. A batch that counts on it is all or nothing.
#[test]
fn a_batch_on_a_counter_that_just_died_is_all_or_nothing() {
    let mut stage = Stage::new(42, 1);
    let one = stage.open("one", 0);
    let _full = one.replica.g_counter("g").expect("a path").add(u64::MAX).expect("it counts");
    let _deleted = one.replica.delete("g").expect("it is deleted");
    let outcome = one.replica.batch(|batch| {
        batch.pn_counter("a").add(1);
        batch.g_counter("g").add(1);
        Ok(())
    });
    assert_eq!(outcome.is_ok(), one.count("a") == 1);
    stage.pass(5);
    let _new = one.replica.g_counter("g").expect("a path").add(1).expect("a new life begins in a new segment");
}

/// Two regions are down. The third flushes as fast as ever.
#[test]
fn regions_that_are_down_do_not_delay_the_flush() {
    let mut stage = Stage::new(43, 3);
    stage.settings.catch_up = Duration::from_secs(5);
    stage.settings.discovery_interval = Duration::from_secs(7);
    let one = stage.open("one", 0);
    let (_two, _three) = (stage.open("two", 1), stage.open("three", 2));
    stage.pass(5);
    let now = stage.executor.world().now();
    one.links[1..].iter().for_each(|link| link.unreachable(now..now + Duration::from_secs(3_600)));
    for _ in 0..60 {
        let began = stage.executor.world().now();
        let written = one.replica.pn_counter("likes").expect("a path").add(1).expect("it counts");
        stage.wait(async move { written.durable().await }).expect("it is written");
        let took = stage.executor.world().now() - began;
        assert!(took < Duration::from_secs(1), "{took:?}");
        stage.pass(1);
    }
}

/// Two processes have one name, and the first writes nothing. It hears of it from a peer, and says what happened.
#[test]
fn an_idle_process_that_was_fenced_is_told_so() {
    let mut stage = Stage::new(45, 2);
    let first = stage.open("one", 0);
    let peer = stage.open("two", 1);
    first.add("likes", 1).expect("it counts");
    stage.pass(5);
    let second = stage.open("one", 0);
    second.add("likes", 1).expect("it counts");
    stage.pass(5);
    peer.add("likes", 1).expect("it counts");
    stage.pass(5);
    assert_eq!(first.ended(), Some(ErrorKind::Fenced));
    assert_eq!((second.status().ended, second.count("likes")), (None, 3));
}

/// A process that was fenced and does not know it takes nothing away from its successor.
#[test]
fn a_fenced_process_does_not_collect_what_its_successor_keeps() {
    let mut stage = Stage::new(46, 1);
    let write = |stage: &mut Stage, actor: &Actor| {
        stage.count_on(&[actor], "likes", 5, 4);
        stage.pass(30);
    };
    let first = stage.open("one", 0);
    write(&mut stage, &first);
    let second = stage.open("one", 0);
    write(&mut stage, &second);
    let there: Vec<_> = stage.stores[0].keys().into_iter().filter(|key| key.contains("/snap/")).collect();
    let kept = second.status().snapshots;
    assert_eq!(kept.len(), 2);
    for position in kept {
        let name = format!("{:08x}-{:08x}", position.epoch(), position.slot());
        assert!(there.iter().any(|key| key.ends_with(&name)), "{name} is gone: {there:?}");
    }
}

/// A mark was made while the clock was a year ahead. The next one replaces it all the same.
#[test]
fn a_mark_replaces_the_one_before_whatever_the_clock_was() {
    const YEAR_MS: i64 = 365 * 86_400_000;
    let mut stage = Stage::new(47, 1);
    let mark = |actor: &Actor, number: u64| {
        let batch = actor.replica.batch(|batch| {
            batch.pn_counter("lines").add(1);
            batch.mark("offset", MarkValue::Number(number));
            Ok(())
        });
        let _written = batch.expect("it is ingested");
    };
    let one = stage.try_open_with("one", 0, |_| {}, |clock| clock.set_offset_ms(YEAR_MS)).expect("it opens");
    mark(&one, 1);
    stage.pass(5);
    stage.crash(one);
    for number in 2..4 {
        let one = stage.open("one", 0);
        mark(&one, number);
        assert_eq!(one.replica.mark("offset").expect("it was made").value, MarkValue::Number(number));
        stage.pass(5);
        stage.crash(one);
        let one = stage.open("one", 0);
        assert_eq!(one.replica.mark("offset").expect("it was made").value, MarkValue::Number(number));
        assert_eq!(one.count("lines"), i128::from(number));
        stage.crash(one);
    }
}

/// What was missed was collected meanwhile. Catching up looks for it, and does not say that all is there before it is.
#[test]
fn catching_up_past_a_collected_slot_is_complete() {
    let mut stage = Stage::new(48, 2);
    stage.settings.max_lag = Duration::from_secs(10);
    stage.settings.discovery_interval = Duration::from_secs(300);
    let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
    one.add("likes", 1).expect("it counts");
    two.add("x", 1).expect("it counts");
    stage.pass(10);
    stage.crash(two);
    stage.count_on(&[&one], "likes", 40, 3);
    let two = stage.open("two", 1);
    let replica = two.replica.clone();
    assert!(stage.wait(async move { replica.catch_up().await }));
    assert_eq!(two.count("likes"), 41);
}

/// A region does not answer: catching up says that something may be missing.
#[test]
fn catching_up_without_a_region_is_not_complete() {
    let mut stage = Stage::new(49, 2);
    let [one, _two] = [stage.open("one", 0), stage.open("two", 1)];
    let now = stage.executor.world().now();
    one.links[1].unreachable(now..now + Duration::from_secs(100));
    let replica = one.replica.clone();
    assert!(!stage.wait(async move { replica.catch_up().await }));
    stage.pass(200);
    let replica = one.replica.clone();
    assert!(stage.wait(async move { replica.catch_up().await }));
}

/// Reading the snapshot of a peer takes longer than opening may. A new replica goes on with it, and says so until it has it.
#[test]
fn a_snapshot_that_takes_long_is_read_in_the_background() {
    let mut stage = Stage::new(50, 2);
    stage.settings.catch_up = Duration::from_secs(5);
    stage.settings.discovery_interval = Duration::from_secs(300);
    stage.settings.max_lag = Duration::from_secs(5);
    let one = stage.open("one", 0);
    stage.count_on(&[&one], "likes", 20, 4);
    let two = stage.try_open_with("two", 1, |links| links[0].set_faults(slow_link()), |_| {}).expect("it opens");
    assert_eq!((two.count("likes"), two.alarms()), (0, vec![ErrorKind::Store]));
    stage.pass(60);
    assert_eq!((two.count("likes"), two.alarms()), (20, vec![]));
}

/// A replica catches up by hand, several times at once, while its background does too and a peer is opened anew.
#[test]
fn catching_up_while_a_peer_is_opened_raises_no_alarm() {
    for seed in 0..40 {
        let mut stage = Stage::new(seed, 2);
        let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
        one.add("likes", 1).expect("it counts");
        two.add("likes", 1).expect("it counts");
        stage.pass(5);
        stage.crash(two);
        let two = stage.open("two", 1);
        two.add("likes", 1).expect("it counts");
        let (first, second) = (one.replica.clone(), one.replica.clone());
        let complete = stage.wait(async move { future::zip(first.catch_up(), second.catch_up()).await });
        assert_eq!((complete, one.alarms()), ((true, true), vec![]), "seed {seed}");
        stage.pass(10);
        assert_eq!(one.count("likes"), 3);
    }
}

/// Objects that are not ours lie between the segments, under names that are numbers or begin as one.
#[test]
fn foreign_objects_in_an_epoch_are_left_alone() {
    for name in ["cafe", "notes", "1", "+2", "0000000G", "ffffffff0"] {
        let mut stage = Stage::new(52, 2);
        let one = stage.open("one", 0);
        one.add("likes", 1).expect("it counts");
        stage.pass(5);
        let newest = stage.stores[0].keys().into_iter().filter(|key| key.contains("/log/one/")).max();
        let newest = newest.expect("there is a log");
        let (folder, _) = newest.rsplit_once('/').expect("it is in an epoch");
        let (store, foreign) = (stage.stores[0].clone(), format!("{folder}/{name}"));
        let made = stage.wait(async move { store.create(&foreign, Bytes::from_static(b"hello")).await.is_ok() });
        assert_eq!(made, name != "+2", "{name}");
        stage.crash(one);
        let one = stage.open("one", 0);
        assert_eq!((one.count("likes"), one.alarms()), (1, vec![]), "{name}");
    }
}

/// Hints from a list, then none.
#[derive(Clone, Debug)]
struct Listed(Arc<Mutex<VecDeque<String>>>);

impl Hints for Listed {
    fn next(&self) -> Answer<'_, Hint> {
        Box::pin(async {
            let key = self.0.lock().expect("not poisoned").pop_front();
            match key {
                Some(key) => Hint { key: Some(key), receipt: 0 },
                None => future::pending().await,
            }
        })
    }

    fn done(&self, _: Hint) -> Answer<'_, ()> {
        Box::pin(future::ready(()))
    }
}

/// Hints speak of a replica that there is not, and of a position that nobody has reached. Nothing waits for either.
#[test]
fn a_wrong_hint_changes_nothing() {
    let mut requests = Vec::new();
    for key in [None, Some("v1/log/two/ffffffff/00000000"), Some("v1/log/nobody/00000001/00000000")] {
        let mut stage = Stage::new(53, 2);
        stage.settings.max_lag = Duration::from_secs(100_000);
        let two = stage.open("two", 1);
        let world = stage.executor.world().clone();
        let clock = SimClock::new(&world);
        let links: Vec<_> = stage.stores.iter().map(|store| store.link("one", Faults::none())).collect();
        let hints = Listed(Arc::new(Mutex::new(key.map(str::to_owned).into_iter().collect())));
        let builder = builder("one", 0, &links, &clock, &world, 77).settings(stage.settings.clone()).hints(hints);
        let one = stage.wait(async move { builder.open().await }).expect("it opens");
        let place = stage.executor.region("one");
        let background = one.clone();
        stage.executor.spawn(place, async move { background.run().await });
        for _ in 0..20 {
            let _written = one.pn_counter("likes").expect("a path").add(1).expect("it counts");
            two.add("likes", 1).expect("it counts");
            stage.pass(4);
        }
        stage.pass(60);
        let before = links[1].requests();
        stage.pass(60);
        let after = links[1].requests();
        let log = stage.stores[0].keys().iter().filter(|key| key.contains("/log/")).count();
        assert!(log < 12, "{key:?}: {log} objects in the own log");
        assert!(
            one.status().logs.iter().all(|log| log.lag == Some(Duration::ZERO)),
            "{key:?}: {:?}",
            one.status().logs
        );
        requests.push((after.gets - before.gets, after.lists - before.lists));
    }
    let (gets, lists) = requests[0];
    assert!(requests.iter().all(|(g, l)| *g <= gets + 5 && *l <= lists + 5), "{requests:?}");
}

/// A change that needs more room than is left in a segment that is not nearly full has it cut, and goes into the next.
#[test]
fn a_large_batch_behind_small_changes_ends() {
    let mut stage = Stage::new(54, 1);
    let one = stage.open("one", 0);
    let register = one.replica.lww_register::<[u8]>("large").expect("a path");
    let _written = register.set(&vec![7; 1_000_000]).expect("it is set");
    let batch = one.replica.batch(|batch| {
        (0..110_000).for_each(|number| {
            batch.pn_counter(&format!("{number:010}")).add(1);
        });
        Ok(())
    });
    let _written = batch.expect("it is taken");
    stage.pass(10);
    assert_eq!((one.status().pending_bytes, one.replica.scan("").count()), (0, 110_001));
}
