//! Local operations: counting at one path and at many, on one thread and on two, and adding to sets.

use std::time::Duration;

use benches::{
    clock::timed,
    corpus,
    engine::{Hosted, counter},
    report::{median, thousands},
    wall::timed_by_the_wall,
};
use store_object::MemoryBucket;

use super::{Scale, memory};
use crate::{
    peers::{AutomergeMap, Cell, Document, Floor, LoroMap, Redis, Write, YrsMap, command},
    race::medians,
    report::{Bar, Report, Row},
};

/// How often is counted between two flushes.
const IN_A_ROW: usize = 100_000;

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    warm(report, scale);
    scattered(report, scale);
}

/// One counter, whose handle is held; on two threads each has one of its own.
fn warm(report: &mut Report, Scale { turns, .. }: Scale) {
    let mut host = Hosted::open("ann", &MemoryBucket::new(), &MemoryBucket::new());
    let held = [0, 1].map(|number| counter(&host.replica, &corpus::path(number)));
    let (mut alone, mut both) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        let add = |which: usize| (0..IN_A_ROW).for_each(|_| drop(held[which].add(1).expect("it is taken")));
        alone.push(timed(|| add(0)).0);
        host.flush();
        let together = || {
            std::thread::scope(|scope| {
                scope.spawn(|| add(0));
                add(1);
            });
        };
        both.push(timed_by_the_wall(together).0);
        host.flush();
    }
    let expected = [2, 1].map(|times| (times * turns * IN_A_ROW) as i128);
    assert_eq!(held.map(|counter| counter.value()), expected, "all that was counted");
    let [alone, both] =
        [(alone, 1), (both, 2)].map(|(times, threads)| (threads * IN_A_ROW) as f64 * 1e3 / median(times));
    for (work, ours, bar) in [
        ("`add` on a warm counter, handle held, 1 thread", alone, Bar::at_least(15.0, 40.0)),
        ("the same, 2 threads, each its own counter, in all", both, Bar::at_least(25.0, 70.0)),
    ] {
        report.row(Row { work: work.to_owned(), ours, peer: None, unit: "M/s", bar: Some(bar) });
    }
}

/// Counters in no order, each looked up by its path.
fn scattered(report: &mut Report, Scale { n, rows, turns, few }: Scale) {
    let mut host = Hosted::open("ann", &MemoryBucket::new(), &MemoryBucket::new());
    let mut floor = Floor::default();
    let paths: Vec<String> = (0..n).map(corpus::path).collect();
    for paths in paths.chunks(20_000) {
        for path in paths {
            let _written = counter(&host.replica, path).add(1).expect("it is taken");
            floor.0.insert(path.clone(), Cell::Number(1));
        }
        host.flush();
    }
    // The same steps in each turn as elsewhere, so that nothing comes twice while it is in a cache.
    let chosen = |turn: usize| (0..rows).map(move |row| (row * (n / rows) + turn * 7_919) % n);
    let [ours, map] = medians(turns, |turn, runner| match runner {
        0 => {
            let add = |number: usize| drop(counter(&host.replica, &paths[number]).add(1).expect("it is taken"));
            let took = timed(|| chosen(turn).for_each(add)).0;
            host.flush();
            took
        }
        _ => {
            timed(|| {
                for number in chosen(turn) {
                    match floor.0.get_mut(&paths[number]) {
                        Some(Cell::Number(sum)) => *sum += 1,
                        other => panic!("it is {other:?}"),
                    }
                }
            })
            .0
        }
    });
    for path in &paths {
        let sum = counter(&host.replica, path).value();
        assert_eq!(floor.0[path], Cell::Number(sum.try_into().expect("a small number")), "{path}");
    }
    let rate = |took: f64| rows as f64 * 1e3 / took;
    let work = format!("`add` by path, in no order, among {}", thousands(n));
    let ours = rate(ours);
    let row = |peer, bar| Row { work: work.clone(), ours, peer: Some(peer), unit: "M/s", bar };
    report.row(row(("HashMap", rate(map)), Some(Bar::at_least(3.0, 5.0))));
    for (name, took) in [
        written::<YrsMap>(&paths, rows, few),
        written::<AutomergeMap>(&paths, rows, few),
        written::<LoroMap>(&paths, rows, few),
    ] {
        report.row(row((name, rate(took)), None));
    }
    let Some(mut redis) = Redis::start() else {
        eprintln!("no redis-server is installed: its rows are left out");
        return;
    };
    beside_redis(report, &mut redis, &paths, Scale { n, rows, turns, few }, ours);
}

/// Numbers written to keys of a map, in one transaction.
fn written<D: Document>(paths: &[String], rows: usize, few: usize) -> (&'static str, f64) {
    let n = paths.len();
    let mut document = D::new(1);
    let begun: Vec<Write> = paths.iter().map(|path| (path.clone(), Some(Cell::Number(1)))).collect();
    let _sent = document.write(&begun);
    let times = (0..few).map(|turn| {
        let number = |row: usize| (row * (n / rows) + turn * 7_919) % n;
        let written = Some(Cell::Number(2 + turn as i64));
        let writes: Vec<Write> = (0..rows).map(|row| (paths[number(row)].clone(), written.clone())).collect();
        let took = timed(|| document.write(&writes)).0;
        assert_eq!(document.get(&writes[0].0), written, "it is written");
        took
    });
    (D::NAME, median(times.collect()))
}

/// What a service would otherwise call: over a socket of this machine, many commands at a time, and one.
fn beside_redis(report: &mut Report, redis: &mut Redis, paths: &[String], scale: Scale, ours: f64) {
    let Scale { n, rows, turns, .. } = scale;
    let before = redis.memory();
    for paths in paths.chunks(20_000) {
        let commands: Vec<u8> = paths.iter().flat_map(|path| command(&["INCR", path])).collect();
        assert_eq!(redis.pipeline(&commands, paths.len()).0, paths.len() as i64, "each counts from nothing");
    }
    let memory = (redis.memory() - before) as f64 / n as f64;
    let mut counted = vec![1_i64; n];
    let (mut processor, mut wall, mut one, mut sets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for turn in 0..turns {
        let chosen: Vec<usize> = (0..rows).map(|row| (row * (n / rows) + turn * 7_919) % n).collect();
        let commands: Vec<u8> = chosen.iter().flat_map(|number| command(&["INCR", &paths[*number]])).collect();
        chosen.iter().for_each(|number| counted[*number] += 1);
        let (sum, took) = redis.pipeline(&commands, rows);
        assert_eq!(sum, chosen.iter().map(|number| counted[*number]).sum::<i64>(), "redis counts the same");
        processor.push(took.processor);
        wall.push(took.wall);
        let again = command(&["INCR", &paths[0]]);
        let (took, sum) = timed_by_the_wall(|| (0..100).map(|_| redis.one(&again)).last());
        counted[0] += 100;
        assert_eq!(sum, Some(counted[0]), "redis counts the same");
        one.push(took / 100);
        let item = format!("item {turn:07}");
        let commands: Vec<u8> =
            chosen.iter().flat_map(|number| command(&["SADD", &format!("set/{number}"), &item])).collect();
        let (sum, took) = redis.pipeline(&commands, rows);
        assert_eq!(sum, rows as i64, "each is new");
        sets.push(took.processor);
    }
    let rate = |times: Vec<Duration>, count: usize| count as f64 * 1e3 / median(times);
    let work = format!("`add` by path, in no order, among {}", thousands(n));
    let row = |work: &str, peer, ours| Row { work: work.to_owned(), ours, peer: Some(peer), unit: "M/s", bar: None };
    report.row(row(&work, ("redis INCR, pipelined, processor time of both", rate(processor, rows)), ours));
    report.row(row(&work, ("redis INCR, pipelined, wall clock", rate(wall, rows)), ours));
    report.row(row(&work, ("redis INCR, one at a time, wall clock", rate(one, 1)), ours));
    let ours = add_to_sets(scale);
    let work = format!("adding an element to one of {} sets, by path", thousands(n));
    report.row(row(&work, ("redis SADD, pipelined, processor time of both", rate(sets, rows)), ours));
    let (work, ours) = (memory::work(n), memory::one_tally(n));
    report.row(Row { work, ours, peer: Some(("redis", memory)), unit: "bytes", bar: None });
}

fn add_to_sets(Scale { n, rows, turns, .. }: Scale) -> f64 {
    let mut host = Hosted::open("ann", &MemoryBucket::new(), &MemoryBucket::new());
    let times = (0..turns).map(|turn| {
        let paths: Vec<String> =
            (0..rows).map(|row| format!("set/{}", (row * (n / rows) + turn * 7_919) % n)).collect();
        let item = format!("item {turn:07}");
        let add =
            |path: &String| drop(host.replica.or_set::<str>(path).and_then(|set| set.add(&item)).expect("it is taken"));
        let took = timed(|| paths.iter().for_each(add)).0;
        host.flush();
        assert!(host.replica.or_set::<str>(&paths[0]).expect("a path").contains(&item), "it is there");
        took
    });
    rows as f64 * 1e3 / median(times.collect())
}
