//! The counter under both counter types. They differ in the amounts they take and in how they are read.
//! Layer 3.

use core::{fmt, marker::PhantomData};

use serde::{Deserialize, Serialize};

use crate::{
    CounterChanges, DataType, Delta, Dot, OpenDot, Overflow, Seen, Tally, Writer,
    tally::{Side, Tallies},
};

/// A counter that can be deleted: [`GCounter`](crate::GCounter) or [`PnCounter`](crate::PnCounter), as `M` says.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Tallies", into = "Tallies", bound = "M: Mode")]
pub struct Counter<M> {
    tallies: Tallies,
    mode: PhantomData<M>,
}

/// How a counter counts. Implemented by [`GrowOnly`](crate::GrowOnly) and [`UpAndDown`](crate::UpAndDown) only.
pub trait Mode: Sized + Clone + Default + sealed::Sealed {
    /// What can be added in one step.
    type Amount: Copy;
    /// What a read gives.
    type Value: Copy + Ord + fmt::Debug + fmt::Display;

    #[doc(hidden)]
    fn split(amount: Self::Amount) -> (Side, u64);
    #[doc(hidden)]
    fn read(plus: u128, minus: u128) -> Self::Value;
    #[doc(hidden)]
    fn check(tally: &Tally) -> Result<(), &'static str>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

impl<M: Mode> Counter<M> {
    /// The sum of all that was counted and not deleted.
    #[must_use]
    pub fn value(&self) -> M::Value {
        M::read(self.tallies.plus(), self.tallies.minus())
    }

    /// Counts `amount` under the open dot. Counting 0 changes nothing.
    ///
    /// It records no change: an owner's tally goes into a segment as it stands when the segment is cut, so whoever cuts
    /// takes it from [`tally`](Self::tally) then. A record made here could be published under a frontier that already
    /// covers a later reset of it.
    ///
    /// # Errors
    ///
    /// [`Overflow`] when this replica's total would pass 2⁶⁴ - 1; nothing is changed.
    pub fn add(&mut self, amount: M::Amount, open: OpenDot<'_>) -> Result<(), Overflow> {
        let (side, amount) = M::split(amount);
        self.tallies.raise(open, side, amount)
    }

    /// Deletes what has been counted, as far as this replica has seen, and records the tallies as they were observed.
    pub fn reset(&mut self, changes: &mut CounterChanges) {
        self.tallies.reset(changes);
    }
}

impl<M> Counter<M> {
    /// The contribution of each replica, in ascending order of their ids.
    #[must_use]
    pub fn tallies(&self) -> &[Tally] {
        self.tallies.as_slice()
    }

    /// The contribution of one replica.
    #[must_use]
    pub fn tally(&self, replica: crate::ReplicaId) -> Option<&Tally> {
        self.tallies.get(replica)
    }

    /// True when there is a tally that has not been deleted, even if the value is zero.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.tallies.is_live()
    }

    /// Applies changes given as a decoder has them: tallies, in ascending order of their replicas.
    pub fn merge_tallies(&mut self, seen: &impl Seen, changed: &[Tally]) {
        self.tallies.merge_tallies(seen, changed);
    }

    /// Drops the tally that died as `dead` did: same replica, same life, same baselines. Returns whether it was there.
    ///
    /// The caller must know that nobody can bring this life back: `docs/architecture.md`, "Purging".
    pub fn purge(&mut self, dead: &Tally) -> bool {
        self.tallies.purge(dead)
    }
}

impl<M: Mode> DataType for Counter<M> {
    type Key = ();
    type Changes = CounterChanges;

    fn merge(&mut self, seen: &impl Seen, other: &Self, other_seen: &impl Seen) {
        self.tallies.merge(seen, &other.tallies, other_seen);
    }

    fn merge_changes(&mut self, seen: &impl Seen, changes: &CounterChanges) {
        self.merge_tallies(seen, changes.tallies());
    }

    fn all_dots(&self, holds: impl Fn(Dot) -> bool) -> bool {
        self.tallies.all_dots(holds)
    }

    fn check(changes: &CounterChanges) -> Result<(), &'static str> {
        changes.tallies().iter().try_for_each(M::check)
    }
}

impl<M: Mode> Writer<Counter<M>> {
    /// Counts `amount` and returns the delta. Counting 0 is an empty delta.
    ///
    /// # Errors
    ///
    /// [`Overflow`] when this replica's total would pass 2⁶⁴ - 1; nothing is changed.
    pub fn add(&mut self, amount: M::Amount) -> Result<Delta<Counter<M>>, Overflow> {
        self.try_mutate(|counter, open, changes| {
            counter.add(amount, open)?;
            let raised = counter.tally(open.dot().replica).filter(|own| own.parts().last == open.dot().position);
            raised.into_iter().for_each(|own| changes.record(*own));
            Ok(())
        })
    }

    /// Deletes what has been counted, as far as this replica has seen, and returns the delta.
    pub fn reset(&mut self) -> Delta<Counter<M>> {
        self.mutate(|counter, _, changes| counter.reset(changes))
    }
}

impl<M> From<Counter<M>> for Tallies {
    fn from(counter: Counter<M>) -> Self {
        counter.tallies
    }
}

impl<M: Mode> TryFrom<Tallies> for Counter<M> {
    type Error = &'static str;

    fn try_from(tallies: Tallies) -> Result<Self, Self::Error> {
        tallies.as_slice().iter().try_for_each(M::check)?;
        Ok(Self { tallies, mode: PhantomData })
    }
}

impl<M> fmt::Debug for Counter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tallies()).finish()
    }
}
