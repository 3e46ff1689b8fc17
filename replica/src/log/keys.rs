//! The keys of everything that a replica keeps in buckets, both ways.
//! Layer 3.

use std::sync::Arc;

use blake3::Hash;
use crdt_core::Position;

use crate::{
    name::ReplicaName,
    ports::{BucketError, Outcome, check_key},
};

/// The longest root, in bytes: what leaves room for the longest key below it.
pub const ROOT_BYTES_MAX: usize = 700;

/// The folder that the first version of the layout lives in.
const VERSION: &str = "v1";

/// What a key has beside its root and the replica's name at most: folders, a dashed position and a hash.
const LAST_BYTES_MAX: usize = 96;

/// What a key stands for.
///
/// ```text
/// <root>/v1/log/<replica>/<epoch:08x>/<slot:08x>
/// <root>/v1/snap/<replica>/<epoch:08x>-<slot:08x>
/// <root>/v1/part/<replica>/<epoch:08x>-<slot:08x>/<blake3>
/// <root>/v1/probe/<replica>/<nonce>
/// ```
///
/// Hexadecimal digits are lower-case and never fewer or more, so one thing has one key, and the order of keys is the
/// order of positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketKey {
    /// A segment or a seal.
    Log {
        /// Whose log.
        replica: ReplicaName,
        /// Where in it.
        position: Position,
    },
    /// The manifest of a snapshot.
    Manifest {
        /// Whose snapshot.
        replica: ReplicaName,
        /// The position of its log at which it was taken.
        position: Position,
    },
    /// A part of a snapshot.
    Part {
        /// Whose snapshot.
        replica: ReplicaName,
        /// The position of the manifest that first wrote it.
        written: Position,
        /// The hash of what it holds.
        content: Hash,
    },
    /// An object that the start-up probe creates.
    Probe {
        /// Who probes.
        replica: ReplicaName,
        /// Told apart by it from every other probe.
        nonce: [u8; 16],
    },
}

impl BucketKey {
    /// The key below a root, which is empty or ends with `/`. One is made for every request, so nothing is formatted.
    fn below(&self, root: &str) -> String {
        let (folder, replica) = match self {
            Self::Log { replica, .. } => ("log", replica),
            Self::Manifest { replica, .. } => ("snap", replica),
            Self::Part { replica, .. } => ("part", replica),
            Self::Probe { replica, .. } => ("probe", replica),
        };
        let mut key = String::with_capacity(root.len() + replica.as_str().len() + LAST_BYTES_MAX);
        for part in [root, VERSION, "/", folder, "/", replica.as_str(), "/"] {
            key.push_str(part);
        }
        match self {
            Self::Log { position, .. } => {
                push_hex(&mut key, &position.epoch().to_be_bytes());
                key.push('/');
                push_hex(&mut key, &position.slot().to_be_bytes());
            }
            Self::Manifest { position, .. } => push_dashed(&mut key, *position),
            Self::Part { written, content, .. } => {
                push_dashed(&mut key, *written);
                key.push('/');
                push_hex(&mut key, content.as_bytes());
            }
            Self::Probe { nonce, .. } => push_hex(&mut key, nonce),
        }
        key
    }

    /// The thing that `key` stands for whatever its root, or `None` if it is no key of this layout.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        Self::parse_below(key).map(|(parsed, _)| parsed)
    }

    /// The same, with the root: empty, or ending with `/`.
    fn parse_below(key: &str) -> Option<(Self, &str)> {
        let (before, last) = key.rsplit_once('/')?;
        let (above, middle) = before.rsplit_once('/')?;
        Self::parse_short(above, middle, last).or_else(|| Self::parse_long(above, middle, last))
    }

    /// The two things whose keys have one part less. Names come last, here and below: to hash one costs more than all the rest.
    fn parse_short<'a>(above: &'a str, replica: &str, last: &str) -> Option<(Self, &'a str)> {
        let (root, folder) = folder_of(above)?;
        let parsed = match folder {
            "snap" => {
                let position = undashed(last)?;
                Self::Manifest { replica: ReplicaName::new(replica).ok()?, position }
            }
            "probe" => {
                let nonce = hex_u128(last)?.to_be_bytes();
                Self::Probe { replica: ReplicaName::new(replica).ok()?, nonce }
            }
            _ => return None,
        };
        Some((parsed, root))
    }

    fn parse_long<'a>(above: &'a str, middle: &str, last: &str) -> Option<(Self, &'a str)> {
        let (above, replica) = above.rsplit_once('/')?;
        let (root, folder) = folder_of(above)?;
        let parsed = match folder {
            "log" => {
                let position = Position::new(hex_u32(middle)?, hex_u32(last)?);
                Self::Log { replica: ReplicaName::new(replica).ok()?, position }
            }
            "part" => {
                let (written, content) = (undashed(middle)?, hex_hash(last)?);
                Self::Part { replica: ReplicaName::new(replica).ok()?, written, content }
            }
            _ => return None,
        };
        Some((parsed, root))
    }
}

/// The root before `v1/<folder>`, and the folder.
fn folder_of(above: &str) -> Option<(&str, &str)> {
    let (version, folder) = above.rsplit_once('/')?;
    let root = version.strip_suffix(VERSION)?;
    (root.is_empty() || root.ends_with('/')).then_some((root, folder))
}

/// The keys below one root of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Empty, or ends with `/`.
    root: Arc<str>,
}

impl Keys {
    /// The keys below `root`, which may be empty and does not end with `/`.
    ///
    /// # Errors
    ///
    /// A [`Refused`](Outcome::Refused) error when the root is not what a key can begin with, or longer than 700 bytes.
    pub fn new(root: &str) -> Result<Self, BucketError> {
        if root.is_empty() {
            return Ok(Self { root: "".into() });
        }
        check_key(root)?;
        if root.len() > ROOT_BYTES_MAX {
            let message = format!("the root of a bucket has at most {ROOT_BYTES_MAX} bytes: root={root:?}");
            return Err(BucketError::new(Outcome::Refused, message));
        }
        Ok(Self { root: format!("{root}/").into() })
    }

    /// The key of `what`.
    #[must_use]
    pub fn key(&self, what: &BucketKey) -> String {
        what.below(&self.root)
    }

    /// The key of the segment or seal at a position of a log.
    #[must_use]
    pub fn log(&self, replica: &ReplicaName, position: Position) -> String {
        self.key(&BucketKey::Log { replica: replica.clone(), position })
    }

    /// The key of a manifest.
    #[must_use]
    pub fn manifest(&self, replica: &ReplicaName, position: Position) -> String {
        self.key(&BucketKey::Manifest { replica: replica.clone(), position })
    }

    /// The key of a part.
    #[must_use]
    pub fn part(&self, replica: &ReplicaName, written: Position, content: Hash) -> String {
        self.key(&BucketKey::Part { replica: replica.clone(), written, content })
    }

    /// The key of a probe's object.
    #[must_use]
    pub fn probe(&self, replica: &ReplicaName, nonce: [u8; 16]) -> String {
        self.key(&BucketKey::Probe { replica: replica.clone(), nonce })
    }

    /// The folder with a folder for each log.
    #[must_use]
    pub fn logs_prefix(&self) -> String {
        format!("{}{VERSION}/log/", self.root)
    }

    /// The folder of a log, with a folder for each epoch.
    #[must_use]
    pub fn log_prefix(&self, replica: &ReplicaName) -> String {
        format!("{}{replica}/", self.logs_prefix())
    }

    /// The folder of one epoch of a log.
    #[must_use]
    pub fn epoch_prefix(&self, replica: &ReplicaName, epoch: u32) -> String {
        format!("{}{epoch:08x}/", self.log_prefix(replica))
    }

    /// The folder of a replica's manifests.
    #[must_use]
    pub fn manifests_prefix(&self, replica: &ReplicaName) -> String {
        format!("{}{VERSION}/snap/{replica}/", self.root)
    }

    /// The folder of a replica's parts, with a folder for each manifest that wrote some.
    #[must_use]
    pub fn parts_prefix(&self, replica: &ReplicaName) -> String {
        format!("{}{VERSION}/part/{replica}/", self.root)
    }

    /// The folder of the parts that one manifest was the first to write.
    #[must_use]
    pub fn written_prefix(&self, replica: &ReplicaName, written: Position) -> String {
        let mut prefix = self.parts_prefix(replica);
        push_dashed(&mut prefix, written);
        prefix.push('/');
        prefix
    }

    /// The folder of a replica's probes.
    #[must_use]
    pub fn probes_prefix(&self, replica: &ReplicaName) -> String {
        format!("{}{VERSION}/probe/{replica}/", self.root)
    }

    /// What a key stands for, or `None` if it is not below this root or no key of this layout: not ours, to be left
    /// alone.
    #[must_use]
    pub fn parse(&self, key: &str) -> Option<BucketKey> {
        BucketKey::parse_below(key).filter(|(_, root)| **root == *self.root).map(|(parsed, _)| parsed)
    }
}

/// An epoch as it stands in the name of a folder.
#[must_use]
pub fn parse_epoch(folder: &str) -> Option<u32> {
    hex_u32(folder)
}

/// The position whose key this is, in the folder of an epoch.
pub(crate) fn parse_slot(key: &str, folder: &str, epoch: u32) -> Option<Position> {
    Some(Position::new(epoch, hex_u32(key.strip_prefix(folder)?)?))
}

/// The position whose key this is, in the folder of a log.
pub(crate) fn parse_position(key: &str, folder: &str) -> Option<Position> {
    let (epoch, slot) = key.strip_prefix(folder)?.split_once('/')?;
    Some(Position::new(hex_u32(epoch)?, hex_u32(slot)?))
}

/// The position of the manifest whose key this is, in the folder of a replica's manifests.
pub(crate) fn parse_manifest(key: &str, folder: &str) -> Option<Position> {
    undashed(key.strip_prefix(folder)?)
}

/// The part whose key this is, in the folder of a replica's parts: the manifest that first wrote it, and its content.
pub(crate) fn parse_part(key: &str, folder: &str) -> Option<(Position, Hash)> {
    let (written, content) = key.strip_prefix(folder)?.split_once('/')?;
    Some((undashed(written)?, hex_hash(content)?))
}

fn push_dashed(key: &mut String, position: Position) {
    push_hex(key, &position.epoch().to_be_bytes());
    key.push('-');
    push_hex(key, &position.slot().to_be_bytes());
}

/// Two lower-case digits for each byte.
fn push_hex(key: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        key.push(DIGITS[usize::from(byte >> 4)]);
        key.push(DIGITS[usize::from(byte & 15)]);
    }
}

fn undashed(text: &str) -> Option<Position> {
    let (epoch, slot) = text.split_once('-')?;
    Some(Position::new(hex_u32(epoch)?, hex_u32(slot)?))
}

/// Exactly `digits` lower-case hexadecimal digits.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex_u32(text: &str) -> Option<u32> {
    is_hex(text, 8).then(|| u32::from_str_radix(text, 16).ok())?
}

fn hex_u128(text: &str) -> Option<u128> {
    is_hex(text, 32).then(|| u128::from_str_radix(text, 16).ok())?
}

fn hex_hash(text: &str) -> Option<Hash> {
    is_hex(text, 64).then(|| Hash::from_hex(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<BucketKey> {
        let replica = ReplicaName::new("eu-west-1").unwrap();
        let position = Position::new(0x6553_f100, 0x1f);
        vec![
            BucketKey::Log { replica: replica.clone(), position },
            BucketKey::Manifest { replica: replica.clone(), position },
            BucketKey::Part { replica: replica.clone(), written: position, content: blake3::hash(b"x") },
            BucketKey::Probe { replica, nonce: [7; 16] },
        ]
    }

    #[test]
    fn every_key_is_read_back_as_what_it_stands_for() {
        for root in ["", "prod", "team/prod"] {
            let keys = Keys::new(root).unwrap();
            for what in all() {
                let key = keys.key(&what);
                check_key(&key).unwrap();
                assert_eq!(BucketKey::parse(&key), Some(what.clone()));
                assert_eq!(keys.parse(&key), Some(what));
            }
        }
    }

    #[test]
    fn what_a_list_of_a_folder_gives_is_read_back() {
        let keys = Keys::new("prod").unwrap();
        for what in all() {
            let key = keys.key(&what);
            match &what {
                BucketKey::Log { replica, position } => {
                    let epoch = keys.epoch_prefix(replica, position.epoch());
                    assert_eq!(parse_slot(&key, &epoch, position.epoch()), Some(*position));
                    assert_eq!(parse_position(&key, &keys.log_prefix(replica)), Some(*position));
                    assert_eq!(parse_position(&format!("{key}0"), &keys.log_prefix(replica)), None);
                }
                BucketKey::Manifest { replica, position } => {
                    assert_eq!(parse_manifest(&key, &keys.manifests_prefix(replica)), Some(*position));
                    assert_eq!(parse_manifest(&key, "other/"), None);
                }
                BucketKey::Part { replica, written, content } => {
                    assert_eq!(parse_part(&key, &keys.parts_prefix(replica)), Some((*written, *content)));
                }
                BucketKey::Probe { .. } => {}
            }
        }
    }

    #[test]
    fn keys_look_as_the_layout_says() {
        let keys = Keys::new("prod").unwrap();
        let [log, manifest, part, probe] = all().try_into().unwrap();
        assert_eq!(keys.key(&log), "prod/v1/log/eu-west-1/6553f100/0000001f");
        assert_eq!(keys.key(&manifest), "prod/v1/snap/eu-west-1/6553f100-0000001f");
        let hash = blake3::hash(b"x").to_hex();
        assert_eq!(keys.key(&part), format!("prod/v1/part/eu-west-1/6553f100-0000001f/{hash}"));
        assert_eq!(keys.key(&probe), "prod/v1/probe/eu-west-1/07070707070707070707070707070707");
    }

    #[test]
    fn what_is_not_ours_is_not_a_key() {
        let keys = Keys::new("prod").unwrap();
        for key in [
            "",
            "prod/v1/log/eu-west-1/6553f100/0000001F",
            "prod/v1/log/eu-west-1/6553f100/1f",
            "prod/v1/log/EU/6553f100/0000001f",
            "prod/v2/log/eu-west-1/6553f100/0000001f",
            "prod/v1/logs/eu-west-1/6553f100/0000001f",
            "other/v1/log/eu-west-1/6553f100/0000001f",
            "xprod/v1/log/eu-west-1/6553f100/0000001f",
            "prod/v1/snap/eu-west-1/6553f100-0000001f/x",
            "prod/v1/probe/eu-west-1/+7070707070707070707070707070707",
        ] {
            assert_eq!(keys.parse(key), None, "{key}");
        }
        assert_eq!(BucketKey::parse("xv1/log/eu-west-1/6553f100/0000001f"), None);
    }

    #[test]
    fn a_root_is_what_a_key_can_begin_with() {
        for root in ["/", "a/", "a//b", "..", "\u{e4}", &"x".repeat(701)] {
            assert!(Keys::new(root).is_err(), "{root}");
        }
    }
}
