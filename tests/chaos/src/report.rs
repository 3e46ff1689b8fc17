//! What is printed, and whether enough has gone wrong for it to mean anything.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    counting::Outcomes,
    link::Link,
    singly::{Alone, Met},
    store::World,
    truth::Truth,
    weather::Weather,
};

/// A line for each fault: how often it was injected, what the requests came to, and what it did to the log.
pub(crate) fn singly(alone: &Alone) {
    faults("each fault of writing alone", &alone.writing);
    faults("each fault of reading alone", &alone.reading);
}

fn faults(title: &str, all: &[Met]) {
    println!("\n{title:32} {:>5} {:>7} {:>6}  {:22}  requests came to", "times", "retries", "ms", "effect");
    for Met { fault, injected, outcomes, retries, effect, took } in all {
        let came_to: Vec<_> = outcomes.iter().map(|(what, times)| format!("{what} {times}")).collect();
        let (ms, came_to) = (took.as_millis(), came_to.join(", "));
        println!("  {fault:30} {injected:>5} {retries:>7} {ms:>6}  {effect:22}  {came_to}");
    }
}

pub(crate) fn chaos(weather: &Weather, world: &World, truth: &Truth, outcomes: &Outcomes) {
    table("what was done to processes and buckets", weather.done.iter().map(|(what, times)| (*what, *times)));
    table("what befell connections", connections(world).into_iter());
    table("what the store did wrong", weather.injected.iter().map(|(what, times)| (*what, *times)));
    table("what requests came to", outcomes.iter().map(|(what, times)| (what.as_str(), *times)));
    table("why processes stopped by themselves", truth.stopped.iter().map(|(what, times)| (what.as_str(), *times)));
    println!("\n{} replicas were opened, {} changes were acknowledged", truth.opened, truth.acknowledged());
}

/// Prints nothing if there is nothing in it.
fn table<'a>(title: &str, rows: impl Iterator<Item = (&'a str, u64)>) {
    let mut rows = rows.peekable();
    if rows.peek().is_some() {
        println!("\n{title:44} {:>5}", "times");
        rows.for_each(|(what, times)| println!("  {what:42} {times:>5}"));
    }
}

fn connections(world: &World) -> BTreeMap<&'static str, u64> {
    let mut all = BTreeMap::new();
    for (what, times) in world.links().flat_map(Link::met) {
        *all.entry(what).or_default() += times;
    }
    all
}

/// Fails when a request was refused by a store that refuses nothing: whoever reads of a refusal changes settings, and
/// no cut
/// connection may send them there. The store in this process refuses on purpose.
pub(crate) fn no_refusal(world: &World, outcomes: &Outcomes) -> Result<(), String> {
    match outcomes.keys().find(|what| world.server().is_none() && what.ends_with(" refused")) {
        Some(what) => Err(format!("what befell a connection is taken for a refusal: {what}")),
        None => Ok(()),
    }
}

/// Fails when too little has gone wrong: a storm that was none shows nothing.
pub(crate) fn enough(
    weather: &Weather,
    world: &World,
    truth: &Truth,
    outcomes: &Outcomes,
    lasts: Duration,
) -> Result<(), String> {
    let mut least: Vec<(&str, u64, u64)> = Vec::new();
    let connections = connections(world);
    for what in ["connection refused", "connection cut", "piece delayed", "answer cut short"] {
        least.push((what, connections.get(what).copied().unwrap_or(0), 1));
    }
    for what in ["a process is killed", "a process is started again", "a bucket is away for everybody"] {
        least.push((what, weather.done.get(what).copied().unwrap_or(0), 1));
    }
    if world.server().is_some() {
        for what in ["AnswerLost", "ResetInAnswer", "InternalError", "ConditionalRequestConflict", "FlipAnswer"] {
            least.push((what, weather.injected.get(what).copied().unwrap_or(0), 1));
        }
    }
    // Whoever lags behind must meet what was collected, too.
    for what in ["create done", "create exists", "create indeterminate", "delete done"] {
        least.push((what, outcomes.get(what).copied().unwrap_or(0), 1));
    }
    // In the worst of it somebody must get through now and then.
    least.push(("changes acknowledged", truth.acknowledged() as u64, lasts.as_secs() * 2));
    least.push(("changes acknowledged in the storm", weather.acknowledged as u64, lasts.as_secs()));
    match least.into_iter().find(|(_, times, least)| times < least) {
        Some((what, times, least)) => Err(format!("too little has happened: {what}: times={times} least={least}")),
        None => Ok(()),
    }
}
