//! Merging the rows of a segment into the keyspace.
//! Layer 4.

use core::ops::Range;

use crdt_core::{Dot, Object, Tally};

use crate::{
    key::InvalidPath,
    keyspace::{Applied, Batch, Keyspace},
    log::{RowBody, Segment, WriteRef},
};

/// Merges every row of `segment`.
///
/// Counters and registers, which are small and of which there are many, are gathered and merged in batches; a set has
/// elements enough of its own.
pub(crate) fn merge(keyspace: &Keyspace, applied: &mut Applied, segment: &Segment) -> Result<(), InvalidPath> {
    let (own, mut rows) = (segment.dot(), segment.rows());
    let mut gathered = Gathered::new(keyspace);
    while let Some(row) = rows.next() {
        let body = match row.body {
            RowBody::Counter(tallies) => Body::Counter(append(&mut gathered.tallies, tallies)),
            RowBody::Register { written, removed } => Body::Register(written, append(&mut gathered.dots, removed)),
            RowBody::Set(mut edits) => {
                keyspace.merge_row(applied, (row.path, row.kind), |object, seen, ahead| {
                    let Object::OrSet(set) = object else { unreachable!("an object is of its key's kind") };
                    while let Some(edit) = edits.next() {
                        let added = if edit.added { &[own][..] } else { &[] };
                        set.merge_edit(seen, edit.element, || edit.element.into(), added, edit.removed);
                        ahead.note(edit.removed, Some(edit.element));
                    }
                })?;
                continue;
            }
        };
        keyspace.gather(&mut gathered.keys, row.path, row.kind);
        gathered.bodies.push(body);
        if gathered.keys.is_full() {
            gathered.merge(keyspace, applied)?;
        }
    }
    gathered.merge(keyspace, applied)
}

/// Rows that are to be merged together: their keys, and what they say.
struct Gathered<'a> {
    keys: Batch,
    bodies: Vec<Body<'a>>,
    tallies: Vec<Tally>,
    dots: Vec<Dot>,
}

/// What a row says, with ranges of what was gathered.
enum Body<'a> {
    Counter(Range<usize>),
    Register(Option<WriteRef<'a>>, Range<usize>),
}

impl Gathered<'_> {
    fn new(keyspace: &Keyspace) -> Self {
        Self { keys: keyspace.batch_of_rows(), bodies: Vec::new(), tallies: Vec::new(), dots: Vec::new() }
    }

    fn merge(&mut self, keyspace: &Keyspace, applied: &mut Applied) -> Result<(), InvalidPath> {
        let Self { keys, bodies, tallies, dots } = self;
        keyspace.merge_batch(applied, keys, |row, object, seen, ahead| {
            let body = match &bodies[row] {
                Body::Counter(range) => RowBody::Counter(&tallies[range.clone()]),
                Body::Register(written, range) => {
                    let removed = &dots[range.clone()];
                    ahead.note(removed, None);
                    RowBody::Register { written: *written, removed }
                }
            };
            let same_kind = body.merge_into(object, seen);
            debug_assert!(same_kind.is_ok(), "an object is of its key's kind");
        })?;
        bodies.clear();
        tallies.clear();
        dots.clear();
        Ok(())
    }
}

/// Where in `all` the `more` are now.
fn append<T: Copy>(all: &mut Vec<T>, more: &[T]) -> Range<usize> {
    let from = all.len();
    all.extend_from_slice(more);
    from..all.len()
}
