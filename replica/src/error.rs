//! What can go wrong, as the few things that a caller can do about it.
//! Layer 1.

use core::fmt;
use std::error::Error as StdError;

/// An error of the engine: a kind that says what to do next, a message with the values that matter, and the cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The path has a live object of another kind. Nothing was changed. Use that kind, another path, or delete it first.
    KindMismatch,
    /// A register is not as the batch expects it. Nothing was changed. Look at it again.
    Changed,
    /// Too much waits to be written, memory or the room for marks is full, or what was promised has not all come back since
    /// this replica was opened. Nothing was changed. Try again later: the message says what is waited for.
    Backpressure,
    /// The wall clock is too far behind. Nothing was changed. Set it right.
    ClockSkew,
    /// Another process has taken this replica's log over. Nothing more can be written here, and nothing that was not
    /// durable will be. Stop this process, or open a replica of another name.
    Fenced,
    /// A log does not go on where it was: its bucket was emptied, rolled back, or tampered with. Open a new replica name,
    /// which recovers what the peers hold.
    LostHistory,
    /// The operator has evicted this replica. Open a new replica name.
    Evicted,
    /// The bucket refuses, or has been out of reach for longer than is waited. What to mend is in the message.
    Store,
    /// An object in a bucket is damaged, does not say what it must, or was written with another key. It is left where it is;
    /// the other logs go on.
    Corrupt,
    /// An object in a bucket is of a newer format. Upgrade this process.
    Unsupported,
    /// The request is wrong and will be wrong again: a path, a size, a setting.
    Invalid,
    /// The replica has been closed.
    Closed,
}

impl ErrorKind {
    /// The word for it in commands, logs and answers, such as `kind_mismatch`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KindMismatch => "kind_mismatch",
            Self::Changed => "changed",
            Self::Backpressure => "backpressure",
            Self::ClockSkew => "clock_skew",
            Self::Fenced => "fenced",
            Self::LostHistory => "lost_history",
            Self::Evicted => "evicted",
            Self::Store => "store",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
            Self::Closed => "closed",
        }
    }
}

impl Error {
    /// An error. The message is in lower case, its values stand last as `key=value`, and it does not repeat the source.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    pub(crate) fn caused_by(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The message and those of its causes, for where only text is kept.
    pub(crate) fn told(&self) -> String {
        let mut told = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            told = format!("{told}: {error}");
            cause = error.source();
        }
        told
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
