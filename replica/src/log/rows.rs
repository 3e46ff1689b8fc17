//! The rows of a segment, one at a time.
//! Layer 3.

use core::hash::BuildHasher;

use crdt_core::{Bytes, Dot, Kind, Object, ObjectChanges, Seen, Tally, Timestamp, Write, WrongKind};

use crate::key::ObjectKey;

use super::{
    column_reader::{ColumnReader, LastKey},
    columns::{ColumnWriter, POSITIONS},
    error::{DecodeError, EncodeError},
};

/// Writes one row. `own` is the segment's dot.
pub(super) fn put_row<'a>(
    writer: &mut ColumnWriter<'a>,
    key: &'a ObjectKey,
    changes: &ObjectChanges,
    own: Dot,
) -> Result<(), EncodeError> {
    if changes.is_empty() {
        return Ok(());
    }
    match (key.kind(), changes) {
        (kind @ (Kind::GCounter | Kind::PnCounter), ObjectChanges::Counter(changes)) => {
            writer.put_key(key, changes.tallies().len())?;
            for tally in changes.tallies() {
                check_tally(kind, tally, own).map_err(EncodeError::invalid)?;
                writer.put_tally(tally)?;
            }
        }
        (Kind::LwwRegister | Kind::MvRegister, ObjectChanges::Register(changes)) => {
            let written = one_added(changes.added(), |write| write.dot, own)?;
            check_removed(changes.removed(), own).map_err(EncodeError::invalid)?;
            writer.put_key(key, changes.removed().len() << 1 | usize::from(written.is_some()))?;
            writer.put_dots(changes.removed())?;
            if let Some(write) = written {
                writer.put_write(write.timestamp, &write.value)?;
            }
        }
        (Kind::OrSet, ObjectChanges::Set(changes)) => {
            writer.put_key(key, changes.edits().len())?;
            let mut before: Option<&[u8]> = None;
            for (element, edit) in changes.edits() {
                let added = one_added(edit.added(), |dot| *dot, own)?.is_some();
                check_removed(edit.removed(), own).map_err(EncodeError::invalid)?;
                let flags = (edit.removed().len() as u64) << 1 | u64::from(added);
                if flags == 0 {
                    return Err(EncodeError::invalid("an element says nothing"));
                }
                writer.put_flags(flags);
                writer.put_dots(edit.removed())?;
                writer.put_element(before, element)?;
                before = Some(element);
            }
        }
        _ => return Err(EncodeError::invalid("changes are of another kind than their key")),
    }
    Ok(())
}

/// What is added is added under the segment's own dot, and so is at most one thing.
fn one_added<E>(added: &[E], dot: impl Fn(&E) -> Dot, own: Dot) -> Result<Option<&E>, EncodeError> {
    match added {
        [] => Ok(None),
        [only] if dot(only) == own => Ok(Some(only)),
        _ => Err(EncodeError::invalid("something is added under another dot than the segment's")),
    }
}

/// A log cannot speak of what it has not reached: not in a tally of its own, nor by removing what it added.
fn check_tally(kind: Kind, tally: &Tally, own: Dot) -> Result<(), &'static str> {
    if tally.parts().replica == own.replica && tally.parts().last > own.position {
        Err("a tally of the log's owner was raised beyond the segment")
    } else if kind == Kind::GCounter && tally.parts().n != 0 {
        Err("a grow-only counter that counted down")
    } else {
        Ok(())
    }
}

/// See [`check_tally`].
fn check_removed(removed: &[Dot], own: Dot) -> Result<(), &'static str> {
    let before = |dot: &Dot| dot.replica != own.replica || dot.position < own.position;
    if removed.iter().all(before) { Ok(()) } else { Err("a dot is removed that the log had not reached") }
}

/// Walks the rows of a [`Segment`](super::Segment).
#[derive(Debug)]
pub struct Rows<'a> {
    key: LastKey,
    walk: Walk<'a>,
}

/// Where in the columns the walk is.
#[derive(Debug)]
struct Walk<'a> {
    columns: ColumnReader<'a>,
    own: Dot,
    /// Elements of the row that was begun last which nobody has read.
    elements: u64,
    /// True when none of them has been read.
    first: bool,
}

/// One row: what changed in one object.
#[derive(Debug)]
pub struct Row<'r, 'a> {
    /// Where the object stands.
    pub path: &'r str,
    /// What it is.
    pub kind: Kind,
    /// What changed in it.
    pub body: RowBody<'r, 'a>,
}

/// What a row says.
#[derive(Debug)]
pub enum RowBody<'r, 'a> {
    /// Of a counter: tallies, in ascending order of their replicas.
    Counter(&'r [Tally]),
    /// Of a register.
    Register {
        /// What was written under the segment's dot.
        written: Option<WriteRef<'a>>,
        /// Which writes were superseded or deleted, in ascending order.
        removed: &'r [Dot],
    },
    /// Of a set: its elements, to be read one after the other.
    Set(Edits<'r, 'a>),
}

/// A write to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRef<'a> {
    /// The dot under which it was written.
    pub dot: Dot,
    /// When, by the hybrid clock of who wrote.
    pub timestamp: Timestamp,
    /// What was written.
    pub value: &'a [u8],
}

/// The elements of a row, in ascending order.
#[derive(Debug)]
pub struct Edits<'r, 'a>(&'r mut Walk<'a>);

/// What changed in one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditRef<'e> {
    /// The element.
    pub element: &'e [u8],
    /// True when it was added under the segment's dot.
    pub added: bool,
    /// Which adds were superseded or removed, in ascending order.
    pub removed: &'e [Dot],
}

impl<'a> Rows<'a> {
    pub(super) fn new(columns: ColumnReader<'a>, own: Dot) -> Self {
        Self { key: LastKey::default(), walk: Walk { columns, own, elements: 0, first: true } }
    }

    /// What has been read so far.
    pub(super) const fn columns(&self) -> &ColumnReader<'a> {
        &self.walk.columns
    }

    /// The next row, or `None` when there is none. What was not read of the row before is skipped.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the buffers of the walk, as no iterator's can")]
    pub fn next(&mut self) -> Option<Row<'_, 'a>> {
        proven(self.try_next())
    }

    pub(super) fn try_next(&mut self) -> Result<Option<Row<'_, 'a>>, DecodeError> {
        let Self { key, walk } = self;
        while walk.next_element()?.is_some() {}
        let Some((kind, count)) = walk.columns.next_key(key)? else { return Ok(None) };
        let body = match kind {
            Kind::GCounter | Kind::PnCounter => {
                walk.columns.read_tallies(kind, count)?;
                for tally in walk.columns.tallies() {
                    check_tally(kind, tally, walk.own).map_err(|reason| walk.columns.corrupt(POSITIONS, reason))?;
                }
                RowBody::Counter(walk.columns.tallies())
            }
            Kind::LwwRegister | Kind::MvRegister => {
                walk.read_removed(count >> 1)?;
                let written = if count & 1 == 1 { Some(walk.columns.read_write()?) } else { None };
                let written = written.map(|(timestamp, value)| WriteRef { dot: walk.own, timestamp, value });
                RowBody::Register { written, removed: walk.columns.dots() }
            }
            Kind::OrSet => {
                (walk.elements, walk.first) = (count, true);
                RowBody::Set(Edits(walk))
            }
        };
        Ok(Some(Row { path: &key.path, kind, body }))
    }
}

impl Walk<'_> {
    fn read_removed(&mut self, count: u64) -> Result<(), DecodeError> {
        self.columns.read_dots(count)?;
        check_removed(self.columns.dots(), self.own).map_err(|reason| self.columns.corrupt(POSITIONS, reason))
    }

    fn next_element(&mut self) -> Result<Option<EditRef<'_>>, DecodeError> {
        if self.elements == 0 {
            return Ok(None);
        }
        let flags = self.columns.read_flags()?;
        self.read_removed(flags >> 1)?;
        self.columns.read_element(self.first)?;
        (self.elements, self.first) = (self.elements - 1, false);
        Ok(Some(EditRef { element: self.columns.element(), added: flags & 1 == 1, removed: self.columns.dots() }))
    }
}

impl Row<'_, '_> {
    /// Merges the row into the object under its key.
    ///
    /// # Errors
    ///
    /// [`WrongKind`] when `object` is of another kind than the row; nothing is merged.
    pub fn apply<S, A>(self, object: &mut Object<S>, seen: &A) -> Result<(), WrongKind>
    where
        S: BuildHasher + Clone,
        A: Seen + Seen<[u8]>,
    {
        let kind = object.kind();
        if kind == self.kind { self.body.merge_into(object, seen) } else { Err(WrongKind { object: kind }) }
    }
}

impl RowBody<'_, '_> {
    /// Merges what a row says into an object of its kind.
    pub(crate) fn merge_into<S, A>(self, object: &mut Object<S>, seen: &A) -> Result<(), WrongKind>
    where
        S: BuildHasher + Clone,
        A: Seen + Seen<[u8]>,
    {
        let kind = object.kind();
        match (object, self) {
            (Object::GCounter(counter), Self::Counter(tallies)) => counter.merge_tallies(seen, tallies),
            (Object::PnCounter(counter), Self::Counter(tallies)) => counter.merge_tallies(seen, tallies),
            (Object::LwwRegister(register), Self::Register { written, removed }) => {
                register.merge_edit(seen, written.map(WriteRef::to_write).as_slice(), removed);
            }
            (Object::MvRegister(register), Self::Register { written, removed }) => {
                register.merge_edit(seen, written.map(WriteRef::to_write).as_slice(), removed);
            }
            (Object::OrSet(set), Self::Set(mut edits)) => {
                let own = [edits.0.own];
                while let Some(EditRef { element, added, removed }) = edits.next() {
                    set.merge_edit(seen, element, || element.into(), &own[..usize::from(added)], removed);
                }
            }
            _ => return Err(WrongKind { object: kind }),
        }
        Ok(())
    }
}

impl WriteRef<'_> {
    /// The same with a value of its own.
    #[must_use]
    pub fn to_write(self) -> Write<Bytes> {
        Write { dot: self.dot, timestamp: self.timestamp, value: self.value.into() }
    }
}

impl Edits<'_, '_> {
    /// The next element, or `None` when there is none.
    #[expect(clippy::should_implement_trait, reason = "an edit borrows the buffers of the walk, as no iterator's can")]
    pub fn next(&mut self) -> Option<EditRef<'_>> {
        proven(self.0.next_element())
    }

    /// How many are left.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.0.elements
    }
}

/// What was read from bytes that decoding has read before, in the same way.
#[expect(clippy::expect_used, reason = "the bytes cannot change")]
pub(super) fn proven<T>(read: Result<T, DecodeError>) -> T {
    read.expect("decoding has read the same bytes")
}
