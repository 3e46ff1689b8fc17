//! What a running replica is made of.
//! Layer 4.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crdt_core::{HybridClock, Position, Timestamp};

use super::{
    signal::{Signal, Watermark},
    state::State,
    store::{Store, World},
    takeover::LogPlace,
};
use crate::{
    error::{Error, ErrorKind},
    keyspace::{Changed, Keyspace, Refusal},
    log::{Keys, MacKey},
    settings::Settings,
};

/// Why a replica takes no more writes.
pub(crate) type Ended = (ErrorKind, String);

/// A region's bucket, as this replica reads it.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) store: Store,
}

/// A running replica. Handles share it; `run` drives it.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) settings: Settings,
    pub(crate) world: World,
    pub(crate) keys: Keys,
    pub(crate) mac: Option<MacKey>,
    /// Its own log, in its own region's bucket.
    pub(crate) own: LogPlace,
    /// Every bucket that is read, its own first.
    pub(crate) regions: Vec<Region>,
    /// Written in every object that it makes.
    pub(crate) nonce: [u8; 16],
    pub(crate) keyspace: Keyspace,
    state: Mutex<State>,
    clock: Mutex<HybridClock>,
    /// Raised when something waits to be flushed that did not before.
    pub(crate) changed: Signal,
    /// Raised when somebody wants it flushed now.
    pub(crate) flush: Signal,
    /// The last position of the own log that is in the bucket.
    pub(crate) durable: Watermark<Position, Ended>,
}

/// What opening a replica gives to run it.
pub(crate) struct Opened {
    pub(crate) settings: Settings,
    pub(crate) world: World,
    pub(crate) own: LogPlace,
    pub(crate) regions: Vec<Region>,
    pub(crate) nonce: [u8; 16],
    pub(crate) keyspace: Keyspace,
    pub(crate) state: State,
    pub(crate) clock: HybridClock,
    pub(crate) durable: Position,
}

impl Engine {
    pub(crate) fn new(opened: Opened) -> Arc<Self> {
        let Opened { settings, world, own, regions, nonce, keyspace, state, clock, durable } = opened;
        Arc::new(Self {
            settings,
            world,
            keys: own.keys.clone(),
            mac: own.mac.clone(),
            own,
            regions,
            nonce,
            keyspace,
            state: Mutex::new(state),
            clock: Mutex::new(clock),
            changed: Signal::default(),
            flush: Signal::default(),
            durable: Watermark::new(durable),
        })
    }

    /// What is known. It is locked for moments only, and never across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> MutexGuard<'_, HybridClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time for a write.
    pub(crate) fn tick(&self) -> Result<Timestamp, Error> {
        let tick = self.clock().tick(self.world.clock.wall_ms());
        tick.map_err(|skew| Error::new(ErrorKind::ClockSkew, skew.to_string()))
    }

    /// Makes a local change, if changes are taken at all: `change` makes all of it, or none.
    pub(crate) fn change<R>(
        &self,
        change: impl FnOnce(&Keyspace) -> Result<(Changed, R), Refusal>,
    ) -> Result<(Position, R), Error> {
        self.durable.check().map_err(|(kind, message)| Error::new(kind, message))?;
        let waiting = self.keyspace.pending_bytes();
        if waiting > self.settings.pending_bytes {
            let message = format!(
                "too much waits for the bucket; try again when it has caught up: pending_bytes={waiting} limit={}",
                self.settings.pending_bytes
            );
            return Err(Error::new(ErrorKind::Backpressure, message));
        }
        let (Changed { position, was_idle }, result) = change(&self.keyspace).map_err(|refusal| match &refusal {
            Refusal::KindMismatch { .. } => Error::new(ErrorKind::KindMismatch, refusal.to_string()),
            Refusal::Overflow(_) => Error::new(ErrorKind::Invalid, refusal.to_string()),
        })?;
        if was_idle {
            self.changed.raise();
        }
        if waiting >= self.settings.segment_bytes {
            self.flush.raise();
        }
        Ok((position, result))
    }

    /// Stops for good: nothing is written any more.
    pub(crate) fn end(&self, kind: ErrorKind, message: impl Into<String>) {
        self.durable.end((kind, message.into()));
        let waiters = self.state().waiters.clone();
        waiters.wake();
    }
}
