//! Taking a log over: finding its tail, sealing it, claiming the next epoch.
//! Layer 4.

use core::time::Duration;

use blake3::Hash;
use bytes::Bytes;
use crdt_core::{
    Frontier, Position, Timestamp,
    planted::{Mutant, Point, is_planted, reached},
};

use super::store::{Patience, Store};
use crate::{
    error::{Error, ErrorKind},
    log::{
        DecodeError, FoundSeal, Keys, LogHeader, LogObject, MacKey, Seal, SealedEpoch, decode, encode_seal,
        parse_epoch, parse_slot, verify,
    },
    name::{ReplicaName, Roster},
    ports::Created,
};

/// How often a slot that is taken is read, while what is read verifies neither as one's own nor as another's object.
const READ_BACKS: usize = 8;

/// One log in one bucket.
#[derive(Clone, Debug)]
pub(crate) struct LogPlace {
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) mac: Option<MacKey>,
    pub(crate) name: ReplicaName,
}

/// What stands at the end of a log.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The next free slot.
    pub(crate) position: Position,
    /// The hash of the object before it; `None` in a log that is empty.
    pub(crate) previous: Option<Hash>,
    /// What the log has published of its frontier, and acknowledged.
    pub(crate) published: Frontier,
    pub(crate) ack: Frontier,
    /// Every epoch that has ended.
    pub(crate) lineage: Vec<SealedEpoch>,
    /// True when a final seal stands before it: nothing comes here any more.
    pub(crate) is_final: bool,
    /// Every replica that is named.
    pub(crate) names: Vec<ReplicaName>,
}

/// What winning a log gives: an epoch to write in.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The epoch that is claimed: the log goes on at its slot 0.
    pub(crate) epoch: u32,
    /// Where the seal stands.
    pub(crate) sealed: Position,
}

impl LogPlace {
    pub(crate) async fn read(&self, position: Position, patience: Patience) -> Result<Option<LogObject>, Error> {
        Ok(self.read_sized(position, patience).await?.map(|(object, _)| object))
    }

    /// The same, with its size in the bucket.
    pub(crate) async fn read_sized(
        &self,
        position: Position,
        patience: Patience,
    ) -> Result<Option<(LogObject, u64)>, Error> {
        let key = self.keys.log(&self.name, position);
        self.store.read(&key, patience, |body| decode(body, &key, self.mac.as_ref())).await
    }

    /// True when there is an object at this position, whatever it is.
    pub(crate) async fn exists(&self, position: Position, patience: Patience) -> Result<bool, Error> {
        Ok(self.store.get(&self.keys.log(&self.name, position), patience).await?.is_some())
    }

    /// The epochs that there are, in ascending order.
    pub(crate) async fn epochs(&self, patience: Patience) -> Result<Vec<u32>, Error> {
        let folders = self.store.folders(&self.keys.log_prefix(&self.name), patience).await?;
        let mut epochs: Vec<u32> = folders.iter().filter_map(|folder| parse_epoch(folder)).collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    /// The slots of an epoch that are taken, from the one after `after` on, in ascending order.
    pub(crate) async fn slots(
        &self,
        epoch: u32,
        after: Option<Position>,
        patience: Patience,
    ) -> Result<Vec<Position>, Error> {
        let after = after.map(|position| self.keys.log(&self.name, position));
        let prefix = self.keys.epoch_prefix(&self.name, epoch);
        let keys = self.store.list(&prefix, after.as_deref(), patience).await?;
        Ok(keys.iter().filter_map(|key| parse_slot(key, &prefix, epoch)).collect())
    }

    /// True when something stands in this epoch beyond `position`.
    ///
    /// SUBTLE: a seal counts only if nothing in its epoch lies beyond it. One that was delayed can reach a slot that had
    /// been used and collected; whoever wins or meets a seal asks this once more, and a void seal reads as a collected
    /// slot. Collection leaves the newest segment of an epoch, so what was there beyond the hole still is.
    pub(crate) async fn goes_beyond(&self, position: Position, patience: Patience) -> Result<bool, Error> {
        Ok(!is_planted(Mutant::SealNotRechecked)
            && !self.slots(position.epoch(), Some(position), patience).await?.is_empty())
    }

    /// Finds the end of the log, as listing and reading show it now. It may have moved on when this returns.
    ///
    /// SUBTLE: what was the newest object when it was listed may be collected before it is read, when the log has gone on. So it is
    /// listed again, and only what is listed twice and not there is lost.
    pub(crate) async fn tail(&self, patience: Patience) -> Result<Tail, Error> {
        let mut gone = None;
        loop {
            match self.listed_tail(&mut gone, patience).await? {
                Some(tail) => return Ok(tail),
                None => reached(Point::TailCollected),
            }
        }
    }

    /// The same at one listing. `None` when its newest object was collected meanwhile; `gone` is that of the listing before.
    async fn listed_tail(&self, gone: &mut Option<Position>, patience: Patience) -> Result<Option<Tail>, Error> {
        let mut epochs = self.epochs(patience).await?;
        let Some(newest) = epochs.pop() else {
            return Ok(Some(Tail {
                position: Position::FIRST,
                previous: None,
                published: Frontier::default(),
                ack: Frontier::default(),
                lineage: Vec::new(),
                is_final: false,
                names: Vec::new(),
            }));
        };
        let last = self.slots(newest, None, patience).await?.pop();
        let last = last.ok_or_else(|| self.lost("an epoch has a folder and nothing in it"))?;
        match self.read(last, patience).await? {
            // The last of its epoch: nothing lies beyond it, so it counts.
            Some(LogObject::Seal(found)) => self.after_seal(&found).map(Some),
            Some(LogObject::Segment(segment)) => {
                let lineage = self.lineage_before(newest, &epochs, patience).await?;
                let header = segment.header();
                let position = last.next().ok_or_else(|| self.lost("the log is full"))?;
                let (published, ack) = (header.frontier.clone(), header.ack.clone());
                let names = segment.names().to_vec();
                let previous = Some(segment.hash());
                Ok(Some(Tail { position, previous, published, ack, lineage, is_final: false, names }))
            }
            None if gone.replace(last) == Some(last) => {
                Err(self.lost("the newest object was listed twice and is not there"))
            }
            None => Ok(None),
        }
    }

    fn after_seal(&self, found: &FoundSeal) -> Result<Tail, Error> {
        let seal = found.seal();
        let behind = || seal.header.position.next().ok_or_else(|| self.lost("the log is full"));
        let position = seal.next_epoch.map_or_else(behind, |next| Ok(Position::new(next, 0)))?;
        let mut lineage = seal.lineage.clone();
        lineage.push(seal.ended());
        Ok(Tail {
            position,
            previous: Some(found.hash()),
            published: seal.header.frontier.clone(),
            ack: seal.header.ack.clone(),
            lineage,
            is_final: seal.next_epoch.is_none(),
            names: found.names().to_vec(),
        })
    }

    /// The lineage up to `epoch`, from the seal that named it. `earlier` are the other epochs, in ascending order.
    async fn lineage_before(&self, epoch: u32, earlier: &[u32], patience: Patience) -> Result<Vec<SealedEpoch>, Error> {
        if epoch == 0 {
            return Ok(Vec::new());
        }
        for before in earlier.iter().rev() {
            let Some(last) = self.slots(*before, None, patience).await?.pop() else { continue };
            if let Some(LogObject::Seal(found)) = self.read(last, patience).await?
                && found.seal().next_epoch == Some(epoch)
            {
                let mut lineage = found.seal().lineage.clone();
                lineage.push(found.seal().ended());
                return Ok(lineage);
            }
        }
        Err(self.lost("no seal names the newest epoch"))
    }

    /// Takes the log over: seals its tail, and so claims the next epoch and fences whoever wrote before.
    pub(crate) async fn take_over(
        &self,
        wall_ms: impl Fn() -> u64,
        hlc: Timestamp,
        nonce: [u8; 16],
        patience: Patience,
    ) -> Result<Claim, Error> {
        loop {
            let tail = self.tail(patience).await?;
            if tail.is_final {
                return Err(evicted(&self.name));
            }
            let wall = wall_ms();
            let seconds = u32::try_from(wall / 1_000).unwrap_or(0);
            let after = tail.position.epoch().checked_add(1).ok_or_else(|| self.lost("there is no later epoch"))?;
            let epoch = after.max(seconds);
            if after > seconds {
                reached(Point::EpochAheadOfTheClock);
            }
            if self.seal(&tail, Some(epoch), wall, hlc, nonce, patience).await? || is_planted(Mutant::LostSealClaims) {
                return Ok(Claim { epoch, sealed: tail.position });
            }
        }
    }

    /// Ends the log for good: its replica was evicted, and whoever opens it is told so. False when somebody else has
    /// written there first.
    pub(crate) async fn seal_for_good(
        &self,
        tail: &Tail,
        wall: u64,
        hlc: Timestamp,
        nonce: [u8; 16],
        patience: Patience,
    ) -> Result<bool, Error> {
        Ok(tail.is_final || self.seal(tail, None, wall, hlc, nonce, patience).await?)
    }

    /// Creates a seal at the tail. Returns whether it is there and counts.
    async fn seal(
        &self,
        tail: &Tail,
        next_epoch: Option<u32>,
        wall_ms: u64,
        hlc: Timestamp,
        nonce: [u8; 16],
        patience: Patience,
    ) -> Result<bool, Error> {
        let seal = Seal {
            header: LogHeader {
                replica: self.name.clone(),
                position: tail.position,
                nonce,
                previous: tail.previous,
                wall_ms,
                hlc,
                frontier: tail.published.clone(),
                ack: tail.ack.clone(),
            },
            next_epoch,
            lineage: tail.lineage.clone(),
        };
        let key = self.keys.log(&self.name, tail.position);
        let mut roster = Roster::default();
        for name in tail.names.iter().chain([&self.name]) {
            roster.insert(name.clone()).map_err(|same| Error::new(ErrorKind::Invalid, same.to_string()))?;
        }
        let bytes = encode_seal(&seal, &roster, &key, self.mac.as_ref());
        let bytes = bytes.map_err(|error| Error::encoding(&key, error))?;
        if !self.put_own(&key, &bytes, patience).await? {
            reached(Point::OpenerLosesTheSlot);
            return Ok(false);
        }
        let is_void = self.goes_beyond(tail.position, patience).await?;
        if is_void {
            reached(Point::OwnSealIsVoid);
        }
        Ok(!is_void)
    }

    /// Creates an object of this writer at a free slot. False when another one is there.
    ///
    /// A slot that is taken is read back: the same bytes, and so the same nonce, are an earlier attempt of this call that had
    /// succeeded; if nothing is there any more, it is tried again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when what is there can be told neither for one's own nor for another's, however often it is read.
    pub(crate) async fn put_own(&self, key: &str, bytes: &Bytes, patience: Patience) -> Result<bool, Error> {
        loop {
            if is_planted(Mutant::UnknownIsDone) {
                return Ok(!matches!(
                    self.store.create(key, bytes, Patience::For(Duration::ZERO)).await,
                    Ok(Created::Exists)
                ));
            }
            if self.store.create(key, bytes, patience).await? == Created::New {
                return Ok(true);
            }
            match self.whose(key, bytes, patience).await? {
                Some(is_ours) => return Ok(is_ours),
                None => reached(Point::TakenSlotIsEmpty),
            }
        }
    }

    /// Reads back a slot that is taken: whether it is by these bytes; `None` if nothing is there.
    ///
    /// SUBTLE: another's is only what verifies under this key. Anything else may be one's own, damaged on its way, or the body
    /// of another key, so it is read again: a replica that is told of another's object stops for good.
    async fn whose(&self, key: &str, bytes: &Bytes, patience: Patience) -> Result<Option<bool>, Error> {
        let mut tries = 0;
        loop {
            let Some(there) = self.store.get(key, patience).await? else { return Ok(None) };
            if there == *bytes || is_planted(Mutant::OwnPutUnchecked) {
                reached(Point::TakenSlotIsOurs);
                return Ok(Some(!is_planted(Mutant::OwnSuccessIsAFence)));
            }
            tries += 1;
            match verify(&there, key, self.mac.as_ref()) {
                Ok(()) => return Ok(Some(false)),
                Err(_) if tries < READ_BACKS => reached(Point::TakenSlotWasMisread),
                // Nothing else verifies it, and a later version has no reason to write here but to take the log over.
                Err(DecodeError::Unsupported { .. }) => return Ok(Some(false)),
                Err(error) => return Err(Error::decoding(key, error)),
            }
        }
    }

    pub(crate) fn lost(&self, why: &str) -> Error {
        let name = &self.name;
        Error::new(
            ErrorKind::LostHistory,
            format!("{why}; open a new replica name, which recovers what the peers hold: replica={name}"),
        )
    }
}

/// The own log has been ended by an operator.
pub(crate) fn evicted(own: &ReplicaName) -> Error {
    Error::new(ErrorKind::Evicted, format!("the replica was evicted; open one of another name: replica={own}"))
}
