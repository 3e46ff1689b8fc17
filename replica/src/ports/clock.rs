//! The clock: wall time for people, elapsed time for intervals.
//! Layer 0.

use core::{fmt, time::Duration};

use super::Answer;

/// Tells the time and waits.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since the Unix epoch, as the wall clock shows them. It may jump and may be wrong.
    fn wall_ms(&self) -> u64;

    /// Time since some fixed point. It never goes back, and it goes on while the machine sleeps if the system allows.
    fn elapsed(&self) -> Duration;

    /// Waits for at least `duration`.
    fn sleep(&self, duration: Duration) -> Answer<'static, ()>;
}
