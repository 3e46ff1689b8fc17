//! How long what a peer writes takes to get here.
//! Layer 4.

/// The upper ends, inclusive, of the classes in which [`ApplyDelays`] counts, in milliseconds. Above the last there is one more
/// class.
pub const APPLY_DELAYS_MS: [u64; 11] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000];

/// How long after they were cut the segments of a log were applied, by the wall clock of its writer and that of this replica: where
/// those differ it shows, and what seems to come from the future counts as at once. What a replica reads after it was away counts with
/// all that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplyDelays {
    /// How many fell into each class of [`APPLY_DELAYS_MS`], and above the last.
    pub counts: [u64; APPLY_DELAYS_MS.len() + 1],
    /// All of them together, in milliseconds.
    pub sum_ms: u64,
}

impl ApplyDelays {
    pub(crate) fn count(&mut self, delay_ms: u64) {
        self.counts[APPLY_DELAYS_MS.partition_point(|end| *end < delay_ms)] += 1;
        self.sum_ms = self.sum_ms.saturating_add(delay_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_counts_in_the_class_that_ends_at_it_or_above() {
        let mut delays = ApplyDelays::default();
        for delay_ms in [0, 100, 101, 900_000, 900_001, u64::MAX] {
            delays.count(delay_ms);
        }
        assert_eq!(delays.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(delays.sum_ms, u64::MAX);
    }
}
