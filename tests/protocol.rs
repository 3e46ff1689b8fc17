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
use replica::{Content, Replica, Settings, key::ObjectKey};
use sim::{Executor, Fault, Faults, Random, SimBucket, SimClock, SimEntropy, World};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-1"];

/// What is acknowledged as durable, by region.
#[derive(Debug, Default)]
struct Truth {
    attempted: u64,
    elements: BTreeSet<u64>,
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(100);
    settings.poll_min = Duration::from_millis(100);
    settings.poll_max = Duration::from_secs(1);
    settings.discovery_interval = Duration::from_secs(3);
    settings.catch_up = Duration::from_secs(20);
    settings.snapshot_interval = Duration::from_secs(2);
    settings.ack_interval = Duration::from_secs(1);
    settings.retention = Duration::from_secs(3);
    settings
}

struct Cluster {
    executor: Executor,
    buckets: Vec<SimBucket>,
    truths: Vec<Arc<Mutex<Truth>>>,
}

async fn open(region: usize, buckets: &[SimBucket], world: &World, life: u64) -> Replica {
    let name = REGIONS[region];
    let clock = Arc::new(SimClock::new(world));
    let entropy = Arc::new(SimEntropy::new(world, &format!("{name} {life}")));
    let mut builder = Replica::builder_with(name, buckets[region].clone(), clock, entropy).settings(settings());
    for (peer, bucket) in buckets.iter().enumerate().filter(|(peer, _)| *peer != region) {
        builder = builder.peer(REGIONS[peer], bucket.clone());
    }
    builder.open().await.unwrap_or_else(|error| panic!("{name} cannot be opened: {error}"))
}

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

impl Cluster {
    fn new(seed: u64, faults: &Faults) -> Self {
        let executor = Executor::new(seed);
        let world = executor.world().clone();
        let buckets = REGIONS.iter().map(|name| SimBucket::new(&world, name, faults.clone())).collect();
        Self { executor, buckets, truths: REGIONS.iter().map(|_| Arc::default()).collect() }
    }

    fn start(&mut self, region: usize, life: u64) -> sim::Region {
        let name = REGIONS[region];
        let place = self.executor.region(format!("{name} {life}"));
        let (buckets, world, truth) =
            (self.buckets.clone(), self.executor.world().clone(), self.truths[region].clone());
        let mut random = world.random(&format!("driver {name} {life}"));
        self.executor.spawn(place, async move {
            let replica = open(region, &buckets, &world, life).await;
            let background = replica.clone();
            world.spawn(place, async move { background.run().await });
            loop {
                let element = {
                    let mut truth = truth.lock().expect("not poisoned");
                    truth.attempted += 1;
                    truth.attempted * 3 + region as u64
                };
                let written = replica.batch(|batch| {
                    batch.pn_counter("posts/42/likes").add(1);
                    batch.or_set::<u64>("posts/42/seen").add(&element);
                    Ok(())
                });
                let written = written.expect("it is written");
                for _ in 0..random.below(4) {
                    meddle(&replica, &mut random).expect("it is changed");
                }
                world.sleep(Duration::from_millis(20 + random.below(200))).await;
                if element.is_multiple_of(2) && written.durable().await.is_ok() {
                    truth.lock().expect("not poisoned").elements.insert(element);
                }
            }
        });
        place
    }

    /// Everybody is opened once more and left alone for a while. Returns what each of them holds then, and its status.
    fn settle(&mut self, life: u64) -> Vec<(Vec<(ObjectKey, Value)>, replica::Status)> {
        self.buckets.iter().for_each(|bucket| bucket.set_faults(Faults::none()));
        let held: Arc<Mutex<Vec<Option<_>>>> = Arc::new(Mutex::new(vec![None; REGIONS.len()]));
        for (region, name) in REGIONS.into_iter().enumerate() {
            let (buckets, world, held) = (self.buckets.clone(), self.executor.world().clone(), held.clone());
            let place = self.executor.region(format!("{name} settles"));
            self.executor.spawn(place, async move {
                let replica = open(region, &buckets, &world, life).await;
                let background = replica.clone();
                world.spawn(place, async move { background.run().await });
                world.sleep(Duration::from_secs(120)).await;
                held.lock().expect("not poisoned")[region] = Some((replica.scan("").collect(), replica.status()));
            });
        }
        self.executor.pass(Duration::from_secs(200));
        let held = std::mem::take(&mut *held.lock().expect("not poisoned"));
        held.into_iter().map(|held| held.expect("everybody has settled")).collect()
    }
}

fn value<'a>(held: &'a [(ObjectKey, Value)], path: &str) -> &'a Value {
    &held.iter().find(|(key, _)| key.path() == path).expect("it is there").1
}

fn run(seed: u64, faults: &Faults, crashes: u64) {
    let mut cluster = Cluster::new(seed, faults);
    let world = cluster.executor.world().clone();
    let mut random = world.random("crashes");
    let mut places: Vec<sim::Region> = (0..REGIONS.len()).map(|region| cluster.start(region, 0)).collect();
    cluster.executor.pass(Duration::from_secs(5));
    for life in 1..=crashes {
        cluster.executor.pass(Duration::from_millis(500 + random.below(6_000)));
        let region = random.below(3) as usize;
        cluster.executor.crash(places[region]);
        cluster.executor.pass(Duration::from_millis(random.below(4_000)));
        places[region] = cluster.start(region, life);
    }
    cluster.executor.pass(Duration::from_secs(15));
    places.into_iter().for_each(|place| cluster.executor.crash(place));
    // What was under way still lands.
    cluster.executor.pass(Duration::from_secs(120));
    let held = cluster.settle(crashes + 1);

    for ((_, status), name) in held.iter().zip(REGIONS) {
        assert_eq!(status.alarms, [], "seed {seed}: {name}");
        assert_eq!(status.ended, None, "seed {seed}: {name}");
        assert!(!status.is_behind, "seed {seed}: {name}");
        assert_eq!(status.snapshots.len(), 2, "seed {seed}: {name}");
        assert!(status.logs.iter().all(|log| log.agrees != Some(false)), "seed {seed}: {name}: {:?}", status.logs);
    }
    assert!(held.iter().all(|(held_here, _)| *held_here == held[0].0), "seed {seed}: {held:#?}");
    let truths: Vec<_> = cluster.truths.iter().map(|truth| truth.lock().expect("not poisoned")).collect();
    let (Value::PnCounter(likes), Value::OrSet(seen)) =
        (value(&held[0].0, "posts/42/likes"), value(&held[0].0, "posts/42/seen"))
    else {
        panic!("seed {seed}: other kinds than were written")
    };
    let seen: BTreeSet<u64> = seen.iter().map(|e| u64::decode(e).expect("a number")).collect();
    assert_eq!(*likes, seen.len() as i128, "seed {seed}: each count came with an element in the same segment");
    for truth in &truths {
        let lost: Vec<_> = truth.elements.difference(&seen).collect();
        assert!(lost.is_empty(), "seed {seed}: acknowledged and lost: {lost:?}");
    }
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
        run(seed, &Faults::none(), 0);
    }
}

#[test]
fn replicas_that_crash_recover_from_snapshots_and_agree() {
    for seed in 0..60 {
        run(seed, &Faults::none(), 8);
    }
}

#[test]
fn buckets_that_fail_in_every_way_lose_nothing_that_was_acknowledged() {
    for seed in 0..60 {
        let mut random = Random::named(seed, "faults");
        let kinds = [Fault::Failed, Fault::Throttled, Fault::Slow, Fault::AnswerLost, Fault::Late, Fault::OwnExists];
        let faults = Faults::none().some(&kinds, 60_000, &mut random);
        run(seed, &faults, 6);
    }
}
