//! Rows of last-writer-wins registers of u64 values.

use crdt_core::{DataType, DotSource, Frontier, LwwRegister, ReplicaId, Timestamp};
use crdts::{CvRDT, LWWReg};

/// What the other side has written since the two were in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// A later write, which had seen ours.
    Later,
    /// A later write, which had not seen ours: here our side keeps both.
    Concurrent,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Later, Self::Concurrent];

    /// The name in a bench.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing changed",
            Self::Later => "later write",
            Self::Concurrent => "concurrent write",
        }
    }
}

/// Our side: rows on two replicas, and what each replica has seen.
#[derive(Clone, Debug)]
pub struct Ours {
    /// Those that are merged into.
    pub ours: Vec<LwwRegister<u64>>,
    theirs: Vec<LwwRegister<u64>>,
    ours_seen: Frontier,
    theirs_seen: Frontier,
}

/// The side of `crdts`: rows whose markers are timestamp and replica.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Those that are merged into.
    pub ours: Vec<LWWReg<u64, (u64, u64)>>,
    theirs: Vec<LWWReg<u64, (u64, u64)>>,
}

impl Ours {
    /// As many rows, of which all were changed alike.
    #[must_use]
    pub fn new(rows: usize, change: Change) -> Self {
        let [ann, bob] = replicas().map(|replica| DotSource::new(replica, 0));
        let write = |mut register: LwwRegister<u64>, source: &DotSource, (millis, value)| {
            let mut changes = Default::default();
            register.set(value, Timestamp::from_millis(millis), source.open(), &mut changes);
            register
        };
        let ours: Vec<_> = (0..rows).map(|row| write(LwwRegister::default(), &ann, first(row))).collect();
        let theirs = match change {
            Change::Nothing => ours.clone(),
            Change::Later => ours.iter().enumerate().map(|(row, held)| write(held.clone(), &bob, later(row))).collect(),
            Change::Concurrent => (0..rows).map(|row| write(LwwRegister::default(), &bob, later(row))).collect(),
        };
        let (ann, bob) = (ann.cut(), bob.cut());
        let theirs_seen = if change == Change::Concurrent { vec![bob] } else { vec![ann, bob] };
        Self { ours, theirs, ours_seen: [ann].into_iter().collect(), theirs_seen: theirs_seen.into_iter().collect() }
    }

    /// Merges every row.
    pub fn merge(&mut self) {
        for (ours, theirs) in self.ours.iter_mut().zip(&self.theirs) {
            ours.merge(&self.ours_seen, theirs, &self.theirs_seen);
        }
    }
}

impl Peer {
    /// As many rows, of which all were changed alike.
    #[must_use]
    pub fn new(rows: usize, change: Change) -> Self {
        let [ann, bob] = replicas().map(|replica| replica.get().get());
        let write = |(millis, value), actor| LWWReg { val: value, marker: (millis, actor) };
        let ours: Vec<_> = (0..rows).map(|row| write(first(row), ann)).collect();
        let theirs = match change {
            Change::Nothing => ours.clone(),
            Change::Later | Change::Concurrent => (0..rows).map(|row| write(later(row), bob)).collect(),
        };
        Self { ours, theirs }
    }

    /// Merges every row.
    pub fn merge(&mut self) {
        for (ours, theirs) in self.ours.iter_mut().zip(self.theirs.drain(..)) {
            ours.merge(theirs);
        }
    }
}

/// Both sides read the same in every row.
///
/// # Panics
///
/// When that is not so.
pub fn check(ours: &Ours, peer: &Peer) {
    assert_eq!(ours.ours.len(), peer.ours.len());
    for (ours, peer) in ours.ours.iter().zip(&peer.ours) {
        assert_eq!(ours.value(), Some(&peer.val), "the two sides differ");
    }
}

fn replicas() -> [ReplicaId; 2] {
    ["ann", "bob"].map(ReplicaId::named)
}

fn first(row: usize) -> (u64, u64) {
    (1_000, row as u64)
}

fn later(row: usize) -> (u64, u64) {
    (2_000, row as u64 + 1)
}
