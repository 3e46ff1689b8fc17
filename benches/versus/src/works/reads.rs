//! A leaderboard: reading its top, and what keeping it up adds to a count. Scores are drawn below 2²⁰, so few are equal.

use std::{hint::black_box, time::Duration};

use benches::{
    clock::timed,
    corpus,
    report::{median, thousands},
};
use crdt_core::{DotSource, Kind, ReplicaId};
use replica::{
    key::ObjectKey,
    keyspace::{Change, Keyspace},
};

use super::Scale;
use crate::report::{Bar, Report, Row};

const TOP: usize = 100;

pub(crate) fn measure(report: &mut Report, Scale { n, rows, turns, .. }: Scale) {
    let keyspace = Keyspace::new(DotSource::new(ReplicaId::named("ann"), 1), 7, 64);
    let key = |number| ObjectKey::new(corpus::path(number), Kind::PnCounter).expect("a path");
    let keys: Vec<ObjectKey> = (0..n).map(key).collect();
    let score = |number: usize| 1 + (number.wrapping_mul(0x9e37_79b9) >> 7 & 0xf_ffff) as i64;
    let count = |number: usize, amount: i64| {
        let _changed = keyspace.change(&keys[number], &Change::Count(amount)).expect("it is taken");
    };
    for number in 0..n {
        count(number, score(number));
        if number % 1_000 == 999 {
            drop(keyspace.cut());
        }
    }
    // Once without a board and once with it: the same counts, which differ in nothing else.
    let adds = |turn: usize| -> Duration {
        let mut took = Duration::ZERO;
        for thousand in 0..rows.div_ceil(1_000) {
            let of = thousand * 1_000..rows.min((thousand + 1) * 1_000);
            took += timed(|| of.for_each(|row| count((row * (n / rows) + turn * 7_919) % n, score(row)))).0;
            drop(keyspace.cut());
        }
        took
    };
    let without = median((0..turns).map(adds).collect()) / rows as f64;
    let board = keyspace.board(corpus::PREFIX);
    let with = median((turns..2 * turns).map(adds).collect()) / rows as f64;
    let top = median((0..turns).map(|_| timed(|| black_box(board.top(TOP))).0).collect());

    let mut all: Vec<(i128, &str)> = Vec::with_capacity(n);
    for key in &keys {
        let value = keyspace.read(key.path(), key.kind(), |object| match object.value() {
            crdt_core::Value::PnCounter(sum) => sum,
            other => panic!("not a counter: {other:?}"),
        });
        all.push((-value.expect("it is there"), key.path()));
    }
    all.sort_unstable();
    let told: Vec<_> = board.top(TOP).iter().map(|ranked| (-ranked.value, ranked.key.path().to_owned())).collect();
    assert!(all.iter().take(TOP).map(|(value, path)| (*value, (*path).to_owned())).eq(told), "the first hundred");

    let (n, bar) = (thousands(n), Bar::at_most);
    let mut row = |work: String, ours: f64, unit, bar| report.row(Row { work, ours, peer: None, unit, bar: Some(bar) });
    row(format!("`top({TOP})` of {n}"), top / 1e3, "us", bar(50.0, 5.0));
    row(format!("its upkeep per increment, paid inside `add`, {n}"), with - without, "ns", bar(1_000.0, 400.0));
}
