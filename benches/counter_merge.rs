//! How long does it take to merge a counter that 3, 8 or 64 replicas count on, for each total that it holds?
//!
//! Method: 1,000 PN-counters, as the rows of a keyspace. Each replica has counted on in each row where only one of the
//! two sides saw it. A slot is what one replica has counted up, or what it has counted down. Ours merges under a
//! frontier, as the engine does; `crdts` consumes the other counter. Clones are made outside the clock.
//!
//! Bar: faster than `crdts` per slot with 3 replicas, judged by `table.rs` in processor time.

use benches::{counter, sized};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("counter_merge");
    let rows = sized(1_000, 10);
    for replicas in [3, 8, 64] {
        let ours = counter::Ours::new(rows, replicas);
        let peer = counter::Peer::new(rows, replicas);

        let (mut merged, mut peer_merged) = (ours.clone(), peer.clone());
        merged.merge();
        peer_merged.merge();
        counter::check(&merged, &peer_merged);

        group.throughput(Throughput::Elements((rows * counter::slots(replicas)) as u64));
        group.bench_function(BenchmarkId::new("ours", replicas), |bencher| {
            bencher.iter_batched_ref(|| ours.clone(), counter::Ours::merge, BatchSize::LargeInput);
        });
        group.bench_function(BenchmarkId::new("crdts", replicas), |bencher| {
            bencher.iter_batched_ref(|| peer.clone(), counter::Peer::merge, BatchSize::LargeInput);
        });
    }
    group.finish();
    criterion.final_summary();
}
