//! Recovering from the own bucket alone: the newest own snapshot that verifies, and the own log behind it.
//! Layer 4.

use crdt_core::{
    Dot, HybridClock, Position,
    planted::{Mutant, Point, is_planted, reached},
};

use super::{
    alarm::Alarms,
    shelf::{Fetched, Shelf, Snapshot},
    snapshot::{Kept, KeptSnapshot},
    state::{State, fenced},
    store::{Patience, World},
    takeover::{Claim, LogPlace},
};
use crate::{
    error::{Error, ErrorKind},
    keyspace::Keyspace,
    log::{LogObject, Manifest},
};

/// What a recovery works with.
pub(crate) struct Recovery<'a> {
    pub(crate) own: &'a LogPlace,
    pub(crate) keyspace: &'a Keyspace,
    pub(crate) world: &'a World,
    pub(crate) clock: &'a mut HybridClock,
    pub(crate) alarms: &'a Alarms,
    pub(crate) patience: Patience,
}

impl Recovery<'_> {
    /// Recovers all that is in the own bucket up to the seal with which the log was taken over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LostHistory`] when something between the snapshot and the seal is gone, and [`ErrorKind::Fenced`] when that is
    /// because a successor has collected it.
    pub(crate) async fn recover(&mut self, claim: &Claim) -> Result<(State, Kept), Error> {
        let sealed = claim.sealed;
        let mut state = State::default();
        state.meet(&self.own.name)?;
        let (snapshot, kept) = self.newest_snapshot(sealed).await?;
        let mut at = None;
        if let Some(snapshot) = snapshot {
            let (hlc, position) = (snapshot.manifest.hlc, snapshot.manifest.position);
            state.restore(self.keyspace, snapshot)?;
            self.observe(hlc);
            at = Some(position);
            reached(Point::RecoveryFromASnapshot);
            if kept.len() < 2 {
                reached(Point::RecoveryWithOneSnapshot);
            }
        }
        if is_planted(Mutant::OwnLogTakenAsSeen) {
            state.applied.frontier.advance(Dot { replica: self.own.name.id(), position: sealed });
        }
        self.replay(&mut state, at, claim).await?;
        Ok((state, Kept::recovered(kept)))
    }

    /// The newest own snapshot that verifies from end to end, and what is known of those that a recovery could begin with.
    async fn newest_snapshot(&self, sealed: Position) -> Result<(Option<Snapshot>, Vec<KeptSnapshot>), Error> {
        let shelf = Shelf::of(self.own);
        let mut kept: Vec<KeptSnapshot> = Vec::new();
        let mut newest = None;
        let mut fetched = Fetched::new();
        // What lies beyond the seal is of a successor, who has fenced this process already.
        let before = |position: &Position| *position < sealed;
        for position in shelf.positions(self.patience).await?.into_iter().filter(before).rev() {
            let manifest = match shelf.manifest(position, self.patience).await {
                Ok(Some(manifest)) => manifest,
                Ok(None) => continue,
                Err(error) => {
                    self.skip(&error)?;
                    reached(Point::SnapshotPassedOver);
                    continue;
                }
            };
            if newest.is_some() {
                if self.has_parts(&shelf, &manifest).await? {
                    kept.insert(0, KeptSnapshot::of(&manifest));
                    break;
                }
                continue;
            }
            match shelf.snapshot(manifest, &mut fetched, self.patience).await {
                Ok(snapshot) => {
                    kept.push(KeptSnapshot::of(&snapshot.manifest));
                    newest = Some(snapshot);
                }
                Err(error) => {
                    self.skip(&error)?;
                    reached(Point::SnapshotPassedOver);
                }
            }
        }
        Ok((newest, kept))
    }

    /// A snapshot that is damaged is passed over; a bucket that does not answer is not.
    fn skip(&self, error: &Error) -> Result<(), Error> {
        self.alarms.raise("snapshot", error);
        match error.kind() {
            ErrorKind::Store => Err(Error::new(ErrorKind::Store, error.to_string())),
            _ => Ok(()),
        }
    }

    async fn has_parts(&self, shelf: &Shelf, manifest: &Manifest) -> Result<bool, Error> {
        let there = shelf.parts(self.patience).await?;
        Ok(manifest.parts.iter().all(|part| there.contains(&(part.written, part.content))))
    }

    fn observe(&mut self, time: crdt_core::Timestamp) {
        if is_planted(Mutant::ClockBackOnRestart) {
            return;
        }
        if self.clock.observe(time, self.world.clock.wall_ms()) == crdt_core::Observed::TooFarAhead {
            self.alarms.count_ahead();
        }
    }

    /// Applies the own log from behind `at`, or from its first object, to the seal with which it was taken over.
    async fn replay(&mut self, state: &mut State, at: Option<Position>, claim: &Claim) -> Result<(), Error> {
        let own = self.own;
        let full = || own.lost("the log is full");
        let mut next = at.map_or(Ok(Position::FIRST), |at| at.next().ok_or_else(full))?;
        loop {
            match own.read_sized(next, self.patience).await? {
                Some((LogObject::Segment(segment), bytes)) => {
                    state.apply(self.keyspace, &segment)?;
                    state.log_bytes += bytes;
                    state.published.join(&segment.header().frontier);
                    state.published.advance(segment.dot());
                    self.keyspace.learn_marks(segment.marks());
                    self.observe(segment.header().hlc);
                    next = next.next().ok_or_else(full)?;
                }
                Some((LogObject::Seal(found), _)) => {
                    state.pass_seal(&found)?;
                    state.published.join(&found.seal().header.frontier);
                    if next == claim.sealed || is_planted(Mutant::ReplayStopsAtTheFirstSeal) {
                        return Ok(());
                    }
                    let epoch = found.seal().next_epoch;
                    let epoch = epoch.ok_or_else(|| own.lost("the log goes on behind its last seal"))?;
                    next = Position::new(epoch, 0);
                }
                // SUBTLE: this process has written nothing yet. What stands in the epoch that it has claimed is of one that took over from
                // it, and may have collected what is missing here, while this one slept.
                None if !own.slots(claim.epoch, None, self.patience).await?.is_empty() => {
                    return Err(fenced(&own.name, None));
                }
                None => {
                    reached(Point::RecoveryFindsAGap);
                    return Err(own.lost("a part of the own log is gone, and no snapshot that is whole covers it"));
                }
            }
        }
    }
}
