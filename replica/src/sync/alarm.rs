//! What went wrong and is still wrong: for the operator, not for the caller.
//! Layer 4.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::engine::Ended;
use crate::{
    error::{Error, ErrorKind},
    name::ReplicaName,
};

/// What is wrong now, by where it is.
#[derive(Debug)]
pub(crate) struct Alarms {
    /// Whose alarms, for the log.
    replica: ReplicaName,
    standing: Mutex<BTreeMap<String, Ended>>,
    quarantined: Mutex<Quarantined>,
    /// Objects whose time was too far in the future.
    ahead: AtomicU64,
}

/// How much of what was wrong is remembered.
const QUARANTINED_MAX: usize = 1_024;

/// What was wrong with what logs hold.
#[derive(Debug, Default)]
struct Quarantined {
    /// Where and what, so that the same is counted once.
    met: BTreeSet<(String, String)>,
    /// How many there were, by kind.
    counts: BTreeMap<&'static str, u64>,
}

impl Alarms {
    pub(crate) fn new(replica: ReplicaName) -> Self {
        Self { replica, standing: Mutex::default(), quarantined: Mutex::default(), ahead: AtomicU64::new(0) }
    }

    pub(crate) const fn replica(&self) -> &ReplicaName {
        &self.replica
    }

    /// Something is wrong at this place: a log, a region, the own snapshots.
    pub(crate) fn raise(&self, place: &str, error: &Error) {
        let ended = (error.kind(), error.told());
        let before =
            self.standing.lock().unwrap_or_else(PoisonError::into_inner).insert(place.to_owned(), ended.clone());
        if before.as_ref() != Some(&ended) {
            tracing::warn!(replica = %self.replica, place, outcome = ended.0.name(), "{}", ended.1);
            self.quarantine(place, &ended);
        }
    }

    /// Counts what holds up the reading of a log: once, however often it is met, and whatever comes between.
    fn quarantine(&self, place: &str, ended: &Ended) {
        let is_held_back = matches!(ended.0, ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::LostHistory);
        if !(is_held_back && place.starts_with("log ")) {
            return;
        }
        let mut quarantined = self.quarantined.lock().unwrap_or_else(PoisonError::into_inner);
        if quarantined.met.len() == QUARANTINED_MAX {
            quarantined.met.clear();
        }
        if quarantined.met.insert((place.to_owned(), ended.1.clone())) {
            *quarantined.counts.entry(ended.0.name()).or_default() += 1;
        }
    }

    /// How many objects of logs could not be applied, by the kind of what was wrong.
    pub(crate) fn quarantined(&self) -> Vec<(&'static str, u64)> {
        let quarantined = self.quarantined.lock().unwrap_or_else(PoisonError::into_inner);
        quarantined.counts.iter().map(|(reason, count)| (*reason, *count)).collect()
    }

    /// There is an answer from there again. What was wrong with what it holds may still be.
    pub(crate) fn answered(&self, place: &str) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if standing.get(place).is_some_and(|(kind, _)| *kind == ErrorKind::Store) {
            standing.remove(place);
        }
    }

    /// All is well there.
    pub(crate) fn clear(&self, place: &str) {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    /// All is well at those places that begin with `prefix` and of which `is_well` says so.
    pub(crate) fn clear_all(&self, prefix: &str, is_well: impl Fn(&str) -> bool) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.retain(|place, _| !(place.starts_with(prefix) && is_well(place)));
    }

    /// What is wrong at a place.
    pub(crate) fn at(&self, place: &str) -> Option<Ended> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(String, Ended)> {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.iter().map(|(place, ended)| (place.clone(), ended.clone())).collect()
    }

    pub(crate) fn is_raised(&self, place: &str) -> bool {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).contains_key(place)
    }

    /// Why nothing can be written, if so.
    pub(crate) fn of_writing(&self) -> Option<String> {
        self.all().into_iter().find(|(place, _)| place.starts_with("create ")).map(|(_, (_, says))| says)
    }

    pub(crate) fn count_ahead(&self) {
        self.ahead.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ahead(&self) -> u64 {
        self.ahead.load(Ordering::Relaxed)
    }
}
