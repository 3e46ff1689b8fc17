//! The scenarios into which troubles come: what each does, and which processes are watched in it.
//! Layer 5.
//!
//! They have no chance: no fault but the troubles, and latencies that are fixed. Logs are read when somebody is told
//! of them, so that nothing but what the scenario is about happens in its phase.

use std::time::Duration;

use super::troubles::{Template, Watched};
use crate::{
    history::{Did, Object, Sort},
    ports::{Faults, HintFault, HintFaults},
    story::{Act, Step, Story},
};

/// How long a recovery is watched: longer than the slowest request and the opening behind it.
const RECOVERY: Duration = ms(3_000);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A story in which nothing happens by chance.
pub(super) fn still(regions: usize) -> Story {
    let mut story = Story { seed: 1, regions, ..Story::default() };
    let settings = &mut story.settings;
    settings.flush_interval = ms(50);
    (settings.poll_min, settings.poll_max) = (ms(5_000), ms(5_000));
    settings.discovery_interval = ms(100_000);
    settings.catch_up = ms(500);
    settings.snapshot_interval = ms(100_000);
    settings.ack_interval = ms(200);
    settings.retention = ms(1_000);
    settings.shards = 2;
    story.faults = Faults::none().taking(ms(10), ms(10));
    story.faults.late_max = ms(500);
    story.hints = Some(HintFaults::none().with(HintFault::Lost, 1_000_000));
    story
}

/// Writes a template down, step by step.
struct Writing {
    template: Template,
}

impl Writing {
    fn new(regions: usize) -> Self {
        let (watched, until) = (Vec::new(), Duration::ZERO);
        Self { template: Template { story: still(regions), watched, until, recovery: RECOVERY } }
    }

    fn then(mut self, at: u64, region: usize, act: Act) -> Self {
        self.template.story.steps.push(Step { at: ms(at), region, act });
        self
    }

    fn change(self, at: u64, region: usize, changes: &[(&str, Sort, Did)]) -> Self {
        self.then(at, region, Act::Change(objects(changes)))
    }

    /// From here on the newest process of a region is watched.
    fn watch(mut self, at: u64, log: usize, reopens: bool) -> Self {
        let step = self.template.story.steps.len();
        self.template.watched.push(Watched { log, step, from: ms(at), reopens });
        self
    }

    fn until(mut self, until: u64) -> Template {
        (self.template.until, self.template.story.quiet_from) = (ms(until), ms(until));
        self.template
    }
}

fn objects(changes: &[(&str, Sort, Did)]) -> Vec<(Object, Did)> {
    changes.iter().map(|(path, sort, did)| (((*path).to_owned(), *sort), *did)).collect()
}

const SET: Sort = Sort::Set;
const COUNTER: Sort = Sort::Counter;

/// Its own snapshot, a log behind it that ends in a crash, and a peer that has read some of it.
pub(super) fn open() -> Template {
    Writing::new(2)
        .change(1_000, 0, &[("a", SET, Did::Put(1)), ("c", COUNTER, Did::Count(1))])
        .then(1_200, 0, Act::Close)
        .then(1_500, 0, Act::Open)
        .then(2_000, 1, Act::Hear(0))
        .change(2_100, 1, &[("a", SET, Did::Put(2)), ("c", COUNTER, Did::Delete)])
        .change(2_200, 0, &[("a", SET, Did::Take(1)), ("c", COUNTER, Did::Count(2))])
        .then(2_200, 0, Act::Rely)
        .then(2_400, 0, Act::Crash)
        .then(2_500, 0, Act::Open)
        .watch(2_500, 0, true)
        .until(5_500)
}

pub(super) fn flush() -> Template {
    Writing::new(2)
        .watch(1_000, 0, true)
        .change(1_000, 0, &[("a", SET, Did::Put(1)), ("c", COUNTER, Did::Count(1))])
        .then(1_000, 0, Act::Rely)
        .change(1_055, 0, &[("a", SET, Did::Take(1)), ("c", COUNTER, Did::Count(2))])
        .then(1_055, 0, Act::Rely)
        .watch(1_100, 1, true)
        .then(1_100, 1, Act::Hear(0))
        .then(1_200, 1, Act::Hear(0))
        .until(4_000)
}

pub(super) fn pull() -> Template {
    Writing::new(2)
        .change(1_000, 0, &[("a", SET, Did::Put(1)), ("c", COUNTER, Did::Count(1))])
        .then(1_000, 0, Act::Rely)
        .then(1_200, 0, Act::Crash)
        .then(1_200, 0, Act::Open)
        .change(1_700, 0, &[("a", SET, Did::Take(1)), ("a", SET, Did::Put(2)), ("c", COUNTER, Did::Delete)])
        .then(1_700, 0, Act::Rely)
        .then(1_900, 0, Act::Crash)
        .watch(1_900, 1, true)
        .then(1_900, 1, Act::Hear(0))
        .then(1_900, 0, Act::Open)
        .watch(1_900, 0, true)
        .then(2_150, 1, Act::Hear(0))
        .change(2_400, 0, &[("a", SET, Did::Put(3))])
        .then(2_500, 1, Act::Hear(0))
        .until(4_900)
}

pub(super) fn snapshot() -> Template {
    let mut writing = Writing::new(2);
    writing.template.story.settings.snapshot_interval = ms(6_000);
    writing
        .change(1_000, 0, &[("a", SET, Did::Put(1)), ("c", COUNTER, Did::Count(1))])
        .change(1_000, 1, &[("a", SET, Did::Put(2))])
        .then(1_200, 0, Act::Hear(1))
        .watch(6_000, 0, true)
        .change(6_000, 0, &[("a", SET, Did::Take(2)), ("c", COUNTER, Did::Count(2))])
        // The snapshot is cut at about 6.2 s.
        .change(6_170, 0, &[("a", SET, Did::Put(3))])
        .then(6_170, 0, Act::Rely)
        .change(6_230, 0, &[("a", SET, Did::Take(1)), ("c", COUNTER, Did::Delete)])
        .then(6_300, 1, Act::Hear(0))
        .until(9_000)
}

pub(super) fn collect() -> Template {
    let mut writing = Writing::new(2);
    let settings = &mut writing.template.story.settings;
    (settings.snapshot_interval, settings.retention) = (ms(2_000), ms(100));
    writing
        .change(1_000, 0, &[("a", SET, Did::Put(1)), ("c", COUNTER, Did::Count(1))])
        .then(1_200, 1, Act::Hear(0))
        .change(1_300, 1, &[("a", SET, Did::Put(2)), ("c", COUNTER, Did::Delete)])
        .then(1_500, 0, Act::Hear(1))
        .then(5_000, 1, Act::Hear(0))
        .then(5_000, 0, Act::Hear(1))
        .change(5_100, 0, &[("a", SET, Did::Take(2))])
        .then(5_300, 1, Act::Hear(0))
        // Both collect at about 6.2 s.
        .watch(6_000, 0, true)
        .watch(6_000, 1, true)
        .change(6_150, 0, &[("a", SET, Did::Put(3))])
        .then(6_300, 1, Act::Hear(0))
        .until(8_000)
}

pub(super) fn take_over() -> Template {
    Writing::new(2)
        .change(1_000, 0, &[("a", SET, Did::Put(1)), ("c", COUNTER, Did::Count(1))])
        .then(1_000, 0, Act::Rely)
        .watch(1_300, 0, false)
        .then(1_300, 0, Act::Open)
        .watch(1_300, 0, true)
        .then(1_310, 0, Act::ChangeAsZombie(objects(&[("a", SET, Did::Take(1)), ("c", COUNTER, Did::Count(2))])))
        .then(1_450, 0, Act::ChangeAsZombie(objects(&[("c", COUNTER, Did::Count(4))])))
        .change(1_700, 0, &[("a", SET, Did::Put(2)), ("c", COUNTER, Did::Count(8))])
        .then(1_700, 0, Act::Rely)
        .then(1_800, 1, Act::Hear(0))
        .until(4_300)
}

pub(super) fn evict() -> Template {
    Writing::new(3)
        .change(1_000, 0, &[("a", SET, Did::Put(1)), ("c", COUNTER, Did::Count(1))])
        .change(1_000, 2, &[("a", SET, Did::Put(2))])
        .then(1_200, 1, Act::Hear(0))
        .watch(1_500, 0, true)
        .change(1_500, 0, &[("a", SET, Did::Take(1)), ("c", COUNTER, Did::Count(2))])
        .watch(1_500, 1, true)
        .then(1_500, 1, Act::Evict(0))
        .then(1_800, 2, Act::Hear(0))
        .then(1_900, 2, Act::Hear(1))
        .then(2_000, 0, Act::Hear(1))
        .until(4_500)
}
