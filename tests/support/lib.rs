//! What several tests share: the reference, the smallest keyspace, what every bucket must do, and random numbers that never
//! change.

pub mod codec;
pub mod conformance;
pub mod keyspace;
pub mod random;
pub mod reference;
