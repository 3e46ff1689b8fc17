//! A bucket in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    future,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Page, Stored, check_key, check_prefix};

/// A bucket that lives as long as its last clone, and is gone then.
///
/// Clones share the objects. Every call is answered at once and none fails, except for a key that is not one. Like most
/// object stores it does not notice a key that is a folder of another.
#[derive(Clone, Debug, Default)]
pub struct MemoryBucket {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl MemoryBucket {
    /// An empty bucket.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create_now(&self, key: &str, body: Bytes) -> Result<Created, BucketError> {
        check_key(key)?;
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Ok(Created::Exists);
        }
        objects.insert(key.to_owned(), body);
        Ok(Created::New)
    }

    fn get_now(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        check_key(key)?;
        Ok(self.objects().get(key).cloned())
    }

    fn list_now(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, BucketError> {
        check_prefix(prefix)?;
        let objects = self.objects();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut found = objects
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, body)| Stored { key: key.clone(), size: body.len() as u64 });
        let objects = found.by_ref().take(limit.max(1)).collect();
        Ok(Page { objects, more: found.next().is_some() })
    }

    fn folders_now(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        check_prefix(prefix)?;
        let objects = self.objects();
        let keys = objects.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)).map(|(key, _)| key);
        let names = keys.map_while(|key| key.strip_prefix(prefix)).filter_map(|rest| rest.split_once('/'));
        let names: BTreeSet<_> = names.map(|(name, _)| name.to_owned()).collect();
        Ok(names.into_iter().collect())
    }
}

impl Bucket for MemoryBucket {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(future::ready(self.create_now(key, body)))
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(future::ready(self.get_now(key)))
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        let slice = |body: Bytes| {
            let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
            body.slice(clamp(start)..clamp(start.saturating_add(length)))
        };
        Box::pin(future::ready(self.get_now(key).map(|body| body.map(slice))))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(future::ready(self.list_now(prefix, after, limit)))
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(future::ready(self.folders_now(prefix)))
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(future::ready(check_key(key).map(|()| {
            self.objects().remove(key);
        })))
    }
}
