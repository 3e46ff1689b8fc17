//! Counters that can be deleted: the state under both counter types.
//! Layer 2.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Changes, Dot, Few, OpenDot, Position, ReplicaId, Seen,
    merge::{Entries, Entry, find, merge_entries, union},
    packed::Packed,
    planted::{Mutant, is_planted},
};

/// What one replica has contributed to one counter, in its present life.
///
/// Totals are cumulative: `p` of increments, `n` of decrements. A reset does not lower them, it raises the baselines
/// `bp`, `bn` to the totals that it observed, so that increments which it did not observe survive exactly. The value is
/// (p - bp) - (n - bn). With `p == bp` and `n == bn` the tally is *dead*; the owner's next increment under a later dot
/// starts a new *life* from zero, and the greater birth wins outright.
///
/// Cost: 56 bytes.
///
/// Source: a state-based observed-reset counter for FIFO delivery, after Weidner and Almeida, "An Oblivious
/// Observed-Reset Embeddable Replicated Counter", PaPoC 2022; lives and purging are our own (`docs/architecture.md`).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TallyParts", into = "TallyParts")]
pub struct Tally(TallyParts);

/// The fields of a [`Tally`], to read or to make one from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyParts {
    /// Whose contribution it is.
    pub replica: ReplicaId,
    /// Where in the owner's log this life began.
    pub birth: Position,
    /// Where in the owner's log it was raised last.
    pub last: Position,
    /// Sum of all increments.
    pub p: u64,
    /// Sum of all decrements.
    pub n: u64,
    /// How much of `p` has been reset.
    pub bp: u64,
    /// How much of `n` has been reset.
    pub bn: u64,
}

impl Tally {
    /// The fields.
    #[must_use]
    pub const fn parts(&self) -> &TallyParts {
        &self.0
    }

    /// True when all that it counts has been reset.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.0.p == self.0.bp && self.0.n == self.0.bn
    }

    /// True when both are the same life, dead in the same way: what may be said of one death may be said of the other.
    #[must_use]
    pub fn died_as(&self, other: &Self) -> bool {
        let death = |tally: &Self| {
            let TallyParts { replica, birth, bp, bn, .. } = tally.0;
            (replica, birth, bp, bn)
        };
        self.is_dead() && other.is_dead() && death(self) == death(other)
    }

    /// Increments that stand.
    const fn plus(&self) -> u64 {
        self.0.p - self.0.bp
    }

    /// Decrements that stand.
    const fn minus(&self) -> u64 {
        self.0.n - self.0.bn
    }

    const fn unborn(dot: Dot) -> Self {
        let Dot { replica, position } = dot;
        Self(TallyParts { replica, birth: position, last: position, p: 0, n: 0, bp: 0, bn: 0 })
    }
}

impl TryFrom<TallyParts> for Tally {
    type Error = &'static str;

    fn try_from(parts: TallyParts) -> Result<Self, Self::Error> {
        if parts.birth > parts.last {
            Err("a tally was raised last before it was born")
        } else if parts.bp > parts.p || parts.bn > parts.n {
            Err("a tally was reset beyond its total")
        } else {
            Ok(Self(parts))
        }
    }
}

impl From<Tally> for TallyParts {
    fn from(tally: Tally) -> Self {
        tally.0
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TallyParts { replica, birth, last, p, n, bp, bn } = self.0;
        write!(f, "{replica} born {birth} last {last}: +{p} -{n}, reset +{bp} -{bn}")
    }
}

impl Entry for Tally {
    type Key = ReplicaId;

    fn key(&self) -> ReplicaId {
        self.0.replica
    }

    fn dot(&self) -> Dot {
        Dot { replica: self.0.replica, position: self.0.last }
    }

    /// The younger life wins outright: its owner had seen the older one dead. Within one life every field only grows.
    fn join(&mut self, other: &Self) {
        let (mine, other) = (&mut self.0, &other.0);
        if other.birth > mine.birth {
            *mine = *other;
        } else if other.birth == mine.birth {
            if is_planted(Mutant::TotalsAddedOnMerge) {
                mine.p = mine.p.saturating_add(other.p);
            }
            mine.last = mine.last.max(other.last);
            mine.p = mine.p.max(other.p);
            mine.n = mine.n.max(other.n);
            mine.bp = mine.bp.max(other.bp);
            mine.bn = mine.bn.max(other.bn);
        }
    }
}

/// An increment that the replica's total has no room for. Nothing was changed.
///
/// Totals are u64. What helps is to delete the counter: from the next dot on the replica counts from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow {
    /// The total as it stands.
    pub total: u64,
    /// What was to be added to it.
    pub amount: u64,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counter would pass 2^64 - 1; delete it to start anew: total={} amount={}", self.total, self.amount)
    }
}

impl core::error::Error for Overflow {}

/// Which total an amount goes to.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Increments.
    Plus,
    /// Decrements.
    Minus,
}

/// The tallies of one counter, one for each replica that counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tallies(Packed<Tally>);

impl Tallies {
    pub(crate) fn as_slice(&self) -> &[Tally] {
        self.0.as_slice()
    }

    pub(crate) fn get(&self, replica: ReplicaId) -> Option<&Tally> {
        find(self.as_slice(), &replica).ok().map(|index| &self.as_slice()[index])
    }

    pub(crate) fn plus(&self) -> u128 {
        self.0.iter().map(|tally| u128::from(tally.plus())).sum()
    }

    pub(crate) fn minus(&self) -> u128 {
        self.0.iter().map(|tally| u128::from(tally.minus())).sum()
    }

    pub(crate) fn is_live(&self) -> bool {
        self.0.iter().any(|tally| !tally.is_dead())
    }

    /// SUBTLE: a dead tally that was born under the dot that is still open lives on, it is not born again. Two lives of
    /// one birth could die with the same baselines, and a purge queued for the first death would hit the second
    /// (`tests/museum_keyspace.rs`, M13).
    pub(crate) fn raise(&mut self, open: OpenDot<'_>, side: Side, amount: u64) -> Result<(), Overflow> {
        if amount == 0 {
            return Ok(());
        }
        let dot = open.dot();
        let found = find(self.0.as_slice(), &dot.replica);
        let mut tally = match found {
            Ok(index) => self.0.as_slice()[index],
            Err(_) => Tally::unborn(dot),
        };
        if tally.is_dead() && (tally.0.birth < dot.position || is_planted(Mutant::TwoLivesOfOneBirth)) {
            tally = Tally::unborn(dot);
        }
        let total = match side {
            Side::Plus => &mut tally.0.p,
            Side::Minus => &mut tally.0.n,
        };
        let room =
            total.checked_add(amount).or_else(|| is_planted(Mutant::CounterWraps).then(|| total.wrapping_add(amount)));
        *total = room.ok_or(Overflow { total: *total, amount })?;
        tally.0.last = dot.position;
        match found {
            Ok(index) => self.0.as_mut_slice()[index] = tally,
            Err(index) => self.0.insert(index, tally),
        }
        Ok(())
    }

    /// Raises the baselines of every live tally to its totals, and records those tallies as they were observed.
    pub(crate) fn reset(&mut self, changes: &mut CounterChanges) {
        for tally in self.0.as_mut_slice() {
            if !tally.is_dead() {
                tally.0.bp = tally.0.p;
                tally.0.bn = tally.0.n;
                changes.record(*tally);
            }
        }
    }

    pub(crate) fn purge(&mut self, dead: &Tally) -> bool {
        let had = self.as_slice().len();
        self.0.retain(|tally| {
            let is_younger = || tally.is_dead() && tally.0.replica == dead.0.replica;
            !(tally.died_as(dead) || is_planted(Mutant::PurgeHitsTheYounger) && is_younger())
        });
        self.as_slice().len() < had
    }

    pub(crate) fn merge(&mut self, seen: &impl Seen, other: &Self, other_seen: &impl Seen) {
        merge_entries(
            &mut self.0,
            |dot| seen.has_seen(dot, &()),
            other.0.as_slice(),
            |dot| other_seen.has_seen(dot, &()),
        );
    }

    /// A change never tells of an absent tally, so it is a side that has seen nothing.
    pub(crate) fn merge_tallies(&mut self, seen: &impl Seen, changed: &[Tally]) {
        merge_entries(&mut self.0, |dot| seen.has_seen(dot, &()), changed, |_| false);
    }

    pub(crate) fn all_dots(&self, holds: impl Fn(Dot) -> bool) -> bool {
        self.0.iter().all(|tally| holds(tally.dot()))
    }
}

/// What changed in a counter: the tallies that were raised or reset, as they then stood.
///
/// Absolute totals, never amounts: applying them twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CounterChanges(Few<Tally>);

impl CounterChanges {
    /// The tallies, in ascending order of their replicas.
    #[must_use]
    pub fn tallies(&self) -> &[Tally] {
        self.0.as_slice()
    }

    /// Notes that `tally` changed. Of two records of one tally the join stays.
    pub fn record(&mut self, tally: Tally) {
        union(&mut self.0, &[tally]);
    }
}

impl Changes for CounterChanges {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn merge(&mut self, other: &Self) {
        union(&mut self.0, other.0.as_slice());
    }

    fn for_each_dot(&self, mut visit: impl FnMut(Dot)) {
        self.0.iter().for_each(|tally| visit(tally.dot()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_born_or_has_just_died_is_a_tally() {
        let replica = ReplicaId::named("ann");
        let (birth, later) = (Position::new(1, 2), Position::new(1, 3));
        let parts = TallyParts { replica, birth, last: birth, p: 5, n: 3, bp: 5, bn: 3 };
        assert!(Tally::try_from(parts).unwrap().is_dead());
        assert!(Tally::try_from(TallyParts { birth: later, ..parts }).is_err());
        assert!(Tally::try_from(TallyParts { bp: 6, ..parts }).is_err());
        assert!(Tally::try_from(TallyParts { bn: 4, ..parts }).is_err());
    }
}
