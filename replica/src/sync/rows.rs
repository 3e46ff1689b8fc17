//! Merging the rows of a segment into the keyspace.
//! Layer 4.

use core::ops::Range;

use crdt_core::{Dot, Object, Tally};

use crate::{
    key::{InvalidPath, ObjectKey},
    keyspace::{Applied, Keyspace, Origin, RowBatch},
    log::{RowBody, Segment, WriteRef},
};

/// Merges every row of `segment`. Returns those of its tallies that have died of it.
///
/// Counters and registers, which are small and of which there are many, are gathered and merged in batches; a set has
/// elements enough of its own.
pub(crate) fn merge(
    keyspace: &Keyspace,
    applied: &mut Applied,
    segment: &Segment,
    origin: &Origin,
) -> Result<Vec<(ObjectKey, Tally)>, InvalidPath> {
    let (own, mut rows) = (segment.dot(), segment.rows());
    let mut gathered = Gathered::new(keyspace, origin);
    while let Some(row) = rows.next() {
        let body = match row.body {
            RowBody::Counter(tallies) => Body::Counter(append(&mut gathered.tallies, tallies)),
            RowBody::Register { written, removed } => Body::Register(written, append(&mut gathered.dots, removed)),
            RowBody::Set(mut edits) => {
                keyspace.merge_row(applied, (row.path, row.kind), origin, |object, seen, ahead| {
                    let Object::OrSet(set) = object else { unreachable!("an object is of its key's kind") };
                    while let Some(edit) = edits.next() {
                        let added = if edit.added { &[own][..] } else { &[] };
                        ahead.merge_element(set, edit.element, |set| {
                            set.merge_edit(seen, edit.element, || edit.element.into(), added, edit.removed);
                        });
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
    gathered.merge(keyspace, applied)?;
    Ok(gathered.dead)
}

/// Rows that are to be merged together: their keys, and what they say.
struct Gathered<'a> {
    keys: RowBatch,
    bodies: Vec<Body<'a>>,
    tallies: Vec<Tally>,
    dots: Vec<Dot>,
    origin: &'a Origin,
    /// What has died of what has been merged.
    dead: Vec<(ObjectKey, Tally)>,
    /// Those of the row at hand that had died before.
    were_dead: Vec<Tally>,
}

/// What a row says, with ranges of what was gathered.
enum Body<'a> {
    Counter(Range<usize>),
    Register(Option<WriteRef<'a>>, Range<usize>),
}

impl<'a> Gathered<'a> {
    fn new(keyspace: &Keyspace, origin: &'a Origin) -> Self {
        let keys = keyspace.row_batch();
        let (bodies, tallies, dots, dead, were_dead) = Default::default();
        Self { keys, bodies, tallies, dots, origin, dead, were_dead }
    }

    fn merge(&mut self, keyspace: &Keyspace, applied: &mut Applied) -> Result<(), InvalidPath> {
        let Self { keys, bodies, tallies, dots, origin, dead, were_dead } = self;
        keyspace.merge_batch(applied, keys, origin, |row, object, seen, ahead| {
            let mut counted: &[Tally] = &[];
            let body = match &bodies[row] {
                Body::Counter(range) => {
                    counted = &tallies[range.clone()];
                    RowBody::Counter(counted)
                }
                Body::Register(written, range) => {
                    let removed = &dots[range.clone()];
                    ahead.note(removed, None);
                    RowBody::Register { written: *written, removed }
                }
            };
            were_dead.clear();
            were_dead.extend(object.newly_dead(&[]));
            let same_kind = body.merge_into(object, seen);
            debug_assert!(same_kind.is_ok(), "an object is of its key's kind");
            let is_told = |tally: &&Tally| counted.iter().any(|told| told.parts().replica == tally.parts().replica);
            dead.extend(object.newly_dead(were_dead).filter(is_told).map(|tally| (seen.key.clone(), *tally)));
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
