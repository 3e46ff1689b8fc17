//! A register that reads as its last write.
//! Layer 4.

use crate::{
    Register, Write,
    planted::{Mutant, is_planted},
};

/// A last-writer-wins register that keeps what lost.
///
/// # Semantics
///
/// A write supersedes the writes it observed, whatever the timestamps say. Between concurrent writes the greatest
/// timestamp is read, ties go to the greater replica id, then to the later position. The others stay, readable through
/// [`losers`](Register::losers), until a write that observed them supersedes them. Every pair of operations:
/// `docs/semantics.md`.
///
/// # State
///
/// The live writes: dot → (timestamp, value).
///
/// # Limits and errors
///
/// None of its own; there are at most as many live writes as writers that did not hear of each other.
///
/// # Cost
///
/// 24 bytes and the value for each live write; every operation takes time in their number.
///
/// # Source
///
/// The state is the multi-value register of Almeida, Shoker, Baquero, 2018, figure 17; choosing while reading is our
/// own.
///
/// # Example
///
/// ```
/// use crdt_core::{LwwRegister, ReplicaId, Timestamp, Writer};
///
/// let mut ann = Writer::<LwwRegister<&str>>::new(ReplicaId::named("ann"));
/// let mut bob = Writer::<LwwRegister<&str>>::new(ReplicaId::named("bob"));
/// let tea = ann.set("tea", Timestamp::from_millis(20));
/// let mate = bob.set("mate", Timestamp::from_millis(10));
/// ann.merge_delta(&mate)?;
/// bob.merge_delta(&tea)?;
/// assert_eq!((ann.value(), bob.value()), (Some(&"tea"), Some(&"tea")));
/// assert_eq!(ann.losers().count(), 1);
///
/// bob.set("water", Timestamp::from_millis(5)); // Bob has seen both: his clock need not be ahead.
/// assert_eq!(bob.value(), Some(&"water"));
/// assert_eq!(bob.losers().count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type LwwRegister<V> = Register<V, LastWriter>;

/// Reads the last write: marks an [`LwwRegister`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastWriter;

impl<V> Register<V, LastWriter> {
    /// What is read: the live write of the greatest precedence.
    #[must_use]
    pub fn value(&self) -> Option<&V> {
        self.winner().map(|write| &write.value)
    }

    /// The live write of the greatest precedence.
    #[must_use]
    pub fn winner(&self) -> Option<&Write<V>> {
        if is_planted(Mutant::LoserRead) {
            return self.writes().iter().min_by_key(|write| write.precedence());
        }
        self.writes().iter().max_by_key(|write| write.precedence())
    }

    /// The live writes that are not read, in ascending order of their dots.
    pub fn losers(&self) -> impl Iterator<Item = &Write<V>> {
        let winner = self.winner().map(|write| write.dot);
        self.writes().iter().filter(move |write| Some(write.dot) != winner)
    }
}
