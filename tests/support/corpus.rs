//! Objects to damage: the golden ones, and segments of random histories.

use std::{fs, path::Path};

use bytes::Bytes;
use crdt_core::Position;
use replica::log::Keys;
use sim::Random;

use crate::codec::{Author, roster};

/// The golden objects, and segments of this replica at this position with a bit of everything.
///
/// # Panics
///
/// When the golden objects cannot be read.
#[must_use]
pub fn corpus(replica: &str, position: Position) -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let entries = fs::read_dir(golden).expect("the golden objects");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mut corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("an object")).collect();
    corpus.extend((0..40).map(|seed| segment(seed, replica, position).to_vec()));
    corpus
}

/// A small segment, cut after something of a peer's was applied.
fn segment(seed: u64, replica: &str, position: Position) -> Bytes {
    let random = &mut Random::new(seed);
    let (mut own, mut peer) = (Author::new(replica, position.epoch()), Author::new("us-east-1", 7));
    for _ in 0..position.slot() {
        own.cut(random);
    }
    (0..15).for_each(|_| peer.act(random));
    own.apply(&peer.cut(random));
    (0..10).for_each(|_| own.act(random));
    let mut draft = own.cut(random);
    draft.key = Keys::new("").expect("a root").log(&draft.header.replica, position);
    draft.encode(&roster())
}

/// Changes a few bytes.
pub fn mutate(object: &mut Vec<u8>, random: &mut Random) {
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
