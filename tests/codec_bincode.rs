//! Control records are what bincode 2.0.1 writes with its legacy configuration: held against that crate, with structures
//! of the test's own.
#![expect(clippy::unwrap_used, reason = "what the helpers make is sound")]

use bincode::{Encode, config, encode_to_vec};
use bytes::Bytes;
use crdt_core::{Dot, Frontier, Position, ReplicaId, Timestamp};
use quickcheck::QuickCheck;
use replica::log::{
    Evicted, Keys, LogHeader, LogState, Manifest, PartRef, Seal, SealedEpoch, encode_manifest, encode_seal,
};
use sim::Random;
use tests::codec::{NAMES, history, name_of, number, roster};

#[derive(Encode)]
struct Place(u32, u64);

#[derive(Encode)]
struct Sealed {
    epoch: u32,
    slot: u32,
    nonce: [u8; 16],
}

#[derive(Encode)]
struct Header {
    names: Vec<String>,
    replica: u32,
    position: u64,
    nonce: [u8; 16],
    previous: Option<[u8; 32]>,
    wall_ms: u64,
    hlc: u64,
    frontier: Vec<Place>,
    ack: Vec<Place>,
}

#[derive(Encode)]
struct SealRecord {
    header: Header,
    next_epoch: Option<u32>,
    lineage: Vec<Sealed>,
}

#[derive(Encode)]
struct Log {
    name: String,
    applied: Option<u64>,
    hash: Option<[u8; 32]>,
    lineage: Vec<Sealed>,
    ack: Vec<Place>,
    last_change: Option<u64>,
    evicted: Option<(u64, Vec<Place>)>,
}

#[derive(Encode)]
struct Part {
    written: u64,
    content: [u8; 32],
    bytes: u64,
    rows: u64,
    dead: u64,
}

#[derive(Encode)]
struct ManifestRecord {
    logs: Vec<Log>,
    replica: u32,
    position: u64,
    nonce: [u8; 16],
    wall_ms: u64,
    hlc: u64,
    parts: Vec<Part>,
}

fn control(object: &Bytes) -> &[u8] {
    let length = u32::from_le_bytes(object[8..12].try_into().unwrap()) as usize;
    &object[20..20 + length]
}

fn legacy(record: impl Encode) -> Vec<u8> {
    encode_to_vec(record, config::legacy()).unwrap()
}

fn places(frontier: &Frontier, ids: &[ReplicaId]) -> Vec<Place> {
    let index = |id: ReplicaId| ids.iter().position(|held| *held == id).unwrap() as u32;
    frontier.iter().map(|dot| Place(index(dot.replica), dot.position.into())).collect()
}

fn sealed(lineage: &[SealedEpoch]) -> Vec<Sealed> {
    lineage
        .iter()
        .map(|SealedEpoch { epoch, slot, nonce }| Sealed { epoch: *epoch, slot: *slot, nonce: *nonce })
        .collect()
}

fn header(header: &LogHeader, others: impl IntoIterator<Item = ReplicaId>) -> Header {
    let mut ids: Vec<ReplicaId> = header.frontier.iter().chain(header.ack.iter()).map(|dot| dot.replica).collect();
    ids.push(header.replica.id());
    ids.extend(others);
    ids.sort();
    ids.dedup();
    Header {
        names: ids.iter().map(|id| roster().get(*id).unwrap().to_string()).collect(),
        replica: ids.iter().position(|id| *id == header.replica.id()).unwrap() as u32,
        position: header.position.into(),
        nonce: header.nonce,
        previous: header.previous.map(Into::into),
        wall_ms: header.wall_ms,
        hlc: header.hlc.into(),
        frontier: places(&header.frontier, &ids),
        ack: places(&header.ack, &ids),
    }
}

fn lineage(random: &mut Random, most: u64) -> Vec<SealedEpoch> {
    let epochs = (0..random.below(5)).map(|epoch| (epoch * most / 5) as u32);
    let sealed = |epoch| SealedEpoch { epoch, slot: random.next() as u32, nonce: [random.next() as u8; 16] };
    epochs.collect::<Vec<_>>().into_iter().map(sealed).collect()
}

#[test]
fn the_headers_of_segments_are_in_the_legacy_format() {
    fn property(seed: u64) {
        for draft in history(seed, 200).0 {
            let mut others: Vec<ReplicaId> = draft.evictions.iter().map(|eviction| eviction.replica.id()).collect();
            draft.rows.values().for_each(|changes| changes.for_each_dot(|dot| others.push(dot.replica)));
            assert_eq!(control(&draft.encode(&roster())), legacy(header(&draft.header, others)));
        }
    }
    QuickCheck::new().tests(100).quickcheck(property as fn(u64));
}

#[test]
fn seals_are_in_the_legacy_format() {
    fn property(seed: u64) {
        let random = &mut Random::new(seed);
        for draft in history(seed, 100).0 {
            let epoch = draft.header.position.epoch();
            let seal = Seal {
                next_epoch: random.chance(700_000).then(|| epoch.saturating_add(1)).filter(|next| *next > epoch),
                lineage: if epoch > 5 { lineage(random, epoch.into()) } else { Vec::new() },
                header: draft.header,
            };
            let object = encode_seal(&seal, &roster(), &draft.key, None).unwrap();
            let record = SealRecord {
                header: header(&seal.header, []),
                next_epoch: seal.next_epoch,
                lineage: sealed(&seal.lineage),
            };
            assert_eq!(control(&object), legacy(record));
        }
    }
    QuickCheck::new().tests(100).quickcheck(property as fn(u64));
}

#[test]
fn manifests_are_in_the_legacy_format() {
    fn property(seed: u64) {
        let random = &mut Random::new(seed);
        let mut ids: Vec<ReplicaId> = NAMES.iter().map(|name| name_of(name).id()).collect();
        ids.sort();
        let frontier = |random: &mut Random| -> Frontier {
            let dots = ids.iter().map(|id| Dot { replica: *id, position: Position::from(number(random)) });
            dots.collect::<Vec<_>>().into_iter().take(random.below(5) as usize).collect()
        };
        let manifest = Manifest {
            replica: name_of(NAMES[0]),
            position: Position::new(7, 9),
            nonce: [random.next() as u8; 16],
            wall_ms: random.next(),
            hlc: Timestamp::from(random.next()),
            logs: ids
                .iter()
                .map(|id| LogState {
                    replica: roster().get(*id).unwrap().clone(),
                    applied: random.chance(500_000).then(|| Position::from(number(random))),
                    hash: random.chance(500_000).then(|| blake3::hash(&random.next().to_le_bytes())),
                    lineage: lineage(random, 1 << 32),
                    ack: frontier(random),
                    last_change: random.chance(500_000).then(|| Position::from(number(random))),
                    evicted: random
                        .chance(500_000)
                        .then(|| Evicted { last: Position::from(number(random)), declared: frontier(random) }),
                })
                .collect(),
            early: Vec::new(),
            marks: Vec::new(),
            parts: vec![PartRef {
                written: Position::new(7, 3),
                content: blake3::hash(b"part"),
                bytes: number(random),
                rows: number(random),
                dead: number(random),
            }],
        };
        let key = Keys::new("").unwrap().manifest(&manifest.replica, manifest.position);
        let log = |log: &LogState| Log {
            name: log.replica.to_string(),
            applied: log.applied.map(Into::into),
            hash: log.hash.map(Into::into),
            lineage: sealed(&log.lineage),
            ack: places(&log.ack, &ids),
            last_change: log.last_change.map(Into::into),
            evicted: log.evicted.as_ref().map(|evicted| (evicted.last.into(), places(&evicted.declared, &ids))),
        };
        let part = |part: &PartRef| Part {
            written: part.written.into(),
            content: part.content.into(),
            bytes: part.bytes,
            rows: part.rows,
            dead: part.dead,
        };
        let record = ManifestRecord {
            logs: manifest.logs.iter().map(log).collect(),
            replica: ids.iter().position(|id| *id == manifest.replica.id()).unwrap() as u32,
            position: manifest.position.into(),
            nonce: manifest.nonce,
            wall_ms: manifest.wall_ms,
            hlc: manifest.hlc.into(),
            parts: manifest.parts.iter().map(part).collect(),
        };
        assert_eq!(control(&encode_manifest(&manifest, &key, None).unwrap()), legacy(record));
    }
    QuickCheck::new().tests(200).quickcheck(property as fn(u64));
}
