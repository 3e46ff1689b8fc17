//! One shard of the keyspace under its lock: the objects in it, and what they owe to the log.
//! Layer 2.

use std::{
    collections::BTreeMap,
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crdt_core::{CounterChanges, DotSource, Kind, Object, ObjectChanges, OpenDot, Position, ReplicaId, Tally};
use dashmap::{DashMap, RwLockWriteGuard, SharedValue};
use foldhash::fast::FixedState;
use hashbrown_raw::raw::RawTable;

use super::{
    frozen::Before,
    stripes::Touched,
    views::{Origin, Views, Woken},
};
use crate::key::ObjectKey;

/// The objects, in shards that are locked one by one.
pub(super) type Map = DashMap<ObjectKey, Slot, FixedState>;
type Table = RawTable<(ObjectKey, SharedValue<Slot>)>;

/// An object and what it owes.
#[derive(Debug)]
pub(super) struct Slot {
    object: Object<FixedState>,
    /// The position under which this replica's own tally was raised or reset and not yet taken to a segment, packed; 0 if
    /// there is nothing to take. Position 0 is always a seal.
    counted: u64,
}

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
#[derive(Debug, Default)]
struct Buffer {
    changes: BTreeMap<ObjectKey, ObjectChanges>,
    counted: Vec<ObjectKey>,
}

/// A shard, locked.
pub(super) struct Locked<'a> {
    table: RwLockWriteGuard<'a, Table>,
    side: MutexGuard<'a, Side>,
    hasher: &'a FixedState,
    source: &'a DotSource,
    touched: &'a Touched,
    views: &'a Views,
    /// Behind the locks, so that they are released first.
    woken: Woken,
}

pub(super) fn buffer_of(position: Position) -> usize {
    usize::from(u64::from(position) % 2 == 1)
}

impl Slot {
    /// What is there.
    pub(super) const fn object(&self) -> &Object<FixedState> {
        &self.object
    }
}

impl<'a> Locked<'a> {
    pub(super) fn new(
        map: &'a Map,
        sides: &'a [Mutex<Side>],
        source: &'a DotSource,
        touched: &'a Touched,
        views: &'a Views,
        shard: usize,
    ) -> Self {
        let table = map.shards()[shard].write();
        let side = sides[shard].lock().unwrap_or_else(PoisonError::into_inner);
        Self { table, side, hasher: map.hasher(), source, touched, views, woken: Woken::default() }
    }

    /// The dot under which a change in this shard is made now. A cut cannot pass while the shard is locked.
    pub(super) fn open(&self) -> OpenDot<'a> {
        self.source.open()
    }

    pub(super) fn get(&self, hash: u64, path: &str, kind: Kind) -> Option<&Object<FixedState>> {
        let (_, slot) = self.table.get(hash, |(key, _)| key.is(path, kind))?;
        Some(&slot.get().object)
    }

    /// What this replica's own tally has counted up and down, 0 and 0 where it has none.
    pub(super) fn own_totals(&self, hash: u64, key: &ObjectKey) -> (u64, u64) {
        let own = self.get(hash, key.path(), key.kind()).and_then(|object| own_tally(object, self.source.replica()));
        own.filter(|tally| !tally.is_dead()).map_or((0, 0), |tally| (tally.parts().p, tally.parts().n))
    }

    /// The kind of a live object at `path` other than `kind`, if there is one.
    pub(super) fn other_kind(&self, hash: u64, path: &str, kind: Kind) -> Option<Kind> {
        let live = |other: &Kind| self.get(hash, path, *other).is_some_and(Object::is_live);
        Kind::ALL.into_iter().filter(|other| *other != kind).find(live)
    }

    /// Changes an object, which is made if there is none and dropped if nothing is left of it.
    ///
    /// Whatever changes an object goes through here.
    pub(super) fn change<R>(
        &mut self,
        hash: u64,
        key: &ObjectKey,
        origin: &Origin,
        change: impl FnOnce(&mut Object<FixedState>, &mut Owed<'_>) -> R,
    ) -> (R, Presence) {
        let Self { table, side, hasher, touched, views, woken, .. } = self;
        touched.add(key.path());
        let held = table.get(hash, |(held, _)| held == key);
        if let Some(before) = &mut side.before {
            before.entry(key.clone()).or_insert_with(|| held.map(|(_, slot)| slot.get().object.clone()));
        }
        let found = held.is_some();
        if !found {
            let object = Object::new(key.kind(), (*hasher).clone());
            let slot = SharedValue::new(Slot { object, counted: 0 });
            table.insert(hash, (key.clone(), slot), |(held, _)| hasher.hash_one(held));
        }
        let Some((_, slot)) = table.get_mut(hash, |(held, _)| held == key) else {
            unreachable!("it was there or has just been inserted")
        };
        let slot = slot.get_mut();
        let watched = views.watched(key, &slot.object);
        let is_watched = watched.is_some();
        let mut elements_changed = false;
        let counted = &mut slot.counted;
        let mut owed =
            Owed { buffers: &mut side.buffers, counted, key, is_watched, elements_changed: &mut elements_changed };
        let result = change(&mut slot.object, &mut owed);
        if let Some(watched) = watched {
            watched.tell(key, &slot.object, origin, elements_changed, woken);
        }
        let is_empty = slot.object.is_empty();
        if is_empty {
            table.remove_entry(hash, |(held, _)| held == key);
        }
        (result, Presence { was: found, is: !is_empty })
    }

    /// Those who are to be woken when the shard is not locked any more.
    pub(super) const fn woken(&mut self) -> &mut Woken {
        &mut self.woken
    }

    /// From here on, objects that change leave what they were.
    pub(super) fn freeze(&mut self) {
        self.side.before = Some(Before::new());
    }

    /// The end of [`freeze`](Self::freeze).
    pub(super) fn thaw(&mut self) {
        self.side.before = None;
    }

    /// Takes what changed in this shard under a position that has been closed.
    pub(super) fn take(&mut self, closed: Position, own: ReplicaId, rows: &mut Vec<(ObjectKey, ObjectChanges)>) {
        let Self { table, side, hasher, .. } = self;
        let Buffer { mut changes, counted } = std::mem::take(&mut side.buffers[buffer_of(closed)]);
        for key in counted {
            let Some((_, slot)) = table.get_mut(hasher.hash_one(&key), |(held, _)| *held == key) else { continue };
            let slot = slot.get_mut();
            if slot.counted == u64::from(closed) {
                slot.counted = 0;
                if let Some(tally) = own_tally(&slot.object, own) {
                    record(&mut changes, &key, tally);
                }
            }
        }
        rows.extend(changes.into_iter().filter(|(_, changes)| !changes.is_empty()));
    }
}

/// Whether an object was there before a change, and whether it is there after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Presence {
    pub(super) was: bool,
    pub(super) is: bool,
}

/// Where a change of one object is noted for the log.
pub(super) struct Owed<'a> {
    buffers: &'a mut [Buffer; 2],
    counted: &'a mut u64,
    key: &'a ObjectKey,
    is_watched: bool,
    elements_changed: &'a mut bool,
}

impl Owed<'_> {
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
        let buffer = &mut self.buffers[buffer_of(open.dot().position)];
        buffer.changes.entry(self.key.clone()).or_insert_with(|| ObjectChanges::none(self.key.kind()))
    }

    /// True when the own tally will be taken to the open segment already.
    pub(super) fn is_counted(&self, open: OpenDot<'_>) -> bool {
        *self.counted == u64::from(open.dot().position)
    }

    /// Notes that this replica's own tally is about to change under the open position, so that it is taken to the
    /// segment as it stands when that is cut.
    ///
    /// SUBTLE: what it owes to a position that is closed and not yet taken is copied out first, as it stands: that
    /// segment must not carry what was counted after it.
    pub(super) fn count(&mut self, object: &Object<FixedState>, open: OpenDot<'_>) {
        let position = open.dot().position;
        if *self.counted == u64::from(position) {
            return;
        }
        if *self.counted != 0
            && let Some(tally) = own_tally(object, open.dot().replica)
        {
            record(&mut self.buffers[buffer_of(Position::from(*self.counted))].changes, self.key, tally);
        }
        *self.counted = u64::from(position);
        self.buffers[buffer_of(position)].counted.push(self.key.clone());
    }
}

fn own_tally(object: &Object<FixedState>, own: ReplicaId) -> Option<Tally> {
    object.tallies().iter().find(|tally| tally.parts().replica == own).copied()
}

fn record(changes: &mut BTreeMap<ObjectKey, ObjectChanges>, key: &ObjectKey, tally: Tally) {
    let none = || ObjectChanges::Counter(CounterChanges::default());
    if let ObjectChanges::Counter(row) = changes.entry(key.clone()).or_insert_with(none) {
        row.record(tally);
    }
}
