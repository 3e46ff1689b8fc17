//! A replica as its user holds it.
//! Layer 5.

use core::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::sync::Arc;

use crdt_core::{Kind, Object, Position, Value};
use foldhash::fast::FixedState;

use crate::{
    content::Content,
    drive::drive,
    error::{Error, ErrorKind},
    handles::{GCounter, LwwRegister, MvRegister, OrSet, PnCounter},
    key::{ObjectKey, check_path},
    keyspace::Change,
    name::ReplicaName,
    sync::{Engine, EvictedLog},
    written::Written,
};

/// One replica of the keyspace: it reads and writes at once, alone if it must, and keeps in step through buckets.
///
/// Cheap to clone: all clones are the same replica. Local operations come from any thread, wait for no I/O and never
/// await.
///
/// # Guarantees
///
/// Replicas that have applied the same logs hold the same values. What a [`Written`] calls durable is in the bucket, and
/// will be applied by every replica, once.
///
/// # What stops every write
///
/// Nothing is changed by a write that fails.
///
/// - [`ErrorKind::Backpressure`]: too much waits for the bucket, or this replica has not got back yet what it had promised to
///   hold. It passes.
/// - [`ErrorKind::Fenced`], [`ErrorKind::Evicted`], [`ErrorKind::LostHistory`], [`ErrorKind::Closed`]: it has stopped for good,
///   and says why. What can be read stays.
/// - [`ErrorKind::Invalid`]: it is an observer, which writes nothing.
///
/// # Its end
///
/// [`close`](Self::close) flushes what waits, and stops. To drop the last clone and handle without that is a crash: what was
/// not durable is lost, at most one flush interval of it as long as the bucket answers.
#[derive(Clone)]
pub struct Replica(Arc<Shared>);

/// What all who hold a replica share, and its background does not.
struct Shared {
    engine: Arc<Engine>,
    /// Set by the one who runs it.
    is_run: AtomicBool,
    #[cfg(feature = "tokio")]
    _background: Option<crate::runtime::Background>,
}

impl Replica {
    /// A replica that its host runs.
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self(Arc::new(Shared {
            engine,
            is_run: AtomicBool::new(false),
            #[cfg(feature = "tokio")]
            _background: None,
        }))
    }

    /// A replica that runs by itself.
    #[cfg(feature = "tokio")]
    pub(crate) fn running(engine: Arc<Engine>, runtime: &tokio::runtime::Handle) -> Self {
        let background = crate::runtime::Background::start(runtime, engine.clone());
        Self(Arc::new(Shared { engine, is_run: AtomicBool::new(true), _background: Some(background) }))
    }

    /// Everything that the replica does in the background: flushing its log, reading those of its peers. It ends when the
    /// replica is closed, or with the error that stops it.
    ///
    /// A replica of `Replica::builder` does it by itself, and this only waits for its end. For any other the host polls this,
    /// once; who calls it again waits for the end too.
    ///
    /// Dropping it, at any time, is a crash: what was not durable is lost, and nothing else. The replica has to be opened
    /// anew.
    pub async fn run(&self) -> Error {
        if self.0.is_run.swap(true, Ordering::Relaxed) {
            return self.engine().ended().await;
        }
        drive(self.0.engine.clone()).await
    }

    /// Flushes what waits, takes a snapshot, and stops: later writes fail with [`ErrorKind::Closed`], and the background ends.
    /// What is here can still be read.
    ///
    /// Writes are refused from the beginning of the call. One that is made at the same moment on another thread may be
    /// accepted and come too late; its [`Written::durable`] says so.
    ///
    /// The background does the work: one that nobody runs is never closed. As long as the bucket does not answer this does not
    /// end; it may be dropped, and called again.
    ///
    /// # Errors
    ///
    /// What had stopped the replica before, unless it was closed: what was not durable then is lost.
    ///
    /// # Cost
    ///
    /// One or two PUTs for segments, one for each part of the snapshot that has changed, and one for its manifest; nothing if
    /// nothing has changed since the last one.
    pub async fn close(&self) -> Result<(), Error> {
        self.engine().close().await
    }

    /// The grow-only counter at `path`. Nothing is made there by this.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not 1 to 1,024 bytes without control characters.
    pub fn g_counter(&self, path: &str) -> Result<GCounter, Error> {
        self.key(path, Kind::GCounter).map(|key| GCounter::new(self.clone(), key))
    }

    /// The counter at `path`. Nothing is made there by this.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not 1 to 1,024 bytes without control characters.
    pub fn pn_counter(&self, path: &str) -> Result<PnCounter, Error> {
        self.key(path, Kind::PnCounter).map(|key| PnCounter::new(self.clone(), key))
    }

    /// The last-writer-wins register at `path`. Nothing is made there by this.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not 1 to 1,024 bytes without control characters.
    pub fn lww_register<T: Content + ?Sized>(&self, path: &str) -> Result<LwwRegister<T>, Error> {
        self.key(path, Kind::LwwRegister).map(|key| LwwRegister::new(self.clone(), key))
    }

    /// The multi-value register at `path`. Nothing is made there by this.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not 1 to 1,024 bytes without control characters.
    pub fn mv_register<T: Content + ?Sized>(&self, path: &str) -> Result<MvRegister<T>, Error> {
        self.key(path, Kind::MvRegister).map(|key| MvRegister::new(self.clone(), key))
    }

    /// The set at `path`. Nothing is made there by this.
    ///
    /// What it contains follows from its use, `cart.add("lamp")`, or is said: `or_set::<str>(path)`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not 1 to 1,024 bytes without control characters.
    pub fn or_set<T: Content + ?Sized>(&self, path: &str) -> Result<OrSet<T>, Error> {
        self.key(path, Kind::OrSet).map(|key| OrSet::new(self.clone(), key))
    }

    /// What is live at `path`, of every kind, in ascending order of kinds: nearly always nothing or one, several where regions
    /// have made different kinds concurrently. What registers and sets hold is given as bytes: [`Content`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not a path.
    pub fn get(&self, path: &str) -> Result<Vec<Value>, Error> {
        check_path(path).map_err(|invalid| not_a_path(path, invalid))?;
        Ok(self.engine().keyspace.values(path))
    }

    /// Deletes what is live at `path`, of every kind, as far as this replica has seen it. Deleting nothing changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not a path, or when what is there does not fit into one segment, which only a set
    /// of some 15 MiB does not ([`delete_prefix`](Self::delete_prefix) deletes it in steps); and
    /// [what stops every write](#what-stops-every-write).
    pub fn delete(&self, path: &str) -> Result<Written, Error> {
        let changes: Vec<_> = self.live(path)?.into_iter().map(|key| (key, Change::Delete)).collect();
        self.write(&changes)
    }

    /// Writes what waits to the bucket now, and waits until it is there: every change that was made before the call.
    ///
    /// It may be dropped at any time.
    ///
    /// # Errors
    ///
    /// What stopped the replica, if it has stopped.
    ///
    /// # Cost
    ///
    /// One PUT if anything waits.
    pub async fn flush(&self) -> Result<(), Error> {
        let Engine { keyspace, durable, flush, .. } = self.engine();
        let open = keyspace.open();
        self.settle_before(open).await?;
        if keyspace.pending_bytes() > 0 {
            flush.raise();
        }
        self.wait_durable(open).await?;
        durable.check().map_err(|(kind, message)| Error::new(kind, message))
    }

    /// Reads every peer's log to its end. Returns whether every bucket answered and nothing was missing.
    ///
    /// # Cost
    ///
    /// One LIST for each bucket. For each log a GET for each segment and seal that is new, a LIST for each such seal; then one
    /// GET that finds nothing, and two LISTs to know that it is the end, one more for each 1,000 segments in the newest epoch;
    /// up to two GETs more where the log was read up to a seal. Where what comes next has been collected, also a snapshot, as
    /// [`Builder::observe`](crate::Builder::observe) says.
    pub async fn catch_up(&self) -> bool {
        self.0.engine.catch_up().await
    }

    /// Declares that another replica will not come back, and waits until that is durable: nobody waits for it any more, and what
    /// it may have written beyond the end of its log is ignored for ever.
    ///
    /// If its bucket can be reached and written from here, a final seal is put on the log, and without `last` the log ends
    /// there, and is read to it. Otherwise it ends at `last`, or where this replica has got to, which is kept in a snapshot
    /// first. For a replica that was evicted before, its end is returned, and sealed if it was not.
    ///
    /// It cannot be undone. Should that replica come back, it finds itself [`ErrorKind::Evicted`].
    ///
    /// What was deleted of its counters is forgotten when every live replica has acknowledged this. One that writes nothing for
    /// good, such as a command's, holds that up, and that alone: evict it too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for this replica itself, for one that is not known, for one of which nothing was applied, or
    /// less than this replica once knew, unless `last` is given, for a `last` that its log is seen not to have and to which
    /// neither this replica nor a peer has read it, for one beyond the end that was declared before, and for an observer;
    /// [`ErrorKind::Store`] when no snapshot can be written; and what stops the replica.
    ///
    /// # Cost
    ///
    /// A LIST of each bucket, those of the end of that log, and one PUT there; a snapshot.
    pub async fn evict(&self, replica: &str, last: Option<Position>) -> Result<EvictedLog, Error> {
        let name = ReplicaName::new(replica)
            .map_err(|invalid| Error::new(ErrorKind::Invalid, format!("{invalid}: name={replica:?}")))?;
        self.engine().evict(&name, last).await
    }

    /// What this replica is called.
    #[must_use]
    pub fn name(&self) -> &ReplicaName {
        &self.engine().own.name
    }

    /// How long changes wait before they are flushed.
    #[must_use]
    pub fn flush_interval(&self) -> Duration {
        self.engine().settings.flush_interval
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Changes one object, and reads it before anybody else can change it.
    pub(crate) fn change<R>(
        &self,
        key: &ObjectKey,
        change: &Change,
        read: impl Fn(Option<&Object<FixedState>>) -> R,
    ) -> Result<Written<R>, Error> {
        let (position, value) = self.engine().change_by(|keyspace| keyspace.change_and_read(key, change, &read))?;
        Ok(Written::new(self.clone(), position, value))
    }

    /// Makes changes, all or none.
    pub(crate) fn write(&self, changes: &[(ObjectKey, Change)]) -> Result<Written, Error> {
        let position = self.engine().change(changes, &[])?;
        Ok(Written::new(self.clone(), position, ()))
    }

    pub(crate) fn key(&self, path: &str, kind: Kind) -> Result<ObjectKey, Error> {
        self.engine().keyspace.key(path, kind).map_err(|invalid| not_a_path(path, invalid))
    }

    /// The keys of what is live at `path`, in ascending order.
    pub(crate) fn live(&self, path: &str) -> Result<Vec<ObjectKey>, Error> {
        check_path(path).map_err(|invalid| not_a_path(path, invalid))?;
        self.engine().keyspace.kinds(path).into_iter().map(|kind| self.key(path, kind)).collect()
    }

    /// Waits until what was changed under `position` is in the bucket.
    pub(crate) async fn wait_durable(&self, position: Position) -> Result<(), Error> {
        self.settle_before(position).await?;
        let Engine { keyspace, durable, .. } = self.engine();
        // SUBTLE: nothing may have been changed under it, and then nobody will cut it for us. What waits is counted under its
        // position, so if nothing waits and the position is still open, there is nothing in it.
        if keyspace.pending_bytes() == 0 && keyspace.open() == position {
            return Ok(());
        }
        durable.wait(position).await.map_err(|(kind, message)| Error::new(kind, message))
    }

    /// Waits until everything that was cut before `position` is in the bucket. Then no cut is under way but that of `position`.
    async fn settle_before(&self, position: Position) -> Result<(), Error> {
        // The first position of an epoch comes behind a seal, which is durable.
        let Some(slot) = position.slot().checked_sub(1) else { return Ok(()) };
        let before = Position::new(position.epoch(), slot);
        self.engine().durable.wait(before).await.map_err(|(kind, message)| Error::new(kind, message))
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replica").field(self.name()).finish()
    }
}

pub(crate) fn not_a_path(path: &str, invalid: crate::key::InvalidPath) -> Error {
    // Of a path that is far too long the beginning will do.
    let shown: String = path.chars().take(80).collect();
    Error::new(ErrorKind::Invalid, format!("{invalid}: bytes={} path={shown:?}", path.len()))
}
