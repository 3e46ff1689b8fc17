//! A million mutations of the golden objects, and of objects of random histories: none makes the decoder panic, and what
//! is read all the same is written back as the same bytes.
#![expect(clippy::unwrap_used, reason = "what the helpers make is sound")]

#[path = "../fuzz/check.rs"]
mod check;

use std::{fs, path::Path};

use bytes::Bytes;
use check::{POSITION, REPLICA, check};
use replica::log::Keys;
use tests::{
    codec::{Author, roster},
    random::Random,
};

/// The golden objects, and segments with a bit of everything, moved to the key that the check looks at.
fn corpus() -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut paths: Vec<_> = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    corpus.extend((0..40).map(|seed| segment(seed).to_vec()));
    corpus
}

/// A small segment at [`POSITION`], cut after something of a peer's was applied.
fn segment(seed: u64) -> Bytes {
    let random = &mut Random::new(seed);
    let (mut own, mut peer) = (Author::new(REPLICA, POSITION.epoch()), Author::new("us-east-1", 7));
    for _ in 0..POSITION.slot() {
        own.cut(random);
    }
    (0..15).for_each(|_| peer.act(random));
    own.apply(&peer.cut(random));
    (0..10).for_each(|_| own.act(random));
    let mut draft = own.cut(random);
    draft.key = Keys::new("").unwrap().log(&draft.header.replica, POSITION);
    draft.encode(&roster())
}

fn mutate(object: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(object.len() as u64) as usize;
        match random.below(6) {
            0 => object[at] ^= 1 << random.below(8),
            1 => object[at] = random.next() as u8,
            2 => object[at] = object[at].wrapping_add(1),
            3 => object.insert(at, random.next() as u8),
            4 if object.len() > 60 => drop(object.remove(at)),
            _ => {
                let other = random.below(object.len() as u64) as usize;
                object.swap(at, other);
            }
        }
    }
}

#[test]
fn no_mutation_panics_and_what_is_read_is_written_back() {
    let corpus = corpus();
    assert!(corpus.len() > 20, "{}", corpus.len());
    let mut random = Random::new(2_026);
    let mut read = 0;
    for number in 0..1_000_000 {
        let mut object = corpus[number % corpus.len()].clone();
        mutate(&mut object, &mut random);
        read += u32::from(check(&object));
    }
    println!("read all the same: {read}");
    assert!(read > 10_000, "the mutations do not reach what is behind the trailer: {read}");
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random::new(1);
    for length in 0..2_000 {
        let bytes: Vec<u8> = (0..length % 300).map(|_| random.next() as u8).collect();
        check(&bytes);
    }
}
