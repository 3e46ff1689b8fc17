//! What does it cost to merge a last-writer-wins register that keeps the writes which lost?
//!
//! Method: 1,000 registers of u64 values, as the rows of a keyspace: in step, with a later write that had seen ours, and
//! with one that had not. `crdts` keeps one value and a marker, here timestamp and replica, and cannot tell the last two
//! apart. Clones are made outside the clock.
//!
//! Bar: none. It is the price of losing nothing.

use benches::{
    register::{self, Change},
    sized,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("register_merge");
    let rows = sized(1_000, 10);
    group.throughput(Throughput::Elements(rows as u64));
    for change in Change::ALL {
        let ours = register::Ours::new(rows, change);
        let peer = register::Peer::new(rows, change);

        let (mut merged, mut peer_merged) = (ours.clone(), peer.clone());
        merged.merge();
        peer_merged.merge();
        register::check(&merged, &peer_merged);
        let conflicted = merged.ours.iter().all(crdt_core::LwwRegister::is_conflicted);
        assert_eq!(conflicted, change == Change::Concurrent, "only a concurrent write leaves a loser");

        group.bench_function(BenchmarkId::new("ours", change.name()), |bencher| {
            bencher.iter_batched_ref(|| ours.clone(), register::Ours::merge, BatchSize::LargeInput);
        });
        group.bench_function(BenchmarkId::new("crdts", change.name()), |bencher| {
            bencher.iter_batched_ref(|| peer.clone(), register::Peer::merge, BatchSize::LargeInput);
        });
    }
    group.finish();
    criterion.final_summary();
}
