//! What a replica says of itself.
//! Layer 5.

use core::{sync::atomic::Ordering, time::Duration};

use crdt_core::{Frontier, Position};

use crate::{
    error::ErrorKind,
    keyspace::ConflictCount,
    name::ReplicaName,
    ports::{Outcome, QueueLook, Request},
    replica::Replica,
    sync::{Answers, Delays, Hinted, Resolution, process},
};

/// The state of a replica at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// What it is called.
    pub replica: ReplicaName,
    /// Which process this is, of all that ever open a replica of this name: 32 hexadecimal digits, chosen anew whenever a log
    /// is taken over. One that is fenced says by which.
    pub process: String,
    /// The last position of its log that is in the bucket.
    pub durable: Position,
    /// Bytes of changes that wait to be flushed, estimated from above.
    pub pending_bytes: u64,
    /// Why it takes no more writes, if so.
    pub ended: Option<(ErrorKind, String)>,
    /// True while less has come back than this replica had seen before it was opened: reads may be older than then.
    pub is_behind: bool,
    /// What is wrong and has not passed: where (a log, a region, the own snapshots, a source of hints), what kind, and
    /// what it says.
    pub alarms: Vec<(String, ErrorKind, String)>,
    /// How many objects there are, live or not.
    pub objects: usize,
    /// About how many bytes of memory the objects take: exact but for a quarter or so, which is the allocator's.
    pub memory_bytes: u64,
    /// How many tallies of deleted counters wait for their owners to acknowledge that.
    pub dead_tallies: usize,
    /// How many removals wait for what they remove.
    pub early_removals: usize,
    /// How many objects of the own log and of the own snapshots were collected, since the replica was opened.
    pub collected: u64,
    /// How many parts of own snapshots no kept manifest named when it was last collected and were too young to go: of a snapshot
    /// that a crash cut short, or of a process that has taken over. They go with a later collection.
    pub orphans: u64,
    /// The positions of the own log at which the snapshots were taken that a recovery could begin with, the newest
    /// last.
    pub snapshots: Vec<Position>,
    /// How many objects bore a time further in the future than is followed, since the replica was opened.
    pub ahead: u64,
    /// How many writes to registers were refused since the wall clock was too far behind, since the replica was opened.
    pub clock_refusals: u64,
    /// The conflicts of registers, by their kind.
    pub conflicts: Vec<ConflictCount>,
    /// How many hints have come since the replica was opened, by what they were good for.
    pub hints: Vec<(Hinted, u64)>,
    /// What the queues say of themselves that hints come from.
    pub queues: Vec<QueueLook>,
    /// How many segments were read that had been applied already, by a snapshot that came between or by another reader, since the
    /// replica was opened. They changed nothing.
    pub doubled: u64,
    /// How often the reading of a log was held up by something that could not be applied, since the replica was opened: by the
    /// kind of its alarm. The same is counted once, however often it is met.
    pub quarantined: Vec<(&'static str, u64)>,
    /// How far the hybrid clock, which never goes back, is ahead of the wall clock.
    pub skew: Duration,
    /// Every log that is known, its own included, in ascending order of replica ids.
    pub logs: Vec<LogStatus>,
    /// Every bucket that is used, its own first.
    pub regions: Vec<RegionStatus>,
}

/// What is known of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStatus {
    /// Whose log.
    pub replica: ReplicaName,
    /// In which region's bucket it was read last, as [`Builder::peer`](crate::Builder::peer) calls the region; `None` if it
    /// was in none since the replica was opened.
    pub region: Option<String>,
    /// How far it has been applied.
    pub applied: Option<Position>,
    /// The furthest position that anybody has published of it.
    pub heard: Option<Position>,
    /// When the last object that was applied was cut, by its writer's wall clock, in milliseconds since the Unix epoch;
    /// 0 when none was.
    pub cut_ms: u64,
    /// How far behind it this replica is: nothing while no more of it is known than was applied, and else the time
    /// since the last object that was applied was cut, by the writer's wall clock and this one's. `None` when something
    /// is known to be there and no object of it was applied: nothing at all, or what came from a snapshot.
    pub lag: Option<Duration>,
    /// About how many bytes of it are known and not applied: as many positions as are known to be there, each as large
    /// as those on average that were read since the replica was opened. `None` when something is known to be there, and
    /// none of it was read. What of the own log is not in its bucket is in [`Status::pending_bytes`].
    pub pending_bytes: Option<u64>,
    /// How long ago its bucket last answered when it was asked for more; `None` if it has not since the replica was
    /// opened.
    pub answered: Option<Duration>,
    /// How long ago something new of it was applied; `None` if nothing was since the replica was opened.
    pub silent: Option<Duration>,
    /// How long after they were cut its segments were applied, of those that were read since the replica was opened, by the wall
    /// clock of its writer and that of this replica: where those differ it shows, and what seems to come from the future counts as
    /// at once. What a replica reads after it was away counts with all that time. Classes:
    /// [`APPLY_DELAYS_MS`](crate::APPLY_DELAYS_MS).
    pub delays: Delays,
    /// How far its replica had ever applied each log when it wrote the last object of its own that was read here, at
    /// [`cut_ms`](Self::cut_ms). One that writes nothing tells nothing, so it may have read on since then; and one that was just
    /// opened may hold less until it has read again what it had.
    pub told: Frontier,
    /// How far its replica has acknowledged the own log: what is beyond is not collected.
    pub acknowledged: Option<Position>,
    /// For how long collecting has waited for that: since the first time that it left, for this replica's sake, what the kept
    /// snapshots cover. `None` while it does not. Looked at with each collection, every `snapshot_interval`.
    pub blocks: Option<Duration>,
    /// The last position of it that counts, if its replica was evicted.
    pub evicted: Option<Position>,
    /// Whether its replica's state agrees with this one's. After each snapshot the digests of its parts are compared
    /// with those of the peer's newest one, if that holds the same changes; `None` until there were two such. Parts in
    /// which tallies of deleted counters wait to be purged are passed over. `Some(false)` comes with an alarm, and must
    /// never be.
    pub agrees: Option<bool>,
    /// When it was last found to agree, in milliseconds since the Unix epoch; `None` if it was not since the replica was opened.
    pub agreed_ms: Option<u64>,
}

/// How a bucket was used, since the replica was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionStatus {
    /// What the region is called.
    pub region: String,
    /// PUT requests, repeated ones included.
    pub creates: u64,
    /// GET requests, repeated ones included.
    pub gets: u64,
    /// LIST requests, repeated ones included.
    pub lists: u64,
    /// DELETE requests, repeated ones included.
    pub deletes: u64,
    /// Requests that were repeated.
    pub repeated: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// What came of the requests, by what was asked: `create`, `get`, `list`, `delete`.
    pub requests: Vec<RequestStatus>,
    /// How many creates there were of which it was not known whether they had had their effect, by what came of them. Those that
    /// are still repeated are in none.
    pub resolved: Vec<(Resolution, u64)>,
}

/// What came of the requests of one kind to a bucket, since the replica was opened. Those that nobody waited for any more are in
/// none of the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestStatus {
    /// The word for what was asked.
    pub request: &'static str,
    /// How many were answered.
    pub ok: u64,
    /// How many have failed, by what is known of them then.
    pub failed: Vec<(Outcome, u64)>,
    /// How long they took. Classes: [`REQUEST_DELAYS_MS`](crate::REQUEST_DELAYS_MS).
    pub delays: Delays,
}

impl Replica {
    /// How the replica is doing. Cost: in the number of logs and buckets, and 16 bytes copied for each pair of logs.
    #[must_use]
    pub fn status(&self) -> Status {
        let engine = self.engine();
        let (now, wall_ms) = (engine.world.clock.elapsed(), engine.world.clock.wall_ms());
        let own = engine.own.name.id();
        let state = engine.state();
        let logs = state.roster.iter().map(|(id, name)| {
            let log = state.logs.get(&id);
            let (applied, evicted) = (state.position_of(id), state.end_of(id));
            // What comes behind the end of an evicted log is not waited for, and what comes before it is.
            let heard = evicted.map_or(log.and_then(|log| log.heard), |last| applied.max(Some(last)));
            let cut_ms = log.map_or(0, |log| log.wall_ms);
            let since = (cut_ms > 0).then(|| Duration::from_millis(wall_ms.saturating_sub(cut_ms)));
            LogStatus {
                replica: name.clone(),
                region: engine.region_of(&state, id),
                applied,
                heard,
                cut_ms,
                lag: if heard <= applied { Some(Duration::ZERO) } else { since },
                pending_bytes: pending(applied, heard, log.map_or((0, 0), |log| log.read)),
                answered: log.and_then(|log| log.answered).map(|answered| now.saturating_sub(answered)),
                silent: log.and_then(|log| log.contact).map(|contact| now.saturating_sub(contact)),
                delays: log.map(|log| log.delays).unwrap_or_default(),
                told: log.map(|log| log.told.clone()).unwrap_or_default(),
                acknowledged: log.and_then(|log| log.ack.get(own)),
                blocks: log.and_then(|log| log.blocks).map(|since| now.saturating_sub(since)),
                evicted,
                agrees: log.and_then(|log| log.agrees),
                agreed_ms: log.and_then(|log| log.agreed_ms),
            }
        });
        let logs = logs.collect();
        let is_behind = state.is_behind();
        let (dead_tallies, early_removals, doubled) = (state.graves.len(), state.applied.early.len(), state.doubled);
        drop(state);
        let regions = engine.regions.iter().map(|region| {
            let asked = region.store.asked();
            let answers = Request::ALL.map(|request| asked.of(request));
            let [creates, gets, lists, deletes] = answers.map(|answers| answers.asked);
            let [bytes_out, bytes_in, repeated] = asked.sums();
            let requests =
                Request::ALL.into_iter().zip(answers).map(|(request, Answers { ok, failed, delays, .. })| {
                    let failed = Outcome::ALL.into_iter().zip(failed).collect();
                    RequestStatus { request: request.name(), ok, failed, delays }
                });
            let (region, requests) = (region.name.clone(), requests.collect());
            let resolved = asked.resolved();
            RegionStatus { region, creates, gets, lists, deletes, repeated, bytes_out, bytes_in, requests, resolved }
        });
        let alarms = engine.alarms.all().into_iter().map(|(place, (kind, says))| (place, kind, says));
        let troubles = engine.hints.iter().filter_map(|hints| hints.trouble());
        let troubles = troubles.map(|says| ("hints".to_owned(), ErrorKind::Store, says));
        Status {
            replica: self.name().clone(),
            process: process(&engine.nonce),
            durable: engine.durable.reached(),
            pending_bytes: engine.pending_bytes(),
            ended: engine.durable.check().err(),
            is_behind,
            alarms: alarms.chain(troubles).collect(),
            objects: engine.keyspace.len(),
            memory_bytes: engine.keyspace.memory_bytes(),
            dead_tallies,
            early_removals,
            collected: engine.collected.load(Ordering::Relaxed),
            orphans: engine.orphans.load(Ordering::Relaxed),
            snapshots: engine.kept().positions(),
            ahead: engine.alarms.ahead(),
            clock_refusals: engine.clock_refusals.load(Ordering::Relaxed),
            conflicts: engine.keyspace.conflicts(),
            hints: engine.hinted.read(),
            queues: engine.hints.iter().filter_map(|hints| hints.look()).collect(),
            doubled,
            quarantined: engine.alarms.quarantined(),
            skew: Duration::from_millis(engine.clock().last().millis().saturating_sub(wall_ms)),
            logs,
            regions: regions.collect(),
        }
    }
}

/// The bytes from `applied` to `heard`, judged by how many `objects` were read and how many bytes they had. Where an
/// epoch lies between, what is left of the earlier one is not known and not counted.
fn pending(applied: Option<Position>, heard: Option<Position>, (objects, bytes): (u64, u64)) -> Option<u64> {
    let Some(heard) = heard.filter(|heard| Some(*heard) > applied) else { return Some(0) };
    let first = applied.filter(|applied| applied.epoch() == heard.epoch()).map_or(0, |applied| applied.slot() + 1);
    let positions = u64::from(heard.slot() - first) + 1;
    (objects > 0).then(|| positions.saturating_mul(bytes / objects))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_is_judged_by_what_was_read() {
        let at = |epoch, slot| Some(Position::new(epoch, slot));
        assert_eq!(pending(None, None, (0, 0)), Some(0));
        assert_eq!(pending(at(1, 7), at(1, 7), (3, 300)), Some(0));
        assert_eq!(pending(at(1, 7), at(1, 9), (3, 300)), Some(200));
        assert_eq!(pending(at(1, 7), at(2, 0), (3, 300)), Some(100));
        assert_eq!(pending(at(1, 7), at(1, 6), (3, 300)), Some(0));
        assert_eq!(pending(None, at(1, 1), (3, 300)), Some(200));
        assert_eq!(pending(None, at(1, 1), (0, 0)), None);
    }
}
