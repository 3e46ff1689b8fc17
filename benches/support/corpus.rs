//! The one corpus on which the bars of `versus` stand: what a game keeps of a day.
//!
//! Paths `board/daily/2026-11-22/player/<8 hex>`, 38 bytes, uniformly chosen: distinct, and in no order. Of twenty fourteen are
//! PN-counters, two are registers of 16 bytes and four are sets of elements of 12; where something is changed, one of these four loses
//! an element and the others gain one. So of the rows of a delta 70 % are of counters, 10 % of registers, 15 % add to sets, and 5 %
//! remove. There are three replicas, and each has begun a third of the objects.

use crdt_core::{Kind, Timestamp};
use replica::{Replica, key::ObjectKey, keyspace::Change};

/// The three replicas.
pub const REPLICAS: [&str; 3] = ["ann", "bob", "eve"];

/// What is below the paths of the corpus.
pub const PREFIX: &str = "board/daily/2026-11-22/player/";

/// Rounds in which no path of [`sample`](crate::engine::sample) comes twice, if it takes a hundredth of them.
pub const ROUNDS: usize = 100;

/// What is done to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Counts.
    Count(i64),
    /// Writes 16 bytes of text.
    Write(String),
    /// Adds an element.
    Add(String),
    /// Removes an element.
    Remove(String),
}

/// The path of this number.
#[must_use]
pub fn path(number: usize) -> String {
    format!("{PREFIX}{:08x}", scattered(number as u32))
}

/// The kind of the object of this number.
#[must_use]
pub const fn kind(number: usize) -> Kind {
    match place(number) {
        0..14 => Kind::PnCounter,
        14 | 15 => Kind::LwwRegister,
        _ => Kind::OrSet,
    }
}

/// Its key.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn key(number: usize) -> ObjectKey {
    ObjectKey::new(path(number), kind(number)).expect("a path")
}

/// With what the object of this number begins. A set from which something will be removed keeps something.
#[must_use]
pub fn first(number: usize) -> Vec<Act> {
    match (kind(number), loses(number)) {
        (Kind::OrSet, true) => vec![Act::Add(element(0)), Act::Add(element(1))],
        (Kind::OrSet, false) => vec![Act::Add(element(0))],
        (Kind::LwwRegister, _) => vec![Act::Write(text(number, 0))],
        _ => vec![Act::Count(1 + (number % 100) as i64)],
    }
}

/// How it is changed in a round, the first of which is 1. Nothing can be removed twice, so in a hundred rounds a path may come once.
#[must_use]
pub fn change(number: usize, round: usize) -> Act {
    match (kind(number), loses(number)) {
        (Kind::OrSet, true) => Act::Remove(element(0)),
        (Kind::OrSet, false) => Act::Add(element(round)),
        (Kind::LwwRegister, _) => Act::Write(text(number, round)),
        _ => Act::Count(1 + (round % 100) as i64),
    }
}

impl Act {
    /// Does it to the object at `path`.
    ///
    /// # Panics
    ///
    /// When it is not taken.
    pub fn on(&self, replica: &Replica, path: &str) {
        match self {
            Self::Count(amount) => replica.pn_counter(path).and_then(|counter| counter.add(*amount)).map(drop),
            Self::Write(text) => replica.lww_register::<str>(path).and_then(|register| register.set(text)).map(drop),
            Self::Add(element) => replica.or_set::<str>(path).and_then(|set| set.add(element)).map(drop),
            Self::Remove(element) => replica.or_set::<str>(path).and_then(|set| set.remove(element)).map(drop),
        }
        .expect("it is taken");
    }

    /// The same for a keyspace without a replica.
    #[must_use]
    pub fn to_change(&self, now: Timestamp) -> Change {
        match self {
            Self::Count(amount) => Change::Count(*amount),
            Self::Write(text) => Change::Write(text.as_bytes().into(), now),
            Self::Add(element) => Change::Add(element.as_bytes().into()),
            Self::Remove(element) => Change::Remove(element.as_bytes().into()),
        }
    }
}

const fn loses(number: usize) -> bool {
    place(number) == 19
}

/// Which of twenty it is. Drawn, so that numbers with a stride between them are not all alike.
const fn place(number: usize) -> u32 {
    scattered(number as u32 ^ 0x9e37_79b9) % 20
}

fn element(number: usize) -> String {
    format!("item {number:07}")
}

fn text(number: usize, round: usize) -> String {
    format!("{:08x}{:08x}", scattered(!number as u32), scattered(round as u32))
}

/// The finaliser of MurmurHash3: a permutation of all 32-bit numbers that looks drawn.
const fn scattered(number: u32) -> u32 {
    let mut mixed = number ^ (number >> 16);
    mixed = mixed.wrapping_mul(0x85eb_ca6b);
    mixed ^= mixed >> 13;
    mixed = mixed.wrapping_mul(0xc2b2_ae35);
    mixed ^ (mixed >> 16)
}
