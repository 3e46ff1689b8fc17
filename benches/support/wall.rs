//! The wall clock, for what several threads do, or another process, or a disk.

use std::time::{Duration, Instant};

/// How long `run` took, and what it returned, so that dropping it is not counted.
#[expect(clippy::disallowed_methods, reason = "to measure is what benches are for")]
pub fn timed_by_the_wall<R>(run: impl FnOnce() -> R) -> (Duration, R) {
    let start = Instant::now();
    let result = run();
    (start.elapsed(), result)
}
