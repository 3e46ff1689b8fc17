//! Finding out whether any change of a batch would be refused, without changing anything.
//! Layer 2.

use crdt_core::Kind;
use hashbrown_raw::raw::RawTable;

use super::{
    local::{Change, Refusal, check_expected, check_range},
    shard::Locked,
};
use crate::key::ObjectKey;

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    const fn has(self, kind: Kind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }

    pub(super) const fn insert(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    const fn remove(&mut self, kind: Kind) {
        self.0 &= !(1 << kind as u8);
    }

    /// The least that is not `kind`.
    pub(super) fn other_than(self, kind: Kind) -> Option<Kind> {
        Kind::ALL.into_iter().find(|other| *other != kind && self.has(*other))
    }
}

/// What a batch leaves at the paths that it changes, as far as it has been rehearsed.
///
/// Kinds are checked against what the batch itself leaves at each path. A counter is given no credit for a deletion in
/// the same batch, so a batch that passes here cannot fail half-way.
pub(super) struct Rehearsal<'a>(RawTable<AtPath<'a>>);

struct AtPath<'a> {
    hash: u64,
    path: &'a [u8],
    live: Kinds,
    /// What this replica will have counted up and down, in the counter of each kind.
    totals: [Option<(u64, u64)>; 2],
}

impl<'a> Rehearsal<'a> {
    /// Of a batch of so many changes.
    pub(super) fn of(changes: usize) -> Self {
        Self(RawTable::with_capacity(changes))
    }

    /// Rehearses the next change, of an object in `shard`.
    pub(super) fn check(
        &mut self,
        shard: &Locked<'_>,
        hash: u64,
        key: &'a ObjectKey,
        change: &Change,
    ) -> Result<(), Refusal> {
        if matches!(change, Change::Expect(_)) {
            return check_expected(shard, hash, key, change);
        }
        let (path, kind) = (key.path_bytes(), key.kind());
        let at = self.at(shard, hash, path);
        if *change == Change::Delete {
            at.live.remove(kind);
            return Ok(());
        }
        if !at.live.has(kind)
            && let Some(stored) = at.live.other_than(kind)
        {
            return Err(Refusal::KindMismatch { path: key.path().into(), stored, asked: kind });
        }
        if matches!(change, Change::Increment(_) | Change::Count(_)) {
            let totals =
                at.totals[usize::from(kind == Kind::PnCounter)].get_or_insert_with(|| shard.own_totals(hash, key));
            *totals = check_range(*totals, change)?;
        }
        if !matches!(change, Change::Remove(_) | Change::Increment(0) | Change::Count(0)) {
            at.live.insert(kind);
        }
        Ok(())
    }

    fn at(&mut self, shard: &Locked<'_>, hash: u64, path: &'a [u8]) -> &mut AtPath<'a> {
        let Self(table) = self;
        let same = |at: &AtPath<'_>| at.path == path;
        if table.get(hash, same).is_none() {
            let at = AtPath { hash, path, live: shard.live_kinds(hash, path), totals: [None; 2] };
            table.insert(hash, at, |at| at.hash);
        }
        match table.get_mut(hash, same) {
            Some(at) => at,
            None => unreachable!("it is there now"),
        }
    }
}
