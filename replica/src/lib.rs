//! The engine of Archipelago.

mod error;
pub mod handles;
pub mod key;
pub mod keyspace;
pub mod log;
pub mod name;
pub mod ports;
mod replica;
mod settings;
mod sync;

pub use error::{Error, ErrorKind};
pub use replica::{Builder, Replica, Written};
pub use settings::Settings;
