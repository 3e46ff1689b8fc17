//! Whole states: a snapshot into a replica that holds nearly the same, and into one that begins.

use std::time::Duration;

use benches::{clock::timed, corpus, engine::Hosted, report::thousands, trio::Trio, wall::timed_by_the_wall};
use replica::ports::Bucket;
use store_object::{LocalBucket, MemoryBucket};

use super::Scale;
use crate::{
    peers::{AutomergeMap, Document, Floor, LoroMap, Write, YrsMap},
    report::{Bar, Report, Row},
};

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    same(report, scale);
    let rows = thousands(scale.n);
    let directory = tempfile::tempdir().expect("a directory");
    let folder = |name: &str| LocalBucket::open(directory.path().join(name)).expect("a bucket");
    // By the wall clock, since a directory is read on other threads.
    let ours = bootstrap(scale, folder, |open| timed_by_the_wall(open));
    let work = format!("bootstrap of {rows} rows from a local directory, wall clock");
    report.row(Row { work, ours, peer: None, unit: "s", bar: Some(Bar::at_most(1.5, 0.6)) });
    let written = MemoryBucket::new();
    let memory = |name: &str| if name == "ann" { written.clone() } else { MemoryBucket::new() };
    let ours = bootstrap(scale, memory, |open| timed(open));
    for (name, theirs) in [loaded::<YrsMap>(scale), loaded::<AutomergeMap>(scale), loaded::<LoroMap>(scale)] {
        let work = format!("bootstrap of {rows} rows from memory");
        report.row(Row { work, ours, peer: Some((name, theirs)), unit: "s", bar: None });
    }
}

fn same(report: &mut Report, Scale { n, few, .. }: Scale) {
    let mut times: Vec<_> = (0..few.min(3)).map(|_| Trio::new(n).merge_snapshot()).collect();
    times.sort_unstable();
    let (parts, took) = times[times.len() / 2];
    let work =
        format!("snapshot of {parts} parts merged where the same {} rows are but for {parts}, per row", thousands(n));
    let (ours, bar) = (took.as_nanos() as f64 / n as f64, Some(Bar::at_most(150.0, 60.0)));
    report.row(Row { work, ours, peer: None, unit: "ns", bar });
}

/// How many seconds a newcomer takes to hold all that another replica has left in a snapshot.
fn bootstrap<B: Bucket + 'static>(
    Scale { n, few, .. }: Scale,
    bucket: impl Fn(&str) -> B,
    clock: impl Fn(&dyn Fn() -> Hosted) -> (Duration, Hosted),
) -> f64 {
    let mut writer = Hosted::open_in("ann", bucket("ann"), []);
    for first in (0..n).step_by(20_000) {
        for number in first..n.min(first + 20_000) {
            let path = corpus::path(number);
            corpus::first(number).iter().for_each(|act| act.on(&writer.replica, &path));
        }
        writer.flush();
    }
    let written = writer.replica.clone();
    writer.close();
    let mut times = Vec::new();
    for newcomer in 0..few {
        let name = format!("newcomer-{newcomer}");
        let (took, host) = clock(&|| Hosted::open_in(&name, bucket(&name), [bucket("ann")]));
        for path in (0..n).step_by(97).map(corpus::path) {
            let [read, there] = [&host.replica, &written].map(|replica| replica.get(&path).expect("a path"));
            assert_eq!(read, there, "{path}");
        }
        assert_eq!(host.replica.status().objects, n, "objects");
        times.push(took);
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// What a document makes of everything that another one has saved, from memory.
fn loaded<D: Document>(Scale { n, .. }: Scale) -> (&'static str, f64) {
    let mut floor = Floor::default();
    let acts = (0..n).flat_map(|number| corpus::first(number).into_iter().map(move |act| (corpus::path(number), act)));
    let writes: Vec<Write> = acts.map(|(path, act)| floor.write(&path, &act)).collect();
    let mut writer = D::new(1);
    let _sent = writer.write(&writes);
    let saved = writer.save();
    // One that decodes later is read at once, or it would have done nothing yet.
    let (took, loaded) = timed(|| {
        let loaded = D::load(2, &saved);
        assert!(loaded.get(&writes[0].0).is_some(), "it is there");
        loaded
    });
    loaded.check(&floor);
    (D::NAME, took.as_secs_f64())
}
