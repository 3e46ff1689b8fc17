//! A bucket in memory that can be taken away.

use replica::ports::{Answer, Bucket, BucketError, Created, Outcome, Page};
use store_object::MemoryBucket;
use tokio::sync::watch;

/// What a bucket does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It answers.
    Well,
    /// It is out of reach.
    Away,
    /// It takes nothing more, as a full disk.
    Full,
    /// It does not answer until it is in another mood.
    Silent,
}

/// A bucket in memory. Clones are the same bucket, and in the same mood.
#[derive(Clone, Debug)]
pub(crate) struct Moody {
    bucket: MemoryBucket,
    mood: watch::Sender<Mood>,
}

impl Moody {
    pub(crate) fn new() -> Self {
        Self { bucket: MemoryBucket::new(), mood: watch::Sender::new(Mood::Well) }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    async fn check(&self, writes: bool) -> Result<(), BucketError> {
        let error = |outcome, says: &str| Err(BucketError::new(outcome, says));
        let mood = *self.mood.subscribe().wait_for(|mood| *mood != Mood::Silent).await.expect("it is there");
        match mood {
            Mood::Away => error(Outcome::Unavailable, "nobody answers"),
            Mood::Full if writes => error(Outcome::Refused, "no space is left on the device"),
            _ => Ok(()),
        }
    }
}

impl Bucket for Moody {
    fn create<'a>(&'a self, key: &'a str, body: bytes::Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move {
            self.check(true).await?;
            self.bucket.create(key, body).await
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<bytes::Bytes>, BucketError>> {
        Box::pin(async move {
            self.check(false).await?;
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
            self.check(false).await?;
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
            self.check(false).await?;
            self.bucket.list(prefix, after, limit).await
        })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move {
            self.check(false).await?;
            self.bucket.folders(prefix).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move {
            self.check(true).await?;
            self.bucket.delete(key).await
        })
    }
}
