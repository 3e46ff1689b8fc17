//! Finding out who else has made a mark.
//! Layer 4.

use crdt_core::Position;

use super::{Engine, run::logs_in, shelf::Shelf, store::Patience, takeover::LogPlace};
use crate::{error::Error, keyspace::MarkValue, log::LogObject, name::ReplicaName};

/// A mark that another replica holds: [`Replica::marked_by`](crate::Replica::marked_by).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Marked {
    /// Who has made it.
    pub replica: ReplicaName,
    /// The region in whose bucket that replica's log is, as [`Status::regions`](crate::Status::regions) calls it.
    pub region: String,
    /// What it noted last.
    pub value: MarkValue,
}

impl Engine {
    /// The marks of this name in the logs of the other live replicas.
    pub(crate) async fn marked_by(&self, name: &[u8]) -> Result<Vec<Marked>, Error> {
        let patience = Patience::For(self.settings.catch_up);
        let mut found = Vec::new();
        for region in &self.regions {
            for log in logs_in(region, &self.own, patience).await? {
                let is_evicted = || self.state().logs.get(&log.name.id()).is_some_and(|known| known.evicted.is_some());
                if log.name == self.own.name || is_evicted() {
                    continue;
                }
                if let Some(value) = marked(&log, name, patience).await? {
                    found.push(Marked { replica: log.name, region: region.name.clone(), value });
                }
            }
        }
        Ok(found)
    }
}

/// The last mark of this name in the newest snapshot beside a log, or in the log behind it.
async fn marked(log: &LogPlace, name: &[u8], patience: Patience) -> Result<Option<MarkValue>, Error> {
    let shelf = Shelf::of(log);
    loop {
        let manifest = shelf.newest(patience).await?;
        let begin = manifest.as_ref().map(|manifest| manifest.position);
        let held = manifest.iter().flat_map(|manifest| &manifest.marks).find(|mark| *mark.name == *name);
        let mut last = held.map(|mark| mark.value);
        let mut next = begin.map_or(Some(Position::FIRST), Position::next);
        while let Some(position) = next {
            next = match log.read(position, patience).await? {
                Some(LogObject::Segment(segment)) => {
                    let made = segment.marks().iter().find(|mark| *mark.name == *name);
                    last = made.map(|mark| mark.value).or(last);
                    position.next()
                }
                Some(LogObject::Seal(found)) => found.seal().next_epoch.map(|epoch| Position::new(epoch, 0)),
                None => None,
            };
        }
        // What came behind may have been collected meanwhile, and is in a newer snapshot then.
        if shelf.positions(patience).await?.pop() == begin {
            return Ok(last);
        }
    }
}
