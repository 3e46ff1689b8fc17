//! Exploring: all histories of a short scenario, and not some of them.
//! Layer 5.
//!
//! Stories drawn from seeds go far and leave gaps. A [`Scenario`] stays near and leaves none: its histories are all
//! that differ from it by up to two troubles ([`troubles`]), or all words of an alphabet up to a length ([`words`]).
//! Each is a [`Story`], played with every check, so one that fails is told, shrunk, drawn and kept like any other.

mod phases;
mod troubles;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    troubles::{Root, Template},
    words::{Alphabet, Word},
};
use crate::{
    play::{Failure, Outcome, play},
    points::Points,
    story::Story,
};

/// What is explored: something short, and all that can come between.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    space: Space,
}

#[derive(Clone, Copy, Debug)]
enum Space {
    Troubles(fn() -> Template),
    Words(&'static Alphabet),
}

/// Each of them.
pub const SCENARIOS: &[Scenario] = &[
    of_troubles("open", "a replica is opened, with a snapshot and a log behind it", phases::open),
    of_troubles("flush", "two segments are written, on which a client relies, and a peer reads them", phases::flush),
    of_troubles("pull", "a peer reads a log across a seal, while it is sealed again", phases::pull),
    of_troubles("snapshot", "a snapshot is taken while changes go on", phases::snapshot),
    of_troubles("collect", "two replicas collect what both have acknowledged", phases::collect),
    of_troubles("take-over", "a log is taken over from a process that goes on writing", phases::take_over),
    of_troubles("evict", "a replica that writes is evicted by another, and a third one reads", phases::evict),
    of_words("sets", "two replicas put and take, and hear of each other", &words::SETS),
    of_words("counters", "two replicas count and delete, and hear of each other", &words::COUNTERS),
    of_words("registers", "two replicas write and delete, and hear of each other", &words::REGISTERS),
    of_words("three", "three replicas put and take, and hear of each other", &words::THREE),
    of_words("recoveries", "two replicas put and take, and come back from their own buckets alone", &words::RECOVERIES),
    of_words("states", "two replicas count and delete, collect at once, and hear of snapshots", &words::STATES),
];

const fn of_troubles(name: &'static str, about: &'static str, template: fn() -> Template) -> Scenario {
    Scenario { name, about, space: Space::Troubles(template) }
}

const fn of_words(name: &'static str, about: &'static str, alphabet: &'static Alphabet) -> Scenario {
    Scenario { name, about, space: Space::Words(alphabet) }
}

/// What exploring has come to.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// How many histories were played, by their size: how many troubles are in them, or how many letters.
    pub histories: BTreeMap<usize, u64>,
    /// The traces of the runs: two histories with one trace were the same run.
    pub traces: BTreeSet<u64>,
    /// How many stories were played, those included that turned out to be beyond an end and are no histories.
    pub plays: u64,
    /// How many events there were.
    pub events: u64,
    /// Which sometimes-points were reached.
    pub points: Points,
    /// The first that failed; nothing is explored behind it.
    pub failure: Option<(Story, Failure)>,
}

/// A part of a scenario that can be explored by itself: the histories that begin alike.
#[derive(Clone, Debug)]
pub struct Branch(Begun);

#[derive(Clone, Debug)]
enum Begun {
    Trouble(Root),
    Word(Word),
}

/// Every so-manieth branch of each scenario, beginning with the `part`-th, counted from 1. What comes before the
/// branches, all histories with one trouble included, is in each share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which: 1 to `of`.
    pub part: u64,
    /// How many there are.
    pub of: u64,
}

impl Share {
    /// Everything.
    pub const ALL: Self = Self { part: 1, of: 1 };

    /// The branches that are in it, in their order.
    #[must_use]
    pub fn of<T>(self, branches: Vec<T>) -> Vec<T> {
        let is_in = |index: u64| index % self.of == self.part - 1;
        (0..).zip(branches).filter(|(index, _)| is_in(*index)).map(|(_, branch)| branch).collect()
    }
}

impl Scenario {
    /// The scenario of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// What happens when nothing comes between: the template of troubles, or the empty word.
    #[must_use]
    pub fn story(&self) -> Story {
        match self.space {
            Space::Troubles(template) => template().story,
            Space::Words(alphabet) => alphabet.story(&[]),
        }
    }

    /// Plays the histories that are in each share, and finds the branches.
    #[must_use]
    pub fn begin(&self) -> (Explored, Vec<Branch>) {
        let mut explored = Explored::default();
        let begun: Vec<Begun> = match self.space {
            Space::Troubles(template) => template().single(&mut explored).into_iter().map(Begun::Trouble).collect(),
            Space::Words(alphabet) => alphabet.short(&mut explored).into_iter().map(Begun::Word).collect(),
        };
        (explored, begun.into_iter().map(Branch).collect())
    }

    /// Plays all histories of a branch.
    #[must_use]
    pub fn follow(&self, branch: &Branch) -> Explored {
        let mut explored = Explored::default();
        match (&self.space, &branch.0) {
            (Space::Troubles(template), Begun::Trouble(root)) => template().behind(root, &mut explored),
            (Space::Words(alphabet), Begun::Word(word)) => alphabet.behind(word, &mut explored),
            _ => unreachable!("a branch is of its scenario"),
        }
        explored
    }
}

/// Explores a share of a scenario, up to the first failure.
///
/// # Cost
///
/// One or two milliseconds for each history.
#[must_use]
pub fn explore(scenario: &Scenario, share: Share) -> Explored {
    let (mut explored, branches) = scenario.begin();
    for branch in share.of(branches) {
        if explored.is_over() {
            break;
        }
        explored.add(scenario.follow(&branch));
    }
    explored
}

impl Explored {
    /// How many histories were played.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histories.values().sum()
    }

    /// Adds what another part has come to; of two failures the first one stays.
    pub fn add(&mut self, other: Self) {
        for (size, count) in other.histories {
            *self.histories.entry(size).or_default() += count;
        }
        self.traces.extend(other.traces);
        self.plays += other.plays;
        self.events += other.events;
        self.points.merge(&other.points);
        self.failure = self.failure.take().or(other.failure);
    }

    /// True when something has failed.
    const fn is_over(&self) -> bool {
        self.failure.is_some()
    }

    /// Plays a story, which may turn out to be no history of its own.
    fn play(&mut self, story: &Story) -> Outcome {
        let outcome = play(story);
        self.plays += 1;
        self.events += outcome.trace.events;
        self.points.merge(&outcome.points);
        if let Some(failure) = &outcome.failure
            && !self.is_over()
        {
            self.failure = Some((story.clone(), failure.clone()));
        }
        outcome
    }

    /// Counts what was played as a history of this size.
    fn note(&mut self, size: usize, outcome: &Outcome) {
        *self.histories.entry(size).or_default() += 1;
        self.traces.insert(outcome.trace.hash);
    }
}
