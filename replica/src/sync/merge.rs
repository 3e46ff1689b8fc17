//! Merging a snapshot: of a peer into what is here, or of one's own into nothing.
//! Layer 4. *Invariant:* nothing here waits: a snapshot is merged, and the frontier joined, in one go.

use std::{cmp::Ordering, iter::Peekable};

use crdt_core::{
    Bytes, Dot, Frontier, Object, Seen, Tally,
    planted::{Mutant, Point, is_planted, reached},
};
use foldhash::fast::FixedState;

use super::{
    lineage::Standing,
    shelf::Snapshot,
    state::{LogKnowledge, State, history_lost},
};
use crate::{
    error::{Error, ErrorKind},
    key::ObjectKey,
    keyspace::{Early, Keyspace, View, part_of, stripe_of},
    log::{LogState, Manifest, Part, PartRow},
    name::ReplicaName,
};

/// What the author of a snapshot had seen of one object.
#[derive(Clone, Copy)]
struct TheirView<'a>(View<'a>);

impl TheirView<'_> {
    /// Never, but for a planted fault.
    fn is_last(&self, dot: Dot) -> bool {
        is_planted(Mutant::ContextNotStrict) && self.0.frontier.get(dot.replica) == Some(dot.position)
    }
}

impl Seen for TheirView<'_> {
    fn has_seen(&self, dot: Dot, key: &()) -> bool {
        self.0.has_seen(dot, key) && !self.is_last(dot)
    }
}

impl Seen<Bytes> for TheirView<'_> {
    fn has_seen(&self, dot: Dot, element: &Bytes) -> bool {
        self.0.has_seen(dot, element) && !self.is_last(dot)
    }
}

impl State {
    /// Checks a snapshot against what is known of every log that it speaks of.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LostHistory`] on a contradiction in any of them: the whole is refused, so that no third replica passes
    /// on what a reader would refuse.
    pub(crate) fn check_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        for LogState { replica, applied, hash, lineage, .. } in &manifest.logs {
            let theirs = Standing { at: *applied, hash: *hash, lineage };
            if !self.standing(replica.id()).agrees(&theirs) {
                reached(Point::ManifestOfAnotherHistory);
                return Err(history_lost(replica, applied.unwrap_or(manifest.position)));
            }
        }
        Ok(())
    }

    /// Merges a snapshot of any replica, fresh or stale.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LostHistory`]: see [`check_manifest`](Self::check_manifest). Nothing is merged then.
    ///
    /// # Cost
    ///
    /// In the whole state, of both sides. Each part is let go once it is merged, so that what is read and what comes of it are
    /// not both held whole.
    pub(crate) fn merge_snapshot(&mut self, keyspace: &Keyspace, snapshot: Snapshot) -> Result<(), Error> {
        let Snapshot { manifest, parts } = snapshot;
        self.check_manifest(&manifest)?;
        manifest.logs.iter().try_for_each(|log| self.meet(&log.replica).map(drop))?;
        let is_exempt = |dot: &Dot| is_planted(Mutant::OwnEntriesExempt) && dot.replica == keyspace.replica();
        let frontier: Frontier = manifest.frontier().iter().filter(|dot| !is_exempt(dot)).collect();
        let mut early = Early::default();
        manifest.early.iter().for_each(|removal| {
            early.insert(removal.dot, (removal.key.clone(), removal.element.clone()));
        });
        if keyspace.is_empty() {
            keyspace.make_room(objects_of(&parts));
        }
        let mut dead = Vec::new();
        let mut ours = keys_by_part(keyspace, parts.len());
        for (part, ours) in parts.into_iter().zip(&mut ours) {
            let ours = std::mem::take(ours);
            self.merge_part(keyspace, &part, ours, &frontier, &early, &mut dead)?;
        }
        self.learn(&manifest);
        self.applied.early.extend(&early);
        self.applied.early.settle(&self.applied.frontier);
        let needs = self.needs();
        self.graves.bury(dead, needs);
        Ok(())
    }

    /// Walks the keys of both sides in step: what only one of them has is merged with nothing.
    fn merge_part(
        &self,
        keyspace: &Keyspace,
        part: &Part,
        ours: Vec<ObjectKey>,
        frontier: &Frontier,
        early: &Early,
        dead: &mut Vec<(ObjectKey, Tally)>,
    ) -> Result<(), Error> {
        let mut merge = |key: &ObjectKey, theirs: Option<&Object<FixedState>>| {
            if is_planted(Mutant::OnlyHereKept) && theirs.is_none() {
                return;
            }
            let view = TheirView(View { frontier, early, key });
            let died = keyspace.merge_state(&self.applied, key, theirs, &view);
            dead.extend(died.into_iter().map(|tally| (key.clone(), tally)));
        };
        let mut ours = ours.into_iter().peekable();
        each_object(keyspace, part, |key, theirs| {
            while let Some(only_here) = next_before(&mut ours, &key) {
                merge(&only_here, None);
            }
            ours.next_if_eq(&key);
            merge(&key, Some(&theirs));
        })?;
        ours.for_each(|only_here| merge(&only_here, None));
        Ok(())
    }

    /// Fills an empty keyspace with the replica's own snapshot. Each part is let go once it is loaded.
    pub(crate) fn restore(&mut self, keyspace: &Keyspace, snapshot: Snapshot) -> Result<(), Error> {
        let Snapshot { manifest, parts } = snapshot;
        manifest.logs.iter().try_for_each(|log| self.meet(&log.replica).map(drop))?;
        keyspace.make_room(objects_of(&parts));
        let (mut dead, mut keys) = (Vec::new(), Vec::new());
        for part in parts {
            let mut live = part.live();
            while let Some(row) = live.next() {
                keys.extend(load(keyspace, row)?);
            }
            let mut gone = part.dead();
            while let Some(row) = gone.next() {
                let key = keyspace.key(row.path, row.kind).map_err(corrupt)?;
                if let crate::log::PartRowBody::Counter(tallies) = &row.body {
                    dead.extend(tallies.iter().map(|tally| (key.clone(), *tally)));
                }
                keys.extend(load(keyspace, row)?);
            }
        }
        keyspace.index_all(keys);
        self.learn(&manifest);
        for removal in &manifest.early {
            self.applied.early.insert(removal.dot, (removal.key.clone(), removal.element.clone()));
        }
        self.published.join(&manifest.frontier());
        keyspace.learn_marks(&manifest.marks);
        if is_planted(Mutant::DeadNotReburied) {
            dead.clear();
        }
        let needs = self.needs();
        self.graves.bury(dead, needs);
        Ok(())
    }

    /// Takes over from manifests who was evicted, and nothing else. Those of who was evicted himself by another one are not
    /// believed: what he said of others may lie beyond his end.
    pub(crate) fn learn_evictions(&mut self, manifests: &[&Manifest]) -> Result<(), Error> {
        let evicted = |name: &ReplicaName| {
            let mut logs = manifests.iter().flat_map(|manifest| &manifest.logs);
            logs.any(|log| log.replica == *name && log.evicted.is_some())
        };
        for manifest in manifests.iter().filter(|manifest| !evicted(&manifest.replica)) {
            manifest.logs.iter().try_for_each(|log| self.meet(&log.replica).map(drop))?;
            for log in &manifest.logs {
                if let Some(evicted) = &log.evicted {
                    self.merge_evicted(log.replica.id(), evicted);
                }
            }
        }
        Ok(())
    }

    /// True for a snapshot of an evicted replica that holds what does not count: more of an evicted log than up to its end.
    /// Those of live ones do not, or they will say so.
    pub(crate) fn is_beyond_eviction(&self, author: &ReplicaName, manifest: &Manifest) -> bool {
        let last =
            |id| self.logs.get(&id).and_then(|log: &LogKnowledge| log.evicted.as_ref()).map(|evicted| evicted.last);
        let beyond = |log: &LogState| last(log.replica.id()).is_some_and(|last| log.applied > Some(last));
        last(author.id()).is_some() && manifest.logs.iter().any(beyond)
    }

    /// A planted fault: acknowledgements count as soon as they are read, and not when what they stand in is applied.
    pub(crate) fn believe_acks(&mut self, manifest: &Manifest) {
        manifest.logs.iter().for_each(|log| self.logs.entry(log.replica.id()).or_default().ack.join(&log.ack));
        self.purge_due = true;
    }

    /// Takes over what a manifest says of each log.
    fn learn(&mut self, manifest: &Manifest) {
        self.purge_due = true;
        for theirs in &manifest.logs {
            let id = theirs.replica.id();
            let ours = self.position_of(id);
            if let Some(position) = theirs.applied {
                self.applied.frontier.advance(Dot { replica: id, position });
                self.hear(Dot { replica: id, position });
            }
            if let Some(evicted) = &theirs.evicted {
                self.merge_evicted(id, evicted);
            }
            let log = self.logs.entry(id).or_default();
            if theirs.applied > ours {
                if ours.is_some() && theirs.replica != manifest.replica {
                    reached(Point::LogLearntFromAThird);
                }
                log.hash = theirs.hash;
            }
            if theirs.lineage.len() > log.lineage.len() {
                log.lineage.clone_from(&theirs.lineage);
            }
            log.ack.join(&theirs.ack);
            log.last_change = log.last_change.max(theirs.last_change);
        }
    }
}

/// How many objects parts have, but for those that are all dead.
fn objects_of(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.row_count() as usize).sum()
}

fn corrupt(invalid: crate::key::InvalidPath) -> Error {
    Error::new(ErrorKind::Corrupt, invalid.to_string())
}

fn load(keyspace: &Keyspace, row: PartRow<'_, '_>) -> Result<Option<ObjectKey>, Error> {
    let (path, kind) = (row.path, row.kind);
    let loaded = keyspace.load(path, kind, |object| {
        let same_kind = row.load(object);
        debug_assert!(same_kind.is_ok(), "an object is of its key's kind");
    });
    loaded.map_err(corrupt)
}

/// Every object of a part in ascending order of keys: the live rows and the dead tallies are two walks in one order.
fn each_object(
    keyspace: &Keyspace,
    part: &Part,
    mut visit: impl FnMut(ObjectKey, Object<FixedState>),
) -> Result<(), Error> {
    let (mut live, mut dead) = (part.live(), part.dead());
    let (mut next_live, mut next_dead) = (live.next(), dead.next());
    loop {
        let live_first = match (&next_live, &next_dead) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(live), Some(dead)) => (live.path, live.kind).cmp(&(dead.path, dead.kind)),
        };
        let mut object = None;
        let mut add = |row: PartRow<'_, '_>| -> Result<(), Error> {
            let key = keyspace.key(row.path, row.kind).map_err(corrupt)?;
            let (_, held) = object.get_or_insert_with(|| (key, keyspace.object(row.kind)));
            let same_kind = row.load(held);
            debug_assert!(same_kind.is_ok(), "an object is of its key's kind");
            Ok(())
        };
        if live_first.is_le() {
            next_live.take().map_or(Ok(()), &mut add)?;
            next_live = live.next();
        }
        if live_first.is_ge() {
            next_dead.take().map_or(Ok(()), &mut add)?;
            next_dead = dead.next();
        }
        if let Some((key, object)) = object {
            visit(key, object);
        }
    }
}

fn next_before(keys: &mut Peekable<impl Iterator<Item = ObjectKey>>, bound: &ObjectKey) -> Option<ObjectKey> {
    keys.next_if(|key| key < bound)
}

/// Every key that is here, in the parts that a snapshot is cut into, each in ascending order.
fn keys_by_part(keyspace: &Keyspace, parts: usize) -> Vec<Vec<ObjectKey>> {
    let mut by_part = vec![Vec::new(); parts];
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = keyspace.keys("", after.as_ref(), 4_096);
        let Some(last) = page.last() else { return by_part };
        after = Some(last.clone());
        for key in page {
            by_part[part_of(stripe_of(key.path()), parts)].push(key);
        }
    }
}
