//! Bodies: collected whole, within bounds, and cut to the range that was asked for.

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use replica::ports::{BucketError, Outcome};

/// The largest object that is read, in bytes; no object of the engine is as large.
pub(crate) const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// Memory is taken for so much of a body before it comes; for the rest, as it comes.
const RESERVED_BYTES_MAX: u64 = 16 << 20;

/// No object of S3 is as large, and every store takes numbers up to it.
const POSITION_MAX: u64 = 1 << 50;

/// Some bytes of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Range {
    /// As the header says it. HTTP has no empty range, so instead of no bytes one is asked for: whether the object is there
    /// must be known all the same.
    pub(crate) fn header(self) -> String {
        let start = self.start.min(POSITION_MAX);
        let last = start.saturating_add(self.length.max(1) - 1).min(POSITION_MAX);
        format!("bytes={start}-{last}")
    }

    /// Whether a `Content-Range` begins where this range does.
    pub(crate) fn is_answered_by(self, content_range: &str) -> bool {
        let first = content_range.strip_prefix("bytes ").and_then(|range| range.split('-').next());
        first.and_then(|first| first.parse::<u64>().ok()) == Some(self.start)
    }

    /// The bytes of the range, from a body that begins with the range, or else with the object.
    pub(crate) fn of(self, body: &Bytes, begins_with_range: bool) -> Bytes {
        let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
        let start = if begins_with_range { 0 } else { self.start };
        body.slice(position(start)..position(start.saturating_add(self.length)))
    }
}

/// Collects a body of this size.
///
/// # Errors
///
/// `Unavailable` if it breaks off, has another size, or does not match its checksum; `Refused` if it is too large.
pub(crate) async fn collect(mut body: ByteStream, size: u64) -> Result<Bytes, BucketError> {
    let too_large = || {
        let message = format!("the object is larger than any of ours; is something else in the bucket? size={size}");
        Err(BucketError::new(Outcome::Refused, message))
    };
    if size > OBJECT_BYTES_MAX {
        return too_large();
    }
    let mut collected = BytesMut::with_capacity(usize::try_from(size.min(RESERVED_BYTES_MAX)).unwrap_or(0));
    while let Some(some) = body.next().await {
        let some = some.map_err(|error| {
            let message = "the object did not come whole, or does not match its checksum; it will be read again";
            BucketError::new(Outcome::Unavailable, message).caused_by(error)
        })?;
        if collected.is_empty() && some.len() as u64 == size {
            // It came in one piece, as small ones do.
            collected = BytesMut::from(some);
            continue;
        }
        if collected.len() as u64 + some.len() as u64 > OBJECT_BYTES_MAX {
            return too_large();
        }
        collected.extend_from_slice(&some);
    }
    Ok(collected.freeze())
}
