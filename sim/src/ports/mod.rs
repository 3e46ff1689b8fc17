//! The ports of a replica in virtual time: buckets, hints, clocks and entropy, each with what can go wrong with it.
//! Layer 2.

mod bucket;
mod clock;
mod entropy;
mod faults;
mod gate;
mod hints;
mod store;

pub use bucket::{Requests, SimBucket};
pub use clock::{BEGINNING_MS, SimClock};
pub use entropy::SimEntropy;
pub use faults::{Fault, Faults, Lists, Way};
pub use gate::{Gate, Moment};
pub use hints::{HintFault, HintFaults, SimHints};
pub use store::{Damage, Image};
pub(crate) use store::{Happened, What};
