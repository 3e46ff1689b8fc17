//! Hints: what comes at once with them, and that nothing but the time depends on them.
//!
//! Goal: a hint is worth having, and nobody has to believe it. Method: replicas that poll so seldom that without a hint
//! nothing would come, on directories that tell of new files and in the simulator; then hints that are lost, doubled, late
//! and wrong, beside which everything must end as it does without any.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use replica::{Replica, Settings, blocking};
use sim::{HintFault, HintFaults, Random, Requests, SimBucket};
use store_object::{FolderHints, LocalBucket};
use tests::stage::{Actor, Stage};

const HOUR: Duration = Duration::from_secs(3_600);

// --- On directories.

/// A replica that would look for changes once an hour, were it not for hints.
fn on_directories(home: &Path, own: &str, peer: &str, is_hinted: bool) -> blocking::Replica {
    let bucket = |region: &str| LocalBucket::open(home.join(region)).expect("a bucket");
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(5);
    (settings.poll_min, settings.poll_max, settings.discovery_interval) = (HOUR, HOUR, HOUR);
    let name = if is_hinted { own.to_owned() } else { format!("{own}-deaf") };
    let mut builder = Replica::builder(&name, bucket(own)).peer(peer, bucket(peer)).settings(settings);
    if is_hinted {
        builder = builder.hints(FolderHints::watch(home.join(peer)).expect("a folder that can be watched"));
    }
    blocking::Replica::open(builder).expect("it opens")
}

fn likes(replica: &blocking::Replica) -> i128 {
    replica.pn_counter("likes").expect("a path").value()
}

/// Whether it has counted so many within some time.
#[expect(clippy::disallowed_methods, reason = "a test of real files takes real time")]
fn reaches(replica: &blocking::Replica, likes_there: i128, within: Duration) -> bool {
    let end = Instant::now() + within;
    while likes(replica) < likes_there && Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
    }
    likes(replica) == likes_there
}

/// Nobody polls for an hour. What a replica writes is in the other one at once all the same, if that watches the directory.
#[test]
fn a_change_in_a_watched_directory_arrives_at_once() {
    let home = tempfile::tempdir().expect("a directory");
    let [eu, us] = ["eu-west-1", "us-east-1"];
    [eu, us].iter().for_each(|name| drop(LocalBucket::open(home.path().join(name)).expect("a bucket")));
    // It is there before the other's log is: a log that is new has to be found too.
    let reader = on_directories(home.path(), us, eu, true);
    let deaf = on_directories(home.path(), us, eu, false);
    let writer = on_directories(home.path(), eu, us, true);
    let add = || {
        let written = writer.pn_counter("likes").expect("a path").add(1).expect("it counts");
        writer.durable(written).expect("it is written");
    };
    // A file can be in a new folder before that is watched, and then only the next one tells.
    let mut written = 0;
    let is_heard = (0..10).any(|_| {
        add();
        written += 1;
        reaches(&reader, written, Duration::from_secs(1))
    });
    assert!(is_heard, "no hint has woken the reader");
    for _ in 0..20 {
        add();
        written += 1;
        assert!(reaches(&reader, written, Duration::from_secs(5)), "{} of {written}", likes(&reader));
    }
    assert_eq!(likes(&deaf), 0, "without hints it would have taken an hour");
}

// --- In the simulator.

/// Replicas in two regions that poll every ten minutes.
fn lazy(seed: u64, hints: HintFaults) -> (Stage, [Actor; 2]) {
    let mut stage = Stage::new(seed, 2);
    stage.hints = Some(hints);
    let minutes = Duration::from_secs(600);
    (stage.settings.poll_min, stage.settings.poll_max, stage.settings.discovery_interval) = (minutes, minutes, HOUR);
    let actors = [stage.open("first", 0), stage.open("second", 1)];
    (stage, actors)
}

#[test]
fn a_hint_brings_a_change_at_once_and_a_lost_one_leaves_it_to_the_poll() {
    for (fault, comes) in [(None, true), (Some(HintFault::Doubled), true), (Some(HintFault::Vague), true)]
        .into_iter()
        .chain([(Some(HintFault::Lost), false)])
    {
        let (mut stage, [first, second]) = lazy(1, HintFaults::none());
        stage.pass(1);
        let faults = fault.map_or(HintFaults::none(), |fault| HintFaults::none().with(fault, 1_000_000));
        second.hints[0].set_faults(faults);
        for round in 1..=3 {
            first.add("likes", 1).expect("it counts");
            stage.pass(1);
            let there = if comes { round } else { round - 1 };
            assert_eq!(second.count("likes"), there, "{fault:?}: a second after the change");
            stage.pass(700);
            assert_eq!(second.count("likes"), round, "{fault:?}: after the poll");
        }
    }
}

/// A log that is new is found at the first hint that names it, or that says "look everywhere".
#[test]
fn a_new_log_is_found_at_its_first_hint() {
    for fault in [HintFault::Doubled, HintFault::Vague] {
        let mut stage = Stage::new(2, 2);
        stage.hints = Some(HintFaults::none().with(fault, 1_000_000));
        (stage.settings.poll_min, stage.settings.poll_max, stage.settings.discovery_interval) = (HOUR, HOUR, HOUR);
        let first = stage.open("first", 0);
        stage.pass(60);
        let second = stage.open("second", 1);
        second.add("likes", 1).expect("it counts");
        stage.pass(3);
        assert_eq!(first.count("likes"), 1, "{fault:?}");
    }
}

/// What must be the same with any hints: the values, and what is kept of the past.
fn life(seed: u64, hints: Option<HintFaults>) -> (Stage, Vec<Actor>) {
    let mut stage = Stage::new(seed, 3);
    stage.hints = hints;
    stage.settings.poll_max = Duration::from_secs(20);
    let actors: Vec<Actor> = (0..3).map(|region| stage.open(&format!("region-{region}-a"), region)).collect();
    let mut random = Random::named(seed, "hinted lives");
    for _ in 0..60 {
        for actor in &actors {
            actor.add("likes", 1).expect("it counts");
            let path = format!("few/{}", random.below(4));
            if random.chance(300_000) {
                let _written = actor.replica.delete(&path).expect("it is deleted");
            } else {
                actor.add(&path, 1).expect("it counts");
            }
        }
        stage.executor.pass(Duration::from_millis(random.below(1_500)));
    }
    stage.pass(200);
    (stage, actors)
}

/// What it costs to do nothing for a while.
fn idle(stage: &mut Stage, actors: &[Actor]) -> Vec<Requests> {
    let requests = |actors: &[Actor]| {
        actors.iter().flat_map(|actor| actor.links.iter().map(SimBucket::requests)).collect::<Vec<_>>()
    };
    let before = requests(actors);
    stage.pass(1_000);
    let since = |(now, before): (Requests, Requests)| Requests {
        creates: now.creates - before.creates,
        gets: now.gets - before.gets,
        lists: now.lists - before.lists,
        folders: now.folders - before.folders,
        ..Requests::default()
    };
    requests(actors).into_iter().zip(before).map(since).collect()
}

#[test]
fn hints_that_lie_change_nothing_but_the_time() {
    for seed in 0..10 {
        let some = 1_000_000 / (HintFault::ALL.len() as u32 + 1);
        let faults = HintFault::ALL.into_iter().fold(HintFaults::none(), |faults, fault| faults.with(fault, some));
        let (mut stage, actors) = life(seed, Some(faults));
        let (mut other, without) = life(seed, None);
        let log =
            |stage: &Stage| stage.stores.iter().flat_map(SimBucket::keys).filter(|key| key.contains("/log/")).count();
        for actor in &actors {
            assert_eq!(actor.count("likes"), 180, "seed {seed}");
            assert!(actor.replica.scan("").eq(actors[0].replica.scan("")), "seed {seed}");
            let status = actor.status();
            assert_eq!(status.alarms, [], "seed {seed}");
            assert_eq!((status.dead_tallies, status.early_removals), (0, 0), "seed {seed}");
            let known: Vec<_> = status.logs.iter().map(|log| log.replica.as_str()).collect();
            assert_eq!(known.len(), 3, "seed {seed}: a hint makes no replica: {known:?}");
            for log in &status.logs {
                assert_eq!((log.heard, log.lag), (log.applied, Some(Duration::ZERO)), "seed {seed}: {log:?}");
            }
            for hints in &actor.hints {
                let (told, done) = hints.told_and_done();
                assert!(told > 30 && told == done, "seed {seed}: {done} of {told} hints are dealt with");
            }
        }
        assert!(
            log(&stage) <= log(&other) + 12,
            "seed {seed}: {} objects of log, {} without",
            log(&stage),
            log(&other)
        );
        assert_eq!(actors.len(), without.len());
        for (with, without) in idle(&mut stage, &actors).into_iter().zip(idle(&mut other, &without)) {
            let is_alike = |with: u64, without: u64| with <= without + without / 4 + 4;
            let alike = is_alike(with.gets, without.gets)
                && is_alike(with.lists + with.folders, without.lists + without.folders);
            assert!(alike && with.creates == 0, "seed {seed}: {with:?} with hints, {without:?} without");
        }
    }
}
