//! Segments as bytes: what is written is read, in little room, and nothing else is read.
#![expect(clippy::unwrap_used, reason = "what the helpers make is sound")]

use std::collections::BTreeMap;

use bytes::Bytes;
use crdt_core::{
    CounterChanges, DotSource, Frontier, Kind, Object, ObjectChanges, Position, Tally, TallyParts, Timestamp,
};
use quickcheck::{QuickCheck, TestResult};
use replica::{
    key::{ObjectKey, SEGMENT_BYTES_MAX},
    log::{DecodeError, EncodeError, Keys, LogHeader, LogObject, MacKey, Segment, decode, encode_segment},
};
use sim::Random;
use tests::codec::{Author, Draft, history, name_of, object, roster, said_by_changes, said_by_row};

fn segment(object: &Bytes, key: &str) -> Segment {
    match decode(object, key, None) {
        Ok(LogObject::Segment(segment)) => segment,
        other => panic!("not a segment: {other:?}"),
    }
}

fn check(draft: &Draft) {
    let object = draft.encode(&roster());
    let segment = segment(&object, &draft.key);
    assert_eq!(*segment.header(), draft.header);
    assert_eq!(segment.evictions(), draft.evictions);
    assert_eq!(segment.marks(), draft.marks);
    assert_eq!(segment.row_count(), draft.rows.len() as u64);
    let mut rows = segment.rows();
    for (key, changes) in &draft.rows {
        let row = rows.next().expect("as many rows as were written");
        assert_eq!((row.path, row.kind), (key.path(), key.kind()));
        assert_eq!(said_by_row(row), said_by_changes(changes), "{key}");
    }
    assert!(rows.next().is_none());
    // What nobody reads of a row is skipped.
    let mut rows = segment.rows();
    for key in draft.rows.keys() {
        assert_eq!(rows.next().map(|row| row.path.to_owned()), Some(key.path().to_string()));
    }
    assert!(rows.next().is_none());
}

#[test]
fn every_segment_of_a_random_history_is_read_as_it_was_written() {
    fn property(seed: u64, steps: u8) {
        let (drafts, _) = history(seed, 40 + u64::from(steps) * 4);
        drafts.iter().for_each(check);
    }
    QuickCheck::new().tests(300).quickcheck(property as fn(u64, u8));
}

#[test]
fn applying_a_row_is_merging_the_changes_it_was_made_of() {
    fn property(seed: u64) {
        let (drafts, _) = history(seed, 400);
        let mut merged = Author::new("eu-west-1-b", 0);
        let mut applied = BTreeMap::<ObjectKey, Object>::new();
        for draft in &drafts {
            let segment = segment(&draft.encode(&roster()), &draft.key);
            let mut rows = segment.rows();
            while let Some(row) = rows.next() {
                let key = ObjectKey::new(row.path, row.kind).expect("a path");
                let state = applied.entry(key).or_insert_with(|| object(row.kind));
                row.apply(state, &merged.frontier).expect("the same kind");
            }
            applied.retain(|_, object| !object.is_empty());
            merged.apply(draft);
            assert_eq!(applied, merged.objects);
        }
    }
    QuickCheck::new().tests(60).quickcheck(property as fn(u64));
}

#[test]
fn equal_segments_are_equal_bytes() {
    let (left, right) = (history(7, 600).0, history(7, 600).0);
    assert!(left.len() > 20);
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left.encode(&roster()), right.encode(&roster()));
    }
}

#[test]
fn a_changed_object_is_not_read() {
    fn property(seed: u64, at: usize, to: u8) -> TestResult {
        let (drafts, _) = history(seed, 60);
        let Some(draft) = drafts.first() else { return TestResult::discard() };
        let mut object = draft.encode(&roster()).to_vec();
        let at = at % object.len();
        if object[at] == to {
            return TestResult::discard();
        }
        object[at] = to;
        TestResult::from_bool(decode(&object.into(), &draft.key, None).is_err())
    }
    QuickCheck::new().tests(2_000).quickcheck(property as fn(u64, usize, u8) -> TestResult);
}

#[test]
fn an_object_at_another_key_or_of_another_secret_is_not_read() {
    let draft = &history(3, 200).0[0];
    let (ours, theirs) = (MacKey::new([1; 32]), MacKey::new([2; 32]));
    let Draft { header, rows, evictions, marks, key } = draft;
    let object = encode_segment(header, &roster(), rows.iter(), evictions, marks, key, Some(&ours)).unwrap();
    assert!(decode(&object, key, Some(&ours)).is_ok());
    assert!(decode(&object, key, Some(&theirs)).is_err());
    assert!(decode(&object, key, None).is_err());
    assert!(decode(&object, &key.replace("root", "toor"), Some(&ours)).is_err());
}

/// An empty segment at slot 0 of epoch 1.
fn empty() -> Draft {
    Author::new("eu-west-1", 1).cut(&mut Random::new(1))
}

#[test]
fn an_empty_segment_is_a_segment() {
    let mut draft = empty();
    (draft.evictions, draft.marks) = (Vec::new(), Vec::new());
    check(&draft);
    assert!(segment(&draft.encode(&roster()), &draft.key).is_empty());
}

#[test]
fn what_breaks_a_rule_is_not_written() {
    let draft = empty();
    let own = draft.header.dot();
    let encode = |rows: &[(ObjectKey, ObjectChanges)]| {
        let rows = rows.iter().map(|(key, changes)| (key, changes));
        encode_segment(&draft.header, &roster(), rows, &[], &[], &draft.key, None)
    };
    let key = |path: &str, kind| ObjectKey::new(path, kind).unwrap();
    let counter = |replica: &str, last: Position, n: u64| {
        let replica = name_of(replica).id();
        let parts = TallyParts { replica, birth: Position::FIRST, last, p: 1, n, bp: 0, bn: 0 };
        let mut changes = CounterChanges::default();
        changes.record(Tally::try_from(parts).unwrap());
        ObjectChanges::Counter(changes)
    };
    let sound = counter("eu-west-1", own.position, 0);
    assert!(encode(&[(key("a", Kind::GCounter), sound.clone()), (key("a", Kind::PnCounter), sound.clone())]).is_ok());
    let refused = [
        vec![(key("b", Kind::GCounter), sound.clone()), (key("a", Kind::GCounter), sound.clone())],
        vec![(key("a", Kind::GCounter), sound.clone()), (key("a", Kind::GCounter), sound.clone())],
        vec![(key("a", Kind::OrSet), sound)],
        vec![(key("a", Kind::GCounter), counter("eu-west-1", own.position, 1))],
        vec![(key("a", Kind::PnCounter), counter("eu-west-1", own.position.next().unwrap(), 1))],
        vec![(key("a", Kind::PnCounter), counter("nobody-knows", own.position, 1))],
    ];
    for rows in refused {
        assert!(matches!(encode(&rows), Err(EncodeError::Invalid { .. })), "{rows:?}");
    }
}

#[test]
fn what_is_added_under_another_dot_is_not_written() {
    let draft = empty();
    let (other, mut state) = (DotSource::new(name_of("us-east-1").id(), 0), object(Kind::OrSet));
    let mut changes = ObjectChanges::none(Kind::OrSet);
    if let (Object::OrSet(set), ObjectChanges::Set(changes)) = (&mut state, &mut changes) {
        set.add(b"x"[..].into(), other.open(), changes);
    }
    let key = ObjectKey::new("a", Kind::OrSet).unwrap();
    let rows = [(&key, &changes)];
    let encoded = encode_segment(&draft.header, &roster(), rows.into_iter(), &[], &[], &draft.key, None);
    assert!(matches!(encoded, Err(EncodeError::Invalid { .. })));
}

#[test]
fn a_value_or_a_segment_beyond_its_limit_is_not_written() {
    let draft = empty();
    let source = DotSource::new(draft.header.replica.id(), 1);
    let mut random = Random::new(5);
    let register = |length: usize, random: &mut Random| {
        let mut state = object(Kind::LwwRegister);
        let mut changes = ObjectChanges::none(Kind::LwwRegister);
        let value: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        if let (Object::LwwRegister(register), ObjectChanges::Register(changes)) = (&mut state, &mut changes) {
            register.set(value.into(), Timestamp::new(1, 0), source.open(), changes);
        }
        changes
    };
    let encode = |rows: &BTreeMap<ObjectKey, ObjectChanges>| {
        encode_segment(&draft.header, &roster(), rows.iter(), &[], &[], &draft.key, None)
    };
    let key = |n: u32| ObjectKey::new(format!("r/{n:03}"), Kind::LwwRegister).unwrap();
    let one = BTreeMap::from([(key(0), register((1 << 20) + 1, &mut random))]);
    assert!(matches!(encode(&one), Err(EncodeError::TooLarge { .. })));
    let whole = register(1 << 20, &mut random);
    let fits: BTreeMap<_, _> = (0..15).map(|n| (key(n), whole.clone())).collect();
    assert!(encode(&fits).is_ok_and(|object| object.len() <= SEGMENT_BYTES_MAX));
    let beyond: BTreeMap<_, _> = (0..17).map(|n| (key(n), whole.clone())).collect();
    assert!(matches!(encode(&beyond), Err(EncodeError::TooLarge { .. })));
}

#[test]
fn a_newer_format_is_unsupported_and_not_corrupt() {
    let draft = empty();
    let mut object = draft.encode(&roster()).to_vec();
    object[4] = 2;
    let decoded = decode(&object.into(), &draft.key, None);
    assert_eq!(decoded.err(), Some(DecodeError::Unsupported { what: "version", found: 2 }));
}

/// 10,000 rows, 38-byte paths, one dot each: 70 % counters, 10 % registers, 15 % sets, 5 % removals.
fn bench_draft() -> Draft {
    let mut random = Random::new(42);
    let peer = DotSource::new(name_of("us-east-1").id(), 1_795_000_000);
    (0..900).for_each(|_| {
        peer.cut();
    });
    let own = DotSource::new(name_of("eu-west-1").id(), 1_795_300_000);
    (0..5_000).for_each(|_| {
        own.cut();
    });
    let open = own.open().dot();
    let now = 1_795_392_000_000;
    let mut rows = BTreeMap::new();
    while rows.len() < 10_000 {
        let path = format!("board/daily/2026-11-22/player/{:08x}", random.next() as u32);
        let share = random.below(100);
        let (kind, changes) = if share < 70 {
            let mut changes = CounterChanges::default();
            let birth = Position::new(open.position.epoch(), random.below(5_000) as u32);
            let (p, n) = (random.below(5_000), if random.chance(100_000) { random.below(100) } else { 0 });
            let parts = TallyParts { replica: open.replica, birth, last: open.position, p, n, bp: 0, bn: 0 };
            changes.record(Tally::try_from(parts).unwrap());
            (Kind::PnCounter, ObjectChanges::Counter(changes))
        } else if share < 80 {
            let mut state = object(Kind::LwwRegister);
            let mut changes = ObjectChanges::none(Kind::LwwRegister);
            if let (Object::LwwRegister(register), ObjectChanges::Register(changes)) = (&mut state, &mut changes) {
                let when = Timestamp::new(now - random.below(1_000), random.below(4) as u16);
                register.set(random.next().to_le_bytes()[..].into(), when, own.open(), changes);
            }
            (Kind::LwwRegister, changes)
        } else {
            let mut state = object(Kind::OrSet);
            let mut changes = ObjectChanges::none(Kind::OrSet);
            if let (Object::OrSet(set), ObjectChanges::Set(changes)) = (&mut state, &mut changes) {
                let element: crdt_core::Bytes = random.next().to_le_bytes()[..].into();
                if share < 95 {
                    set.add(element, own.open(), changes);
                } else {
                    // Added by the peer some time ago.
                    let then = DotSource::new(name_of("us-east-1").id(), 1_795_000_000);
                    (0..random.below(900)).for_each(|_| {
                        then.cut();
                    });
                    set.add(element.clone(), then.open(), &mut Default::default());
                    set.remove(&*element, own.open(), changes);
                }
            }
            (Kind::OrSet, changes)
        };
        rows.insert(ObjectKey::new(path, kind).unwrap(), changes);
    }
    let header = LogHeader {
        replica: name_of("eu-west-1"),
        position: open.position,
        nonce: [7; 16],
        previous: Some(blake3::hash(b"previous")),
        wall_ms: now,
        hlc: Timestamp::new(now, 5),
        frontier: Frontier::from_iter([open, peer.open().dot()]),
        ack: Frontier::default(),
    };
    let key = Keys::new("").unwrap().log(&header.replica, header.position);
    Draft { header, rows, evictions: Vec::new(), marks: Vec::new(), key }
}

#[test]
fn a_row_takes_at_most_30_bytes_and_16_compressed() {
    let draft = bench_draft();
    check(&draft);
    let object = draft.encode(&roster());
    let raw = u32::from_le_bytes(object[16..20].try_into().unwrap()) as usize;
    let (raw, stored) = (raw as f64 / 10_000.0, object.len() as f64 / 10_000.0);
    println!("bytes per row: {raw:.2} raw, {stored:.2} with zstd, header and trailer included");
    assert!(raw <= 30.0 && stored <= 16.0, "{raw} {stored}");
}
