//! What a replica asks of its buckets, held against the tables in the documentation: whoever changes one changes the other.
//!
//! Default settings, virtual days, and requests counted by the buckets. A row of a table is found by what it begins with.

use std::{collections::BTreeMap, time::Duration};

use replica::Settings;
use sim::Requests;
use tests::stage::{Actor, Stage};

/// PUT, GET, LIST and DELETE requests.
type Counts = [u64; 4];

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// A month has 30 days.
const MONTH: u64 = 30 * DAY;

/// What is measured may differ from what is written by one part in so many, 5 %: figures are rounded, and requests take
/// time.
const TOLERANCE: u64 = 20;

const SETTINGS: &str = include_str!("../replica/src/settings.rs");
const BUILDER: &str = include_str!("../replica/src/builder.rs");

/// Nothing changes, for a day: no PUT, and what is paid is polling, looking for new replicas, and looking for what to collect.
#[test]
fn a_month_without_changes_costs_what_is_documented() {
    let mut stage = stage();
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    for actor in [&first, &second] {
        actor.add("likes", 1).expect("it counts");
    }
    stage.pass(2 * DAY); // The last snapshots are taken and acknowledged, and what they cover is collected.
    let month = in_a_month(&mut stage, &first, DAY, |_| {});
    holds(SETTINGS, "nothing changes, own bucket", month[0]);
    holds(SETTINGS, "nothing changes, the peer's", month[1]);
}

/// A change an hour in each replica: each of them leads to a snapshot, a collection, an acknowledgement and a comparison.
#[test]
fn a_month_with_a_change_an_hour_costs_what_is_documented() {
    let mut stage = stage();
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    let days = |stage: &mut Stage, days: u64| {
        for _ in 0..24 * days {
            for actor in [&first, &second] {
                actor.add("likes", 1).expect("it counts");
            }
            stage.pass(HOUR);
        }
    };
    days(&mut stage, 2);
    let month = in_a_month(&mut stage, &first, DAY, |stage| days(stage, 1));
    holds(SETTINGS, "a change an hour, own bucket", month[0]);
    holds(SETTINGS, "a change an hour, the peer's", month[1]);
}

/// One replica changes all the time, the other one reads: a PUT each second, two GETs, and lists of a long log.
#[test]
fn a_month_of_changes_costs_what_is_documented() {
    let mut stage = stage();
    let [writer, reader] = [stage.open("writer", 0), stage.open("reader", 1)];
    let likes = writer.replica.pn_counter("likes").expect("a path");
    let place = stage.executor.region("who likes");
    stage.executor.spawn(place, async move {
        loop {
            likes.add(1).expect("it counts").durable().await.expect("it is durable");
        }
    });
    stage.pass(DAY + 2 * HOUR); // From here on as much is collected as comes.
    let before = requests(&reader);
    let own = in_a_month(&mut stage, &writer, 4 * HOUR, |stage| stage.pass(4 * HOUR));
    holds(SETTINGS, "changes all the time, own bucket", own[0]);
    let read = since(&reader, &before, 4 * HOUR);
    holds(SETTINGS, "changes all the time, the peer's", read[0]);
}

/// Opening for the first time and opening again, beside a peer that has two snapshots and nothing new.
#[test]
fn opening_costs_what_is_documented() {
    let mut stage = stage();
    let peer = stage.open("peer", 1);
    peer.add("likes", 1).expect("it counts");
    stage.pass(DAY);

    let opened = stage.open("replica", 0);
    stage.executor.pass(Duration::from_secs(1));
    let [own, others] = counts(&opened);
    is(BUILDER, "first, own bucket", own);
    is(BUILDER, "first, the peer's", others);

    opened.add("likes", 1).expect("it counts");
    stage.pass(DAY);
    let closing = opened.replica.clone();
    stage.wait(async move { closing.close().await }).expect("it is closed");
    let opened = stage.open("replica", 0);
    stage.executor.pass(Duration::from_secs(1));
    let [own, others] = counts(&opened);
    is(BUILDER, "again, own bucket", own);
    is(BUILDER, "again, the peer's", others);
}

// --- How it is counted.

fn stage() -> Stage {
    let mut stage = Stage::new(1, 2);
    stage.settings = Settings::default();
    stage
}

fn requests(actor: &Actor) -> Vec<Requests> {
    actor.links.iter().map(sim::SimBucket::requests).collect()
}

/// What has been asked of both buckets since the replica was opened. The engine's own count agrees.
fn counts(actor: &Actor) -> [Counts; 2] {
    let counts = [0, 1].map(|region: usize| of(&actor.links[region].requests()));
    let told = actor.status().regions.into_iter();
    let told = told.map(|region| [region.creates, region.gets, region.lists, region.deletes]);
    assert_eq!(counts.to_vec(), told.collect::<Vec<_>>(), "status() counts what the buckets count");
    counts
}

fn of(requests: &Requests) -> Counts {
    [requests.creates, requests.gets + requests.ranges, requests.lists + requests.folders, requests.deletes]
}

/// Requests to each bucket while so many seconds pass, as many as in a month.
fn in_a_month(stage: &mut Stage, actor: &Actor, seconds: u64, pass: impl FnOnce(&mut Stage)) -> Vec<Counts> {
    let (before, began) = (requests(actor), stage.executor.world().now());
    pass(stage);
    let passed = (stage.executor.world().now() - began).as_secs();
    stage.pass(seconds - passed);
    since(actor, &before, seconds)
}

fn since(actor: &Actor, before: &[Requests], seconds: u64) -> Vec<Counts> {
    let pairs = requests(actor).into_iter().zip(before);
    let each = pairs.map(|(now, before)| {
        let (now, before) = (of(&now), of(before));
        [0, 1, 2, 3].map(|kind: usize| (now[kind] - before[kind]) * MONTH / seconds)
    });
    each.collect()
}

// --- What is written.

/// The rows of four numbers in the tables of a source file's documentation, by their first cell.
fn documented(source: &str) -> BTreeMap<String, Counts> {
    let rows = source.lines().filter_map(|line| line.trim_start().strip_prefix("/// | ")?.strip_suffix(" |"));
    let row = |row: &str| {
        let (name, cells) = row.split_once(" | ")?;
        let numbers: Result<Vec<u64>, _> = cells.split(" | ").map(|cell| cell.replace(',', "").parse()).collect();
        Some((name.to_owned(), numbers.ok()?.try_into().ok()?))
    };
    rows.filter_map(row).collect()
}

#[track_caller]
fn holds(source: &str, row: &str, measured: Counts) {
    let written = documented(source)[row];
    let is_near = |(written, measured): (u64, u64)| written.abs_diff(measured) * TOLERANCE <= written;
    let all_near = written.into_iter().zip(measured).all(is_near);
    assert!(all_near, "{row}: PUT, GET, LIST, DELETE a month: documented {written:?}, measured {measured:?}");
}

#[track_caller]
fn is(source: &str, row: &str, measured: Counts) {
    assert_eq!(documented(source)[row], measured, "{row}: PUT, GET, LIST, DELETE: documented, and measured");
}
