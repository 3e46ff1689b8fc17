//! The clock of one region, which may be wrong and run wrong.
//! Layer 2.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use replica::ports::{Answer, Clock};

use crate::machine::{World, nanoseconds};

/// What all clocks show at the beginning, unless they are set otherwise: 2026-01-01, in Unix milliseconds.
pub const BEGINNING_MS: u64 = 1_767_225_600_000;

/// A clock. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct SimClock {
    world: World,
    settings: Arc<Mutex<Settings>>,
}

#[derive(Debug)]
struct Settings {
    /// The world's time, and this clock's, when the drift was last set: nanoseconds.
    since: u64,
    elapsed: u64,
    drift_ppm: i32,
    offset_ms: i64,
    /// What the wall clock shows, if it stands.
    stands_at: Option<u64>,
}

impl SimClock {
    /// A clock that is right.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let settings = Settings { since: 0, elapsed: 0, drift_ppm: 0, offset_ms: 0, stands_at: None };
        Self { world: world.clone(), settings: Arc::new(Mutex::new(settings)) }
    }

    /// Sets the wall clock to run this much ahead of the right time, or behind: it jumps. One that stood goes on.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        let mut settings = self.settings();
        (settings.offset_ms, settings.stands_at) = (offset_ms, None);
    }

    /// Makes the wall clock stand still. Waiting takes as long as before.
    pub fn stop(&self) {
        let now = self.wall_ms();
        self.settings().stands_at = Some(now);
    }

    /// Makes it run fast or slow by this much, from now on; at most half as fast again, or half as fast.
    pub fn set_drift_ppm(&self, drift_ppm: i32) {
        let now = nanoseconds(self.world.now());
        let mut settings = self.settings();
        (settings.elapsed, settings.since) = (settings.elapsed_at(now), now);
        settings.drift_ppm = drift_ppm.clamp(-500_000, 500_000);
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    fn elapsed_at(&self, now: u64) -> u64 {
        self.elapsed + scale(now - self.since, self.rate(), 1_000_000)
    }

    /// What this clock counts while the world counts 1,000,000.
    fn rate(&self) -> u64 {
        1_000_000_u64.saturating_add_signed(i64::from(self.drift_ppm))
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> u64 {
        let now = nanoseconds(self.world.now());
        let settings = self.settings();
        let runs = || (BEGINNING_MS + settings.elapsed_at(now) / 1_000_000).saturating_add_signed(settings.offset_ms);
        settings.stands_at.unwrap_or_else(runs)
    }

    fn elapsed(&self) -> Duration {
        let now = nanoseconds(self.world.now());
        Duration::from_nanos(self.settings().elapsed_at(now))
    }

    fn sleep(&self, duration: Duration) -> Answer<'static, ()> {
        let rate = self.settings().rate();
        // One more, so that this clock never shows less than was slept.
        let exact = if rate == 1_000_000 { 0 } else { 1 };
        let sleep = self.world.sleep_ns(scale(nanoseconds(duration), 1_000_000, rate).saturating_add(exact));
        Box::pin(sleep)
    }
}

fn scale(amount: u64, times: u64, per: u64) -> u64 {
    if times == per {
        return amount;
    }
    u64::try_from(u128::from(amount) * u128::from(times) / u128::from(per)).unwrap_or(u64::MAX)
}
