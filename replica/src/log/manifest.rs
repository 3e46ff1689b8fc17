//! Manifests: what a snapshot holds beside its parts, and where the parts are.
//! Layer 3.

use std::collections::BTreeMap;

use blake3::Hash;
use bytes::Bytes;
use crdt_core::{Dot, Frontier, Kind, Position, ReplicaId, Timestamp};

use crate::{
    key::{ELEMENT_BYTES_MAX, ObjectKey, PATH_BYTES_MAX},
    keyspace::{Mark, STRIPES},
    name::{ReplicaName, Roster},
};

use super::{
    bytes::{Reader, put_slice, put_varint},
    column_reader::{read_position, split},
    columns::{join, kind_code, kind_of, put_position},
    control::{
        self, EvictedRecord, LogStateRecord, ManifestRecord, PartRecord, SealedEpoch, corrupt, frontier_record,
        hash_record, lineage_record, read_frontier, read_lineage,
    },
    dictionary::Dictionary,
    envelope::{MacKey, ObjectKind, open, wrap},
    error::{DecodeError, EncodeError, Place},
    keys::BucketKey,
    mark::{put_marks, read_marks},
};

/// A snapshot: the state at one frontier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Whose snapshot.
    pub replica: ReplicaName,
    /// The position of its log at which it was taken.
    pub position: Position,
    /// Who took it.
    pub nonce: [u8; 16],
    /// The wall clock then, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// The hybrid clock then.
    pub hlc: Timestamp,
    /// Every replica that is known, in ascending order of ids, with what is known of its log.
    pub logs: Vec<LogState>,
    /// Removals that have arrived before what they remove, in ascending order.
    pub early: Vec<Early>,
    /// The marks of this replica, in ascending order of their names.
    pub marks: Vec<Mark>,
    /// The parts, in the order of the hash that cuts the keyspace: a power of two of them.
    pub parts: Vec<PartRef>,
}

/// What a snapshot knows of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// Whose log.
    pub replica: ReplicaName,
    /// How far it has been applied: its entry in the snapshot's frontier.
    pub applied: Option<Position>,
    /// The hash of the object there.
    pub hash: Option<Hash>,
    /// Its epochs that have ended, in ascending order.
    pub lineage: Vec<SealedEpoch>,
    /// What its replica has acknowledged.
    pub ack: Frontier,
    /// The last position that changed anything.
    pub last_change: Option<Position>,
    /// Set when its replica has been evicted: otherwise it is live.
    pub evicted: Option<Evicted>,
}

/// How a replica was evicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// The last position of its log that counts: the greatest that was declared.
    pub last: Position,
    /// The segments that declared it.
    pub declared: Frontier,
}

/// A removal that has arrived before what it removes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Early {
    /// Of what object.
    pub key: ObjectKey,
    /// Of which element; `None` for a register.
    pub element: Option<crdt_core::Bytes>,
    /// What is removed.
    pub dot: Dot,
}

/// A part, as its manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartRef {
    /// The position of the manifest that first wrote it, in the same epoch.
    pub written: Position,
    /// The hash of what it holds, uncompressed.
    pub content: Hash,
    /// Its size in the bucket.
    pub bytes: u64,
    /// How many objects have something live in it.
    pub rows: u64,
    /// How many dead tallies wait in it to be purged.
    pub dead: u64,
}

impl Manifest {
    /// What the snapshot has applied.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let dot = |log: &LogState| log.applied.map(|position| Dot { replica: log.replica.id(), position });
        self.logs.iter().filter_map(dot).collect()
    }

    /// The last position of each log that changed anything. Snapshots in which it is equal hold the same changes.
    #[must_use]
    pub fn changes(&self) -> BTreeMap<ReplicaId, Position> {
        self.logs.iter().filter_map(|log| Some((log.replica.id(), log.last_change?))).collect()
    }
}

/// The bytes of a manifest.
///
/// # Errors
///
/// [`EncodeError`] when something is out of order or named without being in `logs`, when a part is of another epoch,
/// when the number of parts is no power of two, or when it is too large.
pub fn encode_manifest(manifest: &Manifest, bucket_key: &str, mac: Option<&MacKey>) -> Result<Bytes, EncodeError> {
    check(manifest).map_err(EncodeError::invalid)?;
    let names = dictionary(manifest)?;
    let log = |log: &LogState| {
        Ok(LogStateRecord {
            name: log.replica.as_str().to_owned(),
            applied: log.applied.map(Into::into),
            hash: hash_record(log.hash),
            lineage: lineage_record(&log.lineage)?,
            ack: frontier_record(&log.ack, &names)?,
            last_change: log.last_change.map(Into::into),
            evicted: log.evicted.as_ref().map(|evicted| evicted_record(evicted, &names)).transpose()?,
        })
    };
    let record = ManifestRecord {
        logs: manifest.logs.iter().map(log).collect::<Result<_, EncodeError>>()?,
        replica: names.index(manifest.replica.id())? as u32,
        position: manifest.position.into(),
        nonce: manifest.nonce,
        wall_ms: manifest.wall_ms,
        hlc: manifest.hlc.into(),
        parts: manifest.parts.iter().map(part_record).collect(),
    };
    let body = join(&[&put_early(manifest, &names)?, &put_marks(&manifest.marks)?]);
    wrap(ObjectKind::Manifest, &control::write(&record)?, &body, bucket_key, mac)
}

/// The rules that hold for what is written and for what is read.
fn check(manifest: &Manifest) -> Result<(), &'static str> {
    let epoch = manifest.position.epoch();
    if !manifest.parts.len().is_power_of_two() || manifest.parts.len() > STRIPES {
        Err("the number of parts is no power of two, or there are more than stripes")
    } else if manifest.parts.iter().any(|part| part.written.epoch() != epoch || part.written > manifest.position) {
        Err("a part was not written in the manifest's epoch")
    } else if !manifest.early.is_sorted_by(|left, right| left < right) {
        Err("early removals are not in ascending order")
    } else {
        Ok(())
    }
}

/// The dictionary is the table of logs.
fn dictionary(manifest: &Manifest) -> Result<Dictionary, EncodeError> {
    let mut roster = Roster::default();
    let mut ids: Vec<ReplicaId> = Vec::with_capacity(manifest.logs.len());
    for log in &manifest.logs {
        let id = roster.insert(log.replica.clone()).map_err(|_| EncodeError::invalid("two replicas share an id"))?;
        if ids.last().is_some_and(|last| *last >= id) {
            return Err(EncodeError::invalid("logs are not in ascending order of their replicas' ids"));
        }
        ids.push(id);
    }
    Dictionary::of(ids, &roster)
}

fn evicted_record(evicted: &Evicted, names: &Dictionary) -> Result<EvictedRecord, EncodeError> {
    Ok(EvictedRecord { last: evicted.last.into(), declared: frontier_record(&evicted.declared, names)? })
}

fn part_record(part: &PartRef) -> PartRecord {
    let PartRef { written, content, bytes, rows, dead } = *part;
    PartRecord { written: written.into(), content: content.into(), bytes, rows, dead }
}

/// Positions are near what has been applied: an early removal is just beyond it.
fn near(manifest: &Manifest, replica: usize) -> Position {
    manifest.logs[replica].applied.unwrap_or(Position::FIRST)
}

const HAS_ELEMENT: u8 = 8;

fn put_early(manifest: &Manifest, names: &Dictionary) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    for Early { key, element, dot } in &manifest.early {
        check_early(key.kind(), element.is_some()).map_err(EncodeError::invalid)?;
        put_slice(&mut out, key.path().as_bytes());
        out.push(kind_code(key.kind()) | if element.is_some() { HAS_ELEMENT } else { 0 });
        if let Some(element) = element {
            put_slice(&mut out, element);
        }
        let replica = names.index(dot.replica)?;
        put_varint(&mut out, replica as u64);
        put_position(&mut out, near(manifest, replica), dot.position);
    }
    Ok(out)
}

fn check_early(kind: Kind, has_element: bool) -> Result<(), &'static str> {
    match (kind, has_element) {
        (Kind::OrSet, true) | (Kind::LwwRegister | Kind::MvRegister, false) => Ok(()),
        _ => Err("an early removal is of an element of a set, or of a register"),
    }
}

fn read_early(mut reader: Reader<'_>, manifest: &Manifest, names: &Dictionary) -> Result<Vec<Early>, DecodeError> {
    let mut early = Vec::new();
    while !reader.is_empty() {
        let path = reader.slice(PATH_BYTES_MAX)?;
        let tag = reader.byte()?;
        let kind = kind_of(tag & 7).ok_or(DecodeError::Unsupported { what: "row kind", found: u64::from(tag & 7) })?;
        let key = str::from_utf8(path).ok().and_then(|path| ObjectKey::new(path, kind).ok());
        let Some(key) = key else { return Err(reader.corrupt("a path breaks its rules")) };
        let element = match tag & !7 {
            0 => None,
            HAS_ELEMENT => Some(reader.slice(ELEMENT_BYTES_MAX)?.into()),
            _ => return Err(reader.corrupt("an early removal has flags that there are not")),
        };
        check_early(kind, element.is_some()).map_err(|reason| reader.corrupt(reason))?;
        let index = reader.varint()?;
        let Some(replica) = names.id(index) else {
            return Err(reader.corrupt("a replica is not in the dictionary"));
        };
        let position = read_position(&mut reader, near(manifest, index as usize))?;
        early.push(Early { key, element, dot: Dot { replica, position } });
    }
    Ok(early)
}

/// A manifest that was decoded.
#[derive(Clone, Debug)]
pub struct FoundManifest {
    manifest: Manifest,
    hash: Hash,
}

impl FoundManifest {
    /// What it says.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it says, to keep.
    #[must_use]
    pub fn into_manifest(self) -> Manifest {
        self.manifest
    }

    /// The hash of the whole object.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }
}

/// The manifest that these bytes are, found at `bucket_key`.
///
/// # Errors
///
/// As [`decode`](super::decode).
pub fn decode_manifest(object: &Bytes, bucket_key: &str, mac: Option<&MacKey>) -> Result<FoundManifest, DecodeError> {
    let opened = open(object, bucket_key, mac)?;
    if opened.kind != ObjectKind::Manifest {
        return Err(Place::Object.corrupt(6, "not a manifest"));
    }
    let record: ManifestRecord = control::read(&opened.control)?;
    let names = Dictionary::read(record.logs.iter().map(|log| log.name.as_str())).map_err(corrupt)?;
    let Some(replica) = names.names().get(record.replica as usize).cloned() else {
        return Err(corrupt("a replica is not in the dictionary"));
    };
    let logs = record.logs.iter().zip(names.names()).map(|(log, name)| read_log(log, name, &names));
    let mut manifest = Manifest {
        replica,
        position: record.position.into(),
        nonce: record.nonce,
        wall_ms: record.wall_ms,
        hlc: record.hlc.into(),
        logs: logs.collect::<Result<_, _>>()?,
        early: Vec::new(),
        marks: Vec::new(),
        parts: record.parts.iter().map(read_part).collect(),
    };
    match BucketKey::parse(bucket_key) {
        Some(BucketKey::Manifest { replica, position })
            if replica == manifest.replica && position == manifest.position => {}
        _ => return Err(corrupt("the manifest is of another snapshot than its key")),
    }
    let [early, marks] = split(Reader::new(&opened.body, Place::Body))?;
    manifest.early = read_early(early, &manifest, &names)?;
    manifest.marks = read_marks(marks)?;
    check(&manifest).map_err(corrupt)?;
    Ok(FoundManifest { manifest, hash: opened.hash })
}

fn read_log(record: &LogStateRecord, name: &ReplicaName, names: &Dictionary) -> Result<LogState, DecodeError> {
    // Every name is used: it is in the table for its own sake.
    let used = &mut vec![false; names.len()];
    let evicted = |evicted: &EvictedRecord, used: &mut Vec<bool>| {
        Ok(Evicted { last: evicted.last.into(), declared: read_frontier(&evicted.declared, names, used)? })
    };
    Ok(LogState {
        replica: name.clone(),
        applied: record.applied.map(Into::into),
        hash: record.hash.map(Into::into),
        lineage: read_lineage(&record.lineage)?,
        ack: read_frontier(&record.ack, names, used)?,
        last_change: record.last_change.map(Into::into),
        evicted: record.evicted.as_ref().map(|record| evicted(record, used)).transpose()?,
    })
}

fn read_part(record: &PartRecord) -> PartRef {
    let PartRecord { written, content, bytes, rows, dead } = *record;
    PartRef { written: written.into(), content: content.into(), bytes, rows, dead }
}
