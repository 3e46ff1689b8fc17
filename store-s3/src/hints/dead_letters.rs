//! The dead-letter queue of a queue: what could not be understood or dealt with, for people to look at.

use core::time::Duration;
use std::collections::BTreeMap;

use replica::ports::{BucketError, Outcome};

use super::{
    event::{self, Source, Told},
    ledger::Handle,
    queue::{BATCH, Queue, Received},
};

/// How long letters stay hidden while they are looked at. If this process ends meanwhile they are back by then.
const HIDDEN: Duration = Duration::from_secs(60);

/// How long is waited for a letter: SQS then asks all of its servers.
const WAIT: Duration = Duration::from_secs(1);

/// How much of a letter is shown, in characters.
const START_MAX: usize = 120;

/// The dead-letter queue that belongs to a queue of hints.
#[derive(Debug)]
pub struct DeadLetters {
    queue: Queue,
    letters: Queue,
}

/// A message that was received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// What SQS calls it.
    pub id: String,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
    /// How often it was received, looking at it included.
    pub times: u32,
    /// Its length in bytes.
    pub bytes: usize,
    /// Why it is here, as far as can be told from it.
    pub reason: String,
    /// How it begins, in one line.
    pub start: String,
}

/// What became of letters that were sent back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// In the queue again.
    pub sent: u64,
    /// In the queue again, and still here: they could not be deleted.
    pub doubled: u64,
}

impl DeadLetters {
    /// Those of a queue.
    ///
    /// # Errors
    ///
    /// `Refused` when the queue is not there, may not be asked, or has no dead-letter queue.
    pub async fn of(queue: Queue) -> Result<Self, BucketError> {
        match queue.dead_letters().await? {
            Some(letters) => Ok(Self { queue, letters }),
            None => Err(BucketError::new(
                Outcome::Refused,
                format!(
                    "the queue {} has no dead-letter queue: what cannot be understood comes again until it expires; \
                     `archipelago provision` gives it one",
                    queue.url().name()
                ),
            )),
        }
    }

    /// The name of the dead-letter queue.
    #[must_use]
    pub fn name(&self) -> &str {
        self.letters.url().name()
    }

    /// About how many there are.
    ///
    /// # Errors
    ///
    /// As [`Queue::state`].
    pub async fn count(&self) -> Result<u64, BucketError> {
        let state = self.letters.state().await?;
        Ok(state.waiting + state.under_way)
    }

    /// At most `limit` letters, the oldest first, and leaves them there. Meanwhile, at most for a minute, nobody else
    /// sees them.
    ///
    /// # Errors
    ///
    /// `Refused` when they may not be received, `Unavailable` when the service does not answer.
    ///
    /// Cost: two requests for ten letters, and one that finds no more.
    pub async fn list(&self, limit: usize, sources: &[Source]) -> Result<Vec<DeadLetter>, BucketError> {
        let mut found = BTreeMap::new();
        let mut hidden: Vec<Handle> = Vec::new();
        let mut outcome = Ok(());
        while found.len() < limit {
            match self.letters.receive(WAIT, HIDDEN).await {
                Ok(received) if received.is_empty() => break,
                Ok(received) => {
                    for message in received {
                        hidden.push(message.handle.clone());
                        found.insert((message.sent_ms, message.handle.id.clone()), DeadLetter::new(message, sources));
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        for batch in hidden.chunks(BATCH) {
            let _back_in_a_minute = self.letters.hide(batch, Duration::ZERO).await;
        }
        outcome.map(|()| found.into_values().take(limit).collect())
    }

    /// Sends at most `limit` letters back to the queue, and deletes each here once it is there. What nobody can
    /// understand comes back.
    ///
    /// # Errors
    ///
    /// `Refused` when that is not allowed, `Unavailable` when the service does not answer. What was not sent is still
    /// here.
    ///
    /// Cost: for ten letters twelve requests.
    pub async fn replay(&self, limit: usize) -> Result<Replayed, BucketError> {
        let mut replayed = Replayed::default();
        let mut left = limit;
        while left > 0 {
            let mut received = self.letters.receive(WAIT, HIDDEN).await?;
            if received.is_empty() {
                break;
            }
            let beyond = received.split_off(received.len().min(left));
            left -= received.len();
            let (mut sent, mut outcome) = (Vec::new(), Ok(()));
            for Received { handle, body, .. } in received {
                // In this order: a crash in between doubles a letter, and loses none.
                outcome = self.queue.send(&body).await;
                if outcome.is_err() {
                    break;
                }
                sent.push(handle);
            }
            replayed.sent += sent.len() as u64;
            if !sent.is_empty() {
                replayed.doubled += match self.letters.delete(&sent).await {
                    Ok(failed) => failed.len() as u64,
                    Err(_) => sent.len() as u64,
                };
            }
            let beyond: Vec<Handle> = beyond.into_iter().map(|message| message.handle).collect();
            if !beyond.is_empty() {
                let _back_in_a_minute = self.letters.hide(&beyond, Duration::ZERO).await;
            }
            outcome?;
        }
        Ok(replayed)
    }

    /// Deletes all letters. Returns about how many there were.
    ///
    /// # Errors
    ///
    /// `Refused` when that is not allowed, `Unavailable` when the service does not answer, or did the same within a
    /// minute.
    pub async fn purge(&self) -> Result<u64, BucketError> {
        let count = self.count().await?;
        self.letters.purge().await.map(|()| count)
    }
}

impl DeadLetter {
    fn new(message: Received, sources: &[Source]) -> Self {
        let reason = match event::parse(&message.body, sources) {
            Err(poison) => poison.says().to_owned(),
            Ok(Told::Created(keys)) => match keys.first() {
                None => "about no bucket that is read here".to_owned(),
                Some(key) => format!("a hint that was not dealt with in time: {key}"),
            },
            Ok(Told::Something) => "a hint that was not dealt with in time".to_owned(),
        };
        let start = message.body.chars().take(START_MAX);
        Self {
            id: message.handle.id,
            sent_ms: message.sent_ms,
            times: message.times,
            bytes: message.body.len(),
            reason,
            start: start.map(|sign| if sign.is_control() { ' ' } else { sign }).collect(),
        }
    }
}
