//! What does it take to count at a replica: at one path, on one thread and on two?
//!
//! Method: a replica on a bucket in memory, with nothing in the background, whose log is written outside the clock. At one path
//! the handle is looked up again and again, as a service does it. Two threads have a path each, and are timed by the wall clock:
//! one count is a count of each.
//!
//! Bar: under 150 ns to count; judged by `engine_table.rs`.

use benches::{
    clock::timed,
    corpus::path,
    engine::{Hosted, counter},
    wall::timed_by_the_wall,
};
use criterion::{BenchmarkId, Criterion};
use store_object::MemoryBucket;

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("local");
    let mut host = Hosted::open("ann", &MemoryBucket::new(), &MemoryBucket::new());
    let mut counted = [0_i128; 2];
    for threads in [1, 2] {
        group.bench_function(BenchmarkId::new("count", threads), |bencher| {
            bencher.iter_custom(|iterations| {
                let add = |which: usize| {
                    let warm = path(which);
                    (0..iterations).for_each(|_| drop(counter(&host.replica, &warm).add(1).expect("it is taken")));
                };
                let (took, ()) = if threads == 1 {
                    timed(|| add(0))
                } else {
                    timed_by_the_wall(|| {
                        std::thread::scope(|scope| {
                            scope.spawn(|| add(0));
                            add(1);
                        });
                    })
                };
                counted[..threads].iter_mut().for_each(|counted| *counted += i128::from(iterations));
                host.flush();
                took
            });
        });
    }
    let values = [0, 1].map(|which| counter(&host.replica, &path(which)).value());
    assert_eq!(values, counted, "all that was counted");
    group.finish();
}
