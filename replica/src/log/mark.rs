//! Marks and evictions: what a segment says beside its rows.
//! Layer 3.

use crdt_core::{Position, Timestamp};

use crate::{
    key::MARK_BYTES_MAX,
    keyspace::{Mark, MarkValue},
    name::ReplicaName,
};

use super::{
    bytes::{Reader, put_slice, put_varint},
    dictionary::Dictionary,
    error::{DecodeError, EncodeError},
};

const NUMBER: u8 = 0;
const HASH: u8 = 1;

pub(super) fn put_marks(marks: &[Mark]) -> Result<Vec<u8>, EncodeError> {
    if !marks.is_sorted_by(|left, right| left.name < right.name) {
        return Err(EncodeError::invalid("marks are not in ascending order of their names"));
    }
    let mut out = Vec::new();
    for mark in marks {
        if mark.name.is_empty() || mark.name.len() > MARK_BYTES_MAX {
            return Err(EncodeError::invalid("the name of a mark has 1 to 1024 bytes"));
        }
        put_slice(&mut out, &mark.name);
        match mark.value {
            MarkValue::Number(number) => {
                out.push(NUMBER);
                put_varint(&mut out, number);
            }
            MarkValue::Hash(hash) => {
                out.push(HASH);
                out.extend_from_slice(&hash);
            }
        }
        put_varint(&mut out, mark.time.millis());
        put_varint(&mut out, mark.time.counter().into());
    }
    Ok(out)
}

pub(super) fn read_marks(mut reader: Reader<'_>) -> Result<Vec<Mark>, DecodeError> {
    let mut marks: Vec<Mark> = Vec::new();
    while !reader.is_empty() {
        let name = reader.slice(MARK_BYTES_MAX)?;
        if marks.last().map_or(&[][..], |last| &last.name) >= name {
            return Err(reader.corrupt("marks are not in ascending order of their names"));
        }
        let value = match reader.byte()? {
            NUMBER => MarkValue::Number(reader.varint()?),
            HASH => {
                let mut hash = [0; 32];
                hash.copy_from_slice(reader.take(32)?);
                MarkValue::Hash(hash)
            }
            other => return Err(DecodeError::Unsupported { what: "mark kind", found: other.into() }),
        };
        let (millis, counter) = (reader.varint()?, reader.varint()?);
        let time = match u16::try_from(counter) {
            Ok(counter) if millis <= Timestamp::MILLIS_MAX => Timestamp::new(millis, counter),
            _ => return Err(reader.corrupt("a timestamp is beyond the end of time")),
        };
        marks.push(Mark { name: name.into(), value, time });
    }
    Ok(marks)
}

/// An operator's word that a replica will not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// Who is evicted.
    pub replica: ReplicaName,
    /// The last position of its log that counts.
    pub last: Position,
}

pub(super) fn put_evictions(evictions: &[Eviction], names: &Dictionary) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let mut next = 0;
    for eviction in evictions {
        let replica = names.index(eviction.replica.id())?;
        if replica < next {
            return Err(EncodeError::invalid("evictions are not in ascending order of their replicas' ids"));
        }
        next = replica + 1;
        put_varint(&mut out, replica as u64);
        put_place(&mut out, eviction.last);
    }
    Ok(out)
}

/// Marks the replicas that are named in `used`.
pub(super) fn read_evictions(
    mut reader: Reader<'_>,
    names: &Dictionary,
    used: &mut [bool],
) -> Result<Vec<Eviction>, DecodeError> {
    let mut evictions = Vec::new();
    let mut next = 0;
    while !reader.is_empty() {
        let replica = reader.varint()?;
        if replica < next {
            return Err(reader.corrupt("evictions are not in ascending order"));
        }
        let Some(name) = usize::try_from(replica).ok().and_then(|index| names.names().get(index)) else {
            return Err(reader.corrupt("a replica is not in the dictionary"));
        };
        used[replica as usize] = true;
        next = replica + 1;
        evictions.push(Eviction { replica: name.clone(), last: read_place(&mut reader)? });
    }
    Ok(evictions)
}

/// A position by itself: epoch, slot.
pub(super) fn put_place(out: &mut Vec<u8>, position: Position) {
    put_varint(out, position.epoch().into());
    put_varint(out, position.slot().into());
}

pub(super) fn read_place(reader: &mut Reader<'_>) -> Result<Position, DecodeError> {
    match (u32::try_from(reader.varint()?), u32::try_from(reader.varint()?)) {
        (Ok(epoch), Ok(slot)) => Ok(Position::new(epoch, slot)),
        _ => Err(reader.corrupt("a position is larger than 64 bits")),
    }
}
