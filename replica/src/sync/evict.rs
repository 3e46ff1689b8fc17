//! Eviction: an operator's word that a replica will not come back.
//! Layer 4.

use crdt_core::Position;
use futures_util::future::join_all;

use super::{Engine, lineage, run::logs_in, store::Patience, takeover::LogPlace};
use crate::{
    error::{Error, ErrorKind},
    log::Eviction,
    name::ReplicaName,
};

/// How an eviction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvictedLog {
    /// The last position of the log that counts.
    pub last: Position,
    /// True when the log bears a final seal now: whoever writes it is stopped by that at once, and whoever opens it is
    /// told. Without one, since its bucket cannot be written from here, they are told as soon as they read from a peer.
    pub is_sealed: bool,
}

impl Engine {
    /// Declares that `replica` will not come back, and that its log ends at `last`, or where this replica has got to; when
    /// that is durable, puts a final seal on the log, wherever it can be written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for this replica itself, for one that is not known, for one of which nothing was applied, and
    /// for a position that its log is seen not to have; and what stops this replica.
    pub(crate) async fn evict(&self, replica: &ReplicaName, last: Option<Position>) -> Result<EvictedLog, Error> {
        let patience = Patience::For(self.settings.catch_up);
        if let Some(last) = last {
            for place in self.places_of(replica, patience).await {
                // One that cannot be read may have it.
                if let Ok(tail) = place.tail(patience).await
                    && (last >= tail.position || !lineage::holds(&tail.lineage, tail.position, last))
                {
                    return Err(no_such_position(replica));
                }
            }
        }
        let (position, last) = self.declare(replica, last)?;
        self.durable.wait(position).await.map_err(|(kind, message)| Error::new(kind, message))?;
        let mut is_sealed = false;
        for place in self.places_of(replica, patience).await {
            is_sealed |= self.seal_evicted(&place, patience).await;
        }
        Ok(EvictedLog { last, is_sealed })
    }

    /// Puts the declaration into the next segment. Returns its position, and the final one.
    fn declare(&self, replica: &ReplicaName, last: Option<Position>) -> Result<(Position, Position), Error> {
        self.durable.check().map_err(|(kind, message)| Error::new(kind, message))?;
        if *replica == self.own.name || !self.writes {
            return Err(invalid("a replica is evicted by another one that writes", replica));
        }
        let mut state = self.state();
        let id = replica.id();
        if state.roster.get(id).is_none() {
            return Err(invalid("nobody of this name is known here", replica));
        }
        let applied = state.position_of(id);
        let lineage = state.standing(id).lineage;
        if let (Some(last), Some(applied)) = (last, applied)
            && last < applied
            && !lineage::holds(lineage, applied, last)
        {
            return Err(no_such_position(replica));
        }
        if let Some(held) = state.logs.get(&id).and_then(|log| log.evicted.as_ref()).map(|evicted| evicted.last) {
            // SUBTLE: what was dead of it may have been purged on the word that nothing follows.
            if last.is_some_and(|last| last > held) {
                return Err(invalid(
                    "it has been evicted, and what lies beyond its last position may be forgotten",
                    replica,
                ));
            }
            return Ok((self.durable.reached(), held));
        }
        let none = || invalid("nothing of its log has been applied here; name a position", replica);
        let last = last.or(applied).ok_or_else(none)?;
        state.evictions.insert(id, Eviction { replica: replica.clone(), last });
        let position = self.keyspace.open();
        drop(state);
        self.changed.raise();
        self.flush.raise();
        Ok((position, last))
    }

    /// Where there is a log of this name, as far as the buckets can be listed.
    async fn places_of(&self, replica: &ReplicaName, patience: Patience) -> Vec<LogPlace> {
        let logs = join_all(self.regions.iter().map(|region| logs_in(region, &self.own, patience))).await;
        logs.into_iter().flatten().flatten().filter(|place| place.name == *replica).collect()
    }

    /// Returns whether there is a final seal on the log now.
    async fn seal_evicted(&self, place: &LogPlace, patience: Patience) -> bool {
        let began = self.world.clock.elapsed();
        while self.world.clock.elapsed().saturating_sub(began) <= self.settings.catch_up {
            let (wall, hlc) = (self.world.clock.wall_ms(), self.clock().last());
            match place.seal_for_good(wall, hlc, self.nonce, patience).await {
                Ok(true) => return true,
                // Its writer was faster.
                Ok(false) => {}
                Err(error) => return error.kind() == ErrorKind::Evicted,
            }
        }
        false
    }
}

fn invalid(why: &str, replica: &ReplicaName) -> Error {
    Error::new(ErrorKind::Invalid, format!("{why}: replica={replica}"))
}

fn no_such_position(replica: &ReplicaName) -> Error {
    invalid("its log has no such position; `status` and the log itself tell which there are", replica)
}
