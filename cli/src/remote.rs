//! The bucket of a region on S3. It is opened when it is first asked, since reading a configuration asks nobody.

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Page};
use store_s3::{S3Bucket, S3Url};
use tokio::sync::OnceCell;

/// A bucket that is opened when it is asked.
#[derive(Debug)]
pub(crate) struct Remote {
    url: S3Url,
    opened: OnceCell<S3Bucket>,
}

impl Remote {
    pub(crate) const fn new(url: S3Url) -> Self {
        Self { url, opened: OnceCell::const_new() }
    }

    async fn bucket(&self) -> Result<&S3Bucket, BucketError> {
        self.opened.get_or_try_init(|| S3Bucket::open(&self.url)).await
    }
}

/// Whether a bucket answers and may be read; else what to do.
pub(crate) async fn check(url: &S3Url) -> Result<(), BucketError> {
    S3Bucket::open(url).await?.check("v1/log/").await
}

impl Bucket for Remote {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move { self.bucket().await?.create(key, body).await })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move { self.bucket().await?.get(key).await })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move { self.bucket().await?.get_range(key, start, length).await })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(async move { self.bucket().await?.list(prefix, after, limit).await })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move { self.bucket().await?.folders(prefix).await })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move { self.bucket().await?.delete(key).await })
    }
}
