//! The settings of a replica, and what they cost.
//! Layer 1.

use core::time::Duration;

use crate::error::{Error, ErrorKind};

/// The intervals and limits of a replica.
///
/// # Cost
///
/// Requests in a month of 30 days at the defaults, of one replica with one peer in another region, when what they hold fits
/// into one part of a snapshot. Both change once an hour, or one changes all the time and the other reads it.
/// `tests/requests.rs` holds this table against what the simulator counts. Most stores charge nothing for a DELETE.
///
/// | | PUT | GET | LIST | DELETE |
/// |---|---|---|---|---|
/// | nothing changes, own bucket | 0 | 0 | 10,800 | 0 |
/// | nothing changes, the peer's | 0 | 86,400 | 25,900 | 0 |
/// | a change an hour, own bucket | 3,600 | 33,100 | 13,200 | 3,600 |
/// | a change an hour, the peer's | 0 | 93,000 | 27,800 | 0 |
/// | changes all the time, own bucket | 2,510,000 | 33,100 | 76,000 | 2,510,000 |
/// | changes all the time, the peer's | 0 | 4,930,000 | 27,400 | 0 |
///
/// What is asked of a peer's bucket is asked of it for each log in it, but for finding the logs, and by each replica that
/// reads it. Each field says what depends on it. Requests that fail are repeated, and come on top; opening is in
/// [`Builder::open`](crate::Builder::open).
///
/// What to change, if the bill is too high: a longer `flush_interval` for PUTs and for the GETs of all who read them; hints
/// and a longer `poll_max` for GETs at rest; a longer `discovery_interval` for LISTs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How long after the first unflushed change the open segment is cut. 1 s.
    ///
    /// Costs one PUT for each while there are changes, a little less as the PUT itself takes time: 2.5 million a month. Without
    /// changes, none. One DELETE for each segment, when it is collected.
    pub flush_interval: Duration,
    /// How many bytes of changes cut the open segment at once. 1 MiB. Whoever writes more than that in a `flush_interval` pays a
    /// PUT for each of them, and its readers a GET.
    pub segment_bytes: u64,
    /// How many bytes of changes may wait; beyond it local operations fail with `Backpressure`. 64 MiB.
    pub pending_bytes: u64,
    /// How much memory the objects may take, as [`Status::memory_bytes`](crate::Status::memory_bytes) estimates it; from there
    /// on local operations that would add to them fail with `Backpressure`. What peers add is applied all the same: refusing it
    /// would diverge. No limit.
    ///
    /// What an object takes, with a path of 38 bytes and its place in table and index, as measured on 1,000,000 of them
    /// (100,000 of the last). The allocator comes on top: with glibc 16 bytes for each counter.
    ///
    /// | object | bytes |
    /// |---|---|
    /// | counter in which one replica has counted | 196 |
    /// | counter in which three replicas have counted | 308 |
    /// | register of 16 bytes | 212 |
    /// | set of one element of 12 bytes | 360 |
    /// | set of ten elements of 12 bytes | 1,019 |
    ///
    /// Not counted are the changes that wait for the flush, which `pending_bytes` bounds; leaderboards and watches; marks;
    /// removals that came before what they remove; and, while a snapshot is written, the former state of each object that
    /// changes meanwhile: at most as much again, if everything does. So leave room beside it.
    pub memory_bytes: u64,
    /// How long is waited before a peer's log is asked again while it grows. 1 s.
    ///
    /// Costs two GETs for each, one of the new segment and one that finds nothing behind it: 5 million a month and log. A log
    /// that grows faster is read as it grows, with a GET for each segment.
    pub poll_min: Duration,
    /// The same when it has not grown for long: each time that nothing is new, the wait doubles. 30 s.
    ///
    /// Costs one GET for each: 86,400 a month and log. One that grows once in a while costs about nine more each time.
    pub poll_max: Duration,
    /// How often the buckets are listed for logs of new replicas, and logs for collected slots. 5 minutes.
    ///
    /// Costs one LIST for each bucket, the own one included: 8,640 a month. And two for each peer's log: 17,280 a month.
    pub discovery_interval: Duration,
    /// How long opening tries to reach what this replica had seen before, and to be answered by a bucket. 5 s. Also
    /// about how long a request is repeated before it fails; what a running replica writes is repeated without end.
    pub catch_up: Duration,
    /// How long after the last snapshot the next one is taken, if anything has changed. A long log makes it due earlier. 1 h.
    ///
    /// A snapshot costs a PUT for each part of about 4 MiB that has changed, one for its manifest, one for the segment that it
    /// cuts, and one LIST; with its acknowledgement 2,900 PUTs a month when a part changes each hour. After the last change one
    /// more is taken, which writes no part. A replica takes them of what its peers change, too.
    ///
    /// Once in the interval, changes or not, what may go is collected: four LISTs, of which that of the own log is one for each
    /// 1,000 segments kept; two GETs for each snapshot that `retention` keeps; and a DELETE for each object that goes. So 2,880
    /// LISTs a month at rest.
    ///
    /// After each snapshot it is compared with those of the peers: one LIST for each bucket, and one LIST and one GET for each
    /// peer. While a peer holds other changes it is asked once more in each interval.
    pub snapshot_interval: Duration,
    /// How often at most a replica that has nothing else to write says what it acknowledges. 10 minutes.
    ///
    /// Costs a PUT of an empty segment for each snapshot: 720 a month while there is one each hour. A replica that writes all
    /// the time says it in what it writes, and none is added.
    pub ack_interval: Duration,
    /// How long what a snapshot covers is kept all the same, for readers under way and for mishaps. 24 h.
    ///
    /// The segments and snapshots that are kept for it are listed and read again by each collection, and the segments by each
    /// reader: see `snapshot_interval` and `discovery_interval`.
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
