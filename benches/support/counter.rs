//! Rows of PN-counters: many small counters, as a keyspace holds them.

use crdt_core::{DataType, DotSource, Frontier, PnCounter, ReplicaId};
use crdts::{CmRDT, CvRDT, PNCounter};

/// How many totals a row of this many replicas has: each counts its increments and its decrements.
#[must_use]
pub const fn slots(replicas: usize) -> usize {
    2 * replicas
}

/// Our side: rows on two replicas, and the frontier under which both stand.
#[derive(Clone, Debug)]
pub struct Ours {
    /// Those that are merged into.
    pub ours: Vec<PnCounter>,
    theirs: Vec<PnCounter>,
    frontier: Frontier,
}

/// The side of `crdts`.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Those that are merged into.
    pub ours: Vec<PNCounter<u64>>,
    theirs: Vec<PNCounter<u64>>,
}

impl Ours {
    /// As many rows, on which as many replicas have counted.
    #[must_use]
    pub fn new(rows: usize, replicas: usize) -> Self {
        let sources: Vec<_> = names(replicas).map(|replica| DotSource::new(replica, 0)).collect();
        let (ours, theirs) = history(rows, replicas, |counter: &mut PnCounter, replica, amount| {
            counter.add(amount, sources[replica].open()).expect("amounts are small");
        });
        Self { ours, theirs, frontier: sources.iter().map(DotSource::cut).collect() }
    }

    /// Merges every row.
    pub fn merge(&mut self) {
        for (ours, theirs) in self.ours.iter_mut().zip(&self.theirs) {
            ours.merge(&self.frontier, theirs, &self.frontier);
        }
    }
}

impl Peer {
    /// As many rows, on which as many replicas have counted.
    #[must_use]
    pub fn new(rows: usize, replicas: usize) -> Self {
        let actors: Vec<_> = names(replicas).map(|replica| replica.get().get()).collect();
        let (ours, theirs) = history(rows, replicas, |counter: &mut PNCounter<u64>, replica, amount| {
            let (actor, steps) = (actors[replica], amount.unsigned_abs());
            counter.apply(if amount < 0 { counter.dec_many(actor, steps) } else { counter.inc_many(actor, steps) });
        });
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
        assert_eq!(ours.value().to_string(), peer.read().to_string(), "the two sides differ");
    }
}

/// What both sides hold after every replica has counted up and down in every row, and then has counted on, in half of the
/// rows where only our side sees it, in the others where only theirs does.
fn history<C: Clone + Default>(
    rows: usize,
    replicas: usize,
    mut add: impl FnMut(&mut C, usize, i64),
) -> (Vec<C>, Vec<C>) {
    let mut ours = vec![C::default(); rows];
    for (row, counter) in ours.iter_mut().enumerate() {
        for replica in 0..replicas {
            add(counter, replica, 1 + row as i64);
            add(counter, replica, -1 - replica as i64);
        }
    }
    let mut theirs = ours.clone();
    for row in 0..rows {
        for replica in 0..replicas {
            let side = if (row + replica) % 2 == 0 { &mut ours } else { &mut theirs };
            add(&mut side[row], replica, 1_000);
            add(&mut side[row], replica, -100);
        }
    }
    (ours, theirs)
}

fn names(replicas: usize) -> impl Iterator<Item = ReplicaId> {
    (0..replicas).map(|replica| ReplicaId::named(&format!("replica {replica}")))
}
