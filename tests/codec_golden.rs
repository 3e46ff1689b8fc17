//! The bytes of the released format, kept for ever: what was written once is read, and written again the same.
//!
//! `ARCHIPELAGO_WRITE_GOLDEN=1` writes the files that are missing. A file that is there never changes.
#![expect(clippy::unwrap_used, reason = "what the helpers make is sound")]

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use bytes::Bytes;
use crdt_core::{
    CounterChanges, Dot, DotSource, Frontier, Kind, Object, ObjectChanges, Position, Tally, TallyParts, Timestamp,
};
use replica::{
    key::ObjectKey,
    keyspace::{Mark, MarkValue},
    log::{
        Early, Evicted, Eviction, Keys, LogHeader, LogObject, LogState, MacKey, Manifest, PartBody, PartRef, Seal,
        SealedEpoch, decode, decode_manifest, decode_part, encode_manifest, encode_part, encode_seal, encode_segment,
    },
};
use tests::codec::{name_of, object, roster, said_by_changes, said_by_row};

const EU: &str = "eu-west-1";
const US: &str = "us-east-1";
const POSITION: Position = Position::new(1, 2);

fn keys() -> Keys {
    Keys::new("").unwrap()
}

fn dot(name: &str, epoch: u32, slot: u32) -> Dot {
    Dot { replica: name_of(name).id(), position: Position::new(epoch, slot) }
}

fn header() -> LogHeader {
    LogHeader {
        replica: name_of(EU),
        position: POSITION,
        nonce: *b"0123456789abcdef",
        previous: Some(blake3::hash(b"the object before")),
        wall_ms: 1_795_392_000_123,
        hlc: Timestamp::new(1_795_392_000_123, 4),
        frontier: Frontier::from_iter([dot(EU, 1, 2), dot(US, 7, 40)]),
        ack: Frontier::from_iter([dot(US, 7, 33)]),
    }
}

/// Owner, birth, last, totals and baselines.
type Totals = (&'static str, [u32; 2], [u32; 2], [u64; 4]);

fn counter(tallies: &[Totals]) -> ObjectChanges {
    let mut changes = CounterChanges::default();
    for (name, birth, last, [p, n, bp, bn]) in tallies {
        let [birth, last] = [birth, last].map(|[epoch, slot]| Position::new(*epoch, *slot));
        let parts = TallyParts { replica: name_of(name).id(), birth, last, p: *p, n: *n, bp: *bp, bn: *bn };
        changes.record(Tally::try_from(parts).unwrap());
    }
    ObjectChanges::Counter(changes)
}

/// The source whose open dot this is.
fn source(at: Dot) -> DotSource {
    let source = DotSource::new(at.replica, at.position.epoch());
    for _ in 0..at.position.slot() {
        source.cut();
    }
    source
}

/// A register that was written at `then`, if at all, and by us at `now`.
fn register(kind: Kind, then: Option<Dot>, now: Option<&[u8]>) -> ObjectChanges {
    let (mut state, mut changes) = (object(kind), ObjectChanges::none(kind));
    let own = source(dot(EU, 1, 2));
    let set = |state: &mut Object, changes: &mut ObjectChanges, source: &DotSource, value: &[u8]| {
        let at = Timestamp::new(1_795_392_000_100, 1);
        match (state, changes) {
            (Object::LwwRegister(state), ObjectChanges::Register(changes)) => {
                state.set(value.into(), at, source.open(), changes);
            }
            (Object::MvRegister(state), ObjectChanges::Register(changes)) => {
                state.set(value.into(), at, source.open(), changes);
            }
            _ => unreachable!("a register"),
        }
    };
    if let Some(then) = then {
        set(&mut state, &mut ObjectChanges::none(kind), &source(then), b"before");
    }
    match now {
        Some(value) => set(&mut state, &mut changes, &own, value),
        None => state.delete(own.open(), &mut changes).unwrap(),
    }
    changes
}

/// A set in which `before` was there, `removed` goes and `added` comes.
fn set(before: &[(&[u8], Dot)], removed: &[&[u8]], added: &[&[u8]]) -> ObjectChanges {
    let (mut state, mut changes) = (object(Kind::OrSet), ObjectChanges::none(Kind::OrSet));
    let own = source(dot(EU, 1, 2));
    if let (Object::OrSet(state), ObjectChanges::Set(changes)) = (&mut state, &mut changes) {
        for (element, at) in before {
            state.add((*element).into(), source(*at).open(), &mut Default::default());
        }
        for element in removed {
            state.remove(*element, own.open(), changes);
        }
        for element in added {
            state.add((*element).into(), own.open(), changes);
        }
    }
    changes
}

fn key(path: &str, kind: Kind) -> ObjectKey {
    ObjectKey::new(path, kind).unwrap()
}

fn small_rows() -> BTreeMap<ObjectKey, ObjectChanges> {
    BTreeMap::from([
        (key("likes/1", Kind::PnCounter), counter(&[(EU, [1, 2], [1, 2], [5, 0, 0, 0])])),
        (key("likes/2", Kind::PnCounter), counter(&[(US, [7, 38], [7, 40], [9, 1, 9, 1])])),
        (key("name", Kind::LwwRegister), register(Kind::LwwRegister, None, Some(b"Ada"))),
        (key("tags", Kind::OrSet), set(&[(b"mug", dot(US, 7, 39))], &[b"mug"], &[b"lamp"])),
    ])
}

fn rows() -> BTreeMap<ObjectKey, ObjectChanges> {
    let mut rows = small_rows();
    let all = [(EU, [1, 0], [1, 2], [1 << 40, 3, 7, 0]), (US, [6, 1], [7, 3], [u64::MAX, 0, 5, 0])];
    rows.insert(key("likes/2", Kind::GCounter), counter(&[(EU, [0, 9], [1, 2], [300, 0, 100, 0])]));
    rows.insert(key("likes/gr\u{f6}\u{df}e", Kind::PnCounter), counter(&all));
    rows.insert(key("likes/gr\u{f6}\u{df}er", Kind::PnCounter), counter(&all[..1]));
    rows.insert(key("name", Kind::MvRegister), register(Kind::MvRegister, Some(dot(US, 9, 1)), Some(&[0; 200])));
    rows.insert(key("old", Kind::LwwRegister), register(Kind::LwwRegister, Some(dot(EU, 0, 77)), None));
    let many: Vec<Vec<u8>> = (0..40).map(|number| format!("element {number:02}").into_bytes()).collect();
    rows.insert(key("many", Kind::OrSet), set(&[], &[], &many.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    rows
}

fn marks() -> Vec<Mark> {
    let mark = |name: &[u8], value, millis| Mark { name: name.into(), value, time: Timestamp::new(millis, 3) };
    vec![mark(b"request/77", MarkValue::Hash([9; 32]), 5), mark(b"topic/0", MarkValue::Number(1 << 33), 1 << 41)]
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// The bytes of the golden file, which are those of `object` unless a compressor had a say in them.
fn kept(name: &str, object: &Bytes) -> Bytes {
    let path = golden(name);
    if !path.exists() && env::var_os("ARCHIPELAGO_WRITE_GOLDEN").is_some() {
        fs::write(&path, object).unwrap();
    }
    let kept = Bytes::from(fs::read(&path).expect("a golden file is missing; ARCHIPELAGO_WRITE_GOLDEN=1 writes it"));
    let compressed = kept[7] & 1 == 1;
    assert!(compressed || kept == *object, "the format has changed: {name}");
    kept
}

fn check_segment(
    name: &str,
    rows: &BTreeMap<ObjectKey, ObjectChanges>,
    evictions: &[Eviction],
    marks: &[Mark],
    mac: Option<&MacKey>,
) {
    let (header, at) = (header(), keys().log(&name_of(EU), POSITION));
    let object = encode_segment(&header, &roster(), rows.iter(), evictions, marks, &at, mac).unwrap();
    let LogObject::Segment(segment) = decode(&kept(name, &object), &at, mac).unwrap() else { panic!("not a segment") };
    assert_eq!((segment.header(), segment.evictions(), segment.marks()), (&header, evictions, marks));
    let mut found = segment.rows();
    for (key, changes) in rows {
        let row = found.next().unwrap();
        assert_eq!((row.path, row.kind), (key.path(), key.kind()));
        assert_eq!(said_by_row(row), said_by_changes(changes));
    }
    assert!(found.next().is_none());
}

#[test]
fn segments_are_read_for_ever() {
    let evictions = [Eviction { replica: name_of("ap-southeast-1"), last: Position::new(3, 1 << 20) }];
    let mac = MacKey::new(*b"a secret of all the replicas, 32");
    check_segment("segment-small.bin", &small_rows(), &[], &[], None);
    check_segment("segment-zstd.bin", &rows(), &evictions, &marks(), None);
    check_segment("segment-keyed.bin", &small_rows(), &evictions, &marks(), Some(&mac));
    check_segment("segment-empty.bin", &BTreeMap::new(), &[], &[], None);
}

#[test]
fn seals_are_read_for_ever() {
    let sealed = SealedEpoch { epoch: 0, slot: 12, nonce: *b"fedcba9876543210" };
    let at = keys().log(&name_of(EU), POSITION);
    for (name, next_epoch) in [("seal.bin", Some(1_795_392_000)), ("seal-final.bin", None)] {
        let seal = Seal { header: header(), next_epoch, lineage: vec![sealed] };
        let object = encode_seal(&seal, &roster(), &at, None).unwrap();
        let LogObject::Seal(found) = decode(&kept(name, &object), &at, None).unwrap() else { panic!("not a seal") };
        assert_eq!(*found.seal(), seal);
    }
}

/// The objects that the rows make of an empty keyspace, and one with all that an object can have.
fn state() -> BTreeMap<ObjectKey, Object> {
    let mut state = BTreeMap::new();
    for (key, changes) in rows() {
        let mut fresh = object(key.kind());
        fresh.merge_changes(&Frontier::default(), &changes).unwrap();
        if !fresh.is_empty() {
            state.insert(key, fresh);
        }
    }
    let conflict = key("name", Kind::MvRegister);
    let theirs = ObjectChanges::none(Kind::MvRegister);
    if let (Some(Object::MvRegister(register)), ObjectChanges::Register(_)) = (state.get_mut(&conflict), &theirs) {
        let (mut other, peer) = (object(Kind::MvRegister), source(dot(US, 7, 11)));
        if let Object::MvRegister(other) = &mut other {
            other.set(b"theirs"[..].into(), Timestamp::new(5, 0), peer.open(), &mut Default::default());
            register.merge_edit(&Frontier::default(), &[register.writes(), other.writes()].concat(), &[]);
        }
    }
    state
}

fn part() -> PartBody {
    encode_part(state().iter(), &roster()).unwrap()
}

#[test]
fn parts_are_read_for_ever() {
    for (name, body, state) in [
        ("part-zstd.bin", part(), state()),
        (
            "part-empty.bin",
            encode_part(BTreeMap::<ObjectKey, Object>::new().iter(), &roster()).unwrap(),
            BTreeMap::new(),
        ),
    ] {
        let at = keys().part(&name_of(EU), POSITION, body.content());
        let kept = kept(name, &body.to_object(&at, None).unwrap());
        let part = decode_part(&kept, &at, None).unwrap();
        let mut loaded = BTreeMap::new();
        for mut rows in [part.live(), part.dead()] {
            while let Some(row) = rows.next() {
                let key = key(row.path, row.kind);
                row.load(loaded.entry(key).or_insert_with_key(|key| object(key.kind()))).unwrap();
            }
        }
        assert_eq!(loaded, state);
    }
}

#[test]
fn manifests_are_read_for_ever() {
    let log = |name: &str, applied: Position| LogState {
        replica: name_of(name),
        applied: Some(applied),
        hash: Some(blake3::hash(name.as_bytes())),
        lineage: vec![SealedEpoch { epoch: 0, slot: 12, nonce: *b"fedcba9876543210" }],
        ack: Frontier::from_iter([dot(EU, 1, 1), dot(US, 7, 30)]),
        last_change: Some(Position::new(1, 1)),
        evicted: None,
    };
    let gone = LogState {
        applied: None,
        hash: None,
        lineage: Vec::new(),
        ack: Frontier::default(),
        last_change: None,
        evicted: Some(Evicted { last: Position::new(3, 9), declared: Frontier::from_iter([dot(US, 7, 12)]) }),
        ..log("ap-southeast-1", POSITION)
    };
    let mut logs = vec![log(EU, POSITION), log(US, Position::new(7, 40)), gone];
    logs.sort_by_key(|log| log.replica.id());
    let manifest = Manifest {
        replica: name_of(EU),
        position: POSITION,
        nonce: *b"0123456789abcdef",
        wall_ms: 1_795_392_000_123,
        hlc: Timestamp::new(1_795_392_000_123, 4),
        logs,
        early: vec![
            Early { key: key("name", Kind::LwwRegister), element: None, dot: dot(US, 7, 41) },
            Early { key: key("tags", Kind::OrSet), element: Some(b"mug"[..].into()), dot: dot(US, 8, 0) },
        ],
        marks: marks(),
        parts: [0, 2]
            .map(|slot| PartRef {
                written: Position::new(1, slot),
                content: part().content(),
                bytes: 777,
                rows: 9,
                dead: 1,
            })
            .to_vec(),
    };
    let small = Manifest { marks: Vec::new(), ..manifest.clone() };
    for (name, manifest) in [("manifest-zstd.bin", manifest), ("manifest-small.bin", small)] {
        let at = keys().manifest(&name_of(EU), POSITION);
        let object = encode_manifest(&manifest, &at, None).unwrap();
        let found = decode_manifest(&kept(name, &object), &at, None).unwrap();
        assert_eq!(*found.manifest(), manifest);
    }
}

/// The example in `docs/format.md`: its lines are bytes in hexadecimal, then what they are.
#[test]
fn the_example_in_the_format_is_the_small_segment() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let page = fs::read_to_string(path).unwrap();
    let example = page.split("```hex\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let mut bytes = Vec::new();
    for line in example.lines() {
        let digits = line.split("  ").next().unwrap_or_default();
        for pair in digits.split_whitespace() {
            bytes.push(u8::from_str_radix(pair, 16).unwrap());
        }
    }
    assert_eq!(bytes, fs::read(golden("segment-small.bin")).unwrap());
}
