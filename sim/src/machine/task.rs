//! A task: a future, who wakes it, and who waits for what it gives.
//! Layer 1.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::world::{TaskKey, World};

/// A group of tasks that crash together: a replica's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region(pub(crate) u32);

/// What the executor polls.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a task is woken by.
pub(crate) struct Bell {
    pub(crate) world: World,
    pub(crate) task: TaskKey,
    /// True while the task is among those that are ready.
    pub(crate) rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::Relaxed) {
            self.world.state().ready.push(self.task);
        }
    }
}

/// What a task gives when it is done: `None` if it was crashed before.
pub struct Join<T>(Arc<Mutex<Given<T>>>);

struct Given<T> {
    value: Option<T>,
    over: bool,
    waiting: Option<Waker>,
}

/// Says that the task is over when it is dropped, for whatever reason.
struct Over<T>(Arc<Mutex<Given<T>>>);

/// A future that keeps what it gives, and who waits for it.
pub(crate) fn joined<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> (Work, Join<T>) {
    let given = Arc::new(Mutex::new(Given { value: None, over: false, waiting: None }));
    let over = Over(Arc::clone(&given));
    let work = async move {
        let value = future.await;
        lock(&over.0).value = Some(value);
        drop(over);
    };
    (Box::pin(work), Join(given))
}

impl<T> Drop for Over<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut given = lock(&self.0);
            given.over = true;
            given.waiting.take()
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<T> Join<T> {
    /// Whether the task is done or crashed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        lock(&self.0).over
    }

    /// What the task has given; `None` if it runs, was crashed, or this has been asked before.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        lock(&self.0).value.take()
    }
}

impl<T> Future for Join<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut given = lock(&self.0);
        if given.over {
            return Poll::Ready(given.value.take());
        }
        given.waiting = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> fmt::Debug for Join<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("over", &self.is_over()).finish_non_exhaustive()
    }
}

fn lock<T>(given: &Mutex<Given<T>>) -> MutexGuard<'_, Given<T>> {
    given.lock().unwrap_or_else(PoisonError::into_inner)
}
