//! Random histories of a whole keyspace against the reference.
//!
//! Goal: no order of operations, cuts, deliveries, crashes, stale snapshots and purges gives a value other than the one
//! that the history of operations defines. Method: 3 to 5 replicas, some joining late; ten objects of five kinds; each
//! step names replicas and positions modulo what exists, so that a history stays legal when steps are taken out, and a
//! failure is shrunk to the shortest story that still fails.

use std::{
    fmt,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crdt_core::{Kind, Position, ReplicaId, Value};
use sim::Random;
use tests::{
    keyspace::{Key, Refused, Replica, Segment, Snapshot},
    reference::{Did, History, Ops},
};

const HISTORIES: u64 = 100_000;
const STEPS: usize = 60;
const REPLICAS_MAX: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    Change { who: u8, object: u8, what: u8, value: u8 },
    Cut { who: u8, even_if_empty: bool },
    Deliver { who: u8, from: u8, which: u8 },
    Purge { who: u8 },
    Snapshot { who: u8, collect: bool },
    Crash { who: u8, damaged: bool },
    Merge { who: u8, from: u8, which: u8 },
    Join,
}

impl Step {
    fn random(random: &mut Random) -> Self {
        let [who, from, which, value] = (random.next() as u32).to_le_bytes();
        match random.below(1000) {
            0..450 => Self::Change { who, object: from, what: which, value },
            450..600 => Self::Cut { who, even_if_empty: value < 80 },
            600..875 => Self::Deliver { who, from, which },
            875..925 => Self::Purge { who },
            925..957 => Self::Snapshot { who, collect: value < 128 },
            957..977 => Self::Crash { who, damaged: value < 80 },
            977..996 => Self::Merge { who, from, which },
            _ => Self::Join,
        }
    }
}

fn key(object: u8) -> Key {
    (object / 5 % 2, Kind::ALL[usize::from(object % 5)])
}

fn number(key: Key) -> usize {
    Kind::ALL.iter().position(|kind| *kind == key.1).expect("one of all") * 2 + usize::from(key.0)
}

fn keys() -> impl Iterator<Item = Key> {
    Kind::ALL.into_iter().flat_map(|kind| [(0, kind), (1, kind)])
}

/// A replica's log as the bucket has it, and what it may recover from.
#[derive(Default)]
struct Bucket {
    /// `None` where it has been collected.
    log: Vec<Option<Segment>>,
    /// All that were ever taken; recovery uses the last two.
    snapshots: Vec<Snapshot>,
    epoch: u32,
}

impl Bucket {
    fn next(&self, after: Option<Position>, skip: usize) -> Option<&Segment> {
        let index = self.log.iter().position(|segment| segment.as_ref().is_some_and(|s| s.previous == after))?;
        self.log.get(index + skip)?.as_ref()
    }

    fn last(&self, upto: Option<Position>) -> Option<&Segment> {
        self.log.iter().flatten().rfind(|segment| Some(segment.dot.position) <= upto)
    }

    fn head(&self) -> Option<Position> {
        self.log.last()?.as_ref().map(|segment| segment.dot.position)
    }
}

struct World {
    history: History,
    replicas: Vec<Replica>,
    buckets: Vec<Bucket>,
    time: u64,
    story: Option<Vec<String>>,
}

fn id(index: usize) -> ReplicaId {
    NonZeroU64::new(index as u64 + 1).expect("not zero").into()
}

macro_rules! tell {
    ($world:expr, $($what:tt)*) => {
        if let Some(story) = &mut $world.story { story.push(format!($($what)*)); }
    };
}

impl World {
    fn new(replicas: usize, tell: bool) -> Self {
        let mut world = Self {
            history: History::default(),
            replicas: Vec::new(),
            buckets: Vec::new(),
            time: 10,
            story: tell.then(Vec::new),
        };
        (0..replicas).for_each(|_| world.join());
        world
    }

    fn join(&mut self) {
        self.replicas.push(Replica::new(id(self.replicas.len()), 0, None));
        self.buckets.push(Bucket::default());
    }

    fn name(index: usize) -> char {
        char::from(b"ABCDE"[index])
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        let many = self.replicas.len();
        let index = |who: u8| usize::from(who) % many;
        let who = match step {
            Step::Change { who, object, what, value } => {
                if self.history.len() == Ops::MAX {
                    return Ok(());
                }
                self.change(index(who), key(object), what, value);
                index(who)
            }
            Step::Cut { who, even_if_empty } => {
                self.cut(index(who), even_if_empty);
                index(who)
            }
            Step::Deliver { who, from, which } => {
                let (who, from) = (index(who), index(from));
                if who != from {
                    self.deliver(who, from, which)?;
                }
                who
            }
            Step::Purge { who } => {
                tell!(self, "{} purges", Self::name(index(who)));
                self.replicas[index(who)].purge();
                index(who)
            }
            Step::Snapshot { who, collect } => {
                self.snapshot(index(who), collect);
                index(who)
            }
            Step::Crash { who, damaged } => {
                self.crash(index(who), damaged);
                index(who)
            }
            Step::Merge { who, from, which } => {
                let (who, from) = (index(who), index(from));
                let taken = self.buckets[from].snapshots.len();
                if who != from && taken > 0 {
                    let which = usize::from(which) % taken;
                    tell!(self, "{} merges snapshot {which} of {}", Self::name(who), Self::name(from));
                    self.replicas[who].merge(&self.buckets[from].snapshots[which]);
                }
                who
            }
            Step::Join => {
                if many < REPLICAS_MAX {
                    self.join();
                    tell!(self, "{} joins", Self::name(many));
                }
                return Ok(());
            }
        };
        self.check(who)
    }

    fn change(&mut self, who: usize, key: Key, what: u8, value: u8) {
        self.time += u64::from(value % 3);
        let wall = self.time + u64::from(value >> 4 & 3);
        let replica = &mut self.replicas[who];
        let amount = i64::from(value % 5) + 1;
        let seen = replica.ops;
        let did = match (key.1, what) {
            (_, 0..50) => {
                replica.delete(key);
                Did::Delete
            }
            (Kind::GCounter, _) => {
                replica.count(key, amount);
                Did::Count(amount)
            }
            (Kind::PnCounter, _) => {
                let amount = if what.is_multiple_of(2) { amount } else { -amount };
                replica.count(key, amount);
                Did::Count(amount)
            }
            (Kind::OrSet, _) => {
                replica.put(key, value % 3, what < 175);
                if what < 175 { Did::Add(value % 3) } else { Did::Remove(value % 3) }
            }
            (Kind::LwwRegister | Kind::MvRegister, _) => {
                let time = replica.write(key, value, wall);
                Did::Write(value, time)
            }
        };
        let op = self.history.record(who, number(key), did, seen);
        self.replicas[who].ops.insert(op);
        self.replicas[who].pending_ops.insert(op);
        tell!(self, "{} {did:?} at {} {}", Self::name(who), key.1, key.0);
    }

    fn cut(&mut self, who: usize, even_if_empty: bool) {
        if let Some(segment) = self.replicas[who].cut(even_if_empty) {
            tell!(self, "{} publishes {}", Self::name(who), segment.dot.position);
            self.buckets[who].log.push(Some(segment));
        }
    }

    fn deliver(&mut self, who: usize, from: usize, which: u8) -> Result<(), String> {
        let (replica, bucket) = (&mut self.replicas[who], &self.buckets[from]);
        let reached = replica.frontier().get(id(from));
        match which {
            0..40 => {
                if let Some(segment) = bucket.last(reached) {
                    assert_eq!(replica.apply(segment), Err(Refused::Duplicate));
                    replica.apply_again(segment)?;
                }
            }
            40..70 => {
                if let Some(segment) = bucket.next(reached, 1) {
                    assert_eq!(replica.apply(segment), Err(Refused::Gap));
                }
            }
            _ => self.pull(who, from),
        }
        Ok(())
    }

    /// Applies the next segment of a log, or merges the newest snapshot if it has been collected.
    fn pull(&mut self, who: usize, from: usize) {
        let reached = self.replicas[who].frontier().get(id(from));
        if let Some(segment) = self.buckets[from].next(reached, 0) {
            tell!(self, "{} applies {} of {}", Self::name(who), segment.dot.position, Self::name(from));
            assert_eq!(self.replicas[who].apply(segment), Ok(()));
        } else if self.buckets[from].head() > reached {
            tell!(self, "{} merges the newest snapshot of {}", Self::name(who), Self::name(from));
            let newest = self.buckets[from].snapshots.last().expect("only what a snapshot covers is collected");
            self.replicas[who].merge(newest);
        }
    }

    fn snapshot(&mut self, who: usize, collect: bool) {
        self.cut(who, false);
        tell!(self, "{} takes a snapshot{}", Self::name(who), if collect { " and collects" } else { "" });
        let bucket = &mut self.buckets[who];
        bucket.snapshots.push(self.replicas[who].snapshot());
        // Only what the older of the two kept ones covers: the newer one may turn out to be damaged.
        if let [.., older, _] = &bucket.snapshots[..] {
            self.replicas[who].acknowledge(&older.frontier);
            if collect {
                let covered = older.frontier.get(id(who));
                let newest = bucket.log.len().saturating_sub(1);
                for segment in &mut bucket.log[..newest] {
                    if segment.as_ref().is_some_and(|s| Some(s.dot.position) <= covered) {
                        *segment = None;
                    }
                }
            }
        }
    }

    /// Loses what was not published, and recovers alone: from the own snapshot, and the own log after it.
    fn crash(&mut self, who: usize, damaged: bool) {
        tell!(
            self,
            "{} crashes and recovers{}",
            Self::name(who),
            if damaged { " from its older snapshot" } else { "" }
        );
        let bucket = &mut self.buckets[who];
        bucket.epoch += 1;
        self.history.lose(self.replicas[who].pending_ops);
        let mut fresh = Replica::new(id(who), bucket.epoch, None);
        let usable = match &bucket.snapshots[..] {
            [.., older, _] if damaged => Some(older),
            [.., newest] => Some(newest),
            [] => None,
        };
        if let Some(snapshot) = usable {
            fresh.merge(snapshot);
        }
        while let Some(segment) = bucket.next(fresh.frontier().get(id(who)), 0) {
            assert_eq!(fresh.apply(segment), Ok(()));
        }
        assert_eq!(fresh.frontier().get(id(who)), bucket.head(), "recovery reaches the end of the own log");
        self.replicas[who] = fresh;
    }

    /// The values are those that the reference gives, in every view that has a defined value.
    fn check(&self, who: usize) -> Result<(), String> {
        let replica = &self.replicas[who];
        if !replica.is_closed() || !self.history.is_closed(replica.ops) {
            return Ok(());
        }
        for key in keys() {
            let (view, object) = (replica.ops, number(key));
            let must = match key.1 {
                Kind::GCounter => Value::GCounter(self.history.count(view, object).unsigned_abs()),
                Kind::PnCounter => Value::PnCounter(self.history.count(view, object)),
                Kind::OrSet => Value::OrSet(
                    self.history.elements(view, object).into_iter().map(|e| [e].as_slice().into()).collect(),
                ),
                Kind::LwwRegister => {
                    let last = self.history.writes(view, object).last().copied();
                    Value::LwwRegister(last.map(|(.., value)| [value].as_slice().into()))
                }
                Kind::MvRegister => {
                    let mut values: Vec<_> = self.history.writes(view, object).iter().map(|w| w.2).collect();
                    values.sort_unstable();
                    Value::MvRegister(values.into_iter().map(|value| [value].as_slice().into()).collect())
                }
            };
            let seen = match replica.value(key) {
                Some(Value::MvRegister(mut values)) => {
                    values.sort_unstable();
                    Value::MvRegister(values)
                }
                Some(value) => value,
                None => empty(key.1),
            };
            if seen != must {
                let (name, (path, kind)) = (Self::name(who), key);
                return Err(format!("{name} must read {must:?} at {kind} {path}, and reads {seen:?}"));
            }
        }
        Ok(())
    }

    /// Everybody hears of everything: all values are equal, and at last no dead tally is left.
    fn settle(&mut self) -> Result<(), String> {
        tell!(self, "everybody publishes and hears of everything");
        let many = self.replicas.len();
        for round in 0..6 {
            for who in 0..many {
                if round < 2 {
                    self.cut(who, false);
                } else {
                    self.snapshot(who, false);
                    self.cut(who, true);
                }
            }
            for who in 0..many {
                for from in (0..many).filter(|from| *from != who) {
                    while self.replicas[who].frontier().get(id(from)) < self.buckets[from].head() {
                        self.pull(who, from);
                    }
                }
                self.check(who)?;
                self.replicas[who].purge();
                self.check(who)?;
            }
        }
        for who in 0..many {
            if !self.replicas[who].is_closed() || self.replicas[who].ops != self.history.all() {
                return Err(format!("{} has not seen everything", Self::name(who)));
            }
            if self.replicas[who].dead_tallies() != 0 {
                return Err(format!("{} keeps a dead tally for ever", Self::name(who)));
            }
        }
        Ok(())
    }
}

fn empty(kind: Kind) -> Value {
    match kind {
        Kind::GCounter => Value::GCounter(0),
        Kind::PnCounter => Value::PnCounter(0),
        Kind::LwwRegister => Value::LwwRegister(None),
        Kind::MvRegister => Value::MvRegister(Vec::new()),
        Kind::OrSet => Value::OrSet(Vec::new()),
    }
}

fn run(replicas: usize, steps: &[Step], tell: bool) -> (Result<(), String>, Vec<String>) {
    let mut world = World::new(replicas, tell);
    let result = catch_unwind(AssertUnwindSafe(|| {
        for step in steps {
            world.step(*step)?;
        }
        world.settle()
    }));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "a panic".into()))
    });
    (result, world.story.unwrap_or_default())
}

/// A failure, shrunk: no step can be taken out of it.
struct Failure {
    seed: u64,
    why: String,
    story: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nseed {}, shrunk to:", self.why, self.seed)?;
        self.story.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

fn history(seed: u64) -> (usize, Vec<Step>) {
    let mut random = Random::new(seed);
    let replicas = 3 + random.below(2) as usize;
    (replicas, (0..STEPS).map(|_| Step::random(&mut random)).collect())
}

fn shrink(seed: u64) -> Failure {
    let (replicas, mut steps) = history(seed);
    let mut chunk = steps.len();
    while chunk > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + chunk).min(steps.len()));
            if run(replicas, &fewer, false).0.is_err() {
                steps = fewer;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    let (result, story) = run(replicas, &steps, true);
    Failure { seed, why: result.expect_err("it fails however short"), story }
}

#[test]
fn every_history_gives_the_values_of_the_reference() {
    for seed in 0..HISTORIES {
        let (replicas, steps) = history(seed);
        let holds = run(replicas, &steps, false).0.is_ok();
        assert!(holds, "{}", shrink(seed));
    }
    println!("{HISTORIES} histories of {STEPS} steps");
}
