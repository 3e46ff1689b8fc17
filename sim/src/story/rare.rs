//! Situations that hardly ever come about by themselves, since several things must happen together: drawn on purpose, seldom.
//! Layer 3.

use std::time::Duration;

use replica::Settings;

use super::{Act, Spoiled, Step, generate::between, workload::LARGE};
use crate::{
    history::{Did, Sort},
    ports::{Fault, Request},
    random::Random,
};

/// Adds them to a story, and makes its settings such that they can come about.
pub(super) fn rare(
    random: &mut Random,
    regions: usize,
    until: Duration,
    settings: &mut Settings,
    steps: &mut Vec<Step>,
) {
    let last = until.as_millis() as u64 - 2_000;
    let mut rare = Rare { random, regions, last, settings, steps };
    rare.sleepy_opener();
    rare.eviction_without_a_seal();
    rare.damage_at_rest();
    rare.burst();
    rare.early_end();
}

struct Rare<'a> {
    random: &'a mut Random,
    regions: usize,
    /// The last time for something to happen, in milliseconds.
    last: u64,
    settings: &'a mut Settings,
    steps: &'a mut Vec<Step>,
}

impl Rare<'_> {
    fn somewhere(&mut self) -> (Duration, usize) {
        let at = between(self.random, 800, self.last);
        (at, self.random.below(self.regions as u64) as usize)
    }

    fn add(&mut self, at: Duration, region: usize, act: Act) {
        self.steps.push(Step { at, region, act });
    }

    /// An opener sleeps between two of its requests, or its seal takes long, while the process before it writes on, until what it
    /// had looked at is collected: its seal can then reach a slot that was used, or be told of an object that is gone by then.
    fn sleepy_opener(&mut self) {
        if !self.random.chance(30_000) {
            return;
        }
        let soon = Duration::from_millis(600);
        let settings = &mut *self.settings;
        settings.flush_interval = settings.flush_interval.min(soon / 6);
        settings.poll_min = settings.poll_min.min(soon);
        settings.poll_max = settings.poll_max.min(soon * 2);
        settings.snapshot_interval = soon;
        settings.ack_interval = soon;
        settings.retention = soon;
        let region = self.random.below(self.regions as u64) as usize;
        let at = between(self.random, 5_000, self.last.min(20_000));
        self.add(at, region, Act::Open);
        let lasts = between(self.random, 8_000, 30_000);
        if self.random.chance(500_000) {
            let sleeps = at + between(self.random, 1, 800);
            self.add(sleeps, region, Act::Freeze(lasts));
        } else {
            let slow = Act::Meet { bucket: region, request: Request::Create, fault: Fault::Slow, skip: 0, older: 0 };
            self.add(at, region, slow);
        }
        let mut writes = at;
        while writes < at + lasts {
            writes += between(self.random, 10, 500);
            let object = (format!("zombie/{}", self.random.below(2)), Sort::Counter);
            self.add(writes, region, Act::ChangeAsZombie(vec![(object, Did::Count(1))]));
        }
    }

    /// A replica is evicted by one that cannot reach its bucket, and writes on.
    fn eviction_without_a_seal(&mut self) {
        if self.regions < 3 || !self.random.chance(20_000) {
            return;
        }
        let (at, region) = self.somewhere();
        let other = (region + 1 + self.random.below(self.regions as u64 - 1) as usize) % self.regions;
        let lasts = between(self.random, 10_000, 40_000);
        self.add(at, region, Act::Cut { from: other, lasts });
        let evicted = at + between(self.random, 50, 2_000);
        self.add(evicted, region, Act::Evict(other));
        let mut writes = at;
        while writes < at + lasts {
            writes += between(self.random, 50, 1_000);
            let object = (format!("evicted/{}", self.random.below(2)), Sort::Counter);
            self.add(writes, other, Act::Change(vec![(object, Did::Count(1))]));
        }
    }

    /// Something in a bucket is damaged where it lies; more often than not its replica is opened anew before it is mended.
    fn damage_at_rest(&mut self) {
        if !self.random.chance(40_000) {
            return;
        }
        let (at, region) = self.somewhere();
        let what = Spoiled::ALL[self.random.below(Spoiled::ALL.len() as u64) as usize];
        self.add(at, region, Act::Spoil(what));
        if what == Spoiled::Manifests && self.random.chance(700_000) {
            // Nothing is collected, so that a recovery can do without a snapshot.
            self.settings.retention = Duration::from_secs(120);
        }
        if self.random.chance(800_000) {
            self.add(at, region, Act::Crash);
            let at = at + between(self.random, 10, 3_000);
            self.add(at, region, Act::Open);
        }
    }

    /// More is written at once than goes into one segment.
    fn burst(&mut self) {
        if !self.random.chance(4_000) {
            return;
        }
        let (at, region) = self.somewhere();
        for number in 0..20 {
            let object = (format!("large/{number}"), Sort::Every);
            self.add(at, region, Act::Change(vec![(object, Did::Write(LARGE + number))]));
        }
    }

    /// A region ends early, and comes back when it gets quiet.
    fn early_end(&mut self) {
        if !self.random.chance(80_000) {
            return;
        }
        let (at, region) = self.somewhere();
        self.steps.retain(|step| step.region != region || step.at < at || !matches!(step.act, Act::Open));
        let act = if self.random.chance(500_000) { Act::Close } else { Act::Crash };
        self.add(at, region, act);
    }
}
