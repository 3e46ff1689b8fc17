//! The traits of the `crdts` crate, so that code written against them takes these types.
//! Layer 2. Feature `crdts`.

use core::convert::Infallible;

use crdts::{CmRDT, CvRDT};

use crate::{Causal, DataType, Delta};

/// State-based: whole states are merged.
impl<T: DataType> CvRDT for Causal<T> {
    type Validation = Infallible;

    /// Any two states can be merged.
    fn validate_merge(&self, _: &Self) -> Result<(), Infallible> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        Self::merge(self, &other);
    }
}

/// Operation-based: the operations are deltas, which ask nothing of their order and may be applied twice.
impl<T: DataType> CmRDT for Causal<T> {
    type Op = Delta<T>;
    type Validation = Infallible;

    /// Any delta can be merged at any time.
    fn validate_op(&self, _: &Delta<T>) -> Result<(), Infallible> {
        Ok(())
    }

    fn apply(&mut self, delta: Delta<T>) {
        self.merge_delta(&delta);
    }
}
