//! What does a leaderboard of a large game cost: making it, reading it, keeping it up, holding it?
//!
//! Method: counters below one prefix in a keyspace of their own, 1,000 of them and 1,000,000, with scores in no order. One
//! thread reads the first hundred and the ranks of counters in no order, and adds to counters in no order, with the board
//! and without it; the delta is cut outside the clock. Times are processor times of the thread.
//!
//! Bar: the first 100 of 1,000,000 in 50 microseconds or less, and 100 bytes or less for each counter on the board.

use std::{hint::black_box, time::Duration};

use benches::{clock::timed, sized};
use crdt_core::{DotSource, Kind, ReplicaId};
use criterion::{BenchmarkId, Criterion, Throughput};
use peak_alloc::PeakAlloc;
use replica::{
    key::ObjectKey,
    keyspace::{Board, Change, Keyspace, Refusal},
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const TOP: usize = 100;
const BYTES_MAX: usize = 100;
/// How many changes are made between two cuts.
const IN_A_ROW: u64 = 1_000;

/// Counters that are added to in no order.
struct Game {
    keyspace: Keyspace,
    keys: Vec<ObjectKey>,
    step: u64,
}

impl Game {
    fn new(n: usize) -> Self {
        let keyspace = Keyspace::new(DotSource::new(ReplicaId::named("ann"), 1), 7, 64);
        let key = |number| ObjectKey::new(format!("board/daily/{number:08}"), Kind::PnCounter).expect("a path");
        let mut game = Self { keyspace, keys: (0..n).map(key).collect(), step: 0 };
        for number in 0..n {
            game.add(number);
        }
        game
    }

    /// A number that looks drawn: the golden ratio's multiples, from their high bits.
    fn draw(&mut self, bound: usize) -> usize {
        self.step += 1;
        (self.step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % bound
    }

    fn add(&mut self, number: usize) {
        // Never 0, which would change nothing.
        let change = Change::Count((self.draw(1 << 20) as i64 - (1 << 18)) | 1);
        while let Err(refusal) = self.keyspace.change(&self.keys[number], &change) {
            assert!(matches!(refusal, Refusal::SegmentFull { .. }), "{refusal}");
            drop(self.keyspace.cut());
        }
    }

    /// Adds to this many counters, a cut after each thousand.
    fn adds(&mut self, count: u64) -> Duration {
        let mut total = Duration::ZERO;
        for done in (0..count).step_by(IN_A_ROW as usize) {
            total += timed(|| {
                for _ in 0..IN_A_ROW.min(count - done) {
                    let number = self.draw(self.keys.len());
                    self.add(number);
                }
            })
            .0;
            drop(self.keyspace.cut());
        }
        total
    }

    /// The board has every counter, at its value, in order.
    fn check(&self, board: &Board) {
        let all = board.top(usize::MAX);
        assert_eq!(all.len(), self.keys.len(), "every counter is on the board");
        assert!(all.is_sorted_by(|left, right| (right.value, &left.key) < (left.value, &right.key)));
        for ranked in all.iter().step_by(all.len() / 100) {
            let rank = self.keyspace.rank(board, ranked.key.path());
            assert_eq!(rank.as_ref(), Some(ranked), "the board and the counter agree");
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("leaderboard");
    for n in [1_000, sized(1_000_000, 2_000)] {
        let mut game = Game::new(n);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("add without a board", n), |bencher| {
            bencher.iter_custom(|iterations| game.adds(iterations));
        });

        let before = MEMORY.current_usage();
        let (made, board) = timed(|| game.keyspace.board("board/daily/"));
        let bytes = (MEMORY.current_usage() - before) / n;
        eprintln!("leaderboard: made in {made:?}, {bytes} bytes for each of {n} counters");
        assert!(bytes <= BYTES_MAX, "{bytes} bytes for each of {n} counters");

        group.bench_function(BenchmarkId::new("add", n), |bencher| {
            bencher.iter_custom(|iterations| game.adds(iterations));
        });
        let drawn: Vec<usize> = (0..1_000).map(|_| game.draw(n)).collect();
        let paths: Vec<String> = drawn.iter().map(|number| game.keys[*number].path().to_owned()).collect();
        let mut next = paths.iter().cycle();
        group.bench_function(BenchmarkId::new("rank", n), |bencher| {
            bencher.iter(|| next.next().and_then(|path| game.keyspace.rank(&board, black_box(path))));
        });
        group.throughput(Throughput::Elements(TOP as u64));
        group.bench_function(BenchmarkId::new("top 100", n), |bencher| {
            bencher.iter(|| board.top(black_box(TOP)));
        });
        game.check(&board);
    }
    group.finish();
    criterion.final_summary();
}
