//! Limits and refusals, told with whole replicas: a full disk, settings that cannot be, too many marks, sets too large.

use std::{sync::Arc, time::Duration};

use replica::{Bytes, ErrorKind, MarkValue, Replica, Settings};
use sim::{Executor, Fault, Faults, SimClock, SimEntropy};
use store_object::MemoryBucket;
use tests::stage::Stage;

/// A disk is full. The operator is told at once what refuses and why; writers are told when too much waits; and when there is
/// room again everything is written, nothing lost.
#[test]
fn a_bucket_that_refuses_raises_an_alarm_and_loses_nothing() {
    let mut stage = Stage::new(31, 1);
    stage.settings.pending_bytes = 10_000;
    let actor = stage.open("first", 0);
    actor.add("likes", 1).expect("it counts");
    stage.pass(5);
    actor.links[0].set_faults(Faults::none().with(Fault::Refused, 1_000_000));
    actor.add("likes", 1).expect("it counts on in memory");
    stage.pass(2);
    let alarms = actor.status().alarms;
    let (place, kind, says) = alarms.first().expect("it is told");
    assert_eq!((*kind, place.starts_with("create v1/log/first/")), (ErrorKind::Store, true), "{place}");
    assert!(says.contains("refuses") && says.contains("region=first request=create key=v1/log/first/"), "{says}");

    let written = (0..).find_map(|number| actor.add(&format!("other/{number}"), 1).err()).expect("it is full one day");
    assert_eq!(written.kind(), ErrorKind::Backpressure);
    assert!(written.to_string().contains("refuses"), "{written}");
    let others = actor.replica.scan("other/").count();

    actor.links[0].set_faults(Faults::none());
    stage.pass(60);
    assert_eq!((actor.alarms(), actor.status().pending_bytes), (vec![], 0));
    stage.crash(actor);
    let again = stage.open("first", 0);
    assert_eq!((again.count("likes"), again.replica.scan("other/").count()), (2, others));
}

/// A bucket that is out of reach raises the same alarm when it has been so for a while, and not for a hiccup.
#[test]
fn a_bucket_out_of_reach_raises_an_alarm_after_a_while() {
    let mut stage = Stage::new(32, 1);
    let actor = stage.open("first", 0);
    let now = stage.executor.world().now();
    actor.links[0].unreachable(now..now + Duration::from_secs(60));
    actor.add("likes", 1).expect("it counts");
    stage.pass(3);
    assert_eq!(actor.alarms(), [], "it may pass");
    stage.pass(40);
    assert!(actor.alarms().contains(&ErrorKind::Store));
    stage.pass(60);
    assert_eq!((actor.alarms(), actor.status().pending_bytes), (vec![], 0));
}

#[test]
fn settings_that_would_never_rest_are_refused() {
    let refused = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        let mut executor = Executor::new(33);
        let (clock, entropy) = (SimClock::new(executor.world()), SimEntropy::new(executor.world(), "ann"));
        let builder = Replica::builder_with("ann", MemoryBucket::new(), Arc::new(clock), Arc::new(entropy));
        let opened = executor.run(Duration::from_secs(1), builder.settings(settings).open()).expect("it ends");
        let error = opened.expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    assert!(refused(|settings| settings.poll_min = Duration::ZERO).contains("poll_min=0ns"));
    assert!(refused(|settings| settings.poll_max = Duration::from_millis(1)).contains("poll_max=1ms"));
    assert!(refused(|settings| settings.discovery_interval = Duration::ZERO).contains("discovery_interval=0ns"));
    assert!(refused(|settings| settings.snapshot_interval = Duration::ZERO).contains("snapshot_interval=0ns"));
    assert!(refused(|settings| settings.shards = 3).contains("shards=3"));
    assert!(refused(|settings| settings.shards = 1 << 17).contains("shards=131072"));
}

/// One change of `segment_bytes` is flushed at once, however long the flush interval.
#[test]
fn a_large_change_is_flushed_at_once() {
    let mut stage = Stage::new(34, 1);
    stage.settings.flush_interval = Duration::from_secs(3_600);
    stage.settings.segment_bytes = 100_000;
    let actor = stage.open("first", 0);
    let register = actor.replica.lww_register::<[u8]>("large").expect("a path");
    let _small = register.set(&[7; 1_000]).expect("it is set");
    stage.pass(60);
    assert!(actor.status().pending_bytes > 0, "little waits for the interval");
    let _large = register.set(&vec![7; 100_000]).expect("it is set");
    stage.pass(1);
    assert_eq!(actor.status().pending_bytes, 0);
}

/// Marks are bounded: they cannot grow so many that no snapshot can be taken any more.
#[test]
fn too_many_marks_are_refused_while_snapshots_still_work() {
    let mut stage = Stage::new(35, 1);
    let actor = stage.open("first", 0);
    let mark = |number: u32| {
        actor.replica.batch(|batch| {
            for within in 0..1_000 {
                batch.mark(format!("{number:08}-{within:08}-{}", "x".repeat(900)), MarkValue::Hash([7; 32]));
            }
            Ok(())
        })
    };
    let made = (0..).map(mark).take_while(Result::is_ok).count();
    assert!((33..=35).contains(&made), "{made} thousand marks of about a thousand bytes");
    assert_eq!(mark(1_000_000).expect_err("it is full").kind(), ErrorKind::Backpressure);
    let again = mark(0).expect("what is there can be made again");
    stage.wait(async move { again.durable().await }).expect("it is written");
    let replica = actor.replica.clone();
    stage.wait(async move { replica.close().await }).expect("the last snapshot is taken");
    let opened = stage.open("first", 0);
    assert!(opened.replica.mark(format!("{:08}-{:08}-{}", 0, 999, "x".repeat(900))).is_some());

    let too_much = opened.replica.batch(|batch| {
        (0..10_000).for_each(|number| batch.mark(format!("{number:0>1000}"), MarkValue::Number(1)));
        Ok(())
    });
    assert_eq!(too_much.expect_err("a batch has at most 8 MiB").kind(), ErrorKind::Invalid);
}

/// What is too large to be deleted in one segment is refused whole, and deleted in steps below a prefix.
#[test]
fn large_objects_are_deleted_in_steps() {
    let mut stage = Stage::new(36, 2);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    for number in 0..300 {
        let register = first.replica.lww_register::<[u8]>(&format!("documents/{number}")).expect("a path");
        let _written = register.set(&vec![7; 40_000]).expect("it is set");
    }
    let set = first.replica.or_set::<str>("documents/all").expect("a path");
    for step in 0..40 {
        let batch = first.replica.batch(|batch| {
            let mut set = batch.or_set("documents/all");
            for number in 0..10_000 {
                set.add(&format!("{:0>33}", step * 10_000 + number)[..]);
            }
            Ok(())
        });
        let _written = batch.expect("it is added");
    }
    stage.pass(5);
    assert_eq!(set.delete().expect_err("it is too large").kind(), ErrorKind::Invalid);
    assert_eq!(set.len(), 400_000);
    assert_eq!(first.replica.delete_prefix("documents/").expect("it is deleted").value(), 301);
    assert_eq!(first.replica.scan("").count(), 0);
    stage.pass(30);
    assert_eq!(second.replica.scan("").count(), 0);
    assert_eq!((first.alarms(), second.alarms()), (vec![], vec![]));
}

/// What is read as bytes can be given back as it is.
#[test]
fn stored_bytes_are_themselves_when_they_are_written_back() {
    let mut stage = Stage::new(37, 1);
    let actor = stage.open("first", 0);
    let cart = actor.replica.or_set::<str>("carts/ada").expect("a path");
    let _added = (cart.add("lamp").expect("it is added"), cart.add("mug").expect("it is added"));
    let Some(replica::Value::OrSet(elements)) = actor.replica.get("carts/ada").expect("a path").pop() else {
        panic!("it is a set")
    };
    let raw = actor.replica.or_set::<Bytes>("carts/ada").expect("a path");
    let _removed = raw.remove(&elements[0]).expect("it is removed");
    assert_eq!(cart.elements().expect("text"), ["mug"]);
    let _again = raw.add(&elements[0]).expect("it is added");
    assert_eq!(cart.elements().expect("text"), ["lamp", "mug"]);
}
