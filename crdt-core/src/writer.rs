//! A state with the right to change it.
//! Layer 2.

use core::{convert::Infallible, fmt, ops::Deref};

use crate::{Causal, CausalContext, Changes, DataType, Delta, Dot, DotSource, OpenDot, Position, ReplicaId};

/// One replica of a type that stands alone: a [`Causal`] state, and the source of this replica's dots.
///
/// Every mutation changes the state at once and returns a [`Delta`] for the others. Each is a segment of its own: it takes
/// one dot, unless it changes nothing.
///
/// It cannot be cloned or read from bytes, because two writers of one replica would mint the same dots. The state can:
/// keep it (`Causal` is `serde`), and [`open`](Self::open) a writer on it again with an epoch that was never used.
///
/// ```
/// use crdt_core::{OrSet, ReplicaId, Writer};
///
/// let mut ann = Writer::<OrSet<String>>::new(ReplicaId::named("ann"));
/// let mut bob = Writer::<OrSet<String>>::new(ReplicaId::named("bob"));
/// let lamp = ann.add("lamp".into());
/// let gone = ann.remove("lamp");
/// let mug = ann.add("mug".into());
/// bob.merge_delta(&gone)?; // The removal arrives first,
/// bob.merge_delta(&mug)?;
/// bob.merge_delta(&lamp)?; // and then the add that it removes.
/// assert_eq!(bob.elements(), ["mug"]);
/// assert_eq!(*ann, *bob);
/// # Ok::<(), crdt_core::DotReuse>(())
/// ```
///
/// A dot cannot be minted twice by copying the writer:
///
/// ```compile_fail
/// # use crdt_core::{OrSet, ReplicaId, Writer};
/// let ann = Writer::<OrSet<u64>>::new(ReplicaId::named("ann"));
/// let twin: Writer<OrSet<u64>> = ann.clone();
/// ```
///
/// nor by going on where a kept state left off:
///
/// ```
/// # use crdt_core::{OrSet, ReplicaId, Writer};
/// let ann = ReplicaId::named("ann");
/// let mut first = Writer::<OrSet<&str>>::new(ann);
/// first.add("lamp");
/// let kept = first.into_causal();
/// assert!(Writer::open(ann, 0, kept.clone()).is_err());
/// assert!(Writer::open(ann, 1, kept).is_ok());
/// ```
#[derive(Debug)]
pub struct Writer<T> {
    causal: Causal<T>,
    source: DotSource,
}

impl<T: Default> Writer<T> {
    /// The first writer of a replica that has never written: epoch 0 and an empty state.
    #[must_use]
    pub fn new(replica: ReplicaId) -> Self {
        Self { causal: Causal::default(), source: DotSource::new(replica, 0) }
    }
}

impl<T> Writer<T> {
    /// A writer that goes on from `causal`, in an epoch that this replica has never written in.
    ///
    /// # Errors
    ///
    /// [`DotReuse`] when the state has seen this replica write in this epoch or in a later one. What the state has not
    /// seen cannot be checked here: a replica that may have lost writes needs an epoch beyond all that it ever used, or
    /// a new id.
    pub fn open(replica: ReplicaId, epoch: u32, causal: Causal<T>) -> Result<Self, DotReuse> {
        let writer = Self { causal, source: DotSource::new(replica, epoch) };
        writer.check(writer.causal.context())?;
        Ok(writer)
    }

    /// Whose writer this is.
    pub const fn replica(&self) -> ReplicaId {
        self.source.replica()
    }

    /// Ends the writer and keeps the state.
    pub fn into_causal(self) -> Causal<T> {
        self.causal
    }

    pub(crate) const fn state_mut(&mut self) -> &mut T {
        &mut self.causal.state
    }

    /// Every dot of this replica must come from this writer, or from one before it that has ended.
    fn check(&self, context: &CausalContext) -> Result<(), DotReuse> {
        let Dot { replica, position: open } = self.source.open().dot();
        match context.latest(replica) {
            Some(seen) if seen >= open => Err(DotReuse { replica, seen, open }),
            _ => Ok(()),
        }
    }
}

impl<T: DataType> Writer<T> {
    /// Merges a whole state, in any order, any number of times.
    ///
    /// # Errors
    ///
    /// [`DotReuse`] when the other side has a dot of this replica that this writer has not minted; nothing is merged.
    pub fn merge(&mut self, other: &Causal<T>) -> Result<(), DotReuse> {
        self.check(other.context())?;
        self.causal.merge(other);
        Ok(())
    }

    /// Merges a delta, in any order, any number of times. Cost: in the delta, whatever the size of the state.
    ///
    /// # Errors
    ///
    /// [`DotReuse`] when the delta has a dot of this replica that this writer has not minted; nothing is merged.
    pub fn merge_delta(&mut self, delta: &Delta<T>) -> Result<(), DotReuse> {
        self.check(delta.context())?;
        self.causal.merge_delta(delta);
        Ok(())
    }

    /// Changes the state under the open dot, and returns what was recorded as a delta with that dot.
    ///
    /// SUBTLE: `change` must add at most one entry, which is why this is not public. Were two elements added under one
    /// dot, a removal of one of them that overtakes the add would count the whole dot as seen, and the other element
    /// would vanish on every replica. The engine, where a dot is a whole segment, remembers which element was meant.
    pub(crate) fn mutate(&mut self, change: impl FnOnce(&mut T, OpenDot<'_>, &mut T::Changes)) -> Delta<T> {
        let changed = self.try_mutate(|state, open, changes| {
            change(state, open, changes);
            Ok::<(), Infallible>(())
        });
        match changed {
            Ok(delta) => delta,
            Err(never) => match never {},
        }
    }

    /// As [`mutate`](Self::mutate), for a change that can be refused and then must leave the state as it was.
    pub(crate) fn try_mutate<E>(
        &mut self,
        change: impl FnOnce(&mut T, OpenDot<'_>, &mut T::Changes) -> Result<(), E>,
    ) -> Result<Delta<T>, E> {
        let mut changes = T::Changes::default();
        change(&mut self.causal.state, self.source.open(), &mut changes)?;
        let mut context = CausalContext::default();
        if !changes.is_empty() {
            changes.for_each_dot(|dot| context.insert(dot));
            context.insert(self.source.cut());
            self.causal.context.join(&context);
        }
        Ok(Delta { changes, context })
    }
}

impl<T> Deref for Writer<T> {
    type Target = Causal<T>;

    fn deref(&self) -> &Causal<T> {
        &self.causal
    }
}

/// A dot of this replica that this writer has not minted yet: somebody else writes under its id, or it has lost what it
/// wrote before. Nothing was merged.
///
/// It is noticed when the other side is ahead. Two writers of one id and epoch that have minted equally many dots cannot
/// be told apart here, which is why an epoch must never be used twice.
///
/// Go on with a writer of a later epoch than the dot's, or under a new id. Merging would make the two changes that share
/// the dot vanish, on every replica, without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DotReuse {
    /// Whose dot it is.
    pub replica: ReplicaId,
    /// The latest position that was seen.
    pub seen: Position,
    /// The position that this writer has open.
    pub open: Position,
}

impl fmt::Display for DotReuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replica, seen, open } = self;
        write!(
            f,
            "another writer used this replica's dots; open it with a later epoch: replica={replica} seen={seen} open={open}"
        )
    }
}

impl core::error::Error for DotReuse {}
