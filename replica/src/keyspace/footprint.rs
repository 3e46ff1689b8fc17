//! What the keyspace takes in memory, about.
//! Layer 2.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crdt_core::Object;
use foldhash::fast::FixedState;

/// An object with its key, its place in the table and in the index, beside its path and its state: 100 bytes.
const OBJECT: i64 = 100;
/// A tally.
const TALLY: i64 = 56;
/// A write, beside its value.
const WRITE: i64 = 64;
/// An element with its dot and its place in the set's table, beside its bytes.
const ELEMENT: i64 = 64;

/// An estimate, kept up at every change in constant time.
///
/// Of the bytes of elements only the number of elements is kept up, and how long they are on average is looked up whenever
/// all objects are looked at: at recovery and with each snapshot. A log of 8 MiB makes a snapshot due, so the average is
/// never old where it matters.
#[derive(Debug)]
pub(super) struct Footprint {
    fixed: AtomicI64,
    elements: AtomicI64,
    element_bytes: AtomicU64,
    limit: AtomicU64,
}

/// What one object adds to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    fixed: i64,
    elements: i64,
}

impl Default for Footprint {
    fn default() -> Self {
        let limit = AtomicU64::new(u64::MAX);
        Self { fixed: AtomicI64::new(0), elements: AtomicI64::new(0), element_bytes: AtomicU64::new(32), limit }
    }
}

impl Share {
    /// Of an object that is held at a path of so many bytes.
    pub(super) fn of(path: usize, object: &Object<FixedState>) -> Self {
        let elements = if let Object::OrSet(set) = object { set.len() as i64 } else { 0 };
        let tallies = TALLY * object.tallies().len() as i64;
        let writes = object.writes().iter().map(|write| WRITE + write.value.len() as i64).sum::<i64>();
        Self { fixed: OBJECT + path as i64 + tallies + writes, elements }
    }
}

impl Footprint {
    pub(super) fn change(&self, before: Share, after: Share) {
        if before.fixed != after.fixed {
            self.fixed.fetch_add(after.fixed - before.fixed, Ordering::Relaxed);
        }
        if before.elements != after.elements {
            self.elements.fetch_add(after.elements - before.elements, Ordering::Relaxed);
        }
    }

    /// So many elements were found to have so many bytes.
    pub(super) fn learn_elements(&self, elements: u64, bytes: u64) {
        if let Some(average) = bytes.checked_div(elements) {
            self.element_bytes.store(average, Ordering::Relaxed);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        let fixed = u64::try_from(self.fixed.load(Ordering::Relaxed)).unwrap_or(0);
        let elements = u64::try_from(self.elements.load(Ordering::Relaxed)).unwrap_or(0);
        fixed + elements * (ELEMENT as u64 + self.element_bytes.load(Ordering::Relaxed))
    }

    pub(super) fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// The limit, if it is reached.
    pub(super) fn reached(&self) -> Option<u64> {
        let limit = self.limit.load(Ordering::Relaxed);
        (limit != u64::MAX && self.bytes() >= limit).then_some(limit)
    }
}
