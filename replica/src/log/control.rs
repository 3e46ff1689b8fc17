//! Control records: the fixed part of every object, in the legacy fixed-width format of bincode.
//! Layer 3.
//!
//! Numbers are little-endian and as wide as their type, lengths are u64, an `Option` is one byte 0 or 1 and then the
//! value. The order of the fields is the format. `wincode` writes the same bytes that bincode 2.0.1 does with `config::legacy()`; a test holds it to that.

use blake3::Hash;
use crdt_core::{Dot, Frontier, Position};
use wincode::{
    SchemaRead, SchemaReadOwned, SchemaWrite,
    config::{Configuration, DefaultConfig, serialize},
};

use super::{
    dictionary::Dictionary,
    error::{DecodeError, EncodeError, Place},
};

#[derive(Clone, Debug, SchemaRead, SchemaWrite)]
pub(super) struct PlaceRecord {
    pub(super) replica: u32,
    pub(super) position: u64,
}

#[derive(Clone, Debug, SchemaRead, SchemaWrite)]
pub(super) struct SealedRecord {
    pub(super) epoch: u32,
    pub(super) slot: u32,
    pub(super) nonce: [u8; 16],
}

#[derive(Clone, Debug, SchemaRead, SchemaWrite)]
pub(super) struct HeaderRecord {
    pub(super) names: Vec<String>,
    pub(super) replica: u32,
    pub(super) position: u64,
    pub(super) nonce: [u8; 16],
    pub(super) previous: Option<[u8; 32]>,
    pub(super) wall_ms: u64,
    pub(super) hlc: u64,
    pub(super) frontier: Vec<PlaceRecord>,
    pub(super) ack: Vec<PlaceRecord>,
}

#[derive(Clone, Debug, SchemaRead, SchemaWrite)]
pub(super) struct SealRecord {
    pub(super) header: HeaderRecord,
    pub(super) next_epoch: Option<u32>,
    pub(super) lineage: Vec<SealedRecord>,
}

#[derive(Clone, Debug, SchemaRead, SchemaWrite)]
pub(super) struct EvictedRecord {
    pub(super) last: u64,
    pub(super) declared: Vec<PlaceRecord>,
}

#[derive(Clone, Debug, SchemaRead, SchemaWrite)]
pub(super) struct LogStateRecord {
    pub(super) name: String,
    pub(super) applied: Option<u64>,
    pub(super) hash: Option<[u8; 32]>,
    pub(super) lineage: Vec<SealedRecord>,
    pub(super) ack: Vec<PlaceRecord>,
    pub(super) last_change: Option<u64>,
    pub(super) evicted: Option<EvictedRecord>,
}

#[derive(Clone, Debug, SchemaRead, SchemaWrite)]
pub(super) struct PartRecord {
    pub(super) written: u64,
    pub(super) content: [u8; 32],
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) dead: u64,
}

#[derive(Clone, Debug, SchemaRead, SchemaWrite)]
pub(super) struct ManifestRecord {
    pub(super) logs: Vec<LogStateRecord>,
    pub(super) replica: u32,
    pub(super) position: u64,
    pub(super) nonce: [u8; 16],
    pub(super) wall_ms: u64,
    pub(super) hlc: u64,
    pub(super) parts: Vec<PartRecord>,
}

/// What one list may take in memory, by the length of the record. No element takes more than eight times its bytes, and no
/// list of a record longer than the shortest more than 128 times the record.
const SMALL: usize = 64 << 10;
const MEDIUM: usize = 1 << 20;
const LARGE: usize = 16 << 20;
const LARGEST: usize = 64 << 20;

type Limited<const BYTES: usize> = Configuration<true, BYTES>;

/// The bytes of a record.
pub(super) fn write<T>(record: &T) -> Result<Vec<u8>, EncodeError>
where
    T: SchemaWrite<Limited<LARGEST>, Src = T>,
{
    let config = DefaultConfig::default().with_preallocation_size_limit::<LARGEST>();
    serialize(record, config).map_err(|_| EncodeError::invalid("a control record is larger than the limit"))
}

/// The record of these bytes, all of them.
///
/// SUBTLE: a length is believed, and room made for it, before its elements are there. So the room that any one list may
/// ask for is tied to the length of the record.
pub(super) fn read<T>(bytes: &[u8]) -> Result<T, DecodeError>
where
    T: SchemaReadOwned<Limited<SMALL>, Dst = T>
        + SchemaReadOwned<Limited<MEDIUM>, Dst = T>
        + SchemaReadOwned<Limited<LARGE>, Dst = T>
        + SchemaReadOwned<Limited<LARGEST>, Dst = T>,
{
    use wincode::config::deserialize_exact as exact;
    let config = DefaultConfig::default();
    let read = if bytes.len() <= SMALL / 8 {
        exact(bytes, config.with_preallocation_size_limit::<SMALL>())
    } else if bytes.len() <= MEDIUM / 8 {
        exact(bytes, config.with_preallocation_size_limit::<MEDIUM>())
    } else if bytes.len() <= LARGE / 8 {
        exact(bytes, config.with_preallocation_size_limit::<LARGE>())
    } else {
        exact(bytes, config.with_preallocation_size_limit::<LARGEST>())
    };
    read.map_err(|error| match error {
        wincode::ReadError::TrailingBytes => corrupt("has bytes left over"),
        wincode::ReadError::PreallocationSizeLimit { .. } => corrupt("a length is larger than what is left"),
        _ => corrupt("not a record of its kind"),
    })
}

/// A fault in a control record. Records are read as a whole, so there is no offset.
pub(super) const fn corrupt(reason: &'static str) -> DecodeError {
    Place::Control.corrupt(0, reason)
}

pub(super) fn frontier_record(frontier: &Frontier, names: &Dictionary) -> Result<Vec<PlaceRecord>, EncodeError> {
    let place = |dot: Dot| Ok(PlaceRecord { replica: names.index(dot.replica)? as u32, position: dot.position.into() });
    frontier.iter().map(place).collect()
}

/// Marks the replicas that it names in `used`.
pub(super) fn read_frontier(
    records: &[PlaceRecord],
    names: &Dictionary,
    used: &mut [bool],
) -> Result<Frontier, DecodeError> {
    let mut dots = Vec::with_capacity(records.len());
    for record in records {
        let replica = names.id(record.replica.into()).ok_or(corrupt("a replica is not in the dictionary"))?;
        used[record.replica as usize] = true;
        dots.push(Dot { replica, position: record.position.into() });
    }
    Frontier::try_from(dots).map_err(corrupt)
}

/// An epoch that has ended: where, and by whose seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedEpoch {
    /// The epoch.
    pub epoch: u32,
    /// The slot of the seal that ended it.
    pub slot: u32,
    /// The nonce of that seal.
    pub nonce: [u8; 16],
}

impl SealedEpoch {
    /// Where the seal stands.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position::new(self.epoch, self.slot)
    }
}

pub(super) fn lineage_record(lineage: &[SealedEpoch]) -> Result<Vec<SealedRecord>, EncodeError> {
    if !lineage.is_sorted_by(|left, right| left.epoch < right.epoch) {
        return Err(EncodeError::invalid(LINEAGE_ORDER));
    }
    Ok(lineage
        .iter()
        .map(|SealedEpoch { epoch, slot, nonce }| SealedRecord { epoch: *epoch, slot: *slot, nonce: *nonce })
        .collect())
}

pub(super) fn read_lineage(records: &[SealedRecord]) -> Result<Vec<SealedEpoch>, DecodeError> {
    if !records.is_sorted_by(|left, right| left.epoch < right.epoch) {
        return Err(corrupt(LINEAGE_ORDER));
    }
    Ok(records
        .iter()
        .map(|SealedRecord { epoch, slot, nonce }| SealedEpoch { epoch: *epoch, slot: *slot, nonce: *nonce })
        .collect())
}

const LINEAGE_ORDER: &str = "the epochs of a lineage are not in ascending order";

pub(super) fn hash_record(hash: Option<Hash>) -> Option<[u8; 32]> {
    hash.map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> HeaderRecord {
        HeaderRecord {
            names: vec!["eu-west-1".into()],
            replica: 0,
            position: 7,
            nonce: [1; 16],
            previous: None,
            wall_ms: 2,
            hlc: 3,
            frontier: vec![PlaceRecord { replica: 0, position: 6 }; 20],
            ack: Vec::new(),
        }
    }

    /// Where the lengths of the lists and of the first name are.
    fn lengths() -> [usize; 3] {
        let names = 8 + 8 + 9;
        [0, 8, names + 4 + 8 + 16 + 1 + 8 + 8]
    }

    #[test]
    fn a_hostile_length_is_refused_before_room_is_made_for_it() {
        let bytes = write(&record()).unwrap();
        for at in lengths() {
            for length in [1 << 17, 1 << 32, 1 << 62, u64::MAX] {
                let mut hostile = bytes.clone();
                hostile[at..at + 8].copy_from_slice(&length.to_le_bytes());
                let refused = corrupt("a length is larger than what is left");
                assert_eq!(read::<HeaderRecord>(&hostile).err(), Some(refused), "{at} {length}");
            }
        }
    }

    #[test]
    fn a_record_is_read_exactly() {
        let bytes = write(&record()).unwrap();
        assert!(read::<HeaderRecord>(&bytes).is_ok());
        assert!(read::<HeaderRecord>(&[&bytes[..], &[0]].concat()).is_err());
        (0..bytes.len()).for_each(|length| assert!(read::<HeaderRecord>(&bytes[..length]).is_err(), "{length}"));
    }

    /// The shortest log state: a name of one byte, nothing else.
    #[test]
    fn no_element_takes_more_than_eight_times_its_bytes() {
        assert!(size_of::<LogStateRecord>() <= 8 * (8 + 1 + 1 + 1 + 8 + 8 + 1 + 1));
        assert!(size_of::<String>() <= 8 * (8 + 1));
        assert!(size_of::<PlaceRecord>() <= 8 * (4 + 8));
        assert!(size_of::<SealedRecord>() <= 8 * (4 + 4 + 16));
        assert!(size_of::<PartRecord>() <= 8 * (8 + 32 + 3 * 8));
    }

    #[test]
    fn a_long_record_is_written_and_read() {
        let frontier = vec![PlaceRecord { replica: 0, position: 6 }; 100_000];
        let bytes = write(&HeaderRecord { frontier, ..record() }).unwrap();
        assert_eq!(read::<HeaderRecord>(&bytes).unwrap().frontier.len(), 100_000);
    }
}
