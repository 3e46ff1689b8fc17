//! The keyspace as it was at a cut, while it goes on changing.
//! Layer 2.

use core::fmt;
use std::{collections::BTreeMap, sync::PoisonError};

use crdt_core::Object;
use crdt_core::planted::{Mutant, is_planted};
use foldhash::fast::FixedState;

use super::{
    Keyspace,
    stripes::{STRIPES, Stripes, part_of, stripe_of},
};
use crate::key::ObjectKey;

/// What objects were before they changed for the first time since a cut; `None` where there was none.
pub(super) type Before = BTreeMap<ObjectKey, Option<Object<FixedState>>>;

/// The keyspace as it was at the moment of a cut.
///
/// Local operations and merges go on: from the moment the cut has passed its shard, an object that is about to change
/// for the first time leaves its old state here. Absence is a state, and a purge is a change. Dropping this ends it.
///
/// # Cost
///
/// A copy of each object that changes meanwhile, made while its shard is locked.
pub struct Frozen<'a> {
    keyspace: &'a Keyspace,
    /// The stripes that may have changed since the snapshot before.
    changed: Stripes,
    /// Set when the snapshot is complete: the next one need not look at `changed` again.
    kept: bool,
}

/// How a frozen keyspace is cut into parts.
#[derive(Debug)]
pub struct Layout {
    /// The keys of each part, in ascending order. There is a power of two of them.
    pub parts: Vec<Vec<ObjectKey>>,
}

/// About how many bytes a part holds, as [`weight`] counts them.
const PART_WEIGHT: u64 = 4 << 20;

/// What an object weighs: paths, elements, values, and a flat charge for each dot and tally.
///
/// It depends on what is live and on nothing else, so that replicas with equal states cut them alike.
fn weight(key: &ObjectKey, object: &Object<FixedState>) -> u64 {
    let live = object.tallies().iter().filter(|tally| !tally.is_dead()).count();
    let bytes = live * 24 + payload(object);
    if bytes == 0 { 0 } else { (key.path_bytes().len() + bytes) as u64 }
}

/// The bytes of what a register or a set holds, with 16 for each dot.
pub(super) fn payload(object: &Object<FixedState>) -> usize {
    match object {
        Object::OrSet(set) => set.unordered().map(|(element, dots)| element.len() + 16 * dots.len()).sum(),
        _ => object.writes().iter().map(|write| 16 + write.value.len()).sum(),
    }
}

impl<'a> Frozen<'a> {
    pub(super) const fn new(keyspace: &'a Keyspace, changed: Stripes) -> Self {
        Self { keyspace, changed, kept: false }
    }

    /// Cuts the keyspace into as many parts as it needs, a number that depends on what is live alone.
    ///
    /// Cost: a look at every object, one at a time.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let keys = self.keys();
        let (mut total, mut elements, mut element_bytes) = (0, 0, 0);
        for key in &keys {
            let _there = self.read(key, |key, object| {
                total += weight(key, object);
                if let Object::OrSet(set) = object {
                    elements += set.len() as u64;
                    element_bytes += set.unordered().map(|(element, _)| element.len() as u64).sum::<u64>();
                }
            });
        }
        self.keyspace.footprint.learn_elements(elements, element_bytes);
        let count = total.div_ceil(PART_WEIGHT).max(1).next_power_of_two().min(STRIPES as u64) as usize;
        let mut parts = vec![Vec::with_capacity(keys.len() / count); count];
        for key in keys {
            parts[part_of(stripe_of(key.path()), count)].push(key);
        }
        Layout { parts }
    }

    /// Every key that there was, and perhaps others, in ascending order.
    ///
    /// SUBTLE: the keys that are there are listed before those that have changed. An object that goes between the two has
    /// left its old state by then; the other way round it would be in neither.
    fn keys(&self) -> Vec<ObjectKey> {
        let mut keys: Vec<ObjectKey> = Vec::with_capacity(self.keyspace.len());
        loop {
            let page = self.keyspace.keys("", keys.last(), 4_096);
            if page.is_empty() {
                break;
            }
            keys.extend(page);
        }
        for side in &self.keyspace.sides {
            let side = side.lock().unwrap_or_else(PoisonError::into_inner);
            keys.extend(side.before.iter().flat_map(Before::keys).cloned());
        }
        keys.sort();
        keys.dedup();
        if is_planted(Mutant::SnapshotMissesAKey) {
            keys.pop();
        }
        keys
    }

    /// Reads an object as it was, if there was one.
    fn read<R>(&self, key: &ObjectKey, read: impl FnOnce(&ObjectKey, &Object<FixedState>) -> R) -> Option<R> {
        let keyspace = self.keyspace;
        let hash = keyspace.hash(key.path_bytes());
        let shard = keyspace.shard(hash);
        // No object of the shard changes while its table is locked, not even for reading.
        let table = keyspace.map.shards()[shard].read();
        let side = keyspace.sides[shard].lock().unwrap_or_else(PoisonError::into_inner);
        match side.before.as_ref().and_then(|before| before.get(key)) {
            Some(before) => before.as_ref().map(|object| read(key, object)),
            None => table.get(hash, |(held, _)| held == key).map(|(_, object)| read(key, object.get())),
        }
    }

    /// True when something in this part, one of `parts`, may have changed since the snapshot before.
    #[must_use]
    pub fn changed(&self, part: usize, parts: usize) -> bool {
        self.changed.touch(part, parts) && !is_planted(Mutant::PartsThoughtUnchanged)
    }

    /// The objects at these keys as they were.
    #[must_use]
    pub fn objects(&self, keys: Vec<ObjectKey>) -> Vec<(ObjectKey, Object<FixedState>)> {
        let object = |key: ObjectKey| self.read(&key, |_, object| object.clone()).map(|object| (key, object));
        keys.into_iter().filter_map(object).collect()
    }

    /// The snapshot is complete: the next one may take over the parts that do not change from now on.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.keyspace.touched.put_back(&self.changed);
        }
        (0..self.keyspace.sides.len()).for_each(|shard| self.keyspace.lock(shard).thaw());
    }
}

impl fmt::Debug for Frozen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen").field("kept", &self.kept).finish_non_exhaustive()
    }
}
