//! A register that reads as all its concurrent writes.
//! Layer 4.

use crate::Register;

/// A multi-value register.
///
/// # Semantics
///
/// A write supersedes the writes it observed; concurrent writes stand beside each other, and a read gives all of them.
/// Who has read them and writes one value resolves the conflict. Every pair of operations: `docs/semantics.md`.
///
/// # State
///
/// The live writes: dot → (timestamp, value). The timestamps are for people; they decide nothing.
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
/// Almeida, Shoker, Baquero, 2018, figure 17.
///
/// # Example
///
/// ```
/// use crdt_core::{MvRegister, ReplicaId, Timestamp, Writer};
///
/// let mut ann = Writer::<MvRegister<&str>>::new(ReplicaId::named("ann"));
/// let mut bob = Writer::<MvRegister<&str>>::new(ReplicaId::named("bob"));
/// let noon = Timestamp::from_millis(12);
/// let tea = ann.set("tea", noon);
/// let mate = bob.set("mate", noon);
/// ann.merge_delta(&mate)?;
/// bob.merge_delta(&tea)?;
/// assert!(ann.values().eq(bob.values()) && ann.is_conflicted());
///
/// bob.merge_delta(&ann.set("tea, then mate", noon))?;
/// assert!(bob.values().eq(["tea, then mate"].iter()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type MvRegister<V> = Register<V, MultiValue>;

/// Reads every concurrent write: marks an [`MvRegister`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultiValue;

impl<V> Register<V, MultiValue> {
    /// What is read: every live write, in ascending order of their dots.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.writes().iter().map(|write| &write.value)
    }
}
