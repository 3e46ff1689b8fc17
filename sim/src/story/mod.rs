//! A story: all that happens in a run, as data. What is not in it follows from its seed.
//! Layer 3.

mod file;
mod generate;
mod settings;
mod words;

use std::time::Duration;

use replica::Settings;
use serde::{Deserialize, Serialize};

use crate::{
    history::{Did, Object},
    ports::{Fault, Faults, HintFaults, Request},
};

pub use file::{FORMAT, StoryFile};
pub use generate::generate;

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
    /// In which region.
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

impl Act {
    /// How many objects it changes.
    #[must_use]
    pub fn changes(&self) -> usize {
        match self {
            Self::Change(changes) | Self::ChangeAsZombie(changes) => changes.len(),
            _ => 0,
        }
    }
}
