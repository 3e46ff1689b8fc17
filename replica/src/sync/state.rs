//! What a replica knows of every log, and what it does when it hears of a segment, a seal or a snapshot.
//! Layer 4. *Invariant:* nothing here waits: a segment is applied, and the position moved, in one go.

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use blake3::Hash;
use crdt_core::{
    Dot, Frontier, Position, ReplicaId,
    planted::{Mutant, Point, is_planted, reached},
};

use super::{
    delays::Delays,
    graves::Graves,
    lineage::{self, Standing},
    rows,
};
use crate::{
    error::{Error, ErrorKind},
    key::ObjectKey,
    keyspace::{Applied, Cut, Keyspace, Origin},
    log::{Evicted, Eviction, FoundSeal, LogHeader, Seal, SealedEpoch, Segment},
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
    /// Since when collecting waits for its replica to promise more of the own log.
    pub(crate) blocks: Option<Duration>,
    /// The last position that changed anything.
    pub(crate) last_change: Option<Position>,
    /// The furthest position that anybody has published of it.
    pub(crate) heard: Option<Position>,
    /// The wall clock of its writer when the last object applied was cut, in milliseconds.
    pub(crate) wall_ms: u64,
    /// Set when its replica was evicted.
    pub(crate) evicted: Option<Evicted>,
    /// When, by the clock that never goes back, something new of it was applied last.
    pub(crate) contact: Option<Duration>,
    /// How far its replica had applied each log when it wrote the last object that was applied here.
    pub(crate) told: Frontier,
    /// When its bucket last answered a request for it.
    pub(crate) answered: Option<Duration>,
    /// How many objects of it were read, and how many bytes they had.
    pub(crate) read: (u64, u64),
    /// How long after they were cut they were applied.
    pub(crate) delays: Delays,
    /// In which region's bucket it was read last.
    pub(crate) region: Option<Arc<str>>,
    /// Whether the newest snapshots that could be compared, ours and its replica's, hold the same.
    pub(crate) agrees: Option<bool>,
    /// When they last did, by the wall clock.
    pub(crate) agreed_ms: Option<u64>,
}

/// Everything that a replica knows, but for the objects themselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) applied: Applied,
    /// What the own log has ever published of its frontier. It only grows, also through a recovery.
    pub(crate) published: Frontier,
    pub(crate) roster: Roster,
    pub(crate) logs: BTreeMap<ReplicaId, LogKnowledge>,
    pub(crate) graves: Graves,
    /// Evictions that the next segment declares.
    pub(crate) evictions: BTreeMap<ReplicaId, Eviction>,
    /// Set when somebody has acknowledged more: something may be purged.
    pub(crate) purge_due: bool,
    /// Segments that were read and had been applied already.
    pub(crate) doubled: u64,
    /// Bytes of log that were applied or written, ever: what tells when a snapshot is due.
    pub(crate) log_bytes: u64,
}

impl State {
    /// The last position applied of a log.
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

    /// Where this replica stands in a log.
    pub(crate) fn standing(&self, replica: ReplicaId) -> Standing<'_> {
        let log = self.logs.get(&replica);
        let lineage = log.map_or(&[][..], |log| &log.lineage);
        Standing { at: self.position_of(replica), hash: log.and_then(|log| log.hash), lineage }
    }

    /// True while less has been applied than the own log has published: what this replica once knew is not all back.
    ///
    /// What an evicted replica wrote beyond its end does not come back.
    pub(crate) fn is_behind(&self) -> bool {
        !self.published.iter().all(|dot| self.applied.frontier.covers(dot) || self.has_ended_before(dot))
    }

    /// True for a position of an evicted log that lies beyond its end, when it has been applied up to that.
    fn has_ended_before(&self, dot: Dot) -> bool {
        let last = self.end_of(dot.replica);
        last.is_some_and(|last| last < dot.position && self.position_of(dot.replica) >= Some(last))
    }

    /// The last position that counts of a log whose replica was evicted.
    pub(crate) fn end_of(&self, replica: ReplicaId) -> Option<Position> {
        self.logs
            .get(&replica)?
            .evicted
            .as_ref()
            .map(|evicted| evicted.last)
            .filter(|_| !is_planted(Mutant::EvictedReadOn))
    }

    /// The evicted logs that have not been applied to their ends, with those.
    pub(crate) fn short_of_evicted(&self) -> Vec<(ReplicaName, Position)> {
        let short = |(id, name): (ReplicaId, &ReplicaName)| {
            let last = self.end_of(id)?;
            (self.position_of(id) < Some(last)).then(|| (name.clone(), last))
        };
        self.roster.iter().filter_map(short).collect()
    }

    /// The evicted logs that have been applied to their ends.
    pub(crate) fn read_to_their_ends(&self) -> Vec<ReplicaName> {
        let is_done = |id| self.end_of(id).is_some_and(|last| self.position_of(id) >= Some(last));
        self.roster.iter().filter(|(id, _)| is_done(*id)).map(|(_, name)| name.clone()).collect()
    }

    /// Has the next segment declare an eviction: of several, the greatest final position counts.
    pub(crate) fn declare(&mut self, replica: &ReplicaName, last: Position) {
        let held = self.evictions.entry(replica.id()).or_insert_with(|| Eviction { replica: replica.clone(), last });
        held.last = held.last.max(last);
    }

    /// Checks what somebody has read of this replica's own log: it must be there. `claimed` is the epoch in which it writes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Fenced`] when they have read what another process wrote after it; [`ErrorKind::LostHistory`] when they have read what is
    /// not there: the own bucket was emptied or rolled back before this replica was opened.
    pub(crate) fn check_own(
        &self,
        own: &ReplicaName,
        claimed: u32,
        theirs: &Frontier,
        reader: &ReplicaName,
    ) -> Result<(), Error> {
        let Some(read) = theirs.get(own.id()) else { return Ok(()) };
        let Standing { at, lineage, .. } = self.standing(own.id());
        if at.is_some_and(|at| lineage::holds(lineage, at, read)) || is_planted(Mutant::HistoryUnchecked) {
            return Ok(());
        }
        // What this process has not written in the epoch that it claimed, or later, somebody has who took over since.
        if read.epoch() >= claimed {
            return Err(fenced(own, None));
        }
        Err(own_history_lost(own, reader, read))
    }

    /// Checks that an object of a log goes on where that log was.
    ///
    /// A hole in the chain of hashes is lost history: what was applied before is not what its writer had written before.
    fn check_chain(&self, header: &LogHeader) -> Result<(), Error> {
        let known = self.logs.get(&header.replica.id()).and_then(|log| log.hash);
        if known == header.previous || is_planted(Mutant::HistoryUnchecked) {
            Ok(())
        } else {
            Err(history_lost(&header.replica, header.position))
        }
    }

    /// Applies a segment. One that has been applied before changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LostHistory`] when the segment does not follow what has been applied; nothing is merged.
    pub(crate) fn apply(&mut self, keyspace: &Keyspace, segment: &Segment) -> Result<(), Error> {
        if self.applied.frontier.covers(segment.dot()) {
            self.doubled += 1;
            return Ok(());
        }
        self.check_chain(segment.header())?;
        segment.names().iter().try_for_each(|name| self.meet(name).map(drop))?;
        let origin = Origin::Replica(segment.header().replica.clone());
        let dead = rows::merge(keyspace, &mut self.applied, segment, &origin);
        let dead = dead.map_err(|invalid| Error::new(ErrorKind::Corrupt, invalid.to_string()))?;
        for Eviction { replica, last } in segment.evictions() {
            self.evict(replica, *last, segment.dot())?;
        }
        let early = is_planted(Mutant::NeedsBeforeTheMerge).then(|| self.needs());
        self.passed(segment.header(), segment.hash(), !segment.is_empty());
        let needs = early.unwrap_or_else(|| self.needs());
        self.graves.bury(dead, needs);
        Ok(())
    }

    /// Moves on past a seal that counts. One that has been passed before changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LostHistory`] when the seal does not follow what has been applied, or tells of other epochs.
    pub(crate) fn pass_seal(&mut self, found: &FoundSeal) -> Result<(), Error> {
        let seal = found.seal();
        let Seal { header, lineage, .. } = seal;
        if self.applied.frontier.covers(header.dot()) {
            return Ok(());
        }
        self.check_chain(header)?;
        found.names().iter().try_for_each(|name| self.meet(name).map(drop))?;
        let log = self.logs.entry(header.replica.id()).or_default();
        if !lineage.starts_with(&log.lineage) {
            return Err(history_lost(&header.replica, header.position));
        }
        log.lineage.clone_from(lineage);
        log.lineage.push(seal.ended());
        self.passed(header, found.hash(), false);
        Ok(())
    }

    /// Takes note of a segment of the own log that has just been cut: its changes are in the keyspace already.
    pub(crate) fn passed_own(
        &mut self,
        header: &LogHeader,
        hash: Hash,
        cut: &Cut,
        evictions: &[Eviction],
    ) -> Result<(), Error> {
        let changes = !(cut.rows.is_empty() && cut.marks.is_empty() && evictions.is_empty());
        for Eviction { replica, last } in evictions {
            self.evict(replica, *last, cut.dot)?;
        }
        self.passed(header, hash, changes);
        self.published.advance(cut.dot);
        let tallies = |key: &ObjectKey, changes: &crdt_core::ObjectChanges| match changes {
            crdt_core::ObjectChanges::Counter(row) => {
                row.tallies().iter().filter(|tally| tally.is_dead()).map(|tally| (key.clone(), *tally)).collect()
            }
            _ => Vec::new(),
        };
        let dead = cut.rows.iter().flat_map(|(key, changes)| tallies(key, changes)).collect();
        let needs = self.needs();
        self.graves.bury(dead, needs);
        Ok(())
    }

    /// What the owner of a tally that has died by now must acknowledge: the last position of each log that changed
    /// anything. Nobody acknowledges empty segments for their own sake.
    pub(crate) fn needs(&self) -> Frontier {
        if is_planted(Mutant::NeedsEmptySegments) {
            return self.applied.frontier.clone();
        }
        self.logs.iter().filter_map(|(id, log)| Some(Dot { replica: *id, position: log.last_change? })).collect()
    }

    fn passed(&mut self, header: &LogHeader, hash: Hash, changes: bool) {
        let dot = header.dot();
        self.applied.frontier.advance(dot);
        if is_planted(Mutant::FrontierJoinsHeaders) {
            self.applied.frontier.join(&header.frontier);
        }
        self.applied.early.settle(&self.applied.frontier);
        for heard in &header.frontier {
            self.hear(heard);
        }
        self.hear(dot);
        // What an evicted replica counted may go once its log has been read to its end.
        self.purge_due |= self.end_of(dot.replica).is_some_and(|last| dot.position >= last);
        let log = self.logs.entry(dot.replica).or_default();
        log.hash = Some(hash);
        log.wall_ms = header.wall_ms;
        log.told.clone_from(&header.frontier);
        self.purge_due |= !log.ack.covers_all(&header.ack);
        log.ack.join(&header.ack);
        if changes {
            log.last_change = Some(dot.position);
        }
    }

    /// Takes note of how far a log is said to go.
    pub(crate) fn hear(&mut self, dot: Dot) {
        let log = self.logs.entry(dot.replica).or_default();
        log.heard = log.heard.max(Some(dot.position));
    }

    /// The same from a hint, which may be wrong: it makes nobody known.
    pub(crate) fn hear_of_known(&mut self, dot: Dot) {
        if self.roster.get(dot.replica).is_some() {
            self.hear(dot);
        }
    }

    /// Takes note of an eviction: of several, the greatest final position counts.
    pub(crate) fn evict(&mut self, replica: &ReplicaName, last: Position, declared: Dot) -> Result<(), Error> {
        let declared = [declared].into_iter().collect();
        let id = self.meet(replica)?;
        self.purge_due = true;
        self.merge_evicted(id, &Evicted { last, declared });
        Ok(())
    }

    /// The same, as a snapshot has it.
    pub(crate) fn merge_evicted(&mut self, id: ReplicaId, evicted: &Evicted) {
        let log = self.logs.entry(id).or_default();
        match &mut log.evicted {
            Some(held) if held.last == evicted.last => held.declared.join(&evicted.declared),
            Some(held) if held.last > evicted.last => {}
            Some(held) => {
                reached(Point::EvictionRaised);
                *held = evicted.clone();
            }
            None => log.evicted = Some(evicted.clone()),
        }
    }

    /// Every replica that is live: known, and not evicted.
    pub(crate) fn live(&self) -> impl Iterator<Item = (ReplicaId, &LogKnowledge)> {
        self.logs.iter().filter(|(_, log)| log.evicted.is_none()).map(|(id, log)| (*id, log))
    }

    /// Drops the dead tallies that nobody can bring back any more.
    pub(crate) fn purge(&mut self, keyspace: &Keyspace) {
        let mut graves = std::mem::take(&mut self.graves);
        let has_heard = |dot: Dot| self.applied.frontier.covers(dot) || self.has_ended_before(dot);
        graves.purge(keyspace, has_heard, |owner, needs| self.has_acknowledged(owner, needs));
        self.graves = graves;
        self.purge_due = false;
        // What was removed of it beyond its end does not come any more either.
        let mut early = std::mem::take(&mut self.applied.early);
        let ended = |dot: Dot| self.has_ended_before(dot) && self.has_acknowledged(dot.replica, &Frontier::default());
        early.forget(ended);
        self.applied.early = early;
    }

    /// True when `owner` holds durably what `needs` says. An evicted one will never need anything again, once its last
    /// position has been applied and every live replica holds durably that this is its last.
    fn has_acknowledged(&self, owner: ReplicaId, needs: &Frontier) -> bool {
        let Some(log) = self.logs.get(&owner) else { return false };
        let Some(Evicted { last, declared }) = &log.evicted else { return log.ack.covers_all(needs) };
        let known = |ack: &Frontier| declared.iter().any(|dot| ack.covers(dot));
        self.applied.frontier.covers(Dot { replica: owner, position: *last })
            && self.live().all(|(_, live)| known(&live.ack))
    }
}

/// A log is not what was read of it before.
pub(crate) fn history_lost(replica: &ReplicaName, position: Position) -> Error {
    Error::new(
        ErrorKind::LostHistory,
        format!(
            "a log does not go on where it was: its bucket was emptied, rolled back or tampered with; its replica must be \
             opened under a new name: replica={replica} position={position}"
        ),
    )
}

/// Somebody else writes the own log now: who wrote `found`, if that was read.
pub(crate) fn fenced(own: &ReplicaName, found: Option<&LogHeader>) -> Error {
    let says = "another process has taken this replica's log over; stop this one, or open another name";
    let by = found.map_or_else(String::new, |LogHeader { nonce, position, wall_ms, .. }| {
        format!(" process={} position={position} wall_ms={wall_ms}", process(nonce))
    });
    Error::new(ErrorKind::Fenced, format!("{says}: replica={own}{by}"))
}

/// How a process is told from every other one that has ever written the same log.
pub(crate) fn process(nonce: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*nonce))
}

/// The own log is not what a peer has read of it.
pub(crate) fn own_history_lost(own: &ReplicaName, reader: &ReplicaName, read: Position) -> Error {
    Error::new(
        ErrorKind::LostHistory,
        format!(
            "a peer has read more of the own log than there is: the own bucket was emptied or rolled back; open a new \
             replica name, which recovers what the peers hold: replica={own} peer={reader} read={read}"
        ),
    )
}
