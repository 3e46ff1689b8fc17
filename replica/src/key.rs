//! The keys of objects, and the limits of what a keyspace holds.
//! Layer 1. *Invariant:* every limit is named here, once; the API, decoding and merging all take it from here.

use core::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use crdt_core::Kind;
use triomphe::ThinArc;

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
    !is_plain(text.as_bytes()) && text.chars().any(char::is_control)
}

/// True for ASCII without control characters: eight bytes at a time, since every path that is read is looked at.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // The top bit of a byte is set when it is beyond ASCII, or taking 0x20 from it borrows, or adding 1 to it carries.
    let are_plain = |eight: &[u8; 8]| {
        let eight = u64::from_le_bytes(*eight);
        (eight | eight.wrapping_sub(0x20 * ONES) | eight.wrapping_add(ONES)) & (0x80 * ONES) == 0
    };
    let (words, rest) = text.as_chunks::<8>();
    words.iter().all(are_plain) && rest.iter().all(|byte| (0x20..0x7f).contains(byte))
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
/// Two kinds at one path are two objects. Cheap to clone: one word, counted references
/// (`docs/decisions/0010-small-objects.md`).
#[derive(Clone)]
pub struct ObjectKey(
    /// The path, and behind it one byte for the kind.
    ///
    /// SUBTLE: the order of these bytes is the order of keys, because the kind's byte is a control character and so less
    /// than anything that could go on in its place in a longer path.
    ThinArc<(), u8>,
);

impl ObjectKey {
    /// The key of the object of this kind at `path`.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when `path` is not 1 to 1,024 bytes of UTF-8 without control characters.
    pub fn new(path: impl AsRef<str>, kind: Kind) -> Result<Self, InvalidPath> {
        let path = path.as_ref();
        check_path(path)?;
        Ok(Self::join(path, kind))
    }

    fn join(path: &str, kind: Kind) -> Self {
        let byte = |at| path.as_bytes().get(at).copied().unwrap_or(kind as u8);
        Self(ThinArc::from_header_and_iter((), (0..path.len() + 1).map(byte)))
    }

    /// Where the object stands.
    ///
    /// Cost: in the length of the path, some nanoseconds.
    #[must_use]
    #[expect(clippy::expect_used, reason = "it was made from text")]
    pub fn path(&self) -> &str {
        str::from_utf8(self.path_bytes()).expect("the path of a key is UTF-8")
    }

    /// The bytes of the path.
    pub(crate) fn path_bytes(&self) -> &[u8] {
        self.parts().0
    }

    /// What stands there.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::ALL[usize::from(self.parts().1)]
    }

    /// One of its bytes, found without waiting for how many there are: the kind is the one behind the path.
    pub(crate) fn byte(&self, at: usize) -> Option<u8> {
        self.0.slice.get(at).copied()
    }

    /// True when it is the key of the object of this kind at this path.
    pub(crate) fn is(&self, path: &[u8], kind: Kind) -> bool {
        self.parts() == (path, kind as u8)
    }

    /// The least key whose path begins with `prefix`, which need not be a path itself: a bound for ranges.
    pub(crate) fn first_at(prefix: &str) -> Self {
        Self::join(prefix, Kind::ALL[0])
    }

    fn parts(&self) -> (&[u8], u8) {
        match &self.0.slice {
            [path @ .., kind] => (path, *kind),
            [] => unreachable!("a key has at least its kind"),
        }
    }
}

/// By the path alone, so that all kinds at one path are found in one place.
impl Hash for ObjectKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path_bytes().hash(state);
    }
}

impl PartialEq for ObjectKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.slice == other.0.slice
    }
}

impl Eq for ObjectKey {}

impl Ord for ObjectKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.slice.cmp(&other.0.slice)
    }
}

impl PartialOrd for ObjectKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectKey").field("path", &self.path()).field("kind", &self.kind()).finish()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path(), self.kind())
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
        // At each place of a word, and behind the last one.
        for at in 0..21 {
            for byte in 0..=0x7f_u8 {
                let mut path = *b"carts/ada/of/the/week";
                path[at] = byte;
                let is_control = char::from(byte).is_control();
                assert_eq!(check_path(str::from_utf8(&path).unwrap()).is_err(), is_control, "{byte} at {at}");
            }
        }
        for path in ["a\nb", "\0", "a\u{7f}", "\u{e4}\u{80}", "\u{9f}"] {
            assert_eq!(check_path(path), Err(InvalidPath::ControlCharacter), "{path:?}");
        }
    }

    #[test]
    fn keys_are_ordered_by_path_then_kind() {
        let key = |path: &str, kind| ObjectKey::new(path, kind).unwrap();
        assert!(key("a", Kind::OrSet) < key("a/", Kind::GCounter));
        assert!(key("a", Kind::GCounter) < key("a", Kind::PnCounter));
        assert!(key("a", Kind::OrSet) < key("a ", Kind::GCounter));
    }

    #[test]
    fn a_key_is_one_word_and_gives_back_what_it_was_made_of() {
        assert_eq!(size_of::<Option<ObjectKey>>(), 8);
        for kind in Kind::ALL {
            let key = ObjectKey::new("gr\u{f6}\u{df}e/1", kind).unwrap();
            assert_eq!((key.path(), key.kind()), ("gr\u{f6}\u{df}e/1", kind));
            assert!(key.is(key.path_bytes(), kind) && !key.is(b"gr", kind));
            assert_eq!(format!("{key} {key:?}").matches(kind.name()).count(), 1);
        }
    }
}
