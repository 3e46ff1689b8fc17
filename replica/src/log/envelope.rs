//! The envelope that every object in a bucket has: magic, version, kind, control record, body, trailer.
//! Layer 3.

use core::fmt;
use crdt_core::planted::{Mutant, is_planted};

use blake3::{Hash, Hasher};
use bytes::Bytes;

use super::{
    compression::{compress, decompress},
    error::{DecodeError, EncodeError, Place},
};

/// The first bytes of every object.
pub const MAGIC: [u8; 4] = *b"\x89APL";

/// The version of the format that is written, and the only one that is read so far.
pub const VERSION: u16 = 1;

/// What stands before the control record.
pub const PREFIX_BYTES: usize = 20;

/// The hash at the end.
pub const TRAILER_BYTES: usize = 32;

/// The longest control record: what a manifest with the lineages of a long life may have.
pub const CONTROL_BYTES_MAX: usize = 8 << 20;

const FLAG_ZSTD: u8 = 1;
const FLAG_KEYED: u8 = 2;

/// A secret that all replicas share: with it only they can write what the others believe.
#[derive(Clone)]
pub struct MacKey([u8; 32]);

impl MacKey {
    /// The key of these bytes, which nobody should be able to guess.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// The kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Segment,
    Seal,
    Manifest,
    Part,
}

impl ObjectKind {
    const fn code(self) -> u8 {
        match self {
            Self::Segment => 1,
            Self::Seal => 2,
            Self::Manifest => 3,
            Self::Part => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Segment),
            2 => Some(Self::Seal),
            3 => Some(Self::Manifest),
            4 => Some(Self::Part),
            _ => None,
        }
    }

    /// The largest body, uncompressed.
    pub(crate) const fn body_bytes_max(self) -> usize {
        match self {
            Self::Segment => crate::key::SEGMENT_BYTES_MAX,
            Self::Seal => 0,
            Self::Manifest => 64 << 20,
            Self::Part => super::part::PART_BYTES_MAX,
        }
    }
}

/// Puts a control record and a body into an envelope.
///
/// The trailer binds them to `bucket_key`: an object that was moved or copied to another key does not verify there.
pub(crate) fn wrap(
    kind: ObjectKind,
    control: &[u8],
    body: &[u8],
    bucket_key: &str,
    mac: Option<&MacKey>,
) -> Result<Bytes, EncodeError> {
    check_size(control.len(), CONTROL_BYTES_MAX)?;
    check_size(body.len(), kind.body_bytes_max())?;
    let compressed = compress(body);
    let stored = compressed.as_deref().unwrap_or(body);
    let keyed = if mac.is_some() { FLAG_KEYED } else { 0 };
    let flags = keyed | if compressed.is_some() { FLAG_ZSTD } else { 0 };

    let mut object = Vec::with_capacity(PREFIX_BYTES + control.len() + stored.len() + TRAILER_BYTES);
    object.extend_from_slice(&MAGIC);
    object.extend_from_slice(&VERSION.to_le_bytes());
    object.extend_from_slice(&[kind.code(), flags]);
    for length in [control.len(), stored.len(), body.len()] {
        let length =
            u32::try_from(length).map_err(|_| EncodeError::TooLarge { bytes: length, limit: u32::MAX as usize })?;
        object.extend_from_slice(&length.to_le_bytes());
    }
    object.extend_from_slice(control);
    object.extend_from_slice(stored);
    if kind == ObjectKind::Segment {
        check_size(object.len() + TRAILER_BYTES, crate::key::SEGMENT_BYTES_MAX)?;
    }
    let trailer = trailer(&object, bucket_key, mac);
    object.extend_from_slice(trailer.as_bytes());
    Ok(object.into())
}

/// The hash by which the next object of a log names this one: its trailer.
pub(crate) fn hash_of(object: &[u8]) -> Option<Hash> {
    object.last_chunk().map(|trailer: &[u8; TRAILER_BYTES]| Hash::from_bytes(*trailer))
}

fn check_size(bytes: usize, limit: usize) -> Result<(), EncodeError> {
    if bytes > limit { Err(EncodeError::TooLarge { bytes, limit }) } else { Ok(()) }
}

fn trailer(object: &[u8], bucket_key: &str, mac: Option<&MacKey>) -> Hash {
    let mut hasher = mac.map_or_else(Hasher::new, |key| Hasher::new_keyed(&key.0));
    hasher.update(object);
    if !is_planted(Mutant::OtherKeyAccepted) {
        hasher.update(bucket_key.as_bytes());
    }
    hasher.finalize()
}

/// An object whose trailer was right, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) kind: ObjectKind,
    pub(crate) control: Bytes,
    /// Uncompressed.
    pub(crate) body: Bytes,
    /// The trailer: the hash by which the next object of the log names this one.
    pub(crate) hash: Hash,
}

/// Takes an envelope apart. The trailer is checked before anything is decompressed.
pub(crate) fn open(object: &Bytes, bucket_key: &str, mac: Option<&MacKey>) -> Result<Opened, DecodeError> {
    let corrupt = |offset, reason| Place::Object.corrupt(offset, reason);
    let Some((prefix, _)) = object.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(corrupt(object.len(), "shorter than an envelope"));
    };
    if prefix[..4] != MAGIC {
        return Err(corrupt(0, "does not begin with the magic bytes"));
    }
    let version = u16::from_le_bytes([prefix[4], prefix[5]]);
    if version != VERSION {
        return Err(DecodeError::Unsupported { what: "version", found: version.into() });
    }
    let kind =
        ObjectKind::from_code(prefix[6]).ok_or(DecodeError::Unsupported { what: "kind", found: prefix[6].into() })?;
    let flags = prefix[7];
    if flags & !(FLAG_ZSTD | FLAG_KEYED) != 0 {
        return Err(DecodeError::Unsupported { what: "flags", found: flags.into() });
    }
    let [control, stored, size] = [8, 12, 16].map(|at| read_u32(prefix, at));
    let whole = [PREFIX_BYTES, control, stored, TRAILER_BYTES].into_iter().try_fold(0_usize, usize::checked_add);
    if whole != Some(object.len()) {
        return Err(corrupt(8, "the lengths do not add up to the object's"));
    }
    if control > CONTROL_BYTES_MAX {
        return Err(corrupt(8, "the control record is longer than the limit"));
    }
    if size > kind.body_bytes_max() || kind == ObjectKind::Segment && object.len() > crate::key::SEGMENT_BYTES_MAX {
        return Err(corrupt(16, "the body is longer than the limit"));
    }
    match (flags & FLAG_KEYED != 0, mac) {
        (true, None) => return Err(DecodeError::Key { reason: "written with a key, and none is configured" }),
        (false, Some(_)) => return Err(DecodeError::Key { reason: "written without a key, and one is configured" }),
        _ => {}
    }
    let Some((signed, found)) = object.split_last_chunk::<TRAILER_BYTES>() else {
        return Err(corrupt(object.len(), "shorter than an envelope"));
    };
    let hash = trailer(signed, bucket_key, mac);
    // Equality of hashes takes the same time wherever they differ.
    if Hash::from_bytes(*found) != hash && !is_planted(Mutant::ChecksumIgnored) {
        return Err(match mac {
            Some(_) => {
                DecodeError::Key { reason: "the trailer does not match: written with another key, damaged or moved" }
            }
            None => corrupt(signed.len(), "the trailer does not match: damaged or moved"),
        });
    }
    let body_at = PREFIX_BYTES + control;
    let body = object.slice(body_at..body_at + stored);
    let body = if flags & FLAG_ZSTD != 0 {
        decompress(&body, size).map_err(|reason| corrupt(body_at, reason))?
    } else if stored == size {
        body
    } else {
        return Err(corrupt(16, "the lengths of an uncompressed body differ"));
    };
    Ok(Opened { kind, control: object.slice(PREFIX_BYTES..body_at), body, hash })
}

fn read_u32(prefix: &[u8; PREFIX_BYTES], at: usize) -> usize {
    let bytes = [prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]];
    u32::from_le_bytes(bytes) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(mac: Option<&MacKey>) -> Bytes {
        wrap(ObjectKind::Part, b"control", &b"body ".repeat(100), "v1/x", mac).unwrap()
    }

    #[test]
    fn an_envelope_gives_back_what_went_in() {
        let key = MacKey::new([7; 32]);
        for mac in [None, Some(&key)] {
            for body in [&b""[..], b"short", &b"long ".repeat(1_000), &vec![0; 1 << 20]] {
                let object = wrap(ObjectKind::Part, b"control", body, "v1/x", mac).unwrap();
                let opened = open(&object, "v1/x", mac).unwrap();
                assert_eq!(
                    (opened.kind, &opened.control[..], &opened.body[..]),
                    (ObjectKind::Part, &b"control"[..], body)
                );
                assert_eq!(opened.hash.as_bytes(), &object[object.len() - 32..]);
            }
        }
    }

    #[test]
    fn every_changed_byte_and_every_truncation_is_noticed() {
        let object = sample(None);
        for at in 0..object.len() {
            let mut changed = object.to_vec();
            changed[at] ^= 1;
            assert!(open(&changed.into(), "v1/x", None).is_err(), "{at}");
            assert!(open(&object.slice(..at), "v1/x", None).is_err(), "{at}");
        }
    }

    #[test]
    fn another_key_of_either_sort_does_not_verify() {
        let (ours, theirs) = (MacKey::new([1; 32]), MacKey::new([2; 32]));
        let object = sample(Some(&ours));
        assert!(open(&object, "v1/x", Some(&ours)).is_ok());
        assert!(open(&object, "v1/y", Some(&ours)).is_err());
        assert!(open(&object, "v1/x", Some(&theirs)).is_err());
        assert!(open(&object, "v1/x", None).is_err());
        assert!(open(&sample(None), "v1/x", Some(&ours)).is_err());
        assert_eq!(format!("{ours:?}"), "MacKey(..)");
    }

    #[test]
    fn a_newer_version_kind_or_flag_is_unsupported_and_not_corrupt() {
        for (at, what) in [(4, "version"), (6, "kind"), (7, "flags")] {
            let mut changed = sample(None).to_vec();
            changed[at] = 0x40;
            let Err(DecodeError::Unsupported { what: found, .. }) = open(&changed.into(), "v1/x", None) else {
                panic!("{what}");
            };
            assert_eq!(found, what);
        }
    }

    /// Signs `object` anew, as somebody would who means harm.
    fn resign(mut object: Vec<u8>) -> Bytes {
        let signed = object.len() - TRAILER_BYTES;
        let hash = trailer(&object[..signed], "v1/x", None);
        object[signed..].copy_from_slice(hash.as_bytes());
        object.into()
    }

    #[test]
    fn hostile_lengths_are_refused_also_when_the_trailer_is_right() {
        for at in [8, 12, 16] {
            for value in [0, 1, u32::MAX, 1 << 30] {
                let mut object = sample(None).to_vec();
                object[at..at + 4].copy_from_slice(&value.to_le_bytes());
                assert!(open(&resign(object), "v1/x", None).is_err(), "{at} {value}");
            }
        }
    }
}
