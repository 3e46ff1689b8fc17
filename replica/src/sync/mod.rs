//! Keeping replicas in step: opening a log, writing it, reading those of the peers, and snapshots.
//! Layer 4.

mod alarm;
mod asked;
mod collect;
mod compare;
mod delays;
mod engine;
mod evict;
mod fetch;
mod flush;
mod graves;
mod hinted;
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

pub(crate) use asked::Answers;
pub use asked::Resolution;
pub use delays::{APPLY_DELAYS_MS, Delays, REQUEST_DELAYS_MS};
pub(crate) use engine::Engine;
pub use evict::EvictedLog;
pub use hinted::Hinted;
pub use marked::Marked;
pub(crate) use open::{Plan, observe, open};
pub(crate) use state::process;
pub(crate) use store::World;
