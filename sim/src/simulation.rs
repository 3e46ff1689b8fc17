//! Many stories of a user's service, and what they have shown.
//! Layer 6.

use std::{fmt, ops::Range};

use crate::{
    play::{Failure, Outcome, play_with},
    ports::{Fault, Faults},
    random::Random,
    service::{Service, Serving},
    shrink::{Effort, shrink_with},
    story::{Act, Story, generate},
};

/// Looks for a story in which a service does not keep what it promises.
///
/// Each seed gives one story: requests in every region, and a choice of what can happen to a replica and its buckets; see
/// [`Simulation::without`]. In each the checks of Archipelago itself hold as well.
#[derive(Debug)]
pub struct Simulation<'a, S> {
    service: &'a S,
    regions: usize,
    without: Vec<Trouble>,
    quiet: bool,
}

/// What can happen to a replica, beside faults of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its process is gone, and started again some time later.
    Crashes,
    /// Another process takes its name.
    TakeOvers,
    /// Its process does nothing for a while, and then goes on.
    Freezes,
    /// A bucket cannot be reached for a while.
    Outages,
    /// Its clock is wrong.
    Clocks,
    /// A request to a bucket meets this.
    Requests(Fault),
    /// Hints are lost, late, doubled or wrong.
    Hints,
}

/// What stories have shown when nothing failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many were played.
    pub stories: u64,
    /// How many requests were served in them.
    pub requests: usize,
    /// Completed port calls, timers, deliveries and operations.
    pub events: u64,
}

/// A story that fails, made as small as it gets.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed of the story that it was made of.
    pub seed: u64,
    /// What happens in it.
    pub story: Story,
    /// What is wrong.
    pub failure: Failure,
}

impl<'a, S: Service> Simulation<'a, S> {
    /// Three regions, and all that can happen to them.
    #[must_use]
    pub const fn new(service: &'a S) -> Self {
        Self { service, regions: 3, without: Vec::new(), quiet: false }
    }

    /// So many regions, 2 to 7.
    #[must_use]
    pub fn regions(mut self, regions: usize) -> Self {
        self.regions = regions.clamp(2, 7);
        self
    }

    /// The same, and this never happens.
    #[must_use]
    pub fn without(mut self, trouble: Trouble) -> Self {
        self.without.push(trouble);
        self
    }

    /// The same, and nothing ever goes wrong: what fails then fails by concurrency alone.
    #[must_use]
    pub const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// The story of a seed.
    ///
    /// # Panics
    ///
    /// When a request cannot be written as JSON.
    #[must_use]
    pub fn story(&self, seed: u64) -> Story {
        let mut random = Random::named(seed, "requests");
        let mut story = generate(seed, self.regions);
        story.steps.retain(|step| step.region < self.regions && !self.is_left_out(&step.act));
        for step in &mut story.steps {
            if matches!(step.act, Act::Change(_)) {
                let request = serde_json::to_string(&self.service.request(&mut random));
                step.act = Act::Ask(request.unwrap_or_else(|error| panic!("a request is not JSON: {error}")));
            }
        }
        for fault in Fault::ALL {
            if self.quiet || self.without.contains(&Trouble::Requests(fault)) {
                story.faults = story.faults.with(fault, 0);
            }
        }
        if self.quiet {
            let (shortest, longest) = story.faults.latency;
            story.faults = Faults::none().taking(shortest, longest);
        }
        if self.quiet || self.without.contains(&Trouble::Hints) {
            story.hints = None;
        }
        story
    }

    fn is_left_out(&self, act: &Act) -> bool {
        let trouble = match act {
            Act::Change(_) | Act::Ask(_) | Act::Rely | Act::Observe | Act::Hear(_) => return false,
            // A service's own requests are what it is about, and nothing that was durable may be lost.
            Act::ChangeAsZombie(_) | Act::Follow(_) | Act::Rank => return true,
            Act::Evict(_) | Act::Image | Act::RollBack | Act::Newer { .. } | Act::Spoil(_) => return true,
            Act::Crash | Act::CrashAfter(_) | Act::CrashAt { .. } | Act::Alone { .. } | Act::Close => Trouble::Crashes,
            Act::Open => Trouble::TakeOvers,
            Act::Freeze(_) => Trouble::Freezes,
            Act::Cut { .. } | Act::Away { .. } => Trouble::Outages,
            Act::Clock(_) | Act::Drift(_) | Act::StopClock => Trouble::Clocks,
            Act::Meet { fault, .. } => Trouble::Requests(*fault),
        };
        self.quiet || self.without.contains(&trouble)
    }

    /// Plays one story.
    #[must_use]
    pub fn play(&self, story: &Story) -> Outcome {
        play_with(story, &mut Serving::new(self.service))
    }

    /// Plays the stories of these seeds until one fails, and makes that one as small as it gets.
    ///
    /// # Errors
    ///
    /// The story that fails.
    ///
    /// # Cost
    ///
    /// Some 10 ms for each story, and seconds for making one smaller.
    pub fn run(&self, seeds: Range<u64>) -> Result<Summary, Box<Found>> {
        let mut summary = Summary::default();
        for seed in seeds {
            let story = self.story(seed);
            let outcome = self.play(&story);
            let Some(failure) = outcome.failure else {
                summary.stories += 1;
                summary.requests += outcome.changes;
                summary.events += outcome.trace.events;
                continue;
            };
            let story = shrink_with(&story, failure.check, Effort::default(), |story| self.play(story)).story;
            let failure = self.play(&story).failure.unwrap_or(failure);
            return Err(Box::new(Found { seed, story, failure }));
        }
        Ok(summary)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.failure)?;
        write!(f, "{}", self.story)
    }
}

impl std::error::Error for Found {}
