//! What several tests share: the reference, the smallest keyspace, what every bucket must do, ways to exchange deltas,
//! malformed input, and random numbers that never change.

pub mod codec;
pub mod conformance;
pub mod exchange;
pub mod keyspace;
pub mod malformed;
pub mod random;
pub mod reference;
