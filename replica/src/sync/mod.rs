//! Keeping replicas in step: opening a log, writing it, and reading those of the peers.
//! Layer 4.

mod engine;
mod flush;
mod open;
mod pull;
mod rows;
mod signal;
mod state;
mod store;
mod takeover;

pub(crate) use engine::Engine;
pub(crate) use open::open;
pub(crate) use store::World;
