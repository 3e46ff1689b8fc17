//! What is printed, and whether enough has gone wrong for it to mean anything.

use std::{collections::BTreeMap, time::Duration};

use crate::{counting::Outcomes, singly::Met, store::World, truth::Truth, weather::Weather};

/// A line for each fault: how often it was injected, what the requests came to, and what it did to the log.
pub(crate) fn singly(all: &[Met]) {
    println!(
        "\n{:34} {:>5} {:>7} {:>9} {:>8}  requests came to",
        "each fault alone", "times", "retries", "segments", "ms"
    );
    for Met { fault, injected, outcomes, retries, segments, took } in all {
        let came_to: Vec<_> = outcomes.iter().map(|(what, times)| format!("{what} {times}")).collect();
        let (ms, came_to) = (took.as_millis(), came_to.join(", "));
        println!("{fault:34} {injected:>5} {retries:>7} {segments:>9} {ms:>8}  {came_to}");
    }
}

pub(crate) fn chaos(weather: &Weather, world: &World, truth: &Truth, outcomes: &Outcomes) {
    println!("\nwhat was done to processes and buckets");
    table(weather.done.iter().map(|(what, times)| (*what, *times)));
    println!("what befell connections");
    table(connections(world).into_iter());
    if let Some(server) = world.server() {
        println!("what the store did wrong");
        table(server.faults().injected().into_iter());
    }
    println!("what requests came to");
    table(outcomes.iter().map(|(what, times)| (what.as_str(), *times)));
    println!("why processes stopped");
    table(truth.stopped.iter().map(|(what, times)| (what.as_str(), *times)));
    println!("{} replicas were opened, {} changes were acknowledged", truth.opened, truth.acknowledged());
}

fn table<'a>(rows: impl Iterator<Item = (&'a str, u64)>) {
    rows.for_each(|(what, times)| println!("  {what:34} {times:>9}"));
}

fn connections(world: &World) -> BTreeMap<&'static str, u64> {
    let mut all = BTreeMap::new();
    for (what, times) in world.links().flat_map(|link| link.met()) {
        *all.entry(what).or_default() += times;
    }
    all
}

/// Fails when too little has gone wrong: a storm that was none shows nothing.
pub(crate) fn enough(weather: &Weather, world: &World, truth: &Truth, lasts: Duration) -> Result<(), String> {
    let mut least: Vec<(&str, u64, u64)> = Vec::new();
    let connections = connections(world);
    for what in ["connection refused", "connection cut", "piece delayed", "answer cut short"] {
        least.push((what, connections.get(what).copied().unwrap_or(0), 1));
    }
    for what in ["a process is killed", "a process is started again", "a bucket is away for everybody"] {
        least.push((what, weather.done.get(what).copied().unwrap_or(0), 1));
    }
    if let Some(server) = world.server() {
        let injected = server.faults().injected();
        for what in ["AnswerLost", "ResetInAnswer", "InternalError", "ConditionalRequestConflict", "FlipAnswer"] {
            least.push((what, injected.get(what).copied().unwrap_or(0), 1));
        }
    }
    // In the worst of it somebody must get through now and then.
    least.push(("changes acknowledged", truth.acknowledged() as u64, lasts.as_secs() * 2));
    least.push(("changes acknowledged in the storm", weather.acknowledged as u64, lasts.as_secs()));
    match least.into_iter().find(|(_, times, least)| times < least) {
        Some((what, times, least)) => Err(format!("too little has happened: {what}: times={times} least={least}")),
        None => Ok(()),
    }
}
