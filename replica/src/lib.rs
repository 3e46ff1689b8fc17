//! The engine of Archipelago.

pub mod key;
pub mod keyspace;
pub mod log;
pub mod name;
pub mod ports;
