//! What hints were good for.
//! Layer 4.

use std::sync::atomic::{AtomicU64, Ordering};

use crdt_core::Dot;

use super::engine::Engine;
use crate::{log::BucketKey, ports::Hint};

/// What a hint was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Hinted {
    /// It named an object of a log that nobody had told of.
    New,
    /// What it named had been applied or heard of: it was doubled, late, or slower than polling.
    Known,
    /// It named nothing that is read here: an object of the own log, of a snapshot, or of another root.
    Foreign,
    /// It named nothing at all, so everything was looked at.
    Nameless,
}

impl Hinted {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::New, Self::Known, Self::Foreign, Self::Nameless];

    /// Its word, for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Foreign => "foreign",
            Self::Nameless => "nameless",
        }
    }
}

/// How many hints were good for what.
#[derive(Debug, Default)]
pub(crate) struct HintsCounted([AtomicU64; Hinted::ALL.len()]);

impl HintsCounted {
    fn count(&self, hinted: Hinted) {
        self.0[hinted as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Vec<(Hinted, u64)> {
        Hinted::ALL.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }
}

impl Engine {
    /// Counts a hint that has come, before anything is done about it.
    pub(super) fn count_hint(&self, hint: &Hint, target: Option<&BucketKey>) {
        let hinted = match target {
            Some(BucketKey::Log { replica, position }) if *replica != self.own.name => {
                let dot = Dot { replica: replica.id(), position: *position };
                let state = self.state();
                let is_heard = state.logs.get(&dot.replica).and_then(|log| log.heard) >= Some(dot.position);
                if is_heard || state.applied.frontier.covers(dot) { Hinted::Known } else { Hinted::New }
            }
            None if hint.key.is_none() => Hinted::Nameless,
            _ => Hinted::Foreign,
        };
        tracing::debug!(replica = %self.own.name, key = hint.key.as_deref(), outcome = hinted.name(), "hinted");
        self.hinted.count(hinted);
    }
}
