//! Keeping replicas in step: opening a log, writing it, reading those of the peers, and snapshots.
//! Layer 4.

mod alarm;
mod collect;
mod compare;
mod delays;
mod engine;
mod evict;
mod fetch;
mod flush;
mod graves;
mod lineage;
mod marked;
mod merge;
mod open;
mod outbox;
mod probe;
mod pull;
mod recover;
mod rows;
mod run;
mod shelf;
mod signal;
mod snapshot;
mod state;
mod store;
mod takeover;

pub use delays::{APPLY_DELAYS_MS, ApplyDelays};
pub(crate) use engine::Engine;
pub use evict::EvictedLog;
pub use marked::Marked;
pub(crate) use open::{Plan, observe, open};
pub(crate) use store::World;
