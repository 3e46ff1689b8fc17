//! What was asked of the buckets, and what it would cost.

use replica::{RegionStatus, Status};
use serde::Serialize;

/// S3 Standard in us-east-1, as c3x.dev/blog/s3-request-fees-explained quotes its list, and what most pairs of regions cost:
/// dollars for a thousand requests, and for a gigabyte that goes from one region to another. A DELETE costs nothing.
const PUT_OR_LIST: f64 = 0.005 / 1_000.0;
const GET: f64 = 0.000_4 / 1_000.0;
const GIGABYTE: f64 = 0.02;

/// What the prices above are, for whoever reads the figures.
pub(crate) const PRICES: [&str; 2] = [
    "S3 Standard in us-east-1, storage aside; look up what it is today: PUT, LIST",
    "$0.005 per 1,000, GET $0.0004 per 1,000, a gigabyte between regions $0.02.",
];

/// A month, in seconds.
const MONTH: f64 = 30.0 * 24.0 * 3_600.0;

/// What a region has asked of its own bucket and of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) puts: u64,
    pub(crate) gets: u64,
    pub(crate) lists: u64,
    pub(crate) deletes: u64,
    /// What was written to the own bucket.
    pub(crate) bytes_written: u64,
    /// What was read from the own one.
    pub(crate) bytes_read: u64,
    /// What was read from those of other regions, and is paid for.
    pub(crate) bytes_fetched: u64,
}

impl Usage {
    /// What a replica says of itself.
    pub(crate) fn of(status: &Status) -> Self {
        let sum = |count: fn(&RegionStatus) -> u64| status.regions.iter().map(count).sum();
        // The first is the own one.
        let of_own = |count: fn(&RegionStatus) -> u64| status.regions.first().map_or(0, count);
        let bytes_read = of_own(|region| region.bytes_in);
        Self {
            puts: sum(|region| region.creates),
            gets: sum(|region| region.gets),
            lists: sum(|region| region.lists),
            deletes: sum(|region| region.deletes),
            bytes_written: sum(|region| region.bytes_out),
            bytes_read,
            bytes_fetched: sum(|region| region.bytes_in) - bytes_read,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.each(other, u64::saturating_add);
    }

    /// What has been used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut since = self.clone();
        since.each(before, u64::saturating_sub);
        since
    }

    fn each(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        for (count, other) in [
            (&mut self.puts, other.puts),
            (&mut self.gets, other.gets),
            (&mut self.lists, other.lists),
            (&mut self.deletes, other.deletes),
            (&mut self.bytes_written, other.bytes_written),
            (&mut self.bytes_read, other.bytes_read),
            (&mut self.bytes_fetched, other.bytes_fetched),
        ] {
            *count = with(*count, other);
        }
    }

    /// Dollars for a month, if it goes on as in these seconds.
    pub(crate) fn a_month(&self, seconds: f64) -> f64 {
        let requests = (self.puts + self.lists) as f64 * PUT_OR_LIST + self.gets as f64 * GET;
        let bytes = self.bytes_fetched as f64 / 1e9 * GIGABYTE;
        (requests + bytes) * MONTH / seconds.max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `Settings`: a replica that changes all the time makes 2,510,000 PUTs a month.
    #[test]
    fn a_month_costs_what_its_requests_do() {
        let month = |usage: Usage| (usage.a_month(MONTH) * 100.0).round();
        assert_eq!(month(Usage { puts: 2_510_000, ..Usage::default() }), 1_255.0);
        assert_eq!(month(Usage { lists: 1_000_000, gets: 1_000_000, ..Usage::default() }), 540.0);
        assert_eq!(month(Usage { bytes_fetched: 100_000_000_000, deletes: 9, ..Usage::default() }), 200.0);
        let half = Usage { puts: 1_000, ..Usage::default() }.a_month(MONTH / 2.0);
        assert!((half - 0.01).abs() < 1e-9, "{half}");
    }
}
