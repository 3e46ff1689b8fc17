//! The four ports: everything that the engine needs from the world.
//! Layer 0. *Invariant:* nothing else in this crate touches a network, a disk, a clock or entropy.
//!
//! The engine is futures over these ports and no runtime. Production gives it real ones, the simulator gives it ones
//! that it controls, and the same code runs in both.

mod bucket;
mod clock;
mod entropy;
mod hints;

use core::{future::Future, pin::Pin};

pub use bucket::{
    Bucket, BucketError, Created, KEY_BYTES_MAX, Outcome, PREFIX_BYTES_MAX, Page, Request, SEGMENT_BYTES_MAX, Stored,
    check_key, check_prefix, own_prefix,
};
pub use clock::Clock;
pub use entropy::Entropy;
pub use hints::{Hint, Hints, QueueLook};

/// What a port gives back: a future that the engine polls. Dropping it at any time is allowed, and is how a crash looks.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
