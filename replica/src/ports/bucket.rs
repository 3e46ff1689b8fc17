//! The bucket: objects under keys, written once.
//! Layer 0.

use core::fmt;
use std::{error::Error as StdError, sync::Arc};

use bytes::Bytes;

use super::Answer;

/// An object store, as far as the engine needs one.
///
/// No object is ever overwritten: there is no such call. Five operations are all there is, so that an adapter stays thin
/// and one conformance test can hold all of them to the same behaviour.
///
/// # What an implementation promises
///
/// - **Create is atomic and exclusive.** Of any number of creators of one key exactly one is told [`Created::New`]; nobody
///   ever sees a part of an object.
/// - **Reads and lists come after writes.** Once a create has been answered, every later `get` and `list` shows it, and
///   the same holds for `delete`.
/// - **Lists are complete and in ascending order** of the keys' bytes.
/// - **An error says what is known.** [`Outcome::Indeterminate`] when the request may have had, or may still have, its
///   effect; the others only when it had none. What only reads is never indeterminate.
///
/// It does not retry: the engine has the one retry policy, and knows which repetition is safe.
///
/// # Keys
///
/// Segments of `A-Z a-z 0-9 . _ -`, separated by `/`, none of them empty, `.` or `..`, nor longer than 255 bytes; at most
/// 900 bytes in all. Every call refuses what is not one: see [`check_key`] and [`check_prefix`].
///
/// No key is a folder of another, and the caller sees to that: a directory cannot hold both and refuses the second, most
/// object stores do not notice. A folder is there as long as an object is in it.
pub trait Bucket: Send + Sync + fmt::Debug {
    /// Creates the object, if there is none of this key.
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>>;

    /// The object, or `None` if there is none.
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>>;

    /// `length` bytes of the object from `start`, fewer where it ends earlier (none at or past its end), or `None` if
    /// there is no object.
    fn get_range<'a>(&'a self, key: &'a str, start: u64, length: u64)
    -> Answer<'a, Result<Option<Bytes>, BucketError>>;

    /// At most `limit` objects whose keys begin with `prefix` and come after `after`, in ascending order.
    ///
    /// `prefix` is empty or ends with `/`. `after` is any text, also one that is no key of an object, and is compared by
    /// its bytes. `limit` is at least 1; an implementation may give fewer at a time, but never none as long as there are
    /// more, and says in [`Page::more`] whether there are.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>>;

    /// The names of the folders directly under `prefix`, which is empty or ends with `/`, in ascending order.
    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>>;

    /// Deletes the object. To delete what is not there is done too.
    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>>;
}

/// A shared bucket is a bucket.
impl<B: Bucket + ?Sized> Bucket for Arc<B> {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        (**self).create(key, body)
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        (**self).get(key)
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        (**self).get_range(key, start, length)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        (**self).list(prefix, after, limit)
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        (**self).folders(prefix)
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        (**self).delete(key)
    }
}

/// What became of a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// There was no object; now this one is there.
    New,
    /// There is an object of this key already. It may be one's own, from an attempt whose answer was lost: read it.
    Exists,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects, in ascending order of their keys.
    pub objects: Vec<Stored>,
    /// True when there are more behind the last one.
    pub more: bool,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a bucket did not do what it was asked, and so what to do next.
#[derive(Debug)]
pub struct BucketError {
    /// What is known of the effect.
    pub outcome: Outcome,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What is asked of a bucket: a folder listing is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// An object is to be created.
    Create,
    /// An object or a range of it is read.
    Get,
    /// Keys are listed.
    List,
    /// An object is deleted.
    Delete,
}

impl Request {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Create, Self::Get, Self::List, Self::Delete];

    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }
}

/// What is known of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It may have had its effect, or may have it later. Repeat the same request; never report it as failed.
    Indeterminate,
    /// It had no effect, and may succeed later. Wait, then repeat it.
    Unavailable,
    /// It had no effect, and the store asks for fewer requests. Wait longer, then repeat it.
    Throttled,
    /// It had no effect and never will as things stand: a permission, a setting, a full disk. Do not repeat it at once.
    Refused,
}

impl Outcome {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Indeterminate, Self::Unavailable, Self::Throttled, Self::Refused];

    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Indeterminate => "indeterminate",
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::Refused => "refused",
        }
    }
}

impl BucketError {
    /// An error. The message is in lower case and says what was tried and what to do; it does not repeat the source.
    #[must_use]
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

impl fmt::Display for BucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: outcome={}", self.message, self.outcome.name())
    }
}

impl StdError for BucketError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// The longest key, in bytes: what the strictest store takes (1,024), less room for a prefix of the bucket's own.
pub const KEY_BYTES_MAX: usize = 900;

/// The longest prefix of a bucket's own, in bytes: with a `/` and the longest key it still is what the strictest store takes.
pub const PREFIX_BYTES_MAX: usize = 1_024 - 1 - KEY_BYTES_MAX;

/// The longest segment of a key, in bytes: the longest name of a file.
pub const SEGMENT_BYTES_MAX: usize = 255;

/// Checks that a key is one that every bucket can hold.
///
/// # Errors
///
/// A [`Refused`](Outcome::Refused) error that says what is wrong with it.
pub fn check_key(key: &str) -> Result<(), BucketError> {
    let refuse = |why: &str| Err(BucketError::new(Outcome::Refused, format!("not a key: {why}: key={key:?}")));
    if key.len() > KEY_BYTES_MAX {
        return refuse("longer than 900 bytes");
    }
    for segment in key.split('/') {
        if matches!(segment, "" | "." | "..") {
            return refuse("a segment is empty, `.` or `..`");
        }
        if segment.len() > SEGMENT_BYTES_MAX {
            return refuse("a segment is longer than 255 bytes");
        }
        if !segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
            return refuse("a byte is not one of A-Z a-z 0-9 . _ -");
        }
    }
    Ok(())
}

/// The prefix under which a bucket keeps all of its keys, as they begin: empty, or with one `/` at its end.
///
/// # Errors
///
/// What such a prefix is, when it is none.
pub fn own_prefix(prefix: &str) -> Result<String, String> {
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        return Ok(String::new());
    }
    if folder.len() > PREFIX_BYTES_MAX || check_key(folder).is_err() {
        return Err(format!(
            "a prefix is at most {PREFIX_BYTES_MAX} bytes of A-Z a-z 0-9 . _ -, in segments of at most {SEGMENT_BYTES_MAX} \
             with one `/` between them, none `.` or `..`: prefix={prefix:?}"
        ));
    }
    Ok(format!("{folder}/"))
}

/// Checks that a prefix is one that can be listed: empty, or a key with a `/` behind it.
///
/// # Errors
///
/// A [`Refused`](Outcome::Refused) error that says what is wrong with it.
pub fn check_prefix(prefix: &str) -> Result<(), BucketError> {
    if prefix.is_empty() {
        return Ok(());
    }
    match prefix.strip_suffix('/') {
        Some(folder) => check_key(folder),
        None => {
            Err(BucketError::new(Outcome::Refused, format!("not a prefix: it must end with `/`: prefix={prefix:?}")))
        }
    }
}
