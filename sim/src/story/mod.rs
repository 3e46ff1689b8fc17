//! A story: all that happens in a run, as data. What is not in it follows from its seed.
//! Layer 3.

mod generate;
mod troubles;

use std::time::Duration;

use replica::Settings;

use crate::{
    history::{Did, Object},
    ports::{Faults, HintFaults, Moment, Way},
};

pub use generate::generate;

/// Everything that happens in a run.
#[derive(Clone, Debug)]
pub struct Story {
    /// Decides delays, the order of what is ready, faults and entropy.
    pub seed: u64,
    /// How many regions there are, each with a bucket and a replica.
    pub regions: usize,
    /// The intervals of the replicas.
    pub settings: Settings,
    /// What requests meet, until it gets quiet.
    pub faults: Faults,
    /// What becomes of hints; without, logs are polled.
    pub hints: Option<HintFaults>,
    /// What happens, in the order of time.
    pub steps: Vec<Step>,
    /// When it gets quiet: faults and outages end, clocks are right, and whoever is down is opened.
    pub quiet_from: Duration,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, since the beginning.
    pub at: Duration,
    /// In which region: its first replica. With [`Story::regions`] more it is the second of that region, and so on: another
    /// name in the same bucket, which is there once it has been opened.
    pub region: usize,
    /// What.
    pub act: Act,
}

/// What can happen in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Its replica changes some objects, all or none.
    Change(Vec<(Object, Did)>),
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
        lasts: Duration,
    },
    /// A copy of its bucket is made.
    Image,
    /// Its bucket goes back to the last copy, or is emptied if there is none.
    RollBack,
    /// Its process does nothing for so long, and then goes on.
    Freeze(Duration),
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
    /// Its replica keeps a leaderboard of all counters.
    Rank,
    /// A process of a later version has written to its bucket what this version cannot read: the next segment of its log, or a
    /// newer snapshot. It is taken away again when it gets quiet.
    Newer {
        /// True for a snapshot.
        is_snapshot: bool,
    },
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
