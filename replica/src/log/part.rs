//! Parts: the state of a share of the keyspace, canonical.
//! Layer 3. *Invariant:* equal states give equal bytes, in every replica, whatever led to them.

use core::hash::BuildHasher;

use blake3::Hash;
use bytes::Bytes;
use crdt_core::{Dot, Kind, Object, Position, Tally, Timestamp};

use crate::{
    key::ObjectKey,
    name::{NAME_BYTES_MAX, ReplicaName, Roster},
};

use super::{
    bytes::{Reader, put_slice, put_varint},
    column_reader::{ColumnReader, split},
    columns::{Bases, COLUMNS, ColumnWriter, join},
    dictionary::{Dictionary, Named},
    envelope::{MacKey, ObjectKind, open, wrap},
    error::{DecodeError, EncodeError, Place},
    keys::BucketKey,
    mark::{put_place, read_place},
    part_rows::PartRows,
};

/// The largest part, in bytes before compression. An ordinary one has some 4 MiB; only a single object of this size
/// cannot be in a snapshot.
pub const PART_BYTES_MAX: usize = 1 << 30;

/// The bases, the live rows, the dead rows.
const STRETCHES: usize = 1 + 2 * COLUMNS;

/// What a part holds, encoded. Its name in the bucket depends on it, so it is made first.
#[derive(Clone, Debug)]
pub struct PartBody {
    body: Vec<u8>,
    content: Hash,
    rows: u64,
    dead: u64,
}

/// Encodes whole objects, in ascending order of keys. They are walked twice.
///
/// # Errors
///
/// [`EncodeError`] when the keys are out of order or of another kind than their objects, a replica is not in `roster`,
/// or something is beyond its limit.
///
/// # Cost
///
/// Time in the state, and the logarithm of the size of each set, which is sorted.
pub fn encode_part<'a, S: BuildHasher + Clone + 'a>(
    objects: impl Iterator<Item = (&'a ObjectKey, &'a Object<S>)> + Clone,
    roster: &Roster,
) -> Result<PartBody, EncodeError> {
    let bases = bases(objects.clone(), roster)?;
    let (mut live, mut dead) = (ColumnWriter::new(&bases), ColumnWriter::new(&bases));
    let mut dead_tallies = 0;
    for (key, object) in objects {
        if key.kind() != object.kind() {
            return Err(EncodeError::invalid("an object is of another kind than its key"));
        }
        put_tallies(&mut live, key, object, |tally| !tally.is_dead())?;
        dead_tallies += put_tallies(&mut dead, key, object, Tally::is_dead)?;
        put_writes(&mut live, key, object.writes())?;
        if let Object::OrSet(set) = object {
            put_elements(&mut live, key, &set.sorted())?;
        }
    }
    let rows = live.rows();
    let (live, dead) = (live.finish(), dead.finish());
    let bases = put_bases(&bases);
    let mut stretches = vec![&bases[..]];
    stretches.extend(live.iter().chain(&dead).map(Vec::as_slice));
    let body = join(&stretches);
    if body.len() > PART_BYTES_MAX {
        return Err(EncodeError::TooLarge { bytes: body.len(), limit: PART_BYTES_MAX });
    }
    Ok(PartBody { content: blake3::hash(&body), body, rows, dead: dead_tallies })
}

fn put_tallies<'a, S: BuildHasher + Clone>(
    writer: &mut ColumnWriter<'a>,
    key: &'a ObjectKey,
    object: &Object<S>,
    of_this_section: impl Fn(&Tally) -> bool,
) -> Result<u64, EncodeError> {
    let tallies = || object.tallies().iter().filter(|tally| of_this_section(tally));
    let count = tallies().count();
    if count > 0 {
        writer.put_key(key, count)?;
        tallies().try_for_each(|tally| writer.put_tally(tally))?;
    }
    Ok(count as u64)
}

fn put_writes<'a>(
    writer: &mut ColumnWriter<'a>,
    key: &'a ObjectKey,
    writes: &[crdt_core::Write<crdt_core::Bytes>],
) -> Result<(), EncodeError> {
    if writes.is_empty() {
        return Ok(());
    }
    writer.put_key(key, writes.len())?;
    writes.iter().try_for_each(|write| {
        writer.put_dots(&[write.dot])?;
        writer.put_write(write.timestamp, &write.value)
    })
}

fn put_elements<'a>(
    writer: &mut ColumnWriter<'a>,
    key: &'a ObjectKey,
    elements: &[(&crdt_core::Bytes, &[Dot])],
) -> Result<(), EncodeError> {
    if elements.is_empty() {
        return Ok(());
    }
    writer.put_key(key, elements.len())?;
    let mut before: Option<&[u8]> = None;
    for (element, dots) in elements {
        writer.put_flags(dots.len() as u64);
        writer.put_dots(dots)?;
        writer.put_element(before, element)?;
        before = Some(element);
    }
    Ok(())
}

/// SUBTLE: positions and times are written relative to the greatest in the part, not to a frontier or a clock: those
/// move on with every segment, and every part would change with them.
fn bases<'a, S: BuildHasher + Clone + 'a>(
    objects: impl Iterator<Item = (&'a ObjectKey, &'a Object<S>)>,
    roster: &Roster,
) -> Result<Bases, EncodeError> {
    let mut named = Named::default();
    let mut greatest: Vec<Position> = Vec::new();
    let mut time = Timestamp::default();
    for (_, object) in objects {
        let mut visit = |dot: Dot| {
            let index = named.note(dot.replica);
            match greatest.get_mut(index) {
                Some(position) => *position = dot.position.max(*position),
                None => greatest.push(dot.position),
            }
        };
        for tally in object.tallies() {
            visit(Dot { replica: tally.parts().replica, position: tally.parts().last });
        }
        if let Object::OrSet(set) = object {
            set.sorted().into_iter().flat_map(|(_, dots)| dots).for_each(|dot| visit(*dot));
        }
        let writes = object.writes();
        writes.iter().for_each(|write| visit(write.dot));
        time = writes.iter().fold(time, |time, write| time.max(write.timestamp));
    }
    let mut dots: Vec<_> = named.into_ids().into_iter().zip(greatest).collect();
    dots.sort_unstable();
    let (ids, positions) = dots.into_iter().unzip();
    Ok(Bases { names: Dictionary::of(ids, roster)?, positions, home: None, time })
}

fn put_bases(bases: &Bases) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, bases.time.into());
    for (name, position) in bases.names.names().iter().zip(&bases.positions) {
        put_slice(&mut out, name.as_bytes());
        put_place(&mut out, *position);
    }
    out
}

fn read_bases(mut reader: Reader<'_>) -> Result<Bases, DecodeError> {
    let time = Timestamp::from(reader.varint()?);
    let (mut texts, mut positions) = (Vec::new(), Vec::new());
    while !reader.is_empty() {
        let name = reader.slice(NAME_BYTES_MAX)?;
        texts.push(str::from_utf8(name).map_err(|_| reader.corrupt("a name is not UTF-8"))?);
        positions.push(read_place(&mut reader)?);
    }
    let names = Dictionary::read(texts.into_iter()).map_err(|reason| reader.corrupt(reason))?;
    Ok(Bases { names, positions, home: None, time })
}

impl PartBody {
    /// The hash that is in the part's key: equal states have equal ones.
    #[must_use]
    pub const fn content(&self) -> Hash {
        self.content
    }

    /// The body before compression: what [`content`](Self::content) is the hash of.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.body
    }

    /// How many objects have something live in it.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// How many dead tallies are in it.
    #[must_use]
    pub const fn dead_tallies(&self) -> u64 {
        self.dead
    }

    /// The bytes of the part, to be created at `bucket_key`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`] never, as [`encode_part`] has checked.
    pub fn to_object(&self, bucket_key: &str, mac: Option<&MacKey>) -> Result<Bytes, EncodeError> {
        wrap(ObjectKind::Part, &[], &self.body, bucket_key, mac)
    }
}

/// A part that was decoded, and so checked from end to end: reading its rows cannot fail any more.
#[derive(Clone, Debug)]
pub struct Part {
    bases: Bases,
    body: Bytes,
    content: Hash,
    rows: u64,
    content_bytes: u64,
}

/// The part that these bytes are, found at `bucket_key`, which holds the hash of its content.
///
/// # Errors
///
/// As [`decode`](super::decode).
pub fn decode_part(object: &Bytes, bucket_key: &str, mac: Option<&MacKey>) -> Result<Part, DecodeError> {
    let opened = open(object, bucket_key, mac)?;
    if opened.kind != ObjectKind::Part {
        return Err(Place::Object.corrupt(6, "not a part"));
    }
    if !opened.control.is_empty() {
        return Err(Place::Control.corrupt(0, "a part has no control record"));
    }
    let content = blake3::hash(&opened.body);
    match BucketKey::parse(bucket_key) {
        Some(BucketKey::Part { content: named, .. }) if named == content => {}
        _ => return Err(Place::Body.corrupt(0, "the content is not what the key says")),
    }
    Part::read(opened.body, content)
}

impl Part {
    fn read(body: Bytes, content: Hash) -> Result<Self, DecodeError> {
        let stretches: [Reader<'_>; STRETCHES] = split(Reader::new(&body, Place::Body))?;
        let bases = read_bases(stretches[0])?;
        let (live, dead) = sections(&stretches, &bases);
        let (live, dead) = (live.check()?, dead.check()?);
        let reached = live.reached().iter().zip(dead.reached()).map(|(live, dead)| live.max(dead));
        if !reached.eq(bases.positions.iter().map(|position| Some(*position)).collect::<Vec<_>>().iter()) {
            return Err(Place::Body.corrupt(0, "a position to count from is not the greatest there is"));
        }
        if live.time_reached().unwrap_or_default() != bases.time {
            return Err(Place::Body.corrupt(0, "the time to count from is not the latest there is"));
        }
        let (rows, content_bytes) = (live.rows(), live.content() + dead.content());
        Ok(Self { bases, body, content, rows, content_bytes })
    }

    /// The objects that are live, in ascending order of their keys, without their dead tallies.
    #[must_use]
    pub fn live(&self) -> PartRows<'_> {
        self.sections().0
    }

    /// The dead tallies that wait to be purged, in ascending order of their keys.
    #[must_use]
    pub fn dead(&self) -> PartRows<'_> {
        self.sections().1
    }

    #[expect(clippy::expect_used, reason = "the bytes cannot change")]
    fn sections(&self) -> (PartRows<'_>, PartRows<'_>) {
        let stretches: [Reader<'_>; STRETCHES] =
            split(Reader::new(&self.body, Place::Body)).expect("decoding has split the same bytes");
        sections(&stretches, &self.bases)
    }

    /// Every replica that is named, in ascending order of ids.
    #[must_use]
    pub fn names(&self) -> &[ReplicaName] {
        self.bases.names.names()
    }

    /// The hash of what it holds.
    #[must_use]
    pub const fn content(&self) -> Hash {
        self.content
    }

    /// How many objects have something live in it.
    #[must_use]
    pub const fn row_count(&self) -> u64 {
        self.rows
    }

    /// Bytes of paths, elements and values in full: what they will come to in memory, to be looked at before loading.
    #[must_use]
    pub const fn content_bytes(&self) -> u64 {
        self.content_bytes
    }
}

fn sections<'a>(stretches: &[Reader<'a>; STRETCHES], bases: &'a Bases) -> (PartRows<'a>, PartRows<'a>) {
    let rows = |from: usize, dead: bool| {
        let columns: [Reader<'a>; COLUMNS] = core::array::from_fn(|column| stretches[from + column]);
        PartRows::new(ColumnReader::new(columns, bases), dead)
    };
    (rows(1, false), rows(1 + COLUMNS, true))
}

/// The kinds that can have dead tallies.
pub(super) const fn counts(kind: Kind) -> bool {
    matches!(kind, Kind::GCounter | Kind::PnCounter)
}
