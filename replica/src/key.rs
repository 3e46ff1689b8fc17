//! The keys of objects, and the limits of what a keyspace holds.
//! Layer 1. *Invariant:* every limit is named here, once; the API, decoding and merging all take it from here.

use core::{
    fmt,
    hash::{Hash, Hasher},
};
use std::sync::Arc;

use crdt_core::Kind;

/// The longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 1_024;

/// The longest element of a set, in bytes.
pub const ELEMENT_BYTES_MAX: usize = 64 << 10;

/// The longest value of a register, in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// The longest name of a mark, in bytes.
pub const MARK_BYTES_MAX: usize = 1_024;

/// The largest segment, in bytes, before and after compression.
pub const SEGMENT_BYTES_MAX: usize = 16 << 20;

/// The largest batch, in bytes as it is counted before encoding.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// Checks that `path` is 1 to 1,024 bytes of UTF-8 without control characters.
///
/// # Errors
///
/// [`InvalidPath`], which says what is wrong with it.
pub fn check_path(path: &str) -> Result<(), InvalidPath> {
    if path.is_empty() {
        Err(InvalidPath::Empty)
    } else if path.len() > PATH_BYTES_MAX {
        Err(InvalidPath::TooLong)
    } else if has_control_characters(path) {
        Err(InvalidPath::ControlCharacter)
    } else {
        Ok(())
    }
}

/// True when there is a control character: U+0000 to U+001F, U+007F to U+009F.
pub(crate) fn has_control_characters(text: &str) -> bool {
    let plain = |byte: u8| (0x20..0x7f).contains(&byte);
    !text.bytes().all(plain) && text.chars().any(char::is_control)
}

/// Why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPath {
    /// It is empty.
    Empty,
    /// It has more than 1,024 bytes.
    TooLong,
    /// It has a control character.
    ControlCharacter,
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a path is not empty",
            Self::TooLong => "a path has at most 1024 bytes",
            Self::ControlCharacter => "a path has no control characters",
        })
    }
}

impl core::error::Error for InvalidPath {}

/// The key of an object: its path and its kind, ordered by the path's bytes, then by kind.
///
/// Two kinds at one path are two objects. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    path: Arc<str>,
    kind: Kind,
}

impl ObjectKey {
    /// The key of the object of this kind at `path`.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when `path` is not 1 to 1,024 bytes of UTF-8 without control characters.
    pub fn new(path: impl Into<Arc<str>>, kind: Kind) -> Result<Self, InvalidPath> {
        let path = path.into();
        check_path(&path)?;
        Ok(Self { path, kind })
    }

    /// Where the object stands.
    #[must_use]
    pub const fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// What stands there.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// True when it is the key of the object of this kind at this path.
    pub(crate) fn is(&self, path: &str, kind: Kind) -> bool {
        self.kind == kind && *self.path == *path
    }

    /// The least key whose path begins with `prefix`, which need not be a path itself: a bound for ranges.
    pub(crate) fn first_at(prefix: &str) -> Self {
        Self { path: prefix.into(), kind: Kind::ALL[0] }
    }
}

/// By the path alone, so that all kinds at one path are found in one place.
impl Hash for ObjectKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_1_to_1024_bytes_without_control_characters() {
        for path in ["a", "carts/ada", " ", "gr\u{f6}\u{df}e/\u{df}", &"x".repeat(1_024)] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        assert_eq!(check_path(""), Err(InvalidPath::Empty));
        assert_eq!(check_path(&"x".repeat(1_025)), Err(InvalidPath::TooLong));
        assert_eq!(check_path(&"\u{df}".repeat(513)), Err(InvalidPath::TooLong));
        for path in ["a\nb", "\0", "a\u{7f}", "\u{e4}\u{80}", "\u{9f}"] {
            assert_eq!(check_path(path), Err(InvalidPath::ControlCharacter), "{path:?}");
        }
    }

    #[test]
    fn keys_are_ordered_by_path_then_kind() {
        let key = |path: &str, kind| ObjectKey::new(path, kind).unwrap();
        assert!(key("a", Kind::OrSet) < key("a/", Kind::GCounter));
        assert!(key("a", Kind::GCounter) < key("a", Kind::PnCounter));
    }
}
