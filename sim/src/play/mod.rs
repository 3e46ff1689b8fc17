//! Playing a story: replicas are opened, write, fail and recover as it says, and everything is checked on the way.
//! Layer 4.

mod checks;
mod claims;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use replica::{
    BatchError, Dot, Error, ErrorKind, MarkValue, Replica, ReplicaId,
    log::{Keys, LogObject, decode},
    name::ReplicaName,
    ports::Clock,
};

use crate::{
    history::{Did, History, Object, Process, Seen, Sort, View},
    machine::{Executor, Region, Stop, Trace},
    ports::{Fault, Faults, HintFaults, SimBucket, SimClock, SimEntropy, SimHints},
    story::{Act, Story},
};

/// How long it may take from when it gets quiet until all are in step and nothing superfluous is left.
const QUIET: Duration = Duration::from_secs(600);

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was wrong, if anything was.
    pub failure: Option<Failure>,
    /// What the run was: equal for equal stories.
    pub trace: Trace,
    /// How much time has passed in it.
    pub lasted: Duration,
    /// How many objects were changed.
    pub changes: usize,
    /// How many requests met each fault.
    pub faults: BTreeMap<Fault, u64>,
}

/// A check that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub check: &'static str,
    /// What must hold.
    pub must: &'static str,
    /// What was seen.
    pub seen: String,
    /// When.
    pub at: Duration,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, must, seen, at } = self;
        write!(f, "{check}, at {:.3} s\n  must: {must}\n  seen: {seen}", at.as_secs_f64())
    }
}

/// A process that has a replica open, or had.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) process: Process,
    pub(crate) log: usize,
    place: Region,
    clock: SimClock,
    links: Vec<SimBucket>,
    pub(crate) given: Arc<Mutex<Given>>,
    /// How far its view had got when it was looked at last.
    pub(crate) seen: Seen,
}

/// What a process has come to.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) replica: Option<Replica>,
    pub(crate) ended: Option<(ErrorKind, String)>,
    /// Positions that somebody relies on.
    relied_on: Vec<u64>,
}

/// A replica of the story.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: ReplicaName,
    pub(crate) life: Option<Life>,
    /// Processes from which the name was taken, and that still run.
    zombies: Vec<Life>,
    /// Set when there was one of those: it may still be opening, and take the name back.
    pub(crate) was_taken_over: bool,
    /// Set when somebody was told to evict it: who, and whether that is done.
    pub(crate) evicted: Option<(usize, Arc<AtomicBool>)>,
    /// Positions of its log that somebody relies on.
    pub(crate) relied_on: Vec<u64>,
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Play<'a> {
    story: &'a Story,
    pub(crate) executor: Executor,
    pub(crate) stores: Vec<SimBucket>,
    pub(crate) members: Vec<Member>,
    pub(crate) history: History,
    /// Positions under which something was done, and that have not been seen in a bucket yet.
    waiting: Vec<(usize, u64)>,
    ids: BTreeMap<ReplicaId, usize>,
    /// What the author of an object of a log had published when it was cut.
    headers: BTreeMap<(usize, u64), Seen>,
    pub(crate) claims: claims::Claims,
    processes: Process,
    met: BTreeMap<Fault, u64>,
    changes: usize,
}

/// Plays a story to its end, or to the first check that does not hold.
#[must_use]
pub fn play(story: &Story) -> Outcome {
    let mut play = Play::new(story);
    let failure = play.run().err().map(|(check, must, seen)| {
        let at = play.executor.world().now();
        Failure { check, must, seen, at }
    });
    play.count_faults();
    Outcome {
        failure,
        trace: play.executor.world().trace(),
        lasted: play.executor.world().now(),
        changes: play.changes,
        faults: play.met,
    }
}

/// The name of a check, what must hold, and what was seen.
pub(crate) type Broken = (&'static str, &'static str, String);

impl Member {
    pub(crate) const fn is_evicted(&self) -> bool {
        self.evicted.is_some()
    }
}

impl<'a> Play<'a> {
    fn new(story: &'a Story) -> Self {
        let executor = Executor::new(story.seed);
        let store = |region| SimBucket::new(executor.world(), &format!("region-{region}"), Faults::none());
        let stores: Vec<SimBucket> = (0..story.regions).map(store).collect();
        stores.iter().for_each(SimBucket::keep_journal);
        let member = |region| Member {
            name: ReplicaName::new(&format!("r{region}")).unwrap_or_else(|_| unreachable!("it is a name")),
            life: None,
            zombies: Vec::new(),
            was_taken_over: false,
            evicted: None,
            relied_on: Vec::new(),
        };
        let members: Vec<Member> = (0..story.regions).map(member).collect();
        let ids = members.iter().enumerate().map(|(log, member)| (member.name.id(), log)).collect();
        let (history, waiting, headers, met) = (History::default(), Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            story,
            executor,
            stores,
            members,
            history,
            waiting,
            ids,
            headers,
            claims: claims::Claims::default(),
            processes: 0,
            met,
            changes: 0,
        }
    }

    fn run(&mut self) -> Result<(), Broken> {
        (0..self.members.len()).for_each(|region| self.open(region, true));
        for step in &self.story.steps {
            self.pass_until(step.at)?;
            self.act(step.region, &step.act)?;
            self.look()?;
        }
        self.pass_until(self.story.quiet_from)?;
        self.calm();
        checks::settled(self, QUIET)
    }

    /// Lets time pass, and looks what has come of it.
    pub(crate) fn pass_until(&mut self, time: Duration) -> Result<(), Broken> {
        loop {
            let now = self.executor.world().now();
            if now >= time {
                return Ok(());
            }
            match self.executor.pass(time - now) {
                Stop::Crashed(place) => self.forget(place),
                Stop::Spinning => {
                    let seen = "tasks woke each other for ever".to_owned();
                    return Err(("no busy loop", "time passes", seen));
                }
                Stop::Reached | Stop::Idle { .. } => {}
            }
        }
    }

    /// Notes what is in the buckets by now, and checks what must always hold.
    pub(crate) fn look(&mut self) -> Result<(), Broken> {
        let Self { waiting, stores, members, history, .. } = self;
        waiting.retain(|(log, position)| {
            let key = key_of(&members[*log].name, *position);
            let Some(object) = stores[*log].created(&key) else { return true };
            // A seal there has fenced whoever wrote that position.
            if matches!(decode(&object, &key, None), Ok(LogObject::Segment(_))) {
                history.publish(*log, *position);
            }
            false
        });
        for region in 0..self.members.len() {
            self.take_relied_on(region);
            checks::of_view(self, region)?;
        }
        claims::hold(self)
    }

    /// No more faults, and everybody is there.
    fn calm(&mut self) {
        for region in 0..self.members.len() {
            self.take_relied_on(region);
            let member = &mut self.members[region];
            for life in member.zombies.drain(..).chain(member.life.take()) {
                for link in &life.links {
                    for fault in Fault::ALL {
                        *self.met.entry(fault).or_default() += link.met(fault);
                    }
                }
                self.executor.crash(life.place);
            }
        }
        // What was under way lands, late as it may be.
        let late = self.story.faults.late_max + Duration::from_secs(10);
        self.executor.pass(late);
        (0..self.members.len()).for_each(|region| self.open(region, false));
    }

    fn count_faults(&mut self) {
        for life in self.members.iter().flat_map(|member| member.life.iter().chain(&member.zombies)) {
            for fault in Fault::ALL {
                *self.met.entry(fault).or_default() += life.links.iter().map(|link| link.met(fault)).sum::<u64>();
            }
        }
    }

    fn take_relied_on(&mut self, region: usize) {
        let Member { life, zombies, relied_on, .. } = &mut self.members[region];
        for life in life.iter().chain(&*zombies) {
            relied_on.append(&mut lock(&life.given).relied_on);
        }
    }

    /// A process is gone.
    fn forget(&mut self, place: Region) {
        for region in 0..self.members.len() {
            self.take_relied_on(region);
            let member = &mut self.members[region];
            member.zombies.retain(|life| life.place != place);
            if member.life.as_ref().is_some_and(|life| life.place == place) {
                member.life = None;
            }
        }
    }

    fn act(&mut self, region: usize, act: &Act) -> Result<(), Broken> {
        match act {
            Act::Change(changes) => self.change(region, changes, false),
            Act::ChangeAsZombie(changes) => self.change(region, changes, true),
            Act::Rely => self.rely(region),
            Act::Crash => {
                if let Some(life) = &self.members[region].life {
                    let place = life.place;
                    self.executor.crash(place);
                    self.forget(place);
                }
            }
            Act::CrashAfter(polls) => {
                if let Some(life) = &self.members[region].life {
                    self.executor.crash_after(life.place, self.executor.polls(life.place) + polls);
                }
            }
            Act::Open => {
                if let Some(life) = self.members[region].life.take() {
                    self.members[region].was_taken_over = true;
                    self.members[region].zombies.push(life);
                }
                self.open(region, true);
            }
            Act::Close => {
                if let Some((life, replica)) = self.live(region) {
                    let place = life.place;
                    self.executor.spawn(place, async move { replica.close().await });
                }
            }
            Act::Cut { from, lasts } => {
                if let Some(life) = &self.members[region].life {
                    let now = self.executor.world().now();
                    life.links[*from].unreachable(now..now + *lasts);
                }
            }
            Act::Clock(offset) => {
                if let Some(life) = &self.members[region].life {
                    life.clock.set_offset_ms(*offset);
                }
            }
            Act::Evict(other) => {
                let is_free = self.members.iter().all(|member| member.evicted.is_none());
                if is_free && self.live(region).is_some() {
                    // From here on nobody relies on what it writes.
                    self.members[*other].evicted = Some((region, Arc::default()));
                    self.evict_again();
                }
            }
        }
        Ok(())
    }

    /// An operator who was not answered asks again.
    pub(crate) fn evict_again(&self) {
        for member in &self.members {
            let Some((operator, is_done)) = &member.evicted else { continue };
            if let Some((life, replica)) = self.live(*operator)
                && !is_done.load(Ordering::Relaxed)
            {
                let (name, is_done) = (member.name.clone(), Arc::clone(is_done));
                self.executor.spawn(life.place, async move {
                    if replica.evict(name.as_str(), None).await.is_ok() {
                        is_done.store(true, Ordering::Relaxed);
                    }
                });
            }
        }
    }

    /// The replica of a region, if one is open and takes writes.
    fn live(&self, region: usize) -> Option<(&Life, Replica)> {
        let life = self.members[region].life.as_ref()?;
        let replica = lock(&life.given).replica.clone()?;
        Some((life, replica))
    }

    fn change(&mut self, region: usize, changes: &[(Object, Did)], by_zombie: bool) {
        let member = &self.members[region];
        let life = if by_zombie { member.zombies.last() } else { member.life.as_ref() };
        let Some(life) = life else { return };
        let Some(replica) = lock(&life.given).replica.clone() else { return };
        let seen = self.seen_by(&replica);
        // A deletion is of every kind that is live there.
        let written = replica.batch(|batch| {
            changes.iter().for_each(|(object, did)| put(batch, object, *did));
            Ok::<(), BatchError>(())
        });
        let Ok(written) = written else { return };
        let (process, log, position) = (life.process, life.log, u64::from(written.position()));
        for ((path, sort), did) in changes {
            let sorts: &[Sort] = if *did == Did::Delete { &Sort::ALL } else { &[*sort] };
            for sort in sorts {
                self.history.record((process, log), position, (path.clone(), *sort), *did, seen.clone());
            }
        }
        self.changes += changes.len();
        if self.waiting.last() != Some(&(log, position)) {
            self.waiting.push((log, position));
        }
    }

    /// What a replica has applied of each log.
    pub(crate) fn seen_by(&self, replica: &Replica) -> Seen {
        let token = replica.token();
        token
            .frontier()
            .iter()
            .filter_map(|dot| Some((*self.ids.get(&dot.replica)?, u64::from(dot.position))))
            .collect()
    }

    /// True when a view holds whatever had been seen by those who wrote what it holds: only then is there one value that it
    /// must show. What counts is what they had seen when they cut a segment: an own tally is written as it stands then.
    pub(crate) fn is_closed(&mut self, view: &View) -> bool {
        let own = view.of.map(|(_, log)| log);
        for (log, position) in &view.seen {
            let Some(published) = self.published(*log, *position) else { return false };
            let reaches = |(of, position): (&usize, &u64)| {
                own == Some(*of) || view.seen.get(of).is_some_and(|seen| seen >= position)
            };
            if !published.iter().all(reaches) {
                return false;
            }
        }
        true
    }

    fn published(&mut self, log: usize, position: u64) -> Option<&Seen> {
        let Self { headers, stores, members, ids, .. } = self;
        if let Entry::Vacant(vacant) = headers.entry((log, position)) {
            let key = key_of(&members[log].name, position);
            let object = decode(&stores[log].created(&key)?, &key, None).ok()?;
            let of = |dot: Dot| Some((*ids.get(&dot.replica)?, u64::from(dot.position)));
            let seen = object.header().frontier.iter().filter_map(of);
            vacant.insert(seen.collect());
        }
        headers.get(&(log, position))
    }

    fn rely(&mut self, region: usize) {
        let Some((life, replica)) = self.live(region) else { return };
        let (given, place) = (Arc::clone(&life.given), life.place);
        let written = replica.batch(|_| Ok::<(), BatchError>(()));
        if let Ok(written) = written {
            let position = u64::from(written.position());
            self.executor.spawn(place, async move {
                if written.durable().await.is_ok() {
                    lock(&given).relied_on.push(position);
                }
            });
        }
    }

    fn open(&mut self, region: usize, has_faults: bool) {
        self.processes += 1;
        let (process, world) = (self.processes, self.executor.world().clone());
        let name = self.members[region].name.clone();
        let faults = if has_faults { self.story.faults.clone() } else { Faults::none() };
        let link = |store: &SimBucket| store.link(&format!("{name} {process}"), faults.clone());
        let links: Vec<SimBucket> = self.stores.iter().map(link).collect();
        let clock = SimClock::new(&world);
        let hints = self.hints(&name, process, region, has_faults);
        let place = self.executor.region(format!("{name} {process}"));
        let given: Arc<Mutex<Given>> = Arc::default();
        let settings = self.story.settings.clone();
        let opening = {
            let (given, links, clock, world) = (Arc::clone(&given), links.clone(), clock.clone(), world.clone());
            async move {
                let mut attempt = 0;
                let replica = loop {
                    attempt += 1;
                    let entropy = Arc::new(SimEntropy::new(&world, &format!("{name} {process} {attempt}")));
                    let port: Arc<dyn Clock> = Arc::new(clock.clone());
                    let mut builder = Replica::builder_with(name.as_str(), links[region].clone(), port, entropy);
                    for (peer, link) in links.iter().enumerate().filter(|(peer, _)| *peer != region) {
                        builder = builder.peer(&format!("region-{peer}"), link.clone());
                    }
                    for source in &hints {
                        builder = builder.hints(source.clone());
                    }
                    match builder.settings(settings.clone()).open().await {
                        Ok(replica) => break replica,
                        // Whoever watches over the process starts it again.
                        Err(error) if matches!(error.kind(), ErrorKind::Store | ErrorKind::Corrupt) => {
                            world.sleep(Duration::from_secs(1)).await;
                        }
                        Err(error) => return lock(&given).end(&error),
                    }
                };
                lock(&given).replica = Some(replica.clone());
                let error = replica.run().await;
                lock(&given).end(&error);
            }
        };
        self.executor.spawn(place, opening);
        self.members[region].life = Some(Life { process, log: region, place, clock, links, given, seen: Seen::new() });
    }

    fn hints(&self, name: &ReplicaName, process: Process, region: usize, has_faults: bool) -> Vec<SimHints> {
        let Some(faults) = &self.story.hints else { return Vec::new() };
        let peers = self.stores.iter().enumerate().filter(|(peer, _)| *peer != region);
        let source = |(peer, store): (usize, &SimBucket)| {
            let faults = if has_faults { faults.clone() } else { HintFaults::none() };
            let hints = SimHints::new(self.executor.world(), &format!("hints of {peer} for {name} {process}"), faults);
            store.tell(&hints);
            hints
        };
        peers.map(source).collect()
    }

    /// The view of a region's replica, if one is open.
    pub(crate) fn view(&self, region: usize) -> Option<(Replica, View)> {
        let (life, replica) = self.live(region)?;
        let seen = self.seen_by(&replica);
        Some((replica, View { seen, of: Some((life.process, life.log)) }))
    }
}

impl Given {
    fn end(&mut self, error: &Error) {
        self.ended = Some((error.kind(), error.to_string()));
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key of a position in its bucket.
pub(crate) fn key_of(name: &ReplicaName, position: u64) -> String {
    let keys = Keys::new("").unwrap_or_else(|_| unreachable!("no root is a root"));
    keys.log(name, position.into())
}

/// The paths of counters that count what was ingested: with each count goes a mark of the same number.
pub(crate) const INGESTED: &str = "ingested/";

fn put(batch: &mut replica::Batch<'_>, (path, sort): &Object, did: Did) {
    if let Did::Count(by) = did
        && path.starts_with(INGESTED)
    {
        batch.mark(path, MarkValue::Number(by.unsigned_abs()));
    }
    match (sort, did) {
        (_, Did::Delete) => batch.delete(path),
        (Sort::Grows, Did::Count(by)) => drop(batch.g_counter(path).add(by.unsigned_abs())),
        (Sort::Counter, Did::Count(by)) => drop(batch.pn_counter(path).add(by)),
        (Sort::Last, Did::Write(value)) => drop(batch.lww_register::<u16>(path).set(&value)),
        (Sort::Every, Did::Write(value)) => drop(batch.mv_register::<u16>(path).set(&value)),
        (Sort::Set, Did::Put(element)) => drop(batch.or_set::<u16>(path).add(&element)),
        (Sort::Set, Did::Take(element)) => drop(batch.or_set::<u16>(path).remove(&element)),
        _ => unreachable!("a story does to an object what can be done to it"),
    }
}
