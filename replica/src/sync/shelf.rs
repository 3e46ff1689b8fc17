//! One replica's snapshots in one bucket: finding them, and reading them.
//! Layer 4.

use std::collections::BTreeMap;

use blake3::Hash;
use crdt_core::Position;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    store::{Patience, Store},
    takeover::LogPlace,
};
use crate::{
    error::{Error, ErrorKind},
    log::{Keys, MacKey, Manifest, Part, PartRef, decode_manifest, decode_part, parse_manifest, parse_part},
    name::ReplicaName,
};

/// How many parts are read at a time.
const READ_AHEAD: usize = 8;

/// The snapshots of one replica in one bucket.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) mac: Option<MacKey>,
    pub(crate) name: ReplicaName,
}

/// A snapshot, read and verified from end to end.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) manifest: Manifest,
    pub(crate) parts: Vec<Part>,
}

/// Parts that were read, by their content: what is read again after a failure need not be fetched again.
pub(crate) type Fetched = BTreeMap<[u8; 32], Part>;

impl Shelf {
    /// The snapshots beside a log.
    pub(crate) fn of(log: &LogPlace) -> Self {
        let LogPlace { store, keys, mac, name } = log.clone();
        Self { store, keys, mac, name }
    }

    /// The positions of the snapshots that there are, in ascending order.
    pub(crate) async fn positions(&self, patience: Patience) -> Result<Vec<Position>, Error> {
        let folder = self.keys.manifests_prefix(&self.name);
        let keys = self.store.list(&folder, None, patience).await?;
        Ok(keys.iter().filter_map(|key| parse_manifest(key, &folder)).collect())
    }

    /// The manifest of a snapshot, if it is there.
    pub(crate) async fn manifest(&self, position: Position, patience: Patience) -> Result<Option<Manifest>, Error> {
        let key = self.keys.manifest(&self.name, position);
        let found = self.store.read(&key, patience, |body| decode_manifest(body, &key, self.mac.as_ref())).await?;
        Ok(found.map(|(found, _)| found.into_manifest()))
    }

    /// The newest manifest, if there is one.
    pub(crate) async fn newest(&self, patience: Patience) -> Result<Option<Manifest>, Error> {
        match self.positions(patience).await?.pop() {
            Some(position) => self.manifest(position, patience).await,
            None => Ok(None),
        }
    }

    /// The whole snapshot of a manifest: its parts, several at a time. `fetched` has those that need not be read again,
    /// and is given those that were, unless all are there: whoever merges the snapshot lets go of each part after it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when a part is missing or is not what the manifest names.
    pub(crate) async fn snapshot(
        &self,
        manifest: Manifest,
        fetched: &mut Fetched,
        patience: Patience,
    ) -> Result<Snapshot, Error> {
        let missing: Vec<PartRef> = {
            let wanted: BTreeMap<[u8; 32], PartRef> =
                manifest.parts.iter().map(|part| (*part.content.as_bytes(), *part)).collect();
            wanted.into_iter().filter(|(content, _)| !fetched.contains_key(content)).map(|(_, part)| part).collect()
        };
        let mut reading = stream::iter(missing).map(|part| self.part(part, patience)).buffer_unordered(READ_AHEAD);
        while let Some(part) = reading.try_next().await? {
            fetched.insert(*part.content().as_bytes(), part);
        }
        drop(reading);
        let fetched = std::mem::take(fetched);
        let part = |part: &PartRef| fetched.get(part.content.as_bytes()).cloned();
        let parts = manifest.parts.iter().filter_map(part).collect();
        Ok(Snapshot { manifest, parts })
    }

    async fn part(&self, part: PartRef, patience: Patience) -> Result<Part, Error> {
        let key = self.keys.part(&self.name, part.written, part.content);
        let found = self.store.read(&key, patience, |body| decode_part(body, &key, self.mac.as_ref())).await?;
        let missing = || Error::new(ErrorKind::Corrupt, format!("a part of a snapshot is missing: key={key}"));
        found.map(|(part, _)| part).ok_or_else(missing)
    }

    /// The parts that are in the bucket, by the manifest that wrote them.
    pub(crate) async fn parts(&self, patience: Patience) -> Result<Vec<(Position, Hash)>, Error> {
        let folder = self.keys.parts_prefix(&self.name);
        let keys = self.store.list(&folder, None, patience).await?;
        Ok(keys.iter().filter_map(|key| parse_part(key, &folder)).collect())
    }
}
