//! A process that has a replica open: how it is started, and what is known of it.
//! Layer 4.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use replica::{Error, ErrorKind, Leaderboard, Replica, name::ReplicaName, ports::Clock};

use super::Play;
use crate::{
    history::{Process, Seen, Truths, View},
    machine::Region,
    ports::{Faults, Gate, HintFaults, Lists, Party, SimBucket, SimClock, SimEntropy, SimHints, Teller, What},
};

/// A process that has a replica open, or had.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) process: Process,
    pub(crate) log: usize,
    pub(super) place: Region,
    pub(super) gate: Gate,
    pub(super) clock: SimClock,
    pub(super) links: Vec<SimBucket>,
    /// The bucket that its log is in, and the number of its link to that.
    pub(crate) link_home: (usize, u32),
    /// By which it is told of buckets, with their numbers.
    pub(super) hints: Vec<(usize, SimHints)>,
    pub(crate) given: Arc<Mutex<Given>>,
    /// When it was started.
    pub(crate) since: Duration,
    /// How far its view had got when it was looked at last.
    pub(crate) seen: Seen,
    /// How often it had been polled then; nothing if somebody has used it since.
    pub(super) looked_at: Option<u64>,
    /// What its view must show.
    pub(crate) truths: Truths,
    /// False while its view is what it was when it was looked at before.
    pub(crate) has_moved: bool,
    /// The position under which it has changed something last.
    pub(super) changed: Option<u64>,
    pub(crate) board: Option<Leaderboard>,
    /// Set while it was frozen when it was looked at last.
    pub(super) was_frozen: bool,
}

/// What a process has come to.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) replica: Option<Replica>,
    pub(crate) ended: Option<(ErrorKind, String)>,
    /// Positions up to which somebody relies on what it has written.
    pub(super) relied_on: Vec<u64>,
}

impl Given {
    pub(super) fn end(&mut self, error: &Error) {
        self.ended = Some((error.kind(), error.to_string()));
    }
}

/// A replica of the story.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: ReplicaName,
    /// In whose bucket its log is.
    pub(crate) home: usize,
    /// True once it has been opened.
    pub(crate) is_there: bool,
    pub(crate) life: Option<Life>,
    /// Processes from which the name was taken, and that still run.
    pub(super) zombies: Vec<Life>,
    /// Set when there was one of those: it may still be opening, and take the name back.
    pub(crate) was_taken_over: bool,
    /// Set when somebody was told to evict it.
    pub(crate) evicted: Option<Eviction>,
    /// Positions of its log that somebody relies on.
    pub(crate) relied_on: BTreeSet<u64>,
}

/// What an operator was told.
#[derive(Clone, Debug)]
pub(crate) struct Eviction {
    /// By which member.
    pub(super) by: usize,
    pub(super) is_done: Arc<AtomicBool>,
    pub(super) tries: u32,
    /// True when no process of it was there any more, and so nobody whom a seal could be late for.
    pub(crate) of_one_that_is_over: bool,
}

impl Eviction {
    pub(super) fn new(by: usize) -> Self {
        Self { by, is_done: Arc::default(), tries: 0, of_one_that_is_over: false }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }
}

/// A process that only reads.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(super) place: Region,
    pub(super) links: Vec<SimBucket>,
    pub(crate) given: Arc<Mutex<Given>>,
    pub(crate) seen: Seen,
    pub(crate) truths: Truths,
}

impl Member {
    pub(super) fn new(name: &str, home: usize, is_there: bool) -> Self {
        let name = ReplicaName::new(name).unwrap_or_else(|_| unreachable!("it is a name"));
        let (zombies, relied_on) = (Vec::new(), BTreeSet::new());
        Self { name, home, is_there, life: None, zombies, was_taken_over: false, evicted: None, relied_on }
    }

    pub(crate) const fn is_evicted(&self) -> bool {
        self.evicted.is_some()
    }

    /// True for one that must be there in the end, with all that it has written.
    pub(crate) const fn counts(&self) -> bool {
        self.is_there && self.evicted.is_none()
    }
}

/// Which lists of a peer's bucket can be wrong. The one after a seal cannot, nor any other of an epoch: a bucket of which they
/// are is refused by the probe.
fn of_a_peer(prefix: &str) -> Lists {
    let is_epoch = prefix.starts_with("v1/log/") && prefix.matches('/').count() == 4;
    if is_epoch { Lists::Sound } else { Lists::Faulty }
}

/// Every list but those of snapshots, which are not found.
fn logs_alone(prefix: &str) -> Lists {
    if prefix.starts_with("v1/snap/") { Lists::Empty } else { Lists::Sound }
}

impl Play<'_> {
    pub(super) fn open(&mut self, log: usize, has_faults: bool) {
        self.processes += 1;
        let (process, world) = (self.processes, self.executor.world().clone());
        let member = &mut self.members[log];
        member.is_there = true;
        let (name, home) = (member.name.clone(), member.home);
        let faults = if has_faults { self.story.faults.clone() } else { Faults::none() };
        let gate = Gate::default();
        let link = |(number, store): (usize, &SimBucket)| {
            let lists = match number == home {
                _ if faults.own_lists => |_: &str| Lists::Faulty,
                true => |_: &str| Lists::Sound,
                false => of_a_peer,
            };
            store.link(&format!("{name} {process}"), faults.clone()).with_lists(lists).behind(&gate)
        };
        let links: Vec<SimBucket> = self.stores.iter().enumerate().map(link).collect();
        let by = Party { region: log, process };
        self.journal.tell(world.now(), by, What::Started);
        for (bucket, link) in links.iter().enumerate() {
            link.tell_all(Teller { journal: self.journal.clone(), by, bucket });
        }
        let clock = SimClock::new(&world);
        let hints = self.hints(&name, by, home, has_faults);
        let place = self.executor.region(format!("{name} {process}"));
        let given: Arc<Mutex<Given>> = Arc::default();
        let settings = self.story.settings.clone();
        let opening = {
            let (given, links, clock, world) = (Arc::clone(&given), links.clone(), clock.clone(), world.clone());
            let hints = hints.clone();
            async move {
                let mut attempt = 0;
                let replica = loop {
                    attempt += 1;
                    let entropy = Arc::new(SimEntropy::new(&world, &format!("{name} {process} {attempt}")));
                    let port: Arc<dyn Clock> = Arc::new(clock.clone());
                    let mut builder = Replica::builder_with(name.as_str(), links[home].clone(), port, entropy);
                    for (peer, link) in links.iter().enumerate().filter(|(peer, _)| *peer != home) {
                        builder = builder.peer(&format!("region-{peer}"), link.clone());
                    }
                    for (_, source) in &hints {
                        builder = builder.hints(source.clone());
                    }
                    match builder.settings(settings.clone()).open().await {
                        Ok(replica) => break replica,
                        // Whoever watches over the process starts it again.
                        Err(error) if is_started_again(error.kind()) => world.sleep(Duration::from_secs(1)).await,
                        Err(error) => return lock(&given).end(&error),
                    }
                };
                lock(&given).replica = Some(replica.clone());
                let error = replica.run().await;
                lock(&given).end(&error);
            }
        };
        let opening = gate.guard(opening);
        self.executor.spawn(place, opening);
        self.members[log].life = Some(Life {
            process,
            log,
            place,
            gate,
            clock,
            link_home: (home, links[home].number()),
            links,
            hints,
            given,
            since: world.now(),
            seen: Seen::new(),
            looked_at: None,
            truths: Truths::default(),
            has_moved: true,
            changed: None,
            board: None,
            was_frozen: false,
        });
    }

    fn hints(&self, name: &ReplicaName, by: Party, home: usize, has_faults: bool) -> Vec<(usize, SimHints)> {
        let Some(faults) = &self.story.hints else { return Vec::new() };
        let peers = self.stores.iter().enumerate().filter(|(peer, _)| *peer != home);
        let source = |(peer, store): (usize, &SimBucket)| {
            let faults = if has_faults { faults.clone() } else { HintFaults::none() };
            let hints =
                SimHints::new(self.executor.world(), &format!("hints of {peer} for {name} {}", by.process), faults);
            store.tell(&hints);
            hints.tell_all(Teller { journal: self.journal.clone(), by, bucket: peer });
            (peer, hints)
        };
        peers.map(source).collect()
    }

    /// Opens an observer, which reads the region's bucket first. One that reads `logs_only` finds no snapshots.
    pub(super) fn observe(&mut self, home: usize, has_faults: bool, logs_only: bool) -> Observer {
        self.processes += 1;
        let (process, world) = (self.processes, self.executor.world().clone());
        // What an observer meets is not told, so it is met by chance also where the rest is spelled out.
        let mut faults = if has_faults { self.story.faults.clone() } else { Faults::none() };
        faults.by_chance = true;
        let lists = if logs_only { logs_alone } else { of_a_peer };
        let link = |store: &SimBucket| store.link(&format!("observer {process}"), faults.clone()).with_lists(lists);
        let links: Vec<SimBucket> = self.stores.iter().map(link).collect();
        let place = self.executor.region(format!("observer {process}"));
        let given: Arc<Mutex<Given>> = Arc::default();
        let settings = self.story.settings.clone();
        let opening = {
            let (given, links, clock) = (Arc::clone(&given), links.clone(), SimClock::new(&world));
            async move {
                let entropy = Arc::new(SimEntropy::new(&world, &format!("observer {process}")));
                let mut builder = Replica::builder_with("observer", links[home].clone(), Arc::new(clock), entropy);
                for (peer, link) in links.iter().enumerate().filter(|(peer, _)| *peer != home) {
                    builder = builder.peer(&format!("region-{peer}"), link.clone());
                }
                match builder.settings(settings).observe().await {
                    Ok(replica) => {
                        lock(&given).replica = Some(replica.clone());
                        let error = replica.run().await;
                        lock(&given).end(&error);
                    }
                    Err(error) => lock(&given).end(&error),
                }
            }
        };
        self.executor.spawn(place, opening);
        Observer { place, links, given, seen: Seen::new(), truths: Truths::default() }
    }

    /// The replica of a region, if one is open.
    pub(super) fn live(&self, log: usize) -> Option<(&Life, Replica)> {
        let life = self.members[log].life.as_ref()?;
        let replica = lock(&life.given).replica.clone()?;
        Some((life, replica))
    }

    /// The view of a region's replica, if one is open.
    pub(crate) fn view(&self, log: usize) -> Option<(Replica, View)> {
        let (life, replica) = self.live(log)?;
        let seen = self.seen_by(&replica);
        Some((replica, View { seen, of: Some((life.process, life.log)) }))
    }

    /// The members that have ever been opened.
    pub(crate) fn there(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.members.iter().enumerate().filter(|(_, member)| member.is_there)
    }
}

/// What is wrong may pass, so that whoever watches over the process starts it again.
fn is_started_again(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Store | ErrorKind::Corrupt | ErrorKind::Unsupported)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
