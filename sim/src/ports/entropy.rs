//! Entropy that the seed of the run decides.
//! Layer 2.

use std::sync::{Mutex, PoisonError};

use replica::ports::Entropy;

use crate::{machine::World, random::Random};

/// Bytes for one process. To start a region anew is to be a new process: give it a name of its own, or it is given the
/// bytes that it was given before.
#[derive(Debug)]
pub struct SimEntropy(Mutex<Random>);

impl SimEntropy {
    /// A stream of its own for each name.
    #[must_use]
    pub fn new(world: &World, name: &str) -> Self {
        Self(Mutex::new(world.random(name)))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for some in bytes.chunks_mut(8) {
            some.copy_from_slice(&random.next().to_le_bytes()[..some.len()]);
        }
    }
}
