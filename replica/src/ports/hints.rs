//! Hints: "look now".
//! Layer 0.

use core::{fmt, time::Duration};
use std::sync::Arc;

use super::Answer;

/// Tells that a peer's log may have grown.
///
/// A hint changes nothing but latency. It may be lost, doubled, late or wrong; polling finds everything without it.
pub trait Hints: Send + Sync + fmt::Debug {
    /// The next hint. A source that has ended or failed for good stays pending for ever.
    fn next(&self) -> Answer<'_, Hint>;

    /// The hint's cause has been dealt with: what it pointed to has been pulled. A queue deletes its message now.
    fn done(&self, hint: Hint) -> Answer<'_, ()>;

    /// What is wrong with the source, for an operator: since when, and why. `None` while nothing is, and from a source
    /// that cannot know. Polling goes on meanwhile. It is asked whenever somebody looks at the status, so it does no
    /// I/O.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// What is known of the queue, from a source that is one. It does no I/O either.
    fn look(&self) -> Option<QueueLook> {
        None
    }
}

/// What a queue that hints come from says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueLook {
    /// What it is called.
    pub name: String,
    /// How long the oldest of the messages that came last had waited in it; nothing when none came. `None` while it does not
    /// answer.
    pub oldest: Option<Duration>,
    /// How many messages could not be understood and lie in its dead-letter queue, the last time that it answered; `None` when
    /// there is no such queue, or it has not answered yet.
    pub dead: Option<u64>,
}

/// A shared source is a source.
impl<H: Hints + ?Sized> Hints for Arc<H> {
    fn next(&self) -> Answer<'_, Hint> {
        (**self).next()
    }

    fn done(&self, hint: Hint) -> Answer<'_, ()> {
        (**self).done(hint)
    }

    fn trouble(&self) -> Option<String> {
        (**self).trouble()
    }

    fn look(&self) -> Option<QueueLook> {
        (**self).look()
    }
}

/// One hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The key of an object that was created, without the bucket's prefix; `None` when it is not known which.
    pub key: Option<String>,
    /// What the source needs to recognise the hint when it is done.
    pub receipt: u64,
}
