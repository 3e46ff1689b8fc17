//! The world that futures see: virtual time, timers, and the trace of all that happens.
//! Layer 1.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::task::{Join, Region, Work, joined};
use crate::random::Random;

/// A handle on the world. Clones are the same world.
#[derive(Clone)]
pub struct World {
    seed: u64,
    state: Arc<Mutex<State>>,
}

/// A hash over all that has happened, in order, and how many events that was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Equal for equal runs.
    pub hash: u64,
    /// What has happened at its time, each counted once: a timer fired, a request reached its bucket, its answer came back, a
    /// hint arrived; and every operation. A poll is no event, and neither is a look at a clock.
    pub events: u64,
}

/// What the world holds. It is behind a lock because futures are `Send`; there is one thread, so nobody ever waits.
#[derive(Default)]
pub(crate) struct State {
    /// Nanoseconds since the beginning.
    pub(crate) now: u64,
    pub(crate) trace: Trace,
    /// The tasks to poll, each once.
    pub(crate) ready: Vec<TaskKey>,
    /// The tasks that are not the executor's yet.
    pub(crate) spawned: Vec<(Region, Work)>,
    /// (time, number, entry of `timers`), in the order of time and then of setting.
    queue: BinaryHeap<Reverse<(u64, u64, u32)>>,
    timers: Vec<(u64, Timer)>,
    free: Vec<u32>,
    numbers: u64,
}

/// A place in the executor's table, and which of the tasks that have been in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskKey {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// What happens at a time.
pub(crate) enum Timer {
    /// Nothing: it has been cancelled or has fired.
    Free,
    Wake(Waker),
    Run(Box<dyn FnOnce() + Send>),
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: Arc::default() }
    }

    /// The time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.state().now)
    }

    /// Random numbers of their own for each name, fixed by the seed of the run.
    #[must_use]
    pub fn random(&self, name: &str) -> Random {
        Random::named(self.seed, name)
    }

    /// Waits.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_ns(nanoseconds(duration))
    }

    /// Waits.
    pub(crate) fn sleep_ns(&self, duration: u64) -> Sleep {
        let until = self.state().now.saturating_add(duration);
        Sleep { world: self.clone(), until, timer: None }
    }

    /// Does something later, whatever becomes of the caller.
    pub fn after(&self, duration: Duration, action: impl FnOnce() + Send + 'static) {
        self.after_ns(nanoseconds(duration), action);
    }

    pub(crate) fn after_ns(&self, duration: u64, action: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        let at = state.now.saturating_add(duration);
        state.set(at, Timer::Run(Box::new(action)));
    }

    /// Runs a future in a region. It goes on if the answer is dropped; to stop it, crash the region.
    pub fn spawn<T: Send + 'static>(
        &self,
        region: Region,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Join<T> {
        let (work, join) = joined(future);
        self.state().spawned.push((region, work));
        join
    }

    /// Makes a number a part of the trace, without counting it as an event.
    pub fn note(&self, number: u64) {
        self.state().trace.note(number);
    }

    /// Counts an operation as an event. What becomes of it is in the trace as it is.
    pub(crate) fn operated(&self) {
        self.state().trace.events += 1;
    }

    /// What has happened so far. Two runs of one seed have equal traces; if they have not, something in them depends on
    /// what the simulator does not control.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.state().trace
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Trace {
    pub(crate) fn note(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Notes an event.
    pub(crate) fn event(&mut self, number: u64) {
        self.note(number);
        self.events += 1;
    }
}

impl State {
    /// Sets a timer, and gives its entry and number.
    fn set(&mut self, at: u64, timer: Timer) -> (u32, u64) {
        self.numbers += 1;
        let number = self.numbers;
        let entry = match self.free.pop() {
            Some(entry) => {
                self.timers[entry as usize] = (number, timer);
                entry
            }
            None => {
                self.timers.push((number, timer));
                u32::try_from(self.timers.len() - 1).unwrap_or_else(|_| panic!("more than 2³² timers"))
            }
        };
        self.queue.push(Reverse((at, number, entry)));
        (entry, number)
    }

    /// Takes a timer out, if it is still this one.
    fn take(&mut self, entry: u32, number: u64) -> Timer {
        match self.timers.get_mut(entry as usize) {
            Some((of, timer)) if *of == number && !matches!(timer, Timer::Free) => {
                self.free.push(entry);
                std::mem::replace(timer, Timer::Free)
            }
            _ => Timer::Free,
        }
    }

    /// When the next timer fires.
    pub(crate) fn next_at(&mut self) -> Option<u64> {
        while let Some(Reverse((at, number, entry))) = self.queue.peek() {
            let (of, timer) = &self.timers[*entry as usize];
            if of == number && !matches!(timer, Timer::Free) {
                return Some(*at);
            }
            self.queue.pop();
        }
        None
    }

    /// The next timer, taken out, if it fires at the present time.
    pub(crate) fn pop_due(&mut self) -> Option<Timer> {
        if self.next_at()? > self.now {
            return None;
        }
        let Reverse((_, number, entry)) = self.queue.pop()?;
        self.trace.event(number);
        Some(self.take(entry, number))
    }

    /// All timers, so that they can be dropped outside the lock.
    pub(crate) fn take_timers(&mut self) -> Vec<(u64, Timer)> {
        self.queue.clear();
        self.free.clear();
        std::mem::take(&mut self.timers)
    }
}

/// Waits until a time.
#[derive(Debug)]
pub struct Sleep {
    world: World,
    until: u64,
    timer: Option<(u32, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.world.state();
        if state.now >= this.until {
            return Poll::Ready(());
        }
        let mut replaced = None;
        match this.timer {
            None => this.timer = Some(state.set(this.until, Timer::Wake(context.waker().clone()))),
            Some((entry, number)) => match &mut state.timers[entry as usize] {
                (of, Timer::Wake(waker)) if *of == number && !waker.will_wake(context.waker()) => {
                    replaced = Some(std::mem::replace(waker, context.waker().clone()));
                }
                _ => {}
            },
        }
        // A waker may own a future with a timer of its own, so none is dropped under the lock.
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((entry, number)) = self.timer {
            let timer = self.world.state().take(entry, number);
            drop(timer);
        }
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
