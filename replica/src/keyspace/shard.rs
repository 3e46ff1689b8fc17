//! One shard of the keyspace under its lock: the objects in it, and what they owe to the log.
//! Layer 2.

use core::fmt;
use std::{
    hash::BuildHasher,
    hint::black_box,
    sync::{MutexGuard, PoisonError},
};

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Dot, Kind, Object, ObjectChanges, OpenDot, Position, ReplicaId, Tally};
use dashmap::{DashMap, RwLockWriteGuard, SharedValue};
use foldhash::fast::FixedState;
use hashbrown_raw::raw::RawTable;

use super::{
    Keyspace,
    footprint::Share,
    frozen::Before,
    rehearsal::Kinds,
    views::{Origin, Woken},
};
use crate::key::ObjectKey;

/// The objects, in shards that are locked one by one.
pub(super) type Map = DashMap<ObjectKey, Object<FixedState>, FixedState>;
type Table = RawTable<(ObjectKey, SharedValue<Object<FixedState>>)>;

/// What a shard keeps beside its objects. It changes only while the shard is locked for writing.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// What changed under the open position and under the one before it, by the parity of the position.
    ///
    /// SUBTLE: while a cut passes from shard to shard, operations in the shards ahead of it already run under the new
    /// position. One buffer would publish them in the old segment, under a dot that is not theirs.
    buffers: [Buffer; 2],
    /// What objects were when a snapshot's cut passed, of those that have changed since. `None` while there is no snapshot.
    pub(super) before: Option<Before>,
}

/// The changes of one shard under one position.
#[derive(Default)]
struct Buffer(RawTable<Changed>);

/// An object that has changed.
struct Changed {
    hash: u64,
    key: ObjectKey,
    changes: ObjectChanges,
    /// True when its tally of this replica was raised or reset and has not been noted in `changes`.
    is_counted: bool,
}

impl Buffer {
    fn get(&mut self, hash: u64, key: &ObjectKey) -> Option<&mut Changed> {
        self.0.get_mut(hash, |held| held.key == *key)
    }

    fn of(&mut self, hash: u64, key: &ObjectKey) -> &mut Changed {
        if self.get(hash, key).is_none() {
            let (key, changes) = (key.clone(), ObjectChanges::none(key.kind()));
            self.0.insert(hash, Changed { hash, key, changes, is_counted: false }, |held| held.hash);
        }
        match self.get(hash, key) {
            Some(held) => held,
            None => unreachable!("it is there now"),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buffer").field(&self.0.len()).finish()
    }
}

/// A shard, locked.
pub(super) struct Locked<'a> {
    table: RwLockWriteGuard<'a, Table>,
    side: MutexGuard<'a, Side>,
    keyspace: &'a Keyspace,
    /// Behind the locks, so that they are released first.
    woken: Woken,
}

pub(super) fn buffer_of(position: Position) -> usize {
    usize::from(u64::from(position) % 2 == 1)
}

impl<'a> Locked<'a> {
    pub(super) fn new(keyspace: &'a Keyspace, shard: usize) -> Self {
        let table = keyspace.map.shards()[shard].write();
        let side = keyspace.sides[shard].lock().unwrap_or_else(PoisonError::into_inner);
        Self { table, side, keyspace, woken: Woken::default() }
    }

    /// The dot under which a change in this shard is made now. A cut cannot pass while the shard is locked.
    pub(super) fn open(&self) -> OpenDot<'a> {
        self.keyspace.source.open()
    }

    pub(super) fn get(&self, hash: u64, path: &[u8], kind: Kind) -> Option<&Object<FixedState>> {
        let (_, object) = self.table.get(hash, |(key, _)| key.is(path, kind))?;
        Some(object.get())
    }

    /// As [`own_totals`], of the object at a key.
    pub(super) fn own_totals(&self, hash: u64, key: &ObjectKey) -> (u64, u64) {
        let object = self.get(hash, key.path_bytes(), key.kind());
        object.map_or((0, 0), |object| own_totals(object, self.open()))
    }

    /// The kinds with a live object at `path`: one look-up, since all of them hash alike.
    pub(super) fn live_kinds(&self, hash: u64, path: &[u8]) -> Kinds {
        let mut live = Kinds::default();
        let _none = self.table.get(hash, |(key, object)| {
            if key.path_bytes() == path && object.get().is_live() {
                live.insert(key.kind());
            }
            false
        });
        live
    }

    /// The kind of a live object at `path` other than `kind`, if there is one.
    pub(super) fn other_kind(&self, hash: u64, path: &[u8], kind: Kind) -> Option<Kind> {
        self.live_kinds(hash, path).other_than(kind)
    }

    /// Changes an object, which is made if there is none, under the key that `own` gives, and dropped if nothing is left
    /// of it.
    ///
    /// Whatever changes an object goes through here.
    pub(super) fn change<R, E>(
        &mut self,
        hash: u64,
        (path, kind): (&[u8], Kind),
        own: impl FnOnce() -> Result<ObjectKey, E>,
        origin: &Origin,
        change: impl FnOnce(&mut Object<FixedState>, &mut Owed<'_>) -> R,
    ) -> Result<(R, Presence), E> {
        let Self { table, side, keyspace, woken } = self;
        let hasher = keyspace.map.hasher();
        let stripe = keyspace.touched.add(path);
        let mut is_new = false;
        let (key, object) = match table.get_mut(hash, |(held, _)| held.is(path, kind)) {
            Some(held) => held,
            None => {
                is_new = true;
                let object = SharedValue::new(Object::new(kind, hasher.clone()));
                table.insert_entry(hash, (own()?, object), |(held, _)| hasher.hash_one(held))
            }
        };
        let object = object.get_mut();
        if let Some(before) = &mut side.before
            && !(is_new && is_planted(Mutant::AbsenceIsNoState))
        {
            before.entry(key.clone()).or_insert_with(|| (!is_new).then(|| object.clone()));
        }
        let writes = object.writes().len();
        let held = if is_new { Share::default() } else { Share::of(path.len(), object) };
        let watched = keyspace.views.watched(key, object);
        let (is_watched, mut elements_changed) = (watched.is_some(), false);
        let mut owed =
            Owed { buffers: &mut side.buffers, hash, key, is_watched, elements_changed: &mut elements_changed };
        let result = change(object, &mut owed);
        if is_planted(Mutant::OwedForgottenByMerges) && *origin != Origin::Here {
            side.buffers = Default::default();
        }
        if let Some(watched) = watched {
            watched.tell(key, object, origin, elements_changed, woken);
        }
        keyspace.conflicts.change(kind, writes, object.writes().len());
        let is_empty = object.is_empty();
        keyspace.footprint.change(held, if is_empty { Share::default() } else { Share::of(path.len(), object) });
        let presence = match (is_new, is_empty) {
            (true, false) => {
                keyspace.population.came(stripe);
                Presence::Came(key.clone())
            }
            (was_new, true) => {
                let removed = table.remove_entry(hash, |(held, _)| held.is(path, kind)).filter(|_| !was_new);
                removed.map_or(Presence::Same, |(key, _)| {
                    keyspace.population.went(stripe);
                    Presence::Went(key)
                })
            }
            (false, false) => Presence::Same,
        };
        Ok((result, presence))
    }

    /// Fetches objects into the cache, given by their hashes and the lengths of their paths: first their slots, and then what
    /// these refer to, from end to end, since it may lie in two lines of the cache. Each step is a few instructions for each
    /// object, so that the processor waits for many of them at once.
    pub(super) fn touch(&self, objects: impl ExactSizeIterator<Item = (u64, usize)>) {
        let mut slots = Vec::with_capacity(objects.len());
        for (hash, path) in objects {
            // The first that may be the one: nearly always it is.
            slots.extend(self.table.get(hash, |_| true).map(|(key, object)| (key, object.get(), path)));
        }
        for (_, object, _) in &slots {
            black_box(object.tallies().len());
        }
        for (key, object, path) in slots {
            black_box(key.byte(path));
            match object.tallies() {
                [] => drop(black_box(object.is_live())),
                [first, ..] => drop(black_box((first.parts().replica, first.parts().bn))),
            }
        }
    }

    /// Makes room for so many more objects.
    pub(super) fn make_room(&mut self, objects: usize) {
        let hasher = self.keyspace.map.hasher();
        self.table.reserve(objects, |(key, _)| hasher.hash_one(key));
    }

    /// Those who are to be woken when the shard is not locked any more.
    pub(super) const fn woken(&mut self) -> &mut Woken {
        &mut self.woken
    }

    /// From here on, objects that change leave what they were.
    pub(super) fn freeze(&mut self) {
        self.side.before = (!is_planted(Mutant::SnapshotIsFuzzy)).then(Before::new);
    }

    /// The end of [`freeze`](Self::freeze).
    pub(super) fn thaw(&mut self) {
        self.side.before = None;
    }

    /// Takes what changed in this shard under a position that has been closed.
    pub(super) fn take(&mut self, closed: Position, own: ReplicaId, rows: &mut Vec<(ObjectKey, ObjectChanges)>) {
        let Buffer(changed) = std::mem::take(&mut self.side.buffers[buffer_of(closed)]);
        let first = rows.len();
        let mut counted = Vec::new();
        for Changed { hash, key, changes, is_counted } in changed {
            if is_counted {
                counted.push((hash, rows.len()));
            }
            rows.push((key, changes));
        }
        self.touch(counted.iter().map(|(hash, row)| (*hash, rows[*row].0.path_bytes().len())));
        for (hash, row) in counted {
            let (key, changes) = &mut rows[row];
            let object = self.get(hash, key.path_bytes(), key.kind());
            record(changes, object.and_then(|object| own_tally(object, own)));
            if is_planted(Mutant::TalliesRelayed) {
                object.into_iter().flat_map(Object::tallies).for_each(|tally| record(changes, Some(*tally)));
            }
        }
        // Nothing may have come of a change.
        let mut row = first;
        while row < rows.len() {
            if rows[row].1.is_empty() {
                rows.swap_remove(row);
            } else {
                row += 1;
            }
        }
    }
}

/// What a change did to the presence of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is there as it was before, or is not, as before.
    Same,
    /// It has come to be, under this key.
    Came(ObjectKey),
    /// It is gone.
    Went(ObjectKey),
}

/// Where a change of one object is noted for the log.
pub(super) struct Owed<'a> {
    buffers: &'a mut [Buffer; 2],
    hash: u64,
    key: &'a ObjectKey,
    is_watched: bool,
    elements_changed: &'a mut bool,
}

impl<'a> Owed<'a> {
    /// The key of the object.
    pub(super) const fn key(&self) -> &'a ObjectKey {
        self.key
    }

    /// True when somebody looks at the object.
    pub(super) const fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Notes that an element has come to the set or gone from it. To compare the whole set would cost too much, so whoever
    /// changes one says so.
    pub(super) const fn elements_changed(&mut self, changed: bool) {
        *self.elements_changed |= changed;
    }

    /// The changes of this object under the open position.
    pub(super) fn changes(&mut self, open: OpenDot<'_>) -> &mut ObjectChanges {
        &mut self.buffers[buffer_of(open.dot().position)].of(self.hash, self.key).changes
    }

    /// True when the own tally will be taken to the open segment already.
    pub(super) fn is_counted(&self, object: &Object<FixedState>, open: OpenDot<'_>) -> bool {
        let Dot { replica, position } = open.dot();
        // Whatever raises it notes it first.
        own_tally(object, replica).is_some_and(|tally| tally.parts().last == position)
    }

    /// Notes that this replica's own tally is about to change under the open position, so that it is taken to the
    /// segment as it stands when that is cut.
    ///
    /// SUBTLE: what it owes to a position that is closed and not yet taken is copied out first, as it stands: that
    /// segment must not carry what was counted after it.
    pub(super) fn count(&mut self, object: &Object<FixedState>, open: OpenDot<'_>) {
        let Dot { replica, position } = open.dot();
        if self.is_counted(object, open) {
            return;
        }
        let [even, odd] = &mut *self.buffers;
        let (open, closed) = if buffer_of(position) == 0 { (even, odd) } else { (odd, even) };
        if let Some(closed) = closed.get(self.hash, self.key)
            && std::mem::take(&mut closed.is_counted)
        {
            record(&mut closed.changes, own_tally(object, replica));
        }
        open.of(self.hash, self.key).is_counted = true;
    }
}

/// What this replica's own tally has counted up and down in its present life, 0 and 0 where it has none. One that died in the
/// segment in which it was born lives on in it.
pub(super) fn own_totals(object: &Object<FixedState>, open: OpenDot<'_>) -> (u64, u64) {
    let Dot { replica, position } = open.dot();
    let lives = |tally: &Tally| !tally.is_dead() || tally.parts().birth == position;
    own_tally(object, replica).filter(lives).map_or((0, 0), |tally| (tally.parts().p, tally.parts().n))
}

fn own_tally(object: &Object<FixedState>, own: ReplicaId) -> Option<Tally> {
    object.tallies().iter().find(|tally| tally.parts().replica == own).copied()
}

/// Notes the tally of this replica as it stands.
fn record(changes: &mut ObjectChanges, tally: Option<Tally>) {
    if let (ObjectChanges::Counter(row), Some(tally)) = (changes, tally) {
        row.record(tally);
    }
}
