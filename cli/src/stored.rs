//! What is in a bucket, object by object.

use bytes::Bytes;
use replica::{
    Position,
    log::{BucketKey, DecodeError, FoundManifest, Keys, Manifest, decode_manifest},
    name::ReplicaName,
    ports::{Bucket, Stored},
};

use crate::failure::{Failure, Outcome};

/// How many keys are listed at a time.
const PAGE: usize = 1_000;

/// The keys of a bucket without a root.
pub(crate) fn keys() -> Outcome<Keys> {
    Ok(Keys::new("")?)
}

/// Everything below a prefix, in ascending order of keys.
pub(crate) async fn list(bucket: &dyn Bucket, prefix: &str) -> Outcome<Vec<Stored>> {
    let mut found: Vec<Stored> = Vec::new();
    loop {
        let after = found.last().map(|last| last.key.clone());
        let page = bucket.list(prefix, after.as_deref(), PAGE).await?;
        found.extend(page.objects);
        if !page.more {
            return Ok(found);
        }
    }
}

/// Whoever has a log or a snapshot in a bucket, in ascending order of names.
pub(crate) async fn replicas(bucket: &dyn Bucket) -> Outcome<Vec<ReplicaName>> {
    let folders = bucket.folders(&keys()?.logs_prefix()).await?;
    Ok(folders.iter().filter_map(|folder| ReplicaName::new(folder).ok()).collect())
}

/// An object that is there.
pub(crate) async fn get(bucket: &dyn Bucket, key: &str) -> Outcome<Bytes> {
    bucket.get(key).await?.ok_or_else(|| Failure::missing(key))
}

/// A manifest that is there, or why it cannot be read.
pub(crate) struct FoundAt {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) position: Position,
    pub(crate) manifest: Result<Manifest, DecodeError>,
}

/// The manifests of a replica, in ascending order of positions. One that was collected meanwhile is left out.
pub(crate) async fn manifests(bucket: &dyn Bucket, replica: &ReplicaName) -> Outcome<Vec<FoundAt>> {
    let mut found = Vec::new();
    for Stored { key, size: bytes, .. } in list(bucket, &keys()?.manifests_prefix(replica)).await? {
        let Some(BucketKey::Manifest { position, .. }) = keys()?.parse(&key) else { continue };
        let Some(object) = bucket.get(&key).await? else { continue };
        let manifest = decode_manifest(&object, &key, None).map(FoundManifest::into_manifest);
        found.push(FoundAt { key, bytes, position, manifest });
    }
    Ok(found)
}
