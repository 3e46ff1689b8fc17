//! Running it: ingesting, looking on, closing, bursts and limits, told with whole replicas.
//!
//! Each begins with what an operator or a service does, and ends with what must be true for all that.

use std::time::Duration;

use replica::{
    ErrorKind, LogStatus, Position,
    log::{Keys, MacKey, decode_manifest, encode_manifest},
    ports::{Bucket, Created},
};
use sim::Random;
use tests::stage::{Actor, Stage};

/// An ingester is killed again and again. It begins where its mark says, and nothing is counted twice or left out.
#[test]
fn what_is_ingested_with_a_mark_is_ingested_once() {
    use replica::MarkValue;
    let mut stage = Stage::new(14, 1);
    for life in 0..20 {
        let ingester = stage.open("ingester", 0);
        let begin = ingester.replica.mark("offset").map_or(0, |mark| match mark.value {
            MarkValue::Number(offset) => offset,
            MarkValue::Hash(_) => panic!("it is a number"),
        });
        assert_eq!(ingester.count("lines"), i128::from(begin), "life {life}");
        for offset in begin + 1..begin + 30 {
            let batch = ingester.replica.batch(|batch| {
                batch.pn_counter("lines").add(1);
                batch.mark("offset", MarkValue::Number(offset));
                Ok(())
            });
            let _written = batch.expect("it is ingested");
            stage.executor.pass(Duration::from_millis(40 + 7 * life));
        }
        stage.crash(ingester);
    }
    let lines = stage.open("ingester", 0).count("lines");
    assert!(lines > 300, "{lines}");
}

/// Somebody looks on, under the name of a replica that is running: nobody is fenced, and nothing is written.
#[test]
fn an_observer_sees_everything_and_touches_nothing() {
    let mut stage = Stage::new(15, 2);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    stage.count_on(&[&first, &second], "likes", 10, 3);
    let keys = stage.stores[0].keys();
    let (clock, world) = (first.clock.clone(), stage.executor.world().clone());
    let builder = tests::stage::builder("first", 0, &stage.stores, &clock, &world, 99).settings(stage.settings.clone());
    let observer = stage.wait(async move { builder.observe().await }).expect("it looks on");
    assert_eq!(stage.stores[0].keys(), keys);
    assert_eq!(observer.pn_counter("likes").expect("a path").value(), 20);
    let place = stage.executor.region("observer");
    let background = observer.clone();
    stage.executor.spawn(place, async move { background.run().await });
    first.add("likes", 1).expect("it is not fenced");
    stage.pass(10);
    assert_eq!(observer.pn_counter("likes").expect("a path").value(), 21);
    let refused = observer.pn_counter("likes").expect("a path").add(1).expect_err("it only looks");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert_eq!((first.alarms(), second.alarms()), (vec![], vec![]));
}

/// A replica that is closed leaves a snapshot and nothing that waits; opening it reads that and no log.
#[test]
fn closing_writes_what_waits_and_a_snapshot() {
    let mut stage = Stage::new(16, 1);
    stage.settings.snapshot_interval = Duration::from_secs(1 << 30);
    stage.settings.flush_interval = Duration::from_secs(1 << 30);
    let first = stage.open("first", 0);
    for _ in 0..100 {
        first.add("likes", 1).expect("it counts");
    }
    let replica = first.replica.clone();
    stage.wait(async move { replica.close().await }).expect("it is closed");
    assert_eq!(first.add("likes", 1).expect_err("it is closed").kind(), ErrorKind::Closed);
    assert_eq!(stage.stores[0].keys().iter().filter(|key| key.contains("/snap/")).count(), 1);
    assert_eq!(stage.open("first", 0).count("likes"), 100);
}

/// Much is written at once, more than a segment holds, before anybody polls the background: it becomes several segments.
#[test]
fn a_burst_larger_than_a_segment_is_cut_into_several() {
    let mut stage = Stage::new(17, 2);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    // Nothing that compresses.
    let mut random = Random::named(17, "notes");
    let (mut written, mut refused) = (0, None);
    while refused.is_none() && written < 2_000 {
        let text: Vec<u8> = (0..8_192).flat_map(|_| random.next().to_le_bytes()).collect();
        let register = first.replica.lww_register::<[u8]>(&format!("notes/{written}")).expect("a path");
        match register.set(&text[..]) {
            Ok(_) => written += 1,
            Err(error) => refused = Some(error.kind()),
        }
    }
    assert_eq!(refused, Some(ErrorKind::Backpressure), "at 64 MiB");
    assert!((900..1_100).contains(&written), "{written} of 64 KiB");
    stage.pass(60);
    for number in 0..written {
        let there = second.replica.lww_register::<[u8]>(&format!("notes/{number}")).expect("a path").value();
        assert_eq!(there.expect("bytes").map(|value| value.len()), Some(65_536), "{number}");
    }
    let _written =
        first.replica.lww_register::<[u8]>("notes/0").expect("a path").set(b"again").expect("there is room again");
}

/// A replica has all the memory that it may take: it takes in nothing more of its own, and goes on otherwise.
#[test]
fn a_full_keyspace_takes_nothing_more_and_goes_on() {
    let mut stage = Stage::new(18, 2);
    stage.settings.memory_bytes = 1 << 20;
    let first = stage.open("first", 0);
    stage.settings.memory_bytes = u64::MAX;
    let second = stage.open("second", 1);
    let refused = (0..).find_map(|number| first.add(&format!("counters/{number}"), 1).err()).expect("it is full");
    assert_eq!(refused.kind(), ErrorKind::Backpressure);
    assert!(refused.to_string().contains("memory_bytes=1048576"), "{refused}");
    let objects = first.status().objects;
    assert!((4_000..8_000).contains(&objects), "{objects} counters in 1 MiB");
    first.add("counters/0", 1).expect("what is there can be counted on");
    let set = first.replica.or_set::<str>("set").expect("a path");
    assert_eq!(set.add("x").expect_err("nothing is added").kind(), ErrorKind::Backpressure);
    second.add("from/elsewhere", 1).expect("it has no limit");
    stage.pass(10);
    assert_eq!((first.count("from/elsewhere"), second.count("counters/0")), (1, 2), "what peers add is applied");
    let _written = first.replica.delete_prefix("counters/").expect("deleting is what helps");
    for _ in 0..10 {
        second.add("from/elsewhere", 1).expect("it counts");
        first.add("from/elsewhere", 1).expect("it counts");
        stage.pass(5);
    }
    assert_eq!(first.status().dead_tallies, 0);
    let _written = set.add("x").expect("there is room again");
}

/// One path of many changes: the next snapshot writes the one part that it is in, and a manifest.
#[test]
fn a_snapshot_writes_what_has_changed() {
    let mut stage = Stage::new(19, 1);
    stage.settings.snapshot_interval = Duration::from_secs(3_600);
    let first = stage.open("first", 0);
    const OBJECTS: usize = 1_000_000;
    for number in 0..OBJECTS {
        first.add(&format!("some/path/as/long/as/in/practice/{number:06}"), 1).expect("it counts");
    }
    // Both snapshots that are kept, and what acknowledges them.
    stage.pass(3 * 3_600);
    first.add("some/path/as/long/as/in/practice/000007", 1).expect("it counts");
    stage.pass(60);
    let before = first.links[0].requests();
    stage.pass(3_600);
    let after = first.links[0].requests();
    let (creates, sent) = (after.creates - before.creates, after.sent - before.sent);
    // The segment that it cuts, a part, and the manifest; and perhaps an empty segment that acknowledges.
    assert!((3..=4).contains(&creates), "{creates} PUTs");
    let parts = stage.stores[0].keys().into_iter().filter(|key| key.contains("/part/"));
    let size = |key: String| stage.stores[0].peek(&key).map_or(0, |part| part.len() as u64);
    let largest = parts.map(size).max().expect("there are parts");
    assert!(sent <= largest + (8 << 10), "{sent} bytes sent, and the largest part has {largest}");
    stage.crash(first);
    let first = stage.open("first", 0);
    assert_eq!(first.status().objects, OBJECTS);
    assert_eq!(first.count("some/path/as/long/as/in/practice/000007"), 2);
}

/// What changes nothing is not written.
#[test]
fn calls_that_change_nothing_cost_no_request() {
    let mut stage = Stage::new(21, 1);
    let first = stage.open("first", 0);
    first.add("likes", 1).expect("it counts");
    let set = first.replica.or_set::<str>("set").expect("a path");
    let _written = set.add("x").expect("it is added");
    let _written = first.replica.delete("likes").expect("it is deleted");
    // Until the last snapshot has been taken, and acknowledged.
    stage.pass(60);
    let before = first.links[0].requests().creates;
    for _ in 0..20 {
        first.add("likes", 0).expect("nothing is counted");
        first.add("other", 0).expect("nothing is counted");
        let _written = set.remove("y").expect("it was not there");
        let _written = first.replica.delete("likes").expect("it was deleted");
        let _written = first.replica.pn_counter("likes").expect("a path").delete().expect("it was deleted");
        stage.pass(1);
    }
    assert_eq!(first.links[0].requests().creates, before);
}

/// Two replicas agree, and say so. Then a snapshot of one says, of the same changes, that it holds something else: the other
/// one notices, raises an alarm, and takes it back when they agree again.
#[test]
fn replicas_compare_what_they_hold() {
    let mut stage = Stage::new(21, 2);
    let second = stage.open("second", 1);
    stage.settings.snapshot_interval = Duration::from_secs(60);
    let first = stage.open("first", 0);
    first.add("likes", 3).expect("it counts");
    second.add("likes", 4).expect("it counts");
    stage.pass(30);
    assert_eq!(agreement(&first, "second"), None, "it has taken no snapshot");
    stage.crash(second);

    let key = newest_manifest(&stage, 1);
    let stored = stage.stores[1].peek(&key).expect("it is there");
    let mut manifest = decode_manifest(&stored, &key, None).expect("a manifest").into_manifest();
    manifest.parts[0].content = blake3::hash(b"something else");
    let forged = encode_manifest(&manifest, &key, None).expect("a manifest");
    let bucket = stage.stores[1].clone();
    let replaced = stage.wait(async move {
        bucket.delete(&key).await?;
        bucket.create(&key, forged).await
    });
    assert_eq!(replaced.expect("it is replaced"), Created::New);
    stage.pass(60);
    assert_eq!((agreement(&first, "second"), first.alarms()), (Some(false), vec![ErrorKind::Corrupt]));

    stage.settings.snapshot_interval = Duration::from_secs(2);
    let second = stage.open("second", 1);
    second.add("likes", 1).expect("it counts");
    stage.pass(150);
    assert_eq!((agreement(&first, "second"), first.alarms()), (Some(true), vec![]));
    assert_eq!((agreement(&second, "first"), second.alarms()), (Some(true), vec![]));
    let lags: Vec<_> = first.status().logs.iter().map(|log| log.lag).collect();
    assert_eq!(lags, [Some(Duration::ZERO); 2]);
}

fn log_of(actor: &Actor, peer: &str) -> LogStatus {
    let status = actor.status();
    status.logs.into_iter().find(|log| log.replica.as_str() == peer).expect("it is known")
}

/// One region cannot be reached, and a third one has read it. The status says how long it has been silent, how far behind the
/// view is, and about how many bytes are missing.
#[test]
fn status_says_what_is_missing_of_each_log_and_when_its_bucket_answered() {
    let mut stage = Stage::new(24, 3);
    let actors = [stage.open("one", 0), stage.open("two", 1), stage.open("three", 2)];
    let [one, two, three] = &actors;
    stage.count_on(&[one, two, three], "likes", 5, 2);
    let log = log_of(one, "two");
    assert_eq!((log.pending_bytes, log.lag), (Some(0), Some(Duration::ZERO)));
    assert!(log.answered.is_some_and(|ago| ago < Duration::from_secs(2)), "{log:?}");
    assert_eq!((log.region.as_deref(), log_of(one, "one").region.as_deref()), (Some("region-1"), Some("one")));
    let (delays, count) = (log.delays, log.delays.counts.iter().sum::<u64>());
    assert!(count > 3 && delays.sum < Duration::from_secs(5 * count) && delays.counts[7..] == [0; 5], "{delays:?}");
    let now = stage.executor.world().now();
    one.links[1].unreachable(now..now + Duration::from_secs(60));
    stage.count_on(&[two, three], "likes", 10, 4);
    let log = log_of(one, "two");
    assert!(log.answered > Some(Duration::from_secs(35)), "{log:?}");
    assert!(log.lag > Some(Duration::from_secs(30)), "{log:?}");
    let kept = |actor: &Actor, peer| (actor.status().durable, log_of(actor, peer).acknowledged);
    let (durable, acknowledged) = kept(two, "one");
    assert!(acknowledged < Some(durable), "it has not acknowledged what it has not read: {acknowledged:?} {durable}");
    assert!(kept(two, "three").1 > acknowledged);
    let written = two.status().regions[0].bytes_out;
    assert!(log.pending_bytes > Some(1_000) && log.pending_bytes < Some(written), "{log:?} of {written} bytes");
    stage.pass(60);
    let log = log_of(one, "two");
    assert_eq!((log.pending_bytes, log.lag), (Some(0), Some(Duration::ZERO)));
    assert!(log.answered.is_some_and(|ago| ago < Duration::from_secs(2)), "{log:?}");
    assert!(log.delays.counts[7..].iter().sum::<u64>() > 10, "what it was cut off from came late: {:?}", log.delays);
}

fn agreement(actor: &Actor, peer: &str) -> Option<bool> {
    actor.status().logs.iter().find(|log| log.replica.as_str() == peer).expect("it is known").agrees
}

fn newest_manifest(stage: &Stage, region: usize) -> String {
    stage.stores[region].keys().into_iter().rfind(|key| key.contains("/snap/")).expect("it has taken a snapshot")
}

/// Whoever is about to ingest an input asks who else has begun it: a mark is found in a log, in a snapshot when the log was
/// collected, and not when its replica was evicted.
#[test]
fn a_mark_is_found_wherever_it_is_kept() {
    use replica::{MarkValue, Marked};
    let mut stage = Stage::new(22, 2);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    let marked_by = |stage: &mut Stage, actor: &Actor| {
        let replica = actor.replica.clone();
        let found = stage.wait(async move { replica.marked_by("goals").await }).expect("every bucket answers");
        let told = found.iter().map(|Marked { replica, region, value, .. }| format!("{replica} {region} {value:?}"));
        told.collect::<Vec<_>>()
    };
    assert!(marked_by(&mut stage, &second).is_empty());
    let batch = first.replica.batch(|batch| {
        batch.pn_counter("lines").add(1);
        batch.mark("goals", MarkValue::Number(1));
        Ok(())
    });
    let written = batch.expect("it is ingested");
    stage.wait(async move { written.durable().await }).expect("it is written");
    assert_eq!(marked_by(&mut stage, &second), ["first region-0 Number(1)"]);
    assert!(marked_by(&mut stage, &first).is_empty(), "its own mark is not another's");

    let segment = stage.stores[0].keys().into_iter().filter(|key| key.contains("/log/")).nth(1).expect("it is there");
    stage.count_on(&[&first, &second], "other", 10, 4);
    assert_eq!(stage.stores[0].peek(&segment), None, "the segment with the mark was collected");
    let status = first.status();
    assert!(status.collected > 0 && status.collected <= status.regions[0].deletes, "{status:?}");
    assert_eq!(marked_by(&mut stage, &second), ["first region-0 Number(1)"]);

    stage.crash(first);
    let operator = second.replica.clone();
    stage.wait(async move { operator.evict("first", None).await }).expect("it is evicted");
    assert!(marked_by(&mut stage, &second).is_empty());
    stage.stores[0].unreachable(Duration::ZERO..Duration::from_secs(1 << 20));
    second.links[0].unreachable(Duration::ZERO..Duration::from_secs(1 << 20));
    let replica = second.replica.clone();
    let refused = stage.wait(async move { replica.marked_by("goals").await }).expect_err("nobody knows");
    assert_eq!(refused.kind(), ErrorKind::Store);
}

/// A replica says nothing for longer than `max_lag`: its peers no longer keep for it what it has not read. When it is back it
/// takes a snapshot instead, and misses nothing.
#[test]
fn a_silent_replica_holds_collection_up_for_max_lag_and_comes_back_through_a_snapshot() {
    let mut stage = Stage::new(23, 2);
    stage.settings.max_lag = Duration::from_secs(60);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    first.add("likes", 1).expect("it counts");
    second.add("likes", 1).expect("it counts");
    stage.pass(15);
    let logs = second.status().logs;
    let read = logs.iter().find(|log| log.replica == *first.replica.name()).and_then(|log| log.applied);
    let next = read.and_then(Position::next).expect("it has read something");
    let next = Keys::new("").expect("a root").log(first.replica.name(), next);
    stage.crash(second);
    let count = |stage: &mut Stage, times: i64| {
        for _ in 0..times {
            first.add("likes", 1).expect("it counts");
            stage.pass(3);
        }
    };
    count(&mut stage, 15);
    assert!(stage.stores[0].peek(&next).is_some(), "the next that it reads waits for it");
    count(&mut stage, 20);
    assert!(stage.stores[0].peek(&next).is_none(), "it has been silent for too long");

    let second = stage.open("second", 1);
    second.add("likes", 1).expect("it counts");
    stage.pass(30);
    assert_eq!((first.count("likes"), second.count("likes")), (38, 38));
    assert_eq!((first.alarms(), second.alarms()), (vec![], vec![]));
    // It is heard again, so it is waited for again: what was deleted meanwhile can be purged.
    let _written = first.replica.delete("likes").expect("it is deleted");
    stage.pass(60);
    assert_eq!((first.status().dead_tallies, second.status().dead_tallies), (0, 0));
}

/// Replicas share a key. One that was given another, or none, believes nobody and is believed by nobody; both sides say that
/// it is about the key, and a log that was written with another is not taken over.
#[test]
fn a_replica_with_another_key_is_told_that_it_is_about_the_key() {
    let mut stage = Stage::new(24, 3);
    stage.key = Some(MacKey::new([7; 32]));
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    stage.count_on(&[&first, &second], "likes", 10, 2);
    assert_eq!((first.count("likes"), second.count("likes")), (20, 20));
    assert_eq!((first.alarms(), second.alarms()), (vec![], vec![]));
    stage.crash(second);
    let second = stage.open("second", 1);
    assert_eq!(second.count("likes"), 20, "it recovers from a snapshot that was written with the key");

    let speaks_of_the_key = |actor: &Actor, place: &str| {
        let alarms = actor.status().alarms;
        let (_, kind, says) = alarms.iter().find(|(at, ..)| at == place).expect("an alarm");
        assert_eq!(*kind, ErrorKind::Corrupt);
        assert!(says.contains("Builder::key"), "{says}");
    };
    for (name, key) in [("without", None), ("other", Some(MacKey::new([8; 32])))] {
        stage.key = key;
        let stranger = stage.open(name, 2);
        stranger.add("likes", 1_000).expect("it counts for itself");
        stage.pass(10);
        assert_eq!((stranger.count("likes"), first.count("likes"), second.count("likes")), (1_000, 20, 20));
        speaks_of_the_key(&stranger, "log first");
        for actor in [&first, &second] {
            speaks_of_the_key(actor, &format!("log {name}"));
        }
        let keys = stage.stores[0].keys();
        let refused = stage.try_open("first", 0).expect_err("it is another's log");
        assert_eq!(refused.kind(), ErrorKind::Corrupt);
        assert!(refused.to_string().contains("Builder::key"), "{refused}");
        assert_eq!(stage.stores[0].keys(), keys, "nothing is written, and nobody is fenced");
        stage.crash(stranger);
    }
    first.add("likes", 1).expect("it counts");
    stage.pass(5);
    assert_eq!((first.count("likes"), second.count("likes")), (21, 21), "those that share the key go on");
}

/// The wall clock of a running replica is turned back by an hour. Registers take no writes, since these would bear times that
/// are far in the future; everything else goes on, and they do too as soon as the clock is right.
#[test]
fn a_clock_that_is_turned_back_stops_registers_alone() {
    let mut stage = Stage::new(25, 2);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    let name = first.replica.lww_register::<str>("name").expect("a path");
    let _written = name.set("before").expect("it is written");
    stage.pass(1);
    first.clock.set_offset_ms(-60_000);
    let _written = name.set("a minute is nothing").expect("it is written");
    first.clock.set_offset_ms(-3_600_000);
    let refused = name.set("an hour is too much").expect_err("its time would lie in the future");
    assert_eq!(refused.kind(), ErrorKind::ClockSkew);
    assert!(refused.to_string().contains("set it right"), "{refused}");
    for _ in 0..10 {
        first.add("likes", 1).expect("counters bear no time");
        let _written = first.replica.or_set::<str>("set").expect("a path").add("x").expect("nor do sets");
        stage.pass(3);
    }
    let value = |actor: &Actor| actor.replica.lww_register::<str>("name").expect("a path").value().expect("text");
    assert_eq!(value(&second).as_deref(), Some("a minute is nothing"), "nothing of what was refused is there");
    assert_eq!((first.count("likes"), second.count("likes")), (10, 10));
    assert!(first.status().snapshots.len() == 2 && first.alarms().is_empty(), "{:?}", first.status());
    first.clock.set_offset_ms(0);
    let _written = name.set("after").expect("the clock is right");
    stage.pass(5);
    assert_eq!(value(&second).as_deref(), Some("after"));
}
