//! A story: all that happens in a run, as data. What is not in it follows from its seed.
//! Layer 3.

mod file;
mod generate;
mod rare;
mod settings;
mod troubles;
mod words;
mod workload;

use std::time::Duration;

use replica::Settings;
use serde::{Deserialize, Serialize};

use crate::{
    history::{Did, Object},
    ports::{Fault, Faults, HintFaults, Moment, Request, Way},
};

pub use file::{FORMAT, StoryFile};
pub use generate::generate;
pub(crate) use workload::LARGE;

/// How many replicas of one region there can be, one after the other or beside each other.
pub(crate) const REPLICAS: usize = 4;

/// Everything that happens in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Story {
    /// Decides delays, the order of what is ready, faults and entropy.
    pub seed: u64,
    /// How many regions there are, each with a bucket and a replica.
    pub regions: usize,
    /// The intervals of the replicas.
    #[serde(with = "settings")]
    pub settings: Settings,
    /// What requests meet, until it gets quiet.
    pub faults: Faults,
    /// What becomes of hints; without, logs are polled.
    pub hints: Option<HintFaults>,
    /// When it gets quiet: faults and outages end, clocks are right, and whoever is down is opened.
    #[serde(with = "crate::milliseconds")]
    pub quiet_from: Duration,
    /// What happens, in the order of time.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, since the beginning.
    #[serde(with = "crate::milliseconds")]
    pub at: Duration,
    /// In which region: its first replica. With [`Story::regions`] more it is the second of that region, and so on: another
    /// name in the same bucket, which is there once it has been opened.
    pub region: usize,
    /// What.
    pub act: Act,
}

/// What can happen in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// Its replica changes some objects, all or none.
    Change(Vec<(Object, Did)>),
    /// A client asks something of the service in it: a request as JSON.
    Ask(String),
    /// The process that its replica's name was taken from changes some, if it still runs.
    ChangeAsZombie(Vec<(Object, Did)>),
    /// Somebody waits until what was changed so far is durable, and relies on that.
    Rely,
    /// The process is gone.
    Crash,
    /// The process will be gone when it has been polled so many times more.
    CrashAfter(u64),
    /// A process is started; if one runs, the name is taken from it.
    Open,
    /// The replica is closed.
    Close,
    /// Its links to a region's bucket are down for so long.
    Cut {
        /// Whose bucket.
        from: usize,
        /// For how long.
        #[serde(with = "crate::milliseconds")]
        lasts: Duration,
    },
    /// Its wall clock is so far off, in milliseconds.
    Clock(i64),
    /// Its operator evicts another region's replica.
    Evict(usize),
    /// Its bucket is out of reach for everybody, one way or both, for so long.
    Away {
        /// Which requests fail.
        way: Way,
        /// For how long.
        #[serde(with = "crate::milliseconds")]
        lasts: Duration,
    },
    /// A copy of its bucket is made.
    Image,
    /// Its bucket goes back to the last copy, or is emptied if there is none.
    RollBack,
    /// Its process does nothing for so long, and then goes on.
    Freeze(#[serde(with = "crate::milliseconds")] Duration),
    /// Its clocks run fast or slow by so many millionths.
    Drift(i32),
    /// Its wall clock stands still.
    StopClock,
    /// The process ends at a request of its own.
    CrashAt {
        /// Of which sort.
        moment: Moment,
        /// How many of them go through before.
        left: u32,
        /// False before it is sent, true when it has had its effect.
        after: bool,
    },
    /// An observer is opened there; it stays until it gets quiet.
    Observe,
    /// A client writes there, waits until that is durable, takes a token to another region, and reads what it has written.
    Follow(usize),
    /// It is told of the newest object in another replica's log, as by a hint that comes just now. Of no use in a story without
    /// hints.
    Hear(usize),
    /// What is on its way to buckets when its process ends has its effect, or has not. Without this chance decides.
    Alone {
        /// True if it has.
        lands: bool,
    },
    /// Its replica keeps a leaderboard of all counters.
    Rank,
    /// A process of a later version has written to its bucket what this version cannot read: the next segment of its log, or a
    /// newer snapshot. It is taken away again when it gets quiet.
    Newer {
        /// True for a snapshot.
        is_snapshot: bool,
    },
    /// What is in its bucket is damaged where it lies: every reader finds the same wrong bytes. It is mended when it gets quiet.
    Spoil(Spoiled),
    /// A request of its process meets a fault.
    Meet {
        /// To whose bucket.
        bucket: usize,
        /// What is asked.
        request: Request,
        /// What it meets.
        fault: Fault,
        /// How many such requests go by before it.
        #[serde(default)]
        skip: u64,
        /// Of which process: the newest, or one that is older than so many others, and from which the name was taken.
        #[serde(default)]
        older: usize,
    },
}

/// What is damaged where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoiled {
    /// The last object of the log.
    LogEnd,
    /// The newest manifest.
    Manifest,
    /// Every manifest.
    Manifests,
    /// A part that the newest manifest names; earlier ones may name it too.
    Part,
}

impl Spoiled {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::LogEnd, Self::Manifest, Self::Manifests, Self::Part];

    /// True when a replica may be right to say that it cannot recover.
    pub(crate) const fn is_fatal(self) -> bool {
        matches!(self, Self::Manifests | Self::Part)
    }
}

impl Default for Story {
    /// Three regions in which nothing happens.
    fn default() -> Self {
        Self {
            seed: 0,
            regions: 3,
            settings: Settings::default(),
            faults: Faults::none(),
            hints: None,
            quiet_from: Duration::ZERO,
            steps: Vec::new(),
        }
    }
}

impl Story {
    /// How many operations there are in it: each change of an object is one, and so is whatever else is done on purpose.
    #[must_use]
    pub fn operations(&self) -> usize {
        let on_purpose = self.steps.iter().filter(|step| !step.act.is_fault());
        on_purpose.map(|step| step.act.changes().max(1)).sum()
    }

    /// True when nothing is in the way of a request: no fault, no outage, and no bucket that is not what it was.
    pub(crate) fn is_calm(&self) -> bool {
        let is_in_the_way = |step: &Step| match step.act {
            Act::Crash | Act::CrashAfter(_) | Act::CrashAt { .. } | Act::Clock(_) => false,
            ref act => act.is_fault(),
        };
        self.faults.kinds() == 0 && !self.steps.iter().any(is_in_the_way)
    }

    /// How many faults: each step that is one, and each kind of them that is met by chance.
    #[must_use]
    pub fn faults(&self) -> usize {
        let by_chance = if self.faults.by_chance { self.faults.kinds() } else { 0 };
        let of_hints = self.hints.as_ref().map_or(0, HintFaults::kinds);
        self.steps.iter().filter(|step| step.act.is_fault()).count() + by_chance + of_hints
    }
}

impl Act {
    /// The region whose bucket it names, beside its own.
    pub(crate) const fn bucket(&self) -> Option<&usize> {
        match self {
            Self::Cut { from: bucket, .. } | Self::Meet { bucket, .. } => Some(bucket),
            _ => None,
        }
    }

    /// The replica that it names, beside its own.
    pub(crate) const fn replica(&self) -> Option<&usize> {
        match self {
            Self::Evict(replica) | Self::Follow(replica) | Self::Hear(replica) => Some(replica),
            _ => None,
        }
    }

    /// True for what goes wrong, and false for what clients, operators and services do.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::Crash
            | Self::CrashAfter(_)
            | Self::CrashAt { .. }
            | Self::Alone { .. }
            | Self::Cut { .. }
            | Self::Clock(_)
            | Self::Drift(_)
            | Self::StopClock
            | Self::Away { .. }
            | Self::RollBack
            | Self::Freeze(_)
            | Self::Newer { .. }
            | Self::Spoil(_)
            | Self::Meet { .. } => true,
            Self::Change(_)
            | Self::Ask(_)
            | Self::ChangeAsZombie(_)
            | Self::Rely
            | Self::Open
            | Self::Close
            | Self::Evict(_)
            | Self::Image
            | Self::Observe
            | Self::Follow(_)
            | Self::Hear(_)
            | Self::Rank => false,
        }
    }

    /// How many objects it changes.
    #[must_use]
    pub fn changes(&self) -> usize {
        match self {
            Self::Change(changes) | Self::ChangeAsZombie(changes) => changes.len(),
            _ => 0,
        }
    }
}
