//! Stories: what has gone wrong elsewhere, or in an earlier design, told with whole replicas.
//!
//! Each begins with what happens to a user, and ends with what must be true for all that. The numbers B01 and so on are
//! those of known bugs of other systems, listed in `docs/guarantees.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use replica::{
    ErrorKind, Position,
    log::{Keys, LogObject, decode, decode_manifest},
};
use sim::{Damage, Fault, Faults, Image, SimBucket};
use tests::stage::{Actor, Stage};

/// Two regions: one counts to `total` and crashes when the other one has read it.
fn one_counts_and_crashes(seed: u64, total: i64) -> (Stage, Actor) {
    let mut stage = Stage::new(seed, 2);
    let first = stage.open("first", 0);
    let second = stage.open("second", 1);
    first.add("likes", total).expect("it counts");
    stage.pass(30);
    assert_eq!(second.count("likes"), i128::from(total));
    stage.crash(first);
    (stage, second)
}

fn flip(stage: &Stage, region: usize, wanted: impl Fn(&str) -> bool) -> usize {
    let keys: Vec<String> = stage.stores[region].keys().into_iter().filter(|key| wanted(key)).collect();
    keys.iter().for_each(|key| assert!(stage.stores[region].damage(key, Damage::Flip(400)), "{key}"));
    keys.len()
}

/// B01. A bucket is emptied, and its replica restarted while a peer can be asked.
#[test]
fn an_emptied_bucket_is_noticed_by_its_opener() {
    let (mut stage, second) = one_counts_and_crashes(1, 5);
    stage.stores[0].restore(&Image::default());
    let refused = stage.try_open("first", 0).expect_err("its history is gone");
    assert_eq!(refused.kind(), ErrorKind::LostHistory);
    assert!(refused.to_string().contains("open a new replica name"), "{refused}");
    assert!(stage.stores[0].keys().is_empty(), "nothing is written where history was lost");
    // The way on that the message names.
    let renamed = stage.open("first-b", 0);
    assert_eq!(renamed.count("likes"), 5, "a new name recovers what the peers hold");
    renamed.add("likes", 2).expect("it counts");
    stage.pass(10);
    assert_eq!(second.count("likes"), 7);
}

/// B01. The same, and no peer can be asked: the emptied replica counts from zero, and nobody is wiped.
#[test]
fn an_emptied_bucket_is_noticed_by_every_reader() {
    let (mut stage, second) = one_counts_and_crashes(2, 5);
    stage.stores[0].restore(&Image::default());
    let forever = Duration::ZERO..Duration::from_secs(200);
    let first = stage.try_open_with("first", 0, |links| links[1].unreachable(forever), |_| {}).expect("it is alone");
    first.add("likes", 1).expect("it knows nothing");
    stage.pass(30);
    assert_eq!(second.count("likes"), 5, "nobody is wiped");
    assert_eq!(second.alarms(), [ErrorKind::LostHistory]);
    second.add("likes", 1).expect("the other logs go on");
    assert_eq!(second.count("likes"), 6);
    // It can ask again, and learns what it has lost.
    stage.pass(300);
    let refused = first.add("likes", 1).expect_err("it must not go on");
    assert_eq!(refused.kind(), ErrorKind::LostHistory);
}

/// A bucket is put back to what it was a while ago.
#[test]
fn a_bucket_that_was_rolled_back_is_noticed_by_opener_and_readers() {
    for reachable in [true, false] {
        let mut stage = Stage::new(3, 2);
        let first = stage.open("first", 0);
        let second = stage.open("second", 1);
        first.add("likes", 1).expect("it counts");
        stage.pass(5);
        let yesterday = stage.stores[0].image();
        first.add("likes", 10).expect("it counts");
        stage.pass(30);
        assert_eq!(second.count("likes"), 11);
        stage.crash(first);
        stage.stores[0].restore(&yesterday);
        if reachable {
            assert_eq!(stage.try_open("first", 0).expect_err("it is not all there").kind(), ErrorKind::LostHistory);
            continue;
        }
        let cut = Duration::ZERO..Duration::from_secs(10_000);
        let first = stage.try_open_with("first", 0, |links| links[1].unreachable(cut), |_| {}).expect("it is alone");
        first.add("likes", 100).expect("it knows nothing");
        stage.pass(60);
        assert_eq!(second.count("likes"), 11, "what contradicts what was read is not merged");
        assert_eq!(second.alarms(), [ErrorKind::LostHistory]);
    }
}

/// A third replica has read a history that a second one knows to be false, and offers it in a snapshot.
#[test]
fn a_third_replica_does_not_pass_a_lost_history_on() {
    let mut stage = Stage::new(4, 3);
    let first = stage.open("first", 0);
    let second = stage.open("second", 1);
    first.add("likes", 5).expect("it counts");
    stage.pass(30);
    stage.crash(first);
    stage.stores[0].restore(&Image::default());
    let cut = || Duration::ZERO..Duration::from_secs(10_000);
    let first = stage.try_open_with("first", 0, |links| links[1].unreachable(cut()), |_| {}).expect("it is alone");
    first.add("likes", 1).expect("it knows nothing");
    // Only its snapshots are left when the second one gets to know of it.
    second.links[2].unreachable(Duration::ZERO..Duration::from_secs(120));
    let third = stage.try_open_with("third", 2, |links| links[1].unreachable(cut()), |_| {}).expect("it opens");
    third.add("other", 1).expect("it counts");
    for _ in 0..8 {
        stage.pass(10);
        third.add("other", 1).expect("it counts");
        assert_eq!(third.count("likes"), 1);
    }
    stage.pass(200);
    assert_eq!(second.count("likes"), 5, "nobody is wiped");
    assert!(second.alarms().contains(&ErrorKind::LostHistory));
}

/// B15. The newest snapshot is damaged while nobody looks: its manifest, or a part that only it names.
#[test]
fn recovery_falls_back_to_the_older_snapshot() {
    for folder in ["/snap/", "/part/"] {
        let mut stage = Stage::new(5, 1);
        let first = stage.open("first", 0);
        for _ in 0..30 {
            first.add("likes", 1).expect("it counts");
            stage.pass(1);
        }
        let newest = *first.status().snapshots.last().expect("it has taken some");
        stage.crash(first);
        let name = format!("/{:08x}-{:08x}", newest.epoch(), newest.slot());
        assert_eq!(flip(&stage, 0, |key| key.contains(folder) && key.contains(&name)), 1);
        let first = stage.open("first", 0);
        assert_eq!(first.count("likes"), 30);
        assert_eq!(first.alarms(), [ErrorKind::Corrupt]);
        // The next snapshot makes it whole again.
        first.add("likes", 1).expect("it counts");
        stage.pass(10);
        assert_eq!(first.alarms(), []);
        stage.crash(first);
        assert_eq!(stage.open("first", 0).count("likes"), 31);
    }
}

/// Every snapshot is damaged, and the log before them was collected: nothing can be made up. Each attempt leaves the seal with
/// which it took the log over, and that is all: what is left stays as it is, for whoever can mend it.
#[test]
fn recovery_without_a_whole_snapshot_says_so_and_writes_one_seal_an_attempt() {
    let mut stage = Stage::new(6, 1);
    let first = stage.open("first", 0);
    for _ in 0..10 {
        first.add("likes", 1).expect("it counts");
        stage.pass(3);
    }
    stage.crash(first);
    // A deletion that was under way still lands.
    stage.pass(100);
    assert!(flip(&stage, 0, |key| key.contains("/part/")) >= 2);
    let before = stage.stores[0].keys();
    for attempts in 1..=3 {
        let refused = stage.try_open("first", 0).expect_err("a part of it is gone");
        assert_eq!(refused.kind(), ErrorKind::LostHistory);
        assert!(refused.to_string().contains("no snapshot that is whole"), "{refused}");
        stage.pass(100);
        let now = stage.stores[0].keys();
        let gone: Vec<_> = before.iter().filter(|key| !now.contains(key)).collect();
        assert!(gone.is_empty(), "deleted: {gone:?} of {before:?}");
        let written: Vec<_> = now.iter().filter(|key| !before.contains(key)).collect();
        assert_eq!(written.len(), attempts, "{written:?}");
        for key in written {
            let object = stage.stores[0].peek(key).expect("it is there");
            assert!(matches!(decode(&object, key, None), Ok(LogObject::Seal(_))), "{key} is no seal");
        }
    }
}

/// Every snapshot is damaged, and the log before them is still there. Alone, the replica comes back to less than it had promised
/// never to need again: others have forgotten, on its word, what it has just read anew. So it takes no writes until it has heard
/// all of that again, or what was deleted would come back with the next count.
#[test]
fn a_replica_that_comes_back_with_less_than_it_promised_takes_no_writes_until_it_has_it() {
    let mut stage = Stage::new(9, 2);
    stage.settings.retention = Duration::from_secs(1 << 20);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    first.add("likes", 5).expect("it counts");
    stage.pass(5);
    let _deleted = second.replica.delete("likes").expect("it is deleted");
    stage.count_on(&[&first, &second], "other", 6, 4);
    assert_eq!(second.status().dead_tallies, 0, "it is forgotten");
    stage.crash(first);
    assert!(flip(&stage, 0, |key| key.contains("/snap/")) >= 2);
    let now = stage.executor.world().now();
    let alone = |links: &[SimBucket]| links[1].unreachable(now..now + Duration::from_secs(60));
    let first = stage.try_open_with("first", 0, alone, |_| {}).expect("it opens from its log");
    assert!(first.status().is_behind);
    assert_eq!(first.add("likes", 1).expect_err("it promised more").kind(), ErrorKind::Backpressure);
    stage.pass(60);
    first.add("likes", 1).expect("it has heard the rest");
    stage.count_on(&[&first, &second], "other", 6, 4);
    assert_eq!((first.count("likes"), second.count("likes")), (1, 1));
}

/// A segment is damaged at rest: its log stops there, and says so; the other logs go on.
#[test]
fn a_damaged_segment_stops_its_log_only() {
    for damage in [Damage::Flip(333), Damage::Truncate(60), Damage::Truncate(0)] {
        let mut stage = Stage::new(7, 3);
        stage.settings.snapshot_interval = Duration::from_secs(1 << 30);
        let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
        first.add("a", 1).expect("it counts");
        second.add("b", 1).expect("it counts");
        stage.pass(5);
        let whole = stage.stores[0].image();
        let newest = stage.stores[0].keys().into_iter().rfind(|key| key.contains("/log/")).expect("there is a log");
        assert!(stage.stores[0].damage(&newest, damage));
        let third = stage.open("third", 2);
        stage.pass(5);
        assert_eq!((third.count("a"), third.count("b")), (0, 1), "{damage:?}");
        assert_eq!(third.alarms(), [ErrorKind::Corrupt], "{damage:?}");
        second.add("b", 1).expect("it counts");
        stage.pass(5);
        assert_eq!(third.count("b"), 2, "the other logs go on");
        // It is put right from a copy.
        stage.stores[0].restore(&whole);
        stage.pass(5);
        assert_eq!((third.count("a"), third.alarms()), (1, vec![]), "{damage:?}");
    }
}

/// Objects of others are in the bucket: they are left alone.
#[test]
fn what_is_not_ours_is_left_alone() {
    use replica::ports::Bucket;
    let mut stage = Stage::new(8, 2);
    let foreign = ["README.md", "v1/log/README", "v1/log/Not-A-Name/x", "v1/log/first/notes/x", "v1/snap/first/latest"];
    for key in foreign {
        let store = stage.stores[0].clone();
        stage.wait(async move { store.create(key, "hello".into()).await }).expect("it is created");
    }
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    for _ in 0..10 {
        first.add("likes", 1).expect("it counts");
        stage.pass(3);
    }
    assert_eq!((second.count("likes"), second.alarms(), first.alarms()), (10, vec![], vec![]));
    for key in foreign {
        assert!(stage.stores[0].peek(key).is_some(), "{key}");
    }
}

/// B03. The answer to every successful write is lost, or says that the object was there: that is not being fenced.
#[test]
fn a_write_that_succeeded_twice_is_no_fence() {
    for fault in [Fault::AnswerLost, Fault::OwnExists] {
        let mut stage = Stage::new(9, 1);
        let first = stage.open("first", 0);
        first.links[0].set_faults(Faults::none().with(fault, 500_000));
        for _ in 0..20 {
            first.add("likes", 1).expect("it counts");
            stage.pass(1);
        }
        let written = first.replica.pn_counter("likes").expect("a path").add(1).expect("it counts");
        stage.wait(async move { written.durable().await }).expect("it is durable");
        assert!(first.links[0].met(fault) > 5, "{fault:?}");
    }
}

/// B02. A writer stalls; another process takes over, writes, takes snapshots and collects. What the first had sent
/// arrives at last: it finds no free slot, and it is told.
#[test]
fn a_stalled_writer_never_finds_a_slot_that_was_freed() {
    for seed in 0..20 {
        let mut stage = Stage::new(100 + seed, 1);
        let stalled = stage.open("first", 0);
        for _ in 0..5 {
            stalled.add("likes", 1).expect("it counts");
            stage.pass(1);
        }
        let now = stage.executor.world().now();
        stalled.links[0].unreachable(now..now + Duration::from_secs(60));
        stalled.add("likes", 1_000).expect("it cannot know");
        let next = stage.open("first", 0);
        for _ in 0..15 {
            next.add("likes", 1).expect("it counts");
            stage.pass(3);
        }
        assert_eq!(next.count("likes"), 20);
        stage.pass(100);
        assert_eq!(stalled.add("likes", 1).expect_err("it was told").kind(), ErrorKind::Fenced, "seed {seed}");
        stage.crash(next);
        assert_eq!(stage.open("first", 0).count("likes"), 20, "seed {seed}: what was never durable never counts");
    }
}

/// B04, B05. A new replica reads a snapshot while its owner writes new ones and collects the old.
#[test]
fn a_snapshot_that_is_collected_while_it_is_read_is_read_anew() {
    for seed in 0..10 {
        let mut stage = Stage::new(200 + seed, 2);
        (stage.settings.retention, stage.settings.snapshot_interval) = (Duration::ZERO, Duration::from_millis(300));
        let first = stage.open("first", 0);
        let written = first.replica.clone();
        let place = stage.executor.region("writer");
        let world = stage.executor.world().clone();
        stage.executor.spawn(place, async move {
            for number in 0_u64.. {
                let counter = written.pn_counter(&format!("likes/{}", number % 50)).expect("a path");
                let _written = counter.add(1).expect("it counts");
                world.sleep(Duration::from_millis(20)).await;
            }
        });
        stage.pass(20);
        let slow = Faults::none().with(Fault::Slow, 200_000);
        let second = stage.try_open_with("second", 1, |links| links[0].set_faults(slow), |_| {}).expect("it opens");
        stage.pass(30);
        stage.executor.crash(place);
        second.links[0].set_faults(Faults::none());
        stage.pass(30);
        let sum = |actor: &Actor| (0..50).map(|number| actor.count(&format!("likes/{number}"))).sum::<i128>();
        assert!(sum(&first) > 1_000, "seed {seed}");
        assert_eq!(sum(&second), sum(&first), "seed {seed}: {:?}", second.status().alarms);
    }
}

/// B20. A clock runs a year ahead, and is put right later: nobody's writes are masked, and nobody stops.
#[test]
fn a_clock_a_year_ahead_masks_nobodys_writes() {
    const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;
    let mut stage = Stage::new(10, 2);
    let ahead = stage.try_open_with("ahead", 0, |_| {}, |clock| clock.set_offset_ms(YEAR_MS)).expect("it opens");
    let right = stage.open("right", 1);
    let name = |actor: &Actor| actor.replica.lww_register::<str>("name").expect("a path");
    let _written = name(&ahead).set("from the future").expect("it is written");
    stage.pass(10);
    assert_eq!(name(&right).value().expect("text").as_deref(), Some("from the future"), "it is merged all the same");
    assert!(right.status().ahead > 0, "and counted");
    let _written = name(&right).set("now").expect("its own clock was not dragged along");
    stage.pass(10);
    for actor in [&ahead, &right] {
        assert_eq!(name(actor).value().expect("text").as_deref(), Some("now"), "what a write has seen it supersedes");
    }
    // The clock is put right, and the replica restarted: its own log is from the future now.
    stage.crash(ahead);
    let ahead = stage.open("ahead", 0);
    let _written = name(&ahead).set("later").expect("it can write");
    stage.pass(10);
    assert_eq!(name(&right).value().expect("text").as_deref(), Some("later"));
}

/// B13. A replica merges others' changes between a change of its own and the flush: its own goes out all the same.
#[test]
fn what_waits_for_the_flush_survives_merges() {
    let mut stage = Stage::new(11, 2);
    stage.settings.flush_interval = Duration::from_secs(5);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    first.add("likes", 1).expect("it counts");
    for _ in 0..20 {
        second.add("likes", 100).expect("it counts");
        stage.pass(1);
    }
    stage.pass(20);
    assert_eq!((first.count("likes"), second.count("likes")), (2_001, 2_001));
}

/// A replica that has nothing to do sends no PUT, and past its back-off one GET per peer and `poll_max`.
#[test]
fn an_idle_replica_costs_one_get_per_peer_and_poll() {
    let mut stage = Stage::new(12, 3);
    stage.settings = replica::Settings::default();
    let actors: Vec<Actor> = (0..3).map(|region| stage.open(&format!("idle-{region}"), region)).collect();
    actors[0].add("likes", 1).expect("it counts");
    // Two snapshots for what has changed, and what they acknowledge.
    stage.pass(4 * 3_600);
    let requests = |actor: &Actor| actor.links.iter().map(sim::SimBucket::requests).collect::<Vec<_>>();
    let before: Vec<_> = actors.iter().map(requests).collect();
    let hours = 2;
    stage.pass(hours * 3_600);
    for (region, (actor, before)) in actors.iter().zip(before).enumerate() {
        for (place, (now, before)) in requests(actor).into_iter().zip(before).enumerate() {
            assert_eq!(now.creates, before.creates, "no PUT");
            let polls = if place == region { 0 } else { hours * 3_600 / 30 };
            assert!(now.gets - before.gets <= polls, "{} GETs for {polls} polls", now.gets - before.gets);
            let looks = hours * 3_600 / 300;
            // To discover logs, and to look a log over: which epochs there are, and what is in the newest.
            let (folders, lists) = (now.folders - before.folders, now.lists - before.lists);
            assert!(folders <= 2 * looks + 2 && lists <= looks + 8, "{folders} and {lists} lists in {looks} intervals");
        }
    }
}

/// A peer writes a newer format: its log stops, and says what to do. Skipping what is not understood and going on would lose
/// it at the next merge of a snapshot.
#[test]
fn a_newer_format_stops_its_log_only() {
    use replica::ports::Bucket;
    let mut stage = Stage::new(20, 3);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    first.add("a", 1).expect("it counts");
    stage.pass(1);
    // The next object of its log is of version 2.
    let next = stage.stores[0].keys().into_iter().rfind(|key| key.contains("/log/")).expect("there is a log");
    let mut newer = stage.stores[0].peek(&next).expect("it is there").to_vec();
    let slot = u32::from_str_radix(&next[next.len() - 8..], 16).expect("a slot") + 1;
    let key = format!("{}{slot:08x}", &next[..next.len() - 8]);
    newer[4] = 2;
    let store = stage.stores[0].clone();
    stage.wait(async move { store.create(&key, newer.into()).await }).expect("it is created");
    stage.pass(5);
    assert_eq!(second.alarms(), [ErrorKind::Unsupported]);
    let status = second.status();
    assert!(status.alarms[0].2.contains("upgrade"), "{:?}", status.alarms);
    let third = stage.open("third", 2);
    third.add("b", 1).expect("it counts");
    stage.pass(5);
    assert_eq!((second.count("a"), second.count("b")), (1, 1), "the other logs go on");
}

/// Requests to delete are given up and have their effect later, when a part of the same content has been written again. It has
/// another name by then, so what a manifest names is there.
#[test]
fn a_part_that_is_deleted_late_takes_no_later_one_with_it() {
    for seed in 0..8 {
        let mut stage = Stage::new(seed, 1);
        stage.settings.retention = Duration::from_secs(1);
        let mut faults = Faults::none().with(Fault::Late, 400_000);
        faults.late_max = Duration::from_secs(12);
        let late = |links: &[SimBucket]| links[0].set_faults(faults);
        let one = stage.try_open_with("one", 0, late, |_| {}).expect("it opens");
        let _kept = one.replica.or_set::<str>("kept").expect("a path").add("lamp").expect("it is added");
        let passing = one.replica.or_set::<str>("passing").expect("a path");
        let (keys, mut written) = (Keys::new("").expect("a root"), BTreeMap::<[u8; 32], BTreeSet<Position>>::new());
        for round in 0..40 {
            let _changed = if round % 2 == 0 { passing.add("mug") } else { passing.remove("mug") };
            for _ in 0..6 {
                stage.executor.pass(Duration::from_millis(500));
                // Older ones may be there again, by a request to create that came late.
                for position in one.status().snapshots {
                    let key = keys.manifest(one.replica.name(), position);
                    let object = stage.stores[0].peek(&key).expect("it was listed");
                    for part in decode_manifest(&object, &key, None).expect("it is whole").into_manifest().parts {
                        let at = keys.part(one.replica.name(), part.written, part.content);
                        assert!(stage.stores[0].peek(&at).is_some(), "seed {seed}: {key} names {at}");
                        written.entry(*part.content.as_bytes()).or_default().insert(part.written);
                    }
                }
            }
        }
        assert!(written.values().any(|names| names.len() > 5), "the same content was written again and again");
        assert!(one.links[0].met(Fault::Late) > 20, "seed {seed}");
    }
}
