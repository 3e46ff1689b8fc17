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
//! With the feature `hints`, which is on by default, [`SqsHints`] tell of new objects in the peers' buckets as a queue
//! hears of them, and [`DeadLetters`] are what nobody could understand. With `provision` a [`Plan`] says what the
//! regions need of AWS, and [`Cloud`] checks and makes it.
//!
//! It stands on the official SDK, trimmed to one TLS stack and without its retries:
//! `docs/decisions/0019-the-aws-sdk-trimmed.md`.
//!
//! *Invariant:* this crate knows keys and bytes, and names no CRDT.

mod body;
mod bucket;
#[cfg(feature = "hints")]
mod calls;
#[cfg(feature = "hints")]
mod clients;
mod connect;
#[cfg(feature = "hints")]
mod hints;
mod listing;
mod outcome;
#[cfg(feature = "provision")]
mod provision;
mod trouble;
mod url;

pub use bucket::S3Bucket;
#[cfg(feature = "hints")]
pub use hints::{DeadLetter, DeadLetters, Poison, Queue, QueueState, QueueUrl, Replayed, Source, SqsHints};
#[cfg(feature = "provision")]
pub use provision::{Cloud, Difference, Fault, Part, Plan, Role, Site};
pub use url::S3Url;
