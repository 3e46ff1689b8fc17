//! Sets of u64 elements, each element added under a dot of its own.

use std::ops::Range;

use crdt_core::{Causal, Delta, OrSet, ReplicaId, Writer};
use crdts::{CmRDT, Dot, Orswot, orswot};

/// Our side.
pub type Ours = Causal<OrSet<u64>>;

/// The side of `crdts`.
pub type Peer = Orswot<u64, u64>;

/// The element of this number: distinct, and without an order that a table could profit from.
#[must_use]
pub const fn element(number: usize) -> u64 {
    (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Adds elements one by one, and returns one delta for all.
pub fn add(writer: &mut Writer<OrSet<u64>>, numbers: Range<usize>) -> Delta<OrSet<u64>> {
    let mut all = Delta::default();
    for number in numbers {
        all.merge(&writer.add(element(number)));
    }
    all
}

/// Adds elements one by one, by a replica that has not added any before.
pub fn peer_add(set: &mut Peer, replica: ReplicaId, numbers: Range<usize>) {
    for (counter, number) in (1..).zip(numbers) {
        set.apply(orswot::Op::Add { dot: Dot::new(replica.get().get(), counter), members: vec![element(number)] });
    }
}

/// What is held after `replica` has added elements to nothing.
#[must_use]
pub fn ours(replica: ReplicaId, numbers: Range<usize>) -> Ours {
    let mut writer = Writer::<OrSet<u64>>::new(replica);
    for number in numbers {
        let _ = writer.add(element(number));
    }
    writer.into_causal()
}

/// As [`ours`].
#[must_use]
pub fn peer(replica: ReplicaId, numbers: Range<usize>) -> Peer {
    let mut set = Peer::new();
    peer_add(&mut set, replica, numbers);
    set
}

/// Two states of `n` elements. Half of each was added before they parted, half afterwards, by a replica of its own.
#[must_use]
pub fn ours_parted(n: usize) -> (Ours, Ours) {
    let [ann, bob, eve] = replicas();
    let common = ours(ann, 0..n / 2);
    let branch = |replica, numbers| {
        let mut writer = Writer::open(replica, 0, common.clone()).expect("this replica has not written yet");
        let _ = add(&mut writer, numbers);
        writer.into_causal()
    };
    (branch(bob, n / 2..n), branch(eve, n..n + n / 2))
}

/// As [`ours_parted`].
#[must_use]
pub fn peer_parted(n: usize) -> (Peer, Peer) {
    let [ann, bob, eve] = replicas();
    let mut left = peer(ann, 0..n / 2);
    let mut right = left.clone();
    peer_add(&mut left, bob, n / 2..n);
    peer_add(&mut right, eve, n..n + n / 2);
    (left, right)
}

/// Both sides hold the same elements, `n` of them.
///
/// # Panics
///
/// When that is not so.
pub fn check(ours: &Ours, peer: &Peer, n: usize) {
    let mut expected: Vec<&u64> = peer.iter().map(|held| held.val).collect();
    expected.sort_unstable();
    assert!(ours.elements() == expected, "the two sides differ");
    assert_eq!(ours.len(), n, "elements");
}

fn replicas() -> [ReplicaId; 3] {
    ["ann", "bob", "eve"].map(ReplicaId::named)
}
