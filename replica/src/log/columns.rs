//! The columns that rows are written into: one for each sort of thing, so that like stands beside like.
//! Layer 3.

use crdt_core::{Dot, Kind, Position, Tally, Timestamp};

use crate::key::{ELEMENT_BYTES_MAX, ObjectKey, VALUE_BYTES_MAX};

use super::{
    bytes::{put_varint, zigzag},
    dictionary::Dictionary,
    error::EncodeError,
};

/// One byte a row: the kind in the low three bits, the count in the high five.
pub(super) const TAGS: usize = 0;
/// Counts beyond 30.
pub(super) const COUNTS: usize = 1;
/// How many bytes a path shares with the one before.
pub(super) const SHARED: usize = 2;
/// How many bytes it has beyond those.
pub(super) const LENGTHS: usize = 3;
/// Those bytes.
pub(super) const PATHS: usize = 4;
/// One byte a tally, one varint an element.
pub(super) const FLAGS: usize = 5;
/// Replicas and positions.
pub(super) const POSITIONS: usize = 6;
/// The totals of tallies.
pub(super) const TOTALS: usize = 7;
/// The timestamps of writes.
pub(super) const TIMES: usize = 8;
/// The lengths of values and elements.
pub(super) const SIZES: usize = 9;
/// The bytes of values and elements.
pub(super) const BYTES: usize = 10;
/// How many columns there are.
pub(super) const COLUMNS: usize = 11;

/// The count in a tag that says: thirty-one more than the next number in [`COUNTS`].
pub(super) const COUNT_LONG: u8 = 31;

/// The tally is not the home replica's: its index is in [`POSITIONS`].
pub(super) const TALLY_AWAY: u8 = 1;
/// It was raised last elsewhere than at the base.
pub(super) const TALLY_LAST: u8 = 1 << 1;
/// It was raised after its birth.
pub(super) const TALLY_BIRTH: u8 = 1 << 2;
/// It has counted down.
pub(super) const TALLY_DOWN: u8 = 1 << 3;
/// All that it counted was reset.
pub(super) const TALLY_DEAD: u8 = 1 << 4;
/// Some of what it counted was reset.
pub(super) const TALLY_RESET: u8 = 1 << 5;
/// Every flag there is.
pub(super) const TALLY_FLAGS: u8 = (1 << 6) - 1;

/// What rows are written relative to.
#[derive(Clone, Debug)]
pub(crate) struct Bases {
    pub(crate) names: Dictionary,
    /// For each replica of the dictionary, the position that its others are near.
    pub(crate) positions: Vec<Position>,
    /// The replica whose own rows these are: its index is left out.
    pub(crate) home: Option<usize>,
    /// The time that timestamps are near.
    pub(crate) time: Timestamp,
}

pub(super) const fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::GCounter => 0,
        Kind::PnCounter => 1,
        Kind::LwwRegister => 2,
        Kind::MvRegister => 3,
        Kind::OrSet => 4,
    }
}

pub(super) const fn kind_of(code: u8) -> Option<Kind> {
    match code {
        0 => Some(Kind::GCounter),
        1 => Some(Kind::PnCounter),
        2 => Some(Kind::LwwRegister),
        3 => Some(Kind::MvRegister),
        4 => Some(Kind::OrSet),
        _ => None,
    }
}

/// The columns, being written.
#[derive(Debug)]
pub(super) struct ColumnWriter<'a> {
    columns: [Vec<u8>; COLUMNS],
    bases: &'a Bases,
    last: Option<&'a ObjectKey>,
    rows: u64,
    content: usize,
}

impl<'a> ColumnWriter<'a> {
    pub(super) fn new(bases: &'a Bases) -> Self {
        Self { columns: Default::default(), bases, last: None, rows: 0, content: 0 }
    }

    /// How many rows there are.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of paths, values and elements in full.
    pub(super) const fn content(&self) -> usize {
        self.content
    }

    /// Begins a row. `count` is not 0 and means what the kind makes of it.
    pub(super) fn put_key(&mut self, key: &'a ObjectKey, count: usize) -> Result<(), EncodeError> {
        let (before, path) = (self.last.map_or(&[][..], ObjectKey::path_bytes), key.path_bytes());
        let common = common_prefix(before, path);
        let order = before.get(common).cmp(&path.get(common));
        if order.then(self.last.map(ObjectKey::kind).cmp(&Some(key.kind()))).is_ge() {
            return Err(EncodeError::invalid("rows are not in ascending order of their keys"));
        }
        let shared = char_floor(path, common);
        let suffix = &path[shared..];
        self.put(SHARED, shared as u64);
        self.put(LENGTHS, suffix.len() as u64);
        self.columns[PATHS].extend_from_slice(suffix);
        let kind = kind_code(key.kind());
        if count < usize::from(COUNT_LONG) {
            self.columns[TAGS].push(kind | (count as u8) << 3);
        } else {
            self.columns[TAGS].push(kind | COUNT_LONG << 3);
            self.put(COUNTS, (count - usize::from(COUNT_LONG)) as u64);
        }
        self.last = Some(key);
        self.rows += 1;
        self.content += path.len();
        Ok(())
    }

    pub(super) fn put_tally(&mut self, tally: &Tally) -> Result<(), EncodeError> {
        let parts = tally.parts();
        let owner = self.bases.names.index(parts.replica)?;
        let base = self.bases.positions[owner];
        let resets = match (parts.bp, parts.bn) {
            (0, 0) => 0,
            baselines if baselines == (parts.p, parts.n) => TALLY_DEAD,
            _ => TALLY_RESET,
        };
        let flag = |condition: bool, flag: u8| if condition { flag } else { 0 };
        let flags = flag(self.bases.home != Some(owner), TALLY_AWAY)
            | flag(parts.last != base, TALLY_LAST)
            | flag(parts.birth != parts.last, TALLY_BIRTH)
            | flag(parts.n != 0, TALLY_DOWN)
            | resets;
        self.columns[FLAGS].push(flags);
        if flags & TALLY_AWAY != 0 {
            self.put(POSITIONS, owner as u64);
        }
        if flags & TALLY_LAST != 0 {
            put_position(&mut self.columns[POSITIONS], base, parts.last);
        }
        if flags & TALLY_BIRTH != 0 {
            put_position(&mut self.columns[POSITIONS], parts.last, parts.birth);
        }
        self.put(TOTALS, parts.p);
        if flags & TALLY_DOWN != 0 {
            self.put(TOTALS, parts.n);
        }
        if resets == TALLY_RESET {
            self.put(TOTALS, parts.bp);
            self.put(TOTALS, parts.bn);
        }
        Ok(())
    }

    pub(super) fn put_flags(&mut self, flags: u64) {
        self.put(FLAGS, flags);
    }

    pub(super) fn put_dots(&mut self, dots: &[Dot]) -> Result<(), EncodeError> {
        for dot in dots {
            let replica = self.bases.names.index(dot.replica)?;
            self.put(POSITIONS, replica as u64);
            put_position(&mut self.columns[POSITIONS], self.bases.positions[replica], dot.position);
        }
        Ok(())
    }

    pub(super) fn put_write(&mut self, timestamp: Timestamp, value: &[u8]) -> Result<(), EncodeError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(EncodeError::TooLarge { bytes: value.len(), limit: VALUE_BYTES_MAX });
        }
        let behind = self.bases.time.millis().wrapping_sub(timestamp.millis()) & Timestamp::MILLIS_MAX;
        self.put(TIMES, behind);
        self.put(TIMES, timestamp.counter().into());
        self.put(SIZES, value.len() as u64);
        self.columns[BYTES].extend_from_slice(value);
        self.content += value.len();
        Ok(())
    }

    /// `before` is the element before this one in the same row.
    pub(super) fn put_element(&mut self, before: Option<&[u8]>, element: &[u8]) -> Result<(), EncodeError> {
        if element.len() > ELEMENT_BYTES_MAX {
            return Err(EncodeError::TooLarge { bytes: element.len(), limit: ELEMENT_BYTES_MAX });
        }
        let shared = before.map_or(0, |before| common_prefix(before, element));
        if before.is_some() {
            self.put(SIZES, shared as u64);
        }
        self.put(SIZES, (element.len() - shared) as u64);
        self.columns[BYTES].extend_from_slice(&element[shared..]);
        self.content += element.len();
        Ok(())
    }

    #[inline]
    fn put(&mut self, column: usize, value: u64) {
        put_varint(&mut self.columns[column], value);
    }

    pub(super) fn finish(self) -> [Vec<u8>; COLUMNS] {
        self.columns
    }
}

/// Lengths first, then the stretches themselves.
pub(super) fn join(stretches: &[&[u8]]) -> Vec<u8> {
    let total: usize = stretches.iter().map(|stretch| stretch.len()).sum();
    let mut body = Vec::with_capacity(total + 5 * stretches.len());
    for stretch in stretches {
        put_varint(&mut body, stretch.len() as u64);
    }
    for stretch in stretches {
        body.extend_from_slice(stretch);
    }
    body
}

/// A position near `base`: how many slots before it in the same epoch, doubled; or, odd, how many epochs away, and then
/// the slot.
pub(super) fn put_position(out: &mut Vec<u8>, base: Position, position: Position) {
    if position.epoch() == base.epoch() && position.slot() <= base.slot() {
        put_varint(out, u64::from(base.slot() - position.slot()) << 1);
    } else {
        let epochs = i64::from(base.epoch()) - i64::from(position.epoch());
        put_varint(out, zigzag(epochs) << 1 | 1);
        put_varint(out, position.slot().into());
    }
}

/// The last place at or before `at` where a character of this UTF-8 begins.
pub(super) fn char_floor(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {
        at -= 1;
    }
    at
}

/// How many bytes two strings have in common at their beginnings.
pub(super) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    let words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
    let shared = 8 * words.take_while(|(left, right)| left == right).count();
    shared + left[shared..].iter().zip(&right[shared..]).take_while(|(left, right)| left == right).count()
}
