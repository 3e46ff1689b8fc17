//! A counter that counts up and down.
//! Layer 4.

use crate::{
    Counter, Tally,
    counter::{Mode, sealed::Sealed},
    tally::Side,
};

/// A positive-negative counter that can be deleted.
///
/// # Semantics
///
/// The value is the sum of all amounts, positive and negative, that no deletion had observed. Concurrent changes all
/// count; a deletion leaves those that it had not seen. Every pair of operations: `docs/semantics.md`.
///
/// # State
///
/// One [`Tally`] for each replica that counted.
///
/// # Limits and errors
///
/// Amounts are i64. A replica's increments and its decrements in one life are each at most 2⁶⁴ - 1; what would pass that
/// is refused with [`Overflow`](crate::Overflow). The value is an i128: no number of replicas that fits in memory
/// overflows it.
///
/// # Cost
///
/// 56 bytes for each replica that counted; every operation takes time in their number.
///
/// # Source
///
/// [`Tally`].
///
/// # Example
///
/// ```
/// use crdt_core::{PnCounter, ReplicaId, Writer};
///
/// let mut ann = Writer::<PnCounter>::new(ReplicaId::named("ann"));
/// let mut bob = Writer::<PnCounter>::new(ReplicaId::named("bob"));
/// bob.merge_delta(&ann.add(5)?)?;
/// let gone = bob.reset();
/// let late = ann.add(-2)?; // Bob had not seen this one,
/// ann.merge_delta(&gone)?;
/// bob.merge_delta(&late)?;
/// assert_eq!((ann.value(), bob.value()), (-2, -2)); // so it stays.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type PnCounter = Counter<UpAndDown>;

/// Counts up and down: marks a [`PnCounter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpAndDown;

impl Sealed for UpAndDown {}

impl Mode for UpAndDown {
    type Amount = i64;
    type Value = i128;

    fn split(amount: i64) -> (Side, u64) {
        (if amount < 0 { Side::Minus } else { Side::Plus }, amount.unsigned_abs())
    }

    fn read(plus: u128, minus: u128) -> i128 {
        plus.cast_signed() - minus.cast_signed()
    }

    fn check(_: &Tally) -> Result<(), &'static str> {
        Ok(())
    }
}
