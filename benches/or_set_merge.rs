//! How long does it take to merge a whole set with another replica's, when half of each is new to the other?
//!
//! Method: two sets of 10,000 and of 1,000,000 u64 elements. Half of each was added before they parted, half afterwards.
//! `Causal::merge`, which borrows the other set, and `Orswot::merge`, which consumes it. Cloning what is merged into
//! (and, for `Orswot`, what is consumed) and dropping the result are outside the clock.
//!
//! Bar: 8 times faster than `Orswot::merge`, judged by `table.rs` in processor time.

use std::time::Duration;

use benches::{or_set, sized};
use crdts::CvRDT;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("or_set_merge");
    for n in [10_000, sized(1_000_000, 1_000)] {
        let (ours, theirs) = or_set::ours_parted(n);
        let (peer_ours, peer_theirs) = or_set::peer_parted(n);

        let mut merged = ours.clone();
        merged.merge(&theirs);
        let mut peer_merged = peer_ours.clone();
        peer_merged.merge(peer_theirs.clone());
        or_set::check(&merged, &peer_merged, n + n / 2);

        group.throughput(Throughput::Elements(n as u64)).measurement_time(Duration::from_secs(5));
        group.bench_function(BenchmarkId::new("ours", n), |bencher| {
            let merge = |mut set: or_set::Ours| {
                set.merge(&theirs);
                set
            };
            bencher.iter_batched(|| ours.clone(), merge, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("crdts", n), |bencher| {
            let merge = |(mut set, other): (or_set::Peer, or_set::Peer)| {
                set.merge(other);
                set
            };
            bencher.iter_batched(|| (peer_ours.clone(), peer_theirs.clone()), merge, BatchSize::PerIteration);
        });
    }
    group.finish();
    criterion.final_summary();
}
