//! Parts and manifests as bytes: canonical, exact, and read as they were written.
#![expect(clippy::unwrap_used, reason = "what the helpers make is sound")]

use std::collections::BTreeMap;

use bytes::Bytes;
use crdt_core::{Dot, Frontier, Kind, Object, Position, Timestamp};
use quickcheck::{QuickCheck, TestResult};
use replica::{
    key::ObjectKey,
    log::{
        DecodeError, Early, EncodeError, Evicted, Keys, LogState, Manifest, Part, PartBody, PartRef, SealedEpoch,
        decode_manifest, decode_part, encode_manifest, encode_part,
    },
};
use sim::Random;
use tests::codec::{Author, NAMES, history, marks, name_of, number, object, roster};

type State = BTreeMap<ObjectKey, Object>;

fn key_of(body: &PartBody) -> String {
    Keys::new("root").unwrap().part(&name_of("eu-west-1"), Position::new(1, 2), body.content())
}

fn read(body: &PartBody) -> Part {
    let key = key_of(body);
    decode_part(&body.to_object(&key, None).unwrap(), &key, None).unwrap()
}

fn load(part: &Part) -> State {
    let mut state = State::new();
    let mut rows = part.live();
    while let Some(row) = rows.next() {
        let key = ObjectKey::new(row.path, row.kind).unwrap();
        let mut loaded = object(row.kind);
        row.load(&mut loaded).unwrap();
        assert!(state.insert(key, loaded).is_none());
    }
    let mut dead = part.dead();
    while let Some(row) = dead.next() {
        let key = ObjectKey::new(row.path, row.kind).unwrap();
        let loaded = state.entry(key).or_insert_with(|| object(row.kind));
        row.load(loaded).unwrap();
    }
    state
}

#[test]
fn a_state_is_read_as_it_was_written() {
    fn property(seed: u64, steps: u8) {
        for author in history(seed, 40 + u64::from(steps) * 4).1 {
            let mut state = author.objects;
            state.retain(|_, object| !object.is_empty());
            let body = encode_part(state.iter(), &roster()).unwrap();
            let part = read(&body);
            assert_eq!(load(&part), state);
            assert_eq!(part.row_count(), body.rows());
            let is_live = state.values().filter(|object| object.is_live()).count() as u64;
            assert_eq!(part.row_count(), is_live);
            let tallies = state.values().flat_map(Object::tallies);
            assert_eq!(body.dead_tallies(), tallies.filter(|tally| tally.is_dead()).count() as u64);
            // What nobody reads of a row is skipped.
            let mut rows = part.live();
            let mut count = 0;
            while rows.next().is_some() {
                count += 1;
            }
            assert_eq!(count, is_live);
        }
    }
    QuickCheck::new().tests(200).quickcheck(property as fn(u64, u8));
}

/// Two replicas that have applied the same segments, in different orders.
#[test]
fn equal_states_are_equal_bytes_whatever_led_to_them() {
    fn property(seed: u64) -> TestResult {
        let (drafts, _) = history(seed, 500);
        let mut logs: Vec<Vec<_>> = NAMES[..3]
            .iter()
            .map(|name| drafts.iter().filter(|draft| &*draft.header.replica == *name).collect())
            .collect();
        let mut bodies = Vec::new();
        for _ in 0..2 {
            let mut reader = Author::new("eu-west-1-b", 9);
            logs.reverse();
            // A segment needs what its author had applied, or removals come early: those the keyspace keeps.
            let mut next = [0; 3];
            while let Some(log) = (0..3).find(|log| {
                logs[*log].get(next[*log]).is_some_and(|draft| {
                    let own = draft.header.dot();
                    draft
                        .header
                        .frontier
                        .iter()
                        .all(|dot| dot == own || dot.replica == own.replica || reader.frontier.covers(dot))
                })
            }) {
                reader.apply(logs[log][next[log]]);
                next[log] += 1;
            }
            bodies.push((reader.frontier.clone(), encode_part(reader.objects.iter(), &roster()).unwrap()));
        }
        if bodies[0].0 != bodies[1].0 || bodies[0].0.is_empty() {
            return TestResult::discard();
        }
        assert_eq!(bodies[0].1.as_bytes(), bodies[1].1.as_bytes());
        TestResult::from_bool(bodies[0].1.content() == bodies[1].1.content())
    }
    QuickCheck::new().tests(100).quickcheck(property as fn(u64) -> TestResult);
}

#[test]
fn an_empty_part_is_a_part() {
    let body = encode_part(State::new().iter(), &roster()).unwrap();
    assert!(load(&read(&body)).is_empty());
}

#[test]
fn a_part_is_not_read_at_the_key_of_another_content() {
    let body = encode_part(State::new().iter(), &roster()).unwrap();
    let key = Keys::new("root").unwrap().part(&name_of("eu-west-1"), Position::FIRST, blake3::hash(b"other"));
    let object = body.to_object(&key, None).unwrap();
    assert!(matches!(decode_part(&object, &key, None), Err(DecodeError::Corrupt { .. })));
}

#[test]
fn a_changed_part_is_not_read() {
    fn property(seed: u64, at: usize, to: u8) -> TestResult {
        let author = history(seed, 60).1.swap_remove(0);
        let body = encode_part(author.objects.iter(), &roster()).unwrap();
        let key = key_of(&body);
        let mut object = body.to_object(&key, None).unwrap().to_vec();
        let at = at % object.len();
        if object[at] == to {
            return TestResult::discard();
        }
        object[at] = to;
        TestResult::from_bool(decode_part(&object.into(), &key, None).is_err())
    }
    QuickCheck::new().tests(1_000).quickcheck(property as fn(u64, usize, u8) -> TestResult);
}

fn frontier(random: &mut Random) -> Frontier {
    let count = number_below(random, 5);
    let replicas = NAMES[..count].iter().map(|name| name_of(name).id());
    replicas.map(|replica| Dot { replica, position: Position::from(number(random)) }).collect()
}

fn number_below(random: &mut Random, bound: u64) -> usize {
    random.below(bound) as usize
}

fn log(name: &str, random: &mut Random) -> LogState {
    let maybe = |random: &mut Random| random.chance(600_000).then(|| Position::from(number(random)));
    let lineage = (0..random.below(5)).map(|epoch| SealedEpoch {
        epoch: epoch as u32 * 1_000,
        slot: random.next() as u32,
        nonce: [random.next() as u8; 16],
    });
    LogState {
        replica: name_of(name),
        lineage: lineage.collect(),
        applied: maybe(random),
        hash: random.chance(500_000).then(|| blake3::hash(&random.next().to_le_bytes())),
        ack: frontier(random),
        last_change: maybe(random),
        evicted: random
            .chance(300_000)
            .then(|| Evicted { last: Position::from(number(random)), declared: frontier(random) }),
    }
}

fn early(random: &mut Random) -> Early {
    let (kind, element) = match random.below(3) {
        0 => (Kind::LwwRegister, None),
        1 => (Kind::MvRegister, None),
        _ => (Kind::OrSet, Some((0..random.below(9)).map(|_| random.next() as u8).collect())),
    };
    let key = ObjectKey::new(format!("p/{}", random.below(20)), kind).unwrap();
    let replica = name_of(NAMES[number_below(random, 4)]).id();
    Early { key, element, dot: Dot { replica, position: Position::from(number(random)) } }
}

fn manifest(seed: u64) -> Manifest {
    let random = &mut Random::new(seed);
    let mut logs: Vec<_> = NAMES.iter().map(|name| log(name, random)).collect();
    logs.sort_by_key(|log| log.replica.id());
    let position = Position::new(random.next() as u32, 5 + random.below(1_000) as u32);
    let mut early: Vec<_> = (0..random.below(30)).map(|_| early(random)).collect();
    early.sort();
    early.dedup();
    let part = |random: &mut Random| PartRef {
        written: Position::new(position.epoch(), random.below(6) as u32),
        content: blake3::hash(&random.next().to_le_bytes()),
        bytes: number(random),
        rows: number(random),
        dead: number(random),
    };
    Manifest {
        replica: name_of(NAMES[number_below(random, 4)]),
        position,
        nonce: [random.next() as u8; 16],
        wall_ms: random.next(),
        hlc: Timestamp::from(random.next()),
        logs,
        early,
        marks: marks(random),
        parts: (0..1 << random.below(5)).map(|_| part(random)).collect(),
    }
}

fn manifest_key(manifest: &Manifest) -> String {
    Keys::new("root").unwrap().manifest(&manifest.replica, manifest.position)
}

fn encode(manifest: &Manifest) -> Result<Bytes, EncodeError> {
    encode_manifest(manifest, &manifest_key(manifest), None)
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    fn property(seed: u64) -> bool {
        let manifest = manifest(seed);
        let object = encode(&manifest).unwrap();
        let found = decode_manifest(&object, &manifest_key(&manifest), None).unwrap();
        assert_eq!(found.manifest().frontier().len(), manifest.logs.iter().filter(|log| log.applied.is_some()).count());
        found.into_manifest() == manifest
    }
    QuickCheck::new().tests(500).quickcheck(property as fn(u64) -> bool);
}

#[test]
fn a_changed_manifest_is_not_read() {
    fn property(seed: u64, at: usize, to: u8) -> TestResult {
        let manifest = manifest(seed);
        let mut object = encode(&manifest).unwrap().to_vec();
        let at = at % object.len();
        if object[at] == to {
            return TestResult::discard();
        }
        object[at] = to;
        TestResult::from_bool(decode_manifest(&object.into(), &manifest_key(&manifest), None).is_err())
    }
    QuickCheck::new().tests(1_000).quickcheck(property as fn(u64, usize, u8) -> TestResult);
}

#[test]
fn a_manifest_that_breaks_a_rule_is_not_written() {
    let sound = manifest(1);
    assert!(encode(&sound).is_ok());
    let broken: [fn(&mut Manifest); 6] = [
        |manifest| manifest.parts.clear(),
        |manifest| manifest.parts = vec![manifest.parts[0]; 3],
        |manifest| manifest.parts[0].written = Position::new(manifest.position.epoch() ^ 1, 0),
        |manifest| manifest.parts[0].written = Position::new(manifest.position.epoch(), u32::MAX),
        |manifest| manifest.logs.reverse(),
        |manifest| manifest.replica = name_of("nobody"),
    ];
    for (number, break_it) in broken.iter().enumerate() {
        let mut manifest = sound.clone();
        break_it(&mut manifest);
        assert!(matches!(encode(&manifest), Err(EncodeError::Invalid { .. })), "{number}");
    }
}
