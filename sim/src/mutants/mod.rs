//! Faults that are planted in the engine on purpose, each of which a check must find: the test of the tests.
//! Layer 5.
//!
//! A simulator that has never missed a fault may be one that cannot see any. Each [`Planted`] is made where somebody could
//! have made it by mistake, and names the checks that must find it. Whoever adds a check or changes what is drawn runs them:
//! what survives shows what has gone blind.

mod list;
mod profile;

use std::{collections::BTreeMap, time::Duration};

use replica::planted::{Mutant, plant};

pub use list::MUTANTS;
pub use profile::Profile;

use crate::{
    play::{Failure, play},
    shrink::{Effort, Shrunk, shrink},
    story::Story,
};

/// A fault that can be planted.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// Its name on the command line.
    pub name: &'static str,
    /// Which it is in the engine.
    pub mutant: Mutant,
    /// What is wrong with it.
    pub wrong: &'static str,
    /// Where such a fault was made, or is warned of.
    pub source: &'static str,
    /// The checks that must find it: any of them.
    pub checks: &'static [&'static str],
    /// The stories in which it shows.
    pub profile: Profile,
}

/// What became of a fault that was planted.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which.
    pub planted: &'static Planted,
    /// The seed and the check that found it; `None` if it has survived.
    pub found: Option<(u64, Failure)>,
    /// How many stories were played.
    pub seeds: u64,
    /// How many of them failed a check that was not named, by that check.
    pub others: BTreeMap<&'static str, u64>,
    /// What it took.
    pub took: Duration,
}

/// How long a fault is looked for: so many stories, or so much time, whichever ends first.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many stories.
    pub seeds: u64,
    /// How much time, as the caller measures it.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { seeds: 2_000, time: Duration::from_secs(30) }
    }
}

/// Takes the fault out again, also when a panic passes.
struct Until;

impl Drop for Until {
    fn drop(&mut self) {
        plant(None);
    }
}

impl Planted {
    /// The fault of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        MUTANTS.iter().find(|planted| planted.name == name)
    }

    /// The story of a seed in which it should show.
    #[must_use]
    pub fn story(&self, seed: u64) -> Story {
        self.profile.story(seed)
    }

    /// Plays a story with the fault planted.
    #[must_use]
    pub fn play(&self, story: &Story) -> Option<Failure> {
        self.during(|| play(story).failure)
    }

    /// Does something with the fault planted in this thread.
    pub fn during<T>(&self, what: impl FnOnce() -> T) -> T {
        plant(Some(self.mutant));
        let _until = Until;
        what()
    }

    /// Makes a story small in which this check finds the fault.
    #[must_use]
    pub fn shrink(&self, story: &Story, check: &str, effort: Effort) -> Shrunk {
        plant(Some(self.mutant));
        let _until = Until;
        shrink(story, check, effort)
    }

    /// Plays stories until one of the named checks does not hold. `clock` is asked how much time has passed.
    #[must_use]
    pub fn look(&'static self, limits: Limits, clock: &dyn Fn() -> Duration) -> Verdict {
        let began = clock();
        let mut verdict =
            Verdict { planted: self, found: None, seeds: 0, others: BTreeMap::new(), took: Duration::ZERO };
        while verdict.found.is_none() && verdict.seeds < limits.seeds && verdict.took < limits.time {
            let seed = verdict.seeds;
            match self.play(&self.story(seed)) {
                Some(failure) if self.checks.contains(&failure.check) => verdict.found = Some((seed, failure)),
                Some(failure) => *verdict.others.entry(failure.check).or_default() += 1,
                None => {}
            }
            verdict.seeds += 1;
            verdict.took = clock().saturating_sub(began);
        }
        verdict
    }
}
