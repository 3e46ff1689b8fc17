//! How far each log has been applied.
//! Layer 1.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Dot, Position, ReplicaId, Seen};

/// Up to how many replicas a frontier is scanned.
const FEW: usize = 8;

/// For each replica, the last log position applied: a version vector whose entries are positions.
///
/// A frontier covers a dot when it has the dot's position or a later one of the same replica. Logs are applied strictly
/// in order, so in the engine the frontier is the whole causal context.
///
/// Cost: 16 bytes for each replica; a look-up takes O(log n), and a few nanoseconds up to 8 replicas.
///
/// ```
/// use crdt_core::{Dot, Frontier, Position, ReplicaId};
///
/// let ann = ReplicaId::named("ann");
/// let mut frontier = Frontier::default();
/// assert_eq!(frontier.get(ann), None);
/// frontier.advance(Dot { replica: ann, position: Position::new(0, 3) });
/// assert!(frontier.covers(Dot { replica: ann, position: Position::new(0, 2) }));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Dot>", into = "Vec<Dot>")]
pub struct Frontier {
    /// The last dot applied of each replica, in ascending order.
    last: Vec<Dot>,
}

impl Frontier {
    /// The last position applied of `replica`, if any was.
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> Option<Position> {
        self.find(replica).ok().map(|index| self.last[index].position)
    }

    /// True when `dot` has been applied.
    #[must_use]
    #[inline]
    pub fn covers(&self, dot: Dot) -> bool {
        // With as few entries as there are regions a scan is sooner done than a binary search.
        if self.last.len() <= FEW {
            return self.last.iter().any(|last| last.replica == dot.replica && dot.position <= last.position);
        }
        self.get(dot.replica).is_some_and(|last| dot.position <= last)
    }

    /// True when everything that `other` covers is covered.
    #[must_use]
    pub fn covers_all(&self, other: &Self) -> bool {
        other.last.iter().all(|dot| self.covers(*dot))
    }

    /// Moves on to `dot`, or stays where it is if that is further. Returns whether it moved.
    pub fn advance(&mut self, dot: Dot) -> bool {
        match self.find(dot.replica) {
            Ok(index) if self.last[index].position >= dot.position => false,
            Ok(index) => {
                self.last[index] = dot;
                true
            }
            Err(index) => {
                self.last.insert(index, dot);
                true
            }
        }
    }

    /// Takes the further position of each replica.
    pub fn join(&mut self, other: &Self) {
        for dot in other {
            self.advance(dot);
        }
    }

    /// The last dot applied of each replica, in ascending order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Dot> + '_ {
        self.last.iter().copied()
    }

    /// How many replicas have an entry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.last.len()
    }

    /// True when nothing has been applied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    fn find(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.last.binary_search_by_key(&replica, |dot| dot.replica)
    }
}

impl<K: ?Sized> Seen<K> for Frontier {
    #[inline]
    fn has_seen(&self, dot: Dot, _: &K) -> bool {
        self.covers(dot)
    }
}

impl<'a> IntoIterator for &'a Frontier {
    type Item = Dot;
    type IntoIter = core::iter::Copied<core::slice::Iter<'a, Dot>>;

    fn into_iter(self) -> Self::IntoIter {
        self.last.iter().copied()
    }
}

impl FromIterator<Dot> for Frontier {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut frontier = Self::default();
        for dot in dots {
            frontier.advance(dot);
        }
        frontier
    }
}

impl From<Frontier> for Vec<Dot> {
    fn from(frontier: Frontier) -> Self {
        frontier.last
    }
}

impl TryFrom<Vec<Dot>> for Frontier {
    type Error = &'static str;

    fn try_from(last: Vec<Dot>) -> Result<Self, Self::Error> {
        if last.windows(2).all(|pair| pair[0].replica < pair[1].replica) {
            Ok(Self { last })
        } else {
            Err("a frontier names each replica once, in ascending order")
        }
    }
}

impl fmt::Debug for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use core::num::NonZeroU64;

    use super::*;

    /// The replicas of even numbers, from 2 on, have an entry each; those of odd numbers, between and around them, none.
    #[test]
    fn few_replicas_and_many_are_covered_alike() {
        let dot = |id: usize, slot| {
            let id = NonZeroU64::new(id as u64).expect("numbers begin with 1");
            Dot { replica: id.into(), position: Position::new(1, slot) }
        };
        for many in [0, 1, FEW, FEW + 1, 3 * FEW] {
            let frontier: Frontier = (1..=many).map(|index| dot(2 * index, 5)).collect();
            assert_eq!(frontier.len(), many);
            for id in 1..=2 * many + 1 {
                let covered = [4, 5, 6].map(|slot| frontier.covers(dot(id, slot)));
                assert_eq!(covered, if id % 2 == 0 { [true, true, false] } else { [false; 3] }, "{id} of {many}");
            }
        }
    }
}
