//! Shrinking a story that fails: as little as possible happens in it, and the same check fails.
//! Layer 5.
//!
//! Delta debugging (Zeller, Hildebrandt, 2002) over the steps, then over the changes of each batch; faults go last.

use crate::{
    play::{Outcome, play},
    ports::{Fault, Faults},
    story::{Act, Story},
};

/// The smallest story found in which the same check fails, and how many were played.
#[must_use]
pub fn shrink(story: &Story, check: &str, most: u64) -> (Story, u64) {
    shrink_with(story, check, most, play)
}

/// The same for whoever plays stories otherwise.
pub(crate) fn shrink_with(story: &Story, check: &str, most: u64, play: impl Fn(&Story) -> Outcome) -> (Story, u64) {
    let mut shrinking = Shrinking { best: story.clone(), check, play: &play, played: 0, most };
    let mut before = usize::MAX;
    while shrinking.size() < before && shrinking.played < most {
        before = shrinking.size();
        shrinking.calm();
        shrinking.steps();
        shrinking.changes();
    }
    (shrinking.best, shrinking.played)
}

struct Shrinking<'a> {
    best: Story,
    check: &'a str,
    play: &'a dyn Fn(&Story) -> Outcome,
    played: u64,
    most: u64,
}

impl Shrinking<'_> {
    fn size(&self) -> usize {
        self.best.steps.iter().map(|step| 1 + step.act.changes()).sum()
    }

    /// Keeps a story if the same check fails in it.
    fn keep_if_failing(&mut self, story: Story) -> bool {
        if self.played >= self.most {
            return false;
        }
        self.played += 1;
        let fails = (self.play)(&story).failure.is_some_and(|failure| failure.check == self.check);
        if fails {
            self.best = story;
        }
        fails
    }

    /// Without faults, or without some of them.
    fn calm(&mut self) {
        let latency = self.best.faults.latency;
        let calm = Faults::none().taking(latency.0, latency.1);
        if self.keep_if_failing(Story { faults: calm, hints: None, ..self.best.clone() }) {
            return;
        }
        for fault in Fault::ALL {
            let faults = self.best.faults.clone().with(fault, 0);
            self.keep_if_failing(Story { faults, ..self.best.clone() });
        }
        self.keep_if_failing(Story { hints: None, ..self.best.clone() });
    }

    fn steps(&mut self) {
        let mut size = self.best.steps.len().next_power_of_two();
        while size > 0 {
            let mut from = 0;
            while from < self.best.steps.len() {
                let mut story = self.best.clone();
                story.steps.drain(from..(from + size).min(self.best.steps.len()));
                if !self.keep_if_failing(story) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn changes(&mut self) {
        for step in 0..self.best.steps.len() {
            let mut at = 0;
            while at < self.best.steps[step].act.changes() && self.best.steps[step].act.changes() > 1 {
                let mut story = self.best.clone();
                if let Act::Change(changes) | Act::ChangeAsZombie(changes) = &mut story.steps[step].act {
                    changes.remove(at);
                }
                if !self.keep_if_failing(story) {
                    at += 1;
                }
            }
        }
    }
}
