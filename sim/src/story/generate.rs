//! Stories drawn from a seed: which faults there are, what is written, how fast, and how long it takes.
//! Layer 3.
//!
//! Swarm testing (Groce and others, 2012): each seed leaves things out at random, since what one fault hides shows when it is
//! absent.

use std::time::Duration;

use replica::Settings;

use super::{Act, Story, rare::rare, troubles::troubles, workload::Workload};
use crate::{
    ports::{Fault, Faults, HintFault, HintFaults},
    random::Random,
};

/// Draws a story.
#[must_use]
pub fn generate(seed: u64, regions: usize) -> Story {
    let mut random = Random::named(seed, "story");
    let mut settings = settings(&mut random);
    let faults = faults(&mut random);
    let quiet_from = Duration::from_secs(20 + random.below(60));
    let hints = random.chance(500_000).then(|| hints(&mut random, quiet_from));
    let workload = Workload::draw(&mut random, regions);
    let mut steps = workload.changes(&mut random, regions, quiet_from);
    troubles(&mut random, regions, quiet_from, &mut steps);
    rare(&mut random, regions, quiet_from, &mut settings, &mut steps);
    steps.sort_by_key(|step| step.at);
    let story = Story { seed, regions, settings, faults, hints, quiet_from, steps };
    // The same in hours, and in weeks: it costs as much to play as the same in seconds.
    match random.below(100) {
        0..=7 => story.slower(60),
        8..=10 => story.slower(1_800),
        _ => story,
    }
}

impl Story {
    /// The same with everything that the story says of time so many times as long. Requests take as long as before.
    fn slower(mut self, times: u32) -> Self {
        let settings = &mut self.settings;
        for duration in [
            &mut settings.flush_interval,
            &mut settings.poll_min,
            &mut settings.poll_max,
            &mut settings.discovery_interval,
            &mut settings.catch_up,
            &mut settings.snapshot_interval,
            &mut settings.ack_interval,
            &mut settings.retention,
            &mut settings.max_lag,
            &mut self.faults.late_max,
            &mut self.quiet_from,
        ] {
            *duration *= times;
        }
        if let Some(hints) = &mut self.hints {
            hints.late_max *= times;
        }
        for step in &mut self.steps {
            step.at *= times;
            if let Act::Cut { lasts, .. } | Act::Away { lasts, .. } | Act::Freeze(lasts) = &mut step.act {
                *lasts *= times;
            }
        }
        self
    }
}

pub(super) fn between(random: &mut Random, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + random.below(most - least + 1))
}

fn settings(random: &mut Random) -> Settings {
    let mut settings = Settings::default();
    settings.flush_interval = between(random, 20, 1_000);
    settings.poll_min = between(random, 50, 1_000);
    settings.poll_max = settings.poll_min + between(random, 100, 3_000);
    settings.discovery_interval = between(random, 1_000, 6_000);
    settings.catch_up = between(random, 2_000, 20_000);
    settings.snapshot_interval = between(random, 500, 12_000);
    settings.ack_interval = between(random, 500, 3_000);
    settings.retention = between(random, 500, 20_000);
    settings.max_lag = if random.chance(300_000) { between(random, 4_000, 30_000) } else { Duration::from_secs(3_600) };
    settings.shards = 4;
    if random.chance(100_000) {
        settings.pending_bytes = 200 + random.below(3_000);
    }
    if random.chance(50_000) {
        settings.memory_bytes = 1_000 + random.below(20_000);
    }
    if random.chance(150_000) {
        settings.segment_bytes = 100 + random.below(4_000);
    }
    settings
}

fn faults(random: &mut Random) -> Faults {
    let may_be: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Unreachable).collect();
    let most = [0, 5_000, 30_000, 70_000][random.below(4) as usize];
    let mut faults = Faults::none().some(&may_be, most, random);
    let slowest = [60, 200, 1_500][random.below(3) as usize];
    faults = faults.taking(Duration::from_millis(2), Duration::from_millis(slowest));
    faults.late_max = between(random, 100, 40_000);
    faults.stale_max = between(random, 100, 60_000);
    faults
}

fn hints(random: &mut Random, until: Duration) -> HintFaults {
    let mut hints = HintFaults::none();
    for fault in HintFault::ALL {
        if random.chance(400_000) {
            hints = hints.with(fault, u32::try_from(random.below(150_000)).unwrap_or(0));
        }
    }
    // In a story of weeks that is days.
    hints.late_max = between(random, 1_000, 3 * until.as_millis() as u64);
    hints
}
