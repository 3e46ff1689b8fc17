//! Merging many states at once, nearly all of which are as they are here.
//! Layer 2.

use core::ops::Range;

use crdt_core::{Frontier, Kind, Object, Tally};
use foldhash::fast::FixedState;

use super::{Applied, Keyspace, RowBatch, View};
use crate::key::{InvalidPath, ObjectKey};

/// States that another replica had, each of another object, which are to be merged together: see [`RowBatch`].
///
/// A state that both sides have is its own join, whatever either has seen: it is compared, and the object is neither changed
/// nor counted as changed. A counter is not even made for that. What is gathered takes some times what the part does from which it
/// is gathered, at most.
#[derive(Debug)]
pub struct StateBatch {
    keys: RowBatch,
    states: Vec<State>,
    tallies: Vec<Tally>,
    elements: usize,
    found: u64,
    changes: u64,
    dead: Vec<(ObjectKey, Tally)>,
}

/// A state, with a range of the tallies that were gathered.
#[derive(Debug)]
enum State {
    Counter(Range<usize>),
    Other(Object<FixedState>),
}

impl StateBatch {
    /// How many objects are well compared at once. More than are well changed: most need not stay in the cache.
    const STATES: usize = 4_096;
    /// How many elements of sets are gathered at most, beside those of the last one.
    const ELEMENTS: usize = 8_192;

    /// True when it should be merged before more is gathered.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.keys.len() >= Self::STATES || self.elements >= Self::ELEMENTS
    }

    /// How many of the objects that were merged were here before.
    #[must_use]
    pub const fn found(&self) -> u64 {
        self.found
    }

    /// How many objects have come to be or gone in merging.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// The tallies that have died of it.
    #[must_use]
    pub fn into_dead(self) -> Vec<(ObjectKey, Tally)> {
        self.dead
    }
}

impl Keyspace {
    /// An empty batch.
    #[must_use]
    pub fn state_batch(&self) -> StateBatch {
        let (states, tallies, dead) = Default::default();
        StateBatch { keys: self.row_batch(), states, tallies, elements: 0, found: 0, changes: 0, dead }
    }

    /// Adds a counter, with tallies of different replicas in any order.
    pub fn gather_counter(
        &self,
        batch: &mut StateBatch,
        (path, kind): (&str, Kind),
        tallies: impl Iterator<Item = Tally>,
    ) {
        self.gather(&mut batch.keys, path, kind);
        let from = batch.tallies.len();
        batch.tallies.extend(tallies);
        batch.tallies[from..].sort_unstable_by_key(|tally| tally.parts().replica);
        batch.states.push(State::Counter(from..batch.tallies.len()));
    }

    /// Adds anything else.
    pub fn gather_state(&self, batch: &mut StateBatch, path: &str, state: Object<FixedState>) {
        self.gather(&mut batch.keys, path, state.kind());
        if let Object::OrSet(set) = &state {
            batch.elements += set.len();
        }
        batch.states.push(State::Other(state));
    }

    /// Merges a batch, and empties it: in any order. `merge` is given each object that is not the same, what
    /// has been seen of it here, and their state. The caller joins the frontiers when all objects of both sides are merged.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when there is no such object and its path is not a path; some are merged then, and others are not.
    pub fn merge_states(
        &self,
        applied: &Applied,
        batch: &mut StateBatch,
        merge: impl Fn(&mut Object<FixedState>, &View<'_>, &Object<FixedState>),
    ) -> Result<(), InvalidPath> {
        let StateBatch { keys, states, tallies, elements, found, changes, dead } = batch;
        self.each_gathered(keys, |locked, row, hash, (path, kind)| {
            let here = locked.get(hash, path.as_bytes(), kind);
            *found += u64::from(here.is_some());
            let is_same = here.is_some_and(|here| match &states[row] {
                State::Counter(range) => *here.tallies() == tallies[range.clone()],
                State::Other(state) => here == state,
            });
            if is_same {
                return Ok(());
            }
            let made;
            let theirs = match &states[row] {
                State::Counter(range) => {
                    made = self.counter(kind, &tallies[range.clone()]);
                    &made
                }
                State::Other(state) => state,
            };
            let (at, own) = ((path.as_bytes(), kind), || ObjectKey::new(path, kind));
            let (died, has_changed) = self.merge_state(locked, hash, at, own, applied, theirs, &merge)?;
            *changes += u64::from(has_changed);
            died.into_iter().try_for_each(|tally| {
                dead.push((own()?, tally));
                Ok(())
            })
        })?;
        states.clear();
        tallies.clear();
        *elements = 0;
        self.index.settle_if_long();
        Ok(())
    }

    fn counter(&self, kind: Kind, tallies: &[Tally]) -> Object<FixedState> {
        let mut counter = self.object(kind);
        match &mut counter {
            Object::GCounter(counter) => counter.merge_tallies(&Frontier::default(), tallies),
            Object::PnCounter(counter) => counter.merge_tallies(&Frontier::default(), tallies),
            _ => {}
        }
        counter
    }
}
