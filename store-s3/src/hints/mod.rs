//! Hints from a queue: S3 tells a topic or a queue of each object that is created, and the queue is asked here.
//!
//! | file | what is in it |
//! |---|---|
//! | `queue_url` | where a queue is |
//! | `queue` | the calls of SQS |
//! | `event`, `decode` | what a message says |
//! | `ledger` | which messages are under way |
//! | `listener` | the loops that ask, delete and extend |
//! | `dead_letters` | what could not be understood |

mod dead_letters;
mod decode;
mod event;
mod ledger;
mod listener;
mod queue;
mod queue_url;

use std::{
    fmt, future,
    sync::{Arc, Mutex, PoisonError},
};

use replica::ports::{Answer, Hint, Hints, QueueLook};
use tokio::{
    sync::{self, mpsc},
    task::JoinHandle,
};

pub use self::{
    dead_letters::{DeadLetter, DeadLetters, Replayed},
    event::{Poison, Source},
    queue::{Queue, QueueState},
    queue_url::QueueUrl,
};
use self::{ledger::Handle, listener::Shared};

/// How many hints wait for the engine. When it does not ask, no more messages are received.
const HINTS_WAITING: usize = 256;

/// Tells of new objects in the peers' buckets, as a queue hears of them from S3.
///
/// It asks the queue with a long poll, and tells each object that a message names. When all that a message named has
/// been pulled the message is deleted; until then it is kept from others. What concerns no bucket of `sources` is
/// deleted at once. What cannot be understood is left alone: after it has been received a few times the queue's redrive
/// policy puts it into the dead-letter queue ([`DeadLetters`]), and meanwhile it holds up nothing.
///
/// A queue has one reader: whoever receives a message receives it alone. Give each replica a queue of its own.
///
/// # When the queue is away
///
/// The engine polls, as without hints. [`Hints::trouble`] says since when and why, and a warning is logged at the
/// beginning and a line at the end. Meanwhile the queue is asked again after 1 second, 2, 4, and so on up to a minute.
///
/// # Cost
///
/// While nothing happens one request in 20 seconds, and one in 5 minutes to count dead letters: 4,608 a day. A request for at most ten messages, and one for
/// deleting up to ten. Memory: at most 64 messages are under way, and ten bodies of at most 1 MiB are held at a time.
pub struct SqsHints {
    hints: sync::Mutex<mpsc::Receiver<Hint>>,
    finished: mpsc::Sender<Handle>,
    shared: Arc<Shared>,
    loops: [JoinHandle<()>; 3],
}

impl SqsHints {
    /// Begins to listen, on the tokio runtime that it is called on, until it is dropped.
    ///
    /// Nothing is asked before it returns: a queue that is away is [trouble](Hints::trouble), and no reason not to
    /// begin. Ask [`Queue::state`] first to find a wrong name or a missing permission at once.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn listen(queue: Queue, sources: Vec<Source>) -> Self {
        let (tell, hints) = mpsc::channel(HINTS_WAITING);
        let (finished, to_delete) = mpsc::channel(HINTS_WAITING);
        let (shared, queue) = (Arc::new(Shared::new(&queue)), Arc::new(queue));
        let receive = listener::receive(queue.clone(), sources, shared.clone(), tell, finished.clone());
        let keep = listener::keep(queue.clone(), shared.clone(), to_delete);
        let count = listener::count_dead_letters(queue, shared.clone());
        let loops = [tokio::spawn(receive), tokio::spawn(keep), tokio::spawn(count)];
        Self { hints: sync::Mutex::new(hints), finished, shared, loops }
    }
}

impl fmt::Debug for SqsHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsHints").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Drop for SqsHints {
    fn drop(&mut self) {
        self.loops.iter().for_each(JoinHandle::abort);
    }
}

impl Hints for SqsHints {
    fn next(&self) -> Answer<'_, Hint> {
        Box::pin(async {
            match self.hints.lock().await.recv().await {
                Some(hint) => hint,
                None => future::pending().await,
            }
        })
    }

    fn done(&self, hint: Hint) -> Answer<'_, ()> {
        Box::pin(async move {
            let finished = lock(&self.shared.ledger).done(hint.receipt);
            if let Some(message) = finished {
                self.shared.room.notify_one();
                // What is not deleted comes again, and does no harm.
                let _ended = self.finished.send(message).await;
            }
        })
    }

    fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    fn look(&self) -> Option<QueueLook> {
        Some(self.shared.look())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
