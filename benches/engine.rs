//! What does it take to count at a replica, and to apply what another has counted?
//!
//! Method: a replica on a bucket in memory, with nothing in the background. Counting is done again and again at one path,
//! with the handle looked up each time, as a service does it, and the log is written outside the clock. Applying is the
//! whole way of a segment of 10,000 rows, each of another counter, from the bucket into a keyspace of 10,000 counters and of
//! 1,000,000; what it raises is in no cache. Times are processor times of the thread.
//!
//! Bar: under 150 ns to count, and 400 ns a row or less; judged by `engine_table.rs`.

use std::time::Duration;

use benches::{
    clock::timed,
    engine::{Hosted, Pair, counter, path, sample},
    sized,
};
use criterion::{BenchmarkId, Criterion, Throughput};
use store_object::MemoryBucket;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("engine");

    let mut host = Hosted::open("ann", &MemoryBucket::new(), &MemoryBucket::new());
    let warm = path(7);
    let mut counted = 0;
    group.bench_function("count", |bencher| {
        bencher.iter_custom(|iterations| {
            let add = || (0..iterations).for_each(|_| drop(counter(&host.replica, &warm).add(1).expect("it is taken")));
            let took = timed(add).0;
            counted += i128::from(iterations);
            host.flush();
            took
        });
    });
    assert_eq!(counter(&host.replica, &warm).value(), counted, "all that was counted");

    let rows = sized(10_000, 100);
    group.throughput(Throughput::Elements(rows as u64));
    for n in [rows, sized(1_000_000, 1_000)] {
        let mut pair = Pair::new(n);
        let mut round = 0;
        group.bench_function(BenchmarkId::new("apply", n), |bencher| {
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
    criterion.final_summary();
}
