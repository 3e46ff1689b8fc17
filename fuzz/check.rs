//! What must hold for any bytes at all: reading them gives an error or a value, and a value is written back as the same
//! bytes. The fuzzer and an ordinary test both run it.

use std::collections::BTreeMap;

use blake3::Hasher;
use bytes::Bytes;
use crdt_core::{Object, Position};
use replica::{
    key::ObjectKey,
    log::{
        Keys, LogObject, PREFIX_BYTES, RowBody, TRAILER_BYTES, decode, decode_manifest, decode_part, encode_manifest,
        encode_part, encode_seal,
    },
    name::{ReplicaName, Roster},
};

/// Where the objects of the corpus stand.
pub(crate) const REPLICA: &str = "eu-west-1";
/// See [`REPLICA`].
pub(crate) const POSITION: Position = Position::new(1, 2);

/// The sorts of objects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sort {
    Log,
    Manifest,
    Part,
}

/// What `data` can be taken for: an object as it is, and one with lengths and trailer put right so that what is behind them
/// is reached too; each with the key at which it is read.
pub(crate) fn taken_for(data: &[u8]) -> Vec<(Sort, Bytes, String)> {
    let (name, keys) = (ReplicaName::new(REPLICA).expect("a name"), Keys::new("").expect("a root"));
    let (log, manifest) = (keys.log(&name, POSITION), keys.manifest(&name, POSITION));
    let as_it_is = Bytes::copy_from_slice(data);
    let (sort, mut taken) = match data.get(6) {
        Some(1 | 2) => (Sort::Log, vec![(as_it_is, log.clone())]),
        Some(3) => (Sort::Manifest, vec![(as_it_is, manifest.clone())]),
        _ => (Sort::Part, Vec::new()),
    };
    taken.extend(mend(data, |body| match sort {
        Sort::Log => log,
        Sort::Manifest => manifest,
        Sort::Part => keys.part(&name, POSITION, blake3::hash(body)),
    }));
    taken.into_iter().map(|(object, key)| (sort, object, key)).collect()
}

/// Takes `data` for whatever it can be taken for. Returns whether any of it was read.
///
/// # Panics
///
/// When something that was read is not written back as the same bytes.
pub(crate) fn check(data: &[u8]) -> bool {
    let read = taken_for(data).into_iter().map(|(sort, object, key)| match sort {
        Sort::Log => check_log(&object, &key),
        Sort::Manifest => check_manifest(&object, &key),
        Sort::Part => check_part(&object, &key),
    });
    read.filter(|was_read| *was_read).count() > 0
}

/// The same object with its lengths and its trailer right, and its key.
fn mend(data: &[u8], key: impl FnOnce(&[u8]) -> String) -> Option<(Bytes, String)> {
    let (prefix, rest) = data.split_first_chunk::<PREFIX_BYTES>()?;
    let rest = &rest[..rest.len().checked_sub(TRAILER_BYTES)?];
    let length = |at: usize| u32::from_le_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]]) as usize;
    let (control, stored) = rest.split_at(length(8).min(rest.len()));
    let mut object = prefix.to_vec();
    object[8..12].copy_from_slice(&(control.len() as u32).to_le_bytes());
    object[12..16].copy_from_slice(&(stored.len() as u32).to_le_bytes());
    if prefix[7] & 1 == 0 {
        object[16..20].copy_from_slice(&(stored.len() as u32).to_le_bytes());
    }
    object.extend_from_slice(control);
    object.extend_from_slice(stored);
    let key = key(stored);
    let trailer = Hasher::new().update(&object).update(key.as_bytes()).finalize();
    object.extend_from_slice(trailer.as_bytes());
    Some((object.into(), key))
}

fn roster<'a>(names: impl IntoIterator<Item = &'a ReplicaName>) -> Roster {
    let mut roster = Roster::default();
    for name in names {
        roster.insert(name.clone()).expect("a dictionary has no two names of one id");
    }
    roster
}

/// The control record and the uncompressed body.
fn inside(object: &Bytes) -> (&[u8], Option<&[u8]>) {
    let length = |at: usize| u32::from_le_bytes([object[at], object[at + 1], object[at + 2], object[at + 3]]) as usize;
    let (from, to) = (PREFIX_BYTES + length(8), object.len() - TRAILER_BYTES);
    (&object[PREFIX_BYTES..from], (object[7] & 1 == 0).then_some(&object[from..to]))
}

/// Written again it may be compressed, where it was not: then only the control records are compared.
fn same(left: &Bytes, right: &Bytes) {
    let ((left_control, left_body), (right_control, right_body)) = (inside(left), inside(right));
    assert_eq!(left_control, right_control);
    if let (Some(left), Some(right)) = (left_body, right_body) {
        assert_eq!(left, right);
    }
}

fn check_log(object: &Bytes, key: &str) -> bool {
    match decode(object, key, None) {
        Ok(LogObject::Seal(found)) => {
            let again = encode_seal(found.seal(), &roster(found.names()), key, None);
            same(&again.expect("what was read can be written"), object);
            true
        }
        Ok(LogObject::Segment(segment)) => {
            let (mut rows, mut count, mut content) = (segment.rows(), 0, 0);
            while let Some(row) = rows.next() {
                count += 1;
                content += row.path.len();
                match row.body {
                    RowBody::Counter(tallies) => assert!(!tallies.is_empty()),
                    RowBody::Register { written, .. } => content += written.map_or(0, |write| write.value.len()),
                    RowBody::Set(mut edits) => {
                        while let Some(edit) = edits.next() {
                            assert!(edit.added || !edit.removed.is_empty());
                            content += edit.element.len();
                        }
                    }
                }
            }
            assert_eq!((count, content as u64), (segment.row_count(), segment.content_bytes()));
            true
        }
        Err(_) => false,
    }
}

fn check_manifest(object: &Bytes, key: &str) -> bool {
    let Ok(found) = decode_manifest(object, key, None) else { return false };
    same(&encode_manifest(found.manifest(), key, None).expect("what was read can be written"), object);
    true
}

fn check_part(object: &Bytes, key: &str) -> bool {
    let Ok(part) = decode_part(object, key, None) else { return false };
    let mut state = BTreeMap::<ObjectKey, Object>::new();
    for mut rows in [part.live(), part.dead()] {
        while let Some(row) = rows.next() {
            let key = ObjectKey::new(row.path, row.kind).expect("a path");
            let loaded = state.entry(key).or_insert_with(|| Object::new(row.kind, Default::default()));
            row.load(loaded).expect("the same kind");
        }
    }
    let again = encode_part(state.iter(), &roster(part.names())).expect("what was read can be written");
    if let (_, Some(body)) = inside(object) {
        assert_eq!(again.as_bytes(), body);
    }
    true
}
