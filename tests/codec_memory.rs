//! Reading takes little memory, whatever the bytes say: lengths are believed only as far as there are bytes for them.
//!
//! What the compressor takes for itself is not counted here: it is not Rust's allocator that gives it, and it does not depend
//! on the object.

#[path = "../fuzz/check.rs"]
mod check;

use bytes::Bytes;
use check::{POSITION, REPLICA, Sort, check, taken_for};
use crdt_core::{Frontier, Timestamp};
use peak_alloc::PeakAlloc;
use replica::{
    log::{
        Keys, LogObject, LogState, Manifest, PartRef, RowBody, decode, decode_manifest, decode_part, encode_manifest,
    },
    name::ReplicaName,
};
use sim::Random;
use tests::corpus::{corpus, mutate};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// How much memory may be taken while this many bytes are read.
///
/// A list of a short control record may ask for 64 KiB before its elements are there, and a body may expand to as much; a list
/// of a long record may ask for 128 times the record, and a body may expand 64 times. What was read of either is small beside.
const fn limit(bytes: usize) -> usize {
    (144 << 10) + 144 * bytes
}

/// Reads an object to its last row.
fn read(sort: Sort, object: &Bytes, key: &str) -> bool {
    match sort {
        Sort::Log => match decode(object, key, None) {
            Ok(LogObject::Segment(segment)) => {
                let mut rows = segment.rows();
                while let Some(row) = rows.next() {
                    if let RowBody::Set(mut edits) = row.body {
                        while edits.next().is_some() {}
                    }
                }
                true
            }
            read => read.is_ok(),
        },
        Sort::Manifest => decode_manifest(object, key, None).is_ok(),
        Sort::Part => decode_part(object, key, None).is_ok_and(|part| {
            for mut rows in [part.live(), part.dead()] {
                while rows.next().is_some() {}
            }
            true
        }),
    }
}

/// The most memory that was taken beyond what was in use, and whether anything was read.
#[track_caller]
fn measure(data: &[u8]) -> (usize, bool) {
    let (mut worst, mut was_read) = (0, false);
    for (sort, object, key) in taken_for(data) {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        was_read |= read(sort, &object, &key);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        let limit = limit(object.len());
        assert!(taken <= limit, "{taken} bytes of memory for {} of {sort:?}, at most {limit}", object.len());
        worst = worst.max(taken);
    }
    (worst, was_read)
}

/// A manifest with so many parts.
fn manifest(parts: u64) -> Vec<u8> {
    let name = ReplicaName::new(REPLICA).expect("a name");
    let part = |number: u64| PartRef {
        written: POSITION,
        content: blake3::hash(&number.to_le_bytes()),
        bytes: 4 << 20,
        rows: number,
        dead: 0,
    };
    let log = LogState {
        replica: name.clone(),
        applied: Some(POSITION),
        hash: None,
        lineage: Vec::new(),
        ack: Frontier::default(),
        last_change: None,
        evicted: None,
    };
    let manifest = Manifest {
        replica: name.clone(),
        position: POSITION,
        nonce: [7; 16],
        wall_ms: 0,
        hlc: Timestamp::from(0),
        logs: vec![log],
        early: Vec::new(),
        marks: Vec::new(),
        parts: (0..parts).map(part).collect(),
    };
    let key = Keys::new("").expect("a root").manifest(&name, POSITION);
    encode_manifest(&manifest, &key, None).expect("a manifest").to_vec()
}

/// One test, so that nobody else allocates meanwhile.
#[test]
fn whatever_is_read_takes_memory_in_proportion_to_its_size() {
    let corpus = corpus(REPLICA, POSITION);
    let mut random = Random::new(2_027);
    let (mut worst, mut read) = (0, 0);
    for number in 0..300_000 {
        let mut object = corpus[number % corpus.len()].clone();
        mutate(&mut object, &mut random);
        let (taken, was_read) = measure(&object);
        (worst, read) = (worst.max(taken), read + u32::from(was_read));
    }
    println!("at most {worst} bytes of memory; read all the same: {read}");
    assert!(read > 3_000, "the mutations do not reach what is behind the trailer: {read}");

    // Lengths of any size in the place of every length that there is.
    let long = [8, 128, 2_048, 16_384].map(manifest);
    for object in corpus.iter().chain(&long) {
        // In a long one they all stand at the beginning.
        let end = if object.len() > 4_096 { 160 } else { object.len() - 4 };
        for at in 0..end {
            for length in [u32::MAX, 1 << 24, 1 << 20, 1 << 16, 1 << 12] {
                let mut object = object.clone();
                object[at..at + 4].copy_from_slice(&length.to_le_bytes());
                measure(&object);
            }
        }
    }

    for length in 0..20_000 {
        let mut bytes: Vec<u8> = (0..length % 1_000).map(|_| random.next() as u8).collect();
        measure(&bytes);
        // The same behind a prefix that is right.
        let prefix = [0x89, b'A', b'P', b'L', 1, 0, 1 + (length % 4) as u8, 0];
        let count = prefix.len().min(bytes.len());
        bytes[..count].copy_from_slice(&prefix[..count]);
        measure(&bytes);
        check(&bytes);
    }
}
