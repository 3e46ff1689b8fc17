//! Stories drawn from a seed: which faults there are, what is written, how fast, and who goes down when.
//! Layer 3.
//!
//! Swarm testing (Groce and others, 2012): each seed leaves things out at random, since what one fault hides shows when it is
//! absent.

use std::time::Duration;

use replica::Settings;

use super::{Act, Step, Story};
use crate::{
    history::{Did, Object, Sort},
    ports::{Fault, Faults, HintFault, HintFaults},
    random::Random,
};

/// Draws a story.
#[must_use]
pub fn generate(seed: u64, regions: usize) -> Story {
    let mut random = Random::named(seed, "story");
    let settings = settings(&mut random);
    let faults = faults(&mut random);
    let hints = random.chance(500_000).then(|| hints(&mut random));
    let quiet_from = Duration::from_secs(20 + random.below(60));
    let workload = Workload::draw(&mut random, regions);
    let mut steps = workload.changes(&mut random, regions, quiet_from);
    troubles(&mut random, regions, quiet_from, &mut steps);
    steps.sort_by_key(|step| step.at);
    Story { seed, regions, settings, faults, hints, quiet_from, steps }
}

fn between(random: &mut Random, least: u64, most: u64) -> Duration {
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
    settings
}

fn faults(random: &mut Random) -> Faults {
    let may_be: Vec<Fault> =
        Fault::ALL.into_iter().filter(|fault| !matches!(fault, Fault::StaleList | Fault::Unreachable)).collect();
    let most = [0, 5_000, 40_000, 90_000][random.below(4) as usize];
    let mut faults = Faults::none().some(&may_be, most, random);
    let slowest = [60, 200, 1_500][random.below(3) as usize];
    faults = faults.taking(Duration::from_millis(2), Duration::from_millis(slowest));
    faults.late_max = between(random, 100, 40_000);
    faults
}

fn hints(random: &mut Random) -> HintFaults {
    let mut hints = HintFaults::none();
    for fault in HintFault::ALL {
        if random.chance(400_000) {
            hints = hints.with(fault, u32::try_from(random.below(150_000)).unwrap_or(0));
        }
    }
    hints
}

/// What is written.
struct Workload {
    /// Which objects, the hot ones first.
    objects: Vec<Object>,
    /// Who writes.
    writers: Vec<usize>,
    /// Between two changes.
    pause: u64,
    /// Of 10 changes, how many are to the first object.
    heat: u64,
    /// Of 100 changes, how many delete.
    deletes: u64,
    /// How many objects a batch changes at most.
    batch: u64,
    elements: u64,
    /// True when several regions change the same in the same instant.
    together: bool,
}

impl Workload {
    fn draw(random: &mut Random, regions: usize) -> Self {
        let count = 1 + random.below(8);
        let mut objects = Vec::new();
        for number in 0..count {
            let sort = Sort::ALL[random.below(5) as usize];
            // Now and then one path holds objects of several kinds.
            let path = if random.chance(150_000) { "mixed".to_owned() } else { path(random, number) };
            objects.push((path, sort));
        }
        let one = random.below(regions as u64) as usize;
        let writers = if random.chance(100_000) { vec![one] } else { (0..regions).collect() };
        Self {
            objects,
            writers,
            pause: [20, 200, 1_500][random.below(3) as usize],
            heat: random.below(10),
            deletes: [0, 5, 30][random.below(3) as usize],
            batch: 1 + random.below(4),
            elements: 1 + random.below(6),
            together: random.chance(200_000),
        }
    }

    fn changes(&self, random: &mut Random, regions: usize, until: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        let most = 60 + random.below(240);
        let mut at = Duration::from_millis(500);
        for _ in 0..most {
            at += Duration::from_millis(random.below(2 * self.pause + 1));
            if at >= until {
                break;
            }
            let region = self.writers[random.below(self.writers.len() as u64) as usize];
            let changes = (0..1 + random.below(self.batch)).map(|_| self.change(random)).collect();
            steps.push(Step { at, region, act: Act::Change(changes) });
            if self.together && random.chance(300_000) {
                for region in (0..regions).filter(|region| self.writers.contains(region)) {
                    steps.push(Step { at, region, act: Act::Change(vec![self.change(random)]) });
                }
            }
            if random.chance(200_000) {
                steps.push(Step { at, region, act: Act::Rely });
            }
        }
        steps
    }

    fn change(&self, random: &mut Random) -> (Object, Did) {
        let hot = random.below(10) < self.heat;
        let object = if hot { 0 } else { random.below(self.objects.len() as u64) as usize };
        let object = self.objects[object].clone();
        if random.below(100) < self.deletes {
            return (object, Did::Delete);
        }
        let value = u16::try_from(random.below(self.elements)).unwrap_or(0);
        let did = match object.1 {
            Sort::Grows => Did::Count(random.below(5) as i64),
            Sort::Counter => Did::Count(random.below(9) as i64 - 4),
            Sort::Last | Sort::Every => Did::Write(u16::try_from(random.below(1_000)).unwrap_or(0)),
            Sort::Set if random.chance(400_000) => Did::Take(value),
            Sort::Set => Did::Put(value),
        };
        (object, did)
    }
}

fn path(random: &mut Random, number: u64) -> String {
    match random.below(8) {
        0 => format!("a b+c%2F/{number}"),
        1 => format!("\u{e9}\u{4e16}/{number}"),
        2 => format!("{}{number}", "long/".repeat(100)),
        _ => format!("o/{number}"),
    }
}

/// Crashes, cuts, zombies, clocks, closings and an eviction.
fn troubles(random: &mut Random, regions: usize, until: Duration, steps: &mut Vec<Step>) {
    let last = until.as_millis() as u64 - 2_000;
    let some = |random: &mut Random, most: u64| if random.chance(600_000) { random.below(most + 1) } else { 0 };
    let place = |random: &mut Random| (between(random, 800, last), random.below(regions as u64) as usize);
    for _ in 0..some(random, 8) {
        let (at, region) = place(random);
        let act = if random.chance(500_000) { Act::Crash } else { Act::CrashAfter(1 + random.below(60)) };
        steps.push(Step { at, region, act });
        // It comes back soon, late, or when it gets quiet.
        if random.chance(800_000) {
            steps.push(Step { at: at + between(random, 10, 9_000), region, act: Act::Open });
        }
    }
    for _ in 0..some(random, 6) {
        let (at, region) = place(random);
        let act = Act::Cut { from: random.below(regions as u64) as usize, lasts: between(random, 200, 30_000) };
        steps.push(Step { at, region, act });
    }
    for _ in 0..some(random, 2) {
        let (at, region) = place(random);
        steps.push(Step { at, region, act: Act::Open });
        for _ in 0..random.below(4) {
            let object = (format!("zombie/{}", random.below(2)), Sort::Counter);
            let act = Act::ChangeAsZombie(vec![(object, Did::Count(1))]);
            steps.push(Step { at: at + between(random, 0, 4_000), region, act });
        }
    }
    for _ in 0..some(random, 2) {
        let (at, region) = place(random);
        steps.push(Step { at, region, act: Act::Close });
        steps.push(Step { at: at + between(random, 500, 9_000), region, act: Act::Open });
    }
    for _ in 0..some(random, 3) {
        let (at, region) = place(random);
        let off = random.below(20 * 60_000) as i64 - 10 * 60_000;
        steps.push(Step { at, region, act: Act::Clock(off) });
    }
    if regions > 2 && random.chance(150_000) {
        let (at, region) = place(random);
        let other = (region + 1 + random.below(regions as u64 - 1) as usize) % regions;
        steps.push(Step { at, region, act: Act::Evict(other) });
    }
}
