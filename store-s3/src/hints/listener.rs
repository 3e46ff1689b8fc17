//! The two loops behind a source of hints: one receives, the other deletes what is dealt with and extends what is not
//! yet.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use replica::ports::{BucketError, Hint, QueueLook};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    event::{self, Source, Told},
    ledger::{HIDDEN, Handle, Ledger, UNDER_WAY_MAX},
    lock,
    queue::{BATCH, LONG_POLL, Queue, Received},
};

/// The first pause after the queue did not answer, and the longest: each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long a message that may be deleted waits for others to be deleted with it.
const LINGER: Duration = Duration::from_millis(100);

/// How often dead letters are counted.
const COUNTED_EVERY: Duration = Duration::from_secs(300);

/// How often deleting is tried. What is still there then comes again.
const DELETIONS_MAX: u32 = 5;

/// A message to delete, and how often it has been tried.
type Attempt = (Handle, u32);

/// What the loops and the source share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ledger: Mutex<Ledger>,
    /// There is room for more messages.
    pub(super) room: Notify,
    /// Something is under way that was not.
    more: Notify,
    /// What the queue is called.
    name: String,
    /// What may not be or cannot be done, since when, and why.
    troubles: Mutex<BTreeMap<Work, (String, String)>>,
    poisoned: AtomicU64,
    /// How long the oldest of the messages that came last had waited.
    oldest: Mutex<Option<Duration>>,
    /// How many dead letters there were when this was last asked.
    dead: Mutex<Option<u64>>,
    start: Instant,
}

/// What is done with a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Receive,
    Delete,
    Extend,
}

impl Work {
    const fn says(self) -> &'static str {
        match self {
            Self::Receive => "no hints come from it, and polling goes on",
            Self::Delete => "its messages cannot be deleted and come again",
            Self::Extend => "its messages cannot be kept from coming again",
        }
    }
}

impl Shared {
    pub(super) fn new(queue: &Queue) -> Self {
        Self {
            ledger: Mutex::default(),
            room: Notify::new(),
            more: Notify::new(),
            name: queue.url().name().to_owned(),
            troubles: Mutex::default(),
            poisoned: AtomicU64::new(0),
            oldest: Mutex::default(),
            dead: Mutex::default(),
            start: Instant::now(),
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let troubles = lock(&self.troubles);
        let (work, (since, why)) = troubles.first_key_value()?;
        Some(format!("queue {}: since {since} {}: {why}", self.name, work.says()))
    }

    pub(super) fn look(&self) -> QueueLook {
        QueueLook { name: self.name.clone(), oldest: *lock(&self.oldest), dead: *lock(&self.dead) }
    }

    fn fails(&self, work: Work, error: &BucketError) {
        let why = with_causes(error);
        let mut troubles = lock(&self.troubles);
        match troubles.get_mut(&work) {
            Some((_, before)) => *before = why,
            None => {
                tracing::warn!(queue = self.name, "{}: {why}", work.says());
                troubles.insert(work, (now(), why));
            }
        }
    }

    fn works(&self, work: Work) {
        if lock(&self.troubles).remove(&work).is_some() {
            tracing::info!(queue = self.name, "{} no longer", work.says());
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Receives for ever, and tells what is in the messages.
pub(super) async fn receive(
    queue: Arc<Queue>,
    sources: Vec<Source>,
    shared: Arc<Shared>,
    tell: mpsc::Sender<Hint>,
    finished: mpsc::Sender<Handle>,
) {
    let mut pause = PAUSE_MIN;
    loop {
        while lock(&shared.ledger).under_way() >= UNDER_WAY_MAX {
            shared.room.notified().await;
        }
        let messages = match queue.receive(LONG_POLL, HIDDEN).await {
            Ok(messages) => messages,
            Err(error) => {
                shared.fails(Work::Receive, &error);
                *lock(&shared.oldest) = None;
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
        };
        shared.works(Work::Receive);
        pause = PAUSE_MIN;
        let now_ms = u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX);
        let sent = messages.iter().map(|message| message.sent_ms).filter(|sent| *sent > 0);
        let oldest = sent.map(|sent_ms| Duration::from_millis(now_ms.saturating_sub(sent_ms))).max();
        *lock(&shared.oldest) = Some(oldest.unwrap_or_default());
        for message in messages {
            let keys: Vec<Option<String>> = match event::parse(&message.body, &sources) {
                Ok(Told::Created(keys)) => keys.into_iter().map(Some).collect(),
                Ok(Told::Something) => vec![None],
                Err(poison) => {
                    warn_of_poison(&shared, &message, poison);
                    continue;
                }
            };
            if keys.is_empty() {
                tracing::debug!(queue = shared.name, message = message.handle.id, "it concerns nobody here");
                if finished.send(message.handle).await.is_err() {
                    return;
                }
                continue;
            }
            let receipts = lock(&shared.ledger).receive(message.handle, keys.len(), shared.elapsed());
            shared.more.notify_one();
            for (key, receipt) in keys.into_iter().zip(receipts) {
                if tell.send(Hint { key, receipt }).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Deletes what is dealt with, and extends the time of what is not yet.
pub(super) async fn keep(queue: Arc<Queue>, shared: Arc<Shared>, mut finished: mpsc::Receiver<Handle>) {
    // What could not be deleted, and how often that was tried.
    let mut again: Vec<Attempt> = Vec::new();
    loop {
        let extends = lock(&shared.ledger).extends_next().map(|at| shared.start + at);
        tokio::select! {
            message = finished.recv() => {
                let Some(message) = message else { return };
                let batch = gather(message, &mut finished, &mut again).await;
                delete(&queue, &shared, batch, &mut again).await;
            }
            // Something may be due earlier than what is waited for.
            () = shared.more.notified() => {}
            () = sleep_until(extends.unwrap_or_else(|| Instant::now() + HIDDEN)) => {
                extend(&queue, &shared).await;
                let (batch, later) = split(core::mem::take(&mut again));
                again = later;
                if !batch.is_empty() {
                    delete(&queue, &shared, batch, &mut again).await;
                }
            }
        }
    }
}

/// This message and those that may go with it, with how often each was tried.
async fn gather(first: Handle, finished: &mut mpsc::Receiver<Handle>, again: &mut Vec<Attempt>) -> Vec<Attempt> {
    let until = Instant::now() + LINGER;
    let mut batch = vec![(first, 0)];
    while batch.len() < BATCH {
        match timeout_at(until, finished.recv()).await {
            Ok(Some(message)) => batch.push((message, 0)),
            Ok(None) | Err(_) => break,
        }
    }
    while batch.len() < BATCH
        && let Some(message) = again.pop()
    {
        batch.push(message);
    }
    batch
}

fn split(mut all: Vec<Attempt>) -> (Vec<Attempt>, Vec<Attempt>) {
    let later = all.split_off(all.len().min(BATCH));
    (all, later)
}

async fn delete(queue: &Queue, shared: &Shared, batch: Vec<Attempt>, again: &mut Vec<Attempt>) {
    let messages: Vec<Handle> = batch.iter().map(|(message, _)| message.clone()).collect();
    let left: Vec<Handle> = match queue.delete(&messages).await {
        Ok(failed) => {
            shared.works(Work::Delete);
            failed.into_iter().for_each(|(message, why)| {
                tracing::debug!(queue = shared.name, message = message.id, "it was not deleted: {why}");
                if let Some((message, tried)) = batch.iter().find(|(known, _)| *known == message) {
                    again.push((message.clone(), tried + 1));
                }
            });
            Vec::new()
        }
        Err(error) => {
            shared.fails(Work::Delete, &error);
            messages
        }
    };
    again.extend(
        batch.into_iter().filter(|(message, _)| left.contains(message)).map(|(message, tried)| (message, tried + 1)),
    );
    again.retain(|(_, tried)| *tried < DELETIONS_MAX);
    again.truncate(UNDER_WAY_MAX);
}

async fn extend(queue: &Queue, shared: &Shared) {
    loop {
        let due = lock(&shared.ledger).due_for_extension(shared.elapsed());
        if due.is_empty() {
            return;
        }
        match queue.hide(&due, HIDDEN).await {
            Ok(failed) => {
                shared.works(Work::Extend);
                for (message, why) in failed {
                    tracing::debug!(queue = shared.name, message = message.id, "it is let go: {why}");
                    lock(&shared.ledger).forget(&message.id);
                    shared.room.notify_one();
                }
            }
            Err(error) => return shared.fails(Work::Extend, &error),
        }
    }
}

/// Asks for ever how many dead letters there are. While there is no answer it is as it was.
pub(super) async fn count_dead_letters(queue: Arc<Queue>, shared: Arc<Shared>) {
    let mut has_failed = false;
    loop {
        match how_many_are_dead(&queue).await {
            Ok(dead) => {
                *lock(&shared.dead) = dead;
                has_failed = false;
            }
            Err(error) if !std::mem::replace(&mut has_failed, true) => {
                tracing::warn!(queue = shared.name, "its dead letters cannot be counted: {}", with_causes(&error));
            }
            Err(_) => {}
        }
        sleep(COUNTED_EVERY).await;
    }
}

async fn how_many_are_dead(queue: &Queue) -> Result<Option<u64>, BucketError> {
    let Some(dead_letters) = queue.dead_letters().await? else { return Ok(None) };
    let state = dead_letters.state().await?;
    Ok(Some(state.waiting + state.under_way))
}

/// Warns of the first, the second, the fourth, and so on: a flood of them is no flood of lines.
fn warn_of_poison(shared: &Shared, message: &Received, poison: event::Poison) {
    let poisoned = shared.poisoned.fetch_add(1, Ordering::Relaxed) + 1;
    if poisoned.is_power_of_two() {
        let (queue, id, times) = (&shared.name, &message.handle.id, message.times);
        tracing::warn!(
            queue,
            message = id,
            times,
            poisoned,
            "a message is {}; it is left to the dead-letter queue: `archipelago dlq list`",
            poison.says()
        );
    }
}

/// An error and its causes, each once.
fn with_causes(error: &BucketError) -> String {
    let mut says = error.to_string();
    let mut cause = core::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !says.contains(&more) {
            let _infallible = write!(says, ": {more}");
        }
        cause = error.source();
    }
    says
}

#[expect(clippy::disallowed_methods, reason = "it is shown to people and decides nothing")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The time, as people read it.
fn now() -> String {
    let time = DateTime::from_secs(i64::try_from(since_epoch().as_secs()).unwrap_or(0));
    time.fmt(DateTimeFormat::DateTime).unwrap_or_default()
}
