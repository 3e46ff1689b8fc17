//! The ports of a replica in virtual time: buckets, hints, clocks and entropy, each with what can go wrong with it.
//! Layer 2.

mod bucket;
mod clock;
mod entropy;
mod faults;
mod gate;
mod hints;
mod journal;
mod link;
mod store;

pub use bucket::SimBucket;
pub use clock::{BEGINNING_MS, SimClock};
pub use entropy::SimEntropy;
pub use faults::{Fault, Faults, Lists, Request, Way};
pub use gate::{Gate, Moment};
pub use hints::{HintFault, HintFaults, SimHints};
pub(crate) use journal::{Journal, Teller};
pub use journal::{Party, Told, What};
pub use link::Requests;
pub use store::{Damage, Image};
pub(crate) use store::{Effect, Happened};
