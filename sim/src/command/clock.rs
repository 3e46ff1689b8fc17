//! Real time and processor time. They decide when to stop and what is printed, never what is in a run.
//! Layer 6.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "how long the command itself takes")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The processor time of this process so far, on all its threads.
#[cfg(unix)]
pub(super) fn processor() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Where it cannot be told: the time since this was asked first.
#[cfg(not(unix))]
pub(super) fn processor() -> Duration {
    use std::sync::LazyLock;

    static START: LazyLock<Instant> = LazyLock::new(now);
    START.elapsed()
}

/// A seed that was probably never played, and is short enough to be typed.
#[expect(clippy::disallowed_methods, reason = "a seed is printed, and plays the same whenever it is given again")]
pub(super) fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mixed = sim::Random::new(since.as_nanos() as u64 ^ u64::from(std::process::id()) << 32).next();
    mixed % 1_000_000_000_000
}
