//! Seals: what ends an epoch, fences who wrote it, and claims the next.
//! Layer 3.

use blake3::Hash;
use bytes::Bytes;

use crate::name::{ReplicaName, Roster};

use super::{
    control::{self, SealRecord, SealedEpoch, corrupt, lineage_record, read_lineage},
    envelope::{MacKey, ObjectKind, Opened, wrap},
    error::{DecodeError, EncodeError},
    header::{LogHeader, check_all_used},
};

/// What a seal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Whose log it ends an epoch of, where, and by whom.
    pub header: LogHeader,
    /// Where the log goes on, at slot 0; `None` when it does not: the replica is evicted.
    pub next_epoch: Option<u32>,
    /// Every epoch before this one, in ascending order, with the seal that ended it.
    pub lineage: Vec<SealedEpoch>,
}

impl Seal {
    /// The epoch that it ends, as a lineage tells of it.
    #[must_use]
    pub const fn ended(&self) -> SealedEpoch {
        let position = self.header.position;
        SealedEpoch { epoch: position.epoch(), slot: position.slot(), nonce: self.header.nonce }
    }
}

/// The bytes of a seal.
///
/// # Errors
///
/// [`EncodeError::Invalid`] when a replica is named that is not in `roster`, the lineage is not in ascending order or
/// not before this epoch, or the next epoch is not after it.
pub fn encode_seal(seal: &Seal, roster: &Roster, bucket_key: &str, mac: Option<&MacKey>) -> Result<Bytes, EncodeError> {
    let names = seal.header.dictionary([], roster)?;
    check(seal).map_err(EncodeError::invalid)?;
    let record = SealRecord {
        header: seal.header.record(&names)?,
        next_epoch: seal.next_epoch,
        lineage: lineage_record(&seal.lineage)?,
    };
    wrap(ObjectKind::Seal, &control::write(&record)?, &[], bucket_key, mac)
}

fn check(seal: &Seal) -> Result<(), &'static str> {
    let epoch = seal.header.position.epoch();
    if seal.next_epoch.is_some_and(|next| next <= epoch) {
        Err("the epoch after a seal is not a later one")
    } else if seal.lineage.last().is_some_and(|last| last.epoch >= epoch) {
        Err("the lineage of a seal goes beyond it")
    } else {
        Ok(())
    }
}

/// A seal that was decoded.
#[derive(Clone, Debug)]
pub struct FoundSeal {
    seal: Seal,
    names: Vec<ReplicaName>,
    hash: Hash,
}

impl FoundSeal {
    pub(super) fn read(opened: &Opened, bucket_key: &str) -> Result<Self, DecodeError> {
        let record: SealRecord = control::read(&opened.control)?;
        let (header, names, used) = LogHeader::read(&record.header, bucket_key)?;
        check_all_used(&used)?;
        let seal = Seal { header, next_epoch: record.next_epoch, lineage: read_lineage(&record.lineage)? };
        check(&seal).map_err(corrupt)?;
        Ok(Self { seal, names: names.names().to_vec(), hash: opened.hash })
    }

    /// What it says.
    #[must_use]
    pub const fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Every replica that is named, in ascending order of ids.
    #[must_use]
    pub fn names(&self) -> &[ReplicaName] {
        &self.names
    }

    /// The hash by which the next object of the log names this one.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }
}
