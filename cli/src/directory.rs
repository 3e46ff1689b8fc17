//! The bucket of a region in a directory. Asking does not make the directory: one that is missing is mistyped, or not mounted.

use std::{path::PathBuf, sync::OnceLock};

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Outcome, Page};
use store_object::LocalBucket;

/// A directory that is opened when it is there.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    opened: OnceLock<LocalBucket>,
}

impl Directory {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, opened: OnceLock::new() }
    }

    fn bucket(&self) -> Result<&LocalBucket, BucketError> {
        if let Some(bucket) = self.opened.get() {
            return Ok(bucket);
        }
        if !self.path.exists() {
            let says = format!("there is no directory {}; mount it, or mend the configuration", self.path.display());
            return Err(BucketError::new(Outcome::Refused, says));
        }
        let bucket = LocalBucket::open(&self.path)?;
        Ok(self.opened.get_or_init(|| bucket))
    }
}

impl Bucket for Directory {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move { self.bucket()?.create(key, body).await })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move { self.bucket()?.get(key).await })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move { self.bucket()?.get_range(key, start, length).await })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(async move { self.bucket()?.list(prefix, after, limit).await })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move { self.bucket()?.folders(prefix).await })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move { self.bucket()?.delete(key).await })
    }
}
