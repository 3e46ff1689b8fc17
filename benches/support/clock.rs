//! The one clock of the benches.

use std::time::Duration;

/// How long `run` took, and what it returned, so that dropping it is not counted.
pub fn timed<R>(run: impl FnOnce() -> R) -> (Duration, R) {
    let start = now();
    let result = run();
    (now().saturating_sub(start), result)
}

/// The processor time of this thread: what other processes do shows in it only by way of the caches.
#[cfg(unix)]
fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("processor time starts at zero")
}

#[cfg(not(unix))]
#[expect(clippy::disallowed_methods, reason = "to measure is what benches are for")]
fn now() -> Duration {
    use std::{sync::LazyLock, time::Instant};

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}
