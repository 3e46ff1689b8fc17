//! What several tests share: the reference, the smallest keyspace, what every bucket must do, ways to exchange deltas,
//! malformed input, random numbers that never change, and a stage for stories.

pub mod codec;
pub mod conformance;
pub mod exchange;
pub mod keyspace;
pub mod malformed;
pub mod random;
pub mod reference;
pub mod stage;
