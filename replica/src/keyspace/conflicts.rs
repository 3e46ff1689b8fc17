//! Registers with writes that stand beside each other, counted where they change.
//! Layer 2.

use core::sync::atomic::{AtomicU64, Ordering};

use crdt_core::Kind;

/// The kinds that can be in conflict.
const KINDS: [Kind; 2] = [Kind::LwwRegister, Kind::MvRegister];

/// Counted under the locks of their shards.
#[derive(Debug, Default)]
pub(super) struct ConflictTally([OfKind; KINDS.len()]);

#[derive(Debug, Default)]
struct OfKind {
    standing: AtomicU64,
    met: AtomicU64,
}

/// The conflicts of one kind of register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConflictCount {
    /// Which kind.
    pub kind: Kind,
    /// How many registers there are in which several writes stand beside each other.
    pub standing: u64,
    /// How many writes have come to stand beside another one since the replica was opened. One that takes the place of another
    /// such write is none more.
    pub met: u64,
}

impl ConflictTally {
    /// The live writes of an object have become so many.
    pub(super) fn change(&self, kind: Kind, before: usize, after: usize) {
        if before == after || before.max(after) < 2 {
            return;
        }
        let Some(of) = KINDS.iter().position(|held| *held == kind).map(|at| &self.0[at]) else { return };
        of.met.fetch_add(after.saturating_sub(before.max(1)) as u64, Ordering::Relaxed);
        match (before > 1, after > 1) {
            (false, true) => _ = of.standing.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = of.standing.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }

    /// What was met so far is what the replica had before.
    pub(super) fn begin(&self) {
        self.0.iter().for_each(|of| of.met.store(0, Ordering::Relaxed));
    }

    pub(super) fn is_any_standing(&self) -> bool {
        self.0.iter().any(|of| of.standing.load(Ordering::Relaxed) > 0)
    }

    pub(super) fn counts(&self) -> Vec<ConflictCount> {
        let count = |(kind, of): (Kind, &OfKind)| ConflictCount {
            kind,
            standing: of.standing.load(Ordering::Relaxed),
            met: of.met.load(Ordering::Relaxed),
        };
        KINDS.into_iter().zip(&self.0).map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(changes: &[(usize, usize)]) -> (u64, u64) {
        let conflicts = ConflictTally::default();
        changes.iter().for_each(|(before, after)| conflicts.change(Kind::LwwRegister, *before, *after));
        let [lww, mv] = conflicts.counts()[..] else { panic!("two kinds") };
        assert_eq!((mv.standing, mv.met), (0, 0));
        (lww.standing, lww.met)
    }

    #[test]
    fn a_conflict_stands_until_one_write_is_left_and_stays_counted() {
        assert_eq!(after(&[(0, 1), (1, 1), (1, 0)]), (0, 0));
        assert_eq!(after(&[(0, 1), (1, 2)]), (1, 1));
        assert_eq!(after(&[(1, 2), (2, 3)]), (1, 2));
        assert_eq!(after(&[(1, 2), (2, 1)]), (0, 1));
        assert_eq!(after(&[(0, 3), (3, 0)]), (0, 2), "of three writes two stand beside another one");
        assert_eq!(after(&[(1, 2), (2, 1), (1, 2)]), (1, 2));
    }

    #[test]
    fn what_is_found_at_the_beginning_stands_and_was_not_met() {
        let conflicts = ConflictTally::default();
        conflicts.change(Kind::MvRegister, 0, 2);
        conflicts.begin();
        conflicts.change(Kind::MvRegister, 2, 3);
        let [_, mv] = conflicts.counts()[..] else { panic!("two kinds") };
        assert_eq!((mv.standing, mv.met), (1, 1));
    }

    #[test]
    fn what_is_no_register_is_in_no_conflict() {
        let conflicts = ConflictTally::default();
        conflicts.change(Kind::OrSet, 0, 7);
        assert!(conflicts.counts().iter().all(|count| count.standing == 0 && count.met == 0));
    }
}
