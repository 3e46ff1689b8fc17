//! The keyspace: every object of a replica, by path and kind, under one frontier.
//! Layer 2. *Invariant:* it knows no bytes and no keys of the bucket; a log takes changes from it and brings changes to
//! it.
//!
//! It is public for benches, tests and tools, is no part of what is kept stable, and may change with any release; services
//! use [`Replica`](crate::Replica).
//!
//! # Who may touch what
//!
//! Local operations come from any thread and lock one shard, a batch locks all of its shards in ascending order. The
//! engine's own future is the only one that cuts, applies segments, merges snapshots and purges, and does each of them
//! without an await inside.

mod apply;
mod conflicts;
mod cut;
mod early;
mod footprint;
mod frozen;
mod index;
mod local;
mod marks;
mod population;
mod rehearsal;
mod row_batch;
mod shard;
mod state_batch;
mod states;
mod stripes;
mod views;

use std::{
    hash::BuildHasher,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crdt_core::{DotSource, Kind, Object, Position, ReplicaId, Timestamp, Value};
use dashmap::DashMap;
use foldhash::fast::FixedState;

pub use apply::{Ahead, Applied};
pub use conflicts::ConflictCount;
pub use cut::{Cut, Freeze};
pub use early::{Early, Removed, View};
pub use frozen::{Frozen, Layout};
pub use local::{Change, Changed, OPEN_BYTES_MAX, Refusal};
pub use marks::{Mark, MarkValue};
pub use population::Census;
pub use row_batch::RowBatch;
pub use state_batch::StateBatch;
pub use stripes::{STRIPES, Stripes, part_of, stripe_of};
pub use views::{Board, Event, Origin, Ranked, WATCH_KEYS_MAX, Watcher};

use self::{
    conflicts::ConflictTally,
    footprint::Footprint,
    index::Index,
    marks::Marks,
    population::Population,
    shard::{Locked, Map, Side},
    stripes::Touched,
    views::Views,
};
use crate::key::{InvalidPath, ObjectKey};

/// Every object of a replica.
#[derive(Debug)]
pub struct Keyspace {
    map: Map,
    sides: Box<[Mutex<Side>]>,
    index: Index,
    source: DotSource,
    touched: Touched,
    population: Population,
    conflicts: ConflictTally,
    footprint: Footprint,
    marks: Marks,
    views: Arc<Views>,
    /// Bytes of changes that no segment has taken yet, estimated from above, by the parity of their position.
    pending: [AtomicU64; 2],
}

impl Keyspace {
    /// An empty keyspace that writes under the dots of `source`.
    ///
    /// `seed` is for the hash tables: it must be unknown to whoever chooses paths and elements. `shards` is a power of
    /// two, 2 at least; more of them let more threads write at once.
    #[must_use]
    pub fn new(source: DotSource, seed: u64, shards: usize) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            map: DashMap::with_hasher_and_shard_amount(hasher, shards),
            sides: (0..shards).map(|_| Mutex::default()).collect(),
            index: Index::default(),
            source,
            touched: Touched::default(),
            population: Population::default(),
            conflicts: ConflictTally::default(),
            footprint: Footprint::default(),
            marks: Marks::default(),
            views: Arc::default(),
            pending: Default::default(),
        }
    }

    /// Whose keyspace it is.
    pub fn replica(&self) -> ReplicaId {
        self.source.replica()
    }

    /// What a reader sees at this key, if there is anything.
    #[must_use]
    pub fn value(&self, path: &str, kind: Kind) -> Option<Value> {
        self.read(path, kind, |object| object.is_live().then(|| object.value())).flatten()
    }

    /// What a reader sees at this path: one value for each kind that is live there, in the order of the kinds, all of one moment.
    #[must_use]
    pub fn values(&self, path: &str) -> Vec<Value> {
        let hash = self.hash(path.as_bytes());
        let table = self.map.shards()[self.shard(hash)].read();
        let held = |kind| table.get(hash, |(key, _)| key.is(path.as_bytes(), kind)).map(|(_, object)| object.get());
        Kind::ALL.into_iter().filter_map(held).filter(|object| object.is_live()).map(Object::value).collect()
    }

    /// Reads an object in place.
    ///
    /// `read` runs under the shard's lock: it must be short, and must not call the keyspace.
    pub fn read<R>(&self, path: &str, kind: Kind, read: impl FnOnce(&Object<FixedState>) -> R) -> Option<R> {
        let hash = self.hash(path.as_bytes());
        let table = self.map.shards()[self.shard(hash)].read();
        let (_, object) = table.get(hash, |(key, _)| key.is(path.as_bytes(), kind))?;
        Some(read(object.get()))
    }

    /// The kinds with a live object at `path`, in ascending order.
    #[must_use]
    pub fn kinds(&self, path: &str) -> Vec<Kind> {
        let live = |kind: &Kind| self.read(path, *kind, Object::is_live).unwrap_or(false);
        Kind::ALL.into_iter().filter(live).collect()
    }

    /// The key of the object of this kind at `path`: the one that is held, or a new one.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when there is none and `path` is not a path.
    pub fn key(&self, path: &str, kind: Kind) -> Result<ObjectKey, InvalidPath> {
        let hash = self.hash(path.as_bytes());
        let table = self.map.shards()[self.shard(hash)].read();
        match table.get(hash, |(key, _)| key.is(path.as_bytes(), kind)) {
            Some((key, _)) => Ok(key.clone()),
            None => ObjectKey::new(path, kind),
        }
    }

    /// At most `limit` keys that begin with `prefix` and come after `after`, in ascending order: of objects that are
    /// there, live or not.
    #[must_use]
    pub fn keys(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Vec<ObjectKey> {
        self.index.page(prefix, after, limit)
    }

    /// Puts the keys that have come since the last read in order, so that the next read need not.
    pub fn settle(&self) {
        self.index.settle();
    }

    /// The objects of a part of the keyspace, one of `parts`; `None` where there are more than 1,024 of them.
    #[must_use]
    pub fn census(&self, part: usize, parts: usize) -> Option<Census> {
        self.population.census(part, parts)
    }

    /// The conflicts of registers, by their kind.
    #[must_use]
    pub fn conflicts(&self) -> Vec<ConflictCount> {
        self.conflicts.counts()
    }

    /// True when there is a register with several live writes.
    #[must_use]
    pub fn has_conflicts(&self) -> bool {
        self.conflicts.is_any_standing()
    }

    /// From here on conflicts are counted as met: what there is was loaded.
    pub fn begin_counting_conflicts(&self) {
        self.conflicts.begin();
    }

    /// How many objects there are, live or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when there is no object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position that is open: what is changed now is cut there or later.
    #[must_use]
    pub fn open(&self) -> Position {
        self.source.open().dot().position
    }

    /// Bytes of changes that no segment has taken yet, estimated from above.
    pub fn pending_bytes(&self) -> u64 {
        self.pending.iter().map(|bytes| bytes.load(Ordering::Acquire)).sum()
    }

    /// About how many bytes of memory the objects take.
    pub fn memory_bytes(&self) -> u64 {
        self.footprint.bytes()
    }

    /// From so many bytes on, nothing is added: local operations that would are refused with [`Refusal::MemoryFull`].
    pub fn limit_memory(&self, bytes: u64) {
        self.footprint.set_limit(bytes);
    }

    /// The mark of this name, if this replica has made one lately.
    #[must_use]
    pub fn mark(&self, name: &[u8]) -> Option<Mark> {
        self.marks.get(name)
    }

    /// Takes over marks from an own snapshot, or from the own log in its order.
    pub fn learn_marks(&self, marks: &[Mark]) {
        self.marks.learn(marks);
    }

    /// Drops the marks that were made before `time`.
    pub fn forget_marks_before(&self, time: Timestamp) {
        self.marks.forget_before(time);
    }

    fn hash(&self, path: &[u8]) -> u64 {
        self.map.hasher().hash_one(path)
    }

    fn shard(&self, hash: u64) -> usize {
        self.map.determine_shard(hash as usize)
    }

    fn lock(&self, shard: usize) -> Locked<'_> {
        Locked::new(self, shard)
    }
}
