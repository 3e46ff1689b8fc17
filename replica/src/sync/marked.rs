//! Finding out who else has made a mark.
//! Layer 4.

use crdt_core::Position;

use super::{Engine, run::logs_in, shelf::Shelf, store::Patience, takeover::LogPlace};
use crate::{error::Error, log::LogObject, name::ReplicaName};

impl Engine {
    /// The other live replicas whose logs hold a mark of this name.
    pub(crate) async fn marked_by(&self, name: &[u8]) -> Result<Vec<ReplicaName>, Error> {
        let patience = Patience::For(self.settings.catch_up);
        let mut found = Vec::new();
        for region in &self.regions {
            for log in logs_in(region, &self.own, patience).await? {
                let is_evicted = || self.state().logs.get(&log.name.id()).is_some_and(|known| known.evicted.is_some());
                if log.name != self.own.name && !is_evicted() && has_marked(&log, name, patience).await? {
                    found.push(log.name);
                }
            }
        }
        Ok(found)
    }
}

/// True when the newest snapshot beside a log, or the log behind it, holds a mark of this name.
async fn has_marked(log: &LogPlace, name: &[u8], patience: Patience) -> Result<bool, Error> {
    let shelf = Shelf::of(log);
    loop {
        let manifest = shelf.newest(patience).await?;
        let begin = manifest.as_ref().map(|manifest| manifest.position);
        if manifest.is_some_and(|manifest| manifest.marks.iter().any(|mark| *mark.name == *name)) {
            return Ok(true);
        }
        let mut next = begin.map_or(Some(Position::FIRST), Position::next);
        while let Some(position) = next {
            next = match log.read(position, patience).await? {
                Some(LogObject::Segment(segment)) if segment.marks().iter().any(|mark| *mark.name == *name) => {
                    return Ok(true);
                }
                Some(LogObject::Segment(_)) => position.next(),
                Some(LogObject::Seal(found)) => found.seal().next_epoch.map(|epoch| Position::new(epoch, 0)),
                None => None,
            };
        }
        // What came behind may have been collected meanwhile, and is in a newer snapshot then.
        if shelf.positions(patience).await?.pop() == begin {
            return Ok(false);
        }
    }
}
