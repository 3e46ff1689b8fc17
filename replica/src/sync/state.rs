//! What a replica knows of every log, and what it does when it hears of a segment or a seal.
//! Layer 4. *Invariant:* nothing here waits: a segment is applied, and the position moved, in one go.

use std::collections::BTreeMap;

use blake3::Hash;
use crdt_core::{Frontier, Position, ReplicaId};

use crate::{
    error::{Error, ErrorKind},
    keyspace::{Applied, Keyspace},
    log::{FoundSeal, LogHeader, LogObject, SealedEpoch, Segment},
    name::{ReplicaName, Roster},
};

/// What is known of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogKnowledge {
    /// The hash of the object at the position applied.
    pub(crate) hash: Option<Hash>,
    /// Its epochs that have ended, in ascending order.
    pub(crate) lineage: Vec<SealedEpoch>,
    /// What its replica promised never to need again.
    pub(crate) ack: Frontier,
    /// The last position that changed anything.
    pub(crate) last_change: Option<Position>,
    /// The furthest position that anybody has published of it.
    pub(crate) heard: Option<Position>,
    /// The wall clock of its writer when the last object applied was cut, in milliseconds.
    pub(crate) wall_ms: u64,
}

/// Everything that a replica knows, but for the objects themselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) applied: Applied,
    /// What the own log has ever published of its frontier. It only grows, also through a recovery.
    pub(crate) published: Frontier,
    pub(crate) roster: Roster,
    pub(crate) logs: BTreeMap<ReplicaId, LogKnowledge>,
}

impl State {
    /// The position that follows what has been applied of a log. The first object of any log is at (0, 0).
    pub(crate) fn position_of(&self, replica: ReplicaId) -> Option<Position> {
        self.applied.frontier.get(replica)
    }

    /// Takes note of a replica. Two names with one id are refused.
    pub(crate) fn meet(&mut self, name: &ReplicaName) -> Result<ReplicaId, Error> {
        let id = self.roster.insert(name.clone());
        let id = id.map_err(|same| Error::new(ErrorKind::Invalid, same.to_string()))?;
        self.logs.entry(id).or_default();
        Ok(id)
    }

    /// Checks that an object of a log goes on where that log was.
    ///
    /// A hole in the chain of hashes is lost history: what was applied before is not what its writer had written before.
    fn check_chain(&self, header: &LogHeader) -> Result<(), Error> {
        let known = self.logs.get(&header.replica.id()).and_then(|log| log.hash);
        if known == header.previous {
            return Ok(());
        }
        let (replica, position) = (&header.replica, header.position);
        Err(Error::new(
            ErrorKind::LostHistory,
            format!(
                "a log does not go on where it was: its bucket was emptied, rolled back or tampered with; its replica \
                 must be opened under a new name: replica={replica} position={position}"
            ),
        ))
    }

    /// Applies a segment. One that has been applied before changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LostHistory`] when the segment does not follow what has been applied; nothing is merged.
    pub(crate) fn apply(&mut self, keyspace: &Keyspace, segment: &Segment) -> Result<(), Error> {
        if self.applied.frontier.covers(segment.dot()) {
            return Ok(());
        }
        self.check_chain(segment.header())?;
        segment.names().iter().try_for_each(|name| self.meet(name).map(drop))?;
        let merged = super::rows::merge(keyspace, &mut self.applied, segment);
        merged.map_err(|invalid| Error::new(ErrorKind::Corrupt, invalid.to_string()))?;
        self.passed(segment.header(), segment.hash(), !segment.is_empty());
        Ok(())
    }

    /// Moves on past a seal that counts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LostHistory`] when the seal does not follow what has been applied, or tells of other epochs.
    pub(crate) fn pass_seal(&mut self, found: &FoundSeal) -> Result<(), Error> {
        let seal = found.seal();
        self.check_chain(&seal.header)?;
        found.names().iter().try_for_each(|name| self.meet(name).map(drop))?;
        let log = self.logs.entry(seal.header.replica.id()).or_default();
        if !seal.lineage.starts_with(&log.lineage) {
            return Err(Error::new(
                ErrorKind::LostHistory,
                format!("a log tells of other epochs than before: replica={}", seal.header.replica),
            ));
        }
        log.lineage.clone_from(&seal.lineage);
        log.lineage.push(SealedEpoch {
            epoch: seal.header.position.epoch(),
            slot: seal.header.position.slot(),
            nonce: seal.header.nonce,
        });
        self.passed(&seal.header, found.hash(), false);
        Ok(())
    }

    /// Takes note of an object of the own log that has just been made: its changes are in the keyspace already.
    pub(crate) fn passed_own(&mut self, object: &LogObject) {
        let changes = matches!(object, LogObject::Segment(segment) if !segment.is_empty());
        self.passed(object.header(), object.hash(), changes);
    }

    fn passed(&mut self, header: &LogHeader, hash: Hash, changes: bool) {
        let dot = header.dot();
        self.applied.frontier.advance(dot);
        self.applied.early.settle(&self.applied.frontier);
        for heard in &header.frontier {
            let log = self.logs.entry(heard.replica).or_default();
            log.heard = log.heard.max(Some(heard.position));
        }
        let log = self.logs.entry(dot.replica).or_default();
        log.hash = Some(hash);
        log.heard = log.heard.max(Some(dot.position));
        log.wall_ms = header.wall_ms;
        log.ack.join(&header.ack);
        if changes {
            log.last_change = Some(dot.position);
        }
    }
}
