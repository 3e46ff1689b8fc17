//! A bucket that counts what its requests come to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Page};

/// How often each sort of request came to each end: `create indeterminate`, say.
pub(crate) type Outcomes = BTreeMap<String, u64>;

/// Where they are counted. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<Mutex<Outcomes>>);

impl Counter {
    pub(crate) fn counted(&self) -> Outcomes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }
}

/// The same bucket, counted.
#[derive(Debug)]
pub(crate) struct Counted<B> {
    bucket: B,
    counter: Counter,
    /// Requests count whose key, or prefix, begins so.
    about: String,
}

impl<B> Counted<B> {
    pub(crate) fn new(bucket: B, counter: &Counter) -> Self {
        Self::about(String::new(), bucket, counter)
    }

    /// Counts only what is asked about keys that begin so.
    pub(crate) fn about(about: String, bucket: B, counter: &Counter) -> Self {
        Self { bucket, counter: counter.clone(), about }
    }

    fn count<T>(
        &self,
        request: &str,
        key: &str,
        answer: Result<T, BucketError>,
        done: impl Fn(&T) -> &'static str,
    ) -> Result<T, BucketError> {
        if key.starts_with(&self.about) {
            let came_to = answer.as_ref().map_or_else(|error| error.outcome.name(), done);
            self.counter.count(format!("{request} {came_to}"));
        }
        answer
    }
}

impl<B: Bucket> Bucket for Counted<B> {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move {
            let done = |created: &Created| if *created == Created::New { "done" } else { "exists" };
            self.count("create", key, self.bucket.create(key, body).await, done)
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            let done = |body: &Option<Bytes>| if body.is_some() { "done" } else { "absent" };
            self.count("get", key, self.bucket.get(key).await, done)
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            let done = |body: &Option<Bytes>| if body.is_some() { "done" } else { "absent" };
            self.count("get", key, self.bucket.get_range(key, start, length).await, done)
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(async move { self.count("list", prefix, self.bucket.list(prefix, after, limit).await, |_| "done") })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move { self.count("list", prefix, self.bucket.folders(prefix).await, |_| "done") })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move { self.count("delete", key, self.bucket.delete(key).await, |()| "done") })
    }
}
