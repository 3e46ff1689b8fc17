//! Eviction: an operator's word that a replica will not come back.
//! Layer 4.

use crdt_core::Position;

use super::{Engine, lineage};
use crate::{
    error::{Error, ErrorKind},
    log::Eviction,
    name::ReplicaName,
};

impl Engine {
    /// Declares that `replica` will not come back, and that its log ends at `last`, or where this replica has got to.
    /// Returns the position of the segment that says so, and the final position.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for this replica itself, for one that is not known, or for one of which nothing was applied.
    pub(crate) fn evict(&self, replica: &ReplicaName, last: Option<Position>) -> Result<(Position, Position), Error> {
        self.durable.check().map_err(|(kind, message)| Error::new(kind, message))?;
        let invalid = |why: &str| Error::new(ErrorKind::Invalid, format!("{why}: replica={replica}"));
        if *replica == self.own.name || !self.writes {
            return Err(invalid("a replica is evicted by another one that writes"));
        }
        let mut state = self.state();
        let id = replica.id();
        if state.roster.get(id).is_none() {
            return Err(invalid("nobody of this name is known here"));
        }
        let applied = state.position_of(id);
        let lineage = state.standing(id).lineage;
        if let (Some(last), Some(applied)) = (last, applied)
            && last < applied
            && !lineage::holds(lineage, applied, last)
        {
            return Err(invalid("its log has no such position; `status` and the log itself tell which there are"));
        }
        let last =
            last.or(applied).ok_or_else(|| invalid("nothing of its log has been applied here; name a position"))?;
        state.evictions.insert(id, Eviction { replica: replica.clone(), last });
        let position = self.keyspace.open();
        drop(state);
        self.changed.raise();
        self.flush.raise();
        Ok((position, last))
    }
}
