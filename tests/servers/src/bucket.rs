//! A bucket: keys, their versions, and its settings.
//!
//! Whoever changes one holds the lock of all buckets for as long as it takes to look and to change, so a create-only
//! write is atomic, and a list is of one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use s3s::{
    crypto::{Checksum as _, Md5},
    dto::{
        BucketLifecycleConfiguration, BucketVersioningStatus, Checksum, Metadata, NotificationConfiguration,
        OwnershipControls, PublicAccessBlockConfiguration, ServerSideEncryptionConfiguration, Tag,
    },
};

use crate::policy::Policy;

/// An object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// The MD5 in hexadecimal digits.
    pub(crate) etag: String,
    pub(crate) checksum: Checksum,
    pub(crate) modified: SystemTime,
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) storage_class: Option<String>,
    pub(crate) encryption: String,
    pub(crate) kms_key: Option<String>,
}

/// One version of a key: an object, or the mark that it was deleted.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// `null` where there are no versions.
    pub(crate) id: String,
    pub(crate) object: Option<Arc<Object>>,
    pub(crate) since: SystemTime,
}

/// What an overwrite demands of what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    Nothing,
    /// The key is free.
    Absent,
    /// The key holds the object with this ETag.
    Etag(String),
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    /// What is there is not what was demanded.
    Differs,
    /// Nothing is there, and something was demanded.
    Missing,
}

/// What a list asks for.
#[derive(Debug, Default)]
pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: &'a str,
    /// Only keys beyond this one.
    pub(crate) after: &'a str,
    /// Whether `after` is a common prefix, all of which was listed.
    pub(crate) after_prefix: bool,
    pub(crate) max: usize,
}

/// A page of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<(String, Arc<Object>)>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page begins, if there is one: a key, and whether it is a common prefix.
    pub(crate) next: Option<(String, bool)>,
}

/// A bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) region: String,
    pub(crate) created: SystemTime,
    pub(crate) versioning: Option<BucketVersioningStatus>,
    /// As it was put, and as it is decided by.
    pub(crate) policy: Option<(String, Policy)>,
    pub(crate) public_access: Option<PublicAccessBlockConfiguration>,
    pub(crate) encryption: Option<ServerSideEncryptionConfiguration>,
    pub(crate) lifecycle: Option<BucketLifecycleConfiguration>,
    pub(crate) notification: NotificationConfiguration,
    pub(crate) ownership: Option<OwnershipControls>,
    pub(crate) tags: Option<Vec<Tag>>,
    /// The newest version last. No key has none.
    keys: BTreeMap<String, Vec<Version>>,
    versions: u64,
}

impl Object {
    /// An object as a plain put makes it.
    pub(crate) fn plain(bytes: Bytes, checksum: Checksum, modified: SystemTime) -> Self {
        let etag = hex(Md5::checksum(&bytes).as_ref());
        let (content_type, metadata, storage_class, kms_key) = (None, None, None, None);
        let encryption = "AES256".to_owned();
        Self { bytes, etag, checksum, modified, content_type, metadata, storage_class, encryption, kms_key }
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Bucket {
    pub(crate) fn new(region: &str, created: SystemTime) -> Self {
        // As every bucket since 2023.
        let public_access = PublicAccessBlockConfiguration {
            block_public_acls: Some(true),
            block_public_policy: Some(true),
            ignore_public_acls: Some(true),
            restrict_public_buckets: Some(true),
        };
        Self {
            region: region.to_owned(),
            created,
            versioning: None,
            policy: None,
            public_access: Some(public_access),
            encryption: None,
            lifecycle: None,
            notification: NotificationConfiguration::default(),
            ownership: None,
            tags: None,
            keys: BTreeMap::new(),
            versions: 0,
        }
    }

    /// The object that a key holds now.
    pub(crate) fn get(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.last().filter(|version| version.object.is_some())
    }

    /// A version of a key.
    pub(crate) fn version(&self, key: &str, id: &str) -> Option<&Version> {
        self.keys.get(key)?.iter().find(|version| version.id == id)
    }

    /// Every version of every key, the newest of a key first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (&String, &Version, bool)> {
        let of_key = |(key, versions)| {
            let newest_first = <[Version]>::iter(versions).rev().enumerate();
            newest_first.map(move |(place, version)| (key, version, place == 0))
        };
        self.keys.iter().flat_map(move |(key, versions): (&String, &Vec<Version>)| of_key((key, versions.as_slice())))
    }

    /// Puts an object, if what is there meets the demand. Gives its version.
    pub(crate) fn put(&mut self, key: &str, object: Object, demand: &Demand) -> Result<Version, Unmet> {
        let present = self.get(key).and_then(|version| version.object.as_ref());
        match (demand, present) {
            (Demand::Absent, Some(_)) => return Err(Unmet::Differs),
            (Demand::Etag(_), None) => return Err(Unmet::Missing),
            (Demand::Etag(etag), Some(object)) if *etag != object.etag => return Err(Unmet::Differs),
            _ => {}
        }
        Ok(self.push(key, object.modified, Some(Arc::new(object))))
    }

    /// Deletes what a key holds now, or with an id that version. Gives the deletion's own version where it left one.
    pub(crate) fn delete(&mut self, key: &str, id: Option<&str>, now: SystemTime) -> Option<Version> {
        if let (None, Some(_)) = (id, &self.versioning) {
            return Some(self.push(key, now, None));
        }
        if let Some(versions) = self.keys.get_mut(key) {
            versions.retain(|version| id.is_some_and(|id| version.id != id));
            if versions.is_empty() {
                self.keys.remove(key);
            }
        }
        None
    }

    fn push(&mut self, key: &str, since: SystemTime, object: Option<Arc<Object>>) -> Version {
        let is_enabled =
            self.versioning.as_ref().is_some_and(|status| status.as_str() == BucketVersioningStatus::ENABLED);
        self.versions += 1;
        let id = if is_enabled { format!("v{:016x}", self.versions) } else { "null".to_owned() };
        let version = Version { id, object, since };
        let versions = self.keys.entry(key.to_owned()).or_default();
        versions.retain(|present| present.id != version.id);
        versions.push(version.clone());
        version
    }

    /// A page of the keys that hold an object.
    pub(crate) fn list(&self, query: &Query<'_>) -> Page {
        let mut page = Page::default();
        let mut seen = BTreeSet::new();
        let begin =
            if query.after >= query.prefix { Bound::Excluded(query.after) } else { Bound::Included(query.prefix) };
        let mut last = None;
        for (key, versions) in self.keys.range::<str, _>((begin, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(query.prefix) else { break };
            let Some(object) = versions.last().and_then(|version| version.object.as_ref()) else { continue };
            let cut = if query.delimiter.is_empty() { None } else { rest.find(query.delimiter) };
            let common = cut.map(|at| &key[..query.prefix.len() + at + query.delimiter.len()]);
            if common.is_some_and(|common| seen.contains(common) || (query.after_prefix && common == query.after)) {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == query.max {
                page.next = last;
                break;
            }
            if let Some(common) = common {
                seen.insert(common);
                page.prefixes.push(common.to_owned());
            } else {
                page.objects.push((key.clone(), Arc::clone(object)));
            }
            last = Some((common.unwrap_or(key).to_owned(), common.is_some()));
        }
        page
    }

    /// Removes a key and all its versions.
    pub(crate) fn forget(&mut self, key: &str) {
        self.keys.remove(key);
    }

    /// Whether any version of any key is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that hold an object.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.keys.iter().filter(|(key, _)| self.get(key).is_some()).map(|(key, _)| key)
    }
}
