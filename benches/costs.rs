//! What do a million updates cost, how often one flushes and how much one updates being what they are?
//!
//! ```text
//! cargo bench -p sim --bench costs
//! ```
//!
//! Method: two replicas in two regions, in virtual time, over buckets that count what is asked of them. One counts at paths of the
//! corpus, in no order among 100,000, and the other one reads it, looking each second, or as often as is flushed where that is less
//! often. Nothing is told by hints. What is counted begins when both have been running for a minute, and lasts as the table says, long
//! enough that what is done each hour is in it for the two lower rates; at the higher one a snapshot in an hour adds less than a cent
//! to each million. All requests of both replicas to both buckets are paid for, and each byte that the reader gets from the other region.
//!
//! Prices are list prices in US dollars, us-east-1, without discounts and free tiers:
//! - Amazon S3 Standard: 0.005 for 1,000 PUT or LIST requests, 0.0004 for 1,000 GET requests; DELETE is free; 0.02 for a GB to another
//!   region of the United States (<https://aws.amazon.com/s3/pricing/>).
//! - DynamoDB global tables, on demand: each write of up to 1 KB is one replicated write request unit for each replica table, priced as
//!   a write request unit, 0.625 for a million (<https://aws.amazon.com/dynamodb/pricing/on-demand/>, and "Understanding Amazon
//!   DynamoDB billing for global tables" in its developer guide); so 1.25 for two regions, before transfer. Concurrent `ADD`s in two
//!   regions lose one of them there.
//!
//! What is stored is not counted, on either side. Bar: none. It fails if the two do not hold the same in the end.

use std::{sync::Arc, time::Duration};

use replica::{Replica, Settings};
use sim::{Executor, Faults, Requests, SimBucket, SimClock, SimEntropy};

#[expect(unreachable_pub, reason = "it is a part of a library, too")]
#[path = "support/thousands.rs"]
mod thousands;
use thousands::thousands;

const PUT_OR_LIST: f64 = 0.005 / 1_000.0;
const GET: f64 = 0.0004 / 1_000.0;
const GIGABYTE: f64 = 0.02;
/// Of a million writes to a global table in two regions.
const DYNAMODB: f64 = 2.0 * 0.625;

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(1 << 30);
const WARM: Duration = Duration::from_secs(60);
const PATHS: u64 = 100_000;

fn main() {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let is_full = has("--bench") && !has("--test");
    println!(
        "| updates a second | flushed each | PUT | GET | LIST | KB to the other region | S3 | DynamoDB | updates counted |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (rate, seconds) in [(1, 4 * 3_600), (100, 2 * 3_600), (10_000, 300)] {
        for flush_ms in [50, 100, 250, 1_000, 5_000, 10_000] {
            let seconds = if is_full { seconds } else { 10 };
            let rate = if is_full { rate } else { rate.min(50) };
            run(rate, Duration::from_millis(flush_ms), Duration::from_secs(seconds)).print(rate, flush_ms);
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Default)]
struct Counted {
    updates: u64,
    puts: u64,
    gets: u64,
    lists: u64,
    /// Bytes that crossed from one region to the other.
    crossed: u64,
}

impl Counted {
    fn print(self, rate: u64, flush_ms: u64) {
        let each = |count: u64| count as f64 * 1e6 / self.updates as f64;
        let dollars =
            PUT_OR_LIST * each(self.puts + self.lists) + GET * each(self.gets) + GIGABYTE * each(self.crossed) / 1e9;
        let [puts, gets, lists] = [self.puts, self.gets, self.lists].map(|count| whole(each(count)));
        let kilobytes = whole(each(self.crossed) / 1e3);
        let (rate, flushed, updates) = (whole(rate as f64), flush_ms as f64 / 1e3, whole(self.updates as f64));
        println!(
            "| {rate} | {flushed} s | {puts} | {gets} | {lists} | {kilobytes} | ${dollars:.4} | ${DYNAMODB:.2} | {updates} |"
        );
    }

    fn of(requests: &Requests) -> Self {
        let Requests { creates, gets, ranges, lists, folders, received, .. } = *requests;
        Self { updates: 0, puts: creates, gets: gets + ranges, lists: lists + folders, crossed: received }
    }
}

fn run(rate: u64, flush: Duration, lasts: Duration) -> Counted {
    let mut executor = Executor::new(7);
    let world = executor.world().clone();
    let stores = ["east", "west"].map(|region| SimBucket::new(&world, region, Faults::none()));
    let mut settings = Settings::default();
    settings.flush_interval = flush;
    settings.poll_min = settings.poll_min.max(flush);
    let open = |executor: &mut Executor, own: usize| {
        let name = ["writer", "reader"][own];
        let links = [0, 1].map(|store: usize| stores[store].link(name, Faults::none()));
        let entropy = Arc::new(SimEntropy::new(&world, name));
        let builder = Replica::builder_with(name, links[own].clone(), Arc::new(SimClock::new(&world)), entropy);
        let builder = builder.peer("other", links[1 - own].clone()).settings(settings.clone());
        let opened = executor.run(LONG, async move { builder.open().await });
        let replica = opened.unwrap_or_else(|stop| panic!("it never opens: {stop:?}")).expect("it opens");
        let (place, background) = (executor.region(name), replica.clone());
        executor.spawn(place, async move { background.run().await });
        (replica, links)
    };
    let (writer, writer_links) = open(&mut executor, 0);
    let (reader, reader_links) = open(&mut executor, 1);

    // Evenly, but no more often than each millisecond.
    let each = Duration::from_millis(1_000 / rate.min(1_000));
    let (at_once, place) = (rate.div_ceil(1_000), executor.region("users"));
    let (counting, updates) = (writer.clone(), (WARM + lasts).as_millis() as u64 / each.as_millis() as u64 * at_once);
    let clock = world.clone();
    executor.spawn(place, async move {
        for first in (0..updates).step_by(at_once as usize) {
            for number in first..first + at_once {
                let _written = counting.pn_counter(&path(number)).expect("a path").add(1).expect("it is taken");
            }
            clock.sleep(each).await;
        }
    });
    let counted = || {
        let mut all = Counted::default();
        for (links, own) in [(&writer_links, 0), (&reader_links, 1)] {
            for (place, link) in links.iter().enumerate() {
                let requests = Counted::of(&link.requests());
                all.puts += requests.puts;
                all.gets += requests.gets;
                all.lists += requests.lists;
                all.crossed += if place == own { 0 } else { requests.crossed };
            }
        }
        all
    };
    executor.pass(WARM);
    let before = counted();
    executor.pass(lasts);
    let after = counted();

    executor.pass(3 * flush + WARM);
    for path in (0..updates.min(PATHS)).step_by(97).map(path) {
        let [written, read] = [&writer, &reader].map(|replica| replica.pn_counter(&path).expect("a path").value());
        assert!(written > 0, "{path} was counted at");
        assert_eq!(written, read, "{path}");
    }
    Counted {
        updates: rate * lasts.as_secs(),
        puts: after.puts - before.puts,
        gets: after.gets - before.gets,
        lists: after.lists - before.lists,
        crossed: after.crossed - before.crossed,
    }
}

/// In no order, and each of the first as many once.
fn path(number: u64) -> String {
    let scattered = (number % PATHS).wrapping_mul(0x9e37_79b1) & 0xffff_ffff;
    format!("board/daily/2026-11-22/player/{scattered:08x}")
}

fn whole(number: f64) -> String {
    thousands(number.round_ties_even() as usize)
}
