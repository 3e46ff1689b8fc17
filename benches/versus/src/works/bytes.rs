//! A segment: its bytes on the wire, encoding and decoding it.

use std::hint::black_box;

use benches::{
    clock::timed,
    report::thousands,
    segments::{Draft, bytes_before_compression},
};

use super::Scale;
use crate::{
    race::medians,
    report::{Bar, Report, Row},
};

pub(crate) fn measure(report: &mut Report, Scale { rows, turns, .. }: Scale) {
    let draft = Draft::new(rows);
    let object = draft.encode();
    let each = |all: f64| all / draft.rows() as f64;
    let shown = thousands(draft.rows());
    let mut row = |work: String, ours: f64, unit, bar| report.row(Row { work, ours, peer: None, unit, bar: Some(bar) });
    let raw = bytes_before_compression(&object) as f64;
    row(format!("on the wire, of {shown} rows, per row, not compressed"), each(raw), "bytes", Bar::at_most(30.0, 22.0));
    row(
        "the same, as it is written, with zstd".to_owned(),
        each(object.len() as f64),
        "bytes",
        Bar::at_most(16.0, 12.0),
    );

    let segment = draft.decode(&object);
    let mut rows = segment.rows();
    let mut read = 0;
    while let Some(row) = rows.next() {
        black_box(row.path);
        read += 1;
    }
    assert_eq!((read, segment.row_count()), (draft.rows(), draft.rows() as u64), "rows");

    let [encode, decode, walk] = medians(turns, |_, runner| match runner {
        0 => timed(|| draft.encode()).0,
        1 => timed(|| draft.decode(&object)).0,
        _ => {
            timed(|| {
                let mut rows = segment.rows();
                while let Some(row) = rows.next() {
                    black_box(row.path);
                }
            })
            .0
        }
    });
    assert_eq!(draft.encode(), object, "the same bytes each time");
    row(
        format!("encoding {shown} sorted rows, hash and zstd included, per row"),
        each(encode),
        "ns",
        Bar::at_most(40.0, 20.0),
    );
    row(
        "decoding and checking them, blake3 and zstd included, per row".to_owned(),
        each(decode),
        "ns",
        Bar::at_most(20.0, 13.0),
    );
    report.row(Row {
        work: "walking them again, per row".to_owned(),
        ours: each(walk),
        peer: None,
        unit: "ns",
        bar: None,
    });
}
