//! The rows of a part, one at a time.
//! Layer 3.

use core::hash::BuildHasher;

use crdt_core::{Dot, Frontier, Kind, Object, Tally, WrongKind};

use super::{
    column_reader::{ColumnReader, LastKey},
    columns::FLAGS,
    error::DecodeError,
    part::counts,
    rows::{WriteRef, proven},
};

/// Walks the rows of a section of a [`Part`](super::Part).
#[derive(Debug)]
pub struct PartRows<'a> {
    key: LastKey,
    walk: Walk<'a>,
    /// True in the section of dead tallies.
    dead: bool,
}

/// Where in the columns the walk is.
#[derive(Debug)]
struct Walk<'a> {
    columns: ColumnReader<'a>,
    /// Writes or elements of the row that was begun last which nobody has read.
    left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Writes { count: u64, last: Option<Dot> },
    Elements { count: u64, first: bool },
}

/// One row: the state of one object.
#[derive(Debug)]
pub struct PartRow<'r, 'a> {
    /// Where the object stands.
    pub path: &'r str,
    /// What it is.
    pub kind: Kind,
    /// Its state.
    pub body: PartRowBody<'r, 'a>,
}

/// What a row holds.
#[derive(Debug)]
pub enum PartRowBody<'r, 'a> {
    /// Of a counter: the tallies of this section, in ascending order of their replicas.
    Counter(&'r [Tally]),
    /// Of a register: its live writes, to be read one after the other.
    Register(PartWrites<'r, 'a>),
    /// Of a set: its elements, to be read one after the other.
    Set(PartElements<'r, 'a>),
}

/// The live writes of a register, in ascending order of their dots.
#[derive(Debug)]
pub struct PartWrites<'r, 'a>(&'r mut Walk<'a>);

/// The elements of a set, in ascending order.
#[derive(Debug)]
pub struct PartElements<'r, 'a>(&'r mut Walk<'a>);

/// One element of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementRef<'e> {
    /// The element.
    pub element: &'e [u8],
    /// Its live dots, in ascending order.
    pub dots: &'e [Dot],
}

impl<'a> PartRows<'a> {
    pub(super) fn new(columns: ColumnReader<'a>, dead: bool) -> Self {
        Self { key: LastKey::default(), walk: Walk { columns, left: Left::Nothing }, dead }
    }

    /// Reads all there is, and gives back what it came to.
    pub(super) fn check(mut self) -> Result<ColumnReader<'a>, DecodeError> {
        while self.try_next()?.is_some() {}
        Ok(self.walk.columns)
    }

    /// The next row, or `None` when there is none. What was not read of the row before is skipped.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the buffers of the walk, as no iterator's can")]
    pub fn next(&mut self) -> Option<PartRow<'_, 'a>> {
        proven(self.try_next())
    }

    fn try_next(&mut self) -> Result<Option<PartRow<'_, 'a>>, DecodeError> {
        let Self { key, walk, dead } = self;
        walk.skip()?;
        let Some((kind, count)) = walk.columns.next_key(key)? else { return Ok(None) };
        let body = if counts(kind) {
            walk.columns.read_tallies(kind, count)?;
            if walk.columns.tallies().iter().any(|tally| tally.is_dead() != *dead) {
                return Err(walk.columns.corrupt(FLAGS, "a tally is in the wrong section"));
            }
            PartRowBody::Counter(walk.columns.tallies())
        } else if *dead {
            return Err(walk.columns.corrupt(FLAGS, "what has no tallies is among the dead"));
        } else if kind == Kind::OrSet {
            walk.left = Left::Elements { count, first: true };
            PartRowBody::Set(PartElements(walk))
        } else {
            walk.left = Left::Writes { count, last: None };
            PartRowBody::Register(PartWrites(walk))
        };
        Ok(Some(PartRow { path: &key.path, kind, body }))
    }
}

impl<'a> Walk<'a> {
    fn skip(&mut self) -> Result<(), DecodeError> {
        while self.next_write()?.is_some() {}
        while self.next_element()?.is_some() {}
        Ok(())
    }

    fn next_write(&mut self) -> Result<Option<WriteRef<'a>>, DecodeError> {
        let Left::Writes { count: count @ 1.., last } = self.left else { return Ok(None) };
        let dot = self.columns.read_dot()?;
        if last >= Some(dot) {
            return Err(self.columns.corrupt(FLAGS, "the writes of a register are not in ascending order"));
        }
        let (timestamp, value) = self.columns.read_write()?;
        self.left = Left::Writes { count: count - 1, last: Some(dot) };
        Ok(Some(WriteRef { dot, timestamp, value }))
    }

    fn next_element(&mut self) -> Result<Option<ElementRef<'_>>, DecodeError> {
        let Left::Elements { count: count @ 1.., first } = self.left else { return Ok(None) };
        let dots = self.columns.read_flags()?;
        self.columns.read_dots(dots)?;
        self.columns.read_element(first)?;
        self.left = Left::Elements { count: count - 1, first: false };
        Ok(Some(ElementRef { element: self.columns.element(), dots: self.columns.dots() }))
    }
}

impl<'a> PartWrites<'_, 'a> {
    /// The next write, or `None` when there is none.
    #[expect(clippy::should_implement_trait, reason = "the same shape as the other walks")]
    pub fn next(&mut self) -> Option<WriteRef<'a>> {
        proven(self.0.next_write())
    }
}

impl PartElements<'_, '_> {
    /// The next element and its live dots, or `None` when there is none.
    #[expect(clippy::should_implement_trait, reason = "an element borrows the buffers of the walk")]
    pub fn next(&mut self) -> Option<ElementRef<'_>> {
        proven(self.0.next_element())
    }
}

impl PartRow<'_, '_> {
    /// Puts the row into an object that holds nothing else of this section: a new one, or for a row of dead tallies the
    /// one that the live row made.
    ///
    /// # Errors
    ///
    /// [`WrongKind`] when `object` is of another kind than the row; nothing is put.
    pub fn load<S: BuildHasher + Clone>(self, object: &mut Object<S>) -> Result<(), WrongKind> {
        let kind = object.kind();
        let nothing = &Frontier::default();
        if kind != self.kind {
            return Err(WrongKind { object: kind });
        }
        match (object, self.body) {
            (Object::GCounter(counter), PartRowBody::Counter(tallies)) => counter.merge_tallies(nothing, tallies),
            (Object::PnCounter(counter), PartRowBody::Counter(tallies)) => counter.merge_tallies(nothing, tallies),
            (Object::LwwRegister(register), PartRowBody::Register(mut writes)) => {
                while let Some(write) = writes.next() {
                    register.merge_edit(nothing, &[write.to_write()], &[]);
                }
            }
            (Object::MvRegister(register), PartRowBody::Register(mut writes)) => {
                while let Some(write) = writes.next() {
                    register.merge_edit(nothing, &[write.to_write()], &[]);
                }
            }
            (Object::OrSet(set), PartRowBody::Set(mut elements)) => {
                while let Some(ElementRef { element, dots }) = elements.next() {
                    set.merge_edit(nothing, element, || element.into(), dots, &[]);
                }
            }
            _ => return Err(WrongKind { object: kind }),
        }
        Ok(())
    }
}
