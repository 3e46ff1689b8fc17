//! The log: what a replica keeps in buckets, as bytes and keys.
//! Layer 3. *Invariant:* bytes from outside become values only through `decode`, which checks all of them.
//!
//! `docs/format.md` has every object field by field. Nothing here does I/O.
//!
//! It is public for benches, tests and tools that read a bucket. The bytes are kept stable, as their format says; these
//! functions and types are not, and may change with any release.

mod bytes;
mod column_reader;
mod columns;
mod compression;
mod control;
mod dictionary;
mod envelope;
mod error;
mod header;
mod keys;
mod manifest;
mod mark;
mod part;
mod part_rows;
mod rows;
mod seal;
mod segment;

use ::bytes::Bytes;
use blake3::Hash;

use crate::name::ReplicaName;

pub use control::SealedEpoch;
pub use envelope::{CONTROL_BYTES_MAX, MAGIC, MacKey, PREFIX_BYTES, TRAILER_BYTES, VERSION};
pub use error::{DecodeError, EncodeError, Place};
pub use header::LogHeader;
pub use keys::{BucketKey, Keys, ROOT_BYTES_MAX, parse_epoch};
pub(crate) use keys::{parse_manifest, parse_part, parse_position, parse_slot};
pub use manifest::{Early, Evicted, FoundManifest, LogState, Manifest, PartRef, decode_manifest, encode_manifest};
pub use mark::Eviction;
pub use part::{PART_BYTES_MAX, Part, PartBody, decode_part, encode_part};
pub use part_rows::{ElementRef, PartElements, PartRow, PartRowBody, PartRows, PartWrites};
pub use rows::{EditRef, Edits, Row, RowBody, Rows, WriteRef};
pub use seal::{FoundSeal, Seal, encode_seal};
pub use segment::{SEGMENT_CONTENT_BYTES_MAX, Segment, encode_segment};

use envelope::ObjectKind;

pub(crate) use envelope::hash_of;

/// What stands at a position of a log.
#[derive(Clone, Debug)]
pub enum LogObject {
    /// Changes.
    Segment(Segment),
    /// The end of an epoch.
    Seal(FoundSeal),
}

impl LogObject {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &LogHeader {
        match self {
            Self::Segment(segment) => segment.header(),
            Self::Seal(found) => &found.seal().header,
        }
    }

    /// Every replica that is named, in ascending order of ids.
    #[must_use]
    pub fn names(&self) -> &[ReplicaName] {
        match self {
            Self::Segment(segment) => segment.names(),
            Self::Seal(found) => found.names(),
        }
    }

    /// The hash by which the next object of the log names this one.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match self {
            Self::Segment(segment) => segment.hash(),
            Self::Seal(found) => found.hash(),
        }
    }
}

/// The segment or seal that these bytes are, found at `bucket_key`.
///
/// With `mac` only what was written with that key is believed.
///
/// # Errors
///
/// [`DecodeError::Unsupported`] when a newer version wrote it, [`DecodeError::Corrupt`] when it is anything else than
/// what was written to this key.
///
/// # Cost
///
/// Two hashes' worth of reading: the trailer, then every row once. Memory in the size of the body, which is at most 64
/// times the object's and 16 MiB.
pub fn decode(object: &Bytes, bucket_key: &str, mac: Option<&MacKey>) -> Result<LogObject, DecodeError> {
    let opened = envelope::open(object, bucket_key, mac)?;
    match opened.kind {
        ObjectKind::Segment => Segment::read(opened, bucket_key).map(LogObject::Segment),
        ObjectKind::Seal => FoundSeal::read(&opened, bucket_key).map(LogObject::Seal),
        ObjectKind::Manifest | ObjectKind::Part => Err(Place::Object.corrupt(6, "not a segment or seal")),
    }
}

/// Checks that these bytes are an object that was created at `bucket_key`, whatever it is.
///
/// # Errors
///
/// As [`decode`].
pub(crate) fn verify(object: &Bytes, bucket_key: &str, mac: Option<&MacKey>) -> Result<(), DecodeError> {
    envelope::open(object, bucket_key, mac).map(drop)
}
