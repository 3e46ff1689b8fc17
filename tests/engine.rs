//! Whole replicas on simulated buckets: they write, crash, come back, and agree.
//!
//! Goal: nothing that was acknowledged as durable is lost or counted twice, whatever the buckets and the processes do, and
//! everybody ends with the same values. Method: three regions in the simulator, each with a driver that counts and adds
//! elements of its own, waits for some to be durable, and is crashed between two polls; truth is kept by the drivers from
//! acknowledged answers alone.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use replica::{ErrorKind, Replica, Settings};
use sim::{Executor, Fault, Faults, SimBucket, SimClock, SimEntropy};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-1"];

/// More virtual time than anything here may take.
const LONG: Duration = Duration::from_secs(3_600);

/// What one region's drivers have done.
#[derive(Debug, Default)]
struct Truth {
    /// Batches made, durable or not: each counts one and adds an element.
    attempted: u64,
    /// Elements of the batches that were answered to be durable.
    elements: BTreeSet<u64>,
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(100);
    settings.poll_min = Duration::from_millis(100);
    settings.poll_max = Duration::from_secs(2);
    settings.discovery_interval = Duration::from_secs(10);
    settings.catch_up = Duration::from_secs(60);
    settings
}

struct Cluster {
    executor: Executor,
    buckets: Vec<SimBucket>,
    truths: Vec<Arc<Mutex<Truth>>>,
}

impl Cluster {
    fn new(seed: u64, faults: &Faults) -> Self {
        let executor = Executor::new(seed);
        let world = executor.world().clone();
        let buckets = REGIONS.iter().map(|name| SimBucket::new(&world, name, faults.clone())).collect();
        Self { executor, buckets, truths: REGIONS.iter().map(|_| Arc::default()).collect() }
    }

    async fn open(
        name: &str,
        region: usize,
        buckets: &[SimBucket],
        world: &sim::World,
        life: u64,
    ) -> Result<Replica, replica::Error> {
        let clock = Arc::new(SimClock::new(world));
        let entropy = Arc::new(SimEntropy::new(world, &format!("{name} {life}")));
        let mut builder = Replica::builder_with(name, buckets[region].clone(), clock, entropy).settings(settings());
        for (peer, bucket) in buckets.iter().enumerate().filter(|(peer, _)| *peer != region) {
            builder = builder.peer(REGIONS[peer], bucket.clone());
        }
        builder.open().await
    }

    /// Starts a region: it writes for ever, and reads its peers.
    fn start(&mut self, region: usize, life: u64) -> sim::Region {
        let name = REGIONS[region];
        let place = self.executor.region(format!("{name} {life}"));
        let (buckets, world, truth) =
            (self.buckets.clone(), self.executor.world().clone(), self.truths[region].clone());
        self.executor.spawn(place, async move {
            let replica = Self::open(name, region, &buckets, &world, life).await.expect("a log can be taken over");
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
                world.sleep(Duration::from_millis(70)).await;
                if element.is_multiple_of(2) && written.durable().await.is_ok() {
                    truth.lock().expect("not poisoned").elements.insert(element);
                }
            }
        });
        place
    }

    /// Everybody stops writing, is opened once more, and reads all there is.
    fn settle(mut self, lives: u64) -> Vec<(i128, BTreeSet<u64>)> {
        self.buckets.iter().for_each(|bucket| bucket.set_faults(Faults::none()));
        let mut values = Vec::new();
        for round in 0..2 {
            values.clear();
            for (region, name) in REGIONS.into_iter().enumerate() {
                let (buckets, world) = (self.buckets.clone(), self.executor.world().clone());
                let read = self.executor.run(LONG, async move {
                    let life = lives + 1 + round;
                    let replica = Self::open(name, region, &buckets, &world, life).await.expect("it opens");
                    assert!(replica.catch_up().await, "everything can be read");
                    let likes = replica.pn_counter("posts/42/likes").expect("a path").value();
                    let seen = replica.or_set::<u64>("posts/42/seen").expect("a path");
                    (likes, seen.iter().collect::<Result<_, _>>().expect("numbers"))
                });
                values.push(read.expect("it reads on to the end"));
            }
        }
        values
    }
}

fn run(seed: u64, faults: &Faults, crashes: u64) -> sim::Trace {
    let mut cluster = Cluster::new(seed, faults);
    let world = cluster.executor.world().clone();
    let mut random = world.random("crashes");
    let mut places: Vec<sim::Region> = (0..REGIONS.len()).map(|region| cluster.start(region, 0)).collect();
    for life in 1..=crashes {
        cluster.executor.pass(Duration::from_millis(500 + random.below(4_000)));
        let region = random.below(3) as usize;
        cluster.executor.crash(places[region]);
        cluster.executor.pass(Duration::from_millis(random.below(2_000)));
        places[region] = cluster.start(region, life);
    }
    cluster.executor.pass(Duration::from_secs(5));
    // A bucket that is slow in every way makes opening slow too.
    for _ in 0..120 {
        if cluster.truths.iter().all(|truth| !truth.lock().expect("not poisoned").elements.is_empty()) {
            break;
        }
        cluster.executor.pass(Duration::from_secs(1));
    }
    places.into_iter().for_each(|place| cluster.executor.crash(place));
    // What was under way still lands.
    cluster.executor.pass(Duration::from_secs(120));
    let truths = cluster.truths.clone();
    let trace = world.trace();
    let values = cluster.settle(crashes);
    assert!(values.iter().all(|value| *value == values[0]), "seed {seed}: {values:?}");
    let (likes, seen) = &values[0];
    let truths: Vec<_> = truths.iter().map(|truth| truth.lock().expect("not poisoned")).collect();
    let attempted: i128 = truths.iter().map(|truth| i128::from(truth.attempted)).sum();
    assert!(*likes <= attempted, "seed {seed}: {likes} counted of {attempted} attempts: something counted twice");
    for truth in &truths {
        let lost: Vec<_> = truth.elements.difference(seen).collect();
        assert!(lost.is_empty(), "seed {seed}: acknowledged and lost: {lost:?}");
        assert!(!truth.elements.is_empty(), "seed {seed}: nothing was ever acknowledged");
    }
    assert_eq!(*likes, seen.len() as i128, "seed {seed}: each count came with an element in the same segment");
    trace
}

#[test]
fn three_regions_agree_and_lose_nothing() {
    for seed in 0..20 {
        run(seed, &Faults::none(), 0);
    }
}

#[test]
fn replicas_that_crash_between_any_two_polls_lose_nothing_that_was_acknowledged() {
    for seed in 0..200 {
        run(seed, &Faults::none(), 8);
    }
}

#[test]
fn buckets_that_fail_in_every_way_lose_nothing_that_was_acknowledged() {
    for seed in 0..200 {
        let mut random = sim::Random::named(seed, "faults");
        let kinds = [Fault::Failed, Fault::Throttled, Fault::Slow, Fault::AnswerLost, Fault::Late, Fault::OwnExists];
        let faults = Faults::none().some(&kinds, 60_000, &mut random);
        run(seed, &faults, 6);
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..10 {
        assert_eq!(run(seed, &Faults::none(), 4), run(seed, &Faults::none(), 4), "seed {seed}");
    }
}

/// Whoever opens a replica fences whoever had it open: the first is told at its next write, and nothing of its counts.
#[test]
fn the_second_process_of_one_name_fences_the_first() {
    let mut executor = Executor::new(7);
    let world = executor.world().clone();
    let bucket = vec![
        SimBucket::new(&world, REGIONS[0], Faults::none()),
        SimBucket::new(&world, REGIONS[1], Faults::none()),
        SimBucket::new(&world, REGIONS[2], Faults::none()),
    ];
    let place = executor.region("first");
    let told = executor.run(LONG, async move {
        let first = Cluster::open(REGIONS[0], 0, &bucket, &world, 0).await.expect("it opens");
        let (background, running) = (first.clone(), world.clone());
        running.spawn(place, async move { background.run().await });
        let likes = first.pn_counter("likes").expect("a path");
        likes.add(1).expect("it counts").durable().await.expect("it is durable");
        let second = Cluster::open(REGIONS[0], 0, &bucket, &world, 1).await.expect("it opens");
        let refused = likes.add(1).expect("it cannot know yet").durable().await.expect_err("the log is not its own");
        let again = likes.add(1).expect_err("it knows now");
        (refused.kind(), again.kind(), second.pn_counter("likes").expect("a path").value())
    });
    assert_eq!(told.expect("it ends"), (ErrorKind::Fenced, ErrorKind::Fenced, 1));
}
