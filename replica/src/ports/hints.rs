//! Hints: "look now".
//! Layer 0.

use core::fmt;
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
}

/// A shared source is a source.
impl<H: Hints + ?Sized> Hints for Arc<H> {
    fn next(&self) -> Answer<'_, Hint> {
        (**self).next()
    }

    fn done(&self, hint: Hint) -> Answer<'_, ()> {
        (**self).done(hint)
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
