//! A stage for stories: regions with simulated buckets, and replicas that are opened, run and crashed one by one.

use std::{sync::Arc, time::Duration};

use replica::{Builder, Error, ErrorKind, Replica, Settings, Status, log::MacKey};
use sim::{Executor, Faults, HintFaults, Region, SimBucket, SimClock, SimEntropy, SimHints, World};

/// More virtual time than anything may take.
const LONG: Duration = Duration::from_secs(1 << 32);

/// Regions, each with a bucket.
#[derive(Debug)]
pub struct Stage {
    /// Runs all of them in virtual time.
    pub executor: Executor,
    /// The store of each region, over a link that never fails.
    pub stores: Vec<SimBucket>,
    /// What replicas are opened with.
    pub settings: Settings,
    /// The hints that replicas are opened with, if any: one source for each bucket of a peer.
    pub hints: Option<HintFaults>,
    /// The key that replicas are opened with, if any.
    pub key: Option<MacKey>,
    lives: u64,
}

/// A replica that runs.
#[derive(Debug)]
pub struct Actor {
    /// It.
    pub replica: Replica,
    /// Its wall clock.
    pub clock: SimClock,
    /// Its links to the buckets, in the order of the regions.
    pub links: Vec<SimBucket>,
    /// Its hints, in the order of the regions without its own.
    pub hints: Vec<SimHints>,
    place: Region,
}

/// Intervals of the tests: a hundredth to a thousandth of what they are by default.
#[must_use]
pub fn short_settings() -> Settings {
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

/// A link over which every request takes more than a second.
#[must_use]
pub fn slow_link() -> Faults {
    Faults::none().taking(Duration::from_millis(1_400), Duration::from_millis(1_500))
}

/// A replica of this name in one of the regions, ready to be opened: what it writes and reads goes over `links`.
pub fn builder(name: &str, region: usize, links: &[SimBucket], clock: &SimClock, world: &World, life: u64) -> Builder {
    let entropy = Arc::new(SimEntropy::new(world, &format!("{name} {life}")));
    let mut builder = Replica::builder_with(name, links[region].clone(), Arc::new(clock.clone()), entropy);
    for (peer, link) in links.iter().enumerate().filter(|(peer, _)| *peer != region) {
        builder = builder.peer(&format!("region-{peer}"), link.clone());
    }
    builder
}

impl Stage {
    /// So many regions, whose buckets are empty.
    #[must_use]
    pub fn new(seed: u64, regions: usize) -> Self {
        let executor = Executor::new(seed);
        let store = |region| SimBucket::new(executor.world(), &format!("region-{region}"), Faults::none());
        let stores = (0..regions).map(store).collect();
        Self { executor, stores, settings: short_settings(), hints: None, key: None, lives: 0 }
    }

    /// Opens a replica and runs it.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened.
    pub fn try_open(&mut self, name: &str, region: usize) -> Result<Actor, Error> {
        self.try_open_with(name, region, |_| {}, |_| {})
    }

    /// The same, with links and a clock that are prepared first.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened.
    pub fn try_open_with(
        &mut self,
        name: &str,
        region: usize,
        links: impl FnOnce(&[SimBucket]),
        clock: impl FnOnce(&SimClock),
    ) -> Result<Actor, Error> {
        self.lives += 1;
        let (life, world) = (self.lives, self.executor.world().clone());
        let own_clock = SimClock::new(&world);
        clock(&own_clock);
        let link = |store: &SimBucket| store.link(&format!("{name} {life}"), Faults::none());
        let own_links: Vec<SimBucket> = self.stores.iter().map(link).collect();
        links(&own_links);
        let mut builder = builder(name, region, &own_links, &own_clock, &world, life).settings(self.settings.clone());
        let hints: Vec<SimHints> = self.hints.iter().flat_map(|faults| self.hints_for(name, region, faults)).collect();
        if let Some(key) = &self.key {
            builder = builder.key(key.clone());
        }
        for source in &hints {
            builder = builder.hints(source.clone());
        }
        let replica = self.wait(async move { builder.open().await })?;
        let place = self.executor.region(format!("{name} {life}"));
        let background = replica.clone();
        self.executor.spawn(place, async move { background.run().await });
        Ok(Actor { replica, clock: own_clock, links: own_links, hints, place })
    }

    /// A source of hints for each bucket but that of the region.
    fn hints_for(&self, name: &str, region: usize, faults: &HintFaults) -> Vec<SimHints> {
        let peers = self.stores.iter().enumerate().filter(|(peer, _)| *peer != region);
        let source = |(peer, store): (usize, &SimBucket)| {
            let source = format!("hints of {peer} for {name} {}", self.lives);
            let hints = SimHints::new(self.executor.world(), &source, faults.clone());
            store.tell(&hints);
            hints
        };
        peers.map(source).collect()
    }

    /// Opens a replica that can be opened, and runs it.
    ///
    /// # Panics
    ///
    /// When it cannot.
    #[must_use]
    pub fn open(&mut self, name: &str, region: usize) -> Actor {
        self.try_open(name, region).unwrap_or_else(|error| panic!("{name} cannot be opened: {error}"))
    }

    /// Crashes a replica where it is.
    #[expect(clippy::needless_pass_by_value, reason = "it is gone")]
    pub fn crash(&mut self, actor: Actor) {
        self.executor.crash(actor.place);
    }

    /// Lets time pass.
    pub fn pass(&mut self, seconds: u64) {
        self.executor.pass(Duration::from_secs(seconds));
    }

    /// Each of them counts at a path and time passes, again and again.
    ///
    /// # Panics
    ///
    /// When one of them cannot.
    pub fn count_on(&mut self, actors: &[&Actor], path: &str, rounds: usize, seconds: u64) {
        for _ in 0..rounds {
            actors.iter().for_each(|actor| actor.add(path, 1).expect("it counts"));
            self.pass(seconds);
        }
    }

    /// Runs a future to its end, and everything else meanwhile.
    ///
    /// # Panics
    ///
    /// When nothing happens any more and it has not ended.
    pub fn wait<T: Send + 'static>(&mut self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.executor.run(LONG, future).unwrap_or_else(|stop| panic!("it never ends: {stop:?}"))
    }
}

impl Actor {
    /// What it counts at a path.
    ///
    /// # Panics
    ///
    /// When that is no path.
    #[must_use]
    pub fn count(&self, path: &str) -> i128 {
        self.replica.pn_counter(path).expect("a path").value()
    }

    /// Counts at a path.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub fn add(&self, path: &str, amount: i64) -> Result<(), Error> {
        let _written = self.replica.pn_counter(path)?.add(amount)?;
        Ok(())
    }

    /// Why it has stopped, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ErrorKind> {
        self.status().ended.map(|(kind, _)| kind)
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.replica.status()
    }

    /// The kinds of what is wrong now.
    #[must_use]
    pub fn alarms(&self) -> Vec<ErrorKind> {
        self.status().alarms.into_iter().map(|(_, kind, _)| kind).collect()
    }
}
