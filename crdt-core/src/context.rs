//! What has been seen.
//! Layer 1.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Dot, Frontier, Position, ReplicaId};

/// Tells whether a dot has been seen.
///
/// `key` is what the dot is asked for: the element of a set, `()` for registers and counters. [`Frontier`] and
/// [`CausalContext`] do not look at it. The engine must: there a dot is a whole segment, and a removal that arrives
/// ahead of the segment that it speaks of has seen that dot for one element and no other.
pub trait Seen<K: ?Sized = ()> {
    /// True when `dot` has been seen for `key`, whether or not it is still live.
    fn has_seen(&self, dot: Dot, key: &K) -> bool;
}

/// The causal context for stand-alone use: a frontier, and a cloud of dots that arrived out of order.
///
/// The cloud keeps runs of consecutive positions, so that it costs one entry for each gap and not one for each dot. A
/// run that closes up with the frontier joins it. Equal sets of dots are equal contexts.
///
/// Cost: `join` takes time in what is joined, times the logarithm of the number of runs.
///
/// Source: Almeida, Shoker, Baquero, 2018, section 7.2 (causal context compression).
///
/// ```
/// use crdt_core::{CausalContext, Dot, Position, ReplicaId};
///
/// let ann = ReplicaId::named("ann");
/// let dot = |slot| Dot { replica: ann, position: Position::new(0, slot) };
/// let mut context = CausalContext::default();
/// context.insert(dot(0));
/// context.insert(dot(2));
/// assert!(context.covers(dot(2)) && !context.covers(dot(1)));
/// context.insert(dot(1));
/// assert_eq!(context.frontier().get(ann), Some(Position::new(0, 2)));
/// assert_eq!(context.runs().count(), 0);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct CausalContext {
    frontier: Frontier,
    /// First dot of a run → last position of it. Never overlapping, adjacent, or within reach of the frontier.
    cloud: BTreeMap<Dot, Position>,
}

impl CausalContext {
    /// True when `dot` has been seen.
    #[must_use]
    #[inline]
    pub fn covers(&self, dot: Dot) -> bool {
        self.frontier.covers(dot) || self.run_from_or_before(dot).is_some_and(|(_, last)| dot.position <= last)
    }

    /// True when everything that `other` covers is covered.
    #[must_use]
    pub fn covers_all(&self, other: &Self) -> bool {
        // A run of `other` may reach into the frontier of `self` and go on in its cloud: then the two would have joined.
        other.frontier.iter().all(|dot| self.covers_run(Dot { position: Position::FIRST, ..dot }, dot.position))
            && other.runs().all(|(first, last)| self.covers_run(first, last))
    }

    /// Marks `dot` as seen.
    pub fn insert(&mut self, dot: Dot) {
        self.insert_run(dot, dot.position);
    }

    /// Marks everything as seen that `other` has seen.
    pub fn join(&mut self, other: &Self) {
        for dot in &other.frontier {
            self.insert_run(Dot { position: Position::FIRST, ..dot }, dot.position);
        }
        for (first, last) in other.runs() {
            self.insert_run(first, last);
        }
    }

    /// The latest dot of `replica` that has been seen, gaps before it or not.
    #[must_use]
    pub fn latest(&self, replica: ReplicaId) -> Option<Position> {
        let run = self.run_from_or_before(Dot { replica, position: Position::from(u64::MAX) });
        run.map(|(_, last)| last).max(self.frontier.get(replica))
    }

    /// The part without gaps.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The runs beyond the frontier, each by its first dot and its last position, in ascending order.
    pub fn runs(&self) -> impl Iterator<Item = (Dot, Position)> + '_ {
        self.cloud.iter().map(|(first, last)| (*first, *last))
    }

    /// True when nothing has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frontier.is_empty() && self.cloud.is_empty()
    }

    fn covers_run(&self, first: Dot, last: Position) -> bool {
        self.frontier.covers(Dot { position: last, ..first })
            || self.run_from_or_before(first).is_some_and(|(_, reach)| last <= reach)
    }

    /// The last run of the dot's replica that begins at the dot or before it.
    #[inline]
    fn run_from_or_before(&self, dot: Dot) -> Option<(Dot, Position)> {
        if self.cloud.is_empty() {
            return None; // Nearly always, and much sooner than a search says so.
        }
        let (first, last) = self.cloud.range(..=dot).next_back()?;
        (first.replica == dot.replica).then_some((*first, *last))
    }

    fn insert_run(&mut self, first: Dot, last: Position) {
        let Dot { replica, position: mut start } = first;
        let mut end = last;
        if let Some((run, reach)) = self.run_from_or_before(first)
            && (reach >= start || reach.precedes(start))
        {
            start = run.position;
        }
        // Swallow every run that begins inside the new one, or right behind it.
        while let Some((run, reach)) = self.run_from_or_before(Dot { replica, position: end.next().unwrap_or(end) })
            && run.position >= start
        {
            self.cloud.remove(&run);
            end = end.max(reach);
        }
        let reached = self.frontier.get(replica);
        if start == Position::FIRST || reached.is_some_and(|reached| start <= reached || reached.precedes(start)) {
            self.frontier.advance(Dot { replica, position: end });
        } else {
            self.cloud.insert(Dot { replica, position: start }, end);
        }
    }
}

impl<K: ?Sized> Seen<K> for CausalContext {
    #[inline]
    fn has_seen(&self, dot: Dot, _: &K) -> bool {
        self.covers(dot)
    }
}

impl FromIterator<Dot> for CausalContext {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut context = Self::default();
        for dot in dots {
            context.insert(dot);
        }
        context
    }
}

impl From<Frontier> for CausalContext {
    fn from(frontier: Frontier) -> Self {
        Self { frontier, cloud: BTreeMap::new() }
    }
}

impl fmt::Debug for CausalContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CausalContext").field("frontier", &self.frontier).field("cloud", &self.cloud).finish()
    }
}

/// The serialised form: what bytes from outside hold is only believed after it has been put together again.
#[derive(Serialize, Deserialize)]
struct Parts {
    frontier: Frontier,
    cloud: Vec<(Dot, Position)>,
}

impl From<CausalContext> for Parts {
    fn from(context: CausalContext) -> Self {
        Self { cloud: context.runs().collect(), frontier: context.frontier }
    }
}

impl TryFrom<Parts> for CausalContext {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        let mut context = Self::from(parts.frontier.clone());
        for (first, last) in &parts.cloud {
            if first.position > *last {
                return Err("a run ends before it begins");
            }
            context.insert_run(*first, *last);
        }
        if context.frontier == parts.frontier && context.runs().eq(parts.cloud) {
            Ok(context)
        } else {
            Err("a causal context in a form that is not the canonical one")
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    fn dot_in(epoch: u32, slot: u32) -> Dot {
        Dot { replica: ReplicaId::named("ann"), position: Position::new(epoch, slot) }
    }

    fn dot(slot: u32) -> Dot {
        dot_in(3, slot)
    }

    /// Every subset of the first `many` dots of an epoch, with its bits.
    fn subsets(epoch: u32, many: u32) -> Vec<(u32, CausalContext)> {
        let of = |subset: u32| (0..many).filter(|bit| subset >> bit & 1 == 1).map(|slot| dot_in(epoch, slot)).collect();
        (0..1_u32 << many).map(|subset| (subset, of(subset))).collect()
    }

    /// All 2^12 subsets of 12 dots of an epoch that does not touch the frontier, each built in three orders.
    #[test]
    fn a_context_is_the_set_of_its_dots() {
        for subset in 0..1_u32 << 12 {
            let dots: Vec<Dot> = (0..12).filter(|bit| subset >> bit & 1 == 1).map(dot).collect();
            let context: CausalContext = dots.iter().copied().collect();
            let backwards: CausalContext = dots.iter().rev().copied().collect();
            let (odd, even): (Vec<_>, Vec<_>) = dots.iter().copied().partition(|dot| dot.position.slot() % 2 == 1);
            let mut joined: CausalContext = odd.into_iter().collect();
            joined.join(&even.into_iter().collect());
            assert_eq!(context, backwards);
            assert_eq!(context, joined);
            let seen: BTreeSet<u32> = (0..12).filter(|slot| context.covers(dot(*slot))).collect();
            assert_eq!(seen, dots.iter().map(|dot| dot.position.slot()).collect());
            let gaps = (subset & !(subset << 1)).count_ones();
            assert_eq!(context.runs().count(), gaps as usize, "{subset:b}");
            assert_eq!(context.latest(dot(0).replica), dots.last().map(|dot| dot.position));
        }
    }

    /// In an epoch that the frontier touches, and in one that it does not.
    #[test]
    fn covering_is_inclusion_and_joining_is_union() {
        for contexts in [subsets(0, 6), subsets(3, 6)] {
            for (a, left) in &contexts {
                assert_eq!(left.is_empty(), *a == 0);
                for (b, right) in &contexts {
                    assert_eq!(left.covers_all(right), a & b == *b, "{a:b} {b:b}");
                    let mut joined = left.clone();
                    joined.join(right);
                    assert_eq!(joined, contexts[(a | b) as usize].1, "{a:b} {b:b}");
                }
            }
        }
    }

    #[test]
    fn replicas_do_not_mix() {
        let [ann, bob] = ["ann", "bob"].map(ReplicaId::named);
        let at = |replica, slot| Dot { replica, position: Position::new(3, slot) };
        for (one, other) in [(ann, bob), (bob, ann)] {
            let context = CausalContext::from_iter([at(one, 1), at(one, 2)]);
            assert!(context.covers(at(one, 2)) && !context.covers(at(other, 2)) && !context.covers(at(other, 1)));
            assert_eq!((context.latest(one), context.latest(other)), (Some(Position::new(3, 2)), None));
        }
    }

    #[test]
    fn the_last_position_of_all_ends_a_run() {
        let last = Dot { replica: ReplicaId::named("ann"), position: Position::from(u64::MAX) };
        let mut context = CausalContext::from_iter([last, last]);
        assert!(context.covers(last));
        context.insert(Dot { position: Position::from(u64::MAX - 1), ..last });
        assert_eq!(context.runs().count(), 1);
    }
}
