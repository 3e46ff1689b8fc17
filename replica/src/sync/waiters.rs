//! Those who wait for what has been applied to reach something.
//! Layer 4.

use core::{
    future::poll_fn,
    task::{Poll, Waker},
};
use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crdt_core::Frontier;

use super::{Engine, engine::Ended};

/// Wakers of futures that are alive: one that is dropped takes its waker with it.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Waiters {
    /// Has everybody look again.
    pub(crate) fn wake(&self) {
        let wakers = mem::take(&mut self.lock().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one future among the waiters.
struct Place {
    waiters: Arc<Waiters>,
    number: u64,
}

impl Place {
    fn new(waiters: Arc<Waiters>) -> Self {
        let number = {
            let mut waiting = waiters.lock();
            waiting.next += 1;
            waiting.next
        };
        Self { waiters, number }
    }

    fn wait(&self, waker: &Waker) {
        let replaced = self.waiters.lock().wakers.insert(self.number, waker.clone());
        drop(replaced);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waker = self.waiters.lock().wakers.remove(&self.number);
        drop(waker);
    }
}

impl Engine {
    /// Waits until all of `frontier` has been applied.
    ///
    /// # Errors
    ///
    /// Why the replica has ended, if that comes first.
    pub(crate) async fn wait_applied(&self, frontier: &Frontier) -> Result<(), Ended> {
        let place = Place::new(self.state().waiters.clone());
        poll_fn(|context| {
            // In this order: what moves the frontier or ends the replica after we have looked finds us waiting.
            place.wait(context.waker());
            if self.state().applied.frontier.covers_all(frontier) {
                return Poll::Ready(Ok(()));
            }
            self.durable.check().map_or_else(|ended| Poll::Ready(Err(ended)), |()| Poll::Pending)
        })
        .await
    }
}
