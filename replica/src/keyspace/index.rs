//! The keys in order, for scans.
//! Layer 2.

use std::{
    collections::BTreeSet,
    ops::Bound,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::key::ObjectKey;

/// Every key of the keyspace, in ascending order. It changes only when an object comes or goes, under its shard's lock.
///
/// What comes and goes is noted, and put in order when somebody reads, or when there is time: in order all at once, it costs
/// a fraction of what it would one by one, and nothing at all where nobody reads.
#[derive(Debug, Default)]
pub(super) struct Index {
    sorted: RwLock<BTreeSet<ObjectKey>>,
    /// What has come (true) and gone since, in the order in which it did.
    recent: Mutex<Vec<(ObjectKey, bool)>>,
    len: AtomicUsize,
}

/// How many keys may be noted, beside two for each that is there.
const RECENT_MIN: usize = 1 << 16;

impl Index {
    pub(super) fn insert(&self, key: ObjectKey) {
        self.recent().push((key, true));
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds many keys, none of which is there.
    pub(super) fn extend(&self, keys: Vec<ObjectKey>) {
        self.len.fetch_add(keys.len(), Ordering::Relaxed);
        self.recent().extend(keys.into_iter().map(|key| (key, true)));
    }

    pub(super) fn remove(&self, key: ObjectKey) {
        self.recent().push((key, false));
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Puts what is noted in order, if it is so much that it must be the same keys again and again.
    pub(super) fn settle_if_long(&self) {
        if self.recent().len() > RECENT_MIN + 2 * self.len() {
            self.settle();
        }
    }

    /// Puts what is noted in order.
    ///
    /// Cost: that of sorting it, and where it is many, of a walk over all keys. Who reads waits, who writes does not.
    pub(super) fn settle(&self) {
        if self.recent().is_empty() {
            return;
        }
        let mut sorted = self.sorted.write().unwrap_or_else(PoisonError::into_inner);
        let mut recent = std::mem::take(&mut *self.recent());
        // Stable: the last word on a key counts.
        recent.sort_by(|(left, _), (right, _)| left.cmp(right));
        let mut came = Vec::with_capacity(recent.len());
        let mut recent = recent.into_iter().peekable();
        while let Some((key, is_there)) = recent.next() {
            if recent.peek().is_some_and(|(next, _)| *next == key) {
                continue;
            }
            if is_there {
                came.push(key);
            } else {
                sorted.remove(&key);
            }
        }
        if came.len() > sorted.len() / 16 {
            sorted.append(&mut came.into_iter().collect());
        } else {
            sorted.extend(came);
        }
    }

    fn recent(&self) -> MutexGuard<'_, Vec<(ObjectKey, bool)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cost: O(log n + limit), and the index is locked for as long; and what it takes to put in order what is noted.
    pub(super) fn page(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Vec<ObjectKey> {
        self.settle();
        let keys = self.sorted.read().unwrap_or_else(PoisonError::into_inner);
        let first = ObjectKey::first_at(prefix);
        let start = match after {
            Some(after) if *after >= first => Bound::Excluded(after.clone()),
            _ => Bound::Included(first),
        };
        let begins = |key: &&ObjectKey| key.path().starts_with(prefix);
        keys.range((start, Bound::Unbounded)).take_while(begins).take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use crdt_core::Kind;

    use super::*;

    fn key(number: usize) -> ObjectKey {
        ObjectKey::new(format!("{number:03}"), Kind::OrSet).unwrap()
    }

    fn numbers(index: &Index) -> Vec<usize> {
        index.page("", None, usize::MAX).iter().map(|key| key.path().parse().unwrap()).collect()
    }

    #[test]
    fn the_last_word_on_a_key_counts_whenever_it_is_put_in_order() {
        for settles in [usize::MAX, 1, 2, 3] {
            let (index, mut there) = (Index::default(), BTreeSet::new());
            index.extend((100..200).map(key).collect());
            there.extend(100..200);
            for step in 0..600 {
                let number = step * 7 % 230;
                if there.insert(number) {
                    index.insert(key(number));
                } else {
                    there.remove(&number);
                    index.remove(key(number));
                }
                if step % settles == settles - 1 {
                    index.settle();
                }
                assert_eq!(index.len(), there.len());
            }
            assert!(numbers(&index).into_iter().eq(there));
        }
    }

    #[test]
    fn keys_that_come_and_go_for_ever_do_not_pile_up() {
        let index = Index::default();
        for _ in 0..RECENT_MIN {
            index.insert(key(1));
            index.remove(key(1));
            index.settle_if_long();
        }
        assert!(index.recent().len() <= RECENT_MIN + 2 && numbers(&index).is_empty());
    }
}
