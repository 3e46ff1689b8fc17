//! What does a segment cost to encode, to decode and to walk, for each row?
//!
//! Method: rows of the corpus, already sorted; encoding hashes and compresses, decoding checks hash and rows, walking reads what was
//! decoded. `apply.rs` has decoding and applying together.
//!
//! Bar: 40 ns a row to encode and 20 ns to decode; judged by `versus`.

use std::{hint::black_box, time::Duration};

use benches::{clock::timed, segments::Draft, sized};
use criterion::{BenchmarkId, Criterion, Throughput};

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for rows in [100, sized(10_000, 200)] {
        let draft = Draft::new(rows);
        let object = draft.encode();
        let segment = draft.decode(&object);
        group.throughput(Throughput::Elements(rows as u64));
        let mut bench = |what: &str, run: &dyn Fn()| {
            group.bench_function(BenchmarkId::new(what, rows), |bencher| {
                bencher.iter_custom(|iterations| (0..iterations).map(|_| timed(run).0).sum::<Duration>());
            });
        };
        bench("encode", &|| drop(black_box(draft.encode())));
        bench("decode", &|| drop(black_box(draft.decode(&object))));
        let walk = || {
            let mut rows = segment.rows();
            let mut walked = 0;
            while let Some(row) = rows.next() {
                black_box(row.path);
                walked += 1;
            }
            walked
        };
        bench("walk", &|| assert_eq!(walk(), rows, "rows"));
        assert_eq!(draft.encode(), object, "the same bytes each time");
    }
    group.finish();
}
