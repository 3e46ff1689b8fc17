//! What does the engine take? Each file has one question, its method and its answer's check; one binary has all of them.
//!
//! ```text
//! cargo bench -p benches --bench engine [-- local|apply|codec|scan|buckets|replicas]
//! ```
//!
//! Times are processor times of the thread, and by the wall clock where others work for it.

mod apply;
mod buckets;
mod codec;
mod local;
mod replicas;
mod scan;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    local::run(&mut criterion);
    apply::run(&mut criterion);
    codec::run(&mut criterion);
    scan::run(&mut criterion);
    buckets::run(&mut criterion);
    replicas::run(&mut criterion);
    criterion.final_summary();
}
