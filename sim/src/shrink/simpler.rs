//! Making what is left of a story simpler to read: settings, delays, objects, times.
//! Layer 5.

use std::{collections::BTreeMap, time::Duration};

use replica::Settings;

use super::Shrinking;
use crate::{
    history::{Did, Object},
    story::{Act, Story},
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Each interval, as it is in a simple story.
const SIMPLE: [fn(&mut Settings); 8] = [
    |settings| settings.flush_interval = ms(100),
    |settings| (settings.poll_min, settings.poll_max) = (ms(100), ms(200)),
    |settings| settings.discovery_interval = ms(1_000),
    |settings| settings.catch_up = ms(2_000),
    |settings| settings.snapshot_interval = ms(1_000),
    |settings| settings.ack_interval = ms(500),
    |settings| settings.retention = ms(1_000),
    |settings| settings.max_lag = ms(3_600_000),
];

impl Shrinking<'_> {
    pub(super) fn simplify(&mut self) {
        self.settings();
        self.delays();
        self.objects();
        self.crashes();
        self.times();
    }

    fn settings(&mut self) {
        if !self.try_to(|story| SIMPLE.iter().for_each(|set| set(&mut story.settings))) {
            for set in SIMPLE {
                self.try_to(|story| set(&mut story.settings));
            }
        }
    }

    fn delays(&mut self) {
        let is_done = self.try_to(|story| story.faults.latency = (ms(10), ms(10)));
        if !is_done && self.best.faults.latency != (ms(10), ms(10)) {
            self.try_to(|story| story.faults.latency.1 = story.faults.latency.0);
            self.try_to(|story| story.faults.latency.1 = story.faults.latency.1.min(ms(60)));
        }
        self.try_to(|story| story.faults.late_max = ms(1_000));
        self.try_to(|story| story.hints.iter_mut().for_each(|hints| hints.latency = ms(10)));
        for step in 0..self.best.steps.len() {
            for shortest in [ms(500), ms(2_000), ms(5_000)] {
                let shorter = |story: &mut Story| {
                    if let Some(Act::Cut { lasts, .. }) = story.steps.get_mut(step).map(|step| &mut step.act) {
                        *lasts = shortest.min(*lasts);
                    }
                };
                if self.try_to(shorter) {
                    break;
                }
            }
        }
    }

    fn objects(&mut self) {
        let names: BTreeMap<String, String> = {
            let mut paths: Vec<&String> = objects(&self.best).map(|(path, _)| path).collect();
            paths.sort();
            paths.dedup();
            paths.iter().zip('a'..='z').map(|(path, letter)| ((*path).clone(), letter.to_string())).collect()
        };
        self.try_to(|story| {
            each_change(story, |(path, _), _| {
                if let Some(name) = names.get(path) {
                    path.clone_from(name);
                }
            });
        });
        // Two objects of one sort may do as one.
        let all: Vec<Object> = objects(&self.best).cloned().collect();
        for (index, object) in all.iter().enumerate() {
            if let Some(other) = all[..index].iter().find(|other| other.1 == object.1 && *other != object) {
                self.try_to(|story| {
                    each_change(story, |of, _| {
                        if of == object {
                            of.clone_from(other);
                        }
                    });
                });
            }
        }
        self.try_to(|story| {
            each_change(story, |_, did| {
                if let Did::Count(by) = did {
                    *by = by.signum();
                }
            });
        });
        self.try_to(|story| {
            each_change(story, |_, did| {
                if let Did::Put(value) | Did::Take(value) | Did::Write(value) = did {
                    *value = 1;
                }
            });
        });
        let mut known: Vec<u16> = Vec::new();
        self.try_to(|story| {
            each_change(story, |_, did| {
                if let Did::Put(value) | Did::Take(value) | Did::Write(value) = did {
                    let at = known.iter().position(|known| known == value).unwrap_or_else(|| {
                        known.push(*value);
                        known.len() - 1
                    });
                    *value = u16::try_from(at + 1).unwrap_or(u16::MAX);
                }
            });
        });
    }

    /// A crash at an await, as a crash at a time.
    fn crashes(&mut self) {
        for step in 0..self.best.steps.len() {
            self.try_to(|story| {
                if let Some(act @ Act::CrashAfter(_)) = story.steps.get_mut(step).map(|step| &mut step.act) {
                    *act = Act::Crash;
                }
            });
        }
    }

    fn times(&mut self) {
        for step in (0..=self.best.steps.len()).rev() {
            for shortest in [ms(0), ms(100), ms(1_000)] {
                if self.try_to(|story| shorten(story, step, shortest)) {
                    break;
                }
            }
        }
        for rounded in [1_000, 100, 10, 1] {
            if self.try_to(|story| story.steps.iter_mut().for_each(|step| step.at = round(step.at, rounded))) {
                break;
            }
        }
        for step in 0..self.best.steps.len() {
            for rounded in [100, 10, 1] {
                let one = |story: &mut Story| {
                    let Some(at) = story.steps.get(step).map(|step| round(step.at, rounded)) else { return };
                    let from = if step == 0 { Duration::ZERO } else { story.steps[step - 1].at };
                    let until = story.steps.get(step + 1).map_or(story.quiet_from, |next| next.at);
                    story.steps[step].at = at.clamp(from, until.max(from));
                };
                if self.try_to(one) {
                    break;
                }
            }
        }
        self.try_to(|story| story.quiet_from = round(story.quiet_from, 100));
    }
}

/// Lets at most so much time pass before a step, or before it gets quiet, and moves what follows with it.
fn shorten(story: &mut Story, step: usize, most: Duration) {
    let from = if step == 0 { Duration::ZERO } else { story.steps[step - 1].at };
    let at = story.steps.get(step).map_or(story.quiet_from, |step| step.at);
    let less = at.saturating_sub(from).saturating_sub(most);
    story.steps.iter_mut().skip(step).for_each(|step| step.at -= less);
    story.quiet_from = story.quiet_from.saturating_sub(less);
}

fn round(time: Duration, to_ms: u64) -> Duration {
    let to = u128::from(to_ms) * 1_000_000;
    let rounded = (time.as_nanos() + to / 2) / to * to;
    Duration::from_nanos(u64::try_from(rounded).unwrap_or(u64::MAX))
}

/// The objects of a story, each as often as it is changed.
fn objects(story: &Story) -> impl Iterator<Item = &Object> {
    story
        .steps
        .iter()
        .flat_map(|step| match &step.act {
            Act::Change(changes) | Act::ChangeAsZombie(changes) => &changes[..],
            _ => &[],
        })
        .map(|(object, _)| object)
}

fn each_change(story: &mut Story, mut change: impl FnMut(&mut Object, &mut Did)) {
    for step in &mut story.steps {
        if let Act::Change(changes) | Act::ChangeAsZombie(changes) = &mut step.act {
            changes.iter_mut().for_each(|(object, did)| change(object, did));
        }
    }
}
