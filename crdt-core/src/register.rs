//! The register under both register types. They differ in how they are read.
//! Layer 3.

use core::{cmp::Ordering, fmt, marker::PhantomData};

use serde::{Deserialize, Serialize};

use crate::{
    DataType, Delta, Dot, Edit, Few, OpenDot, Seen, Timestamp, Writer,
    merge::{Entry, merge_entries},
    planted::{Mutant, Point, is_planted, reached},
};

/// One write to a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write<V> {
    /// The dot under which it was written.
    pub dot: Dot,
    /// When, by the hybrid logical clock of who wrote.
    pub timestamp: Timestamp,
    /// What was written.
    pub value: V,
}

impl<V> Write<V> {
    /// The order among concurrent writes: timestamp, then replica, then position. No two writes are equal in it.
    #[must_use]
    pub fn precedence(&self) -> (Timestamp, Dot) {
        (self.timestamp, self.dot)
    }
}

impl<V: Clone> Entry for Write<V> {
    type Key = Dot;

    fn key(&self) -> Dot {
        self.dot
    }

    fn dot(&self) -> Dot {
        self.dot
    }

    /// The same dot is the same write.
    fn join(&mut self, _: &Self) {}
}

/// A register: [`LwwRegister`](crate::LwwRegister) or [`MvRegister`](crate::MvRegister), as `R` says.
///
/// The state of both is the set of writes that no later write has observed. So a read of either kind is a choice made
/// while reading, and what lost against a concurrent write is still there, the same on every replica, until somebody
/// writes again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "V: Serialize", deserialize = "V: Clone + Deserialize<'de>"))]
#[serde(transparent)]
pub struct Register<V, R> {
    writes: Few<Write<V>>,
    #[serde(skip)]
    reading: PhantomData<R>,
}

/// What changed in a register.
pub type RegisterChanges<V> = Edit<Write<V>>;

impl<V, R> Register<V, R> {
    /// The live writes, in ascending order of their dots: one, unless several were written concurrently.
    #[must_use]
    pub fn writes(&self) -> &[Write<V>] {
        self.writes.as_slice()
    }

    /// True when it has been written to and not cleared since.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.writes.is_empty()
    }

    /// True when concurrent writes stand beside each other: something lost, or must be chosen from.
    #[must_use]
    pub fn is_conflicted(&self) -> bool {
        self.writes.len() > 1
    }
}

impl<V: Clone, R: Clone> Register<V, R> {
    /// Writes `value` under the open dot. It supersedes every write that is here, whatever the timestamps say.
    pub fn set(&mut self, value: V, timestamp: Timestamp, open: OpenDot<'_>, changes: &mut RegisterChanges<V>) {
        if is_planted(Mutant::WriteYieldsToTheFuture) && self.writes.iter().any(|held| held.timestamp > timestamp) {
            return;
        }
        let written = Few::one(Write { dot: open.dot(), timestamp, value });
        changes.record(&self.writes, written.clone(), open);
        self.writes = written;
    }

    /// Deletes every write that is here; a concurrent one stays.
    pub fn clear(&mut self, open: OpenDot<'_>, changes: &mut RegisterChanges<V>) {
        changes.record(&self.writes, Few::new(), open);
        self.writes = Few::new();
    }

    /// Applies a change given in its parts, as a decoder has them. Both must be in ascending order of dots.
    pub fn merge_edit(&mut self, seen: &impl Seen, mut added: &[Write<V>], removed: &[Dot]) {
        let stays = |held: &&Write<V>| removed.binary_search(&held.dot).is_err();
        let meets = |new: &Write<V>, is: Ordering| {
            self.writes.iter().filter(stays).any(|held| new.timestamp.cmp(&held.timestamp) == is)
        };
        if is_planted(Mutant::LoserDropped) && added.iter().any(|new| meets(new, Ordering::Less))
            || is_planted(Mutant::TieByArrival) && added.iter().any(|new| meets(new, Ordering::Equal))
        {
            added = &[];
        }
        if added.iter().any(|new| meets(new, Ordering::Equal)) {
            reached(Point::TieOfTimes);
        }
        merge_entries(
            &mut self.writes,
            |dot| seen.has_seen(dot, &()),
            added,
            |dot| removed.binary_search(&dot).is_ok(),
        );
    }
}

impl<V: Clone, R: Clone> DataType for Register<V, R> {
    type Key = ();
    type Changes = RegisterChanges<V>;

    fn merge(&mut self, seen: &impl Seen, other: &Self, other_seen: &impl Seen) {
        merge_entries(
            &mut self.writes,
            |dot| seen.has_seen(dot, &()),
            other.writes(),
            |dot| other_seen.has_seen(dot, &()),
        );
    }

    fn merge_changes(&mut self, seen: &impl Seen, changes: &RegisterChanges<V>) {
        self.merge_edit(seen, changes.added(), changes.removed());
    }

    fn all_dots(&self, holds: impl Fn(Dot) -> bool) -> bool {
        self.writes.iter().all(|write| holds(write.dot))
    }

    fn check(_: &RegisterChanges<V>) -> Result<(), &'static str> {
        Ok(())
    }
}

impl<V: Clone, R: Clone> Writer<Register<V, R>> {
    /// Writes `value` at `timestamp` and returns the delta.
    ///
    /// Take the timestamp from a [`HybridClock`](crate::HybridClock) that observes what is merged: it decides between
    /// this write and concurrent ones.
    pub fn set(&mut self, value: V, timestamp: Timestamp) -> Delta<Register<V, R>> {
        self.mutate(|register, open, changes| register.set(value, timestamp, open, changes))
    }

    /// Deletes what is written, as far as this replica has seen, and returns the delta.
    pub fn clear(&mut self) -> Delta<Register<V, R>> {
        self.mutate(Register::clear)
    }
}

impl<V, R> Default for Register<V, R> {
    fn default() -> Self {
        Self { writes: Few::new(), reading: PhantomData }
    }
}

impl<V: fmt::Debug, R> fmt::Debug for Register<V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.writes).finish()
    }
}
