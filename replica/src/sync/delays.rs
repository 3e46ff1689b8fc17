//! How long things take, counted in classes.
//! Layer 4.

use core::time::Duration;

/// The upper ends, inclusive, of the classes in which [`LogStatus::delays`](crate::LogStatus::delays) counts, in milliseconds.
pub const APPLY_DELAYS_MS: [u64; 11] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000];

/// The same of [`RequestStatus::delays`](crate::RequestStatus::delays).
pub const REQUEST_DELAYS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// How often something took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delays {
    /// How many fell into each class, and above the last.
    pub counts: [u64; 12],
    /// All of them together.
    pub sum: Duration,
}

impl Delays {
    pub(crate) fn count(&mut self, classes_ms: &[u64; 11], delay: Duration) {
        self.counts[classes_ms.partition_point(|end| Duration::from_millis(*end) < delay)] += 1;
        self.sum = self.sum.saturating_add(delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_counts_in_the_class_that_ends_at_it_or_above() {
        let mut delays = Delays::default();
        let millis = [0, 100, 101, 900_000, 900_001].map(Duration::from_millis);
        for delay in millis.into_iter().chain([Duration::from_nanos(100_000_001), Duration::MAX]) {
            delays.count(&APPLY_DELAYS_MS, delay);
        }
        assert_eq!(delays.counts, [2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(delays.sum, Duration::MAX);
    }
}
