//! Segments that were cut and are on their way to the bucket, in order.
//! Layer 4.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use crdt_core::Position;

/// A segment that was cut. Its bytes never change: whatever happens, the same are tried again at the same slot.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) position: Position,
    pub(crate) key: String,
    pub(crate) bytes: Bytes,
}

/// What waits to be written, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<VecDeque<Waiting>>,
    bytes: AtomicU64,
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next segment. The state is locked, so that they come in order.
    pub(crate) fn push(&self, waiting: Waiting) {
        self.bytes.fetch_add(waiting.bytes.len() as u64, Ordering::Relaxed);
        self.queue().push_back(waiting);
    }

    /// The oldest, which stays until it is [`written`](Self::written).
    pub(crate) fn first(&self) -> Option<Waiting> {
        self.queue().front().cloned()
    }

    /// The oldest is in the bucket.
    pub(crate) fn written(&self) {
        if let Some(written) = self.queue().pop_front() {
            self.bytes.fetch_sub(written.bytes.len() as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue().is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
