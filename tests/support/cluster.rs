//! Three regions with a replica each, which write, crash and come back; and what was acknowledged to them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use replica::{Error, ErrorKind, Replica, Settings};
use sim::{Executor, Fault, Faults, Random, Region, SimBucket, SimClock, World};

use crate::stage::builder;

/// The regions, each with a replica of its name.
pub const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-1"];

/// Where everybody counts.
pub const LIKES: &str = "posts/42/likes";

/// Where everybody adds an element with each count.
pub const SEEN: &str = "posts/42/seen";

/// What one region's drivers have done.
#[derive(Debug, Default)]
pub struct Truth {
    /// Batches made, durable or not: each counts one and adds an element.
    pub attempted: u64,
    /// Elements of the batches that were answered to be durable.
    pub elements: BTreeSet<u64>,
}

/// The regions, and what is known of them.
#[derive(Debug)]
pub struct Cluster {
    /// Runs all of them in virtual time.
    pub executor: Executor,
    /// The bucket of each region. Everybody uses the same link to it.
    pub buckets: Vec<SimBucket>,
    settings: Settings,
    truths: Vec<Arc<Mutex<Truth>>>,
}

/// Some of the faults that a bucket may have, so that each is absent now and then.
///
/// Lists are sound: here everybody shares one link to a bucket, and a replica's own lists are what the port promises (the probe
/// refuses a bucket that shows otherwise). Peers' lists fail in the simulator's stories. Outages are not drawn for each
/// request: [`Cluster::interrupt`].
#[must_use]
pub fn faults_that_may_be(seed: u64) -> Faults {
    let may_be = Fault::ALL.into_iter().filter(|fault| {
        !matches!(fault, Fault::StaleList | Fault::PartialList | Fault::GhostKeys | Fault::Unreachable)
    });
    Faults::none().some(&may_be.collect::<Vec<_>>(), 60_000, &mut Random::named(seed, "faults"))
}

impl Cluster {
    /// Empty buckets with these faults, and replicas that will be opened with these settings.
    #[must_use]
    pub fn new(seed: u64, faults: &Faults, settings: Settings) -> Self {
        let executor = Executor::new(seed);
        let buckets = REGIONS.iter().map(|name| SimBucket::new(executor.world(), name, faults.clone())).collect();
        Self { executor, buckets, settings, truths: REGIONS.iter().map(|_| Arc::default()).collect() }
    }

    /// What a region's drivers have done.
    pub fn truths(&self) -> impl Iterator<Item = MutexGuard<'_, Truth>> {
        self.truths.iter().map(|truth| lock(truth))
    }

    /// Cuts each bucket off a few times within so many seconds, for up to four seconds.
    pub fn interrupt(&self, seconds: u64) {
        let mut random = self.executor.world().random("outages");
        for bucket in &self.buckets {
            for _ in 0..random.below(4) {
                let from = Duration::from_millis(random.below(seconds * 1_000));
                bucket.unreachable(from..from + Duration::from_millis(random.below(4_000)));
            }
        }
    }

    /// Opens the replica of a region, in one of its lives.
    pub fn opening(&self, region: usize, life: u64) -> impl Future<Output = Result<Replica, Error>> + Send + use<> {
        let (buckets, world, settings) = (self.buckets.clone(), self.executor.world().clone(), self.settings.clone());
        async move {
            let clock = SimClock::new(&world);
            builder(REGIONS[region], region, &buckets, &clock, &world, life).settings(settings).open().await
        }
    }

    /// Starts a region: it writes for ever, and reads its peers. After each batch `rest` may do more, and says how long it
    /// rests.
    ///
    /// # Panics
    ///
    /// When the log cannot be taken over.
    pub fn start(
        &mut self,
        region: usize,
        life: u64,
        mut rest: impl FnMut(&Replica) -> Duration + Send + 'static,
    ) -> Region {
        let place = self.executor.region(format!("{} {life}", REGIONS[region]));
        let (world, truth) = (self.executor.world().clone(), self.truths[region].clone());
        let mut openings = [0, 1_000, 2_000, 3_000, 4_000].map(|again| self.opening(region, life + again)).into_iter();
        self.executor.spawn(place, async move {
            let replica = open_one_of(&mut openings, &world).await;
            let background = replica.clone();
            world.spawn(place, async move { background.run().await });
            loop {
                let element = {
                    let mut truth = lock(&truth);
                    truth.attempted += 1;
                    truth.attempted * 3 + region as u64
                };
                let written = replica.batch(|batch| {
                    batch.pn_counter(LIKES).add(1);
                    batch.or_set::<u64>(SEEN).add(&element);
                    Ok(())
                });
                let written = written.expect("it is written");
                world.sleep(rest(&replica)).await;
                if element.is_multiple_of(2) && written.durable().await.is_ok() {
                    lock(&truth).elements.insert(element);
                }
            }
        });
        place
    }

    /// Crashes regions and starts them again, so many times, after up to `alive` and then up to `dead` milliseconds.
    pub fn crash_again_and_again(
        &mut self,
        places: &mut [Region],
        crashes: u64,
        (alive, dead): (u64, u64),
        start: impl Fn(&mut Self, usize, u64) -> Region,
    ) {
        let mut random = self.executor.world().random("crashes");
        for life in 1..=crashes {
            self.executor.pass(Duration::from_millis(500 + random.below(alive)));
            let region = random.below(places.len() as u64) as usize;
            self.executor.crash(places[region]);
            self.executor.pass(Duration::from_millis(random.below(dead)));
            places[region] = start(self, region, life);
        }
    }

    /// Crashes everybody, and lets what was under way land. From now on no bucket fails.
    pub fn stop(&mut self, places: Vec<Region>) {
        places.into_iter().for_each(|place| self.executor.crash(place));
        self.executor.pass(Duration::from_secs(120));
        self.buckets.iter().for_each(|bucket| bucket.set_faults(Faults::none()));
    }

    /// Demands that nothing was lost of what was acknowledged, that nothing counts twice, and that each batch came whole.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn demand_truth(&self, seed: u64, likes: i128, seen: &BTreeSet<u64>) {
        let attempted: i128 = self.truths().map(|truth| i128::from(truth.attempted)).sum();
        assert!(likes <= attempted, "seed {seed}: {likes} counted of {attempted} attempts: something counted twice");
        for truth in self.truths() {
            let lost: Vec<_> = truth.elements.difference(seen).collect();
            assert!(lost.is_empty(), "seed {seed}: acknowledged and lost: {lost:?}");
        }
        assert_eq!(likes, seen.len() as i128, "seed {seed}: each count came with an element in the same segment");
    }
}

/// Opens a replica. When the bucket refuses, or what is read is damaged on its way twice, it is tried again, as whoever
/// watches over a process would.
async fn open_one_of(
    openings: &mut impl Iterator<Item = impl Future<Output = Result<Replica, Error>>>,
    world: &World,
) -> Replica {
    loop {
        match openings.next().expect("a log can be taken over at the fifth attempt").await {
            Ok(replica) => return replica,
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Store) => {
                world.sleep(Duration::from_secs(1)).await;
            }
            Err(error) => panic!("a log cannot be taken over: {error}: {:?}", std::error::Error::source(&error)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
