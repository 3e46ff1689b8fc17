//! Cutting the own log, and writing it.
//! Layer 4.

use core::pin::pin;

use bytes::Bytes;
use crdt_core::Position;
use crdt_core::planted::{Mutant, is_planted};
use futures_util::future::select;

use super::{
    Engine,
    outbox::Waiting,
    state::{State, fenced},
    store::Patience,
    takeover::evicted,
};
use crate::{
    error::{Error, ErrorKind},
    keyspace::Cut,
    log::{Eviction, LogHeader, LogObject, encode_segment, hash_of},
};

impl Engine {
    /// Cuts and writes segments, one at a time, for as long as the log is this replica's.
    pub(crate) async fn keep_flushing(&self) -> Error {
        loop {
            while self.pending_bytes() == 0 && self.state().evictions.is_empty() {
                self.changed.wait().await;
            }
            if self.outbox.is_empty() {
                // What arrives meanwhile goes into the same segment.
                let interval = pin!(self.world.clock.sleep(self.settings.flush_interval));
                select(interval, pin!(self.flush.wait())).await;
            }
            if let Err(error) = self.flush_once().await {
                self.end(error.kind(), error.told());
                return error;
            }
            if self.pending_bytes() == 0 {
                // In a lull, so that no reader waits for it. Who writes without a pause would else pay for it again and again.
                self.keyspace.settle();
            }
        }
    }

    /// Cuts what has changed, and writes all that was cut.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Fenced`] when another process has the slot. Anything that may pass is repeated until it has passed:
    /// what the log owes must not be dropped.
    pub(crate) async fn flush_once(&self) -> Result<(), Error> {
        if self.keyspace.pending_bytes() > 0 || !self.state().evictions.is_empty() {
            self.cut_now()?;
        }
        while let Some(Waiting { position, key, bytes }) = self.outbox.first() {
            if !self.own.put_own(&key, &bytes, Patience::Endless).await? {
                return Err(self.displaced(position).await);
            }
            self.outbox.written();
            self.durable.rise(position);
            let (src, dst) = (&self.own.name, &**self.own.store.region());
            tracing::debug!(
                replica = %src, sync_id = %format_args!("{src}/{position}"), %src, dst, key, outcome = "written", bytes = bytes.len(),
                "segment written"
            );
        }
        Ok(())
    }

    /// Why another's object stands in a slot of the own log.
    async fn displaced(&self, position: Position) -> Error {
        let there = self.own.read(position, Patience::For(self.settings.catch_up)).await;
        match there {
            Ok(Some(LogObject::Seal(found))) if found.seal().next_epoch.is_none() => evicted(&self.own.name),
            Ok(Some(found)) if found.header().nonce != self.nonce => fenced(&self.own.name, Some(found.header())),
            _ => self.fenced(),
        }
    }

    /// Stops this replica when a peer has read of its log what another one has written there.
    pub(crate) async fn keep_minding(&self) -> Error {
        self.overtaken.wait().await;
        let (durable, claimed) = (self.durable.reached(), self.keyspace.open().epoch());
        let behind = durable.next().filter(|_| durable.epoch() == claimed);
        let error = self.displaced(behind.unwrap_or(Position::new(claimed, 0))).await;
        self.end(error.kind(), error.told());
        error
    }

    pub(crate) fn fenced(&self) -> Error {
        fenced(&self.own.name, None)
    }

    /// Cuts the open segment, even if it is empty. Returns its position, which is durable when the outbox is written.
    pub(crate) fn cut_now(&self) -> Result<Position, Error> {
        let mut state = self.state();
        let cut = self.keyspace.cut();
        self.publish(&mut state, &cut)
    }

    /// Cuts the segment at this position, which had no room: several writers may have found it so, and one of them cuts.
    pub(crate) fn cut_full(&self, position: Position) -> Result<(), Error> {
        let mut state = self.state();
        if self.keyspace.open() == position {
            let cut = self.keyspace.cut();
            self.publish(&mut state, &cut)?;
            self.changed.raise();
            self.flush.raise();
        }
        Ok(())
    }

    /// Makes a segment of what was cut, and puts it into the outbox. No await: nothing is applied while it is taken.
    pub(crate) fn publish(&self, state: &mut State, cut: &Cut) -> Result<Position, Error> {
        let published = self.try_publish(state, cut);
        if let Err(error) = &published {
            // What was cut and cannot be written is lost to the log: nothing may follow it.
            self.end(error.kind(), error.told());
        }
        published
    }

    fn try_publish(&self, state: &mut State, cut: &Cut) -> Result<Position, Error> {
        let (me, position) = (cut.dot.replica, cut.dot.position);
        if is_planted(Mutant::PublishedGoesBack) {
            state.published.clone_from(&state.applied.frontier);
        }
        state.published.join(&state.applied.frontier);
        let own = state.logs.entry(me).or_default();
        let header = LogHeader {
            replica: self.own.name.clone(),
            position,
            nonce: self.nonce,
            previous: own.hash,
            wall_ms: self.world.clock.wall_ms(),
            hlc: self.clock().last(),
            ack: if is_planted(Mutant::AcksWhatIsApplied) { state.applied.frontier.clone() } else { own.ack.clone() },
            frontier: state.published.clone(),
        };
        let evictions: Vec<Eviction> = std::mem::take(&mut state.evictions).into_values().collect();
        let key = self.keys.log(&self.own.name, position);
        let rows = cut.rows.iter().map(|(key, changes)| (key, changes));
        let bytes: Bytes =
            encode_segment(&header, &state.roster, rows, &evictions, &cut.marks, &key, self.mac.as_ref())
                .map_err(|error| Error::encoding(&key, error))?;
        let Some(hash) = hash_of(&bytes) else { return Err(Error::new(ErrorKind::Invalid, "an object has a trailer")) };
        state.log_bytes += bytes.len() as u64;
        state.passed_own(&header, hash, cut, &evictions)?;
        let (src, paths) = (&self.own.name, cut.rows.len());
        tracing::debug!(
            replica = %src, sync_id = %format_args!("{src}/{position}"), %src, key, outcome = "cut", paths, bytes = bytes.len(), "segment cut"
        );
        self.outbox.push(Waiting { position, key, bytes });
        if is_planted(Mutant::AckBeforeDurable) {
            self.durable.rise(position);
        }
        self.after_applying(state);
        Ok(position)
    }
}
