//! Local operations, one by one and in batches.
//! Layer 2.

use core::{convert::Infallible, fmt, iter::once_with};
use std::{collections::BTreeMap, sync::atomic::Ordering};

use crdt_core::{Bytes, Kind, Object, ObjectChanges, OpenDot, Overflow, Position, Timestamp};
use foldhash::fast::FixedState;

use super::{
    Keyspace, Mark,
    marks::MARKS_BYTES_MAX,
    shard::{Locked, Owed, Presence, buffer_of},
    views::{Origin, Woken},
};
use crate::key::ObjectKey;

/// A change that a caller asks for. Limits have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds to a grow-only counter.
    Increment(u64),
    /// Adds to an up-and-down counter.
    Count(i64),
    /// Puts an element into a set.
    Add(Bytes),
    /// Takes an element out of a set.
    Remove(Bytes),
    /// Writes to a register.
    Write(Bytes, Timestamp),
    /// Deletes whatever is there.
    Delete,
}

/// How many bytes of changes one segment takes, as they are estimated here: from above, so that it can always be encoded.
pub const OPEN_BYTES_MAX: u64 = 15 << 20;

/// What a local operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The position of the segment that will carry it.
    pub position: Position,
    /// True when nothing waited for a segment before: whoever writes the log has to be told.
    pub was_idle: bool,
}

/// Why a local operation was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The path has a live object of another kind, and none of the asked one.
    KindMismatch {
        /// Where.
        path: Box<str>,
        /// What is there.
        stored: Kind,
        /// What was asked for.
        asked: Kind,
    },
    /// A counter would pass its range.
    Overflow(Overflow),
    /// The open segment has no room for it. Cut, and try again.
    SegmentFull {
        /// Where it was open.
        position: Position,
    },
    /// The keyspace has reached its limit, and this would add to it.
    MemoryFull {
        /// The limit, in bytes.
        limit: u64,
    },
    /// There are too many marks: a manifest holds all of them.
    MarksFull,
    /// No segment has room for it.
    TooLarge {
        /// What it comes to, estimated from above.
        bytes: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KindMismatch { path, stored, asked } => {
                write!(f, "the path has an object of another kind: path={path} stored={stored} asked={asked}")
            }
            Self::Overflow(overflow) => overflow.fmt(f),
            Self::SegmentFull { position } => write!(f, "the open segment is full: position={position}"),
            Self::MemoryFull { limit } => {
                write!(f, "the keyspace is full; delete something, or raise memory_bytes: memory_bytes={limit}")
            }
            Self::MarksFull => write!(
                f,
                "there are too many marks, which are kept for 30 days; make fewer, or shorter names: limit={MARKS_BYTES_MAX}"
            ),
            Self::TooLarge { bytes } => {
                write!(f, "too much for one segment; do it in steps: bytes={bytes} limit={OPEN_BYTES_MAX}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl Change {
    /// What it adds to the bytes that wait for a segment, estimated from above: 0 if it changes nothing. A deletion names all
    /// that it deletes.
    fn bytes(&self, key: &ObjectKey, object: Option<&Object<FixedState>>) -> u64 {
        const ROW: usize = 128;
        let changed = match (self, object) {
            (Self::Increment(0) | Self::Count(0), _) | (Self::Delete | Self::Remove(_), None) => return 0,
            (Self::Delete, Some(object)) if !object.is_live() => return 0,
            (Self::Remove(element), Some(Object::OrSet(set))) if !set.contains(&**element) => return 0,
            (Self::Delete, Some(object)) => removed(object) + 80 * object.tallies().len(),
            _ => self.payload(),
        };
        (ROW + key.path_bytes().len() + changed) as u64
    }

    /// The bytes of the element or value.
    #[must_use]
    pub fn payload(&self) -> usize {
        match self {
            Self::Add(bytes) | Self::Remove(bytes) | Self::Write(bytes, _) => bytes.len(),
            Self::Increment(_) | Self::Count(_) | Self::Delete => 0,
        }
    }
}

/// What the removal of everything in a set or a register takes in a segment: each dot, and each element that they are of.
fn removed(object: &Object<FixedState>) -> usize {
    const DOT: usize = 16;
    const ELEMENT: usize = 12;
    match object {
        Object::GCounter(_) | Object::PnCounter(_) => 0,
        Object::LwwRegister(register) => DOT * register.writes().len(),
        Object::MvRegister(register) => DOT * register.writes().len(),
        Object::OrSet(set) => set.unordered().map(|(element, dots)| ELEMENT + element.len() + DOT * dots.len()).sum(),
    }
}

impl Keyspace {
    /// How many bytes of a segment the deletion of what is at `key` takes, estimated from above.
    #[must_use]
    pub fn deletion_bytes(&self, key: &ObjectKey) -> u64 {
        self.read(key.path(), key.kind(), |object| Change::Delete.bytes(key, Some(object))).unwrap_or(0)
    }

    /// Changes one object at once, and has the change wait for the next segment.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; nothing is changed. Whoever writes the log has to be told then too, if anything is pending: another
    /// operation may have counted on this one to tell it.
    pub fn change(&self, key: &ObjectKey, change: &Change) -> Result<Changed, Refusal> {
        self.change_and_read(key, change, |_| ()).map(|(changed, ())| changed)
    }

    /// Changes one object, and reads what is there then, if anything is, before anybody else can change it.
    ///
    /// # Errors
    ///
    /// As [`change`](Self::change).
    pub fn change_and_read<R>(
        &self,
        key: &ObjectKey,
        change: &Change,
        read: impl FnOnce(Option<&Object<FixedState>>) -> R,
    ) -> Result<(Changed, R), Refusal> {
        let hash = self.hash(key.path_bytes());
        let mut shard = self.lock(self.shard(hash));
        let open = shard.open();
        check_kind(&shard, hash, key, change)?;
        self.check_memory(once_with(|| (change, shard.get(hash, key.path_bytes(), key.kind()).is_some())))?;
        let mut taken = 0;
        let reserve = |bytes| {
            let was_idle = self.reserve(open, bytes)?;
            taken = bytes;
            Ok(was_idle)
        };
        let applied = self.apply_change(&mut shard, hash, key, change, open, reserve, read);
        if applied.is_err() {
            // No cut has passed meanwhile: the shard is still locked.
            self.give_back(open, taken);
        }
        applied.map(|(was_idle, read)| (Changed { position: open.dot().position, was_idle }, read))
    }

    /// Changes several objects and makes marks under one position: all of them, or none.
    ///
    /// It holds the locks of all its shards while it works, and reads the position once. Readers do not wait for the
    /// whole of it: they may see one object changed and another not yet.
    ///
    /// # Errors
    ///
    /// The first [`Refusal`]; nothing is changed.
    pub fn batch(&self, changes: &[(ObjectKey, Change)], marks: &[Mark]) -> Result<Changed, Refusal> {
        let hashed: Vec<(u64, usize)> =
            changes.iter().map(|(key, _)| self.hash(key.path_bytes())).map(|hash| (hash, self.shard(hash))).collect();
        // One shard at least, so that no cut passes meanwhile.
        let mut numbers: Vec<usize> = hashed.iter().map(|(_, shard)| *shard).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            numbers.push(0);
        }
        // In ascending order, so that two batches cannot wait for each other.
        let mut shards: Vec<Locked<'_>> = numbers.iter().map(|shard| self.lock(*shard)).collect();
        let place = |shard: usize| numbers.partition_point(|number| *number < shard);
        let open = shards[0].open();
        rehearse(changes, &hashed, |shard| &shards[place(shard)])?;
        let held =
            |key: &ObjectKey, (hash, shard): (u64, usize)| shards[place(shard)].get(hash, key.path_bytes(), key.kind());
        let there = changes.iter().zip(&hashed).map(|((key, change), at)| (change, held(key, *at).is_some()));
        self.check_memory(there)?;
        if !self.marks.have_room(marks) {
            return Err(Refusal::MarksFull);
        }
        let rows = changes.iter().zip(&hashed).map(|((key, change), at)| change.bytes(key, held(key, *at)));
        let bytes = rows.sum::<u64>() + marks.iter().map(|mark| 64 + mark.name.len() as u64).sum::<u64>();
        let was_idle = self.reserve(open, bytes)?;
        for ((key, change), (hash, shard)) in changes.iter().zip(hashed) {
            self.apply_change(&mut shards[place(shard)], hash, key, change, open, |_| Ok(false), |_| ())?;
        }
        marks.iter().for_each(|mark| self.marks.make(mark, open.dot().position));
        // Nobody is woken before all locks are released.
        let mut woken = Woken::default();
        shards.iter_mut().for_each(|shard| woken.append(shard.woken()));
        drop(shards);
        Ok(Changed { position: open.dot().position, was_idle })
    }

    /// Refuses what would add to a keyspace that has reached its limit: new objects, elements and values. What is there can
    /// be counted on and deleted.
    fn check_memory<'c>(&self, changes: impl Iterator<Item = (&'c Change, bool)>) -> Result<(), Refusal> {
        let Some(limit) = self.footprint.reached() else { return Ok(()) };
        let mut adds = changes.map(|(change, is_there)| match change {
            Change::Add(_) | Change::Write(..) => true,
            Change::Increment(_) | Change::Count(_) => !is_there,
            Change::Remove(_) | Change::Delete => false,
        });
        if adds.any(|adds| adds) { Err(Refusal::MemoryFull { limit }) } else { Ok(()) }
    }

    /// Takes room in the open segment. Returns whether it was empty.
    fn reserve(&self, open: OpenDot<'_>, bytes: u64) -> Result<bool, Refusal> {
        if bytes > OPEN_BYTES_MAX {
            return Err(Refusal::TooLarge { bytes });
        }
        let before = self.pending[buffer_of(open.dot().position)].fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= OPEN_BYTES_MAX {
            return Ok(before == 0);
        }
        self.give_back(open, bytes);
        Err(Refusal::SegmentFull { position: open.dot().position })
    }

    /// Gives room back that was taken. Others may have counted on the one who took it to tell the writer of the log: whoever is
    /// refused tells it.
    fn give_back(&self, open: OpenDot<'_>, bytes: u64) {
        self.pending[buffer_of(open.dot().position)].fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns whether nothing waited before, and what `read` finds when the change is made.
    #[expect(clippy::too_many_arguments, reason = "the parts of one change, and what is done around it")]
    fn apply_change<R>(
        &self,
        shard: &mut Locked<'_>,
        hash: u64,
        key: &ObjectKey,
        change: &Change,
        open: OpenDot<'_>,
        reserve: impl FnOnce(u64) -> Result<bool, Refusal>,
        read: impl FnOnce(Option<&Object<FixedState>>) -> R,
    ) -> Result<(bool, R), Refusal> {
        if matches!(change, Change::Delete | Change::Remove(_))
            && shard.get(hash, key.path_bytes(), key.kind()).is_none()
        {
            return Ok((false, read(None)));
        }
        let own = || Ok::<_, Infallible>(key.clone());
        let Ok((done, presence)) =
            shard.change(hash, (key.path_bytes(), key.kind()), own, &Origin::Here, |object, owed| {
                // What is counted again before it is taken costs nothing more.
                let counts = matches!(change, Change::Increment(_) | Change::Count(_));
                let is_new = !(counts && owed.is_counted(object, open));
                let mut was_idle = false;
                if is_new {
                    match change.bytes(key, Some(object)) {
                        0 => return Ok((false, read(Some(object)))),
                        bytes => was_idle = reserve(bytes)?,
                    }
                }
                apply(object, owed, change, open)?;
                Ok((was_idle, read(Some(object))))
            });
        self.keep_index(presence);
        done
    }

    pub(super) fn keep_index(&self, presence: Presence) {
        match presence {
            Presence::Same => {}
            Presence::Came(key) => self.index.insert(key),
            Presence::Went(key) => self.index.remove(&key),
        }
    }
}

/// A local operation is refused where the path has live state of other kinds and none of the asked one.
fn check_kind(shard: &Locked<'_>, hash: u64, key: &ObjectKey, change: &Change) -> Result<(), Refusal> {
    let own_is_live = || shard.get(hash, key.path_bytes(), key.kind()).is_some_and(Object::is_live);
    if *change == Change::Delete || own_is_live() {
        return Ok(());
    }
    match shard.other_kind(hash, key.path_bytes(), key.kind()) {
        Some(stored) => Err(Refusal::KindMismatch { path: key.path().into(), stored, asked: key.kind() }),
        None => Ok(()),
    }
}

/// Finds out whether any change of a batch would be refused, without changing anything.
///
/// Kinds are checked against what the batch itself leaves at each path. A counter is given no credit for a deletion in
/// the same batch, so a batch that passes here cannot fail half-way.
fn rehearse<'a>(
    changes: &[(ObjectKey, Change)],
    hashed: &[(u64, usize)],
    shard: impl Fn(usize) -> &'a Locked<'a>,
) -> Result<(), Refusal> {
    let mut live: BTreeMap<(&[u8], Kind), bool> = BTreeMap::new();
    let mut counted: BTreeMap<&ObjectKey, (u64, u64)> = BTreeMap::new();
    for ((key, change), (hash, number)) in changes.iter().zip(hashed) {
        let (path, kind) = (key.path_bytes(), key.kind());
        let shard = shard(*number);
        let is_live = |live: &BTreeMap<_, _>, kind: Kind| {
            let stored = || shard.get(*hash, path, kind).is_some_and(Object::is_live);
            live.get(&(path, kind)).copied().unwrap_or_else(stored)
        };
        if *change == Change::Delete {
            live.insert((path, kind), false);
            continue;
        }
        if !is_live(&live, kind)
            && let Some(stored) = Kind::ALL.into_iter().find(|other| *other != kind && is_live(&live, *other))
        {
            return Err(Refusal::KindMismatch { path: key.path().into(), stored, asked: kind });
        }
        let (up, down) = match change {
            Change::Increment(amount) => (*amount, 0),
            Change::Count(amount) if *amount < 0 => (0, amount.unsigned_abs()),
            Change::Count(amount) => (amount.unsigned_abs(), 0),
            _ => (0, 0),
        };
        let own = || shard.own_totals(*hash, key);
        let totals = counted.entry(key).or_insert_with(own);
        for (total, amount) in [(&mut totals.0, up), (&mut totals.1, down)] {
            *total = total.checked_add(amount).ok_or(Refusal::Overflow(Overflow { total: *total, amount }))?;
        }
        if !matches!(change, Change::Remove(_) | Change::Increment(0) | Change::Count(0)) {
            live.insert((path, kind), true);
        }
    }
    Ok(())
}

/// Changes the object and notes what is owed to the log.
fn apply(
    object: &mut Object<FixedState>,
    owed: &mut Owed<'_>,
    change: &Change,
    open: OpenDot<'_>,
) -> Result<(), Refusal> {
    match (&mut *object, change) {
        (_, Change::Increment(0) | Change::Count(0)) => {}
        (Object::GCounter(_), Change::Increment(_)) | (Object::PnCounter(_), Change::Count(_)) => {
            owed.count(object, open);
            let added = match (object, change) {
                (Object::GCounter(counter), Change::Increment(amount)) => counter.add(*amount, open),
                (Object::PnCounter(counter), Change::Count(amount)) => counter.add(*amount, open),
                _ => Ok(()),
            };
            added.map_err(Refusal::Overflow)?;
        }
        (Object::LwwRegister(register), Change::Write(value, time)) => {
            if let ObjectChanges::Register(changes) = owed.changes(open) {
                register.set(value.clone(), *time, open, changes);
            }
        }
        (Object::MvRegister(register), Change::Write(value, time)) => {
            if let ObjectChanges::Register(changes) = owed.changes(open) {
                register.set(value.clone(), *time, open, changes);
            }
        }
        (Object::OrSet(set), Change::Add(element)) => {
            if let ObjectChanges::Set(changes) = owed.changes(open) {
                let came = set.add(element.clone(), open, changes);
                owed.elements_changed(came);
            }
        }
        (Object::OrSet(set), Change::Remove(element)) => {
            if let ObjectChanges::Set(changes) = owed.changes(open) {
                let went = set.remove(element, open, changes);
                owed.elements_changed(went);
            }
        }
        (_, Change::Delete) => {
            if object.tallies().iter().any(|tally| tally.parts().replica == open.dot().replica) {
                owed.count(object, open);
            }
            owed.elements_changed(object.is_live());
            let _same_kind = object.delete(open, owed.changes(open));
        }
        _ => unreachable!("a handle asks only for what its kind can do"),
    }
    Ok(())
}
