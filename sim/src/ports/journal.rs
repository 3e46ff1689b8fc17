//! What is told of a run, for whoever wants to read it: it decides nothing.
//! Layer 2.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use super::{
    faults::{Fault, Request},
    hints::HintFault,
};

/// A process: the how-manieth of all, and in which region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Its region.
    pub region: usize,
    /// Its number.
    pub process: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When, since the beginning.
    pub at: Duration,
    /// By which process.
    pub by: Party,
    /// What.
    pub what: What,
}

/// What can be told. Openings, ends, requests that meet a fault and those that outlive their caller always are, the rest on
/// demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The process is started.
    Started,
    /// Its replica is open.
    Open,
    /// Its replica has stopped by itself.
    Ended(String),
    /// The process is gone.
    Gone,
    /// A step of the story, by its index.
    Step(usize),
    /// It asks a bucket for something.
    Asked {
        /// Whose bucket.
        bucket: usize,
        /// For what.
        request: Request,
        /// The key, or the prefix.
        key: String,
        /// What the request meets.
        fault: Option<Fault>,
        /// How many such requests began in this instant before it, and met nothing.
        skip: u64,
    },
    /// A create or a delete has its effect.
    Landed {
        /// In whose bucket.
        bucket: usize,
        /// The key.
        key: String,
        /// What was created. Nothing when there was an object already, or one was deleted.
        created: Option<Bytes>,
    },
    /// A create or a delete is on its way, and whoever asked is gone.
    Alone {
        /// To whose bucket.
        bucket: usize,
        /// What was asked.
        request: Request,
        /// The key.
        key: String,
        /// Whether it has its effect, as far as the bucket can be reached.
        lands: bool,
    },
    /// A bucket answers.
    Answered {
        /// Whose bucket.
        bucket: usize,
        /// To which request.
        request: Request,
        /// Of which key or prefix.
        key: String,
        /// What it says, in a word or two.
        answer: String,
    },
    /// A hint is on its way to it.
    Hint {
        /// Of whose bucket.
        bucket: usize,
        /// Of which key.
        key: String,
        /// What becomes of it.
        fault: Option<HintFault>,
    },
    /// Its replica has applied a log up to a position.
    Applied {
        /// Whose log.
        log: usize,
        /// The position.
        position: u64,
    },
}

/// Where it is told.
#[derive(Clone)]
pub(crate) struct Journal {
    told: Arc<Mutex<Vec<Told>>>,
    has_all: bool,
}

/// What one party of a bucket or a source of hints tells.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) journal: Journal,
    pub(crate) by: Party,
    pub(crate) bucket: usize,
}

impl Journal {
    /// An empty one. It is told all, or only what is told always.
    pub(crate) fn new(has_all: bool) -> Self {
        Self { told: Arc::default(), has_all }
    }

    pub(crate) const fn has_all(&self) -> bool {
        self.has_all
    }

    pub(crate) fn tell(&self, at: Duration, by: Party, what: What) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(Told { at, by, what });
    }

    pub(crate) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Teller {
    pub(crate) fn tell(&self, at: Duration, what: What) {
        self.journal.tell(at, self.by, what);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("has_all", &self.has_all).finish_non_exhaustive()
    }
}
