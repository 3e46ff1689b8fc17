//! Marks: notes that a replica makes for itself, cut together with the effects that they speak of.
//! Layer 2.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Position, Timestamp};

use super::shard::buffer_of;

/// A note that a replica makes for itself, cut together with the effects it speaks of: how far an input was ingested,
/// what the answer to an idempotency key was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name: 1 to 1,024 bytes.
    pub name: Arc<[u8]>,
    /// What is noted.
    pub value: MarkValue,
    /// When it was made, which tells when it may be dropped. The last that was made of a name counts.
    pub time: Timestamp,
}

/// What a mark notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkValue {
    /// A number, such as an offset.
    Number(u64),
    /// A hash, such as that of a request.
    Hash([u8; 32]),
}

/// The marks of a replica. They lie outside the keyspace: no peer keeps them.
#[derive(Debug, Default)]
pub(super) struct Marks {
    held: Mutex<Held>,
    /// Held by a batch from looking whether there is room to making its marks.
    making: Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    live: BTreeMap<Arc<[u8]>, Mark>,
    /// What `live` takes in a manifest, estimated from above.
    bytes: usize,
    /// Those that no segment has taken yet, by the parity of the position under which they were made.
    waiting: [BTreeMap<Arc<[u8]>, Mark>; 2],
}

/// What all marks of a replica may take in a manifest, which holds every one of them.
pub(super) const MARKS_BYTES_MAX: usize = 32 << 20;

/// What a mark takes beside its name.
const MARK_BYTES: usize = 64;

impl Marks {
    /// True when there is room for those of `marks` whose names are new.
    pub(super) fn have_room(&self, marks: &[Mark]) -> bool {
        let held = self.held();
        let new = marks.iter().filter(|mark| !held.live.contains_key(&mark.name));
        let bytes = new.map(|mark| MARK_BYTES + mark.name.len()).sum::<usize>();
        bytes == 0 || held.bytes + bytes <= MARKS_BYTES_MAX
    }

    /// To be held from looking whether there is room to making marks.
    pub(super) fn making(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Mark> {
        self.held().live.get(name).cloned()
    }

    /// Takes over marks from a snapshot, or from the log in its order: the last that was made of a name counts, whatever the
    /// clock was then.
    pub(super) fn learn(&self, marks: &[Mark]) {
        let mut held = self.held();
        marks.iter().for_each(|mark| held.keep(mark));
    }

    /// Makes a mark under the open position. A shard must be locked, so that no cut passes meanwhile.
    pub(super) fn make(&self, mark: &Mark, open: Position) {
        let mut held = self.held();
        held.keep(mark);
        held.waiting[buffer_of(open)].insert(mark.name.clone(), mark.clone());
    }

    /// Those that were made under a position that has been closed, in ascending order of their names.
    pub(super) fn take(&self, closed: Position) -> Vec<Mark> {
        let buffer = buffer_of(closed) ^ usize::from(is_planted(Mutant::MarksInTheNextSegment));
        std::mem::take(&mut self.held().waiting[buffer]).into_values().collect()
    }

    /// All of them, in ascending order of their names.
    pub(super) fn all(&self) -> Vec<Mark> {
        self.held().live.values().cloned().collect()
    }

    /// Drops those that were made before `time`.
    pub(super) fn forget_before(&self, time: Timestamp) {
        let mut held = self.held();
        held.live.retain(|_, mark| mark.time >= time);
        held.bytes = held.live.keys().map(|name| MARK_BYTES + name.len()).sum();
    }
}

impl Held {
    fn keep(&mut self, mark: &Mark) {
        if self.live.insert(mark.name.clone(), mark.clone()).is_none() {
            self.bytes += MARK_BYTES + mark.name.len();
        }
    }
}
