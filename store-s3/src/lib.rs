//! Buckets on Amazon S3 and on what speaks its protocol.
//!
//! An [`S3Url`] says where a bucket is, and an [`S3Bucket`] is what the engine reads and writes:
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use replica::Replica;
//! use store_s3::{S3Bucket, S3Url};
//!
//! let ours: S3Url = "s3://likes-eu/production?region=eu-west-1".parse()?;
//! let theirs: S3Url = "s3://likes-us/production?region=us-east-1".parse()?;
//! let (ours, theirs) = (S3Bucket::open(&ours).await?, S3Bucket::open(&theirs).await?);
//! ours.check("v1/log/").await?; // Says what is missing before anything depends on it.
//! let replica = Replica::builder("eu-west-1", ours).peer("us-east-1", theirs).open().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It stands on the official SDK, trimmed to one TLS stack and without its retries:
//! `docs/decisions/0017-the-aws-sdk-trimmed.md`.
//!
//! *Invariant:* this crate knows keys and bytes, and names no CRDT.

mod body;
mod bucket;
mod connect;
mod listing;
mod outcome;
mod trouble;
mod url;

pub use bucket::S3Bucket;
pub use url::{PREFIX_BYTES_MAX, S3Url};
