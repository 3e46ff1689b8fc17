//! What a replica says of itself.
//! Layer 5.

use core::sync::atomic::Ordering;

use crdt_core::Position;

use crate::{error::ErrorKind, name::ReplicaName, replica::Replica};

/// The state of a replica at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// What it is called.
    pub replica: ReplicaName,
    /// The last position of its log that is in the bucket.
    pub durable: Position,
    /// Bytes of changes that wait to be flushed, estimated from above.
    pub pending_bytes: u64,
    /// Why it takes no more writes, if so.
    pub ended: Option<(ErrorKind, String)>,
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
    /// How far it has been applied.
    pub applied: Option<Position>,
    /// The furthest position that anybody has published of it.
    pub heard: Option<Position>,
    /// When the last object that was applied was cut, by its writer's wall clock, in milliseconds since the Unix epoch.
    pub cut_ms: u64,
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
    /// Requests that were repeated.
    pub repeated: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
}

impl Replica {
    /// How the replica is doing. Cost: in the number of logs and buckets.
    #[must_use]
    pub fn status(&self) -> Status {
        let engine = self.engine();
        let state = engine.state();
        let logs = state.roster.iter().map(|(id, name)| {
            let log = state.logs.get(&id);
            LogStatus {
                replica: name.clone(),
                applied: state.position_of(id),
                heard: log.and_then(|log| log.heard),
                cut_ms: log.map_or(0, |log| log.wall_ms),
            }
        });
        let logs = logs.collect();
        drop(state);
        let regions = engine.regions.iter().map(|region| {
            let requests = region.store.requests();
            let [creates, gets, lists, repeated, bytes_out, bytes_in] = [
                &requests.creates,
                &requests.gets,
                &requests.lists,
                &requests.repeated,
                &requests.bytes_out,
                &requests.bytes_in,
            ]
            .map(|count| count.load(Ordering::Relaxed));
            RegionStatus { region: region.name.clone(), creates, gets, lists, repeated, bytes_out, bytes_in }
        });
        Status {
            replica: self.name().clone(),
            durable: engine.durable.reached(),
            pending_bytes: engine.keyspace.pending_bytes(),
            ended: engine.durable.check().err(),
            logs,
            regions: regions.collect(),
        }
    }
}
