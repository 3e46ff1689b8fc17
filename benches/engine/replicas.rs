//! What does a segment cost its reader among 3, 10, 30 and 100 replicas?
//!
//! Method: each replica has a bucket in memory, has counted at the same 100 counters and has read what all others counted. Then
//! each counts at ten of them and writes a segment, and one replica reads them all, with the lists that make sure of the end.
//! Every segment names all replicas, and every counter has a tally for each.

use std::time::Duration;

use benches::{
    clock::timed,
    corpus::path,
    engine::{Hosted, counter},
    sized,
};
use criterion::{BenchmarkId, Criterion, Throughput};
use store_object::MemoryBucket;

const COUNTERS: usize = 100;
const ROWS: usize = 10;

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replicas");
    for replicas in [3, sized(10, 4), sized(30, 5), sized(100, 6)] {
        let buckets: Vec<_> = (0..replicas).map(|_| MemoryBucket::new()).collect();
        let open = |own: usize| {
            let peers = buckets.iter().enumerate().filter(|(peer, _)| *peer != own).map(|(_, bucket)| bucket.clone());
            Hosted::open_in(&format!("replica-{own}"), buckets[own].clone(), peers)
        };
        let mut hosts: Vec<Hosted> = (0..replicas).map(open).collect();
        let mut counted = vec![0_i128; COUNTERS];
        let mut count = |hosts: &mut [Hosted], numbers: &dyn Fn(usize) -> usize, rows: usize| {
            for host in hosts {
                for number in (0..rows).map(numbers) {
                    let _written = counter(&host.replica, &path(number)).add(1).expect("it is taken");
                    counted[number] += 1;
                }
                host.flush();
            }
        };
        count(&mut hosts, &|row| row, COUNTERS);
        hosts.iter().for_each(Hosted::catch_up);
        let mut round = 0;
        group.throughput(Throughput::Elements(replicas as u64 - 1));
        group.bench_function(BenchmarkId::new("a segment of each of", replicas), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    round += 1;
                    count(&mut hosts[1..], &|row| (row + round * ROWS) % COUNTERS, ROWS);
                    total += timed(|| hosts[0].catch_up()).0;
                }
                total
            });
        });
        let values = (0..COUNTERS).map(|number| counter(&hosts[0].replica, &path(number)).value());
        assert!(values.eq(counted), "all that was counted");
    }
    group.finish();
}
