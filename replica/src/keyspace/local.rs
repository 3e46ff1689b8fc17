//! Local operations, one by one and in batches.
//! Layer 2.

use core::{convert::Infallible, fmt, iter::once_with};
use std::sync::atomic::Ordering;

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Bytes, Dot, Kind, Object, ObjectChanges, OpenDot, Overflow, Position, Timestamp};
use foldhash::fast::FixedState;

use super::{
    Keyspace, Mark,
    marks::MARKS_BYTES_MAX,
    rehearsal::Rehearsal,
    shard::{Locked, Owed, Presence, buffer_of, own_totals},
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
    /// Changes nothing, and is refused unless these are the live writes of a register, in ascending order, before anything else
    /// that is done at once with it.
    Expect(Box<[Dot]>),
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
    /// Other writes of a register are live than were expected.
    Changed {
        /// Where.
        path: Box<str>,
    },
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
            Self::Changed { path } => {
                write!(f, "other writes are live by now than were looked at; look again: path={path}")
            }
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
            (Self::Increment(0) | Self::Count(0) | Self::Expect(_), _) | (Self::Delete | Self::Remove(_), None) => {
                return 0;
            }
            (Self::Delete, Some(object)) if !object.is_live() => return 0,
            (Self::Remove(element), Some(Object::OrSet(set))) if !set.contains(&**element) => return 0,
            (Self::Delete, Some(object)) => removed(object) + 80 * object.tallies().len(),
            (Self::Add(element) | Self::Remove(element), Some(Object::OrSet(set))) => {
                element.len() + DOT * set.dots(&**element).len()
            }
            (Self::Write(value, _), Some(object)) => value.len() + removed(object),
            _ => self.payload(),
        };
        (ROW + key.path_bytes().len() + changed) as u64
    }

    /// True when it counts. What it adds to the bytes then does not depend on what is there.
    const fn counts(&self) -> bool {
        matches!(self, Self::Increment(_) | Self::Count(_))
    }

    /// The bytes of the element or value.
    #[must_use]
    pub fn payload(&self) -> usize {
        match self {
            Self::Add(bytes) | Self::Remove(bytes) | Self::Write(bytes, _) => bytes.len(),
            Self::Increment(_) | Self::Count(_) | Self::Delete | Self::Expect(_) => 0,
        }
    }
}

/// What a dot takes in a segment, at most.
const DOT: usize = 16;

/// What the removal of everything in a set or a register takes in a segment: each dot, and each element that they are of.
fn removed(object: &Object<FixedState>) -> usize {
    const ELEMENT: usize = 12;
    match object {
        Object::OrSet(set) => set.unordered().map(|(element, dots)| ELEMENT + element.len() + DOT * dots.len()).sum(),
        _ => DOT * object.writes().len(),
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
    /// [`Refusal`]; nothing is changed.
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
        check_expected(&shard, hash, key, change)?;
        self.check_memory(once_with(|| (change, shard.get(hash, key.path_bytes(), key.kind()).is_some())))?;
        let reserve = |bytes| self.reserve(open, bytes);
        let (was_idle, read) = self.apply_change(&mut shard, hash, key, change, open, reserve, read)?;
        Ok((Changed { position: open.dot().position, was_idle }, read))
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
        let of_shard = |hash| (hash, self.shard(hash));
        let mut hashed: Vec<(u64, usize)> =
            changes.iter().map(|(key, _)| of_shard(self.hash(key.path_bytes()))).collect();
        let shard_of = |change: &usize| hashed[*change].1;
        let mut by_shard: Vec<usize> = (0..changes.len()).collect();
        by_shard.sort_unstable_by_key(shard_of);
        let in_one = |left: &usize, right: &usize| shard_of(left) == shard_of(right);
        let mut numbers: Vec<usize> = by_shard.chunk_by(in_one).map(|same| shard_of(&same[0])).collect();
        if numbers.is_empty() {
            // One shard at least, so that no cut passes meanwhile.
            numbers.push(0);
        }
        // In ascending order, so that two batches cannot wait for each other.
        let mut shards: Vec<Locked<'_>> = numbers.iter().map(|shard| self.lock(*shard)).collect();
        for (same, shard) in by_shard.chunk_by(in_one).zip(&shards) {
            shard.touch(same.iter().map(|change| (hashed[*change].0, changes[*change].0.path_bytes().len())));
        }
        let mut places = vec![0; self.sides.len()];
        numbers.iter().enumerate().for_each(|(place, number)| places[*number] = place);
        hashed.iter_mut().for_each(|(_, shard)| *shard = places[*shard]);
        let open = shards[0].open();
        let mut rehearsal = Rehearsal::of(changes.len());
        for ((key, change), (hash, place)) in changes.iter().zip(&hashed) {
            rehearsal.check(&shards[*place], *hash, key, change)?;
        }
        let held = |key: &ObjectKey, (hash, place): (u64, usize)| shards[place].get(hash, key.path_bytes(), key.kind());
        let there = changes.iter().zip(&hashed).map(|((key, change), at)| (change, held(key, *at).is_some()));
        self.check_memory(there)?;
        let _making = (!marks.is_empty()).then(|| self.marks.making());
        if !self.marks.have_room(marks) {
            return Err(Refusal::MarksFull);
        }
        let rows = changes.iter().zip(&hashed).map(|((key, change), at)| {
            let object = if change.counts() { None } else { held(key, *at) };
            change.bytes(key, object)
        });
        let bytes = rows.sum::<u64>() + marks.iter().map(|mark| 64 + mark.name.len() as u64).sum::<u64>();
        let was_idle = self.reserve(open, bytes)?;
        for ((key, change), (hash, place)) in changes.iter().zip(hashed) {
            self.apply_change(&mut shards[place], hash, key, change, open, |_| Ok(false), |_| ())?;
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
            Change::Remove(_) | Change::Delete | Change::Expect(_) => false,
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
        // Somebody else's changes wait, and so does who writes them.
        self.pending[buffer_of(open.dot().position)].fetch_sub(bytes, Ordering::Relaxed);
        Err(Refusal::SegmentFull { position: open.dot().position })
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
        let has_nothing_to_do = match change {
            Change::Delete | Change::Remove(_) => shard.get(hash, key.path_bytes(), key.kind()).is_none(),
            Change::Expect(_) => true,
            _ => false,
        };
        if has_nothing_to_do {
            return Ok((false, read(None)));
        }
        let own = || Ok::<_, Infallible>(key.clone());
        let Ok((done, presence)) =
            shard.change(hash, (key.path_bytes(), key.kind()), own, &Origin::Here, |object, owed| {
                // What is counted again before it is taken costs nothing more.
                let is_new = !(change.counts() && owed.is_counted(object, open));
                let mut was_idle = false;
                if is_new {
                    // Before room is taken: what is taken and given back could be waited for, and never be cut.
                    check_range(own_totals(object, open), change)?;
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
            Presence::Went(key) => self.index.remove(key),
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

/// Refuses a change that expects other writes than are live.
pub(super) fn check_expected(shard: &Locked<'_>, hash: u64, key: &ObjectKey, change: &Change) -> Result<(), Refusal> {
    let Change::Expect(expected) = change else { return Ok(()) };
    let live = shard.get(hash, key.path_bytes(), key.kind()).map_or(&[][..], Object::writes);
    let are_same = live.iter().map(|write| write.dot).eq(expected.iter().copied());
    if are_same { Ok(()) } else { Err(Refusal::Changed { path: key.path().into() }) }
}

/// Refuses what would take a counter past its range. `totals` is what this replica has counted up and down.
pub(super) fn check_range(totals: (u64, u64), change: &Change) -> Result<(u64, u64), Refusal> {
    let (up, down) = match change {
        Change::Increment(amount) => (*amount, 0),
        Change::Count(amount) if *amount < 0 => (0, amount.unsigned_abs()),
        Change::Count(amount) => (amount.unsigned_abs(), 0),
        _ => (0, 0),
    };
    if is_planted(Mutant::CounterWraps) {
        return Ok((totals.0.wrapping_add(up), totals.1.wrapping_add(down)));
    }
    let add = |total: u64, amount| total.checked_add(amount).ok_or(Refusal::Overflow(Overflow { total, amount }));
    Ok((add(totals.0, up)?, add(totals.1, down)?))
}

/// Changes the object and notes what is owed to the log.
fn apply(
    object: &mut Object<FixedState>,
    owed: &mut Owed<'_>,
    change: &Change,
    open: OpenDot<'_>,
) -> Result<(), Refusal> {
    match (&mut *object, change) {
        (_, Change::Increment(0) | Change::Count(0) | Change::Expect(_)) => {}
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
