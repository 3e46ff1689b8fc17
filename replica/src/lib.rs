//! The engine of Archipelago.

pub mod ports;
