//! Buckets on Amazon S3 and on what speaks its protocol.
//!
//! An [`S3Url`] says where a bucket is.
//!
//! *Invariant:* this crate knows keys and bytes, and names no CRDT.

mod url;

pub use url::{PREFIX_BYTES_MAX, S3Url};
