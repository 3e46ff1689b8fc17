//! What does it cost to walk what is below a prefix, for each object, and does it depend on how much else there is?
//!
//! Method: a replica that holds counters of the corpus, 10,000 and 1,000,000 of them. A prefix is drawn below which one in 256 is, or
//! one in 16 where there are few, and its objects are read in order; then all of them.

use std::{hint::black_box, time::Duration};

use benches::{
    clock::timed,
    corpus::{PREFIX, path},
    engine::{Hosted, counter},
    sized,
};
use criterion::{BenchmarkId, Criterion, Throughput};
use store_object::MemoryBucket;

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    for (n, digits) in [(sized(10_000, 1_000), 1), (sized(1_000_000, 5_000), 2)] {
        let mut host = Hosted::open("ann", &MemoryBucket::new(), &MemoryBucket::new());
        for first in (0..n).step_by(20_000) {
            for number in first..n.min(first + 20_000) {
                let _written = counter(&host.replica, &path(number)).add(1).expect("it is taken");
            }
            host.flush();
        }
        let prefixes: Vec<String> = (0..1 << (4 * digits)).map(|page| format!("{PREFIX}{page:0digits$x}")).collect();
        let each = |prefix: &str| host.replica.scan(prefix).map(|found| drop(black_box(found))).count();
        assert_eq!(prefixes.iter().map(|prefix| each(prefix)).sum::<usize>(), n, "each object is below one prefix");

        group.throughput(Throughput::Elements((n / prefixes.len()) as u64));
        let mut next = prefixes.iter().cycle();
        group.bench_function(BenchmarkId::new("some of", n), |bencher| {
            bencher.iter_custom(|iterations| {
                (0..iterations).filter_map(|_| next.next()).map(|prefix| timed(|| each(prefix)).0).sum::<Duration>()
            });
        });
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("all of", n), |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| timed(|| each(PREFIX)).0).sum::<Duration>());
        });
    }
    group.finish();
}
