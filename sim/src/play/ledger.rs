//! The ledger: every object that was ever in a bucket, read by itself.
//! Layer 4.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use replica::{
    Frontier, ReplicaId,
    log::{BucketKey, LogObject, decode, decode_manifest},
};

use crate::history::{Log, Seen};

/// What stands, or has stood, at a position of a log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where the log goes on behind it: `None` for a segment, and for a seal that names no next epoch.
    pub(crate) next_epoch: Option<u32>,
    pub(crate) is_segment: bool,
    /// When it was cut, as its author's clock says.
    pub(crate) hlc: u64,
    /// What its author had published when it was cut.
    pub(crate) seen: Seen,
    /// What its author had acknowledged.
    pub(crate) ack: Seen,
    /// How often its bucket had been rolled back before.
    pub(crate) branch: u32,
    pub(crate) is_there: bool,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) seen: Seen,
    pub(crate) parts: BTreeSet<String>,
    pub(crate) is_there: bool,
}

/// What a bucket lost when it was rolled back, of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost {
    /// The positions that were there before, and not after.
    pub(crate) positions: BTreeSet<u64>,
    /// True when something was written again where it had been longer: by whoever took it over, or by a zombie.
    pub(crate) is_forked: bool,
    /// The seals that were put onto it where it had been longer, or had gone on otherwise.
    pub(crate) forks: BTreeSet<Sealed>,
}

/// A seal: where it stands, and the epoch that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sealed {
    pub(crate) at: u64,
    pub(crate) names: u64,
}

/// Every object of every log and every snapshot that ever was in its bucket.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) ids: BTreeMap<ReplicaId, Log>,
    pub(crate) entries: BTreeMap<(Log, u64), Entry>,
    pub(crate) snapshots: BTreeMap<(Log, u64), Snapshot>,
    /// The parts that are there.
    pub(crate) parts: BTreeSet<(Log, String)>,
    /// Positions that have held two objects.
    pub(crate) rewritten: BTreeSet<(Log, u64)>,
    /// How often the bucket of each log was rolled back.
    pub(crate) branch: BTreeMap<usize, u32>,
    pub(crate) lost: BTreeMap<Log, Lost>,
    /// The seals of each log that were put where nothing else had been: along them its history goes on.
    pub(crate) seals: BTreeMap<Log, BTreeSet<Sealed>>,
    /// What a log could have acknowledged when its snapshots were damaged where they lay.
    pub(crate) damaged: BTreeMap<Log, Seen>,
    /// The greatest position of each log that was deleted.
    pub(crate) deleted: BTreeMap<Log, u64>,
}

/// What a key stands for in a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Log(Log, u64),
    Manifest(Log, u64),
    Part(Log),
    Other,
}

impl Ledger {
    /// What a frontier says of the logs of the story.
    pub(crate) fn seen(&self, frontier: &Frontier) -> Seen {
        frontier.iter().filter_map(|dot| Some((*self.ids.get(&dot.replica)?, u64::from(dot.position)))).collect()
    }

    pub(crate) fn place(&self, key: &str) -> Place {
        let of = |name: &replica::name::ReplicaName| self.ids.get(&name.id()).copied();
        let place = match BucketKey::parse(key) {
            Some(BucketKey::Log { replica, position }) => of(&replica).map(|log| Place::Log(log, position.into())),
            Some(BucketKey::Manifest { replica, position }) => {
                of(&replica).map(|log| Place::Manifest(log, position.into()))
            }
            Some(BucketKey::Part { replica, .. }) => of(&replica).map(Place::Part),
            _ => None,
        };
        place.unwrap_or(Place::Other)
    }

    /// Reads an object of a log. `None` if nobody could.
    pub(crate) fn entry(&self, key: &str, body: &Bytes, home: usize) -> Option<Entry> {
        let object = decode(body, key, None).ok()?;
        let header = object.header();
        let (is_segment, next_epoch) = match &object {
            LogObject::Segment(_) => (true, None),
            LogObject::Seal(found) => (false, found.seal().next_epoch),
        };
        let branch = self.branch.get(&home).copied().unwrap_or(0);
        let (seen, ack) = (self.seen(&header.frontier), self.seen(&header.ack));
        let hlc = u64::from(header.hlc);
        Some(Entry { next_epoch, is_segment, hlc, seen, ack, branch, is_there: true })
    }

    /// Reads a manifest.
    pub(crate) fn snapshot(&self, key: &str, body: &Bytes) -> Option<Snapshot> {
        let found = decode_manifest(body, key, None).ok()?;
        let manifest = found.into_manifest();
        let name = &manifest.replica;
        let part = |part: &replica::log::PartRef| {
            let key = BucketKey::Part { replica: name.clone(), written: part.written, content: part.content };
            super::keys().key(&key)
        };
        let parts = manifest.parts.iter().map(part).collect();
        Some(Snapshot { seen: self.seen(&manifest.frontier()), parts, is_there: true })
    }

    /// The snapshots of a log that are there, in ascending order.
    pub(crate) fn snapshots_of(&self, log: Log) -> impl DoubleEndedIterator<Item = (u64, &Snapshot)> {
        let of_it = self.snapshots.range((log, 0)..=(log, u64::MAX));
        of_it.filter(|(_, snapshot)| snapshot.is_there).map(|((_, position), snapshot)| (*position, snapshot))
    }

    /// Notes that what every snapshot of a log holds may be damaged.
    pub(crate) fn note_damage(&mut self, log: Log) {
        let all = self.snapshots.range((log, 0)..=(log, u64::MAX)).map(|(_, snapshot)| &snapshot.seen);
        let damaged = self.damaged.entry(log).or_default();
        for (of, position) in all.flatten() {
            let held = damaged.entry(*of).or_insert(*position);
            *held = (*held).max(*position);
        }
    }

    /// The last object of a log, ever.
    pub(crate) fn last_of(&self, log: Log) -> Option<(u64, &Entry)> {
        let (key, entry) = self.entries.range((log, 0)..=(log, u64::MAX)).next_back()?;
        Some((key.1, entry))
    }

    /// True when the history that somebody has read up to a position goes on, from seal to seal, to the epoch of another. A fork
    /// further on forks nothing that was read. To an epoch that a fork has named, too, no seal leads that was lost.
    pub(crate) fn goes_on(&self, log: Log, from: u64, to: u64) -> bool {
        let lost = self.lost.get(&log);
        let forks = || lost.into_iter().flat_map(|lost| &lost.forks);
        let is_lost = |seal: &Sealed| lost.is_some_and(|lost| lost.positions.contains(&seal.at));
        let is_forked = |seal: &Sealed| forks().any(|fork| fork.names == seal.names && fork.at <= from);
        let (mut reached, mut next) = (BTreeSet::from([from >> 32]), vec![from >> 32]);
        while let Some(epoch) = next.pop() {
            let seals = self.seals.get(&log).into_iter().flatten().chain(forks());
            let behind = seals.filter(|seal| seal.at >> 32 == epoch && seal.at >= from);
            let behind = behind.filter(|seal| !(is_lost(seal) && is_forked(seal)));
            next.extend(behind.map(|seal| seal.names).filter(|names| reached.insert(*names)));
        }
        reached.contains(&(to >> 32))
    }

    /// True when a view reaches beyond what was written again of a log where its bucket had lost something: what it must show
    /// is not told by what was ever written.
    pub(crate) fn is_doubtful(&self, seen: &Seen) -> bool {
        self.lost.iter().any(|(log, lost)| {
            let Some(position) = seen.get(log) else { return false };
            let mut entries = self.entries.range((*log, 0)..=(*log, *position));
            let at = self.entries.get(&(*log, *position));
            let is_new = at.is_none_or(|at| at.branch > 0);
            let is_again = is_new || entries.any(|(_, entry)| entry.branch > 0 && entry.is_segment);
            self.rewritten.contains(&(*log, *position)) || lost.is_forked && is_again
        })
    }
}
