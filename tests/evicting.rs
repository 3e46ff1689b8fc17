//! Evicting: an operator's word that a replica will not come back, told with whole replicas.

use std::time::Duration;

use replica::{ErrorKind, EvictedLog, Position};
use sim::Image;
use tests::stage::{Actor, Stage};

/// An operator has one of them evict another.
fn evict(stage: &mut Stage, operator: &Actor, name: &'static str, last: Option<Position>) -> EvictedLog {
    let operator = operator.replica.clone();
    stage.wait(async move { operator.evict(name, last).await }).expect("it is evicted")
}

/// The link of an actor to these regions is down, for so many seconds from now on.
fn cut_off(stage: &Stage, actor: &Actor, regions: &[usize], seconds: u64) {
    let now = stage.executor.world().now();
    for region in regions {
        actor.links[*region].unreachable(now..now + Duration::from_secs(seconds));
    }
}

/// How far one of them has read another's log.
fn read(reader: &Actor, name: &str) -> Position {
    let status = reader.status();
    let log = status.logs.iter().find(|log| log.replica.as_str() == name).expect("it is known");
    log.applied.expect("it was read")
}

/// A replica is gone for good. The operator evicts it: its deleted counters are purged, and nobody keeps its share of the
/// log any longer. When it comes back after all, it is told.
#[test]
fn an_evicted_replica_holds_nobody_up() {
    let mut stage = Stage::new(13, 3);
    let actors = [stage.open("first", 0), stage.open("second", 1), stage.open("third", 2)];
    for actor in &actors {
        actor.add("likes", 1).expect("it counts");
    }
    stage.pass(5);
    let [first, second, third] = actors;
    stage.crash(third);
    let _written = first.replica.delete("likes").expect("it is deleted");
    stage.count_on(&[&first, &second], "other", 10, 4);
    assert_eq!(first.status().dead_tallies, 1, "the third has not acknowledged");
    let logs = |stage: &Stage| stage.stores[0].keys().iter().filter(|key| key.contains("/log/")).count();
    let kept = logs(&stage);
    assert!(kept > 8, "{kept} segments wait for the third");

    let operator = first.replica.clone();
    stage.wait(async move { operator.evict("third", None).await }).expect("it is evicted");
    stage.count_on(&[&first, &second], "other", 10, 4);
    for actor in [&first, &second] {
        assert_eq!((actor.status().dead_tallies, actor.alarms()), (0, vec![]));
    }
    assert!(logs(&stage) < kept, "its share was collected");
    let back = stage.try_open("third", 2);
    let told = match back {
        Err(error) => error.kind(),
        Ok(third) => {
            stage.pass(60);
            third.add("likes", 1).expect_err("it was told").kind()
        }
    };
    assert_eq!(told, ErrorKind::Evicted);
    assert_eq!(stage.try_open("third", 2).expect_err("it stays evicted").kind(), ErrorKind::Evicted);
    assert_eq!((first.count("likes"), second.count("likes")), (0, 0));
    let renamed = stage.open("third-b", 2);
    renamed.add("likes", 1).expect("it counts");
    stage.pass(10);
    assert_eq!((first.count("likes"), second.count("likes")), (1, 1));
}

/// A replica is evicted because its region is lost. Who has read less of it than others gets the rest from a snapshot of theirs.
#[test]
fn who_is_short_of_an_evicted_log_gets_the_rest_from_a_snapshot() {
    for is_emptied in [false, true] {
        let mut stage = Stage::new(44, 3);
        let [one, two, three] = [stage.open("one", 0), stage.open("two", 1), stage.open("three", 2)];
        three.add("likes", 1).expect("it counts");
        stage.pass(5);
        let now = stage.executor.world().now();
        let out_of_reach = if is_emptied { Duration::from_secs(20) } else { Duration::from_secs(1 << 20) };
        one.links[2].unreachable(now..now + out_of_reach);
        three.add("likes", 10).expect("it counts");
        stage.pass(5);
        stage.crash(three);
        if is_emptied {
            stage.stores[2].restore(&Image::default());
        }
        let operator = two.replica.clone();
        stage.wait(async move { operator.evict("three", None).await }).expect("it is evicted");
        stage.count_on(&[&one, &two], "other", 10, 10);
        assert_eq!((one.count("likes"), two.count("likes")), (11, 11), "emptied: {is_emptied}");
    }
}

/// An operator names a position between two epochs. One that is known to be none is refused; where it cannot be known, nobody
/// asks for it for ever.
#[test]
fn evicting_between_two_epochs_asks_for_nothing_for_ever() {
    let mut stage = Stage::new(51, 2);
    stage.settings.snapshot_interval = Duration::from_secs(100_000);
    let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
    two.add("likes", 1).expect("it counts");
    stage.pass(5);
    let operator = one.replica.clone();
    let none = stage.wait(async move { operator.evict("two", Some(Position::new(1, 5))).await });
    assert_eq!(none.expect_err("there is none").kind(), ErrorKind::Invalid);
    let operator = one.replica.clone();
    let beyond = Position::new(u32::MAX, 5);
    // It is seen to have none, unless it cannot be looked at.
    let operator_again = one.replica.clone();
    let none = stage.wait(async move { operator_again.evict("two", Some(beyond)).await });
    assert_eq!(none.expect_err("there is none").kind(), ErrorKind::Invalid);
    let now = stage.executor.world().now();
    one.links[1].unreachable(now..now + Duration::from_secs(3_600));
    stage.wait(async move { operator.evict("two", Some(beyond)).await }).expect("it is not known to be none");
    stage.pass(10);
    let three = stage.open("three", 0);
    let before = three.links[1].requests();
    stage.pass(60);
    let after = three.links[1].requests();
    assert!(after.gets - before.gets < 300, "{before:?} {after:?}");
}

/// An evicted log ends, by the operator's word, further than anybody has read. Nobody lists buckets for ever to find the rest.
#[test]
fn an_evicted_log_short_of_its_end_costs_little() {
    let lists = |beyond: bool| {
        let mut stage = Stage::new(65, 3);
        stage.settings.snapshot_interval = Duration::from_secs(300);
        stage.settings.discovery_interval = Duration::from_secs(30);
        let [one, two, three] = [stage.open("one", 0), stage.open("two", 1), stage.open("three", 2)];
        [&one, &two, &three].into_iter().for_each(|actor| actor.add("likes", 1).expect("it counts"));
        stage.pass(60);
        let status = one.status();
        let log = status.logs.iter().find(|log| log.replica.as_str() == "two").expect("it is known");
        let at = log.applied.expect("it was read");
        stage.crash(two);
        let now = stage.executor.world().now();
        one.links[1].unreachable(now..now + Duration::from_secs(25));
        let (operator, last) = (one.replica.clone(), beyond.then(|| Position::new(at.epoch(), at.slot() + 5)));
        stage.wait(async move { operator.evict("two", last).await }).expect("it is evicted");
        stage.pass(30);
        let count = |actor: &Actor| actor.links.iter().map(|link| link.requests().lists).sum::<u64>();
        let before = count(&three);
        stage.pass(100);
        count(&three) - before
    };
    let (plain, beyond) = (lists(false), lists(true));
    assert!(beyond <= plain + 60, "{plain} {beyond}");
}

/// The evicted one runs, and reaches no peer that could tell it. Its log bears the final seal: its next write stops it, and
/// nothing that it wrote since was said to be durable.
#[test]
fn a_final_seal_stops_whoever_writes_and_hears_of_nothing() {
    let mut stage = Stage::new(81, 2);
    let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
    two.add("likes", 1).expect("it counts");
    stage.pass(5);
    cut_off(&stage, &two, &[0], 3_600);
    let evicted = evict(&mut stage, &one, "two", None);
    assert!(evicted.is_sealed);
    assert_eq!(evicted.last, read(&one, "two"));
    let written = two.replica.pn_counter("likes").expect("a path").add(10).expect("it has not heard yet");
    let durable = stage.wait(async move { written.durable().await });
    assert_eq!(durable.expect_err("it was evicted").kind(), ErrorKind::Evicted);
    assert_eq!(two.ended(), Some(ErrorKind::Evicted));
    stage.crash(two);
    assert_eq!(stage.try_open("two", 1).expect_err("it is told by its own log").kind(), ErrorKind::Evicted);
    // Once more is the same once more; further is another thing.
    assert_eq!(evict(&mut stage, &one, "two", None), evicted);
    let (operator, further) = (one.replica.clone(), evicted.last.next());
    let refused = stage.wait(async move { operator.evict("two", further).await });
    assert_eq!(refused.expect_err("its end is known").kind(), ErrorKind::Invalid);
    stage.pass(60);
    assert_eq!((one.count("likes"), one.alarms()), (1, vec![]));
}

/// The evicted one is idle, and hears of the seal on its log and of the eviction at once. It is told what happened, and not that
/// another process had taken its place.
#[test]
fn an_idle_replica_that_was_evicted_is_told_so() {
    let mut stage = Stage::new(91, 3);
    let [one, two, three] = [stage.open("one", 0), stage.open("two", 1), stage.open("three", 2)];
    stage.count_on(&[&one, &two, &three], "likes", 3, 4);
    assert!(evict(&mut stage, &one, "two", None).is_sealed);
    stage.count_on(&[&one, &three], "likes", 3, 4);
    assert_eq!(two.ended(), Some(ErrorKind::Evicted));
    assert_eq!((one.alarms(), three.alarms()), (vec![], vec![]));
}

/// It writes as fast as it can while it is evicted. It is stopped, and everybody keeps the same of it.
#[test]
fn a_busy_replica_is_sealed_between_two_of_its_segments() {
    for seed in 0..20 {
        let mut stage = Stage::new(seed, 3);
        let [one, two, three] = [stage.open("one", 0), stage.open("two", 1), stage.open("three", 2)];
        two.add("likes", 1).expect("it counts");
        stage.pass(5);
        cut_off(&stage, &two, &[0, 2], 3_600);
        let writer = two.replica.clone();
        let place = stage.executor.region(format!("writer {seed}"));
        stage.executor.spawn(place, async move {
            let likes = writer.pn_counter("likes").expect("a path");
            while let Ok(written) = likes.add(1)
                && written.durable().await.is_ok()
            {}
        });
        stage.pass(2);
        let evicted = evict(&mut stage, &one, "two", None);
        assert!(evicted.is_sealed, "seed {seed}");
        stage.pass(60);
        assert_eq!(two.ended(), Some(ErrorKind::Evicted), "seed {seed}");
        assert_eq!(one.count("likes"), three.count("likes"), "seed {seed}");
        assert!(one.count("likes") <= two.count("likes"), "seed {seed}");
        assert_eq!((one.alarms(), three.alarms()), (vec![], vec![]), "seed {seed}");
    }
}

/// Its bucket cannot be written from where the operator is. It is evicted all the same, and hears of it from its peers.
#[test]
fn an_evicted_replica_whose_bucket_is_out_of_reach_is_told_by_its_peers() {
    let mut stage = Stage::new(82, 2);
    let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
    two.add("likes", 1).expect("it counts");
    stage.pass(5);
    cut_off(&stage, &one, &[1], 300);
    assert!(!evict(&mut stage, &one, "two", None).is_sealed);
    stage.pass(60);
    assert_eq!(two.ended(), Some(ErrorKind::Evicted));
}

/// A counter of the lost replica was deleted, and somebody who is out of touch has read more of it than the operator.
/// Nothing of the counter is forgotten until he too has said that he holds the eviction, and by then he has said how far he had
/// read: what was counted beyond the deletion is kept, and what was deleted does not come back.
#[test]
fn nothing_of_an_evicted_replica_is_forgotten_before_all_know_how_far_it_counts() {
    for seed in 0..10 {
        let mut stage = Stage::new(seed, 4);
        let [one, two] = [stage.open("one", 0), stage.open("two", 1)];
        let [apart, lost] = [stage.open("apart", 2), stage.open("lost", 3)];
        lost.add("likes", 5).expect("it counts");
        stage.pass(10);
        // One and two read no further; apart does, and is then out of touch.
        cut_off(&stage, &one, &[2, 3], 200);
        cut_off(&stage, &two, &[2, 3], 200);
        lost.add("likes", 3).expect("it counts");
        stage.pass(10);
        assert_eq!((one.count("likes"), apart.count("likes")), (5, 8));
        stage.crash(lost);
        cut_off(&stage, &apart, &[0, 1, 3], 180);
        let _deleted = one.replica.delete("likes").expect("it is deleted");
        let evicted = evict(&mut stage, &one, "lost", None);
        assert!(evicted.last < read(&apart, "lost"));
        stage.count_on(&[&one, &two, &apart], "other", 12, 10);
        for actor in [&one, &two] {
            assert_eq!(actor.status().dead_tallies, 1, "seed {seed}: nobody knows what the one apart has read");
        }
        stage.count_on(&[&one, &two, &apart], "other", 20, 10);
        for actor in [&one, &two, &apart] {
            assert_eq!(actor.count("likes"), 3, "seed {seed}");
            assert_eq!((actor.status().dead_tallies, actor.alarms()), (0, vec![]), "seed {seed}");
        }
    }
}

/// A replica that was cut off has written on, and has taken a snapshot of it. It is evicted without its bucket, what was
/// deleted of it is forgotten, and then a replica of a new name is opened beside what it left. That begins with what counts.
#[test]
fn what_lies_beyond_the_end_of_an_evicted_log_does_not_come_back_through_a_new_replica() {
    for has_ended in [false, true] {
        let mut stage = Stage::new(83, 3);
        let [one, two, lost] = [stage.open("one", 0), stage.open("two", 1), stage.open("lost", 2)];
        lost.add("likes", 5).expect("it counts");
        stage.pass(10);
        cut_off(&stage, &lost, &[0, 1], 200);
        [&one, &two].into_iter().for_each(|actor| cut_off(&stage, actor, &[2], 200));
        stage.count_on(&[&lost], "likes", 5, 3);
        assert!(!lost.status().snapshots.is_empty());
        let _deleted = one.replica.delete("likes").expect("it is deleted");
        assert!(!evict(&mut stage, &one, "lost", None).is_sealed);
        stage.count_on(&[&one, &two], "other", 10, 5);
        assert_eq!((one.status().dead_tallies, two.status().dead_tallies), (0, 0), "it is forgotten");
        if !has_ended {
            // It crashes before it hears of anything.
            stage.crash(lost);
        }
        stage.pass(200);
        let again = stage.open("lost-b", 2);
        stage.count_on(&[&one, &two, &again], "other", 10, 5);
        for actor in [&one, &two, &again] {
            assert_eq!(actor.count("likes"), 0, "ended: {has_ended}");
            assert_eq!((actor.status().dead_tallies, actor.alarms()), (0, vec![]), "ended: {has_ended}");
        }
    }
}

/// A region is lost with its bucket, one of the others is opened anew, and only then the operator evicts. Nobody sees that log in
/// any bucket any more; who is short of it gets the rest all the same.
#[test]
fn who_is_opened_after_a_bucket_was_lost_gets_the_rest_of_its_log() {
    let mut stage = Stage::new(84, 3);
    let [one, two, lost] = [stage.open("one", 0), stage.open("two", 1), stage.open("lost", 2)];
    lost.add("likes", 1).expect("it counts");
    stage.pass(5);
    cut_off(&stage, &one, &[2], 1 << 20);
    lost.add("likes", 10).expect("it counts");
    stage.pass(5);
    stage.crash(lost);
    stage.stores[2].restore(&Image::default());
    stage.crash(one);
    let one = stage.open("one", 0);
    evict(&mut stage, &two, "lost", None);
    stage.count_on(&[&one, &two], "other", 10, 10);
    assert_eq!((one.count("likes"), two.count("likes")), (11, 11));
    assert_eq!((one.alarms(), one.status().is_behind), (vec![], false));
}

/// The bucket of the lost region is there again, from a backup of some time ago. It is not sealed there: that would look like the
/// end of the log to those who have read less than there was.
#[test]
fn a_log_that_was_rolled_back_is_not_sealed() {
    let mut stage = Stage::new(85, 3);
    let [one, two, lost] = [stage.open("one", 0), stage.open("two", 1), stage.open("lost", 2)];
    lost.add("likes", 1).expect("it counts");
    stage.pass(5);
    let backup = stage.stores[2].image();
    cut_off(&stage, &one, &[2], 60);
    lost.add("likes", 10).expect("it counts");
    stage.pass(5);
    stage.crash(lost);
    stage.stores[2].restore(&backup);
    assert!(!evict(&mut stage, &two, "lost", None).is_sealed);
    stage.count_on(&[&one, &two], "other", 10, 10);
    assert_eq!((one.count("likes"), two.count("likes")), (11, 11));
    assert_eq!((one.alarms(), two.alarms()), (vec![], vec![]));
}

/// An operator gives up waiting while his bucket is slow, and tries again. When he is told that it is done, it is in the log.
#[test]
fn an_eviction_that_is_asked_for_twice_is_durable_when_it_is_answered() {
    let mut stage = Stage::new(86, 3);
    let [one, two, lost] = [stage.open("one", 0), stage.open("two", 1), stage.open("lost", 2)];
    lost.add("likes", 1).expect("it counts");
    stage.pass(20);
    stage.crash(lost);
    let at = read(&one, "lost");
    cut_off(&stage, &one, &[0], 400);
    let (operator, place) = (one.replica.clone(), stage.executor.region("impatient"));
    stage.executor.spawn(place, async move { operator.evict("lost", Some(at)).await });
    stage.pass(50);
    stage.executor.crash(place);
    let began = stage.executor.world().now();
    assert_eq!(evict(&mut stage, &one, "lost", Some(at)).last, at);
    assert!(stage.executor.world().now() - began > Duration::from_secs(300), "it has waited for its bucket");
    stage.crash(one);
    stage.pass(60);
    let known = two.status().logs.iter().any(|log| log.replica.as_str() == "lost" && log.evicted >= Some(at));
    assert!(known);
}

/// The bucket of the lost region was rolled back, and the operator has read no more of its log than is left. Others have: it is
/// not sealed, and what they have read counts.
#[test]
fn a_log_of_which_others_have_read_more_is_not_sealed() {
    let mut stage = Stage::new(87, 3);
    let [one, two, lost] = [stage.open("one", 0), stage.open("two", 1), stage.open("lost", 2)];
    lost.add("likes", 1).expect("it counts");
    stage.pass(5);
    let backup = stage.stores[2].image();
    cut_off(&stage, &one, &[2], 20);
    lost.add("likes", 10).expect("it counts");
    two.add("other", 1).expect("it says what it has read");
    stage.pass(5);
    two.add("other", 1).expect("it says what it has read");
    stage.crash(lost);
    stage.stores[2].restore(&backup);
    stage.pass(12);
    let at = read(&one, "lost");
    assert!(!evict(&mut stage, &one, "lost", Some(at)).is_sealed);
    stage.count_on(&[&one, &two], "other", 10, 10);
    assert_eq!((one.count("likes"), two.count("likes")), (11, 11));
    assert_eq!((one.alarms(), two.alarms()), (vec![], vec![]));
}

/// Two sides of a split network evict each other. A replica that is opened when it is whole again believes neither of those who
/// were evicted, and evicts nobody by itself.
#[test]
fn who_was_evicted_evicts_nobody_through_a_new_replica() {
    let mut stage = Stage::new(88, 3);
    let [one, two, lost] = [stage.open("one", 0), stage.open("two", 1), stage.open("lost", 2)];
    stage.count_on(&[&one, &two, &lost], "likes", 3, 4);
    cut_off(&stage, &lost, &[0, 1], 400);
    [&one, &two].into_iter().for_each(|actor| cut_off(&stage, actor, &[2], 400));
    evict(&mut stage, &two, "lost", None);
    evict(&mut stage, &lost, "one", None);
    stage.count_on(&[&one, &two, &lost], "likes", 8, 5);
    assert_eq!(one.ended(), None);
    stage.crash(lost);
    stage.pass(400);
    let again = stage.open("lost-b", 2);
    stage.count_on(&[&two, &again], "likes", 10, 5);
    assert_eq!(one.ended(), None, "nobody who counts has evicted it");
    assert_eq!((one.count("likes"), two.count("likes")), (again.count("likes"), again.count("likes")));
}

/// A region is lost with its bucket, and what the operator has read of it is in nobody's snapshot. He crashes when he was answered,
/// and it is there all the same.
#[test]
fn what_an_eviction_counts_is_kept_before_it_is_declared() {
    let mut stage = Stage::new(89, 3);
    stage.settings.snapshot_interval = Duration::from_secs(10_000);
    let [one, two, lost] = [stage.open("one", 0), stage.open("two", 1), stage.open("lost", 2)];
    lost.add("likes", 1).expect("it counts");
    stage.pass(5);
    cut_off(&stage, &one, &[2], 1 << 20);
    lost.add("likes", 10).expect("it counts");
    stage.pass(5);
    stage.crash(lost);
    stage.stores[2].restore(&Image::default());
    evict(&mut stage, &two, "lost", None);
    stage.crash(two);
    let two = stage.open("two", 1);
    stage.count_on(&[&one, &two], "other", 10, 5);
    assert_eq!((one.count("likes"), two.count("likes")), (11, 11));
}

/// One has read more of the lost log than the operator, has said so in its own log, and has forgotten it in a crash. It is not
/// behind for ever: what lies beyond the end does not come back.
#[test]
fn nobody_is_behind_what_does_not_count() {
    let mut stage = Stage::new(90, 3);
    stage.settings.snapshot_interval = Duration::from_secs(10_000);
    let [one, two, lost] = [stage.open("one", 0), stage.open("two", 1), stage.open("lost", 2)];
    lost.add("likes", 1).expect("it counts");
    stage.pass(5);
    cut_off(&stage, &two, &[2], 1 << 20);
    lost.add("likes", 10).expect("it counts");
    stage.pass(5);
    one.add("other", 1).expect("it says what it has read");
    stage.pass(5);
    [one, lost].into_iter().for_each(|actor| stage.crash(actor));
    stage.stores[2].restore(&Image::default());
    let one = stage.open("one", 0);
    assert!(one.status().is_behind);
    let at = read(&two, "lost");
    evict(&mut stage, &two, "lost", Some(at));
    stage.count_on(&[&one, &two], "other", 10, 5);
    assert_eq!((one.count("likes"), two.count("likes")), (1, 1));
    assert_eq!((one.status().is_behind, one.alarms()), (false, vec![]));
}
