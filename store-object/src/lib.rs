//! Buckets that need no service, and by feature those of two clouds.
//!
//! [`LocalBucket`] keeps objects as files in a directory, synced to the disk: the embedded default. [`MemoryBucket`] keeps
//! them in memory, for tests and for a look around. With the feature `notify`, [`FolderHints`] tells when a file has
//! appeared, so that regions on one machine react in milliseconds.
//!
//! With the features `azure` and `gcs`, [`CloudBucket`] keeps them in Azure Blob Storage and in Google Cloud Storage.
//!
//! The directory is written on files, and not by the local store of the `object_store` crate, which answers "already exists"
//! before that is durable: `docs/decisions/0008-local-directory.md` has this and six more reasons.
//!
//! *Invariant:* this crate knows keys and bytes, and names no CRDT.

#[cfg(any(feature = "azure", feature = "gcs"))]
mod cloud;
#[cfg(feature = "notify")]
mod hints;
#[cfg(feature = "local")]
mod local;
mod memory;

#[cfg(any(feature = "azure", feature = "gcs"))]
pub use cloud::{CloudBucket, CloudUrl};
#[cfg(feature = "notify")]
pub use hints::FolderHints;
#[cfg(feature = "local")]
pub use local::LocalBucket;
pub use memory::MemoryBucket;
