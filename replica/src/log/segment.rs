//! Segments: the changes of one replica since its last one.
//! Layer 3.

use blake3::Hash;
use bytes::Bytes;
use crdt_core::{Dot, Position, ReplicaId};

use crate::{
    key::ObjectKey,
    keyspace::Mark,
    name::{ReplicaName, Roster},
};

use super::{
    bytes::Reader,
    column_reader::{ColumnReader, split},
    columns::{Bases, COLUMNS, ColumnWriter, join},
    control::{self, HeaderRecord},
    dictionary::{Dictionary, Named},
    envelope::{MacKey, ObjectKind, Opened, wrap},
    error::{DecodeError, EncodeError, Place},
    header::{LogHeader, check_all_used},
    mark::{Eviction, put_evictions, put_marks, read_evictions, read_marks},
    rows::Rows,
};

/// How much the paths, elements and values of one segment may come to when none is shared or compressed: more than may
/// ever wait to be flushed, and a bound on what a reader is made to hold.
pub const SEGMENT_CONTENT_BYTES_MAX: usize = 128 << 20;

/// Rows, evictions, marks.
const STRETCHES: usize = COLUMNS + 2;

/// The bytes of a segment.
///
/// `rows` are in ascending order of keys and walked twice; those without a change are left out. Every replica that is
/// named anywhere has to be in `roster`. `marks` are in ascending order of names, `evictions` of replicas' ids.
///
/// # Errors
///
/// [`EncodeError::TooLarge`] beyond 16 MiB, or when a value or an element is beyond its limit;
/// [`EncodeError::Invalid`] when something is out of order, of the wrong kind, added under another dot than the
/// segment's, or removed under it.
///
/// # Cost
///
/// Time in the rows, and about twice the encoded size in memory.
pub fn encode_segment<'a>(
    header: &LogHeader,
    roster: &Roster,
    rows: impl Iterator<Item = (&'a ObjectKey, &'a crdt_core::ObjectChanges)> + Clone,
    evictions: &[Eviction],
    marks: &[Mark],
    bucket_key: &str,
    mac: Option<&MacKey>,
) -> Result<Bytes, EncodeError> {
    let mut named = Named::default();
    for (_, changes) in rows.clone() {
        changes.for_each_dot(|dot| {
            named.note(dot.replica);
        });
    }
    let others = named.into_ids().into_iter().chain(evictions.iter().map(|eviction| eviction.replica.id()));
    let bases = bases(header, header.dictionary(others, roster)?);
    let (mut writer, own) = (ColumnWriter::new(&bases), header.dot());
    for (key, changes) in rows {
        super::rows::put_row(&mut writer, key, changes, own)?;
    }
    if writer.content() > SEGMENT_CONTENT_BYTES_MAX {
        return Err(EncodeError::TooLarge { bytes: writer.content(), limit: SEGMENT_CONTENT_BYTES_MAX });
    }
    let columns = writer.finish();
    let (evictions, marks) = (put_evictions(evictions, &bases.names)?, put_marks(marks)?);
    let mut stretches: Vec<&[u8]> = columns.iter().map(Vec::as_slice).collect();
    stretches.extend([&evictions[..], &marks[..]]);
    let control = control::write(&header.record(&bases.names)?)?;
    wrap(ObjectKind::Segment, &control, &join(&stretches), bucket_key, mac)
}

/// Positions of the own log are near the segment's, those of another near what the header says was applied of it.
fn bases(header: &LogHeader, names: Dictionary) -> Bases {
    let own = header.replica.id();
    let near = |id: &ReplicaId| {
        let applied = header.frontier.get(*id).unwrap_or(Position::FIRST);
        if *id == own { header.position } else { applied }
    };
    let positions = names.ids().iter().map(near).collect();
    Bases { home: names.find(own), positions, names, time: header.hlc }
}

/// A segment that was decoded, and so checked from end to end: reading its rows cannot fail any more.
#[derive(Clone, Debug)]
pub struct Segment {
    header: LogHeader,
    bases: Bases,
    body: Bytes,
    evictions: Vec<Eviction>,
    marks: Vec<Mark>,
    hash: Hash,
    rows: u64,
    content: u64,
}

impl Segment {
    pub(super) fn read(opened: Opened, bucket_key: &str) -> Result<Self, DecodeError> {
        let record: HeaderRecord = control::read(&opened.control)?;
        let (header, names, mut used) = LogHeader::read(&record, bucket_key)?;
        let bases = bases(&header, names);
        let stretches: [Reader<'_>; STRETCHES] = split(Reader::new(&opened.body, Place::Body))?;
        let [columns @ .., evictions, marks] = stretches;
        let mut rows = Rows::new(ColumnReader::new(columns, &bases), header.dot());
        while rows.try_next()?.is_some() {
            if rows.columns().content() > SEGMENT_CONTENT_BYTES_MAX as u64 {
                return Err(Place::Body.corrupt(0, "the rows come to more than the limit"));
            }
        }
        for (used, reached) in used.iter_mut().zip(rows.columns().reached()) {
            *used |= reached.is_some();
        }
        let (rows, content) = (rows.columns().rows(), rows.columns().content());
        let evictions = read_evictions(evictions, &bases.names, &mut used)?;
        let marks = read_marks(marks)?;
        check_all_used(&used)?;
        Ok(Self { header, bases, body: opened.body, evictions, marks, hash: opened.hash, rows, content })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &LogHeader {
        &self.header
    }

    /// The dot of all that is added.
    #[must_use]
    pub fn dot(&self) -> Dot {
        self.header.dot()
    }

    /// The hash by which the next object of the log names this one.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Every replica that is named, in ascending order of ids.
    #[must_use]
    pub fn names(&self) -> &[ReplicaName] {
        self.bases.names.names()
    }

    /// The rows in ascending order of their keys, one at a time and without allocation.
    ///
    /// # Panics
    ///
    /// Never: they were read once when the segment was decoded.
    #[must_use]
    #[expect(clippy::expect_used, reason = "decoding has split the same bytes")]
    pub fn rows(&self) -> Rows<'_> {
        let stretches: [Reader<'_>; STRETCHES] =
            split(Reader::new(&self.body, Place::Body)).expect("decoding has split the same bytes");
        let [columns @ .., _, _] = stretches;
        Rows::new(ColumnReader::new(columns, &self.bases), self.dot())
    }

    /// How many rows there are.
    #[must_use]
    pub const fn row_count(&self) -> u64 {
        self.rows
    }

    /// Bytes of paths, elements and values in full.
    #[must_use]
    pub const fn content_bytes(&self) -> u64 {
        self.content
    }

    /// Who is evicted, in ascending order of their ids.
    #[must_use]
    pub fn evictions(&self) -> &[Eviction] {
        &self.evictions
    }

    /// The marks of the log's owner, in ascending order of their names.
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// True when it changes nothing: it was cut to acknowledge, or to free a snapshot's key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.evictions.is_empty() && self.marks.is_empty()
    }
}
