//! Shrinking a story that fails: as little as possible happens in it, and the same check fails.
//! Layer 5.
//!
//! First, what was met by chance becomes steps that say so, one for each request ([`spell_out`]). Then delta debugging
//! (Zeller, Hildebrandt, 2002) leaves out steps and the changes of batches, and the rest is made simpler: regions, objects,
//! settings, delays, times. It all goes on until nothing helps any more, or the effort is spent.

mod simpler;
mod spelled;
mod stubborn;

use std::mem::discriminant;

use crate::{
    play::{Outcome, play},
    ports::{Fault, HintFault},
    story::{Act, Story},
};

pub use spelled::spell_out;

/// How much may be tried. What comes of it does not depend on how fast the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// How many plays.
    pub plays: u64,
    /// How many events, in all of them.
    pub events: u64,
}

impl Default for Effort {
    /// About half a minute.
    fn default() -> Self {
        Self { plays: 10_000, events: 12_000_000 }
    }
}

/// What came of shrinking.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest story found in which the check fails.
    pub story: Story,
    /// How many were played.
    pub plays: u64,
    /// How many events were in them.
    pub events: u64,
}

/// Makes a story smaller in which this check fails.
#[must_use]
pub fn shrink(story: &Story, check: &str, effort: Effort) -> Shrunk {
    shrink_with(story, check, effort, play)
}

/// The same for whoever plays stories otherwise.
pub(crate) fn shrink_with(story: &Story, check: &str, effort: Effort, play: impl Fn(&Story) -> Outcome) -> Shrunk {
    let mut shrinking = Shrinking { best: story.clone(), check, play: &play, effort, plays: 0, events: 0 };
    shrinking.spell_out();
    for pass in 0.. {
        let before = shrinking.size();
        shrinking.calm();
        shrinking.kinds();
        shrinking.steps();
        shrinking.changes();
        shrinking.regions();
        shrinking.simplify();
        shrinking.pairs();
        shrinking.with_other_delays();
        // Once more in any case: with simple delays less depends on what else happens. Then what was only made simpler leaves
        // nothing new to try.
        if shrinking.size() >= before && pass > 0 || shrinking.is_spent() {
            break;
        }
    }
    let Shrinking { best: story, plays, events, .. } = shrinking;
    Shrunk { story, plays, events }
}

struct Shrinking<'a> {
    best: Story,
    check: &'a str,
    play: &'a dyn Fn(&Story) -> Outcome,
    effort: Effort,
    plays: u64,
    events: u64,
}

impl Shrinking<'_> {
    /// How much happens.
    fn size(&self) -> usize {
        let steps: usize = self.best.steps.iter().map(|step| 1 + step.act.changes()).sum();
        steps + self.best.regions
    }

    const fn is_spent(&self) -> bool {
        self.plays >= self.effort.plays || self.events >= self.effort.events
    }

    fn play(&mut self, story: &Story) -> Outcome {
        let outcome = (self.play)(story);
        self.plays += 1;
        self.events += outcome.trace.events;
        outcome
    }

    /// Keeps a story if it is another one and the same check fails in it.
    fn keep_if_failing(&mut self, mut story: Story) -> bool {
        if self.is_spent() || story == self.best {
            return false;
        }
        let Some(failure) = self.play(&story).failure.filter(|failure| failure.check == self.check) else {
            return false;
        };
        // What comes after the failure has no part in it.
        story.steps.retain(|step| step.at <= failure.at);
        self.best = story;
        true
    }

    /// Keeps what a change makes of the story, if it still fails.
    fn try_to(&mut self, change: impl FnOnce(&mut Story)) -> bool {
        let mut story = self.best.clone();
        change(&mut story);
        self.keep_if_failing(story)
    }

    /// What was met by chance is met by what steps say.
    fn spell_out(&mut self) {
        let outcome = self.play(&self.best.clone());
        let spelled = spell_out(&self.best, &outcome.told);
        self.keep_if_failing(spelled);
    }

    /// Without what happens by chance.
    fn calm(&mut self) {
        self.try_to(|story| story.hints = None);
        self.try_to(|story| story.faults = story.faults.clone().never());
        for fault in Fault::ALL {
            self.try_to(|story| story.faults = story.faults.clone().with(fault, 0));
        }
        for fault in HintFault::ALL {
            self.try_to(|story| story.hints = story.hints.take().map(|hints| hints.with(fault, 0)));
        }
    }

    /// Without all steps of one kind, or all that say of one fault that it is met.
    fn kinds(&mut self) {
        for gone in Fault::ALL {
            let says_so = |act: &Act| matches!(act, Act::Meet { fault, .. } if *fault == gone);
            self.try_to(|story| story.steps.retain(|step| !says_so(&step.act)));
        }
        let mut at = 0;
        while let Some(step) = self.best.steps.get(at) {
            let kind = discriminant(&step.act);
            let is_first = self.best.steps[..at].iter().all(|step| discriminant(&step.act) != kind);
            if !is_first || !self.try_to(|story| story.steps.retain(|step| discriminant(&step.act) != kind)) {
                at += 1;
            }
        }
    }

    /// Without some steps, in ever smaller groups.
    fn steps(&mut self) {
        let mut size = self.best.steps.len().next_power_of_two() / 2;
        while size > 0 {
            // From the end, so that what is left keeps its causes as long as possible.
            let mut until = self.best.steps.len();
            while until > 0 {
                let from = until.saturating_sub(size);
                self.try_to(|story| drop(story.steps.drain(from..until)));
                until = from.min(self.best.steps.len());
            }
            size /= 2;
        }
    }

    /// Without some changes of a batch.
    fn changes(&mut self) {
        for step in (0..self.best.steps.len()).rev() {
            let mut at = self.best.steps.get(step).map_or(0, |step| step.act.changes());
            while at > 0 && self.best.steps.get(step).is_some_and(|step| step.act.changes() > 1) {
                at -= 1;
                self.try_to(|story| {
                    if let Act::Change(changes) | Act::ChangeAsZombie(changes) = &mut story.steps[step].act
                        && at < changes.len()
                    {
                        changes.remove(at);
                    }
                });
            }
        }
    }

    /// Without a region.
    fn regions(&mut self) {
        for gone in (0..self.best.regions).rev() {
            if self.best.regions > 2 {
                self.try_to(|story| without(story, gone));
            }
        }
    }
}

/// Takes a region out of a story, and whatever concerns it. Those above it move down.
fn without(story: &mut Story, gone: usize) {
    let regions = story.regions;
    // The replicas of a region are as many apart as there are regions.
    let moved =
        |replica: usize| replica / regions * (regions - 1) + replica % regions - usize::from(replica % regions > gone);
    story.regions -= 1;
    story.steps.retain(|step| {
        let of_it = step.act.replica().is_some_and(|replica| replica % regions == gone);
        step.region % regions != gone && step.act.bucket() != Some(&gone) && !of_it
    });
    for step in &mut story.steps {
        step.region = moved(step.region);
        match &mut step.act {
            Act::Cut { from: bucket, .. } | Act::Meet { bucket, .. } => *bucket -= usize::from(*bucket > gone),
            Act::Evict(replica) | Act::Follow(replica) => *replica = moved(*replica),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        history::Did,
        machine::Trace,
        play::Failure,
        ports::What,
        story::{Step, generate},
    };

    fn failure() -> Failure {
        Failure { check: "a check", must: "it holds", seen: "it does not".to_owned(), at: Duration::MAX }
    }

    /// A play in which nothing happens but that the check fails when the story is like that.
    fn when(is_so: impl Fn(&Story) -> bool) -> impl Fn(&Story) -> Outcome {
        move |story| Outcome {
            failure: is_so(story).then(failure),
            trace: Trace::default(),
            lasted: Duration::ZERO,
            changes: 0,
            faults: Default::default(),
            points: Default::default(),
            told: Vec::new(),
        }
    }

    fn deletes(story: &Story) -> usize {
        let changes = story.steps.iter().filter_map(|step| match &step.act {
            Act::Change(changes) => Some(changes),
            _ => None,
        });
        changes.flatten().filter(|(_, did)| *did == Did::Delete).count()
    }

    #[test]
    fn what_the_failure_needs_is_left_and_nothing_else() {
        let mut shrunk_some = 0;
        for seed in 0..60 {
            let story = generate(seed, 5);
            let needs = |story: &Story| {
                deletes(story) >= 2
                    && story.steps.iter().any(|step| matches!(step.act, Act::Crash))
                    && story.regions >= 3
            };
            if !needs(&story) {
                continue;
            }
            shrunk_some += 1;
            let Shrunk { story: small, plays, .. } = shrink_with(&story, "a check", Effort::default(), when(needs));
            assert!(needs(&small));
            assert_eq!((deletes(&small), small.regions), (2, 3), "seed {seed}: {small}");
            let changes: usize = small.steps.iter().map(|step| step.act.changes()).sum();
            assert!(changes == 2 && small.steps.len() <= 3, "seed {seed}: {small}");
            assert!(small.hints.is_none() && plays < 5_000, "seed {seed}: {plays} plays");
        }
        assert!(shrunk_some > 5, "{shrunk_some}");
    }

    fn story_of(acts: Vec<Act>) -> Story {
        let step = |(number, act)| Step { at: Duration::from_secs(number), region: 0, act };
        Story { seed: 1, steps: (1..).zip(acts).map(step).collect(), ..Story::default() }
    }

    #[test]
    fn what_goes_only_together_is_left_out_together() {
        let story = story_of(vec![Act::Crash, Act::Rely, Act::Close]);
        let count = |story: &Story, act: &Act| story.steps.iter().filter(|step| step.act == *act).count();
        let is_balanced = move |story: &Story| {
            count(story, &Act::Crash) == count(story, &Act::Close) && count(story, &Act::Rely) == 1
        };
        let small = shrink_with(&story, "a check", Effort::default(), when(is_balanced)).story;
        assert_eq!(small.steps.len(), 1, "{small}");
    }

    #[test]
    fn what_goes_only_with_other_delays_is_left_out_with_them() {
        let story = story_of(vec![Act::Crash, Act::Open, Act::Rely, Act::Image, Act::Crash]);
        let is_its_seed = |story: &Story| story.seed % 4 == story.steps.len() as u64 % 4;
        let small = shrink_with(&story, "a check", Effort::default(), when(is_its_seed)).story;
        assert!(small.steps.is_empty(), "{small}");
    }

    #[test]
    fn another_check_is_not_taken_for_the_same() {
        let story = generate(1, 3);
        let shrunk = shrink_with(&story, "another check", Effort::default(), when(|_| true));
        assert_eq!(shrunk.story, story);
    }

    #[test]
    fn no_more_is_tried_than_was_asked_for() {
        let story = generate(1, 3);
        let shrunk = shrink_with(&story, "a check", Effort { plays: 5, events: u64::MAX }, when(|_| true));
        assert_eq!(shrunk.plays, 5);
    }

    #[test]
    fn of_faults_by_chance_the_ones_that_matter_are_left_as_steps() {
        let mut shrunk_some = 0;
        for seed in 0..40 {
            let story = generate(seed, 3);
            // Two answers to creates must be lost, in two regions.
            let player = |story: &Story| {
                let mut outcome = play(story);
                let lost = |told: &crate::ports::Told| match told.what {
                    What::Asked { fault: Some(Fault::AnswerLost), .. } => Some(told.by.region),
                    _ => None,
                };
                let regions: std::collections::BTreeSet<usize> = outcome.told.iter().filter_map(lost).collect();
                outcome.failure = (regions.len() >= 2).then(failure);
                outcome
            };
            if player(&story).failure.is_none() {
                continue;
            }
            shrunk_some += 1;
            let small = shrink_with(&story, "a check", Effort::default(), player).story;
            let is_meeting =
                |step: &&crate::story::Step| matches!(step.act, Act::Meet { fault: Fault::AnswerLost, .. });
            assert_eq!(small.steps.iter().filter(is_meeting).count(), 2, "seed {seed}: {small}");
            assert!(
                small.steps.len() <= 8 && (!small.faults.by_chance || small.faults == small.faults.clone().never()),
                "seed {seed}: {small}"
            );
            if shrunk_some == 3 {
                break;
            }
        }
        assert!(shrunk_some > 0);
    }
}
