//! What can be wrong with bytes, and with what is to become bytes.
//! Layer 3.

use core::fmt;

use crate::error::{Error, ErrorKind};

/// Why bytes were not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A newer program wrote it. Stop reading this log here and upgrade; going on would destroy what it says.
    Unsupported {
        /// What is not known: `version`, `kind`, `flags`, `row kind` or `mark kind`.
        what: &'static str,
        /// What was found in its place.
        found: u64,
    },
    /// It does not verify with the key that is configured, or with none: other replicas have another key. Where both sides
    /// have one, damage looks the same.
    Key {
        /// How the two differ.
        reason: &'static str,
    },
    /// It is not what was written, or not ours: damaged, truncated, moved, forged.
    Corrupt {
        /// Which bytes `offset` counts in.
        place: Place,
        /// Where in them it was noticed.
        offset: usize,
        /// What was wrong there.
        reason: &'static str,
    },
}

/// The stretches of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The object itself, from its first byte.
    Object,
    /// The control record.
    Control,
    /// The body, uncompressed.
    Body,
}

impl Place {
    pub(crate) const fn corrupt(self, offset: usize, reason: &'static str) -> DecodeError {
        DecodeError::Corrupt { place: self, offset, reason }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { what, found } => {
                write!(f, "written by a newer version, upgrade this replica: {what}={found}")
            }
            Self::Key { reason } => f.write_str(reason),
            Self::Corrupt { place, offset, reason } => {
                let place = match place {
                    Place::Object => "object",
                    Place::Control => "control record",
                    Place::Body => "body",
                };
                write!(f, "{reason}: place={place} offset={offset}")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why something has no encoding. The engine's own limits come before these; to see one is a fault in the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It is larger than an object of this kind may be.
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// It breaks a rule of the format.
    Invalid {
        /// The rule.
        reason: &'static str,
    },
}

impl EncodeError {
    pub(crate) const fn invalid(reason: &'static str) -> Self {
        Self::Invalid { reason }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => write!(f, "too large for one object: bytes={bytes} limit={limit}"),
            Self::Invalid { reason } => f.write_str(reason),
        }
    }
}

impl core::error::Error for EncodeError {}

impl Error {
    /// An object in a bucket is not what it must be.
    pub(crate) fn decoding(key: &str, error: DecodeError) -> Self {
        let (kind, what) = match error {
            DecodeError::Unsupported { .. } => (ErrorKind::Unsupported, "an object is of a newer format; upgrade"),
            DecodeError::Key { .. } => (
                ErrorKind::Corrupt,
                "an object does not verify with the key of this replica: give all replicas the same `Builder::key`, or the \
                 object is damaged",
            ),
            DecodeError::Corrupt { .. } => (ErrorKind::Corrupt, "an object is damaged, and is left where it is"),
        };
        Self::new(kind, format!("{what}: object={key}")).caused_by(error)
    }

    /// Something cannot be written as an object.
    pub(crate) fn encoding(key: &str, error: EncodeError) -> Self {
        Self::new(ErrorKind::Invalid, format!("an object cannot be encoded: key={key}")).caused_by(error)
    }
}
