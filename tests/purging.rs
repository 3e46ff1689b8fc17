//! The model's rules of purging and of what a log publishes, on whole replicas. The numbers are those of the histories that
//! showed each rule: see `museum_keyspace` for the others.

use std::time::Duration;

use replica::{
    ErrorKind, Position,
    log::{Keys, LogHeader, decode},
};
use sim::{Damage, SimBucket};
use tests::stage::{Actor, Stage};

/// Everything has been read, and acknowledged, by everybody.
fn settle(stage: &mut Stage, actors: &[&Actor]) {
    stage.count_on(actors, "other", 6, 4);
}

/// M4. B deletes what A counted, and C hears of it; A does not. What C waits for before it purges is taken after the deletion
/// was merged: taken before, A would have acknowledged all of it long ago, and what A counts on would come back whole.
#[test]
fn m04_a_purge_waits_for_the_very_deletion_to_be_acknowledged() {
    let mut stage = Stage::new(71, 3);
    let [a, b, c] = [stage.open("a", 0), stage.open("b", 1), stage.open("c", 2)];
    a.add("likes", 5).expect("it counts");
    settle(&mut stage, &[&a, &b, &c]);
    let now = stage.executor.world().now();
    let dark = now..now + Duration::from_secs(60);
    // A hears nobody, and everybody hears A.
    [1, 2].into_iter().for_each(|region: usize| a.links[region].unreachable(dark.clone()));
    let _deleted = b.replica.delete("likes").expect("it is deleted");
    stage.pass(10);
    assert_eq!((a.count("likes"), b.count("likes"), c.count("likes")), (5, 0, 0));
    stage.count_on(&[&b, &c], "other", 5, 4);
    assert_eq!((b.status().dead_tallies, c.status().dead_tallies), (1, 1), "its owner has not heard");
    a.add("likes", 1).expect("it counts");
    stage.pass(10);
    assert_eq!((b.count("likes"), c.count("likes")), (1, 1), "what B had seen stays deleted");
    stage.pass(60);
    settle(&mut stage, &[&a, &b, &c]);
    for actor in [&a, &b, &c] {
        assert_eq!((actor.count("likes"), actor.status().dead_tallies), (1, 0));
    }
}

/// M7. A is out of touch for longer than it is waited for, and what B wrote meanwhile is collected. A comes back through B's
/// snapshot: what it lacks of A's own writes and has seen is gone, as of anybody's.
#[test]
fn m07_merging_a_snapshot_makes_no_exception_for_what_is_ones_own() {
    let mut stage = Stage::new(74, 2);
    stage.settings.max_lag = Duration::from_secs(5);
    let [a, b] = [stage.open("a", 0), stage.open("b", 1)];
    let cart = |actor: &Actor| actor.replica.or_set::<str>("cart").expect("a path");
    let name = |actor: &Actor| actor.replica.lww_register::<str>("name").expect("a path");
    let _added = cart(&a).add("lamp").expect("it is added");
    let _added = cart(&a).add("mug").expect("it is added");
    let _set = name(&a).set("ada").expect("it is set");
    a.add("likes", 5).expect("it counts");
    settle(&mut stage, &[&a, &b]);
    let now = stage.executor.world().now();
    a.links[1].unreachable(now..now + Duration::from_secs(120));
    let _removed = cart(&b).remove("lamp").expect("it is removed");
    let _deleted = b.replica.delete("name").expect("it is deleted");
    let _deleted = b.replica.delete("likes").expect("it is deleted");
    stage.pass(1);
    let at = b.status().durable;
    let slot = |stage: &Stage| stage.stores[1].peek(&Keys::new("").expect("a root").log(b.replica.name(), at));
    assert!(slot(&stage).is_some());
    stage.count_on(&[&b], "other", 12, 8);
    assert!(slot(&stage).is_none(), "what B removed with was collected");
    assert_eq!((cart(&a).len(), a.count("likes")), (2, 5), "A has not heard");
    stage.pass(60);
    settle(&mut stage, &[&a, &b]);
    for actor in [&a, &b] {
        assert_eq!((cart(actor).contains("lamp"), cart(actor).contains("mug")), (false, true));
        assert_eq!((name(actor).value().expect("text"), actor.count("likes")), (None, 0));
        assert_eq!((actor.status().dead_tallies, actor.alarms()), (0, vec![]));
    }
}

/// M11. The last change is a deletion, and then nothing is written but what acknowledges: empty segments, which nobody
/// acknowledges in turn. Nothing dead is left all the same.
#[test]
fn m11_a_purge_does_not_wait_for_empty_segments() {
    let mut stage = Stage::new(72, 3);
    let [a, b, c] = [stage.open("a", 0), stage.open("b", 1), stage.open("c", 2)];
    for actor in [&a, &b, &c] {
        actor.add("likes", 5).expect("it counts");
    }
    stage.pass(10);
    let _deleted = c.replica.delete("likes").expect("it is deleted");
    stage.pass(60);
    for actor in [&a, &b, &c] {
        assert_eq!((actor.count("likes"), actor.status().dead_tallies), (0, 0));
    }
}

/// M12. A fetches several of B's segments at once. The first of them cannot be read, and a later one has the acknowledgement
/// for which A would purge. It does not count before its segment is applied.
#[test]
fn m12_an_acknowledgement_counts_when_its_segment_is_applied() {
    let mut stage = Stage::new(75, 3);
    let [a, b, c] = [stage.open("a", 0), stage.open("b", 1), stage.open("c", 2)];
    b.add("likes", 5).expect("it counts");
    settle(&mut stage, &[&a, &b, &c]);
    let now = stage.executor.world().now();
    a.links[1].unreachable(now..now + Duration::from_secs(60));
    let status = a.status();
    let read = status.logs.iter().find(|log| log.replica.as_str() == "b").and_then(|log| log.applied);
    let next = read.and_then(Position::next).expect("it has read something");
    let _deleted = a.replica.delete("likes").expect("it is deleted");
    stage.pass(1);
    let deletion = a.status().durable;
    stage.count_on(&[&a, &b, &c], "other", 5, 4);
    assert_eq!((b.count("likes"), a.status().dead_tallies), (0, 1));
    let acknowledged = headers(&stage.stores[1], "b").last().expect("it has written").ack.clone();
    assert!(acknowledged.get(a.replica.name().id()) >= Some(deletion), "A would purge if it knew");
    let key = Keys::new("").expect("a root").log(b.replica.name(), next);
    assert!(stage.stores[1].damage(&key, Damage::Flip(777)));
    stage.pass(70);
    assert_eq!(a.alarms(), [ErrorKind::Corrupt]);
    assert_eq!(a.status().dead_tallies, 1, "it was fetched, and not applied");
    assert!(stage.stores[1].damage(&key, Damage::Flip(777)), "the bit is what it was");
    stage.pass(40);
    for actor in [&a, &b, &c] {
        assert_eq!((actor.count("likes"), actor.status().dead_tallies, actor.alarms()), (0, 0, vec![]));
    }
}

/// Found by the simulator, in one of 100,000 seeds. A deletes what C has counted, and cannot write: its own bucket is away, so the
/// deletion stays in the open segment. Then it hears of B's deletion of a smaller count, which C has acknowledged long ago. That is
/// not what the tally has died of.
#[test]
fn a_purge_waits_for_a_deletion_that_is_not_cut_yet() {
    let mut stage = Stage::new(76, 3);
    let [a, b, c] = [stage.open("a", 0), stage.open("b", 1), stage.open("c", 2)];
    c.add("likes", 3).expect("it counts");
    settle(&mut stage, &[&a, &b, &c]);
    let now = stage.executor.world().now();
    let dark = now..now + Duration::from_secs(60);
    b.links[2].unreachable(dark.clone());
    a.links[1].unreachable(dark);
    c.add("likes", 3).expect("it counts");
    let _deleted = b.replica.delete("likes").expect("it is deleted");
    stage.count_on(&[&b, &c], "other", 5, 4);
    assert_eq!((a.count("likes"), b.count("likes"), c.count("likes")), (6, 0, 3));
    let now = stage.executor.world().now();
    a.links[0].unreachable(now..now + Duration::from_secs(120));
    // What A acknowledges waits for the bucket, and everything else behind it.
    stage.count_on(&[&c], "other", 5, 4);
    let _deleted = a.replica.delete("likes").expect("it is deleted");
    stage.pass(60);
    assert_eq!((a.count("likes"), b.count("likes"), c.count("likes")), (0, 3, 3), "A has heard, and is not heard");
    c.add("likes", 4).expect("it counts");
    stage.pass(100);
    settle(&mut stage, &[&a, &b, &c]);
    for actor in [&a, &b, &c] {
        assert_eq!((actor.count("likes"), actor.status().dead_tallies), (4, 0));
    }
}

/// A crashes while what it deleted waits for B, who is out of touch. What its snapshot holds dead is queued anew: nothing of it is
/// left when B has heard.
#[test]
fn what_is_dead_in_a_snapshot_is_purged_after_a_recovery() {
    let mut stage = Stage::new(76, 2);
    let [a, b] = [stage.open("a", 0), stage.open("b", 1)];
    [&a, &b].into_iter().for_each(|actor| actor.add("likes", 5).expect("it counts"));
    settle(&mut stage, &[&a, &b]);
    let now = stage.executor.world().now();
    b.links[0].unreachable(now..now + Duration::from_secs(60));
    let _deleted = a.replica.delete("likes").expect("it is deleted");
    stage.count_on(&[&a], "other", 4, 4);
    assert!(a.status().dead_tallies > 0, "B has not heard");
    stage.crash(a);
    let a = stage.open("a", 0);
    assert!(a.status().dead_tallies > 0);
    stage.pass(60);
    settle(&mut stage, &[&a, &b]);
    for actor in [&a, &b] {
        assert_eq!((actor.status().dead_tallies, actor.status().objects), (0, 1), "live or not, there is one object");
    }
}

/// The headers of a log, in its order, as far as they have not been collected.
fn headers(store: &SimBucket, name: &str) -> Vec<LogHeader> {
    let folder = format!("v1/log/{name}/");
    let keys = store.keys().into_iter().filter(|key| key.starts_with(&folder));
    let header = |key: String| {
        let object = store.peek(&key).expect("it was listed");
        decode(&object, &key, None).expect("it is whole").header().clone()
    };
    keys.map(header).collect()
}

/// M9. A replica crashes and comes back with less than it had published. What it publishes and acknowledges only grows, in seals
/// too: a peer that believed it earlier was right.
#[test]
fn m09_what_a_log_publishes_and_acknowledges_only_grows() {
    for seed in 0..20 {
        let mut stage = Stage::new(seed, 2);
        stage.settings.retention = Duration::from_secs(1 << 20);
        let mut one = stage.open("one", 0);
        let two = stage.open("two", 1);
        for life in 0..6 {
            for _ in 0..5 {
                one.add("likes", 1).expect("it counts");
                two.add("likes", 1).expect("it counts");
                stage.executor.pass(Duration::from_millis(300 + 97 * seed + 41 * life));
            }
            stage.crash(one);
            // It is opened while nobody can be asked what it had seen, takes a snapshot of what it has, and once more.
            let now = stage.executor.world().now();
            let dark = now..now + Duration::from_secs(60);
            let open = |stage: &mut Stage| {
                let dark = dark.clone();
                let one = stage.try_open_with("one", 0, |links| links[1].unreachable(dark), |_| {}).expect("it opens");
                if let Err(error) = one.add("alone", 1) {
                    assert_eq!(
                        error.kind(),
                        ErrorKind::Backpressure,
                        "it had promised to hold more than has come back"
                    );
                }
                one
            };
            one = open(&mut stage);
            let before = one.status().snapshots;
            for _ in 0..200 {
                if one.status().snapshots == before {
                    stage.executor.pass(Duration::from_millis(50));
                }
            }
            // The snapshot holds less than was published, and nothing stands behind it.
            assert_ne!(one.status().snapshots, before);
            stage.crash(one);
            one = open(&mut stage);
            stage.pass(80);
        }
        let headers = headers(&stage.stores[0], "one");
        assert!(headers.len() > 30, "{}", headers.len());
        for pair in headers.windows(2) {
            let [before, after] = pair else { continue };
            let at = after.position;
            assert!(after.frontier.covers_all(&before.frontier), "seed {seed}: the frontier goes back at {at}");
            assert!(after.ack.covers_all(&before.ack), "seed {seed}: an acknowledgement is taken back at {at}");
            assert!(after.frontier.covers_all(&after.ack), "seed {seed}: more is acknowledged than published at {at}");
            assert!(after.hlc >= before.hlc, "seed {seed}: time goes back at {at}");
        }
        assert_eq!(one.count("likes"), 60, "seed {seed}");
    }
}

/// Only what the older of its two snapshots covers is acknowledged. A crashes with its newest snapshot damaged and nobody in
/// reach: alone it comes back to all that it has promised to hold, and writes.
#[test]
fn a_replica_recovers_alone_to_what_it_has_acknowledged_with_its_newest_snapshot_damaged() {
    let mut stage = Stage::new(73, 2);
    let [a, b] = [stage.open("a", 0), stage.open("b", 1)];
    a.add("mine", 1).expect("it counts");
    settle(&mut stage, &[&a, &b]);
    stage.pass(10);
    let step = Duration::from_millis(50);
    b.add("likes", 1).expect("it counts");
    let mut pass = |_| {
        let _stop = stage.executor.pass(step);
    };
    (0..100).take_while(|_| a.count("likes") == 0).for_each(&mut pass);
    let newest = a.status().snapshots.last().copied();
    (0..100).take_while(|_| a.status().snapshots.last().copied() == newest).for_each(&mut pass);
    assert_ne!(a.status().snapshots.last().copied(), newest, "it has taken one that holds the change");
    // Long enough for what it acknowledges to be in its log, and too short for the next snapshot.
    stage.executor.pass(Duration::from_millis(1_300));
    stage.crash(a);
    let manifest = stage.stores[0].keys().into_iter().rfind(|key| key.contains("/snap/a/")).expect("there are two");
    assert!(stage.stores[0].damage(&manifest, sim::Damage::Flip(400)));
    let now = stage.executor.world().now();
    let dark = now..now + Duration::from_secs(1_000);
    let a = stage.try_open_with("a", 0, |links| links[1].unreachable(dark), |_| {}).expect("it opens");
    a.add("mine", 1).expect("it holds all that it has promised to hold");
    assert_eq!(a.count("mine"), 2);
}
