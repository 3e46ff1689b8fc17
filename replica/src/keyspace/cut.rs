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

impl Keyspace {
    /// Closes the open position and takes what changed under it.
    ///
    /// It is a barrier: it moves the position on and then passes through every shard once. An operation reads the
    /// position under its shard's lock, so when the cut has passed, none of the old position is still under way.
    ///
    /// Cost: in the changes, and one lock for each shard. Local operations wait for one shard at a time.
    pub fn cut(&self) -> Cut {
        self.pass(|_| {})
    }

    /// Cuts, and keeps what the keyspace was at that moment.
    pub fn cut_and_freeze(&self) -> (Cut, Frozen<'_>) {
        let mut changed = self.touched.take();
        let cut = self.pass(Locked::freeze);
        // What changed in a shard between the two belongs to this snapshot; what changed behind the cut is looked at twice.
        self.touched.add_to(&mut changed);
        (cut, Frozen::new(self, changed))
    }

    fn pass<'a>(&'a self, mut behind: impl FnMut(&mut Locked<'a>)) -> Cut {
        let dot = self.source.cut();
        let mut rows = Vec::new();
        for shard in 0..self.sides.len() {
            let mut shard = self.lock(shard);
            shard.take(dot.position, dot.replica, &mut rows);
            behind(&mut shard);
        }
        let marks = self.marks.take(dot.position);
        // No operation of this position is under way any more.
        self.pending[buffer_of(dot.position)].store(0, Ordering::Relaxed);
        rows.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        Cut { dot, rows, marks }
    }
}
