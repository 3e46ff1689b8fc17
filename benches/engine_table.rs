//! What does the engine take? Measures time and memory of counters, and memory of other small objects, prints a table, and
//! fails when a bar is missed.
//!
//! ```text
//! cargo run --release -p benches --bin engine_table [-- --quick] [adds] [memory] [applied] [opened]
//! ```
//!
//! Without any of these words all is measured.
//! Times are processor times of the one thread, medians of runs without the first. Bytes are those that were asked of the
//! allocator. Paths have 38 bytes, and the ordered index is counted. `--quick` takes tiny inputs and does not judge speed.

use std::{process::ExitCode, time::Duration};

use benches::{
    clock::timed,
    corpus::{PREFIX, path},
    engine::{Hosted, Pair, counter, counters, registers, sample, sets},
    report::{Table, held, median, nanos, thousands},
};
use peak_alloc::PeakAlloc;
use replica::keyspace::Keyspace;
use store_object::MemoryBucket;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let mut table = Table::new(&["what", "bar", "measured"], !quick);
    let (large, runs) = if quick { (20_000, 5) } else { (1_000_000, 41) };
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_asked = |what: &str| asked.is_empty() || asked.iter().any(|word| word == what);
    if is_asked("adds") {
        adds(&mut table, runs);
    }
    if is_asked("memory") {
        memory(&mut table, large);
    }
    if is_asked("applied") {
        applied(&mut table, large, runs);
    }
    if is_asked("opened") {
        opened(&mut table, large);
    }
    table.finish()
}

fn adds(table: &mut Table, runs: usize) {
    const IN_A_ROW: usize = 10_000;
    const BAR: f64 = 150.0;
    let mut host = Hosted::open("ann", &MemoryBucket::new(), &MemoryBucket::new());
    let path = path(7);
    let held = counter(&host.replica, &path);
    let (mut by_path, mut by_handle) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let add = || (0..IN_A_ROW).for_each(|_| drop(counter(&host.replica, &path).add(1).expect("it is taken")));
        by_path.push(timed(add).0);
        by_handle.push(timed(|| (0..IN_A_ROW).for_each(|_| drop(held.add(1).expect("it is taken")))).0);
        host.flush();
    }
    assert_eq!(held.value(), (2 * runs * IN_A_ROW) as i128);
    for (what, times) in [("`replica.pn_counter(path)?.add(1)?`", by_path), ("`counter.add(1)?`", by_handle)] {
        let each = median(times) / IN_A_ROW as f64;
        let bar = format!("under {BAR} ns");
        table.row(&[&format!("{what}, warm"), &bar, &nanos(each, "add")], table.speed(each < BAR));
    }
}

fn memory(table: &mut Table, n: usize) {
    let few = n / 10;
    object(table, "counter with one tally", Some(250.0), n, || counters(n, 1));
    object(table, "counter with three tallies", Some(330.0), n, || counters(n, 3));
    object(table, "register of 16 bytes", None, n, || registers(n));
    object(table, "set of one element of 12 bytes", None, n, || sets(n, 1));
    object(table, "set of ten elements of 12 bytes", None, few, || sets(few, 10));
}

fn object(table: &mut Table, what: &str, bar: Option<f64>, n: usize, build: impl FnOnce() -> Keyspace) {
    let (bytes, _keyspace) = held(&MEMORY, build);
    let each = bytes as f64 / n as f64;
    let shown = bar.map_or(String::new(), |bar| format!("under {bar} bytes"));
    let met = bar.map(|bar| each < bar);
    table.row(&[&format!("{what}, {} of them", thousands(n)), &shown, &format!("{each:.1} bytes")], met);
}

fn applied(table: &mut Table, n: usize, runs: usize) {
    const BAR: f64 = 400.0;
    let rows = n / 100;
    let mut pair = Pair::new(n);
    let (mut held, mut new) = (Vec::new(), Vec::new());
    for run in 0..runs {
        pair.write(sample(n, rows, run));
        held.push(pair.read());
    }
    for run in 0..runs {
        pair.write((0..rows).map(|row| n + run * rows + row));
        new.push(pair.read());
    }
    pair.check((0..n + runs * rows).step_by(997));
    let (rows_shown, n) = (thousands(rows), thousands(n));
    for (what, bar, times) in [("", Some(BAR), held), (" new", None, new)] {
        let each = median(times) / rows as f64;
        let what = format!("applying a segment of {rows_shown} rows to{what} counters, beside {n}");
        let shown = bar.map_or(String::new(), |bar| format!("{bar} ns or less"));
        table.row(&[&what, &shown, &nanos(each, "row")], bar.and_then(|bar| table.speed(each <= bar)));
    }
}

/// From its snapshot, and the log behind it.
fn opened(table: &mut Table, n: usize) {
    const BAR: Duration = Duration::from_secs(3);
    const TOP_BAR: f64 = 50_000.0;
    let (bucket, peer) = (MemoryBucket::new(), MemoryBucket::new());
    let mut host = Hosted::open("ann", &bucket, &peer);
    for first in (0..n).step_by(10_000) {
        (first..n.min(first + 10_000)).for_each(|number| drop(counter(&host.replica, &path(number)).add(1)));
        host.flush();
    }
    host.close();
    let mut host = Hosted::open("ann", &bucket, &peer);
    sample(n, n / 100, 0).for_each(|number| drop(counter(&host.replica, &path(number)).add(1)));
    host.flush();
    drop(host);
    let mut times = Vec::new();
    for _ in 0..4 {
        let (took, host) = timed(|| Hosted::open("ann", &bucket, &peer));
        assert_eq!(host.replica.status().objects, n, "all of it is there");
        times.push(took);
    }
    let took = Duration::from_nanos(median(times) as u64);
    let what = format!("opening {} counters, from snapshot and tail", thousands(n));
    table.row(&[&what, "under 3 s", &format!("{took:.2?}")], table.speed(took < BAR));

    let host = Hosted::open("ann", &bucket, &peer);
    let board = host.replica.leaderboard(PREFIX).expect("a prefix");
    let times = (0..100).map(|_| timed(|| board.top(100)).0).collect();
    let each = median(times);
    let what = format!("`leaderboard.top(100)` of {}", thousands(n));
    table.row(&[&what, "under 50 us", &nanos(each, "read")], table.speed(each < TOP_BAR));
}
