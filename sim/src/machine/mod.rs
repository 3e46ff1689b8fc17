//! The machine that everything runs on: virtual time, tasks, and one thread that polls them in an order drawn from a seed.
//! Layer 1.

mod executor;
mod task;
mod world;

pub use executor::{Executor, Stop};
pub use task::{Join, Region};
pub(crate) use world::nanoseconds;
pub use world::{Sleep, Trace, World};
