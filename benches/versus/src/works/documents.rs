//! The same deltas against documents, which keep their history: each has one flat map of paths to values, and of the elements of sets to
//! `true`. A counter is the number that was written last, which is less than a counter does.

use benches::{
    clock::timed,
    corpus,
    engine::{Hosted, sample},
    report::thousands,
    trio::Trio,
};
use store_object::MemoryBucket;

use super::{Scale, deltas};
use crate::{
    peers::{AutomergeCounters, AutomergeMap, Counters, Document, Floor, LoroCounters, LoroMap, Write, YrsMap},
    race::medians,
    report::{Bar, Report, Row},
};

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    let took = [applied::<YrsMap>(scale), applied::<AutomergeMap>(scale), applied::<LoroMap>(scale)];
    let (rows, n) = (thousands(scale.rows), thousands(scale.n));
    let best = took.iter().map(|took| took.theirs / took.ours).fold(f64::INFINITY, f64::min);
    for Took { name, ours, theirs, .. } in &took {
        // The bar is against the best of them.
        let bar = (theirs / ours <= best).then(|| Bar::times(4.0, 10.0));
        let work = format!("delta of {rows} rows into {n} paths, decoded and applied, per row");
        report.row(Row { work, ours: *ours, peer: Some((name, *theirs)), unit: "ns", bar });
    }
    for Took { name, bytes, our_bytes, .. } in took {
        let work = format!("a delta of {rows} rows on the wire, per row");
        report.row(Row { work, ours: our_bytes, peer: Some((name, bytes)), unit: "bytes", bar: None });
    }
    counted::<AutomergeCounters>(report, scale);
    counted::<LoroCounters>(report, scale);
}

struct Took {
    name: &'static str,
    /// Of a row.
    ours: f64,
    theirs: f64,
    bytes: f64,
    our_bytes: f64,
}

fn applied<D: Document>(Scale { n, rows, few, .. }: Scale) -> Took {
    let mut trio = Trio::new(n);
    let mut floor = Floor::default();
    let (mut writer, mut reader) = (D::new(1), D::new(2));
    let acts = (0..n).flat_map(|number| corpus::first(number).into_iter().map(move |act| (corpus::path(number), act)));
    let begun: Vec<Write> = acts.map(|(path, act)| floor.write(&path, &act)).collect();
    reader.merge(&writer.write(&begun));
    drop(begun);
    let (mut sent, mut our_sent) = (0, 0);
    let [ours, theirs] = medians(few, |turn, runner| match runner {
        0 => {
            trio.change(sample(n, rows, turn), turn + 1);
            our_sent = trio.last_segment().1.len();
            trio.read()
        }
        _ => {
            let changed = sample(n, rows, turn).map(|number| (corpus::path(number), corpus::change(number, turn + 1)));
            let writes: Vec<Write> = changed.map(|(path, act)| floor.write(&path, &act)).collect();
            let delta = writer.write(&writes);
            sent = delta.len();
            timed(|| reader.merge(&delta)).0
        }
    });
    deltas::check(&trio, &floor, n);
    reader.check(&floor);
    let [ours, theirs, bytes, our_bytes] = [ours, theirs, sent as f64, our_sent as f64].map(|all| all / rows as f64);
    Took { name: D::NAME, ours, theirs, bytes, our_bytes }
}

/// Counters that two replicas count at, beside those of documents that have any.
fn counted<C: Counters>(report: &mut Report, Scale { rows, few, .. }: Scale) {
    let (n, rows) = (rows, rows / 10);
    let counts = |turn: usize, rows: usize| -> Vec<(String, i64)> {
        sample(n, rows, turn).map(|number| (corpus::path(number), 1 + (number % 7) as i64)).collect()
    };
    let (ann, bob) = (MemoryBucket::new(), MemoryBucket::new());
    let (mut ours, mut other) = (Hosted::open("ann", &ann, &bob), Hosted::open("bob", &bob, &ann));
    let count = |host: &mut Hosted, counts: &[(String, i64)]| {
        for (path, amount) in counts {
            let _written = host.replica.pn_counter(path).expect("a path").add(*amount).expect("it is taken");
        }
        host.flush();
    };
    let (mut theirs, mut sender) = (C::new(1), C::new(2));
    let begun = counts(0, n);
    count(&mut ours, &begun);
    other.catch_up();
    sender.merge(&theirs.count(&begun));
    let [ours_took, theirs_took] = medians(few, |turn, runner| {
        let counted = counts(turn + 1, rows);
        match runner {
            0 => {
                count(&mut other, &counted);
                timed(|| ours.catch_up()).0
            }
            _ => {
                let sent = sender.count(&counted);
                timed(|| theirs.merge(&sent)).0
            }
        }
    });
    for (path, _) in &begun {
        let sum = ours.replica.pn_counter(path).expect("a path").value();
        assert_eq!(sum, i128::from(theirs.value(path)), "{}: {path}", C::NAME);
    }
    let [ours, theirs] = [ours_took, theirs_took].map(|took| took / rows as f64);
    let work =
        format!("delta of {} counted into {} counters, decoded and applied, per row", thousands(rows), thousands(n));
    report.row(Row { work, ours, peer: Some((C::NAME, theirs)), unit: "ns", bar: None });
}
