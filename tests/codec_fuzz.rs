//! A million mutations of the golden objects, and of objects of random histories: none makes the decoder panic, and what
//! is read all the same is written back as the same bytes.

#[path = "../fuzz/check.rs"]
mod check;

use check::{POSITION, REPLICA, check};
use sim::Random;
use tests::corpus::{corpus, mutate};

#[test]
fn no_mutation_panics_and_what_is_read_is_written_back() {
    let corpus = corpus(REPLICA, POSITION);
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
        assert!(!check(&bytes), "{bytes:?}");
    }
}
