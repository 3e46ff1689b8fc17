//! Who wrote, and where in its log: replica, position, dot.
//! Layer 0.

use core::{fmt, num::NonZeroU64};

use serde::{Deserialize, Serialize};

/// Identifies a replica: the first eight bytes of the BLAKE3 hash of its name.
///
/// A fixed size keeps a [`Dot`] at 16 bytes and needs no table to read; the same name is the same id everywhere. The
/// order of ids is the order of the hashes: the same in every region, and without meaning. It decides ties between
/// writes of equal timestamps, nothing else. Two names collide with a chance of n² / 2⁶⁵ for n names; whoever maps
/// names to ids must refuse a collision.
///
/// ```
/// use crdt_core::ReplicaId;
///
/// assert_eq!(ReplicaId::named("eu-west-1"), ReplicaId::named("eu-west-1"));
/// assert_ne!(ReplicaId::named("eu-west-1"), ReplicaId::named("us-east-1"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(NonZeroU64);

impl ReplicaId {
    /// The id of the replica of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..8]);
        Self(NonZeroU64::new(u64::from_be_bytes(first)).unwrap_or(NonZeroU64::MAX))
    }

    /// The id as a number, for encoding.
    #[must_use]
    pub const fn get(self) -> NonZeroU64 {
        self.0
    }
}

impl From<NonZeroU64> for ReplicaId {
    fn from(id: NonZeroU64) -> Self {
        Self(id)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A place in a replica's log: an epoch and a slot in it, 32 bits each, ordered epoch first.
///
/// ```
/// use crdt_core::Position;
///
/// assert!(Position::new(1, 0) > Position::new(0, 7));
/// assert_eq!(Position::new(1, 2).to_string(), "00000001/00000002");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// The first position of any log.
    pub const FIRST: Self = Self(0);

    /// The position at `slot` of `epoch`.
    #[must_use]
    pub const fn new(epoch: u32, slot: u32) -> Self {
        Self(((epoch as u64) << 32) | slot as u64)
    }

    /// The epoch: which ownership of the log this is.
    #[must_use]
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The slot within the epoch.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// The position that directly follows, `None` at the very last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }

    /// True when `self` directly precedes `later`.
    #[must_use]
    pub fn precedes(self, later: Self) -> bool {
        self.next() == Some(later)
    }
}

impl From<u64> for Position {
    fn from(packed: u64) -> Self {
        Self(packed)
    }
}

impl From<Position> for u64 {
    fn from(position: Position) -> Self {
        position.0
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}/{:08x}", self.epoch(), self.slot())
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One change, or one segment of changes: a replica and a position in its log.
///
/// A dot is minted once, by the [`DotSource`](crate::DotSource) that owns the log; everywhere else it is data. Dots are
/// ordered by replica, then by position.
///
/// Source: Almeida, Shoker, Baquero, "Delta State Replicated Data Types", 2018, section 7.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Whose log.
    pub replica: ReplicaId,
    /// Where in it.
    pub position: Position,
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.replica, self.position)
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
