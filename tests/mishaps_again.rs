//! More mishaps: what a second review has found in how the first were mended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crdt_core::{DotSource, Kind, ReplicaId, Timestamp};
use replica::{
    ErrorKind, MarkValue, Replica, blocking,
    key::ObjectKey,
    keyspace::{Change, Keyspace, Mark},
};
use sim::Image;
use store_object::MemoryBucket;
use tests::stage::{Stage, slow_link};

/// A second process takes the name over and writes nothing; a peer has read its seal. The first was fenced, and nothing is lost.
#[test]
fn an_idle_process_fenced_by_a_quiet_successor_is_told_so() {
    let mut stage = Stage::new(61, 2);
    let first = stage.open("one", 0);
    let peer = stage.open("two", 1);
    first.add("likes", 1).expect("it counts");
    stage.pass(5);
    let second = stage.open("one", 0);
    stage.pass(5);
    peer.add("likes", 1).expect("it counts");
    stage.pass(5);
    assert_eq!((first.ended(), second.ended()), (Some(ErrorKind::Fenced), None));
}

/// An operator names a replica in the wrong region. A second log of its name would be taken for the first one, and not be read.
#[test]
fn a_name_whose_log_is_in_another_region_is_not_opened() {
    let mut stage = Stage::new(65, 3);
    let [one, other] = [stage.open("one", 0), stage.open("other", 2)];
    one.add("likes", 1).expect("it counts");
    stage.pass(5);
    let refused = stage.try_open_with("one", 1, |_| {}, |_| {}).expect_err("its log is elsewhere");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().ends_with("replica=one region=region-0"), "{refused}");
    assert!(stage.stores[1].keys().is_empty(), "nothing was written");
    assert!(stage.try_open_with("two", 1, |_| {}, |_| {}).is_ok(), "any other name is free there");
    stage.crash(one);
    let one = stage.open("one", 0);
    stage.pass(5);
    assert_eq!((one.count("likes"), other.count("likes")), (1, 1));
}

/// The bucket was emptied, and the peer is out of reach while its replica is opened again: with the peer's log there to be read,
/// and with a snapshot in its place.
#[test]
fn an_emptied_bucket_is_lost_history_also_when_it_is_found_late() {
    for snapshots in [false, true] {
        let mut stage = Stage::new(62, 2);
        stage.settings.catch_up = Duration::from_secs(2);
        if !snapshots {
            stage.settings.snapshot_interval = Duration::from_secs(100_000);
        }
        let [one, peer] = [stage.open("one", 0), stage.open("two", 1)];
        stage.count_on(&[&one, &peer], "likes", 5, 5);
        stage.crash(one);
        stage.stores[0].restore(&Image::default());
        let now = stage.executor.world().now();
        let dark = now..now + Duration::from_secs(20);
        let one = stage.try_open_with("one", 0, |links| links[1].unreachable(dark), |_| {}).expect("it opens");
        stage.pass(120);
        assert_eq!(one.ended(), Some(ErrorKind::LostHistory), "snapshots: {snapshots}");
        assert_eq!((peer.count("likes"), peer.ended()), (10, None));
    }
}

/// The same with a bucket that was put back to what it was.
#[test]
fn a_rolled_back_bucket_is_lost_history_also_when_it_is_found_late() {
    let mut stage = Stage::new(63, 2);
    stage.settings.catch_up = Duration::from_secs(2);
    stage.settings.snapshot_interval = Duration::from_secs(100_000);
    let [one, peer] = [stage.open("one", 0), stage.open("two", 1)];
    one.add("likes", 1).expect("it counts");
    stage.pass(5);
    stage.crash(one);
    let image = stage.stores[0].image();
    let one = stage.open("one", 0);
    one.add("likes", 1).expect("it counts");
    stage.pass(5);
    peer.add("likes", 1).expect("it counts");
    stage.pass(5);
    stage.crash(one);
    stage.stores[0].restore(&image);
    let now = stage.executor.world().now();
    let dark = now..now + Duration::from_secs(20);
    let one = stage.try_open_with("one", 0, |links| links[1].unreachable(dark), |_| {}).expect("it opens");
    stage.pass(120);
    assert_eq!(one.ended(), Some(ErrorKind::LostHistory));
}

fn marks(who: u32, count: u32) -> Vec<Mark> {
    let mark = |number| Mark {
        name: format!("{who:08}-{number:08}-{}", "x".repeat(900)).into_bytes().into(),
        value: MarkValue::Number(1),
        time: Timestamp::from_millis(1),
    };
    (0..count).map(mark).collect()
}

fn counter(path: &str) -> ObjectKey {
    ObjectKey::new(path, Kind::PnCounter).expect("a path")
}

/// Threads make as many marks as there is room for, at once: only what makes a new one is refused then.
#[test]
fn marks_made_at_once_stay_within_their_bound() {
    let keyspace = Keyspace::new(DotSource::new(ReplicaId::named("ann"), 1), 7, 64);
    let made: usize = std::thread::scope(|scope| {
        let make = |who: u32| {
            let keyspace = &keyspace;
            scope.spawn(move || {
                let key = counter(&format!("path/{who}"));
                let batch =
                    |round| keyspace.batch(&[(key.clone(), Change::Count(1))], &marks(100 * who + round, 1_000));
                (0..30).filter(|round| batch(*round).is_ok()).count()
            })
        };
        let threads: Vec<_> = (0..3).map(make).collect();
        let cutter = scope.spawn(|| (0..2_000).for_each(|_| drop(keyspace.cut())));
        let made = threads.into_iter().map(|thread| thread.join().expect("it ends")).sum();
        cutter.join().expect("it ends");
        made
    });
    assert!(made <= 34, "{made} thousand marks of some 980 bytes");
    assert!(keyspace.batch(&[(counter("b"), Change::Count(1))], &[]).is_ok());
}

/// Recovery brings more marks than there is room for: those of a snapshot, and those of the log behind it.
#[test]
fn marks_that_came_back_do_not_stop_other_batches() {
    let keyspace = Keyspace::new(DotSource::new(ReplicaId::named("ann"), 1), 7, 64);
    let many = marks(1, 36_000);
    keyspace.learn_marks(&many);
    assert!(keyspace.batch(&[(counter("b"), Change::Count(1))], &many[..1]).is_ok(), "it is no new one");
    assert!(keyspace.batch(&[(counter("b"), Change::Count(1))], &[]).is_ok());
    assert!(keyspace.batch(&[(counter("b"), Change::Count(1))], &marks(2, 1)).is_err());
}

/// Somebody flushes while a counter overflows again and again: every flush ends.
#[test]
fn a_flush_beside_an_overflow_ends() {
    let replica = blocking::Replica::open(Replica::builder("eu", MemoryBucket::new())).expect("it opens");
    let full = replica.g_counter("g").expect("a path");
    let _full = full.add(u64::MAX).expect("it counts");
    replica.flush().expect("it is flushed");
    let stop = Arc::<AtomicBool>::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(full.add(1).is_err());
            }
        });
        (0..100_000).for_each(|_| replica.flush().expect("it is flushed"));
        stop.store(true, Ordering::Relaxed);
    });
}

/// The snapshot of a peer is damaged while its log is whole. A new replica reads the log, and rests.
#[test]
fn a_damaged_snapshot_does_not_keep_a_new_replica_busy() {
    let mut requests = Vec::new();
    for is_damaged in [false, true] {
        let mut stage = Stage::new(64, 2);
        stage.settings.catch_up = Duration::from_secs(5);
        stage.settings.discovery_interval = Duration::from_secs(300);
        stage.settings.retention = Duration::from_secs(1_000_000);
        let one = stage.open("one", 0);
        stage.count_on(&[&one], "likes", 20, 4);
        stage.pass(20);
        if is_damaged {
            let newest = stage.stores[0].keys().into_iter().filter(|key| key.contains("/snap/one/")).max();
            assert!(stage.stores[0].damage(&newest.expect("a snapshot"), sim::Damage::Flip(400)));
        }
        // It compares its own snapshots with that of the peer in each interval, which is not what is counted here.
        stage.settings.snapshot_interval = Duration::from_secs(1_000);
        let two = stage.try_open_with("two", 1, |links| links[0].set_faults(slow_link()), |_| {}).expect("it opens");
        stage.pass(200);
        assert_eq!((two.count("likes"), two.alarms()), (20, vec![]), "damaged: {is_damaged}");
        let before = two.links[0].requests();
        stage.pass(100);
        let after = two.links[0].requests();
        requests.push((after.gets - before.gets, after.lists - before.lists));
    }
    assert!(requests[1].1 <= requests[0].1 + 10, "{requests:?}");
}

/// A new replica is stopped and opened again before it has read what its peers hold: it still says so.
#[test]
fn a_new_replica_that_is_opened_again_still_says_that_it_is_new() {
    let mut stage = Stage::new(66, 2);
    stage.settings.discovery_interval = Duration::from_secs(300);
    stage.settings.max_lag = Duration::from_secs(5);
    let one = stage.open("one", 0);
    stage.count_on(&[&one], "likes", 20, 4);
    stage.settings.catch_up = Duration::from_secs(5);
    for _ in 0..2 {
        let two = stage.try_open_with("two", 1, |links| links[0].set_faults(slow_link()), |_| {}).expect("it opens");
        assert_eq!((two.count("likes"), two.alarms()), (0, vec![ErrorKind::Store]));
        stage.crash(two);
    }
}
