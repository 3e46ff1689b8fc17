//! A segment: its bytes on the wire, encoding and decoding it. Compression is timed alone, too, and taken away where the bar is without it.

use std::hint::black_box;

use benches::{
    clock::timed,
    report::thousands,
    segments::{Draft, compressed_body},
};

use replica::log::Segment;

use super::Scale;
use crate::{
    race::medians,
    report::{Bar, Report, Row},
};

pub(crate) fn measure(report: &mut Report, Scale { rows, turns, .. }: Scale) {
    let draft = Draft::new(rows);
    let object = draft.encode();
    let (stored, body_bytes) = compressed_body(&object);
    let body = zstd::bulk::decompress(&stored, body_bytes).expect("it was compressed so");
    let segment = draft.decode(&object);
    assert_eq!(walk(&segment), draft.rows(), "rows");

    let [encode, decode, walked, compressed, decompressed] = medians(turns, |_, runner| match runner {
        0 => timed(|| draft.encode()).0,
        1 => timed(|| draft.decode(&object)).0,
        2 => timed(|| walk(&segment)).0,
        3 => timed(|| zstd::bulk::compress(&body, 1)).0,
        _ => timed(|| zstd::bulk::decompress(&stored, body_bytes)).0,
    });
    assert_eq!(draft.encode(), object, "the same bytes each time");
    assert_eq!(
        zstd::bulk::compress(&body, 1).expect("it is compressed"),
        stored,
        "what is timed alone is what is done within"
    );

    let shown = thousands(draft.rows());
    let mut row = |work: &str, all: f64, unit, bar| {
        let (work, ours) = (work.replace('#', &shown), all / draft.rows() as f64);
        report.row(Row { work, ours, peer: None, unit, bar });
    };
    let raw = (object.len() - stored.len() + body_bytes) as f64;
    row("on the wire, of # rows, per row, not compressed", raw, "bytes", Some(Bar::at_most(30.0, 22.0)));
    row("the same as it is written, with zstd", object.len() as f64, "bytes", Some(Bar::at_most(16.0, 12.0)));
    let (within, beside) = (" sorted rows, blake3 included, zstd taken away, per row", "its zstd alone, per row");
    row(&format!("encoding #{within}"), encode - compressed, "ns", Some(Bar::at_most(40.0, 20.0)));
    row(beside, compressed, "ns", None);
    row(&format!("decoding and checking #{within}"), decode - decompressed, "ns", Some(Bar::at_most(20.0, 13.0)));
    row(beside, decompressed, "ns", None);
    row("walking what was decoded, per row", walked, "ns", None);
}

/// Reads every row. Returns how many there are.
fn walk(segment: &Segment) -> usize {
    let (mut rows, mut walked) = (segment.rows(), 0);
    while let Some(row) = rows.next() {
        black_box(row.path);
        walked += 1;
    }
    walked
}
