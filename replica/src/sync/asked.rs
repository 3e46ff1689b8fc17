//! What was asked of a bucket, and what came of it.
//! Layer 4.

use core::time::Duration;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::delays::{Delays, REQUEST_DELAYS_MS};
use crate::ports::{Outcome, Request};

/// What came of a create of which it was not known whether it had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Resolution {
    /// The next attempt created the object: the one before had not.
    Created,
    /// The next attempt found an object there: nearly always the one that was to be created.
    Exists,
    /// It was given up.
    GivenUp,
}

impl Resolution {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Created, Self::Exists, Self::GivenUp];

    /// Its word, for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Exists => "exists",
            Self::GivenUp => "given_up",
        }
    }
}

/// How many requests were made of a bucket, and what they moved.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    of: [Mutex<Answers>; 4],
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    repeated: AtomicU64,
    resolved: [AtomicU64; Resolution::ALL.len()],
}

/// What came of the requests of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) asked: u64,
    pub(crate) ok: u64,
    pub(crate) failed: [u64; Outcome::ALL.len()],
    pub(crate) delays: Delays,
}

impl Asked {
    fn lock(&self, request: Request) -> MutexGuard<'_, Answers> {
        self.of[request as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is made.
    pub(crate) fn begin(&self, request: Request) {
        self.lock(request).asked += 1;
    }

    /// It has been answered, or has failed.
    pub(crate) fn end(&self, request: Request, failed: Option<Outcome>, took: Duration) {
        let mut answers = self.lock(request);
        match failed {
            None => answers.ok += 1,
            Some(outcome) => answers.failed[outcome as usize] += 1,
        }
        answers.delays.count(&REQUEST_DELAYS_MS, took);
    }

    pub(crate) fn of(&self, request: Request) -> Answers {
        *self.lock(request)
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// It is known by now what came of a create, or nobody asks any more.
    pub(crate) fn resolve(&self, resolution: Resolution) {
        self.resolved[resolution as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn resolved(&self) -> Vec<(Resolution, u64)> {
        Resolution::ALL.into_iter().zip(self.resolved.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    /// A request is made once more.
    pub(crate) fn repeat(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes sent and received, and how many requests were repeated.
    pub(crate) fn sums(&self) -> [u64; 3] {
        [&self.bytes_out, &self.bytes_in, &self.repeated].map(|sum| sum.load(Ordering::Relaxed))
    }
}
