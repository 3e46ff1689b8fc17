//! The settings of a replica, and what they cost.
//! Layer 1.

use core::time::Duration;

use crate::error::{Error, ErrorKind};

/// The intervals and limits of a replica.
///
/// # Cost
///
/// A replica that changes all the time makes one PUT for each `flush_interval`: 2.6 million a month at 1 s. One that
/// changes nothing makes none. Each peer's log is asked for with one GET for each poll: between `poll_min`, while it
/// grows, and `poll_max`, when it does not: 86,400 a month and peer when idle at 30 s. Each bucket is listed once for each
/// `discovery_interval`: 8,640 a month at 5 minutes.
///
/// A snapshot is one PUT for each part of about 4 MiB that has changed, one for its manifest, one for the segment that it
/// cuts, and one LIST; the collection that follows it is four LISTs or more. At one an hour: 1,500 to 2,200 PUTs and 3,600
/// LISTs a month, when a part or so changes. When nothing changes, none of it. Comparing it with the snapshots of the peers is
/// one LIST for each bucket, and one LIST and one GET for each peer; a peer that holds other changes is listed once more for
/// each interval.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How long after the first unflushed change the open segment is cut. 1 s.
    pub flush_interval: Duration,
    /// How many bytes of changes cut the open segment at once. 1 MiB.
    pub segment_bytes: u64,
    /// How many bytes of changes may wait; beyond it local operations fail with `Backpressure`. 64 MiB.
    pub pending_bytes: u64,
    /// How much memory the objects may take, as [`Status::memory_bytes`](crate::Status::memory_bytes) estimates it; from there
    /// on local operations that would add to them fail with `Backpressure`. What peers add is applied all the same: refusing it
    /// would diverge. No limit.
    pub memory_bytes: u64,
    /// How long is waited before a peer's log is asked again while it grows. 1 s.
    pub poll_min: Duration,
    /// The same when it has not grown for long. 30 s.
    pub poll_max: Duration,
    /// How often the buckets are listed for logs of new replicas, and logs for collected slots. 5 minutes.
    pub discovery_interval: Duration,
    /// How long opening tries to reach what this replica had seen before, and to be answered by a bucket. 5 s.
    pub catch_up: Duration,
    /// How long after the last snapshot the next one is taken, if anything has changed. A long log makes it due earlier. 1 h.
    pub snapshot_interval: Duration,
    /// How often at most a replica that has nothing else to write says what it acknowledges. 10 minutes.
    pub ack_interval: Duration,
    /// How long what a snapshot covers is kept all the same, for readers under way and for mishaps. 24 h.
    pub retention: Duration,
    /// How long a replica may say nothing before its peers collect what it has not read: it comes back through a snapshot.
    /// 7 days.
    pub max_lag: Duration,
    /// How far ahead of the wall clock a time may be. 5 minutes.
    pub clock_ahead: Duration,
    /// How many shards the keyspace has: a power of two, at least 2. More let more threads write at once. 64.
    pub shards: usize,
}

impl Settings {
    /// Why nothing can run with these, if so.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |says: String| Err(Error::new(ErrorKind::Invalid, says));
        if !self.shards.is_power_of_two() || !(2..=SHARDS_MAX).contains(&self.shards) {
            return invalid(format!(
                "the number of shards is a power of two, 2 to {SHARDS_MAX}: shards={}",
                self.shards
            ));
        }
        if self.poll_max < self.poll_min {
            let (min, max) = (self.poll_min, self.poll_max);
            return invalid(format!("poll_max is no less than poll_min: poll_min={min:?} poll_max={max:?}"));
        }
        for (name, interval) in [
            ("poll_min", self.poll_min),
            ("discovery_interval", self.discovery_interval),
            ("snapshot_interval", self.snapshot_interval),
        ] {
            if interval < INTERVAL_MIN {
                return invalid(format!(
                    "an interval is at least {INTERVAL_MIN:?}, or requests never end: {name}={interval:?}"
                ));
            }
        }
        Ok(())
    }
}

/// The most shards that there can be.
const SHARDS_MAX: usize = 1 << 16;

/// The shortest interval between requests that are made again and again.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

impl Default for Settings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(1),
            segment_bytes: 1 << 20,
            pending_bytes: 64 << 20,
            memory_bytes: u64::MAX,
            poll_min: Duration::from_secs(1),
            poll_max: Duration::from_secs(30),
            discovery_interval: Duration::from_secs(300),
            catch_up: Duration::from_secs(5),
            snapshot_interval: Duration::from_secs(3_600),
            ack_interval: Duration::from_secs(600),
            retention: Duration::from_secs(24 * 3_600),
            max_lag: Duration::from_secs(7 * 24 * 3_600),
            clock_ahead: Duration::from_secs(300),
            shards: 64,
        }
    }
}
