//! The executor: one thread, virtual time, a seeded order, and crashes.
//! Layer 1.

use std::{
    fmt,
    future::Future,
    sync::{Arc, atomic::Ordering},
    task::{Context, Waker},
    time::Duration,
};

use super::{
    task::{Bell, Join, Region, Work},
    world::{TaskKey, Timer, World, nanoseconds},
};
use crate::random::Random;

/// How many polls may follow each other without time passing before that is taken for an endless loop.
const POLLS_AT_ONCE_MAX: u64 = 10_000_000;

/// Why the executor stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time asked for has come.
    Reached,
    /// Nothing is ready and no timer is set: nothing will ever happen again. Tasks that are left wait for each other.
    Idle {
        /// How many tasks are left.
        waiting: usize,
    },
    /// A region has been crashed, as [`Executor::crash_after`] asked for.
    Crashed(Region),
    /// Tasks wake each other for ever, and no time passes.
    Spinning,
}

/// Polls tasks in virtual time.
pub struct Executor {
    world: World,
    random: Random,
    tasks: Vec<Slot>,
    free: Vec<u32>,
    regions: Vec<Members>,
    polls_at_once: u64,
    /// True while a region is to crash.
    armed: bool,
}

struct Members {
    name: String,
    polls: u64,
    tasks: usize,
    crash_after: u64,
}

/// A place for a task.
struct Slot {
    generation: u32,
    task: Option<Task>,
}

struct Task {
    region: Region,
    work: Work,
    bell: Arc<Bell>,
    waker: Waker,
}

impl Executor {
    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            world: World::new(seed),
            random: Random::named(seed, "executor"),
            tasks: Vec::new(),
            free: Vec::new(),
            regions: Vec::new(),
            polls_at_once: 0,
            armed: false,
        }
    }

    /// What the tasks see.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// A new region. The name is for messages.
    ///
    /// # Panics
    ///
    /// With more than 2³² regions.
    pub fn region(&mut self, name: impl Into<String>) -> Region {
        let region = Region(u32::try_from(self.regions.len()).unwrap_or_else(|_| panic!("more than 2³² regions")));
        self.regions.push(Members { name: name.into(), polls: 0, tasks: 0, crash_after: u64::MAX });
        region
    }

    /// The name of a region.
    #[must_use]
    pub fn name(&self, region: Region) -> &str {
        &self.regions[region.0 as usize].name
    }

    /// How often the region's tasks have been polled, crashed ones included: its awaits so far.
    #[must_use]
    pub fn polls(&self, region: Region) -> u64 {
        self.regions[region.0 as usize].polls
    }

    /// Runs a future in a region.
    pub fn spawn<T: Send + 'static>(
        &self,
        region: Region,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Join<T> {
        self.world.spawn(region, future)
    }

    /// Crashes the region now: its tasks are dropped where they wait.
    pub fn crash(&mut self, region: Region) {
        self.adopt();
        self.regions[region.0 as usize].crash_after = u64::MAX;
        self.world.note(u64::from(region.0));
        for slot in 0..self.tasks.len() {
            if self.tasks[slot].task.as_ref().is_some_and(|task| task.region == region) {
                drop(self.remove(slot));
            }
        }
    }

    /// Crashes the region once, when its tasks have been polled `polls` times since the beginning. The executor stops
    /// then, so that the region can be started again.
    pub fn crash_after(&mut self, region: Region, polls: u64) {
        self.regions[region.0 as usize].crash_after = polls;
        self.armed = true;
    }

    /// Runs until a time since the beginning, or until there is nothing left to happen.
    pub fn run_until(&mut self, time: Duration) -> Stop {
        let until = nanoseconds(time);
        loop {
            if let Some(stop) = self.step(until) {
                return stop;
            }
        }
    }

    /// Lets time pass, whether anything happens in it or not.
    pub fn pass(&mut self, duration: Duration) -> Stop {
        let until = self.world.now().saturating_add(duration);
        let stop = self.run_until(until);
        if matches!(stop, Stop::Idle { .. }) {
            self.world.state().now = nanoseconds(until);
        }
        stop
    }

    /// Runs the future, in a region of its own, and everything else until it is done.
    ///
    /// # Errors
    ///
    /// Why it will not be, or not until the time.
    pub fn run<T: Send + 'static>(
        &mut self,
        until: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Stop> {
        let region = self.region("outside");
        let join = self.spawn(region, future);
        loop {
            if let Some(value) = join.take() {
                return Ok(value);
            }
            if let Some(stop) = self.step(nanoseconds(until)) {
                return join.take().ok_or(stop);
            }
        }
    }

    /// One poll, or one step of time.
    fn step(&mut self, until: u64) -> Option<Stop> {
        self.adopt();
        if self.armed
            && let Some(region) = self.due_crash()
        {
            self.crash(region);
            return Some(Stop::Crashed(region));
        }
        let next = {
            let mut state = self.world.state();
            let ready = state.ready.len() as u64;
            let pick = if ready > 1 { self.random.below(ready) } else { 0 };
            if ready > 0 {
                let task = state.ready.swap_remove(usize::try_from(pick).unwrap_or(0));
                state.trace.note(u64::from(task.slot));
                Some(task)
            } else {
                None
            }
        };
        match next {
            Some(task) => self.poll(task),
            None => self.pass_time(until),
        }
    }

    /// Goes to the time of the next timers and fires them all.
    fn pass_time(&mut self, until: u64) -> Option<Stop> {
        self.polls_at_once = 0;
        {
            let mut state = self.world.state();
            match state.next_at() {
                None => return Some(Stop::Idle { waiting: self.tasks.len() - self.free.len() }),
                Some(at) if at > until => {
                    state.now = state.now.max(until);
                    return Some(Stop::Reached);
                }
                Some(at) => {
                    state.now = state.now.max(at);
                    let now = state.now;
                    state.trace.note(now);
                }
            }
        }
        loop {
            let due = self.world.state().pop_due();
            match due {
                None => return None,
                Some(Timer::Wake(waker)) => waker.wake(),
                Some(Timer::Run(action)) => action(),
                Some(Timer::Free) => {}
            }
        }
    }

    fn poll(&mut self, key: TaskKey) -> Option<Stop> {
        let slot = key.slot as usize;
        let Slot { generation, task: Some(task) } = &mut self.tasks[slot] else { return None };
        if *generation != key.generation {
            return None;
        }
        task.bell.rung.store(false, Ordering::Relaxed);
        self.regions[task.region.0 as usize].polls += 1;
        if task.work.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready() {
            drop(self.remove(slot));
        }
        self.polls_at_once += 1;
        (self.polls_at_once > POLLS_AT_ONCE_MAX).then_some(Stop::Spinning)
    }

    /// Takes over what has been spawned.
    fn adopt(&mut self) {
        let spawned = {
            let mut state = self.world.state();
            if state.spawned.is_empty() {
                return;
            }
            std::mem::take(&mut state.spawned)
        };
        for (region, work) in spawned {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.tasks.push(Slot { generation: 0, task: None });
                u32::try_from(self.tasks.len() - 1).unwrap_or_else(|_| panic!("more than 2³² tasks"))
            });
            let task = TaskKey { slot, generation: self.tasks[slot as usize].generation };
            let bell = Arc::new(Bell { world: self.world.clone(), task, rung: true.into() });
            let waker = Waker::from(Arc::clone(&bell));
            self.tasks[slot as usize].task = Some(Task { region, work, bell, waker });
            self.regions[region.0 as usize].tasks += 1;
            self.world.state().ready.push(task);
        }
    }

    /// Empties a place. Who still knows its former task knows the wrong generation.
    fn remove(&mut self, slot: usize) -> Option<Task> {
        let Slot { generation, task } = &mut self.tasks[slot];
        *generation = generation.wrapping_add(1);
        let task = task.take();
        if let Some(task) = &task {
            self.regions[task.region.0 as usize].tasks -= 1;
            self.free.push(task.bell.task.slot);
        }
        task
    }

    /// A region that has been polled as often as it was to be.
    fn due_crash(&mut self) -> Option<Region> {
        self.armed = self.regions.iter().any(|members| members.crash_after < u64::MAX);
        (0..)
            .map(Region)
            .zip(&self.regions)
            .find(|(_, members)| members.polls >= members.crash_after)
            .map(|(region, _)| region)
    }
}

impl Drop for Executor {
    /// Futures and timers know the world, and the world knows them: this is where that ends.
    fn drop(&mut self) {
        self.tasks.clear();
        let (timers, spawned) = {
            let mut state = self.world.state();
            (state.take_timers(), std::mem::take(&mut state.spawned))
        };
        drop((timers, spawned));
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let regions = self.regions.iter().map(|members| (&members.name, members.polls, members.tasks));
        f.debug_struct("Executor").field("world", &self.world).field("regions", &Vec::from_iter(regions)).finish()
    }
}
