//! Whole replicas on simulated buckets: they write, crash, come back, and agree.
//!
//! Goal: nothing that was acknowledged as durable is lost or counted twice, whatever the buckets and the processes do, and
//! everybody ends with the same values. Method: three regions in the simulator, each with a driver that counts and adds
//! elements of its own, waits for some to be durable, and is crashed between two polls; truth is kept by the drivers from
//! acknowledged answers alone.

use std::{collections::BTreeSet, time::Duration};

use replica::{ErrorKind, Settings};
use sim::{Faults, Region, Trace};
use tests::cluster::{Cluster, LIKES, REGIONS, SEEN, faults_that_may_be};

/// More virtual time than anything here may take.
const LONG: Duration = Duration::from_secs(3_600);

/// No snapshot is taken: everything comes from the logs.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(100);
    settings.poll_min = Duration::from_millis(100);
    settings.poll_max = Duration::from_secs(2);
    settings.discovery_interval = Duration::from_secs(10);
    settings.catch_up = Duration::from_secs(60);
    settings
}

fn start(cluster: &mut Cluster, region: usize, life: u64) -> Region {
    cluster.start(region, life, |_| Duration::from_millis(70))
}

/// Everybody is opened once more, and reads all there is.
fn settle(cluster: &mut Cluster, lives: u64) -> Vec<(i128, BTreeSet<u64>)> {
    let mut values = Vec::new();
    for round in 0..2 {
        values.clear();
        for region in 0..REGIONS.len() {
            let opening = cluster.opening(region, lives + 1 + round);
            let read = cluster.executor.run(LONG, async move {
                let replica = opening.await.expect("it opens");
                assert!(replica.catch_up().await, "everything can be read");
                let likes = replica.pn_counter(LIKES).expect("a path").value();
                let seen = replica.or_set::<u64>(SEEN).expect("a path");
                (likes, seen.iter().collect::<Result<_, _>>().expect("numbers"))
            });
            values.push(read.expect("it reads on to the end"));
        }
    }
    values
}

fn run(seed: u64, faults: &Faults, crashes: u64, has_outages: bool) -> Trace {
    let mut cluster = Cluster::new(seed, faults, settings());
    if has_outages {
        cluster.interrupt(25);
    }
    let mut places: Vec<Region> = (0..REGIONS.len()).map(|region| start(&mut cluster, region, 0)).collect();
    cluster.crash_again_and_again(&mut places, crashes, (4_000, 2_000), start);
    cluster.executor.pass(Duration::from_secs(5));
    // A bucket that is slow in every way makes opening slow too.
    for _ in 0..120 {
        if cluster.truths().all(|truth| !truth.elements.is_empty()) {
            break;
        }
        cluster.executor.pass(Duration::from_secs(1));
    }
    let all_acknowledged = cluster.truths().all(|truth| !truth.elements.is_empty());
    assert!(all_acknowledged, "seed {seed}: nothing was ever acknowledged");
    cluster.stop(places);
    let trace = cluster.executor.world().trace();
    let values = settle(&mut cluster, crashes);
    assert!(values.iter().all(|value| *value == values[0]), "seed {seed}: {values:?}");
    cluster.demand_truth(seed, values[0].0, &values[0].1);
    trace
}

#[test]
fn three_regions_agree_and_lose_nothing() {
    for seed in 0..20 {
        run(seed, &Faults::none(), 0, false);
    }
}

#[test]
fn replicas_that_crash_between_any_two_polls_lose_nothing_that_was_acknowledged() {
    for seed in 0..200 {
        run(seed, &Faults::none(), 8, false);
    }
}

#[test]
fn buckets_that_fail_in_every_way_that_they_may_lose_nothing_that_was_acknowledged() {
    for seed in 0..200 {
        run(seed, &faults_that_may_be(seed), 6, seed % 2 == 0);
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..10 {
        let faults = if seed % 2 == 0 { Faults::none() } else { faults_that_may_be(seed) };
        assert_eq!(run(seed, &faults, 4, true), run(seed, &faults, 4, true), "seed {seed}");
    }
}

/// Whoever opens a replica fences whoever had it open: the first is told at its next write, and nothing of its counts.
#[test]
fn the_second_process_of_one_name_fences_the_first() {
    let mut cluster = Cluster::new(7, &Faults::none(), settings());
    let [first, second] = [0, 1].map(|life| cluster.opening(0, life));
    let place = cluster.executor.region("first");
    let running = cluster.executor.world().clone();
    let told = cluster.executor.run(LONG, async move {
        let first = first.await.expect("it opens");
        let background = first.clone();
        running.spawn(place, async move { background.run().await });
        let likes = first.pn_counter("likes").expect("a path");
        likes.add(1).expect("it counts").durable().await.expect("it is durable");
        let second = second.await.expect("it opens");
        let refused = likes.add(1).expect("it cannot know yet").durable().await.expect_err("the log is not its own");
        let again = likes.add(1).expect_err("it knows now");
        (refused.kind(), again.kind(), second.pn_counter("likes").expect("a path").value())
    });
    assert_eq!(told.expect("it ends"), (ErrorKind::Fenced, ErrorKind::Fenced, 1));
}
