//! What a change gives back.
//! Layer 5.

use crdt_core::Position;

use crate::{error::Error, replica::Replica};

/// A change that was made here, and what came of it. It is durable with the next flush; whoever needs to know waits for it.
///
/// Dropping it changes nothing: the change is made, and will be flushed.
///
/// # What `T` is
///
/// `u128` or `i128`, the new value, where something was counted; how many objects were deleted, from
/// [`Replica::delete_prefix`]; nothing otherwise.
#[derive(Clone, Debug)]
pub struct Written<T = ()> {
    replica: Replica,
    position: Position,
    value: T,
}

impl<T> Written<T> {
    pub(crate) const fn new(replica: Replica, position: Position, value: T) -> Self {
        Self { replica, position, value }
    }

    /// The position of the segment that carries the change.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// What came of the change. For a counter: its value right after, in this replica.
    #[must_use]
    pub const fn value(&self) -> T
    where
        T: Copy,
    {
        self.value
    }

    /// Waits until the change is in the bucket: at most the flush interval and what the bucket takes, longer while it does
    /// not answer. To hurry it, call [`Replica::flush`].
    ///
    /// A call that changed nothing, such as removing what is not there, waits for what it had observed of this replica's own
    /// changes.
    ///
    /// It may be dropped at any time. It makes no request of its own.
    ///
    /// # Errors
    ///
    /// What stopped the replica: the change may or may not be durable then, and is not acknowledged.
    pub async fn durable(self) -> Result<(), Error> {
        self.replica.wait_durable(self.position).await
    }
}
