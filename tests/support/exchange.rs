//! Replicas of one type that exchange deltas.

use crdt_core::{ReplicaId, Writer};

/// What the replicas of a test are called.
pub const NAMES: [&str; 5] = ["ann", "bob", "cyd", "dan", "eve"];

/// The first writers of the first `N` names.
#[must_use]
pub fn writers<T: Default, const N: usize>() -> [Writer<T>; N] {
    std::array::from_fn(|index| Writer::new(ReplicaId::named(NAMES[index])))
}

/// Every order of `items`.
#[must_use]
pub fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = items.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut order = order.clone();
            order.insert(at, first.clone());
            all.push(order);
        }
    }
    all
}
