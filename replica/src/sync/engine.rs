//! What a running replica is made of.
//! Layer 4.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crdt_core::{
    HybridClock, Position, ReplicaId, Timestamp,
    planted::{Mutant, Point, is_planted, reached},
};

use super::{
    alarm::Alarms,
    hinted::HintsCounted,
    outbox::Outbox,
    signal::{Signal, Watermark},
    snapshot::Kept,
    state::State,
    store::{Store, World},
    takeover::{LogPlace, evicted},
};
use crate::{
    error::{Error, ErrorKind},
    key::ObjectKey,
    keyspace::{Change, Changed, Keyspace, Mark, Refusal},
    log::{Keys, MacKey},
    ports::Hints,
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
    /// False for an observer: it has no log, and writes nothing.
    pub(crate) writes: bool,
    /// Every bucket that is read, its own first.
    pub(crate) regions: Vec<Region>,
    pub(crate) hints: Vec<Arc<dyn Hints>>,
    /// Written in every object that it makes.
    pub(crate) nonce: [u8; 16],
    pub(crate) keyspace: Keyspace,
    state: Mutex<State>,
    clock: Mutex<HybridClock>,
    /// Segments that were cut and are not in the bucket yet.
    pub(crate) outbox: Outbox,
    /// The own snapshots that a recovery could begin with.
    pub(crate) kept: Mutex<Kept>,
    /// How many objects were collected.
    pub(crate) collected: AtomicU64,
    pub(crate) orphans: AtomicU64,
    pub(crate) clock_refusals: AtomicU64,
    pub(crate) hinted: HintsCounted,
    pub(crate) alarms: Arc<Alarms>,
    /// Set while less is applied than this replica has promised to hold: it takes no writes then.
    pub(crate) short: AtomicBool,
    /// Set when the replica is to be closed: one more snapshot, and then no more.
    pub(crate) closing: AtomicBool,
    /// Held by whoever reads a snapshot of a peer.
    pub(crate) reading: futures_util::lock::Mutex<()>,
    /// Raised when something waits to be flushed that did not before.
    pub(crate) changed: Signal,
    /// Raised when somebody wants it flushed now.
    pub(crate) flush: Signal,
    /// Raised when a snapshot is due.
    pub(crate) snapshot: Signal,
    /// Raised when there is a new snapshot to compare with those of the peers.
    pub(crate) compare: Signal,
    /// Raised when a replica was met whose log nobody reads yet.
    pub(crate) discover: Signal,
    /// Raised while less of an evicted log is applied than counts.
    pub(crate) short_of_evicted: Signal,
    /// Raised when a peer has read what another one has written to the own log.
    pub(crate) overtaken: Signal,
    /// At 1 when a new replica has asked who was evicted: before that it reads no log.
    pub(crate) knows_evictions: Watermark<u64, Ended>,
    /// Raised when something was applied.
    pub(crate) applied: Watermark<u64, Ended>,
    /// The last position of the own log that is in the bucket.
    pub(crate) durable: Watermark<Position, Ended>,
}

/// What opening a replica gives to run it.
pub(crate) struct Opened {
    pub(crate) settings: Settings,
    pub(crate) world: World,
    pub(crate) own: LogPlace,
    pub(crate) writes: bool,
    pub(crate) regions: Vec<Region>,
    pub(crate) hints: Vec<Arc<dyn Hints>>,
    pub(crate) nonce: [u8; 16],
    pub(crate) keyspace: Keyspace,
    pub(crate) state: State,
    pub(crate) clock: HybridClock,
    pub(crate) durable: Position,
    pub(crate) kept: Kept,
    /// True for one that has read nothing of anybody yet.
    pub(crate) is_new: bool,
    pub(crate) alarms: Arc<Alarms>,
}

impl Engine {
    pub(crate) fn new(opened: Opened) -> Arc<Self> {
        let Opened {
            settings,
            world,
            own,
            writes,
            regions,
            hints,
            nonce,
            keyspace,
            state,
            clock,
            durable,
            kept,
            is_new,
            alarms,
        } = opened;
        keyspace.begin_counting_conflicts();
        let engine = Self {
            settings,
            world,
            keys: own.keys.clone(),
            mac: own.mac.clone(),
            own,
            writes,
            regions,
            hints,
            nonce,
            keyspace,
            state: Mutex::new(state),
            clock: Mutex::new(clock),
            outbox: Outbox::default(),
            kept: Mutex::new(kept),
            collected: AtomicU64::new(0),
            orphans: AtomicU64::new(0),
            clock_refusals: AtomicU64::new(0),
            hinted: HintsCounted::default(),
            alarms,
            short: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            reading: futures_util::lock::Mutex::default(),
            changed: Signal::default(),
            flush: Signal::default(),
            snapshot: Signal::default(),
            compare: Signal::default(),
            discover: Signal::default(),
            short_of_evicted: Signal::default(),
            overtaken: Signal::default(),
            knows_evictions: Watermark::new(u64::from(!is_new)),
            applied: Watermark::new(0),
            durable: Watermark::new(durable),
        };
        engine.keyspace.limit_memory(engine.settings.memory_bytes);
        engine.after_applying(&mut engine.state());
        Arc::new(engine)
    }

    /// What is known. It is locked for moments only, and never across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In which region's bucket a replica has its log, as far as it was read there.
    pub(crate) fn region_of(&self, state: &State, replica: ReplicaId) -> Option<String> {
        if self.writes && replica == self.own.name.id() {
            return Some(self.regions[0].name.clone());
        }
        state.logs.get(&replica)?.region.as_deref().map(str::to_owned)
    }

    pub(crate) fn clock(&self) -> MutexGuard<'_, HybridClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time for a write.
    pub(crate) fn tick(&self) -> Result<Timestamp, Error> {
        let tick = self.clock().tick(self.world.clock.wall_ms());
        tick.map_err(|skew| {
            self.clock_refusals.fetch_add(1, Ordering::Relaxed);
            Error::new(ErrorKind::ClockSkew, skew.to_string())
        })
    }

    /// Data from too far in the future is merged all the same, and does not drag the clock.
    pub(crate) fn observe(&self, time: Timestamp) {
        if is_planted(Mutant::ClockNotMerged) {
            return;
        }
        if self.clock().observe(time, self.world.clock.wall_ms()) == crdt_core::Observed::TooFarAhead {
            self.alarms.count_ahead();
        }
    }

    /// Bytes of changes that are not in the bucket yet, estimated from above.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.keyspace.pending_bytes() + self.outbox.bytes()
    }

    /// Makes local changes and marks, all or none.
    pub(crate) fn change(&self, changes: &[(ObjectKey, Change)], marks: &[Mark]) -> Result<Position, Error> {
        self.change_by(|keyspace| keyspace.batch(changes, marks).map(|changed| (changed, ())))
            .map(|(position, ())| position)
    }

    /// The same with whatever `change` does, all of it or nothing. It is done again when the open segment was full.
    pub(crate) fn change_by<R>(
        &self,
        change: impl Fn(&Keyspace) -> Result<(Changed, R), Refusal>,
    ) -> Result<(Position, R), Error> {
        self.durable.check().map_err(|(kind, message)| Error::new(kind, message))?;
        if self.closing.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the replica is being closed"));
        }
        if self.short.load(Ordering::Acquire) || !self.writes {
            return Err(self.takes_no_writes());
        }
        let waiting = self.pending_bytes();
        if waiting > self.settings.pending_bytes {
            let why = self.alarms.of_writing().map_or_else(String::new, |says| format!(" alarm={says:?}"));
            let limit = self.settings.pending_bytes;
            let message = format!(
                "too much waits for the bucket; try again when it has caught up: pending_bytes={waiting} limit={limit}{why}"
            );
            return Err(Error::new(ErrorKind::Backpressure, message));
        }
        let (Changed { position, was_idle }, result) = loop {
            match change(&self.keyspace) {
                Ok(changed) => break changed,
                // The segment is cut here and now, so that no writer outruns whoever polls `run`.
                Err(Refusal::SegmentFull { position }) => {
                    reached(Point::SegmentFull);
                    self.cut_full(position)?;
                }
                Err(refusal @ Refusal::KindMismatch { .. }) => {
                    return Err(Error::new(ErrorKind::KindMismatch, refusal.to_string()));
                }
                Err(refusal @ Refusal::Changed { .. }) => {
                    return Err(Error::new(ErrorKind::Changed, refusal.to_string()));
                }
                Err(refusal @ (Refusal::MemoryFull { .. } | Refusal::MarksFull)) => {
                    return Err(Error::new(ErrorKind::Backpressure, refusal.to_string()));
                }
                Err(refusal @ (Refusal::Overflow(_) | Refusal::TooLarge { .. })) => {
                    return Err(Error::new(ErrorKind::Invalid, refusal.to_string()));
                }
            }
        };
        if was_idle {
            self.changed.raise();
        }
        if self.keyspace.pending_bytes() >= self.settings.segment_bytes {
            self.flush.raise();
        }
        Ok((position, result))
    }

    fn takes_no_writes(&self) -> Error {
        if !self.writes {
            return Error::new(ErrorKind::Invalid, "an observer writes nothing; open a replica");
        }
        let message = "less has come back than this replica promised to hold; try again when it has caught up";
        Error::new(ErrorKind::Backpressure, message)
    }

    /// To be called whenever more has been applied, while the state is locked.
    pub(crate) fn after_applying(&self, state: &mut State) {
        if state.purge_due {
            state.purge(&self.keyspace);
        }
        let own = self.own.name.id();
        let acknowledged = state.logs.get(&own).map(|log| &log.ack);
        let short = acknowledged.is_some_and(|ack| !state.applied.frontier.covers_all(ack))
            && !is_planted(Mutant::AcksWhatIsApplied);
        if short {
            reached(Point::ShortOfItsPromise);
        }
        self.short.store(short, Ordering::Release);
        if state.logs.get(&own).is_some_and(|log| log.evicted.is_some()) {
            let evicted = evicted(&self.own.name);
            self.end(evicted.kind(), evicted.told());
        }
        if !state.short_of_evicted().is_empty() {
            self.short_of_evicted.raise();
        }
        self.applied.rise(self.applied.reached() + 1);
        if self.kept().is_due(state) {
            self.snapshot.raise();
        }
    }

    /// Writes what waits and a snapshot, and stops. Whoever polls `run` does the work.
    ///
    /// # Errors
    ///
    /// What stopped the replica before.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.closing.store(true, Ordering::Release);
        self.snapshot.raise();
        match self.ended().await {
            error if error.kind() == ErrorKind::Closed => Ok(()),
            error => Err(error),
        }
    }

    /// Waits until the replica has stopped for good, and says why.
    pub(crate) async fn ended(&self) -> Error {
        loop {
            if let Err((kind, message)) = self.applied.wait(u64::MAX).await {
                return Error::new(kind, message);
            }
        }
    }

    /// Stops for good: nothing is written any more.
    pub(crate) fn end(&self, kind: ErrorKind, message: impl Into<String>) {
        let ended = (kind, message.into());
        self.applied.end(ended.clone());
        self.durable.end(ended);
        self.keyspace.end_watches();
    }
}
