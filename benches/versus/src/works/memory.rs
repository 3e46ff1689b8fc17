//! Memory: bytes that were asked of the allocator, for each path.

use benches::{
    corpus,
    engine::counters,
    report::{held, thousands},
};
use crdts::{CmRDT, PNCounter};

use super::Scale;
use crate::{
    MEMORY,
    peers::{AutomergeMap, Cell, Document, Floor, LoroMap, Write, YrsMap},
    report::{Bar, Report, Row},
};

pub(crate) fn measure(report: &mut Report, Scale { n, .. }: Scale) {
    let one = one_tally(n);
    let three = tallies(n, 3);
    let paths = thousands(n);
    let work = work(n);
    let row = |peer, bar| Row { work: work.clone(), ours: one, peer: Some(peer), unit: "bytes", bar };
    report.row(row(("crdts in a HashMap", keyed(n, 1)), Some(Bar::at_most(200.0, 120.0))));
    report.row(row(("HashMap, no order", floor(n)), None));
    report.row(row((YrsMap::NAME, document::<YrsMap>(n)), None));
    report.row(row((AutomergeMap::NAME, document::<AutomergeMap>(n)), None));
    report.row(row((LoroMap::NAME, document::<LoroMap>(n)), None));
    let work = format!("the same, counted at by three replicas, {paths} paths");
    let bar = Some(Bar::at_most(270.0, 180.0));
    report.row(Row { work, ours: three, peer: Some(("crdts in a HashMap", keyed(n, 3))), unit: "bytes", bar });
}

/// What is done: it is compared with redis elsewhere.
pub(crate) fn work(n: usize) -> String {
    format!("memory for each of {} paths of 38 bytes with a counter, ordered index included", thousands(n))
}

/// Of ours, where one replica has counted.
pub(crate) fn one_tally(n: usize) -> f64 {
    tallies(n, 1)
}

fn tallies(n: usize, tallies: usize) -> f64 {
    let (bytes, keyspace) = held(&MEMORY, || counters(n, tallies));
    assert_eq!(keyspace.len(), n, "objects");
    bytes as f64 / n as f64
}

fn floor(n: usize) -> f64 {
    let (bytes, floor) = held(&MEMORY, || {
        let mut floor = Floor::default();
        (0..n).for_each(|number| drop(floor.0.insert(corpus::path(number), Cell::Number(1))));
        floor
    });
    assert_eq!(floor.0.len(), n, "keys");
    bytes as f64 / n as f64
}

#[expect(clippy::disallowed_types, reason = "it is what anybody would take, as it comes")]
fn keyed(n: usize, actors: u64) -> f64 {
    let (bytes, map) = held(&MEMORY, || {
        let mut map = std::collections::HashMap::new();
        for number in 0..n {
            let mut counter = PNCounter::<u64>::new();
            (0..actors).for_each(|actor| counter.apply(counter.inc(actor)));
            map.insert(corpus::path(number), counter);
        }
        map
    });
    assert_eq!(map.len(), n, "keys");
    bytes as f64 / n as f64
}

fn document<D: Document>(n: usize) -> f64 {
    let writes: Vec<Write> = (0..n).map(|number| (corpus::path(number), Some(Cell::Number(1)))).collect();
    let (bytes, document) = held(&MEMORY, || {
        let mut document = D::new(1);
        drop(document.write(&writes));
        document
    });
    assert_eq!(document.len(), n, "keys");
    assert_eq!(document.get(&writes[0].0), writes[0].1);
    bytes as f64 / n as f64
}
