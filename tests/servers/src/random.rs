//! Chance that a seed repeats.

use std::{sync::Mutex, time::Duration};

/// SplitMix64 (Steele and others, 2014), shared by all requests of a server.
#[derive(Debug)]
pub struct Random(Mutex<u64>);

impl Random {
    /// What comes of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut state = self.0.lock().expect("nobody panics while drawing");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True with this probability: never at 0, always at 1.
    pub(crate) fn chance(&self, rate: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < rate
    }

    /// A number below a bound.
    ///
    /// # Panics
    ///
    /// When the bound is 0.
    #[must_use]
    pub fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }

    /// A time from `least` to `most`.
    pub(crate) fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX - 1);
        least + Duration::from_micros(self.next() % (span + 1))
    }

    /// As many hexadecimal digits as asked for.
    pub(crate) fn hex(&self, digits: usize) -> String {
        let mut text = String::new();
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(digits);
        text
    }

    /// An identifier that looks as those of AWS do.
    pub(crate) fn uuid(&self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_rates_hold() {
        let (one, other) = (Random::new(7), Random::new(7));
        let drawn: Vec<u64> = (0..100).map(|_| one.next()).collect();
        assert_eq!(drawn, (0..100).map(|_| other.next()).collect::<Vec<_>>());
        assert!((0..1_000).all(|_| !one.chance(0.0) && one.chance(1.0)));
        let hits = (0..10_000).filter(|_| one.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits} of 10,000 at a rate of a quarter");
        let (least, most) = (Duration::from_millis(3), Duration::from_millis(5));
        assert!((0..1_000).map(|_| one.between(least, most)).all(|time| (least..=most).contains(&time)));
    }
}
