//! Taking what has changed: the delta of one segment.
//! Layer 2.

use std::sync::atomic::Ordering;

use crdt_core::{Dot, ObjectChanges};

use super::Keyspace;
use crate::key::ObjectKey;

/// What changed under one dot.
#[derive(Debug)]
pub struct Cut {
    /// The dot: the position that was open, and is closed now.
    pub dot: Dot,
    /// The changes of each object, in ascending order of keys.
    pub rows: Vec<(ObjectKey, ObjectChanges)>,
}

impl Keyspace {
    /// Closes the open position and takes what changed under it.
    ///
    /// It is a barrier: it moves the position on and then passes through every shard once. An operation reads the
    /// position under its shard's lock, so when the cut has passed, none of the old position is still under way.
    ///
    /// Cost: in the changes, and one lock for each shard. Local operations wait for one shard at a time.
    pub fn cut(&self) -> Cut {
        // SUBTLE: read before the position moves on. What is changed under the next position is never in this number, so it
        // cannot be taken for flushed; what is added to the estimate meanwhile may stay in it for one segment too long.
        let taken = self.pending_bytes.load(Ordering::Acquire);
        let dot = self.source.cut();
        let mut rows = Vec::new();
        for shard in 0..self.sides.len() {
            self.lock(shard).take(dot.position, dot.replica, &mut rows);
        }
        self.pending_bytes.fetch_sub(taken, Ordering::Relaxed);
        rows.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        Cut { dot, rows }
    }
}
