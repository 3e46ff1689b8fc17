//! Hybrid logical time. The wall clock is passed in; nothing here asks for it.
//! Layer 0.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A hybrid logical timestamp: 48 bits of milliseconds since the Unix epoch, 16 bits of counter.
///
/// The counter carries into the milliseconds, so that the order of the packed numbers is the order in time.
///
/// ```
/// use crdt_core::Timestamp;
///
/// assert!(Timestamp::new(7, 2) < Timestamp::new(8, 0));
/// assert_eq!(Timestamp::from(u64::from(Timestamp::new(7, u16::MAX)) + 1), Timestamp::new(8, 0));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest millisecond that fits: in the year 10889.
    pub const MILLIS_MAX: u64 = (1 << 48) - 1;

    /// The `counter`-th timestamp of a millisecond. Milliseconds beyond [`MILLIS_MAX`](Self::MILLIS_MAX) count as that.
    #[must_use]
    pub const fn new(millis: u64, counter: u16) -> Self {
        let millis = if millis > Self::MILLIS_MAX { Self::MILLIS_MAX } else { millis };
        Self(millis << 16 | counter as u64)
    }

    /// The first timestamp of a millisecond.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::new(millis, 0)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The place within the millisecond.
    #[must_use]
    pub const fn counter(self) -> u16 {
        self.0 as u16
    }
}

impl From<u64> for Timestamp {
    fn from(packed: u64) -> Self {
        Self(packed)
    }
}

impl From<Timestamp> for u64 {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms+{}", self.millis(), self.counter())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A hybrid logical clock: close to the wall clock, strictly increasing, and after all that it has observed.
///
/// A peer whose wall clock is far ahead does not drag this one along: an observation more than `ahead_ms_max` ahead of
/// the wall is reported and not followed. Its data must be merged all the same, since refusing it would diverge; what a
/// write has seen it supersedes by its dots, so no timestamp has to be greater for that.
///
/// Source: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks", 2014, figure 5. The bound is our own.
///
/// ```
/// use crdt_core::{HybridClock, Observed, Timestamp};
///
/// let mut clock = HybridClock::default();
/// let first = clock.tick(1_000)?;
/// assert!(clock.tick(1_000)? > first);
/// assert!(clock.tick(900)? > first); // The wall clock was set back.
///
/// let year_ahead = Timestamp::from_millis(1_000 + 31_536_000_000);
/// assert_eq!(clock.observe(year_ahead, 1_000), Observed::TooFarAhead);
/// assert_eq!(clock.tick(1_000)?.millis(), 1_000);
/// # Ok::<(), crdt_core::ClockSkew>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HybridClock {
    last: Timestamp,
    ahead_ms_max: u64,
}

/// What became of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an observation from too far ahead is to be counted and alarmed"]
pub enum Observed {
    /// The clock is at it or beyond.
    Followed,
    /// It is further ahead of the wall clock than is followed: one of the two clocks is wrong.
    TooFarAhead,
}

impl HybridClock {
    /// How far ahead of the wall clock the clock runs at most, unless told otherwise: 5 minutes.
    pub const AHEAD_MS_MAX: u64 = 5 * 60 * 1_000;

    /// A clock that never runs more than `ahead_ms_max` milliseconds ahead of the wall clock.
    #[must_use]
    pub const fn new(ahead_ms_max: u64) -> Self {
        Self { last: Timestamp(0), ahead_ms_max }
    }

    /// The latest time that was given out or followed.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    /// The time for a write, now that the wall clock shows `wall_ms` milliseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`ClockSkew`] when it would have to be more than `ahead_ms_max` ahead of the wall clock, which is so only after
    /// the wall clock was set back by more than that. Nothing is changed.
    pub fn tick(&mut self, wall_ms: u64) -> Result<Timestamp, ClockSkew> {
        let skew = ClockSkew { wall_ms, last: self.last, ahead_ms_max: self.ahead_ms_max };
        let after = Timestamp(self.last.0.checked_add(1).ok_or(skew)?);
        let next = after.max(Timestamp::from_millis(wall_ms));
        if next.millis() > wall_ms.saturating_add(self.ahead_ms_max) {
            return Err(skew);
        }
        self.last = next;
        Ok(next)
    }

    /// Takes note of a time that came with merged data, or that was recovered.
    pub fn observe(&mut self, seen: Timestamp, wall_ms: u64) -> Observed {
        if seen.millis() > wall_ms.saturating_add(self.ahead_ms_max) {
            return Observed::TooFarAhead;
        }
        self.last = self.last.max(seen);
        Observed::Followed
    }
}

impl Default for HybridClock {
    fn default() -> Self {
        Self::new(Self::AHEAD_MS_MAX)
    }
}

/// The wall clock is too far behind the time that this clock has already given out. Nothing was changed.
///
/// Set the wall clock right; a restart helps too, since a recovered time from too far ahead is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    /// What the wall clock shows.
    pub wall_ms: u64,
    /// The latest time given out.
    pub last: Timestamp,
    /// How far ahead of the wall clock a write may be.
    pub ahead_ms_max: u64,
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wall_ms, last, ahead_ms_max } = self;
        write!(
            f,
            "the wall clock is too far behind; set it right: wall_ms={wall_ms} last={last} ahead_ms_max={ahead_ms_max}"
        )
    }
}

impl core::error::Error for ClockSkew {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_carries_into_the_milliseconds() {
        let mut clock = HybridClock::default();
        for _ in 0..=u16::MAX {
            assert_eq!(clock.tick(5).map(Timestamp::millis), Ok(5));
        }
        assert_eq!(clock.tick(5), Ok(Timestamp::new(6, 0)));
    }

    #[test]
    fn a_write_is_refused_only_beyond_the_bound() {
        let mut clock = HybridClock::new(100);
        assert!(clock.tick(1_000).is_ok());
        assert!(clock.tick(900).is_ok());
        let before = clock.clone();
        let refused = clock.tick(899).expect_err("101 ms behind");
        assert_eq!(clock, before);
        assert_eq!((refused.wall_ms, refused.last, refused.ahead_ms_max), (899, before.last(), 100));
        assert!(clock.tick(900).is_ok());
    }

    #[test]
    fn what_is_observed_is_followed_up_to_the_bound() {
        let mut clock = HybridClock::new(100);
        assert_eq!(clock.observe(Timestamp::new(1_100, 7), 1_000), Observed::Followed);
        assert_eq!(clock.tick(1_000), Ok(Timestamp::new(1_100, 8)));
        assert_eq!(clock.observe(Timestamp::new(1_101, 0), 1_000), Observed::TooFarAhead);
        assert_eq!(clock.observe(Timestamp::new(3, 0), 1_000), Observed::Followed);
        assert_eq!(clock.last(), Timestamp::new(1_100, 8));
    }

    #[test]
    fn the_end_of_time_is_an_error_and_not_an_overflow() {
        let mut clock = HybridClock::default();
        assert_eq!(clock.observe(Timestamp::from(u64::MAX), u64::MAX), Observed::Followed);
        assert!(clock.tick(u64::MAX).is_err());
        assert_eq!(Timestamp::new(u64::MAX, 1), Timestamp::new(Timestamp::MILLIS_MAX, 1));
    }

    #[test]
    fn all_bits_set_is_the_last_counter_of_the_last_millisecond() {
        let last = Timestamp::new(Timestamp::MILLIS_MAX, u16::MAX);
        assert_eq!(u64::from(last), u64::MAX);
        assert_eq!((last.millis(), last.counter()), (Timestamp::MILLIS_MAX, u16::MAX));
    }

    #[test]
    fn a_clock_follows_five_minutes_ahead_unless_told_otherwise() {
        let mut clock = HybridClock::default();
        assert_eq!(clock.observe(Timestamp::from_millis(1_000 + 300_001), 1_000), Observed::TooFarAhead);
        assert_eq!(clock.observe(Timestamp::from_millis(1_000 + 300_000), 1_000), Observed::Followed);
    }
}
