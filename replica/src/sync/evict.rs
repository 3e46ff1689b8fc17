//! Eviction: an operator's word that a replica will not come back.
//! Layer 4.

use std::collections::BTreeMap;

use crdt_core::{
    Dot, Position,
    planted::{Mutant, Point, is_planted, reached},
};
use futures_util::{
    future::{join_all, select},
    pin_mut,
};

use super::{
    Engine,
    fetch::read_by_peers,
    lineage,
    pull::is_lately,
    run::logs_in,
    store::Patience,
    takeover::{LogPlace, Tail},
};
use crate::{
    error::{Error, ErrorKind},
    name::ReplicaName,
};

/// How an eviction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvictedLog {
    /// The last position of the log that counts. A replica that had read further may still raise it.
    pub last: Position,
    /// True when the log bears a final seal now: whoever writes it is stopped by that at once, and whoever opens it is
    /// told. Without one, since its bucket cannot be written from here, they are told as soon as they read from a peer.
    pub is_sealed: bool,
}

impl Engine {
    /// Declares that `replica` will not come back, and that its log ends at `last`, or at its end. Puts a final seal on the
    /// log, wherever it can be written.
    ///
    /// SUBTLE: without `last` the seal comes first, and the log is read to it. Then nothing lies beyond the end that could
    /// be read by one who has not heard of the eviction, after others have forgotten what they could. A crash in between
    /// leaves a log that has ended without a word; to evict it again says it.
    ///
    /// SUBTLE: where it cannot be sealed, whoever begins with nothing hears of the eviction by a snapshot, or too late: of
    /// all logs it might read that of the evicted first, and beyond its end. So the declaration is kept in one.
    ///
    /// # Errors
    ///
    /// As [`Replica::evict`](crate::Replica::evict).
    pub(crate) async fn evict(&self, replica: &ReplicaName, last: Option<Position>) -> Result<EvictedLog, Error> {
        self.durable.check().map_err(|(kind, message)| Error::new(kind, message))?;
        if *replica == self.own.name || !self.writes {
            return Err(invalid("a replica is evicted by another one that writes", replica));
        }
        let known = {
            let state = self.state();
            state.roster.get(replica.id()).ok_or_else(|| invalid("nobody of this name is known here", replica))?;
            state.end_of(replica.id()).or_else(|| state.evictions.get(&replica.id()).map(|pending| pending.last))
        };
        if let Some(known) = known {
            // SUBTLE: what was dead of it may have been purged on the word that nothing follows.
            if last.is_some_and(|last| last > known) {
                let why = "it has been evicted, and what lies beyond its last position may be forgotten";
                return Err(invalid(why, replica));
            }
            self.wait_until_told().await?;
            let is_sealed = self.seal_evicted(replica, Some(known)).await.is_some();
            return Ok(EvictedLog { last: known, is_sealed });
        }
        let sealed = match last {
            Some(last) => {
                self.check_named(replica, last).await?;
                None
            }
            None if is_planted(Mutant::DeclaredBeforeTheSeal) => None,
            None => self.seal_evicted(replica, None).await,
        };
        if let Some((place, seal)) = &sealed {
            let is_read = self.read_once(place.clone(), self.some_patience()).await;
            if !is_read || self.state().position_of(replica.id()) < Some(*seal) {
                let why = "its log has ended, and cannot be read to its end now; evict it again, or name a position";
                return Err(Error::new(ErrorKind::Store, format!("{why}: replica={replica} end={seal}")));
            }
        }
        let last = self.declare(replica, last).await?;
        self.wait_until_told().await?;
        let is_sealed = sealed.is_some() || self.seal_evicted(replica, Some(last)).await.is_some();
        Ok(EvictedLog { last, is_sealed })
    }

    /// A named position must be one that this replica has applied, or in a log that can be read, or where a peer has read to of one
    /// that was rolled back since; where no log can be read, the operator is believed.
    async fn check_named(&self, replica: &ReplicaName, last: Position) -> Result<(), Error> {
        let is_applied = {
            let state = self.state();
            let standing = state.standing(replica.id());
            let applied = state.position_of(replica.id());
            applied.is_some_and(|applied| last <= applied && lineage::holds(standing.lineage, applied, last))
        };
        if is_applied {
            return Ok(());
        }
        let tails = self.tails_of(replica).await;
        let has = |tail: &Tail| last < tail.position && lineage::holds(&tail.lineage, tail.position, last);
        if tails.is_empty() || tails.iter().any(|(_, tail)| has(tail)) {
            return Ok(());
        }
        let is_read = self.read_elsewhere(replica).await.contains(&last);
        if is_read { Ok(()) } else { Err(no_such_position(replica)) }
    }

    /// Puts the declaration into the next segment. Returns the final position.
    async fn declare(&self, replica: &ReplicaName, named: Option<Position>) -> Result<Position, Error> {
        let id = replica.id();
        let (applied, published) = {
            let state = self.state();
            let applied = state.position_of(id);
            if let (Some(named), Some(applied)) = (named, applied)
                && named < applied
                && !lineage::holds(state.standing(id).lineage, applied, named)
            {
                return Err(no_such_position(replica));
            }
            (applied, state.published.get(id))
        };
        let last = match named {
            Some(named) => {
                if applied >= Some(named) {
                    self.wait_until_kept(Dot { replica: id, position: named }).await?;
                }
                named
            }
            None if published > applied => {
                let why =
                    "less of its log has come back than this replica once knew; wait until it has, or name a position";
                return Err(invalid(why, replica));
            }
            None => {
                let none = || invalid("nothing of its log has been applied here; name a position", replica);
                let applied = applied.ok_or_else(none)?;
                // Whoever is short of it can then get it from here, also after a crash.
                self.wait_until_kept(Dot { replica: id, position: applied }).await?;
                applied
            }
        };
        self.state().declare(replica, last);
        self.changed.raise();
        self.flush.raise();
        Ok(last)
    }

    /// Waits until every eviction that was declared here is in the own bucket, in the log and in a snapshot.
    async fn wait_until_told(&self) -> Result<(), Error> {
        let cut = {
            let state = self.state();
            let cut = state.position_of(self.own.name.id());
            if state.evictions.is_empty() { cut } else { Some(self.keyspace.open()) }
        };
        let position = cut.unwrap_or(Position::FIRST);
        self.durable.wait(position).await.map_err(|(kind, message)| Error::new(kind, message))?;
        self.wait_until_kept(Dot { replica: self.own.name.id(), position }).await
    }

    /// The logs of this name that can be read, and where each of them ends.
    async fn tails_of(&self, replica: &ReplicaName) -> Vec<(LogPlace, Tail)> {
        let patience = self.some_patience();
        let logs = join_all(self.regions.iter().map(|region| logs_in(region, &self.own, patience))).await;
        let places: Vec<LogPlace> =
            logs.into_iter().flatten().flatten().filter(|place| place.name == *replica).collect();
        let tails = join_all(places.iter().map(|place| place.tail(patience))).await;
        places.into_iter().zip(tails).filter_map(|(place, tail)| Some((place, tail.ok()?))).collect()
    }

    /// How far each of the peers has read a log.
    async fn read_elsewhere(&self, replica: &ReplicaName) -> Vec<Position> {
        let logs = self.discover().await.into_iter().map(|(_, log)| log).collect();
        let read = read_by_peers(replica, logs, self.some_patience()).await;
        read.into_iter().map(|(_, position)| position).collect()
    }

    /// Puts a final seal on the log of this name that goes furthest, if it is the one that was read here and holds `last`:
    /// one that was rolled back, or a copy, must not look like the whole. Returns which was sealed, and the seal's position.
    async fn seal_evicted(&self, replica: &ReplicaName, last: Option<Position>) -> Option<(LogPlace, Position)> {
        // Others may have read more of it than is here, and than is left.
        let read = self.read_elsewhere(replica).await;
        // Not before: who asks slow buckets must not run out of time before it has tried.
        let began = self.world.clock.elapsed();
        while self.world.clock.elapsed().saturating_sub(began) <= self.settings.catch_up {
            let (place, tail) = self.tails_of(replica).await.into_iter().max_by_key(|(_, tail)| tail.position)?;
            let is_ours = {
                let state = self.state();
                let ours = state.standing(replica.id()).lineage;
                let common = ours.len().min(tail.lineage.len());
                let holds =
                    |position| position < tail.position && lineage::holds(&tail.lineage, tail.position, position);
                ours[..common] == tail.lineage[..common]
                    && [last, state.position_of(replica.id()), state.published.get(replica.id())]
                        .into_iter()
                        .flatten()
                        .chain(read.iter().copied())
                        .all(holds)
            };
            if !is_ours {
                reached(Point::EvictedLogIsNotWhole);
                return None;
            }
            let (wall, hlc) = (self.world.clock.wall_ms(), self.clock().last());
            match place.seal_for_good(&tail, wall, hlc, self.nonce, self.some_patience()).await {
                Ok(true) => return Some((place, seal_of(&tail))),
                // Its writer was faster.
                Ok(false) => reached(Point::EvictedWriterIsFaster),
                Err(_) => return None,
            }
        }
        None
    }

    /// Looks for what is missing of evicted logs, for as long as the replica runs. Their buckets may be gone, so that nobody
    /// reads them: then a snapshot of any live replica has it.
    pub(crate) async fn keep_completing(&self) {
        let mut sought: BTreeMap<ReplicaName, core::time::Duration> = BTreeMap::new();
        loop {
            let sleep = self.world.clock.sleep(self.settings.discovery_interval);
            let raised = self.short_of_evicted.wait();
            pin_mut!(sleep, raised);
            select(sleep, raised).await;
            // The log itself has it, more often than not.
            self.world.clock.sleep(self.settings.poll_max).await;
            let _complete = self
                .complete_evicted(|name| {
                    let lately = sought.get(name).is_some_and(|at| is_lately(self, *at));
                    if !lately {
                        sought.insert(name.clone(), self.world.clock.elapsed());
                    }
                    !lately
                })
                .await;
        }
    }

    /// Merges snapshots that hold what is missing of evicted logs. Returns whether nothing is missing any more.
    pub(crate) async fn complete_evicted(&self, mut is_wanted: impl FnMut(&ReplicaName) -> bool) -> bool {
        let short = self.state().short_of_evicted();
        for (name, last) in short.into_iter().filter(|(name, _)| is_wanted(name)) {
            let place = format!("end of log {name}");
            let merged = self.fetch_more_of(&name).await;
            if self.state().position_of(name.id()) >= Some(last) {
                self.alarms.clear(&place);
            } else {
                // It is sought again.
                let says = "less of an evicted log has been read than counts, and no snapshot in reach has the rest";
                let missing = Error::new(ErrorKind::Store, format!("{says}: replica={name} end={last}"));
                self.alarms.raise(&place, merged.as_ref().err().unwrap_or(&missing));
            }
        }
        let short = self.state().short_of_evicted();
        let is_short = |place: &str| short.iter().any(|(name, _)| place == format!("end of log {name}"));
        self.alarms.clear_all("end of log ", |place| !is_short(place));
        // Of a log that is read to its end nothing more is asked, so nothing else would end what was wrong with it.
        let done = self.state().read_to_their_ends();
        self.alarms.clear_all("log ", |place| done.iter().any(|name| place == format!("log {name}")));
        short.is_empty()
    }

    fn some_patience(&self) -> Patience {
        Patience::For(self.settings.catch_up)
    }
}

/// Where the final seal stands, if the tail was free, or is final already.
fn seal_of(tail: &Tail) -> Position {
    let before = tail.position.slot().saturating_sub(u32::from(tail.is_final));
    Position::new(tail.position.epoch(), before)
}

fn invalid(why: &str, replica: &ReplicaName) -> Error {
    Error::new(ErrorKind::Invalid, format!("{why}: replica={replica}"))
}

fn no_such_position(replica: &ReplicaName) -> Error {
    invalid("its log has no such position; `status` and the log itself tell which there are", replica)
}
