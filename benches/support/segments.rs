//! One segment of the corpus without a replica around it: its rows, its bytes, and a keyspace that it goes into.

use bytes::Bytes;
use crdt_core::{DotSource, Frontier, ObjectChanges, Timestamp};
use replica::{
    key::ObjectKey,
    keyspace::{Applied, Keyspace, Origin},
    log::{Keys, LogHeader, LogObject, PREFIX_BYTES, Segment, TRAILER_BYTES, decode, encode_segment},
    name::{ReplicaName, Roster},
};

use crate::corpus::{self, REPLICAS};

/// When everything is written.
const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// What a replica has changed, before it is encoded.
#[derive(Debug)]
pub struct Draft {
    header: LogHeader,
    roster: Roster,
    rows: Vec<(ObjectKey, ObjectChanges)>,
    key: String,
}

impl Draft {
    /// A change of each of the first `rows` objects of the corpus, made where all three replicas had begun a third of them.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        let names = REPLICAS.map(|name| name.parse::<ReplicaName>().expect("a name"));
        let mut roster = Roster::default();
        for name in &names {
            roster.insert(name.clone()).expect("other ids");
        }
        let keyspace = |writer: usize| Keyspace::new(DotSource::new(names[writer].id(), 0), 1, 64);
        let (bob, mut applied) = (keyspace(1), Applied::default());
        for peer in [0, 2] {
            let other = keyspace(peer);
            begin(&other, peer, rows);
            let begun = Self::cut(&other, &names[peer], &roster, Frontier::default());
            merge(&begun.decode(&begun.encode()), &bob, &mut applied);
        }
        begin(&bob, 1, rows);
        applied.frontier.advance(bob.cut().dot);
        (0..rows).for_each(|number| change(&bob, number, &[corpus::change(number, 1)]));
        Self::cut(&bob, &names[1], &roster, applied.frontier)
    }

    fn cut(keyspace: &Keyspace, name: &ReplicaName, roster: &Roster, frontier: Frontier) -> Self {
        let cut = keyspace.cut();
        let header = LogHeader {
            replica: name.clone(),
            position: cut.dot.position,
            nonce: [7; 16],
            previous: Some(blake3::hash(name.as_str().as_bytes())),
            wall_ms: NOW.millis(),
            hlc: NOW,
            ack: frontier.clone(),
            frontier,
        };
        let key = Keys::new("").expect("a root").log(name, cut.dot.position);
        Self { header, roster: roster.clone(), rows: cut.rows, key }
    }

    /// How many rows it has.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The object for the bucket.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let rows = self.rows.iter().map(|(key, changes)| (key, changes));
        encode_segment(&self.header, &self.roster, rows, &[], &[], &self.key, None).expect("it is sound")
    }

    /// Reads it, and checks all of it.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    #[must_use]
    pub fn decode(&self, object: &Bytes) -> Segment {
        match decode(object, &self.key, None) {
            Ok(LogObject::Segment(segment)) => segment,
            other => panic!("not a segment: {other:?}"),
        }
    }
}

/// Merges every row, one by one.
///
/// # Panics
///
/// Never.
pub fn merge(segment: &Segment, keyspace: &Keyspace, applied: &mut Applied) {
    let mut rows = segment.rows();
    while let Some(row) = rows.next() {
        let key = (row.path.to_owned(), row.kind);
        let merged = keyspace.merge_row(applied, (&key.0, key.1), &Origin::Snapshot, |object, seen, _| {
            row.apply(object, seen).expect("the same kind");
        });
        merged.expect("a path");
    }
    applied.frontier.advance(segment.dot());
}

/// The body of an object as it is stored, compressed; and how long it is when it is not.
///
/// # Panics
///
/// When it is none, or not compressed.
#[must_use]
pub fn compressed_body(object: &Bytes) -> (Bytes, usize) {
    const COMPRESSED: u8 = 1;
    let word = |from: usize| u32::from_le_bytes([object[from], object[from + 1], object[from + 2], object[from + 3]]);
    assert_eq!(object[7] & COMPRESSED, COMPRESSED, "it is compressed");
    let [control, stored, body] = [8, 12, 16].map(|from| word(from) as usize);
    assert_eq!(PREFIX_BYTES + control + stored + TRAILER_BYTES, object.len(), "an object");
    (object.slice(PREFIX_BYTES + control..PREFIX_BYTES + control + stored), body)
}

fn begin(keyspace: &Keyspace, third: usize, rows: usize) {
    (0..rows).filter(|number| number % 3 == third).for_each(|number| change(keyspace, number, &corpus::first(number)));
}

fn change(keyspace: &Keyspace, number: usize, acts: &[corpus::Act]) {
    for act in acts {
        keyspace.change(&corpus::key(number), &act.to_change(NOW)).expect("it is taken");
    }
}
