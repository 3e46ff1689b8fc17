//! The columns, being read in step: the checks that make bytes into rows.
//! Layer 3.

use crdt_core::{Dot, Kind, Position, Tally, TallyParts, Timestamp};

use crate::key::{ELEMENT_BYTES_MAX, PATH_BYTES_MAX, VALUE_BYTES_MAX, has_control_characters};

use super::{
    bytes::{Reader, unzigzag},
    columns::{
        BYTES, Bases, COLUMNS, COUNT_LONG, COUNTS, FLAGS, LENGTHS, PATHS, POSITIONS, SHARED, SIZES, TAGS, TALLY_AWAY,
        TALLY_BIRTH, TALLY_DEAD, TALLY_DOWN, TALLY_FLAGS, TALLY_LAST, TALLY_RESET, TIMES, TOTALS, char_floor,
        common_prefix, kind_of,
    },
    error::DecodeError,
};

/// Takes `body` apart into stretches that make it up exactly. See [`join`](super::columns::join).
pub(super) fn split<'a, const N: usize>(mut body: Reader<'a>) -> Result<[Reader<'a>; N], DecodeError> {
    let mut lengths = [0; N];
    for length in &mut lengths {
        *length = body.varint()?;
    }
    let mut stretches = [body; N];
    for (stretch, length) in stretches.iter_mut().zip(lengths) {
        *stretch = body.stretch(length)?;
    }
    body.finish()?;
    Ok(stretches)
}

/// The key of the row that was begun last.
#[derive(Debug, Default)]
pub(super) struct LastKey {
    pub(super) path: String,
    kind: Option<Kind>,
}

/// Reads columns row by row, into buffers of its own that every row reuses.
///
/// What it hands out is checked as it is read. The buffers hold one path, one element and the dots of one element, so
/// they stay small whatever the columns claim.
#[derive(Debug)]
pub(super) struct ColumnReader<'a> {
    columns: [Reader<'a>; COLUMNS],
    bases: &'a Bases,
    element: Vec<u8>,
    tallies: Vec<Tally>,
    dots: Vec<Dot>,
    /// The greatest position that was read of each replica of the dictionary.
    reached: Vec<Option<Position>>,
    time_reached: Option<Timestamp>,
    rows: u64,
    content: u64,
}

impl<'a> ColumnReader<'a> {
    pub(super) fn new(columns: [Reader<'a>; COLUMNS], bases: &'a Bases) -> Self {
        Self {
            columns,
            bases,
            element: Vec::new(),
            tallies: Vec::new(),
            dots: Vec::new(),
            reached: vec![None; bases.names.len()],
            time_reached: None,
            rows: 0,
            content: 0,
        }
    }

    /// How many rows have been read.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of paths, values and elements in full, of what has been read.
    pub(super) const fn content(&self) -> u64 {
        self.content
    }

    pub(super) fn reached(&self) -> &[Option<Position>] {
        &self.reached
    }

    pub(super) const fn time_reached(&self) -> Option<Timestamp> {
        self.time_reached
    }

    /// Begins the next row: its kind and its count, or `None` when all is read.
    pub(super) fn next_key(&mut self, key: &mut LastKey) -> Result<Option<(Kind, u64)>, DecodeError> {
        if self.columns[TAGS].is_empty() {
            self.columns.iter().try_for_each(Reader::finish)?;
            return Ok(None);
        }
        let tag = self.columns[TAGS].byte()?;
        let kind = kind_of(tag & 7).ok_or(DecodeError::Unsupported { what: "row kind", found: u64::from(tag & 7) })?;
        let mut count = u64::from(tag >> 3);
        if count == u64::from(COUNT_LONG) {
            count = self.columns[COUNTS].varint()?.saturating_add(u64::from(COUNT_LONG));
        }
        if count == 0 {
            return Err(self.columns[TAGS].corrupt("a row says nothing"));
        }
        self.next_path(kind, key)?;
        self.rows += 1;
        Ok(Some((kind, count)))
    }

    /// The first byte beyond the shared ones, which are as many as can be, tells the order nearly always.
    fn next_path(&mut self, kind: Kind, key: &mut LastKey) -> Result<(), DecodeError> {
        let shared = self.columns[SHARED].varint()?;
        let length = self.columns[LENGTHS].varint()?;
        let shared = match usize::try_from(shared) {
            Ok(shared) if key.path.is_char_boundary(shared) => shared,
            _ => return Err(self.columns[SHARED].corrupt("a path shares more than there is")),
        };
        if length.saturating_add(shared as u64) > PATH_BYTES_MAX as u64 {
            return Err(self.columns[LENGTHS].corrupt("a path is longer than the limit"));
        }
        let suffix = self.columns[PATHS].take(length)?;
        let Ok(suffix) = str::from_utf8(suffix) else { return Err(self.columns[PATHS].corrupt("a path is not UTF-8")) };
        if has_control_characters(suffix) {
            return Err(self.columns[PATHS].corrupt("a path has a control character"));
        }
        let replaced = &key.path.as_bytes()[shared..];
        match (suffix.as_bytes().first(), replaced.first()) {
            (Some(new), Some(old)) if new > old => {}
            (Some(_), None) => {}
            _ => self.check_suffix(kind, key, suffix, shared)?,
        }
        key.path.truncate(shared);
        key.path.push_str(suffix);
        key.kind = Some(kind);
        self.content += key.path.len() as u64;
        Ok(())
    }

    /// What is left of the check of a path's order when the first bytes do not settle it: the same path again, characters
    /// that begin alike, or a fault.
    #[cold]
    fn check_suffix(&self, kind: Kind, key: &LastKey, suffix: &str, shared: usize) -> Result<(), DecodeError> {
        let replaced = &key.path[shared..];
        let repeated = suffix.is_empty() && replaced.is_empty() && !key.path.is_empty();
        let in_order = if repeated { key.kind < Some(kind) } else { suffix > replaced };
        if !in_order {
            Err(self.columns[PATHS].corrupt("rows are not in ascending order of their keys"))
        } else if char_floor(suffix.as_bytes(), common_prefix(suffix.as_bytes(), replaced.as_bytes())) != 0 {
            Err(self.columns[SHARED].corrupt("a path shares less than it could"))
        } else {
            Ok(())
        }
    }

    /// Reads `count` tallies of a counter.
    pub(super) fn read_tallies(&mut self, kind: Kind, count: u64) -> Result<(), DecodeError> {
        self.tallies.clear();
        for _ in 0..count {
            let tally = self.read_tally()?;
            if self.tallies.last().is_some_and(|last| last.parts().replica >= tally.parts().replica) {
                return Err(self.columns[FLAGS].corrupt("the tallies of a row are not in ascending order"));
            }
            if kind == Kind::GCounter && tally.parts().n != 0 {
                return Err(self.columns[TOTALS].corrupt("a grow-only counter that counted down"));
            }
            self.tallies.push(tally);
        }
        Ok(())
    }

    #[inline]
    fn read_tally(&mut self) -> Result<Tally, DecodeError> {
        let flags = self.columns[FLAGS].byte()?;
        if flags & !TALLY_FLAGS != 0 {
            return Err(self.columns[FLAGS].corrupt("a tally has flags that there are not"));
        }
        let (owner, replica) = match self.bases.home {
            Some(home) if flags & TALLY_AWAY == 0 => (home, self.bases.names.ids()[home]),
            _ if flags & TALLY_AWAY == 0 => return Err(self.columns[FLAGS].corrupt("a tally has no owner")),
            home => match self.read_replica()? {
                (owner, _) if home == Some(owner) => {
                    return Err(self.columns[POSITIONS].corrupt("the home replica is named where it is left out"));
                }
                named => named,
            },
        };
        let base = self.bases.positions[owner];
        let last = self.read_other_position(flags & TALLY_LAST != 0, base)?;
        let birth = self.read_other_position(flags & TALLY_BIRTH != 0, last)?;
        let totals = &mut self.columns[TOTALS];
        let p = totals.varint()?;
        let n = if flags & TALLY_DOWN != 0 { totals.varint()? } else { 0 };
        if flags & TALLY_DOWN != 0 && n == 0 {
            return Err(totals.corrupt("a number that is left out is written"));
        }
        let (bp, bn) = match flags & (TALLY_DEAD | TALLY_RESET) {
            0 => (0, 0),
            TALLY_DEAD => (p, n),
            TALLY_RESET => {
                let baselines = (totals.varint()?, totals.varint()?);
                if baselines == (p, n) {
                    return Err(totals.corrupt("a number that is left out is written"));
                }
                baselines
            }
            _ => return Err(self.columns[FLAGS].corrupt("a tally has flags that exclude each other")),
        };
        if flags & (TALLY_DEAD | TALLY_RESET) != 0 && (bp, bn) == (0, 0) {
            return Err(totals.corrupt("a number that is left out is written"));
        }
        self.reach(owner, last);
        Tally::try_from(TallyParts { replica, birth, last, p, n, bp, bn })
            .map_err(|reason| self.columns[TOTALS].corrupt(reason))
    }

    /// A position that is there only if it is not `base`.
    #[inline]
    fn read_other_position(&mut self, there: bool, base: Position) -> Result<Position, DecodeError> {
        if !there {
            return Ok(base);
        }
        let position = read_position(&mut self.columns[POSITIONS], base)?;
        if position == base {
            return Err(self.columns[POSITIONS].corrupt("a position that is left out is written"));
        }
        Ok(position)
    }

    #[inline]
    fn read_replica(&mut self) -> Result<(usize, crdt_core::ReplicaId), DecodeError> {
        let index = self.columns[POSITIONS].varint()?;
        let Some(replica) = self.bases.names.id(index) else {
            return Err(self.columns[POSITIONS].corrupt("a replica is not in the dictionary"));
        };
        Ok((index as usize, replica))
    }

    #[inline]
    fn reach(&mut self, replica: usize, position: Position) {
        self.reached[replica] = self.reached[replica].max(Some(position));
    }

    pub(super) fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// Reads `count` dots.
    pub(super) fn read_dots(&mut self, count: u64) -> Result<(), DecodeError> {
        self.dots.clear();
        for _ in 0..count {
            let dot = self.read_dot()?;
            if self.dots.last().is_some_and(|last| *last >= dot) {
                return Err(self.columns[POSITIONS].corrupt("dots are not in ascending order"));
            }
            self.dots.push(dot);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn read_dot(&mut self) -> Result<Dot, DecodeError> {
        let (index, replica) = self.read_replica()?;
        let position = read_position(&mut self.columns[POSITIONS], self.bases.positions[index])?;
        self.reach(index, position);
        Ok(Dot { replica, position })
    }

    pub(super) fn dots(&self) -> &[Dot] {
        &self.dots
    }

    pub(super) fn read_flags(&mut self) -> Result<u64, DecodeError> {
        match self.columns[FLAGS].varint()? {
            0 => Err(self.columns[FLAGS].corrupt("an element says nothing")),
            flags => Ok(flags),
        }
    }

    pub(super) fn read_write(&mut self) -> Result<(Timestamp, &'a [u8]), DecodeError> {
        let times = &mut self.columns[TIMES];
        let (behind, counter) = (times.varint()?, times.varint()?);
        let counter = match u16::try_from(counter) {
            Ok(counter) if behind <= Timestamp::MILLIS_MAX => counter,
            _ => return Err(times.corrupt("a timestamp is beyond the end of time")),
        };
        let millis = self.bases.time.millis().wrapping_sub(behind) & Timestamp::MILLIS_MAX;
        let timestamp = Timestamp::new(millis, counter);
        self.time_reached = self.time_reached.max(Some(timestamp));
        let length = self.columns[SIZES].varint()?;
        if length > VALUE_BYTES_MAX as u64 {
            return Err(self.columns[SIZES].corrupt("a value is longer than the limit"));
        }
        self.content += length;
        Ok((timestamp, self.columns[BYTES].take(length)?))
    }

    /// Reads the next element of a row.
    pub(super) fn read_element(&mut self, first: bool) -> Result<(), DecodeError> {
        let shared = if first { 0 } else { self.columns[SIZES].varint()? };
        let length = self.columns[SIZES].varint()?;
        let held = if first { 0 } else { self.element.len() };
        let shared = match usize::try_from(shared) {
            Ok(shared) if shared <= held => shared,
            _ => return Err(self.columns[SIZES].corrupt("an element shares more than there is")),
        };
        if length.saturating_add(shared as u64) > ELEMENT_BYTES_MAX as u64 {
            return Err(self.columns[SIZES].corrupt("an element is longer than the limit"));
        }
        let suffix = self.columns[BYTES].take(length)?;
        if !first {
            match (suffix.first(), self.element.get(shared)) {
                (Some(new), Some(old)) if new == old => {
                    return Err(self.columns[SIZES].corrupt("an element shares less than it could"));
                }
                (new, old) if new <= old => {
                    return Err(self.columns[BYTES].corrupt("the elements of a row are not in ascending order"));
                }
                _ => {}
            }
        }
        self.element.truncate(shared);
        self.element.extend_from_slice(suffix);
        self.content += self.element.len() as u64;
        Ok(())
    }

    pub(super) fn element(&self) -> &[u8] {
        &self.element
    }

    /// A fault in what a column said last.
    pub(super) fn corrupt(&self, column: usize, reason: &'static str) -> DecodeError {
        self.columns[column].corrupt(reason)
    }
}

/// See [`put_position`](super::columns::put_position).
#[inline]
pub(super) fn read_position(reader: &mut Reader<'_>, base: Position) -> Result<Position, DecodeError> {
    let code = reader.varint()?;
    if code & 1 == 0 {
        let back = u32::try_from(code >> 1).ok().and_then(|back| base.slot().checked_sub(back));
        return match back {
            Some(slot) => Ok(Position::new(base.epoch(), slot)),
            None => Err(reader.corrupt("a position is before the first of its epoch")),
        };
    }
    let epoch = u32::try_from(i64::from(base.epoch()).wrapping_sub(unzigzag(code >> 1)));
    let slot = u32::try_from(reader.varint()?);
    match (epoch, slot) {
        (Ok(epoch), Ok(slot)) if epoch != base.epoch() || slot > base.slot() => Ok(Position::new(epoch, slot)),
        (Ok(_), Ok(_)) => Err(reader.corrupt("a position is not in its shortest form")),
        _ => Err(reader.corrupt("a position is larger than 64 bits")),
    }
}
