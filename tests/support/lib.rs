//! What several tests share: the reference, the smallest keyspace, what every bucket must do, ways to exchange deltas,
//! malformed input, objects to damage, three regions that crash and come back, three regions on the buckets of a
//! service, and a stage for stories.

pub mod cluster;
pub mod codec;
pub mod conformance;
pub mod corpus;
pub mod exchange;
pub mod keyspace;
pub mod malformed;
pub mod reference;
pub mod regions;
pub mod stage;
