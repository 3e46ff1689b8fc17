//! The header that segments and seals have in common.
//! Layer 3.

use blake3::Hash;
use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Dot, Frontier, Position, ReplicaId, Timestamp};

use crate::name::{ReplicaName, Roster};

use super::{
    control::{HeaderRecord, corrupt, frontier_record, hash_record, read_frontier},
    dictionary::Dictionary,
    error::{DecodeError, EncodeError},
    keys::BucketKey,
};

/// What every object of a log begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// Whose log.
    pub replica: ReplicaName,
    /// Where in it. For a segment this is the dot of every addition in it.
    pub position: Position,
    /// Who wrote it: chosen anew whenever a log is taken over.
    pub nonce: [u8; 16],
    /// The hash of the object before it in this log, seals included; `None` in the first.
    pub previous: Option<Hash>,
    /// The wall clock when it was cut, in milliseconds since the Unix epoch. For people and lag, never for decisions.
    pub wall_ms: u64,
    /// The hybrid clock when it was cut: at or after every timestamp in it.
    pub hlc: Timestamp,
    /// What this log has ever published, joined with what is applied. It only grows.
    pub frontier: Frontier,
    /// What this replica will never need again.
    pub ack: Frontier,
}

impl LogHeader {
    /// The dot of what is added in the segment.
    #[must_use]
    pub fn dot(&self) -> Dot {
        Dot { replica: self.replica.id(), position: self.position }
    }

    /// The replicas that the header names.
    pub(super) fn named(&self) -> impl Iterator<Item = ReplicaId> {
        let frontiers = self.frontier.iter().chain(self.ack.iter()).map(|dot| dot.replica);
        core::iter::once(self.replica.id()).chain(frontiers)
    }

    /// A dictionary of those and of `others`.
    pub(super) fn dictionary(
        &self,
        others: impl IntoIterator<Item = ReplicaId>,
        roster: &Roster,
    ) -> Result<Dictionary, EncodeError> {
        Dictionary::of(self.named().chain(others).collect(), roster)
    }

    pub(super) fn record(&self, names: &Dictionary) -> Result<HeaderRecord, EncodeError> {
        Ok(HeaderRecord {
            names: names.names().iter().map(|name| name.as_str().to_owned()).collect(),
            replica: names.index(self.replica.id())? as u32,
            position: self.position.into(),
            nonce: self.nonce,
            previous: hash_record(self.previous),
            wall_ms: self.wall_ms,
            hlc: self.hlc.into(),
            frontier: frontier_record(&self.frontier, names)?,
            ack: frontier_record(&self.ack, names)?,
        })
    }

    /// The header of an object found at `bucket_key`, its dictionary, and which entries of that the header uses.
    pub(super) fn read(record: &HeaderRecord, bucket_key: &str) -> Result<(Self, Dictionary, Vec<bool>), DecodeError> {
        let names = Dictionary::read(record.names.iter().map(String::as_str)).map_err(corrupt)?;
        let mut used = vec![false; names.len()];
        let Some(replica) = names.names().get(record.replica as usize).cloned() else {
            return Err(corrupt("a replica is not in the dictionary"));
        };
        used[record.replica as usize] = true;
        let frontier = read_frontier(&record.frontier, &names, &mut used)?;
        let ack = read_frontier(&record.ack, &names, &mut used)?;
        let header = Self {
            replica,
            position: record.position.into(),
            nonce: record.nonce,
            previous: record.previous.map(Into::into),
            wall_ms: record.wall_ms,
            hlc: record.hlc.into(),
            frontier,
            ack,
        };
        match BucketKey::parse(bucket_key) {
            Some(BucketKey::Log { replica, position }) if replica == header.replica && position == header.position => {
                Ok((header, names, used))
            }
            Some(BucketKey::Log { .. }) if is_planted(Mutant::OtherKeyAccepted) => Ok((header, names, used)),
            _ => Err(corrupt("the header is of another object than its key")),
        }
    }
}

/// Every entry of a dictionary has to be used, or equal contents would have several encodings.
pub(super) fn check_all_used(used: &[bool]) -> Result<(), DecodeError> {
    if used.iter().all(|used| *used) { Ok(()) } else { Err(corrupt("the dictionary has a name that is not used")) }
}
