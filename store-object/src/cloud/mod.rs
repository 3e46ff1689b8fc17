//! Buckets in Azure Blob Storage and Google Cloud Storage.
//!
//! Written on the `object_store` crate, with its retries off: docs/decisions/0021-azure-and-google.md.

mod answer;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcs")]
mod google;
mod outcome;
mod url;

use std::{collections::BTreeSet, fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    RetryConfig,
    list::{PaginatedListOptions, PaginatedListStore},
    path::Path,
};
use replica::ports::{Answer, Bucket, BucketError, Created, Outcome, Page, Stored, check_key, check_prefix};

pub use self::url::CloudUrl;
use self::{
    outcome::{Request, Verdict, failed, timed_out, verdict},
    url::Service,
};

/// How long an answer may take, and how much longer for so much of a body.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const BYTES_A_SECOND: u64 = 256 << 10;

/// The largest object that is read, in bytes; no object of the engine is as large.
const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// No object is as large, and both services take numbers up to it.
const POSITION_MAX: u64 = 1 << 50;

/// A bucket in a cloud: a container of Azure Blob Storage (feature `azure`) or a bucket of Google Cloud Storage
/// (feature `gcs`).
///
/// # What it promises
///
/// - A create is the service's own, with `If-None-Match: *` in Azure and generation 0 at Google, so the service itself
///   lets exactly one of several creators win.
/// - Every request is sent once, and never sent on elsewhere. Of one whose answer is lost it is said that nothing is
///   known of it; the engine repeats it, and knows when that is safe.
/// - What is not there is told from what is not known: from a bucket that is missing, a server that is none of that
///   service, credentials that nobody gave. A list that is not in order is an error.
///
/// # What it needs
///
/// | | Azure, on the container | Google, on the bucket |
/// |---|---|---|
/// | to read | `Storage Blob Data Reader` | `storage.objects.get`, `storage.objects.list` |
/// | to write | `Storage Blob Data Contributor` | also `storage.objects.create` |
/// | to collect | `Storage Blob Data Contributor` | also `storage.objects.delete` |
///
/// A storage account without a hierarchical namespace: the lists of one that has it are not in the order of bytes.
///
/// Credentials come from where the service's own tools look: `AZURE_STORAGE_*` variables, a workload or managed
/// identity; `GOOGLE_*` variables, the application default credentials, the metadata server. Where the bucket is says
/// its URL alone.
///
/// # Where it runs
///
/// On a runtime of tokio with time and I/O. Dropping a call's future drops its connection.
///
/// # Time limits
///
/// 5 s for a connection with TLS; 30 s for an answer, credentials included, and a second more for each 256 KiB of a
/// body, either way.
///
/// # Cost
///
/// One request a call; a list takes another for each 1,000 objects (Google) or 5,000 (Azure), and folders for as many
/// folders and objects beside them. `get_range` of no bytes asks for one. In Azure a delete is a batch of one, and
/// billed as that, and a list that begins behind a key reads the list from its beginning where the service does not
/// know `startFrom`.
#[derive(Clone)]
pub struct CloudBucket {
    store: Arc<dyn Store>,
    url: Arc<CloudUrl>,
    answer_max: Duration,
}

/// What both services are to this bucket.
trait Store: ObjectStore + PaginatedListStore {}
impl<S: ObjectStore + PaginatedListStore> Store for S {}

/// How a service is spoken to. All else is in the client: see `answer.rs`.
fn client_options(url: &CloudUrl) -> ClientOptions {
    let is_plain = url.endpoint().is_some_and(|endpoint| endpoint.starts_with("http:"));
    ClientOptions::new().with_allow_http(is_plain)
}

/// Nothing is repeated but by the engine, which knows what is safe.
fn no_retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

impl CloudBucket {
    /// Makes ready what the URL describes. It reads the environment and files of credentials, and asks nobody.
    ///
    /// # Errors
    ///
    /// `Refused` if the service is not built in, no account is named, or credentials are half there.
    pub fn open(url: &CloudUrl) -> Result<Self, BucketError> {
        let variables = std::env::vars_os();
        Self::open_as(
            url,
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// The same with these variables instead of those of the environment: with credentials from a vault, say, as
    /// `AZURE_STORAGE_ACCOUNT_KEY` or `GOOGLE_SERVICE_ACCOUNT_KEY`.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_as(url: &CloudUrl, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, BucketError> {
        let variables = variables.into_iter().collect();
        let store = match url.service {
            #[cfg(feature = "azure")]
            Service::Azure => azure::open(url, variables)?,
            #[cfg(not(feature = "azure"))]
            Service::Azure => return Err(url.refused("this build has no Azure; build it with the feature azure")),
            #[cfg(feature = "gcs")]
            Service::Google => google::open(url, variables)?,
            #[cfg(not(feature = "gcs"))]
            Service::Google => return Err(url.refused("this build has no Google; build it with the feature gcs")),
        };
        Ok(Self { store, url: Arc::new(url.clone()), answer_max: ANSWER_MAX })
    }

    /// Gives an answer so much time instead of 30 s. Less finds a dead service sooner, and a slow one dead.
    #[must_use]
    pub fn answer_within(self, limit: Duration) -> Self {
        Self { answer_max: limit, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &CloudUrl {
        &self.url
    }

    /// Asks whether a folder can be read: that the bucket is there, and open to these credentials. `prefix` is empty or
    /// ends with `/`.
    ///
    /// It writes nothing, so it suits a peer's bucket too. Whether a bucket can hold a log is tried by the engine when
    /// a replica is opened.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to do.
    ///
    /// # Cost
    ///
    /// A list and a read of an object that is missing.
    pub async fn check(&self, prefix: &str) -> Result<(), BucketError> {
        self.page(prefix, None, 1).await?;
        // Where lists are not allowed, what is missing is denied: better now than in the middle of a log.
        self.read(&format!("{prefix}none"), None).await?;
        Ok(())
    }

    /// Where an object is in the store.
    fn path(&self, key: &str) -> Path {
        Path::from(self.url.full(key))
    }

    /// The key of an object in the store, if it has one.
    fn key<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.as_ref().strip_prefix(self.url.prefix())
    }

    /// Waits for the answer, no longer than a body of this size may take.
    async fn answer<T>(
        &self,
        request: Request,
        key: &str,
        body_bytes: u64,
        sent: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Verdict> {
        let limit = self.answer_max + Duration::from_secs(body_bytes / BYTES_A_SECOND);
        match tokio::time::timeout(limit, sent).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(verdict(&self.url, request, key, error)),
            Err(_) => Err(Verdict::Failed(timed_out(&self.url, request, key))),
        }
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<Created, BucketError> {
        check_key(key)?;
        let path = self.path(key);
        let bytes = body.len() as u64;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let sent = self.store.put_opts(&path, body.into(), options);
        match self.answer(Request::Create, key, bytes, sent).await {
            Ok(_) => Ok(Created::New),
            Err(Verdict::Exists) => Ok(Created::Exists),
            Err(other) => Err(unexpected(other)),
        }
    }

    /// The object, or `length` bytes of it from `start`.
    async fn read(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Bytes>, BucketError> {
        check_key(key)?;
        let path = self.path(key);
        let asked = range.map(|(start, length)| {
            // HTTP has no empty range, and whether the object is there must be known all the same.
            let start = start.min(POSITION_MAX);
            GetRange::Bounded(start..start.saturating_add(length.max(1)).min(POSITION_MAX + 1))
        });
        let sent = self.store.get_opts(&path, GetOptions { range: asked, ..GetOptions::default() });
        let found = match self.answer(Request::Get, key, 0, sent).await {
            Ok(found) => found,
            Err(Verdict::Absent) => return Ok(None),
            Err(Verdict::PastTheEnd) if range.is_some() => return Ok(Some(Bytes::new())),
            Err(other) => return Err(unexpected(other)),
        };
        let size = found.range.end - found.range.start;
        if size > OBJECT_BYTES_MAX {
            let says = format!("the object is larger than any of ours; is something else in the bucket? size={size}");
            return Err(failed(&self.url, Request::Get, key, Outcome::Refused, &says));
        }
        let body = self.answer(Request::Get, key, size, found.bytes()).await.map_err(unexpected)?;
        if body.len() as u64 != size {
            let says = "the object did not come whole; it will be read again";
            return Err(failed(&self.url, Request::Get, key, Outcome::Unavailable, says));
        }
        let is_of_none = range.is_some_and(|(_, length)| length == 0);
        Ok(Some(if is_of_none { Bytes::new() } else { body }))
    }

    async fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, BucketError> {
        check_prefix(prefix)?;
        let limit = limit.max(1);
        let folder = Some(self.url.full(prefix)).filter(|folder| !folder.is_empty());
        let offset = after.map(|after| self.url.full(beginning(after))).filter(|offset| !offset.is_empty());
        let mut page = Page::default();
        let mut last = None;
        // The first answer need not be longer than what is wanted. If a service begins elsewhere than it was asked to,
        // what follows must not come in as small pieces.
        let mut max_keys = Some(limit.saturating_add(1).min(1_000));
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions { offset: offset.clone(), max_keys, page_token, ..Default::default() };
            let sent = self.store.list_paginated(folder.as_deref(), options);
            let found = self.answer(Request::List, prefix, 0, sent).await.map_err(unexpected)?;
            for ObjectMeta { location, size, .. } in found.result.objects {
                if last.as_ref().is_some_and(|last| *last >= location) {
                    return Err(self.out_of_order(prefix));
                }
                let key = self.key(&location);
                let key = key.filter(|key| key.starts_with(prefix) && after.is_none_or(|after| *key > after));
                if let Some(key) = key {
                    if page.objects.len() == limit {
                        page.more = true;
                        return Ok(page);
                    }
                    page.objects.push(Stored { key: key.to_owned(), size });
                }
                last = Some(location);
            }
            if found.page_token.is_none() {
                return Ok(page);
            }
            (page_token, max_keys) = (found.page_token, None);
        }
    }

    /// What is behind a key is found by the order of the list alone.
    fn out_of_order(&self, prefix: &str) -> BucketError {
        let says = "the list is not in the order of bytes, so it cannot tell the end of a log; in Azure, take a storage \
                    account without a hierarchical namespace";
        failed(&self.url, Request::List, prefix, Outcome::Refused, says)
    }

    async fn names(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        check_prefix(prefix)?;
        let path = self.path(prefix);
        let sent = self.store.list_with_delimiter(Some(&path));
        let found = self.answer(Request::List, prefix, 0, sent).await.map_err(unexpected)?;
        let names = found.common_prefixes.iter().filter_map(|folder| self.key(folder)?.strip_prefix(prefix));
        // `a-/x` comes before `a/x`, and `a` before `a-`.
        let names: BTreeSet<_> = names.map(|name| name.trim_end_matches('/').to_owned()).collect();
        Ok(names.into_iter().collect())
    }

    async fn remove(&self, key: &str) -> Result<(), BucketError> {
        check_key(key)?;
        let path = self.path(key);
        match self.answer(Request::Delete, key, 0, self.store.delete(&path)).await {
            Ok(()) | Err(Verdict::Absent) => Ok(()),
            Err(other) => Err(unexpected(other)),
        }
    }
}

/// As much of the text as can stand in a key: a list may begin there, and what comes before the text is left out of it.
fn beginning(text: &str) -> &str {
    let is_of_keys = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '.' | '_' | '-' | '/');
    &text[..text.find(|sign| !is_of_keys(sign)).unwrap_or(text.len())]
}

/// What is left when a call has taken the verdicts that it has words for.
fn unexpected(verdict: Verdict) -> BucketError {
    match verdict {
        Verdict::Failed(error) => error,
        Verdict::Exists | Verdict::Absent | Verdict::PastTheEnd => {
            BucketError::new(Outcome::Refused, "the answer does not fit the request; is this a server of that service?")
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
        Box::pin(self.read(key, Some((start, length))))
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
        f.debug_tuple("CloudBucket").field(&self.url.to_string()).finish()
    }
}
