//! Buckets on Amazon S3 and on what speaks its protocol.
//!
//! *Invariant:* this crate knows keys and bytes, and names no CRDT.
