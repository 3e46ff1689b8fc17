//! Taking what has changed: the delta of one segment.
//! Layer 2.

use std::sync::atomic::Ordering;

use crdt_core::{Dot, ObjectChanges};

use super::{
    Frozen, Keyspace, Mark,
    shard::{Locked, buffer_of},
};
use crate::key::ObjectKey;

/// What changed under one dot.
#[derive(Debug)]
pub struct Cut {
    /// The dot: the position that was open, and is closed now.
    pub dot: Dot,
    /// The changes of each object, in ascending order of keys.
    pub rows: Vec<(ObjectKey, ObjectChanges)>,
    /// The marks that were made with them, in ascending order of their names.
    pub marks: Vec<Mark>,
}

/// A cut, and the keyspace as it was at that moment.
#[derive(Debug)]
pub struct Freeze<'a> {
    /// What changed since the cut before.
    pub cut: Cut,
    /// Every object.
    pub frozen: Frozen<'a>,
    /// Every mark, in ascending order of their names.
    pub marks: Vec<Mark>,
}

impl Keyspace {
    /// Closes the open position and takes what changed under it.
    ///
    /// It is a barrier: it moves the position on and then passes through every shard once. An operation reads the
    /// position under its shard's lock, so when the cut has passed, none of the old position is still under way.
    ///
    /// Cost: in the changes, and one lock for each shard. Local operations wait for one shard at a time.
    pub fn cut(&self) -> Cut {
        let dot = self.source.cut();
        self.take(dot)
    }

    /// Cuts, and keeps what the keyspace was at that moment.
    ///
    /// SUBTLE: every shard is locked while the position moves on. Passing from shard to shard, as a cut does, would let
    /// changes of the next position into the snapshot, in the shards that it has not reached; a crash before they are
    /// durable would leave them in a snapshot and in no log. For the same reason marks are copied under the locks.
    ///
    /// Cost: as [`cut`](Self::cut); local operations wait while all locks are taken once, and marks copied.
    pub fn cut_and_freeze(&self) -> Freeze<'_> {
        let mut shards: Vec<_> = (0..self.sides.len()).map(|shard| self.lock(shard)).collect();
        let changed = self.touched.take();
        let dot = self.source.cut();
        shards.iter_mut().for_each(Locked::freeze);
        let marks = self.marks.all();
        drop(shards);
        Freeze { cut: self.take(dot), frozen: Frozen::new(self, changed), marks }
    }

    /// Takes what changed under a position that has been closed.
    fn take(&self, dot: Dot) -> Cut {
        let mut rows = Vec::new();
        for shard in 0..self.sides.len() {
            self.lock(shard).take(dot.position, dot.replica, &mut rows);
        }
        let marks = self.marks.take(dot.position);
        // No operation of this position is under way any more. Whoever sees nothing pending sees that the position has moved on.
        self.pending[buffer_of(dot.position)].store(0, Ordering::Release);
        self.index.settle_if_long();
        rows.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        Cut { dot, rows, marks }
    }
}
