//! Watching: which objects under a prefix have changed, for one reader at its own pace.
//! Layer 2.

use core::{
    fmt,
    task::{Context, Poll, Waker},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crdt_core::{Object, Value};

use super::{super::Keyspace, Viewer, Views};
use crate::{key::ObjectKey, name::ReplicaName};

/// How many objects wait for a watcher at most. One more, and it lags. More than one batch changes, as a rule.
pub const WATCH_KEYS_MAX: usize = 1 << 14;

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What a reader sees of an object is not what it was.
    Changed {
        /// Which object it is.
        key: ObjectKey,
        /// What is there now, as it is read when this is delivered; `None` when it was deleted.
        value: Option<Value>,
        /// Where the last of the changes comes from that are told here together.
        origin: Origin,
    },
    /// So much changed that it was not kept: whoever wants to be sure reads everything once more. What changes from now on
    /// is told.
    Lagged,
}

/// Where a change comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made here.
    Here,
    /// The log of another replica.
    Replica(ReplicaName),
    /// A snapshot, which does not say who made it.
    Snapshot,
}

/// Whoever reads what has changed. Dropping it ends the watch.
///
/// # Cost
///
/// At most [`WATCH_KEYS_MAX`] keys, whatever changes and however slow its reader is.
pub struct Watcher {
    prefix: Box<str>,
    queue: Arc<Queue>,
    views: Arc<Views>,
}

/// The objects that have changed and have not been told, each once, in the order in which they changed first.
#[derive(Debug)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<ObjectKey>,
    origins: BTreeMap<ObjectKey, Origin>,
    has_lagged: bool,
    has_ended: bool,
    waker: Option<Waker>,
}

/// What comes next in a queue.
enum Next {
    Key(ObjectKey),
    Lagged,
    Ended,
}

impl Queue {
    pub(super) fn new(has_ended: bool) -> Self {
        Self(Mutex::new(Waiting { has_ended, ..Waiting::default() }))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a change. The object's shard must be locked; the waker, if any, is for when it is not any more.
    ///
    /// Until the reader has been told that it lags nothing is kept: what it reads afterwards has it all.
    pub(super) fn push(&self, key: &ObjectKey, origin: &Origin) -> Option<Waker> {
        let mut waiting = self.waiting();
        if waiting.has_lagged {
            return None;
        }
        if let Some(held) = waiting.origins.get_mut(key) {
            held.clone_from(origin);
            return None;
        }
        if waiting.order.len() < WATCH_KEYS_MAX {
            waiting.order.push_back(key.clone());
            waiting.origins.insert(key.clone(), origin.clone());
        } else {
            waiting.order = VecDeque::new();
            waiting.origins = BTreeMap::new();
            waiting.has_lagged = true;
        }
        waiting.waker.take()
    }

    /// Nothing will change any more.
    pub(super) fn end(&self) -> Option<Waker> {
        let mut waiting = self.waiting();
        waiting.has_ended = true;
        waiting.waker.take()
    }

    /// What comes next. A key stays where it is.
    fn poll_next(&self, context: &Context<'_>) -> Poll<Next> {
        let mut waiting = self.waiting();
        if std::mem::take(&mut waiting.has_lagged) {
            return Poll::Ready(Next::Lagged);
        }
        match waiting.order.front() {
            Some(key) => Poll::Ready(Next::Key(key.clone())),
            None if waiting.has_ended => Poll::Ready(Next::Ended),
            None => {
                waiting.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Takes `key` from the front. `None` when it is there no more, since the queue was given up meanwhile.
    fn take(&self, key: &ObjectKey) -> Option<Origin> {
        let mut waiting = self.waiting();
        if waiting.order.front() != Some(key) {
            return None;
        }
        waiting.order.pop_front();
        waiting.origins.remove(key)
    }
}

impl Watcher {
    pub(super) fn new(prefix: &str, queue: Arc<Queue>, views: Arc<Views>) -> Self {
        Self { prefix: prefix.into(), queue, views }
    }

    /// What the paths of the objects begin with that it watches.
    #[must_use]
    pub const fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let own = |view: &Viewer| matches!(view, Viewer::Watch(held) if Arc::ptr_eq(held, &self.queue));
        self.views.remove(&self.prefix, own);
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.waiting().order.len();
        f.debug_struct("Watcher").field("prefix", &self.prefix).field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl Keyspace {
    /// Watches every object whose path begins with `prefix`. Whatever begins to change after this call is told.
    ///
    /// Cost: one lock for each shard.
    #[must_use]
    pub fn watch(&self, prefix: &str) -> Watcher {
        let watcher = self.views.watch(prefix);
        self.pass_views();
        watcher
    }

    /// What the watcher is told next; `None` when nothing will change any more and it has been told everything.
    ///
    /// Cost: that of reading the object, under its shard's lock.
    pub fn poll_watch(&self, watcher: &mut Watcher, context: &Context<'_>) -> Poll<Option<Event>> {
        let queue = &watcher.queue;
        loop {
            let key = match queue.poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Next::Ended) => return Poll::Ready(None),
                Poll::Ready(Next::Lagged) => return Poll::Ready(Some(Event::Lagged)),
                Poll::Ready(Next::Key(key)) => key,
            };
            let hash = self.hash(key.path_bytes());
            // SUBTLE: it is taken from the queue and read under one lock of its shard. A change in between would be read
            // here, and told once more.
            let table = self.map.shards()[self.shard(hash)].read();
            let Some(origin) = queue.take(&key) else { continue };
            let held = table.get(hash, |(held, _)| *held == key).map(|(_, object)| object.get());
            let value = held.filter(|object| object.is_live()).map(Object::value);
            return Poll::Ready(Some(Event::Changed { key, value, origin }));
        }
    }
}
