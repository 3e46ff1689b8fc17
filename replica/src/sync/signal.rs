//! Waking what waits: a signal without memory of how often, and a mark that only rises.
//! Layer 4.

use core::{
    future::poll_fn,
    task::{Poll, Waker},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

/// Tells one waiting task that something happened. Raised before the wait, it is not lost; raised twice, it is told once.
#[derive(Debug, Default)]
pub(crate) struct Signal(Mutex<SignalState>);

#[derive(Debug, Default)]
struct SignalState {
    raised: bool,
    waiting: Option<Waker>,
}

impl Signal {
    /// Tells whoever waits, now or next.
    pub(crate) fn raise(&self) {
        let waiting = {
            let mut state = lock(&self.0);
            state.raised = true;
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Waits until it is raised, and lowers it.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| {
            let mut state = lock(&self.0);
            if std::mem::take(&mut state.raised) {
                return Poll::Ready(());
            }
            state.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A value that only rises, and everybody who waits for it to reach something. It can end, and then nobody waits any
/// more.
#[derive(Debug)]
pub(crate) struct Watermark<T, E> {
    state: Mutex<WatermarkState<T>>,
    /// Beside the lock, for every local operation asks.
    ended: OnceLock<E>,
}

#[derive(Debug)]
struct WatermarkState<T> {
    reached: T,
    /// One for each wait that is under way: a wait that is dropped takes its waker with it.
    waiting: BTreeMap<u64, Waker>,
    waits: u64,
}

/// A wait that is under way.
struct Wait<'a, T, E> {
    mark: &'a Watermark<T, E>,
    number: u64,
}

impl<T, E> Drop for Wait<'_, T, E> {
    fn drop(&mut self) {
        let waker = lock(&self.mark.state).waiting.remove(&self.number);
        drop(waker);
    }
}

impl<T: Ord + Copy, E: Clone> Watermark<T, E> {
    pub(crate) const fn new(reached: T) -> Self {
        let state = WatermarkState { reached, waiting: BTreeMap::new(), waits: 0 };
        Self { state: Mutex::new(state), ended: OnceLock::new() }
    }

    pub(crate) fn reached(&self) -> T {
        lock(&self.state).reached
    }

    /// Rises to `value`, or stays where it is if that is higher.
    pub(crate) fn rise(&self, value: T) {
        let waiting = {
            let mut state = lock(&self.state);
            state.reached = state.reached.max(value);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// It will rise no more. The first reason stays.
    pub(crate) fn end(&self, why: E) {
        let _first_stays = self.ended.set(why);
        let waiting = std::mem::take(&mut lock(&self.state).waiting);
        waiting.into_values().for_each(Waker::wake);
    }

    /// Why it rises no more, if so.
    pub(crate) fn check(&self) -> Result<(), E> {
        self.ended.get().map_or(Ok(()), |why| Err(why.clone()))
    }

    /// Waits until it has reached `value`.
    pub(crate) async fn wait(&self, value: T) -> Result<(), E> {
        let wait = {
            let mut state = lock(&self.state);
            state.waits += 1;
            Wait { mark: self, number: state.waits }
        };
        poll_fn(|context| {
            let mut state = lock(&self.state);
            if state.reached >= value {
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = self.ended.get() {
                return Poll::Ready(Err(why.clone()));
            }
            let replaced = state.waiting.insert(wait.number, context.waker().clone());
            drop(state);
            drop(replaced);
            Poll::Pending
        })
        .await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
