//! What several tests share: the reference, the smallest keyspace, and random numbers that never change.

pub mod keyspace;
pub mod random;
pub mod reference;
