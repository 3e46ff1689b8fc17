//! One of the kinds: what stands at a path.
//! Layer 5.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{fmt, hash::BuildHasher, str::FromStr};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::{
    Changes, CounterChanges, DataType, Dot, GCounter, LwwRegister, MvRegister, OpenDot, OrSet, PnCounter,
    RegisterChanges, Seen, SetChanges, Tally, Write,
};

/// What registers hold and sets contain, for an engine that does not look inside.
pub type Bytes = Arc<[u8]>;

/// The kind of an object. With the path it is the object's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`GCounter`]
    GCounter,
    /// [`PnCounter`]
    PnCounter,
    /// [`LwwRegister`]
    LwwRegister,
    /// [`MvRegister`]
    MvRegister,
    /// [`OrSet`]
    OrSet,
}

impl Kind {
    /// Every kind, in ascending order.
    pub const ALL: [Self; 5] = [Self::GCounter, Self::PnCounter, Self::LwwRegister, Self::MvRegister, Self::OrSet];

    /// The name in commands and formats, such as `pn_counter`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GCounter => "g_counter",
            Self::PnCounter => "pn_counter",
            Self::LwwRegister => "lww_register",
            Self::MvRegister => "mv_register",
            Self::OrSet => "or_set",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownKind)
    }
}

/// A name that is none of the kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown kind; one of g_counter, pn_counter, lww_register, mv_register, or_set")
    }
}

impl core::error::Error for UnknownKind {}

/// Changes, or a state, of another kind than the object. Nothing was merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKind {
    /// The kind of the object.
    pub object: Kind,
}

impl fmt::Display for WrongKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what is merged is of another kind than the object: object={}", self.object)
    }
}

impl core::error::Error for WrongKind {}

/// One object: a state of one of the kinds, with bytes for values.
///
/// It holds no context. The engine merges it under the frontier of the whole keyspace. It is small, 24 bytes in place,
/// since a keyspace holds many of them in half-empty tables (`docs/decisions/0010-small-objects.md`).
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "", deserialize = "S: Default"), rename_all = "snake_case")]
pub enum Object<S: BuildHasher = FixedState> {
    /// A counter that only counts up.
    GCounter(GCounter),
    /// A counter that counts up and down.
    PnCounter(PnCounter),
    /// A register that reads as its last write.
    LwwRegister(Box<LwwRegister<Bytes>>),
    /// A register that reads as all its concurrent writes.
    MvRegister(Box<MvRegister<Bytes>>),
    /// A set in which an add wins over a concurrent remove.
    OrSet(Box<OrSet<Bytes, S>>),
}

impl<S: BuildHasher + Clone> Object<S> {
    /// An empty object; a set will hash with `hasher`.
    pub fn new(kind: Kind, hasher: S) -> Self {
        match kind {
            Kind::GCounter => Self::GCounter(GCounter::default()),
            Kind::PnCounter => Self::PnCounter(PnCounter::default()),
            Kind::LwwRegister => Self::LwwRegister(Box::default()),
            Kind::MvRegister => Self::MvRegister(Box::default()),
            Kind::OrSet => Self::OrSet(Box::new(OrSet::with_hasher(hasher))),
        }
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::GCounter(_) => Kind::GCounter,
            Self::PnCounter(_) => Kind::PnCounter,
            Self::LwwRegister(_) => Kind::LwwRegister,
            Self::MvRegister(_) => Kind::MvRegister,
            Self::OrSet(_) => Kind::OrSet,
        }
    }

    /// True when there is something to read: it was written and not deleted since. A counter at zero is live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::GCounter(counter) => counter.is_live(),
            Self::PnCounter(counter) => counter.is_live(),
            Self::LwwRegister(register) => register.is_live(),
            Self::MvRegister(register) => register.is_live(),
            Self::OrSet(set) => !set.is_empty(),
        }
    }

    /// True when nothing is left, not even a dead tally: the object can be dropped from the keyspace.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::GCounter(_) | Self::PnCounter(_) => self.tallies().is_empty(),
            _ => !self.is_live(),
        }
    }

    /// What a reader sees.
    #[must_use]
    pub fn value(&self) -> Value {
        match self {
            Self::GCounter(counter) => Value::GCounter(counter.value()),
            Self::PnCounter(counter) => Value::PnCounter(counter.value()),
            Self::LwwRegister(register) => Value::LwwRegister(register.value().cloned()),
            Self::MvRegister(register) => Value::MvRegister(register.values().cloned().collect()),
            Self::OrSet(set) => Value::OrSet(set.elements().into_iter().cloned().collect()),
        }
    }

    /// The live writes of a register, in ascending order of their dots: one, unless several were written concurrently. None of
    /// anything else.
    #[must_use]
    pub fn writes(&self) -> &[Write<Bytes>] {
        match self {
            Self::LwwRegister(register) => register.writes(),
            Self::MvRegister(register) => register.writes(),
            _ => &[],
        }
    }

    /// The tallies of a counter, none of anything else.
    #[must_use]
    pub fn tallies(&self) -> &[Tally] {
        match self {
            Self::GCounter(counter) => counter.tallies(),
            Self::PnCounter(counter) => counter.tallies(),
            _ => &[],
        }
    }

    /// The tallies of a counter that are dead, but for those that died as one of `before` did.
    pub fn newly_dead<'a>(&'a self, before: &'a [Tally]) -> impl Iterator<Item = &'a Tally> {
        self.tallies().iter().filter(|tally| tally.is_dead() && !before.iter().any(|before| before.died_as(tally)))
    }

    /// Drops the tally that died as `dead` did. Returns whether it was there.
    ///
    /// The caller must know that nobody can bring this life back: `docs/architecture.md`, "Purging".
    pub fn purge(&mut self, dead: &Tally) -> bool {
        match self {
            Self::GCounter(counter) => counter.purge(dead),
            Self::PnCounter(counter) => counter.purge(dead),
            _ => false,
        }
    }

    /// Deletes all that is here, as far as this replica has seen, and records it.
    ///
    /// # Errors
    ///
    /// [`WrongKind`] when `changes` are of another kind; nothing is changed.
    pub fn delete(&mut self, open: OpenDot<'_>, changes: &mut ObjectChanges) -> Result<(), WrongKind> {
        let object = self.kind();
        match (self, changes) {
            (Self::GCounter(counter), ObjectChanges::Counter(changes)) => counter.reset(changes),
            (Self::PnCounter(counter), ObjectChanges::Counter(changes)) => counter.reset(changes),
            (Self::LwwRegister(register), ObjectChanges::Register(changes)) => register.clear(open, changes),
            (Self::MvRegister(register), ObjectChanges::Register(changes)) => register.clear(open, changes),
            (Self::OrSet(set), ObjectChanges::Set(changes)) => set.clear(open, changes),
            _ => return Err(WrongKind { object }),
        }
        Ok(())
    }

    /// Merges the whole state of another replica's object: [`DataType::merge`].
    ///
    /// # Errors
    ///
    /// [`WrongKind`] when `other` is of another kind; nothing is merged.
    pub fn merge<A, B>(&mut self, seen: &A, other: &Self, other_seen: &B) -> Result<(), WrongKind>
    where
        A: Seen + Seen<Bytes>,
        B: Seen + Seen<Bytes>,
    {
        let object = self.kind();
        match (self, other) {
            (Self::GCounter(ours), Self::GCounter(theirs)) => ours.merge(seen, theirs, other_seen),
            (Self::PnCounter(ours), Self::PnCounter(theirs)) => ours.merge(seen, theirs, other_seen),
            (Self::LwwRegister(ours), Self::LwwRegister(theirs)) => ours.merge(seen, theirs, other_seen),
            (Self::MvRegister(ours), Self::MvRegister(theirs)) => ours.merge(seen, theirs, other_seen),
            (Self::OrSet(ours), Self::OrSet(theirs)) => ours.merge(seen, theirs, other_seen),
            _ => return Err(WrongKind { object }),
        }
        Ok(())
    }

    /// Merges changes: [`DataType::merge_changes`].
    ///
    /// # Errors
    ///
    /// [`WrongKind`] when `changes` are of another kind; nothing is merged.
    pub fn merge_changes<A>(&mut self, seen: &A, changes: &ObjectChanges) -> Result<(), WrongKind>
    where
        A: Seen + Seen<Bytes>,
    {
        let object = self.kind();
        match (self, changes) {
            (Self::GCounter(counter), ObjectChanges::Counter(changes)) => counter.merge_changes(seen, changes),
            (Self::PnCounter(counter), ObjectChanges::Counter(changes)) => counter.merge_changes(seen, changes),
            (Self::LwwRegister(register), ObjectChanges::Register(changes)) => register.merge_changes(seen, changes),
            (Self::MvRegister(register), ObjectChanges::Register(changes)) => register.merge_changes(seen, changes),
            (Self::OrSet(set), ObjectChanges::Set(changes)) => set.merge_changes(seen, changes),
            _ => return Err(WrongKind { object }),
        }
        Ok(())
    }
}

/// Equal when kind and state are, whatever the hashers.
impl<S: BuildHasher> PartialEq for Object<S> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::GCounter(ours), Self::GCounter(theirs)) => ours == theirs,
            (Self::PnCounter(ours), Self::PnCounter(theirs)) => ours == theirs,
            (Self::LwwRegister(ours), Self::LwwRegister(theirs)) => ours == theirs,
            (Self::MvRegister(ours), Self::MvRegister(theirs)) => ours == theirs,
            (Self::OrSet(ours), Self::OrSet(theirs)) => ours == theirs,
            _ => false,
        }
    }
}

impl<S: BuildHasher> Eq for Object<S> {}

impl<S: BuildHasher> fmt::Debug for Object<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GCounter(counter) => counter.fmt(f),
            Self::PnCounter(counter) => counter.fmt(f),
            Self::LwwRegister(register) => register.fmt(f),
            Self::MvRegister(register) => register.fmt(f),
            Self::OrSet(set) => set.fmt(f),
        }
    }
}

/// What changed in an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectChanges {
    /// In a counter of either kind.
    Counter(CounterChanges),
    /// In a register of either kind.
    Register(RegisterChanges<Bytes>),
    /// In a set.
    Set(SetChanges<Bytes>),
}

impl ObjectChanges {
    /// No change yet, of an object of this kind.
    #[must_use]
    pub fn none(kind: Kind) -> Self {
        match kind {
            Kind::GCounter | Kind::PnCounter => Self::Counter(CounterChanges::default()),
            Kind::LwwRegister | Kind::MvRegister => Self::Register(RegisterChanges::default()),
            Kind::OrSet => Self::Set(SetChanges::default()),
        }
    }

    /// True when nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Counter(changes) => changes.is_empty(),
            Self::Register(changes) => changes.is_empty(),
            Self::Set(changes) => changes.is_empty(),
        }
    }

    /// Visits every dot that is named, added or removed, in an order that depends on the changes alone.
    pub fn for_each_dot(&self, visit: impl FnMut(Dot)) {
        match self {
            Self::Counter(changes) => changes.for_each_dot(visit),
            Self::Register(changes) => changes.for_each_dot(visit),
            Self::Set(changes) => changes.for_each_dot(visit),
        }
    }
}

/// What a reader sees of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The sum.
    GCounter(u128),
    /// Increments minus decrements.
    PnCounter(i128),
    /// The last write, if it has not been deleted.
    LwwRegister(Option<Bytes>),
    /// Every concurrent write, in ascending order of dots.
    MvRegister(Vec<Bytes>),
    /// The elements, in ascending order.
    OrSet(Vec<Bytes>),
}
