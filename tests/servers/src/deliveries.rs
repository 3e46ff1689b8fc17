//! The way of an event to a queue, and what goes wrong on it: at least once is promised, and nothing else.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::random::Random;

/// How events are delivered: all of them once, at once and in order, until a test asks for worse.
#[derive(Debug)]
pub struct Deliveries(Mutex<State>);

#[derive(Debug)]
struct State {
    troubles: Troubles,
    counts: Delivered,
}

/// What goes wrong, each as a share of the events, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Troubles {
    /// Never arrive.
    pub lost: f64,
    /// Arrive twice, and may be late twice.
    pub doubled: f64,
    /// Arrive late, any time up to `late_by`.
    pub late: f64,
    /// How late at most.
    pub late_by: Duration,
    /// Whether queues give messages out in any order.
    pub reordered: bool,
}

/// What became of events, counted at the queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Messages that were put into a queue.
    pub arrived: u64,
    /// Events that were lost.
    pub lost: u64,
    /// Events that arrived twice.
    pub doubled: u64,
    /// Messages that were late.
    pub late: u64,
    /// Events that the policy of a queue or topic refused, or whose destination is gone.
    pub refused: u64,
}

impl Deliveries {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { troubles: Troubles::default(), counts: Delivered::default() }))
    }

    /// Has this go wrong from now on.
    pub fn trouble(&self, troubles: Troubles) {
        self.state().troubles = troubles;
    }

    /// What became of events so far.
    #[must_use]
    pub fn counts(&self) -> Delivered {
        self.state().counts
    }

    /// For each message that one event becomes, how late it is.
    pub(crate) fn draw(&self, random: &Random) -> Vec<Duration> {
        let mut state = self.state();
        let troubles = state.troubles;
        if random.chance(troubles.lost) {
            state.counts.lost += 1;
            return Vec::new();
        }
        let copies = if random.chance(troubles.doubled) { 2 } else { 1 };
        state.counts.doubled += copies - 1;
        state.counts.arrived += copies;
        let mut lateness = || {
            let is_late = random.chance(troubles.late);
            state.counts.late += u64::from(is_late);
            if is_late { random.between(Duration::ZERO, troubles.late_by) } else { Duration::ZERO }
        };
        (0..copies).map(|_| lateness()).collect()
    }

    pub(crate) fn refuse(&self) {
        self.state().counts.refused += 1;
    }

    pub(crate) fn is_reordered(&self) -> bool {
        self.state().troubles.reordered
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
