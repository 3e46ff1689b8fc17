//! Playing a story: replicas are opened, write, fail and recover as it says, and everything is checked on the way.
//! Layer 4.

mod act;
mod checks;
mod ledger;
mod life;
mod notice;
mod quiet;
mod served;
mod told;

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use replica::{Replica, Status, Token, log::Keys, name::ReplicaName, planted};

use crate::{
    history::{History, Process, Seen, View},
    machine::{Executor, Region, Stop, Trace},
    points::Points,
    ports::{Fault, Faults, Image, Journal, Moment, SimBucket, Told},
    service::{Desk, Nobody},
    story::{Act, REPLICAS, Story},
};

use self::{
    ledger::Ledger,
    life::{Life, Member, Observer, lock},
    told::Progress,
};

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
    /// What was told: which requests met a fault, or everything.
    pub told: Vec<Told>,
    /// Which sometimes-points it has reached.
    pub points: Points,
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

/// A client that has written in one region and reads in another.
#[derive(Debug)]
pub(crate) struct Courier {
    /// Where it goes to.
    to: usize,
    /// By whom it was written.
    from: usize,
    pub(crate) path: String,
    pub(crate) value: u16,
    /// Given when the write was durable: what has been seen then, and where the write is.
    token: Arc<Mutex<Option<(Token, u64)>>>,
    /// What it read in the end.
    pub(crate) read: Arc<Mutex<Option<crate::history::Truth>>>,
    is_under_way: bool,
    is_told: bool,
}

/// What a process knew whenever it was looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knowledge {
    /// The replicas that it knows; since when, and how long it had been frozen by then.
    pub(crate) known: BTreeMap<usize, (Duration, Duration)>,
    /// How long it has been frozen, or will have been.
    pub(crate) frozen: Duration,
}

/// A run under way.
pub(crate) struct Play<'a> {
    pub(crate) story: &'a Story,
    pub(crate) desk: &'a mut dyn Desk,
    /// Requests that were served, and that have not been seen in a bucket yet: which, in which log, and where.
    asked: Vec<(usize, usize, u64)>,
    pub(crate) executor: Executor,
    pub(crate) stores: Vec<SimBucket>,
    pub(crate) members: Vec<Member>,
    pub(crate) observers: Vec<Observer>,
    pub(crate) couriers: Vec<Courier>,
    pub(crate) history: History,
    pub(crate) ledger: Ledger,
    pub(crate) claims: checks::claims::Claims,
    pub(crate) points: Points,
    /// The last copy of each bucket.
    images: Vec<Option<Image>>,
    /// Who is cut off from something, and until when.
    cuts: Vec<(usize, Duration)>,
    /// What was put into buckets that this version cannot read.
    planted: Vec<(usize, String)>,
    /// What was damaged in buckets, and what it was.
    spoiled: Vec<(usize, String, Bytes)>,
    /// What each process knows that has a link to the bucket of its own log, also when it is gone: by bucket and link.
    pub(crate) knowledge: BTreeMap<(usize, u32), Knowledge>,
    /// Over which link something of a log was deleted last, and when.
    collected: BTreeMap<usize, (u32, Duration)>,
    /// The frontiers of two regions that were found equal last.
    pub(crate) compared: BTreeMap<(usize, usize), Seen>,
    processes: Process,
    met: BTreeMap<Fault, u64>,
    changes: usize,
    is_quiet: bool,
    /// After how many events the story breaks off.
    events_max: u64,
    /// What a replica took in that had reached its memory limit.
    pub(crate) over_memory: Option<String>,
    /// True when no clock is ever wrong.
    pub(crate) clocks_are_right: bool,
    /// True when what logs say of themselves is what their replicas have said.
    pub(crate) logs_are_right: bool,
    journal: Journal,
    /// How far each process has got, as far as it was told.
    progress: BTreeMap<Process, Progress>,
}

/// Plays a story to its end, or to the first check that does not hold.
#[must_use]
pub fn play(story: &Story) -> Outcome {
    play_to(story, &mut Nobody, Journal::new(false))
}

/// Plays the beginning of a story: it breaks off after the step by which there were so many events, and does not get quiet.
/// What holds at any time is checked, and what holds when all has come to rest is not.
#[must_use]
pub fn play_beginning(story: &Story, events: u64) -> Outcome {
    play_some(story, &mut Nobody, Journal::new(false), events)
}

/// The same run, and everything in it is told.
#[must_use]
pub fn play_aloud(story: &Story) -> Outcome {
    play_to(story, &mut Nobody, Journal::new(true))
}

/// The same, and requests are served by whoever is at the desk.
pub(crate) fn play_with(story: &Story, desk: &mut dyn Desk) -> Outcome {
    play_to(story, desk, Journal::new(false))
}

fn play_to(story: &Story, desk: &mut dyn Desk, journal: Journal) -> Outcome {
    play_some(story, desk, journal, u64::MAX)
}

fn play_some(story: &Story, desk: &mut dyn Desk, journal: Journal, events_max: u64) -> Outcome {
    drop(planted::take_reached());
    let mut play = Play { events_max, ..Play::new(story, desk, journal) };
    let ran = catch_unwind(AssertUnwindSafe(|| play.run()));
    let broken = match ran {
        Ok(ran) => ran.err(),
        Err(panic) => {
            let says = panic.downcast_ref::<String>().map(String::as_str);
            let says = says.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say why");
            Some(("no panic", "whatever happens, nothing panics", format!("a panic: {says}")))
        }
    };
    let failure = broken.map(|(check, must, seen)| {
        let at = play.executor.world().now();
        Failure { check, must, seen, at }
    });
    play.count_faults();
    play.points.reach_inside(&planted::take_reached());
    Outcome {
        failure,
        trace: play.executor.world().trace(),
        lasted: play.executor.world().now(),
        changes: play.changes,
        faults: play.met,
        told: play.journal.take(),
        points: play.points,
    }
}

/// The name of a check, what must hold, and what was seen.
pub(crate) type Broken = (&'static str, &'static str, String);

impl<'a> Play<'a> {
    fn new(story: &'a Story, desk: &'a mut dyn Desk, journal: Journal) -> Self {
        let executor = Executor::new(story.seed);
        let store = |region| SimBucket::new(executor.world(), &format!("region-{region}"), Faults::none());
        let stores: Vec<SimBucket> = (0..story.regions).map(store).collect();
        stores.iter().for_each(SimBucket::keep_journal);
        let name = |region, generation| match generation {
            0 => format!("r{region}"),
            _ => format!("r{region}-{}", ["a", "b", "c", "d"][generation]),
        };
        let members = (0..REPLICAS).flat_map(|generation| {
            (0..story.regions).map(move |region| Member::new(&name(region, generation), region, generation == 0))
        });
        let members: Vec<Member> = members.collect();
        let ids = members.iter().enumerate().map(|(log, member)| (member.name.id(), log)).collect();
        Self {
            story,
            desk,
            asked: Vec::new(),
            executor,
            images: vec![None; stores.len()],
            stores,
            members,
            observers: Vec::new(),
            couriers: Vec::new(),
            history: History::default(),
            ledger: Ledger { ids, ..Ledger::default() },
            claims: checks::claims::Claims::default(),
            points: Points::default(),
            cuts: Vec::new(),
            planted: Vec::new(),
            spoiled: Vec::new(),
            knowledge: BTreeMap::new(),
            collected: BTreeMap::new(),
            compared: BTreeMap::new(),
            processes: 0,
            met: BTreeMap::new(),
            changes: 0,
            is_quiet: false,
            events_max: u64::MAX,
            over_memory: None,
            clocks_are_right: !story.steps.iter().any(|step| is_of_clocks(&step.act)),
            logs_are_right: !story.steps.iter().any(|step| checks::claims::is_wrong(&step.act)),
            journal,
            progress: BTreeMap::new(),
        }
    }

    fn run(&mut self) -> Result<(), Broken> {
        (0..self.story.regions).for_each(|region| self.open(region, true));
        for (index, step) in self.story.steps.iter().enumerate() {
            // To say what a request will meet changes nothing yet.
            let is_told_ahead = matches!(step.act, Act::Meet { .. } | Act::Alone { .. });
            self.pass_to(step.at)?;
            if !is_told_ahead {
                self.bury();
            }
            // What is lost must have been noted when it came.
            if matches!(step.act, Act::RollBack) {
                self.take_note()?;
            }
            if step.region < self.members.len() {
                self.tell_step(index);
                if let Some(life) = &mut self.members[step.region].life {
                    life.looked_at = None;
                }
                match &step.act {
                    Act::Ask(request) => self.ask(step.region, request)?,
                    act => self.act(step.region, act),
                }
            }
            if !is_told_ahead {
                self.look()?;
            }
            if self.executor.world().trace().events >= self.events_max {
                return Ok(());
            }
        }
        self.pass_until(self.story.quiet_from)?;
        self.look()?;
        self.calm();
        self.settle()?;
        self.what_the_service_promises_at_the_end()
    }

    /// Lets time pass, and looks which processes it has ended.
    pub(crate) fn pass_until(&mut self, time: Duration) -> Result<(), Broken> {
        self.pass_to(time)?;
        self.bury();
        Ok(())
    }

    fn pass_to(&mut self, time: Duration) -> Result<(), Broken> {
        loop {
            let now = self.executor.world().now();
            if now >= time {
                return Ok(());
            }
            match self.pass(time) {
                Stop::Crashed(place) => self.forget(place),
                Stop::Spinning => {
                    let seen = "tasks woke each other for ever".to_owned();
                    return Err(("no busy loop", "time passes", seen));
                }
                Stop::Reached | Stop::Idle { .. } => {}
            }
        }
    }

    /// Lets time pass. Where everything is told it is looked now and then how far everybody has got, which changes nothing.
    fn pass(&mut self, time: Duration) -> Stop {
        loop {
            let now = self.executor.world().now();
            let stop = self.executor.pass(self.until_next_look(time - now));
            self.tell_progress();
            if matches!(stop, Stop::Crashed(_) | Stop::Spinning) || self.executor.world().now() >= time {
                return stop;
            }
        }
    }

    /// Notes what is in the buckets by now, and checks what must always hold.
    pub(crate) fn look(&mut self) -> Result<(), Broken> {
        self.take_note()?;
        self.note_served();
        self.note_who_moved();
        for log in 0..self.members.len() {
            self.take_relied_on(log);
            checks::of_view(self, log)?;
        }
        checks::of_observers(self)?;
        checks::of_couriers(self)?;
        checks::equal_frontiers_mean_equal_values(self)?;
        checks::claims::hold(self)?;
        self.send_couriers();
        self.note_zombies();
        self.note_known();
        Ok(())
    }

    /// A view changes when its process is polled or used, and not otherwise: one that was neither has been looked at.
    fn note_who_moved(&mut self) {
        for life in self.members.iter_mut().flat_map(|member| member.life.iter_mut().chain(&mut member.zombies)) {
            let polls = Some(self.executor.polls(life.place));
            life.has_moved = std::mem::replace(&mut life.looked_at, polls) != polls;
        }
    }

    /// Notes which replicas the zombies know.
    fn note_known(&mut self) {
        let moved = self.members.iter().flat_map(|member| &member.zombies).filter(|zombie| zombie.has_moved);
        let seen = |zombie: &Life| Some((zombie.link_home, lock(&zombie.given).replica.as_ref()?.status()));
        let seen: Vec<_> = moved.filter_map(seen).collect();
        seen.iter().for_each(|(link, status)| self.note_who_is_known(*link, status));
    }

    /// Notes which replicas a process knows.
    pub(crate) fn note_who_is_known(&mut self, link: (usize, u32), status: &Status) {
        let now = self.executor.world().now();
        let Knowledge { known, frozen } = self.knowledge.entry(link).or_default();
        let ids = status.logs.iter().filter_map(|log| self.ledger.ids.get(&log.replica.id()));
        ids.for_each(|log| _ = known.entry(*log).or_insert((now, *frozen)));
    }

    /// Processes that have ended at a request of their own are gone.
    fn bury(&mut self) {
        let lives = self.members.iter().flat_map(|member| member.life.iter().chain(&member.zombies));
        let over: Vec<_> = lives.filter_map(|life| Some((life.place, life.gate.ended()?, life.is_open()))).collect();
        for (place, moment, is_open) in over {
            self.points.reach(act::ended_at(moment, is_open));
            let now = self.executor.world().now();
            let collects = |(log, (_, at)): (&usize, &(u32, Duration))| {
                let is_its = self.members[*log].life.as_ref().is_some_and(|life| life.place == place);
                !is_its && now.saturating_sub(*at) < Duration::from_secs(2)
            };
            if matches!(moment, Moment::DropSegment | Moment::DropSnapshot) && self.collected.iter().any(collects) {
                self.points.reach("a process ends in a collection while another collects");
            }
            self.executor.crash(place);
            self.forget(place);
        }
    }

    /// A process is gone.
    fn forget(&mut self, place: Region) {
        self.tell_gone(place);
        for log in 0..self.members.len() {
            self.take_relied_on(log);
            let member = &mut self.members[log];
            let gone = member.life.take_if(|life| life.place == place);
            let zombies = member.zombies.extract_if(.., |life| life.place == place);
            for life in gone.into_iter().chain(zombies) {
                count_faults(&mut self.met, &life.links);
            }
        }
    }

    fn count_faults(&mut self) {
        let lives = self.members.iter().flat_map(|member| member.life.iter().chain(&member.zombies));
        for links in lives.map(|life| &life.links).chain(self.observers.iter().map(|observer| &observer.links)) {
            count_faults(&mut self.met, links);
        }
    }

    /// Whoever was told that something is durable relies on it.
    fn take_relied_on(&mut self, log: usize) {
        let Member { life, zombies, relied_on, .. } = &mut self.members[log];
        for life in life.iter().chain(&*zombies) {
            relied_on.extend(lock(&life.given).relied_on.drain(..));
        }
    }

    /// What a replica has applied of each log.
    pub(crate) fn seen_by(&self, replica: &Replica) -> Seen {
        self.ledger.seen(replica.token().frontier())
    }

    /// True when a view holds whatever had been seen by those who wrote what it holds: only then is there one value that it
    /// must show. What counts is what they had seen when they cut a segment: an own tally is written as it stands then.
    pub(crate) fn is_closed(&self, view: &View) -> bool {
        let own = view.of.map(|(_, log)| log);
        view.seen.iter().all(|(log, position)| {
            let Some(entry) = self.ledger.entries.get(&(*log, *position)) else { return false };
            let reaches = |(of, position): (&usize, &u64)| {
                own == Some(*of) || view.seen.get(of).is_some_and(|seen| seen >= position)
            };
            entry.seen.iter().all(reaches)
        })
    }
}

const fn is_of_clocks(act: &Act) -> bool {
    matches!(act, Act::Clock(_) | Act::Drift(_) | Act::StopClock)
}

fn count_faults(met: &mut BTreeMap<Fault, u64>, links: &[SimBucket]) {
    for fault in Fault::ALL {
        *met.entry(fault).or_default() += links.iter().map(|link| link.met(fault)).sum::<u64>();
    }
}

/// The paths of counters that count what was ingested: with each count goes a mark of the same number.
pub(crate) const INGESTED: &str = "ingested/";

pub(crate) fn keys() -> Keys {
    Keys::new("").unwrap_or_else(|_| unreachable!("no root is a root"))
}

/// The key of a position in its bucket.
pub(crate) fn key_of(name: &ReplicaName, position: u64) -> String {
    keys().log(name, position.into())
}
