//! The keys in order, for scans.
//! Layer 2.

use std::{
    collections::BTreeSet,
    ops::Bound,
    sync::{PoisonError, RwLock},
};

use crate::key::ObjectKey;

/// Every key of the keyspace, in ascending order. It changes only when an object comes or goes, under its shard's lock.
#[derive(Debug, Default)]
pub(super) struct Index(RwLock<BTreeSet<ObjectKey>>);

impl Index {
    pub(super) fn insert(&self, key: ObjectKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// Adds many keys, none of which is there.
    pub(super) fn extend(&self, mut keys: Vec<ObjectKey>) {
        keys.sort();
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.is_empty() {
            *held = keys.into_iter().collect();
        } else {
            held.extend(keys);
        }
    }

    pub(super) fn remove(&self, key: &ObjectKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Cost: O(log n + limit), and the index is locked for as long.
    pub(super) fn page(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Vec<ObjectKey> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = ObjectKey::first_at(prefix);
        let start = match after {
            Some(after) if *after >= first => Bound::Excluded(after.clone()),
            _ => Bound::Included(first),
        };
        let begins = |key: &&ObjectKey| key.path().starts_with(prefix);
        keys.range((start, Bound::Unbounded)).take_while(begins).take(limit).cloned().collect()
    }
}
