//! What does it take to flush, to pull, to write a snapshot and to begin from one, in memory and in a directory?
//!
//! Method: a replica that writes and one that reads, on buckets of the same sort. A flush is of 10,000 rows, and so is a pull; a
//! snapshot is of 100,000 counters of which all have changed, and a newcomer begins with it. By the wall clock, since a directory
//! is read and written on other threads, and waits for the disk. Buckets on S3 are measured by `benches/s3`.
//!
//! Bar: 1,000,000 rows from a directory in 1.5 s; judged by `versus`.

use std::time::Duration;

use benches::{
    corpus::path,
    engine::{Hosted, counter},
    sized,
    wall::timed_by_the_wall,
};
use criterion::{Criterion, Throughput};
use replica::ports::Bucket;
use store_object::{LocalBucket, MemoryBucket};

pub(crate) fn run(criterion: &mut Criterion) {
    let memory = [(); 3].map(|()| MemoryBucket::new());
    measure(criterion, "memory", |place| memory[place].clone());
    let directory = tempfile::tempdir().expect("a directory");
    measure(criterion, "directory", |place| {
        LocalBucket::open(directory.path().join(place.to_string())).expect("a bucket")
    });
}

fn measure<B: Bucket + 'static>(criterion: &mut Criterion, sort: &str, bucket: impl Fn(usize) -> B) {
    let mut group = criterion.benchmark_group(format!("buckets/{sort}"));
    let rows = sized(10_000, 100);
    let mut writer = Hosted::open_in("ann", bucket(0), [bucket(1)]);
    let reader = Hosted::open_in("bob", bucket(1), [bucket(0)]);
    let mut counted = 0;
    let mut write = |writer: &mut Hosted, rows: usize| {
        counted += 1;
        for number in 0..rows {
            let _written = counter(&writer.replica, &path(number)).add(1).expect("it is taken");
        }
        counted
    };
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function("flush", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                write(&mut writer, rows);
                total += timed_by_the_wall(|| writer.flush()).0;
            }
            total
        });
    });
    reader.catch_up();
    group.bench_function("pull", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                write(&mut writer, rows);
                writer.flush();
                total += timed_by_the_wall(|| reader.catch_up()).0;
            }
            total
        });
    });
    let expected = write(&mut writer, rows);
    writer.flush();
    reader.catch_up();
    assert_eq!(counter(&reader.replica, &path(rows - 1)).value(), expected, "all that was counted");
    writer.close();

    let n = sized(100_000, 1_000);
    group.throughput(Throughput::Elements(n as u64));
    group.bench_function("snapshot", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let mut writer = Hosted::open_in("ann", bucket(0), [bucket(1)]);
                write(&mut writer, n);
                writer.flush();
                total += timed_by_the_wall(|| writer.close()).0;
            }
            total
        });
    });
    let expected = {
        let mut writer = Hosted::open_in("ann", bucket(0), [bucket(1)]);
        let counted = write(&mut writer, n);
        writer.close();
        counted
    };
    let mut newcomers = 0;
    group.bench_function("bootstrap", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                newcomers += 1;
                let name = format!("newcomer-{newcomers}");
                let (took, host) = timed_by_the_wall(|| Hosted::open_in(&name, bucket(2), [bucket(0)]));
                assert_eq!(host.replica.status().objects, n, "objects");
                assert_eq!(counter(&host.replica, &path(0)).value(), expected, "all that was counted");
                total += took;
            }
            total
        });
    });
    group.finish();
}
