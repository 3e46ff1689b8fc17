//! A delta of many rows into many paths: ours from the bucket into the keyspace; `crdts` and the floor are handed what changed.

use benches::{clock::timed, corpus, engine::sample, report::thousands, trio::Trio};

use super::Scale;
use crate::{
    peers::{Cell, Floor, Keyed, Op, below},
    race::medians,
    report::{Bar, Report, Row},
};

pub(crate) fn measure(report: &mut Report, Scale { n, rows, turns, .. }: Scale) {
    let mut trio = Trio::new(n);
    let (mut floor, mut told) = (Floor::default(), Floor::default());
    let mut keyed = [1, 2, 3].map(Keyed::new);
    for number in 0..n {
        let path = corpus::path(number);
        for act in corpus::first(number) {
            floor.act(&path, &act);
            told.act(&path, &act);
            let op = keyed[number % 3].act(&path, &act);
            (0..2).filter(|reader| *reader != number % 3).for_each(|reader| keyed[reader].apply(&path, op.clone()));
        }
    }
    // Turns of runner 0 write the segment, whoever begins.
    let [ours, crdts, map] = medians(turns, |turn, runner| {
        let changed = || sample(n, rows, turn).map(|number| (corpus::path(number), corpus::change(number, turn + 1)));
        match runner {
            0 => {
                trio.change(sample(n, rows, turn), turn + 1);
                trio.read()
            }
            1 => {
                let ops: Vec<(String, Op)> =
                    changed().map(|(path, act)| (path.clone(), keyed[1].act(&path, &act))).collect();
                timed(|| ops.into_iter().for_each(|(path, op)| keyed[0].apply(&path, op))).0
            }
            _ => {
                changed().for_each(|(path, act)| told.act(&path, &act));
                let acts: Vec<_> = changed().collect();
                timed(|| acts.iter().for_each(|(path, act)| floor.act(path, act))).0
            }
        }
    });
    trio.check();
    keyed[0].check(&floor);
    assert_eq!(floor.0, told.0, "the floor is what it was told");
    check(&trio, &floor, n);
    let each = |took: f64| took / rows as f64;
    let work = format!("delta of {} rows into {} paths, decoded and applied, per row", thousands(rows), thousands(n));
    let row = |peer, bar| Row { work: work.clone(), ours: each(ours), peer: Some(peer), unit: "ns", bar };
    report.row(row(("crdts in a HashMap, nothing to decode", each(crdts)), Some(Bar::at_most(300.0, 130.0))));
    report.row(row(("HashMap, nothing to decode or merge", each(map)), None));
}

/// The reader holds what the floor does, and no more.
pub(crate) fn check(trio: &Trio, floor: &Floor, n: usize) {
    let replica = &trio.reader.replica;
    let mut cells = 0;
    for path in (0..n).map(corpus::path) {
        let mut expect = |key: &str, cell: Cell| {
            cells += 1;
            assert_eq!(floor.0.get(key), Some(&cell), "ours: {key}");
        };
        if let Some(text) = replica.lww_register::<str>(&path).ok().and_then(|held| held.value().expect("text")) {
            expect(&path, Cell::Text(text));
        } else if let Ok(elements) = replica.or_set::<str>(&path).and_then(|set| set.elements()) {
            if elements.is_empty() {
                let sum = replica.pn_counter(&path).expect("a path").value();
                expect(&path, Cell::Number(sum.try_into().expect("a small number")));
            }
            elements.iter().for_each(|element| expect(&below(&path, element), Cell::There));
        }
    }
    assert_eq!(cells, floor.0.len(), "ours: what is there");
}
