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

    fn count<T>(
        &self,
        request: &str,
        answer: Result<T, BucketError>,
        done: impl Fn(&T) -> &'static str,
    ) -> Result<T, BucketError> {
        let came_to = answer.as_ref().map_or_else(|error| error.outcome.name(), done);
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.entry(format!("{request} {came_to}")).or_default() += 1;
        answer
    }
}

/// The same bucket, counted.
#[derive(Debug)]
pub(crate) struct Counted<B> {
    pub(crate) bucket: B,
    pub(crate) counter: Counter,
}

impl<B: Bucket> Bucket for Counted<B> {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move {
            let done = |created: &Created| if *created == Created::New { "done" } else { "exists" };
            self.counter.count("create", self.bucket.create(key, body).await, done)
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            let done = |body: &Option<Bytes>| if body.is_some() { "done" } else { "absent" };
            self.counter.count("get", self.bucket.get(key).await, done)
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
            self.counter.count("get", self.bucket.get_range(key, start, length).await, done)
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(async move { self.counter.count("list", self.bucket.list(prefix, after, limit).await, |_| "done") })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move { self.counter.count("list", self.bucket.folders(prefix).await, |_| "done") })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move { self.counter.count("delete", self.bucket.delete(key).await, |()| "done") })
    }
}
