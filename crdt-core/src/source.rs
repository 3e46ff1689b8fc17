//! Where dots come from.
//! Layer 0.

use core::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{Dot, Position, ReplicaId};

/// The right to mint dots: one replica, one epoch of its log.
///
/// A source has one *open* position at a time. Changes are made under the open dot; [`cut`](Self::cut) closes it and
/// opens the next, and no position is opened twice. A source cannot be copied, cloned, read from bytes or set back:
///
/// ```compile_fail
/// let source = crdt_core::DotSource::new(crdt_core::ReplicaId::named("ann"), 0);
/// let twice = source.clone();
/// ```
///
/// # The one promise of the caller
///
/// Nobody else, ever, makes a source of the same replica and epoch, or of a later epoch while this one is in use. A dot
/// that stands for two changes makes both vanish, silently, on every replica. In the engine the log gives this promise:
/// an epoch is claimed by winning a create-only slot. For stand-alone use [`Writer`](crate::Writer) checks what can be
/// checked.
///
/// It can be shared between threads. What must not happen during a cut (a change that read the old position and is not
/// in the state yet) is for the caller to exclude.
#[derive(Debug)]
pub struct DotSource {
    replica: ReplicaId,
    open: AtomicU64,
}

impl DotSource {
    /// A source that starts at slot 0 of `epoch`.
    #[must_use]
    pub const fn new(replica: ReplicaId, epoch: u32) -> Self {
        Self { replica, open: AtomicU64::new((epoch as u64) << 32) }
    }

    /// Whose dots these are.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The dot that is open now.
    #[must_use]
    pub fn open(&self) -> OpenDot<'_> {
        let position = Position::from(self.open.load(Ordering::Acquire));
        OpenDot { dot: Dot { replica: self.replica, position }, source: PhantomData }
    }

    /// Closes the open dot, returns it, and opens the next.
    ///
    /// # Panics
    ///
    /// At position 2⁶⁴ - 1, which no log reaches: going on would mint a dot twice.
    #[expect(clippy::expect_used, reason = "2^64 cuts")]
    pub fn cut(&self) -> Dot {
        let closed = self
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| open.checked_add(1))
            .expect("the log of a replica ends at position 2^64 - 1");
        Dot { replica: self.replica, position: Position::from(closed) }
    }
}

/// A dot that its source has open: the only thing under which a change can be made.
///
/// It can be had from [`DotSource::open`] alone, so a dot that was read, received or made up cannot be written under:
///
/// ```compile_fail
/// # use crdt_core::*;
/// let seen = Dot { replica: ReplicaId::named("ann"), position: Position::FIRST };
/// let mut set = OrSet::<u64>::default();
/// set.add(7, seen, &mut Default::default());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OpenDot<'source> {
    dot: Dot,
    source: PhantomData<&'source DotSource>,
}

impl OpenDot<'_> {
    /// The dot itself, to read.
    #[must_use]
    pub const fn dot(self) -> Dot {
        self.dot
    }
}
