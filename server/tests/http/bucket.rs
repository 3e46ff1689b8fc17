//! A bucket in memory that can be taken away.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use replica::ports::{Answer, Bucket, BucketError, Created, Outcome, Page};
use store_object::MemoryBucket;

/// What a bucket does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It answers.
    Well = 0,
    /// It is out of reach.
    Away = 1,
    /// It takes nothing more, as a full disk.
    Full = 2,
}

/// A bucket in memory. Clones are the same bucket, and in the same mood.
#[derive(Clone, Debug)]
pub(crate) struct Moody {
    bucket: MemoryBucket,
    mood: Arc<AtomicU8>,
}

impl Moody {
    pub(crate) fn new() -> Self {
        Self { bucket: MemoryBucket::new(), mood: Arc::default() }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::Relaxed);
    }

    fn check(&self, writes: bool) -> Result<(), BucketError> {
        let error = |outcome, says: &str| Err(BucketError::new(outcome, says));
        match self.mood.load(Ordering::Relaxed) {
            mood if mood == Mood::Away as u8 => error(Outcome::Unavailable, "nobody answers"),
            mood if mood == Mood::Full as u8 && writes => error(Outcome::Refused, "no space is left on the device"),
            _ => Ok(()),
        }
    }
}

impl Bucket for Moody {
    fn create<'a>(&'a self, key: &'a str, body: bytes::Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move {
            self.check(true)?;
            self.bucket.create(key, body).await
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<bytes::Bytes>, BucketError>> {
        Box::pin(async move {
            self.check(false)?;
            self.bucket.get(key).await
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<bytes::Bytes>, BucketError>> {
        Box::pin(async move {
            self.check(false)?;
            self.bucket.get_range(key, start, length).await
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(async move {
            self.check(false)?;
            self.bucket.list(prefix, after, limit).await
        })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move {
            self.check(false)?;
            self.bucket.folders(prefix).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move {
            self.check(true)?;
            self.bucket.delete(key).await
        })
    }
}
