//! The faults that a request can meet, and how often.
//! Layer 2.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// What can go wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It fails, and had no effect.
    Failed,
    /// It is refused for being one of too many, and had no effect.
    Throttled,
    /// A create or delete is refused, as by a full disk or for want of rights, and had no effect.
    Refused,
    /// It takes a hundred times as long.
    Slow,
    /// A create or delete fails with a 500 or 503 that does not say whether it had an effect. It had none.
    Unsure,
    /// A create is told of a conflict with another request, a 409, and had no effect. It is to be repeated.
    Conflict,
    /// A create or delete has its effect, and the answer is lost, or is a 500 or 503.
    AnswerLost,
    /// A create or delete is given up, and has its effect once, later.
    Late,
    /// A create has its effect and says that the object was there: a library below has repeated it.
    OwnExists,
    /// An object is read short.
    Truncated,
    /// An object is read with one bit flipped.
    Flipped,
    /// A read answers with another object's body.
    WrongBody,
    /// A list, or the folders, are those of some time ago.
    StaleList,
    /// A list, or the folders, leave some out.
    PartialList,
    /// A list, or the folders, name what was deleted within the last minute beside what is there.
    GhostKeys,
    /// The bucket cannot be reached. Not drawn: see [`SimBucket::unreachable`](crate::SimBucket::unreachable).
    Unreachable,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Self; 16] = [
        Self::Failed,
        Self::Throttled,
        Self::Refused,
        Self::Slow,
        Self::Unsure,
        Self::Conflict,
        Self::AnswerLost,
        Self::Late,
        Self::OwnExists,
        Self::Truncated,
        Self::Flipped,
        Self::WrongBody,
        Self::StaleList,
        Self::PartialList,
        Self::GhostKeys,
        Self::Unreachable,
    ];

    /// Whether a single request of this sort can meet it.
    pub(crate) fn is_met_by(self, request: Request) -> bool {
        self != Self::Unreachable && self.concerns(request)
    }

    /// Whether a request of this sort can meet it.
    pub(crate) const fn concerns(self, request: Request) -> bool {
        match self {
            Self::Failed | Self::Throttled | Self::Slow | Self::Unreachable => true,
            Self::Refused | Self::Unsure | Self::AnswerLost | Self::Late => request.writes(),
            Self::Conflict | Self::OwnExists => matches!(request, Request::Create),
            Self::Truncated | Self::Flipped | Self::WrongBody => matches!(request, Request::Get | Request::Range),
            Self::StaleList | Self::PartialList | Self::GhostKeys => {
                matches!(request, Request::List | Request::Folders)
            }
        }
    }
}

/// Which requests an outage concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// All of them.
    Both,
    /// Those that read; what is written has its effect.
    Reads,
    /// Those that write; what is there can be read.
    Writes,
}

impl Way {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Both, Self::Reads, Self::Writes];

    pub(crate) const fn concerns(self, request: Request) -> bool {
        match self {
            Self::Both => true,
            Self::Reads => !request.writes(),
            Self::Writes => request.writes(),
        }
    }
}

/// How far the lists of a link can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// They meet the faults of lists.
    Faulty,
    /// They are always right.
    Sound,
    /// They are always empty: what is there must be found otherwise.
    Empty,
}

/// The sorts of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// An object is created, if there is none.
    Create,
    /// A whole object is read.
    Get,
    /// A part of an object is read.
    Range,
    /// Keys are listed.
    List,
    /// Folders are listed.
    Folders,
    /// An object is deleted.
    Delete,
}

impl Request {
    /// How many there are.
    pub(crate) const SORTS: usize = Self::Delete as usize + 1;

    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Delete)
    }
}

/// How often each fault occurs to those requests that it concerns, and how long everything takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Of 1,000,000 requests that it concerns, how many meet a fault. Those that are not there are met by none.
    rates: BTreeMap<Fault, u32>,
    /// False when nothing is met by chance, whatever the rates. What would have been met is drawn all the same, so that all
    /// else that is random stays as it is.
    pub by_chance: bool,
    /// True when the lists of whoever owns a log can be wrong too. The probe refuses such a bucket.
    pub own_lists: bool,
    /// The shortest and the longest time from a request to its answer.
    #[serde(with = "crate::milliseconds")]
    pub latency: (Duration, Duration),
    /// How long after its answer the effect of a [`Fault::Late`] request comes at most.
    #[serde(with = "crate::milliseconds")]
    pub late_max: Duration,
    /// How old a [`Fault::StaleList`] is at most; beyond a minute it is a minute.
    #[serde(with = "crate::milliseconds")]
    pub stale_max: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl Faults {
    /// No faults, and a latency as within a region.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            rates: BTreeMap::new(),
            by_chance: true,
            own_lists: false,
            latency: (Duration::from_millis(5), Duration::from_millis(60)),
            late_max: Duration::from_secs(30),
            stale_max: Duration::from_secs(10),
        }
    }

    /// The same with a fault in so many of 1,000,000 requests that it concerns. Together they should stay below that.
    #[must_use]
    pub fn with(mut self, fault: Fault, per_million: u32) -> Self {
        if per_million > 0 {
            self.rates.insert(fault, per_million);
        } else {
            self.rates.remove(&fault);
        }
        self
    }

    /// The same without any of them by chance.
    #[must_use]
    pub fn never(mut self) -> Self {
        self.rates.clear();
        self.by_chance = true;
        self
    }

    /// Of 1,000,000 requests that it concerns, how many meet this fault.
    #[must_use]
    pub fn rate(&self, fault: Fault) -> u32 {
        self.rates.get(&fault).copied().unwrap_or(0)
    }

    /// How many kinds of faults some requests meet.
    pub(crate) fn kinds(&self) -> usize {
        self.rates.len()
    }

    /// The same with this latency, from the shortest to the longest.
    #[must_use]
    pub const fn taking(mut self, shortest: Duration, longest: Duration) -> Self {
        self.latency = (shortest, longest);
        self
    }

    /// Some of these faults, each as likely to be left out as not, at rates up to `per_million`: what one fault hides
    /// shows when it is absent.
    #[must_use]
    pub fn some(mut self, of: &[Fault], per_million: u32, random: &mut Random) -> Self {
        for fault in of {
            let rate = random.below(u64::from(per_million) + 1);
            if random.chance(500_000) {
                self = self.with(*fault, u32::try_from(rate).unwrap_or(u32::MAX));
            }
        }
        self
    }

    /// The fault that a request meets, if any.
    pub(crate) fn draw(&self, request: Request, random: &mut Random) -> Option<Fault> {
        if self.rates.is_empty() {
            return None;
        }
        let mut at = u32::try_from(random.below(1_000_000)).unwrap_or(u32::MAX);
        for (fault, rate) in &self.rates {
            if fault.concerns(request) {
                if at < *rate {
                    return self.by_chance.then_some(*fault);
                }
                at -= rate;
            }
        }
        None
    }
}
