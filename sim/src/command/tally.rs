//! What many runs came to.
//! Layer 6.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use serde_json::{Value, json};
use sim::{Failure, Fault, Outcome, POINTS, Points};

use super::figures::{grouped, long, rate};

/// The sums over the runs so far, and which failed.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) seeds: u64,
    changes: u64,
    pub(super) events: u64,
    virtual_time: Duration,
    faults: BTreeMap<Fault, u64>,
    points: Points,
    pub(super) failures: Vec<(u64, Failure)>,
}

/// What it took.
#[derive(Clone, Copy)]
pub(super) struct Took {
    pub(super) processor: Duration,
    pub(super) real: Duration,
}

impl Tally {
    pub(super) fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.changes += outcome.changes as u64;
        self.events += outcome.trace.events;
        self.virtual_time += outcome.lasted;
        for (fault, times) in outcome.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        self.points.merge(&outcome.points);
        self.failures.extend(outcome.failure.map(|failure| (seed, failure)));
    }

    /// The points that so many stories of three regions should have reached.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        self.points.missing(self.seeds)
    }

    pub(super) fn tell(&self, out: &mut dyn Write, took: Took) -> io::Result<()> {
        let mut line = |name: &str, value: String| writeln!(out, "  {name:<16} {value}");
        line("seeds", grouped(self.seeds))?;
        line("changes", grouped(self.changes))?;
        let per_second = grouped(rate(self.events as f64, took.processor));
        line("events", format!("{}, {per_second} in a second of processor time", grouped(self.events)))?;
        let times = grouped(rate(self.virtual_time.as_secs_f64(), took.real));
        line("virtual time", format!("{}, {times} times real time", long(self.virtual_time)))?;
        line("took", format!("{} of processor time in {}", long(took.processor), long(took.real)))?;
        line("faults met", faults(&self.faults))?;
        let never = self.points.never_reached();
        line("points", format!("{} of {} reached", POINTS.len() - never.len(), POINTS.len()))?;
        if !never.is_empty() {
            line("never reached", never.join("; "))?;
        }
        line("failed", grouped(self.failures.len() as u64))
    }

    pub(super) fn json(&self, took: Took) -> Value {
        let faults: BTreeMap<String, u64> = self.faults.iter().map(|(fault, times)| (fault.name(), *times)).collect();
        let points: BTreeMap<&str, u64> = self.points.all().map(|(name, _, times)| (name, times)).collect();
        json!({
            "seeds": self.seeds,
            "changes": self.changes,
            "events": self.events,
            "virtual_seconds": self.virtual_time.as_secs_f64(),
            "cpu_seconds": took.processor.as_secs_f64(),
            "real_seconds": took.real.as_secs_f64(),
            "events_per_cpu_second": rate(self.events as f64, took.processor),
            "times_real_time": rate(self.virtual_time.as_secs_f64(), took.real),
            "faults": faults,
            "points": points,
            "failed": self.failures.len(),
        })
    }
}

/// Those that were met, the most frequent first.
pub(super) fn faults(faults: &BTreeMap<Fault, u64>) -> String {
    let mut met: Vec<_> = faults.iter().filter(|(_, times)| **times > 0).collect();
    met.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    let told: Vec<_> = met.iter().map(|(fault, times)| format!("{} {}", fault.name(), grouped(**times))).collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}
