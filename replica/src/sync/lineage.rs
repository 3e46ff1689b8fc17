//! Telling one history of a log from another.
//! Layer 4.
//!
//! A log is the concatenation of its epochs, and its lineage names the seal that ended each of them. A bucket that was
//! emptied or rolled back, and its replica reopened, goes on with other seals. Whoever had read further stands at a place
//! that the new history does not have; without this check it would take the newer epoch for a continuation, believe that
//! it has seen what it has not, and wipe what its peers hold.

use blake3::Hash;
use crdt_core::{
    Position,
    planted::{Mutant, is_planted},
};

use crate::log::SealedEpoch;

/// Where somebody stands in a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    /// The last position applied.
    pub(crate) at: Option<Position>,
    /// The hash of the object there, if it is known.
    pub(crate) hash: Option<Hash>,
    /// The epochs that had ended.
    pub(crate) lineage: &'a [SealedEpoch],
}

/// True when a log with this lineage has the position: in an epoch that ended, up to its seal, or behind all of them.
pub(crate) fn has(lineage: &[SealedEpoch], position: Position) -> bool {
    match lineage.last() {
        None => true,
        Some(last) if position.epoch() > last.epoch => true,
        Some(_) => lineage.iter().any(|ended| ended.epoch == position.epoch() && position.slot() <= ended.slot),
    }
}

/// True when a log with this lineage, which goes as far as `end`, has the position. Nothing is unknown here: behind the
/// last seal there is only the epoch of `end`.
pub(crate) fn holds(lineage: &[SealedEpoch], end: Position, position: Position) -> bool {
    let in_an_ended = lineage.iter().any(|ended| ended.epoch == position.epoch() && position.slot() <= ended.slot);
    in_an_ended || (position.epoch() == end.epoch() && position <= end)
}

impl Standing<'_> {
    /// True when the two can stand in one log. One that does not reach so far is no contradiction.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        if is_planted(Mutant::HistoryUnchecked) {
            return true;
        }
        let common = self.lineage.len().min(other.lineage.len());
        if self.lineage[..common] != other.lineage[..common] {
            return false;
        }
        let (Some(ours), Some(theirs)) = (self.at, other.at) else { return true };
        if !has(other.lineage, ours) || !has(self.lineage, theirs) {
            return false;
        }
        // SUBTLE: whoever has passed a seal knows it. Who stands at its place without it has read something else there: the
        // log was rolled back by just that one object, and sealed at its slot.
        let sealed_at = |at: Position, unknown: &[SealedEpoch]| {
            unknown.iter().any(|ended| (ended.epoch, ended.slot) == (at.epoch(), at.slot()))
        };
        if sealed_at(ours, &other.lineage[common..]) || sealed_at(theirs, &self.lineage[common..]) {
            return false;
        }
        if ours == theirs && self.hash.is_some() && other.hash.is_some() && self.hash != other.hash {
            return false;
        }
        // With the same seals behind them, both are in the epoch that the last one named, or still at it.
        let open = |at: Position| self.lineage.last().is_none_or(|last| at.epoch() > last.epoch);
        let same_seals = self.lineage.len() == other.lineage.len();
        !(same_seals && open(ours) && open(theirs) && ours.epoch() != theirs.epoch())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(epoch: u32, slot: u32, nonce: u8) -> SealedEpoch {
        SealedEpoch { epoch, slot, nonce: [nonce; 16] }
    }

    fn at(epoch: u32, slot: u32) -> Option<Position> {
        Some(Position::new(epoch, slot))
    }

    fn agree(ours: (Option<Position>, &[SealedEpoch]), theirs: (Option<Position>, &[SealedEpoch])) -> bool {
        let [ours, theirs] = [ours, theirs].map(|(at, lineage)| Standing { at, hash: None, lineage });
        assert_eq!(ours.agrees(&theirs), theirs.agrees(&ours), "it goes both ways");
        ours.agrees(&theirs)
    }

    #[test]
    fn who_has_read_less_of_the_same_history_agrees() {
        let all = [ended(0, 0, 1), ended(5, 9, 2), ended(8, 3, 3)];
        let places = [at(0, 0), at(5, 0), at(5, 9), at(8, 3), at(12, 7)];
        for (read, ours) in places.into_iter().enumerate() {
            let behind = all.iter().filter(|seal| Position::new(seal.epoch, seal.slot) <= ours.unwrap()).count();
            assert!(agree((ours, &all[..behind]), (at(12, 7), &all)), "{read}");
            assert!(agree((None, &[]), (ours, &all[..behind])));
        }
    }

    #[test]
    fn a_history_that_ended_earlier_or_otherwise_is_another() {
        let first = ended(0, 0, 1);
        // Rolled back to (5, 3), sealed there by another opener, while we had read to (5, 9).
        assert!(!agree((at(5, 9), &[first]), (at(9, 0), &[first, ended(5, 4, 7)])));
        // The same, and we had passed its seal.
        assert!(!agree((at(8, 0), &[first, ended(5, 10, 2)]), (at(9, 0), &[first, ended(5, 4, 7)])));
        // Rolled back by the one object that we had read last, and sealed in its place.
        assert!(!agree((at(5, 9), &[first]), (at(9, 0), &[first, ended(5, 9, 7)])));
        // Emptied: it begins anew with another nonce.
        assert!(!agree((at(5, 9), &[first]), (at(9, 0), &[ended(0, 0, 9)])));
        // An epoch that the other one skips.
        assert!(!agree((at(5, 9), &[first]), (at(9, 0), &[first, ended(7, 2, 3)])));
        // Two epochs behind one seal.
        assert!(!agree((at(5, 9), &[first]), (at(6, 9), &[first])));
    }

    #[test]
    fn an_owner_knows_all_of_its_log() {
        let lineage = [ended(0, 0, 1), ended(5, 9, 2)];
        let end = Position::new(8, 3);
        for (epoch, slot, is_there) in
            [(0, 0, true), (5, 9, true), (8, 3, true), (5, 10, false), (6, 0, false), (8, 4, false)]
        {
            assert_eq!(holds(&lineage, end, Position::new(epoch, slot)), is_there, "{epoch} {slot}");
        }
    }

    #[test]
    fn the_same_place_with_another_object_is_another_history() {
        let standing = |hash: &[u8]| Standing { at: at(5, 9), hash: Some(blake3::hash(hash)), lineage: &[] };
        assert!(standing(b"a").agrees(&standing(b"a")));
        assert!(!standing(b"a").agrees(&standing(b"b")));
    }
}
