//! Are the bars met? Measures ours and `crdts` in one process, prints a table, and fails when a bar is missed.
//!
//! ```text
//! cargo run --release -p benches --bin table [-- --quick]
//! ```
//!
//! Times are processor times of the one thread: medians of runs in which the two sides take turns, the first of them
//! dropped. Bytes are those in use by the allocator's count. Both sides are compared before a figure is believed.
//! `--quick` takes tiny inputs and does not judge speed.

use std::{process::ExitCode, time::Duration};

use benches::{
    clock::timed,
    counter, or_set,
    report::{Table, held, median, nanos, thousands},
};
use crdt_core::{OrSet, ReplicaId, Writer};
use crdts::CvRDT;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let mut table = Table::new(&["what", "bar", "ours", "`crdts`", "times faster"], !quick);
    let (large, runs) = if quick { (20_000, 3) } else { (1_000_000, 11) };

    memory(&mut table, large);
    residue(&mut table, if quick { 1_000 } else { 100_000 });
    delta(&mut table, large, runs);
    merge(&mut table, 10_000, 10 * runs);
    merge(&mut table, large, runs);
    counters(&mut table, 3, 20 * runs);
    table.finish()
}

fn memory(table: &mut Table, n: usize) {
    let replica = ReplicaId::named("ann");
    let (ours_bytes, ours) = held(&MEMORY, || or_set::ours(replica, 0..n));
    let (peer_bytes, peer) = held(&MEMORY, || or_set::peer(replica, 0..n));
    or_set::check(&ours, &peer, n);
    let each = |bytes: usize| bytes as f64 / n as f64;
    table.row(
        &[
            &format!("OR-Set: memory per u64 element at {}", thousands(n)),
            "64 bytes or less",
            &format!("{:.1} bytes", each(ours_bytes)),
            &format!("{:.1} bytes", each(peer_bytes)),
            "",
        ],
        Some(each(ours_bytes) <= 64.0),
    );
}

/// What is left on the replica that added and removed, and on one that heard of it by deltas.
fn residue(table: &mut Table, n: usize) {
    let [ann, bob] = ["ann", "bob"].map(ReplicaId::named);
    let lived = |n: usize| {
        held(&MEMORY, || {
            let mut writers = Box::new([Writer::<OrSet<u64>>::new(ann), Writer::new(bob)]);
            let [ann, bob] = &mut *writers;
            for number in 0..n {
                bob.merge_delta(&ann.add(or_set::element(number))).expect("two writers");
            }
            for number in 0..n {
                bob.merge_delta(&ann.remove(&or_set::element(number))).expect("two writers");
            }
            assert_eq!(**ann, **bob, "the two replicas are in step");
            writers.iter_mut().for_each(Writer::shrink_to_fit);
            writers
        })
    };
    let (empty_bytes, _) = lived(1);
    let (bytes, writers) = lived(n);
    let elements: usize = writers.iter().map(|writer| writer.len()).sum();
    table.row(
        &[
            &format!("residue after adding and removing {} elements", thousands(n)),
            "0 elements, 2 times the bytes of empty or less",
            &format!("{elements} elements, {bytes} bytes; empty {empty_bytes} bytes"),
            "",
            "",
        ],
        Some(elements == 0 && bytes <= 2 * empty_bytes),
    );
}

/// Ours merges ten deltas in a row, as a replica does; the set stays far larger than the caches. `crdts` merges the same
/// change as the first of them as a state, and the rest outside the clock.
fn delta(table: &mut Table, n: usize, runs: usize) {
    const CHANGED: usize = 100;
    const IN_A_ROW: usize = 10;
    let ann = ReplicaId::named("ann");
    let mut ours = or_set::ours(ann, 0..n);
    let mut peer = or_set::peer(ann, 0..n);
    let mut times = Times::default();
    // Each run is by another replica: a state that omits what its replica added earlier would say that it was removed.
    for run in 0..runs {
        let replica = ReplicaId::named(&format!("replica {run}"));
        let first = n + run * IN_A_ROW * CHANGED;
        let change = or_set::peer(replica, first..first + CHANGED);
        times.peer.push(timed(|| peer.merge(change)).0);
        peer.merge(or_set::peer(replica, first..first + IN_A_ROW * CHANGED));
        let mut writer = Writer::new(replica);
        for delta in 0..IN_A_ROW {
            let from = first + delta * CHANGED;
            let change = or_set::add(&mut writer, from..from + CHANGED);
            times.ours.push(timed(|| ours.merge_delta(&change)).0);
        }
    }
    or_set::check(&ours, &peer, n + runs * IN_A_ROW * CHANGED);
    let [ours, peer] = times.each(CHANGED);
    let what = format!("OR-Set: delta of {CHANGED} into {} elements", thousands(n));
    race(table, &what, "element", 5_000.0, ours, peer);
    let within = table.speed(ours <= 400.0);
    table.row(&[&what, "400 ns per element or less", &nanos(ours, "element"), "", ""], within);
}

fn merge(table: &mut Table, n: usize, runs: usize) {
    let (ours, theirs) = or_set::ours_parted(n);
    let (peer, peer_theirs) = or_set::peer_parted(n);
    let mut times = Times::default();
    for run in 0..runs {
        let mut merged = ours.clone();
        times.ours.push(timed(|| merged.merge(&theirs)).0);
        let (mut peer_merged, other) = (peer.clone(), peer_theirs.clone());
        times.peer.push(timed(|| peer_merged.merge(other)).0);
        if run == 0 {
            or_set::check(&merged, &peer_merged, n + n / 2);
        }
    }
    let [ours, peer] = times.each(n);
    race(table, &format!("OR-Set: whole merge, {} elements, 50 % overlap", thousands(n)), "element", 8.0, ours, peer);
}

fn counters(table: &mut Table, replicas: usize, runs: usize) {
    const ROWS: usize = 1_000;
    let ours = counter::Ours::new(ROWS, replicas);
    let peer = counter::Peer::new(ROWS, replicas);
    let mut times = Times::default();
    for run in 0..runs {
        let mut merged = ours.clone();
        times.ours.push(timed(|| merged.merge()).0);
        let mut peer_merged = peer.clone();
        times.peer.push(timed(|| peer_merged.merge()).0);
        if run == 0 {
            counter::check(&merged, &peer_merged);
        }
    }
    let [ours, peer] = times.each(ROWS * counter::slots(replicas));
    race(table, &format!("PN-counter: merge of a row, {replicas} replicas"), "slot", 1.0, ours, peer);
}

/// The two sides' runs, taken in turns.
#[derive(Default)]
struct Times {
    ours: Vec<Duration>,
    peer: Vec<Duration>,
}

impl Times {
    /// The medians in nanoseconds for each of `n`.
    fn each(self, n: usize) -> [f64; 2] {
        [self.ours, self.peer].map(|times| median(times) / n as f64)
    }
}

fn race(table: &mut Table, what: &str, unit: &str, times_faster_min: f64, ours: f64, peer: f64) {
    let times_faster = peer / ours;
    let bar = if times_faster_min > 1.0 {
        format!("{} times faster", thousands(times_faster_min as usize))
    } else {
        "faster".to_owned()
    };
    let met = if times_faster_min > 1.0 { times_faster >= times_faster_min } else { times_faster > 1.0 };
    let shown = if times_faster < 100.0 { format!("{times_faster:.1}") } else { thousands(times_faster as usize) };
    let met = table.speed(met);
    table.row(&[what, &bar, &nanos(ours, unit), &nanos(peer, unit), &shown], met);
}
