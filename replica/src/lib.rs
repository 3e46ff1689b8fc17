//! The engine of Archipelago: a keyspace of counters, registers and sets, kept in step across regions by logs in
//! object-store buckets.
//!
//! ```
//! use replica::Replica;
//! use store_object::MemoryBucket;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ours, theirs) = (MemoryBucket::new(), MemoryBucket::new()); // In production, the regions' own.
//! let eu = Replica::builder("eu-west-1", ours.clone()).peer("us-east-1", theirs.clone()).open().await?;
//!
//! let likes = eu.pn_counter("posts/42/likes")?;
//! assert_eq!(likes.add(1)?.value(), 1); // At once, in memory; in the bucket with the next flush.
//! eu.or_set("carts/ada")?.add("lamp")?.durable().await?; // Now they are in the bucket, both of them.
//!
//! let us = Replica::builder("us-east-1", theirs).peer("eu-west-1", ours).open().await?;
//! us.wait_for(&eu.token()).await?; // As far as the other region had got.
//! assert!(us.or_set("carts/ada")?.contains("lamp"));
//! us.close().await?;
//! eu.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Replica`] reads and writes at once, alone if it must. What it changes it writes as segments to the bucket of its own
//! region, and it reads the segments of its peers from theirs. It is futures over the four [`ports`]. With the feature
//! `tokio`, which is on by default, it has real ports and runs by itself ([`Replica::builder`]), and there is a facade without
//! async ([`blocking`]). Without it there is no runtime: a caller with ports of its own polls it
//! ([`Replica::builder_with`]), as the simulator does.
//!
//! # What to call
//!
//! | to | call |
//! |---|---|
//! | open, flush, close | [`Replica::builder`], [`Replica::flush`], [`Replica::close`] |
//! | change and read one object | [`Replica::pn_counter`], [`g_counter`](Replica::g_counter), [`or_set`](Replica::or_set), [`lww_register`](Replica::lww_register), [`mv_register`](Replica::mv_register) |
//! | keep types of your own | [`Content`] |
//! | change several at once | [`Replica::batch`] |
//! | read and delete whatever is there | [`Replica::get`], [`scan`](Replica::scan), [`delete`](Replica::delete), [`delete_prefix`](Replica::delete_prefix) |
//! | know that a change is safe | [`Written::durable`] |
//! | read elsewhere what was seen here | [`Replica::token`], [`wait_for`](Replica::wait_for) |
//! | rank counters, and hear of changes | [`Replica::leaderboard`], [`top`](Replica::top), [`watch`](Replica::watch) |
//! | see what was written concurrently | [`Replica::conflicts`] |
//! | ingest something exactly once | [`Batch::mark`], [`Replica::mark`] |
//! | know how it is doing | [`Replica::status`], and the events of the crate `tracing` |
//!
//! # Layers
//!
//! From below: [`ports`] and `canonical` (JSON in one form), then [`name`], [`key`], `settings` and `error`, then
//! [`keyspace`] (objects and what changed in them), with `content` and `json` (which bytes a value becomes), then [`log`]
//! (bytes and keys), then `sync` (opening, flushing, pulling, snapshots), then what a user calls: [`Replica`] with `builder`,
//! [`handles`], `batch`, `scan`, `views`, `status`, `token` and `written`, and what runs it, `drive`, `runtime` and `blocking`.

mod batch;
#[cfg(feature = "tokio")]
pub mod blocking;
mod builder;
mod canonical;
mod content;
mod drive;
mod error;
pub mod handles;
mod json;
pub mod key;
pub mod keyspace;
pub mod log;
pub mod name;
pub mod ports;
mod replica;
#[cfg(feature = "tokio")]
mod runtime;
mod scan;
mod settings;
mod status;
mod sync;
mod token;
mod views;
mod written;

pub use batch::{Batch, BatchError, InBatch};
pub use builder::Builder;
pub use content::Content;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub use crdt_core::planted;
pub use crdt_core::{Bytes, Dot, Frontier, Kind, Position, ReplicaId, Timestamp, Value};
pub use error::{Error, ErrorKind};
pub use json::Json;
pub use keyspace::{ConflictCount, Event, Mark, MarkValue, Origin, Ranked, WATCH_KEYS_MAX};
pub use replica::Replica;
#[cfg(feature = "tokio")]
pub use runtime::{SystemClock, SystemEntropy};
pub use scan::{Conflict, Conflicts, LiveWrite, Scan};
pub use settings::Settings;
pub use status::{LogStatus, RegionStatus, RequestStatus, Status};
pub use sync::{APPLY_DELAYS_MS, Delays, EvictedLog, Hinted, Marked, REQUEST_DELAYS_MS, Resolution};
pub use token::{InvalidToken, Token};
pub use views::{Leaderboard, Watch};
pub use written::Written;
