//! Buckets in Azure Blob Storage and Google Cloud Storage.
//!
//! Written on the `object_store` crate, with its retries off: docs/decisions/0021-azure-and-google.md.

mod answer;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcs")]
mod google;
mod location;
mod outcome;

use std::{collections::BTreeSet, fmt, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use replica::ports::{Answer, Bucket, BucketError, Created, Page, Stored, check_key, check_prefix};

use self::{
    location::Location,
    outcome::{Asked, Service, failed},
};

/// A bucket in a cloud: an Azure container (feature `azure`) or a Google Cloud Storage bucket (feature `gcs`).
///
/// Create-only writes are the service's own: `If-None-Match: *` in Azure, `ifGenerationMatch=0` at Google.
///
/// # Where it is
///
/// | URL | parameters |
/// |---|---|
/// | `az://container/prefix` | `account` (else `AZURE_STORAGE_ACCOUNT_NAME`), `endpoint`, `allow_http` |
/// | `gs://bucket/prefix` | `endpoint`, `allow_http` |
///
/// `endpoint` names another server that speaks the same protocol. Plain HTTP is for loopback only, unless `allow_http=yes`
/// says otherwise. Credentials are never part of a URL. They come from where the service's own tools look: `AZURE_STORAGE_*`
/// variables, a workload or managed identity; `GOOGLE_*` variables, the application default credentials, the metadata server.
///
/// # What it costs
///
/// One request a call, but for three: a list reads pages of up to 1,000 keys (Google) or 5,000 (Azure) until it has its limit, and a range
/// that is empty, or begins at the end of its object or behind it, asks once more whether the object is there.
///
/// # Where it runs
///
/// On tokio. A request is given up after 60 s, and 5 s without a connection. Nothing is repeated here: the engine does.
#[derive(Clone)]
pub struct CloudBucket {
    store: Arc<dyn ObjectStore>,
    service: Service,
    location: Arc<Location>,
}

impl CloudBucket {
    /// A bucket by its URL. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// `Refused` for a URL that names no bucket of a service that is built in, an unknown parameter, plain HTTP to another
    /// machine, and credentials that are half there.
    pub fn open(url: &str) -> Result<Self, BucketError> {
        let location = Location::parse(url)?;
        let (store, service): (Arc<dyn ObjectStore>, _) = match location.scheme.as_str() {
            #[cfg(feature = "azure")]
            "az" => (azure::open(&location)?, Service::Azure),
            #[cfg(feature = "gcs")]
            "gs" => (google::open(&location)?, Service::Google),
            scheme => {
                let says =
                    format!("this build has no buckets of the kind {scheme}: its feature is off, or there is none");
                return Err(location.refused(&says));
            }
        };
        Ok(Self { store, service, location: Arc::new(location) })
    }

    /// Where an object is in the store.
    fn path(&self, key: &str) -> Path {
        Path::from(self.location.full(key))
    }

    /// The key of an object in the store, if it has one.
    fn key<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.as_ref().strip_prefix(self.location.prefix.as_str())
    }

    fn failed(&self, asked: Asked, key: &str, error: object_store::Error) -> BucketError {
        failed(self.service, asked, &self.location, key, error)
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<Created, BucketError> {
        check_key(key)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.path(key), body.into(), options).await {
            Ok(_) => Ok(Created::New),
            Err(error) if outcome::exists(&error) => Ok(Created::Exists),
            Err(error) => Err(self.failed(Asked::Create, key, error)),
        }
    }

    async fn read(&self, key: &str, range: Option<GetRange>) -> Result<Option<Bytes>, BucketError> {
        check_key(key)?;
        let options = GetOptions { range, ..GetOptions::default() };
        let body = async { self.store.get_opts(&self.path(key), options).await?.bytes().await };
        match body.await {
            Ok(body) => Ok(Some(body)),
            Err(error) if outcome::is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(Asked::Get, key, error)),
        }
    }

    async fn read_range(&self, key: &str, start: u64, length: u64) -> Result<Option<Bytes>, BucketError> {
        check_key(key)?;
        let end = start.saturating_add(length);
        if end > start {
            match self.read(key, Some(GetRange::Bounded(start..end))).await {
                Err(_) if start > 0 => {}
                answer => return answer,
            }
        }
        // Services refuse ranges that hold nothing, each in its own way. What is left is whether the object is there.
        match self.store.head(&self.path(key)).await {
            Ok(meta) if end == start || start >= meta.size => Ok(Some(Bytes::new())),
            // It was another failure: it shows again.
            Ok(_) => self.read(key, Some(GetRange::Bounded(start..end))).await,
            Err(error) if outcome::is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(Asked::Get, key, error)),
        }
    }

    async fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, BucketError> {
        check_prefix(prefix)?;
        let limit = limit.max(1);
        let folder = self.path(prefix);
        // Where the text is no key a service could not be told to begin behind it.
        let from = after.map(|after| (self.path(after), self.location.full(after)));
        let mut found = match from.filter(|(path, full)| path.as_ref() == full) {
            Some((path, _)) => self.store.list_with_offset(Some(&folder), &path),
            None => self.store.list(Some(&folder)),
        };
        let mut objects = Vec::new();
        while let Some(next) = found.next().await {
            let ObjectMeta { location, size, .. } = next.map_err(|error| self.failed(Asked::List, prefix, error))?;
            let key =
                self.key(&location).filter(|key| key.starts_with(prefix) && after.is_none_or(|after| *key > after));
            let Some(key) = key else { continue };
            if objects.len() == limit {
                return Ok(Page { objects, more: true });
            }
            objects.push(Stored { key: key.to_owned(), size });
        }
        Ok(Page { objects, more: false })
    }

    async fn names(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        check_prefix(prefix)?;
        let found = self.store.list_with_delimiter(Some(&self.path(prefix))).await;
        let found = found.map_err(|error| self.failed(Asked::List, prefix, error))?;
        let names = found.common_prefixes.iter().filter_map(|folder| self.key(folder)?.strip_prefix(prefix));
        // `a-/x` comes before `a/x`, and `a` before `a-`.
        let names: BTreeSet<_> = names.map(|name| name.trim_end_matches('/').to_owned()).collect();
        Ok(names.into_iter().collect())
    }

    async fn remove(&self, key: &str) -> Result<(), BucketError> {
        check_key(key)?;
        match self.store.delete(&self.path(key)).await {
            Ok(()) => Ok(()),
            Err(error) if outcome::is_absent(&error) => Ok(()),
            Err(error) => Err(self.failed(Asked::Delete, key, error)),
        }
    }
}

impl Bucket for CloudBucket {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(self.put(key, body))
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(self.read(key, None))
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(self.read_range(key, start, length))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(self.page(prefix, after, limit))
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(self.names(prefix))
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(self.remove(key))
    }
}

impl fmt::Debug for CloudBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CloudBucket").field(&self.location.to_string()).finish()
    }
}
