//! Hints in virtual time, which get lost, doubled, late and wrong as they are told to.
//! Layer 2.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use replica::ports::{Answer, Hint, Hints};
use serde::{Deserialize, Serialize};

use super::journal::{Teller, What};
use crate::{
    machine::{World, nanoseconds},
    random::Random,
};

/// What can become of one hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HintFault {
    /// It never comes.
    Lost,
    /// It comes twice.
    Doubled,
    /// It comes after up to [`HintFaults::late_max`], and so after others that were sent behind it.
    Late,
    /// It names another key: of another log, far ahead, or no key at all.
    Wrong,
    /// It does not say which key.
    Vague,
    /// It names the place in another replica's log.
    Foreign,
}

impl HintFault {
    /// Each of them.
    pub const ALL: [Self; 6] = [Self::Lost, Self::Doubled, Self::Late, Self::Wrong, Self::Vague, Self::Foreign];
}

/// How often each fault occurs, and how long hints take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HintFaults {
    /// Of 1,000,000 hints, how many meet a fault. Those that are not there are met by none.
    rates: BTreeMap<HintFault, u32>,
    /// How long a hint takes at most.
    #[serde(with = "crate::milliseconds")]
    pub latency: Duration,
    /// How long one takes at most that is late.
    #[serde(with = "crate::milliseconds")]
    pub late_max: Duration,
}

impl Default for HintFaults {
    fn default() -> Self {
        Self::none()
    }
}

impl HintFaults {
    /// Every hint comes once, soon, and is right.
    #[must_use]
    pub const fn none() -> Self {
        let (latency, late_max) = (Duration::from_millis(50), Duration::from_secs(30));
        Self { rates: BTreeMap::new(), latency, late_max }
    }

    /// The same with a fault in so many of 1,000,000 hints. Together they should stay below that.
    #[must_use]
    pub fn with(mut self, fault: HintFault, per_million: u32) -> Self {
        if per_million > 0 {
            self.rates.insert(fault, per_million);
        } else {
            self.rates.remove(&fault);
        }
        self
    }

    /// Of 1,000,000 hints, how many meet this fault.
    #[must_use]
    pub fn rate(&self, fault: HintFault) -> u32 {
        self.rates.get(&fault).copied().unwrap_or(0)
    }

    /// How many kinds of faults some hints meet.
    pub(crate) fn kinds(&self) -> usize {
        self.rates.len()
    }

    fn draw(&self, random: &mut Random) -> Option<HintFault> {
        let mut at = random.below(1_000_000);
        for (fault, rate) in &self.rates {
            if at < u64::from(*rate) {
                return Some(*fault);
            }
            at -= u64::from(*rate);
        }
        None
    }
}

/// Tells of the objects that are created in the stores it [listens to](crate::SimBucket::tell). Clones are the same source.
#[derive(Clone)]
pub struct SimHints {
    world: World,
    state: Arc<Mutex<State>>,
}

struct State {
    faults: HintFaults,
    random: Random,
    /// What has arrived and was not asked for yet.
    arrived: VecDeque<Option<String>>,
    waiting: Vec<Waker>,
    told: u64,
    done: u64,
    teller: Option<Teller>,
}

impl SimHints {
    /// A source that listens to nothing yet. The name makes its faults others than those of other sources.
    #[must_use]
    pub fn new(world: &World, name: &str, faults: HintFaults) -> Self {
        let (random, arrived) = (world.random(name), VecDeque::new());
        let state = State { faults, random, arrived, waiting: Vec::new(), told: 0, done: 0, teller: None };
        Self { world: world.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Other faults from now on.
    pub fn set_faults(&self, faults: HintFaults) {
        self.state().faults = faults;
    }

    /// How many hints were given away, and how many of them are dealt with.
    #[must_use]
    pub fn told_and_done(&self) -> (u64, u64) {
        let state = self.state();
        (state.told, state.done)
    }

    /// Has this source tell of the hints that are on their way.
    pub(crate) fn tell_all(&self, teller: Teller) {
        self.state().teller = Some(teller).filter(|teller| teller.journal.has_all());
    }

    /// Tells of an object, or of whatever else: the caller may lie.
    pub fn tell(&self, key: Option<&str>) {
        self.after(0, key.map(str::to_owned));
    }

    /// An object was created: a hint is on its way, if nothing becomes of it.
    pub(crate) fn created(&self, key: &str) {
        let mut state = self.state();
        let State { faults, random, .. } = &mut *state;
        let fault = faults.draw(random);
        let most = if fault == Some(HintFault::Late) { faults.late_max } else { faults.latency };
        let [first, second] = [0; 2].map(|_| random.below(nanoseconds(most) + 1));
        let named = match fault {
            Some(HintFault::Wrong) => Some(wrong(key, random)),
            Some(HintFault::Vague) => None,
            Some(HintFault::Foreign) => Some(foreign(key, random)),
            _ => Some(key.to_owned()),
        };
        if let Some(teller) = &state.teller {
            let what = What::Hint { bucket: teller.bucket, key: key.to_owned(), fault };
            teller.tell(self.world.now(), what);
        }
        drop(state);
        match fault {
            Some(HintFault::Lost) => {}
            Some(HintFault::Doubled) => {
                self.after(first, named.clone());
                self.after(second, named);
            }
            _ => self.after(first, named),
        }
    }

    fn after(&self, nanoseconds: u64, key: Option<String>) {
        let there = self.clone();
        self.world.after_ns(nanoseconds, move || {
            let waiting = {
                let mut state = there.state();
                state.arrived.push_back(key);
                std::mem::take(&mut state.waiting)
            };
            waiting.into_iter().for_each(Waker::wake);
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Another key than this one: one of its segments is something else, or there is no telling what it is.
fn wrong(key: &str, random: &mut Random) -> String {
    let mut segments: Vec<&str> = key.split('/').collect();
    let at = segments.len().saturating_sub(1 + random.below(4) as usize);
    segments[at] = match random.below(4) {
        0 => "ffffffff",
        1 => "00000fff",
        2 => "nobody",
        _ => "?",
    };
    segments.join("/")
}

/// The same place in the log of another region's replica.
fn foreign(key: &str, random: &mut Random) -> String {
    let mut segments: Vec<&str> = key.split('/').collect();
    if let Some(name) = segments.get_mut(2) {
        *name = ["r0", "r1", "r2", "r1-b"][random.below(4) as usize];
    }
    segments.join("/")
}

impl Hints for SimHints {
    fn next(&self) -> Answer<'_, Hint> {
        Box::pin(poll_fn(|context| {
            let mut state = self.state();
            match state.arrived.pop_front() {
                Some(key) => {
                    state.told += 1;
                    Poll::Ready(Hint { key, receipt: state.told })
                }
                None => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }

    fn done(&self, _: Hint) -> Answer<'_, ()> {
        self.state().done += 1;
        Box::pin(std::future::ready(()))
    }
}

impl fmt::Debug for SimHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimHints").field("told_and_done", &self.told_and_done()).finish_non_exhaustive()
    }
}
