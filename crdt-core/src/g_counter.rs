//! A counter that only counts up.
//! Layer 4.

use crate::{
    Counter, Tally,
    counter::{Mode, sealed::Sealed},
    tally::Side,
};

/// A grow-only counter that can be deleted.
///
/// # Semantics
///
/// The value is the sum of all increments that no deletion had observed. Concurrent increments all count; a deletion
/// leaves those that it had not seen. Every pair of operations: `docs/semantics.md`.
///
/// # State
///
/// One [`Tally`] for each replica that counted, of which `n` stays zero.
///
/// # Limits and errors
///
/// Amounts are u64, so none is negative. A replica's total in one life is at most 2⁶⁴ - 1; what would pass it is refused
/// with [`Overflow`](crate::Overflow). The value is a u128: no number of replicas that fits in memory overflows it.
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
/// use crdt_core::{GCounter, ReplicaId, Writer};
///
/// let mut ann = Writer::<GCounter>::new(ReplicaId::named("ann"));
/// let mut bob = Writer::<GCounter>::new(ReplicaId::named("bob"));
/// let two = ann.add(2)?;
/// let three = bob.add(3)?;
/// ann.merge_delta(&three)?;
/// bob.merge_delta(&two)?;
/// bob.merge_delta(&two)?; // A second time changes nothing.
/// assert_eq!((ann.value(), bob.value()), (5, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A negative amount does not compile:
///
/// ```compile_fail
/// # use crdt_core::{GCounter, ReplicaId, Writer};
/// let mut ann = Writer::<GCounter>::new(ReplicaId::named("ann"));
/// ann.add(-2);
/// ```
pub type GCounter = Counter<GrowOnly>;

/// Counts up only: marks a [`GCounter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrowOnly;

impl Sealed for GrowOnly {}

impl Mode for GrowOnly {
    type Amount = u64;
    type Value = u128;

    fn split(amount: u64) -> (Side, u64) {
        (Side::Plus, amount)
    }

    fn read(plus: u128, _: u128) -> u128 {
        plus
    }

    fn check(tally: &Tally) -> Result<(), &'static str> {
        if tally.parts().n == 0 { Ok(()) } else { Err("a grow-only counter that counted down") }
    }
}
