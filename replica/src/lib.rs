//! The engine of Archipelago: a keyspace of counters, registers and sets, kept in step across regions by logs in
//! object-store buckets.
//!
//! A [`Replica`] reads and writes at once, alone if it must. What it changes it writes as segments to the bucket of its own
//! region, and it reads the segments of its peers from theirs. It is futures over the four [`ports`] and no runtime:
//! production gives it real ports, the simulator gives it ones that it controls.
//!
//! # What is here
//!
//! Opening a replica by taking its log over, fencing, flushing, pulling, discovery of replicas, recovery from the own log,
//! handles for the five types, leaderboards and watches; the [`log`] format with snapshots. Not yet: taking and merging snapshots, collection,
//! acknowledgements and purging, eviction, marks, hints, a probe of the bucket, a runtime. Until
//! collection exists a log only grows, and opening a replica reads all of its own.
//!
//! # Layers
//!
//! `ports`, `name`, `key`, `settings`, `error` below `keyspace` (objects and what changed in them) below `log` (bytes and
//! keys) below `sync` (opening, flushing, pulling) below [`Replica`] and the [`handles`].

mod error;
pub mod handles;
pub mod key;
pub mod keyspace;
pub mod log;
pub mod name;
pub mod ports;
mod replica;
mod settings;
mod status;
mod sync;
mod views;

pub use error::{Error, ErrorKind};
pub use keyspace::{Event, Origin, Ranked, WATCH_KEYS_MAX};
pub use replica::{Builder, Replica, Written};
pub use settings::Settings;
pub use status::{LogStatus, RegionStatus, Status};
pub use views::{Leaderboard, Watch};
