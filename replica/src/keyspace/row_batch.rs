//! Merging many rows at once.
//! Layer 2.

use core::ops::Range;

use crdt_core::{Kind, Object};
use foldhash::fast::FixedState;

use super::{Ahead, Applied, Keyspace, Origin, View, shard::Locked};
use crate::key::InvalidPath;

/// The keys of rows that are to be merged together: each of another object.
///
/// An object that nobody has touched for long is four waits for memory away, one after the other: the control bytes of its
/// table, its slot, its path and its state. Between two rows that are merged one by one stand locks, beyond which the
/// processor does not look. So rows are gathered, and those of one shard are merged under one lock; all their objects are
/// touched first, since waits that do not depend on each other pass at the same time.
#[derive(Debug)]
pub struct RowBatch {
    /// One behind the other.
    paths: String,
    rows: Vec<Gathered>,
    /// For each shard, which rows are of it.
    shards: Box<[Vec<usize>]>,
}

#[derive(Debug)]
struct Gathered {
    hash: u64,
    kind: Kind,
    /// Where its path is.
    path: Range<usize>,
}

impl RowBatch {
    /// How many rows are well merged at once: enough for several in each shard, and so few that what was touched stays in
    /// the cache.
    const ROWS: usize = 1_024;

    /// True when it should be merged before more is gathered.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= Self::ROWS
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Keyspace {
    /// An empty batch.
    #[must_use]
    pub fn row_batch(&self) -> RowBatch {
        RowBatch { paths: String::new(), rows: Vec::new(), shards: vec![Vec::new(); self.sides.len()].into() }
    }

    /// Adds a row to a batch of this keyspace.
    pub fn gather(&self, batch: &mut RowBatch, path: &str, kind: Kind) {
        let hash = self.hash(path.as_bytes());
        batch.shards[self.shard(hash)].push(batch.rows.len());
        let start = batch.paths.len();
        batch.paths.push_str(path);
        batch.rows.push(Gathered { hash, kind, path: start..batch.paths.len() });
    }

    /// Merges a batch, and empties it: [`merge_row`](Self::merge_row) of each row, in any order. `merge` is told which row it
    /// is, in the order in which they were gathered.
    ///
    /// # Errors
    ///
    /// As [`merge_row`](Self::merge_row); some rows have been merged then, and others have not.
    pub fn merge_batch(
        &self,
        applied: &mut Applied,
        batch: &mut RowBatch,
        origin: &Origin,
        mut merge: impl FnMut(usize, &mut Object<FixedState>, &View<'_>, &mut Ahead<'_>),
    ) -> Result<(), InvalidPath> {
        let mut removed = Vec::new();
        self.each_gathered(batch, |locked, row, hash, key| {
            self.merge_locked(locked, hash, key, origin, applied, &mut removed, |object, seen, ahead| {
                merge(row, object, seen, ahead);
            })
        })?;
        applied.note(removed);
        self.index.settle_if_long();
        Ok(())
    }

    /// Visits what a batch has gathered, shard by shard, and empties it. `visit` is given the shard, which row it is, and its
    /// hash, path and kind.
    pub(super) fn each_gathered(
        &self,
        batch: &mut RowBatch,
        mut visit: impl FnMut(&mut Locked<'_>, usize, u64, (&str, Kind)) -> Result<(), InvalidPath>,
    ) -> Result<(), InvalidPath> {
        let RowBatch { paths, rows, shards } = batch;
        for (shard, of_shard) in shards.iter_mut().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let mut locked = self.lock(shard);
            locked.touch(of_shard.iter().map(|row| (rows[*row].hash, rows[*row].path.len())));
            for row in of_shard.drain(..) {
                let Gathered { hash, kind, path } = &rows[row];
                visit(&mut locked, row, *hash, (&paths[path.clone()], *kind))?;
            }
        }
        rows.clear();
        paths.clear();
        Ok(())
    }
}
