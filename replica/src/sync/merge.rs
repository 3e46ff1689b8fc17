//! Merging a snapshot: of a peer into what is here, or of one's own into nothing.
//! Layer 4. *Invariant:* nothing here waits: a snapshot is merged, and the frontier joined, in one go.

use std::cmp::Ordering;

use crdt_core::{
    Bytes, Dot, Frontier, Kind, Object, Seen, Tally,
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
    key::{InvalidPath, ObjectKey},
    keyspace::{Early, Keyspace, StateBatch, View, part_of, stripe_of},
    log::{LogState, Manifest, Part, PartRow, PartRowBody},
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
        let (seen, mut dead) = ((&frontier, &early), Vec::new());
        let mut ours = Ours { parts: parts.len(), keys: None };
        for (number, part) in parts.into_iter().enumerate() {
            self.merge_part(keyspace, number, &part, seen, &mut ours, &mut dead)?;
        }
        self.learn(&manifest);
        self.applied.early.extend(&early);
        self.applied.early.settle(&self.applied.frontier);
        let needs = self.needs();
        self.graves.bury(dead, needs);
        Ok(())
    }

    /// Merges what they have, and then what only this replica has, with nothing.
    ///
    /// SUBTLE: whether there is such a thing is counted, since to look for it costs more than all the rest. The count proves that
    /// there is none only if nobody else has made an object in this part or dropped one meanwhile, and each row is of this part.
    fn merge_part(
        &self,
        keyspace: &Keyspace,
        number: usize,
        part: &Part,
        (frontier, early): (&Frontier, &Early),
        ours: &mut Ours,
        dead: &mut Vec<(ObjectKey, Tally)>,
    ) -> Result<(), Error> {
        let merge = |object: &mut Object<FixedState>, seen: &View<'_>, theirs: &Object<FixedState>| {
            let same_kind = object.merge(seen, theirs, &TheirView(View { frontier, early, key: seen.key }));
            debug_assert!(same_kind.is_ok(), "an object is of its key's kind");
        };
        let census = || keyspace.census(number, ours.parts);
        let (before, mut batch) = (census(), keyspace.state_batch());
        let mut are_of_it = true;
        each_state(part, |key, live, gone| {
            are_of_it &= part_of(stripe_of(key.0), ours.parts) == number;
            gather(keyspace, &mut batch, key, live, gone);
            if batch.is_full() { keyspace.merge_states(&self.applied, &mut batch, merge) } else { Ok(()) }
        })
        .and_then(|()| keyspace.merge_states(&self.applied, &mut batch, merge))
        .map_err(corrupt)?;
        let theirs_are_all = are_of_it
            && before.zip(census()).is_some_and(|(before, after)| {
                before.objects == batch.found() && after.changes.wrapping_sub(before.changes) == batch.changes()
            });
        if !theirs_are_all && !is_planted(Mutant::OnlyHereKept) {
            for key in only_here(ours.of(keyspace, number), part) {
                let died = keyspace.merge_nothing(&self.applied, &key, merge);
                dead.extend(died.into_iter().map(|tally| (key.clone(), tally)));
            }
        }
        dead.extend(batch.into_dead());
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
                if let PartRowBody::Counter(tallies) = &row.body {
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

fn corrupt(invalid: InvalidPath) -> Error {
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

/// Every object of a part in ascending order of keys, as its live row, its dead one, or both: two walks in one order.
fn each_state(
    part: &Part,
    mut visit: impl FnMut((&str, Kind), Option<PartRowBody<'_, '_>>, &[Tally]) -> Result<(), InvalidPath>,
) -> Result<(), InvalidPath> {
    let (mut live, mut dead) = (part.live(), part.dead());
    let (mut next_live, mut next_dead) = (live.next(), dead.next());
    loop {
        let order = match (&next_live, &next_dead) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(live), Some(dead)) => (live.path, live.kind).cmp(&(dead.path, dead.kind)),
        };
        let (here, gone) = (next_live.take_if(|_| order.is_le()), next_dead.take_if(|_| order.is_ge()));
        let tallies = match &gone {
            Some(PartRow { body: PartRowBody::Counter(tallies), .. }) => tallies,
            _ => &[][..],
        };
        match (here, &gone) {
            (Some(PartRow { path, kind, body }), _) => visit((path, kind), Some(body), tallies)?,
            (None, Some(PartRow { path, kind, .. })) => visit((path, *kind), None, tallies)?,
            (None, None) => {}
        }
        if order.is_le() {
            next_live = live.next();
        }
        if order.is_ge() {
            next_dead = dead.next();
        }
    }
}

fn gather(
    keyspace: &Keyspace,
    batch: &mut StateBatch,
    (path, kind): (&str, Kind),
    live: Option<PartRowBody<'_, '_>>,
    dead: &[Tally],
) {
    match live {
        None => keyspace.gather_counter(batch, (path, kind), dead.iter().copied()),
        Some(PartRowBody::Counter(live)) => {
            keyspace.gather_counter(batch, (path, kind), live.iter().chain(dead).copied());
        }
        Some(body) => {
            let mut object = keyspace.object(kind);
            let same_kind = PartRow { path, kind, body }.load(&mut object);
            debug_assert!(same_kind.is_ok(), "an object is of its key's kind");
            keyspace.gather_state(batch, path, object);
        }
    }
}

/// The keys that are here, in the parts that a snapshot is cut into, each in ascending order. They are looked up when they are
/// first needed.
struct Ours {
    parts: usize,
    keys: Option<Vec<Vec<ObjectKey>>>,
}

impl Ours {
    /// Gives those of a part away.
    fn of(&mut self, keyspace: &Keyspace, part: usize) -> Vec<ObjectKey> {
        std::mem::take(&mut self.keys.get_or_insert_with(|| keys_by_part(keyspace, self.parts))[part])
    }
}

/// Those of `keys` that a part has nothing of.
fn only_here(mut keys: Vec<ObjectKey>, part: &Part) -> Vec<ObjectKey> {
    for mut rows in [part.live(), part.dead()] {
        let mut left = Vec::new();
        let mut ours = keys.into_iter().peekable();
        while let Some(row) = rows.next() {
            let theirs = (row.path.as_bytes(), row.kind);
            left.extend(core::iter::from_fn(|| ours.next_if(|key| (key.path_bytes(), key.kind()) < theirs)));
            ours.next_if(|key| key.is(theirs.0, theirs.1));
        }
        left.extend(ours);
        keys = left;
    }
    keys
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

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use crdt_core::{DotSource, Position};

    use super::*;
    use crate::{
        keyspace::{Applied, Change},
        log::{Keys, decode_part, encode_part},
        name::Roster,
    };

    const SETS: usize = 2_000;
    /// They have gone elsewhere, and are here.
    const GONE: [usize; 3] = [7, 800, 1_999];
    const COUNTERS: usize = 1_000;

    fn set(number: usize) -> ObjectKey {
        ObjectKey::new(format!("s/{number}"), Kind::OrSet).unwrap()
    }

    fn counter(number: usize) -> ObjectKey {
        ObjectKey::new(format!("t/{number}"), Kind::PnCounter).unwrap()
    }

    fn keyspace(name: &ReplicaName) -> Keyspace {
        Keyspace::new(DotSource::new(name.id(), 1), 7, 8)
    }

    /// Here: sets. There, where all of them were seen: all sets but three, and counters.
    fn sides(names: &[ReplicaName; 2]) -> (Keyspace, Part, Frontier) {
        let [here, there] = names.each_ref().map(keyspace);
        for number in 0..SETS {
            let _written = here.change(&set(number), &Change::Add(b"x"[..].into())).unwrap();
        }
        for number in 0..COUNTERS {
            let _written = there.change(&counter(number), &Change::Count(1)).unwrap();
        }
        let frontier = [here.cut().dot, there.cut().dot].into_iter().collect();
        let kept = (0..SETS).filter(|number| !GONE.contains(number)).map(set);
        let read = |keyspace: &Keyspace, key: ObjectKey| {
            let object = keyspace.read(key.path(), key.kind(), Object::clone).unwrap();
            (key, object)
        };
        let mut objects: Vec<_> =
            kept.map(|key| read(&here, key)).chain((0..COUNTERS).map(|number| read(&there, counter(number)))).collect();
        objects.sort_by(|(left, _), (right, _)| left.cmp(right));
        let mut roster = Roster::default();
        names.iter().for_each(|name| drop(roster.insert(name.clone())));
        let body = encode_part(objects.iter().map(|(key, object)| (key, object)), &roster).unwrap();
        let key = Keys::new("").unwrap().part(&names[1], Position::new(1, 0), body.content());
        let part = decode_part(&body.to_object(&key, None).unwrap(), &key, None).unwrap();
        (here, part, frontier)
    }

    fn merge(here: &Keyspace, part: &Part, frontier: &Frontier) {
        let (mut dead, mut ours) = (Vec::new(), Ours { parts: 1, keys: None });
        let mut state = State::default();
        state.applied.frontier.advance(Dot { replica: here.replica(), position: Position::new(1, 0) });
        state.merge_part(here, 0, part, (frontier, &Early::default()), &mut ours, &mut dead).unwrap();
        for number in 0..SETS {
            let is_here = here.value(set(number).path(), Kind::OrSet).is_some();
            assert_eq!(is_here, !GONE.contains(&number), "set {number}");
        }
        assert!(dead.is_empty(), "{dead:?}");
    }

    #[test]
    fn what_is_only_here_is_looked_for_only_where_there_is_such_a_thing() {
        let names = ["ann", "bob"].map(|name| ReplicaName::new(name).unwrap());
        let (here, part, frontier) = sides(&names);
        merge(&here, &part, &frontier);
        let mut ours = Ours { parts: 1, keys: None };
        let applied = Applied { frontier: frontier.clone(), early: Early::default() };
        let state = State { applied, ..State::default() };
        state.merge_part(&here, 0, &part, (&frontier, &Early::default()), &mut ours, &mut Vec::new()).unwrap();
        assert!(ours.keys.is_none(), "both sides have the same");
    }

    /// Objects that come while a snapshot is merged make up in number for those that must go.
    #[test]
    fn what_is_gone_elsewhere_goes_here_whatever_comes_meanwhile() {
        let names = ["ann", "bob"].map(|name| ReplicaName::new(name).unwrap());
        for round in 0..100 {
            let (here, part, frontier) = sides(&names);
            let (has_begun, is_merged) = (AtomicBool::new(false), AtomicBool::new(false));
            thread::scope(|scope| {
                scope.spawn(|| {
                    has_begun.store(true, Ordering::Release);
                    for number in (0..COUNTERS).take_while(|_| !is_merged.load(Ordering::Acquire)) {
                        let _written = here.change(&counter(number), &Change::Count(1)).unwrap();
                        // About as many come as have gone, in some of the rounds.
                        (0..round * 100).for_each(|_| core::hint::spin_loop());
                    }
                });
                while !has_begun.load(Ordering::Acquire) {
                    core::hint::spin_loop();
                }
                merge(&here, &part, &frontier);
                is_merged.store(true, Ordering::Release);
            });
        }
    }
}
