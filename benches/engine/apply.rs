//! What does it take to decode and apply what another replica has counted?
//!
//! Method: the whole way of a segment of 10,000 rows, each of another counter, from the bucket into a keyspace of 10,000 counters
//! and of 1,000,000; what it raises is in no cache.
//!
//! Bar: 400 ns a row or less; judged by `engine_table.rs`, and on the corpus by `versus`.

use std::time::Duration;

use benches::{
    engine::{Pair, sample},
    sized,
};
use criterion::{BenchmarkId, Criterion, Throughput};

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    let rows = sized(10_000, 100);
    group.throughput(Throughput::Elements(rows as u64));
    for n in [rows, sized(1_000_000, 1_000)] {
        let mut pair = Pair::new(n);
        let mut round = 0;
        group.bench_function(BenchmarkId::new("a segment", n), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    round += 1;
                    pair.write(sample(n, rows, round));
                    total += pair.read();
                }
                total
            });
        });
        pair.check((0..n).step_by(997));
    }
    group.finish();
}
