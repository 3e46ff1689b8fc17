//! The bucket of a region in a service. It is opened when it is first asked, since reading a configuration asks nobody.

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Page};
#[cfg(any(feature = "azure", feature = "gcs"))]
use store_object::{CloudBucket, CloudUrl};
#[cfg(feature = "s3")]
use store_s3::{S3Bucket, S3Url};
use tokio::sync::OnceCell;

use crate::config::Place;

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum At {
    #[cfg(feature = "s3")]
    S3(S3Url),
    #[cfg(any(feature = "azure", feature = "gcs"))]
    Cloud(CloudUrl),
}

/// A bucket that is opened when it is asked.
#[derive(Debug)]
pub(crate) struct Remote {
    at: At,
    opened: OnceCell<Box<dyn Bucket>>,
}

impl Remote {
    pub(crate) const fn new(at: At) -> Self {
        Self { at, opened: OnceCell::const_new() }
    }

    async fn bucket(&self) -> Result<&dyn Bucket, BucketError> {
        let opened = self.opened.get_or_try_init(|| async {
            Ok::<Box<dyn Bucket>, BucketError>(match &self.at {
                #[cfg(feature = "s3")]
                At::S3(url) => Box::new(S3Bucket::open(url).await?),
                #[cfg(any(feature = "azure", feature = "gcs"))]
                At::Cloud(url) => Box::new(CloudBucket::open(url)?),
            })
        });
        Ok(&**opened.await?)
    }
}

/// Whether a bucket that is in a service answers and may be read; else what to do.
pub(crate) async fn check(place: &Place) -> Result<(), BucketError> {
    match place {
        #[cfg(feature = "s3")]
        Place::S3(url) => S3Bucket::open(url).await?.check("v1/log/").await,
        #[cfg(any(feature = "azure", feature = "gcs"))]
        Place::Cloud(url) => CloudBucket::open(url)?.check("v1/log/").await,
        Place::Directory(_) | Place::Memory => Ok(()),
    }
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
