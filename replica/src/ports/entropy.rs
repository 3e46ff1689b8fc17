//! Entropy: nonces, and the seeds of hash tables.
//! Layer 0.

use core::fmt;

/// Gives bytes that nobody can guess.
///
/// Two processes must not be given the same bytes, also not after a fork or from a cloned machine image: a nonce tells a
/// writer's own segment from another's.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}
