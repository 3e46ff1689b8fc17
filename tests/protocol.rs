//! The whole protocol: snapshots, acknowledging, purging, collection and recovery, under crashes and faults.
//!
//! Goal: whatever is snapshotted, collected, purged and lost in crashes, the replicas end with the same values, nothing
//! that was acknowledged is lost or counted twice, what is deleted stays deleted, and what is kept beside the values is
//! bounded. Method: three regions that change and delete objects of every kind, with intervals so short that each of them
//! takes many snapshots and collects most of its log; crashes between any two polls; buckets that fail in every way.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use crdt_core::Value;
use replica::{Content, Replica, key::ObjectKey};
use sim::{Faults, Random, Region};
use tests::{
    cluster::{Cluster, LIKES, REGIONS, SEEN, faults_that_may_be},
    stage::short_settings,
};

/// Something happens to one of a few objects of every kind.
fn meddle(replica: &Replica, random: &mut Random) -> Result<(), replica::Error> {
    let path = format!("few/{}", random.below(4));
    let small = |random: &mut Random| random.below(5);
    match random.below(10) {
        0 => drop(replica.g_counter(&format!("{path}/g"))?.add(random.below(5))?),
        1 | 2 => drop(replica.pn_counter(&format!("{path}/pn"))?.add(random.below(9) as i64 - 4)?),
        3 => drop(replica.lww_register(&format!("{path}/lww"))?.set(&small(random))?),
        4 => drop(replica.mv_register(&format!("{path}/mv"))?.set(&small(random))?),
        5 => drop(replica.or_set(&format!("{path}/set"))?.add(&small(random))?),
        6 => drop(replica.or_set(&format!("{path}/set"))?.remove(&small(random))?),
        7 => drop(replica.delete(&format!("{path}/set"))?),
        8 => drop(replica.delete(&format!("{path}/g"))?),
        _ => drop(replica.delete(&format!("{path}/pn"))?),
    }
    Ok(())
}

fn start(cluster: &mut Cluster, region: usize, life: u64) -> Region {
    let mut random = cluster.executor.world().random(&format!("driver {} {life}", REGIONS[region]));
    cluster.start(region, life, move |replica| {
        for _ in 0..random.below(4) {
            meddle(replica, &mut random).expect("it is changed");
        }
        Duration::from_millis(20 + random.below(200))
    })
}

/// Everybody is opened once more and left alone for a while. Returns what each of them holds then, and its status.
fn settle(cluster: &mut Cluster, life: u64) -> Vec<(Vec<(ObjectKey, Value)>, replica::Status)> {
    let held: Arc<Mutex<Vec<Option<_>>>> = Arc::new(Mutex::new(vec![None; REGIONS.len()]));
    for (region, name) in REGIONS.into_iter().enumerate() {
        let (opening, world, held) = (cluster.opening(region, life), cluster.executor.world().clone(), held.clone());
        let place = cluster.executor.region(format!("{name} settles"));
        cluster.executor.spawn(place, async move {
            let replica = opening.await.unwrap_or_else(|error| panic!("{name} cannot be opened: {error}"));
            let background = replica.clone();
            world.spawn(place, async move { background.run().await });
            world.sleep(Duration::from_secs(120)).await;
            held.lock().expect("not poisoned")[region] = Some((replica.scan("").collect(), replica.status()));
        });
    }
    cluster.executor.pass(Duration::from_secs(200));
    let held = std::mem::take(&mut *held.lock().expect("not poisoned"));
    held.into_iter().map(|held| held.expect("everybody has settled")).collect()
}

fn value<'a>(held: &'a [(ObjectKey, Value)], path: &str) -> &'a Value {
    &held.iter().find(|(key, _)| key.path() == path).expect("it is there").1
}

fn run(seed: u64, faults: &Faults, crashes: u64, has_outages: bool) {
    let mut cluster = Cluster::new(seed, faults, short_settings());
    if has_outages {
        cluster.interrupt(40);
    }
    let mut places: Vec<Region> = (0..REGIONS.len()).map(|region| start(&mut cluster, region, 0)).collect();
    cluster.executor.pass(Duration::from_secs(5));
    cluster.crash_again_and_again(&mut places, crashes, (6_000, 4_000), start);
    cluster.executor.pass(Duration::from_secs(15));
    cluster.stop(places);
    let held = settle(&mut cluster, crashes + 1);

    for ((_, status), name) in held.iter().zip(REGIONS) {
        assert_eq!(status.alarms, [], "seed {seed}: {name}");
        assert_eq!(status.ended, None, "seed {seed}: {name}");
        assert!(!status.is_behind, "seed {seed}: {name}");
        assert_eq!(status.snapshots.len(), 2, "seed {seed}: {name}");
        assert!(status.logs.iter().all(|log| log.agrees != Some(false)), "seed {seed}: {name}: {:?}", status.logs);
    }
    assert!(held.iter().all(|(held_here, _)| *held_here == held[0].0), "seed {seed}: {held:#?}");
    let (Value::PnCounter(likes), Value::OrSet(seen)) = (value(&held[0].0, LIKES), value(&held[0].0, SEEN)) else {
        panic!("seed {seed}: other kinds than were written")
    };
    let seen: BTreeSet<u64> = seen.iter().map(|e| u64::decode(e).expect("a number")).collect();
    cluster.demand_truth(seed, *likes, &seen);
    for ((_, status), name) in held.iter().zip(REGIONS) {
        assert_eq!(status.dead_tallies, 0, "seed {seed}: {name}: all is acknowledged, and something dead is left");
        assert_eq!(status.early_removals, 0, "seed {seed}: {name}");
    }
    for (bucket, name) in cluster.buckets.iter().zip(REGIONS) {
        let keys = bucket.keys();
        let count = |folder: &str| keys.iter().filter(|key| key.starts_with(folder)).count() as u64;
        // Two for each epoch, and what came since the older snapshot.
        let (log, parts, manifests) = (count("v1/log/"), count("v1/part/"), count("v1/snap/"));
        let opened = crashes + 3;
        assert!(log <= 2 * opened + 12, "seed {seed}: {name}: {log} objects of log are left: {keys:#?}");
        assert!(manifests <= 4 && parts <= 4, "seed {seed}: {name}: {manifests} manifests, {parts} parts");
    }
}

#[test]
fn snapshots_are_taken_and_logs_collected_while_all_goes_well() {
    for seed in 0..20 {
        run(seed, &Faults::none(), 0, false);
    }
}

#[test]
fn replicas_that_crash_recover_from_snapshots_and_agree() {
    for seed in 0..60 {
        run(seed, &Faults::none(), 8, false);
    }
}

#[test]
fn buckets_that_fail_in_every_way_that_they_may_lose_nothing_that_was_acknowledged() {
    for seed in 0..60 {
        run(seed, &faults_that_may_be(seed), 6, seed % 2 == 0);
    }
}
