//! A replica as its user holds it.
//! Layer 5.

use core::fmt;
use std::{sync::Arc, time::Duration};

use crdt_core::{Frontier, Kind, Position, Value};

use crate::{
    error::{Error, ErrorKind},
    handles::{GCounter, LwwRegister, MvRegister, OrSet, PnCounter},
    key::{BATCH_BYTES_MAX, ObjectKey},
    keyspace::Change,
    log::{Keys, MacKey},
    name::ReplicaName,
    ports::{Bucket, Clock, Entropy, Hints},
    settings::Settings,
    sync::{self, Engine},
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
#[derive(Clone)]
pub struct Replica(Arc<Engine>);

/// What a replica is opened with.
#[derive(Debug)]
pub struct Builder {
    name: String,
    root: String,
    bucket: Arc<dyn Bucket>,
    peers: Vec<(String, Arc<dyn Bucket>)>,
    hints: Vec<Arc<dyn Hints>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    mac: Option<MacKey>,
}

impl Builder {
    /// Adds the bucket of another region, to read.
    #[must_use]
    pub fn peer(mut self, region: &str, bucket: Arc<dyn Bucket>) -> Self {
        self.peers.push((region.to_owned(), bucket));
        self
    }

    /// Adds a source of hints: what tells that a log has grown. Without any, logs are polled.
    #[must_use]
    pub fn hints(mut self, hints: Arc<dyn Hints>) -> Self {
        self.hints.push(hints);
        self
    }

    /// Keeps everything below this folder of each bucket. Empty unless told otherwise.
    #[must_use]
    pub fn root(mut self, root: &str) -> Self {
        root.clone_into(&mut self.root);
        self
    }

    /// Sets intervals and limits.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Believes only what was written with this key, and writes with it. Every replica needs the same.
    #[must_use]
    pub fn key(mut self, key: MacKey) -> Self {
        self.mac = Some(key);
        self
    }

    /// Takes the replica's log over and recovers what it had written.
    ///
    /// Whoever else has it open is fenced: nothing more that it writes counts. The future of [`Replica::run`] must be
    /// polled from here on, or nothing is flushed and nothing arrives.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a name or a root that is none, [`ErrorKind::Store`] when the bucket does not answer in
    /// time, [`ErrorKind::Evicted`], [`ErrorKind::LostHistory`], [`ErrorKind::Corrupt`] and [`ErrorKind::Unsupported`] as
    /// they say.
    ///
    /// # Cost
    ///
    /// One PUT, three LISTs, and a GET for each segment of the own log.
    pub async fn open(self) -> Result<Replica, Error> {
        let Self { name, root, bucket, peers, hints, clock, entropy, settings, mac } = self;
        let name = ReplicaName::new(&name)
            .map_err(|invalid| Error::new(ErrorKind::Invalid, format!("{invalid}: name={name:?}")))?;
        let keys = Keys::new(&root).map_err(|error| Error::new(ErrorKind::Invalid, "not a root").caused_by(error))?;
        let world = sync::World { clock, entropy };
        let plan = sync::Plan { name, bucket, peers, hints, keys, mac, world, settings };
        sync::open(plan).await.map(Replica)
    }
}

impl Replica {
    /// A replica of this name in the bucket of its own region, to be opened.
    #[must_use]
    pub fn builder(name: &str, bucket: Arc<dyn Bucket>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Builder {
        Builder {
            name: name.to_owned(),
            root: String::new(),
            bucket,
            peers: Vec::new(),
            hints: Vec::new(),
            clock,
            entropy,
            settings: Settings::default(),
            mac: None,
        }
    }

    /// Everything that the replica does in the background, to be polled by the host until it ends: flushing its log,
    /// reading those of its peers. It ends only with an error that stops the replica.
    ///
    /// Dropping it, at any time, is a crash: what was not durable is lost, and nothing else.
    pub async fn run(&self) -> Error {
        self.0.run().await
    }

    /// The grow-only counter at `path`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not a path.
    pub fn g_counter(&self, path: &str) -> Result<GCounter, Error> {
        self.key(path, Kind::GCounter).map(|key| GCounter::new(self.clone(), key))
    }

    /// The counter at `path`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not a path.
    pub fn pn_counter(&self, path: &str) -> Result<PnCounter, Error> {
        self.key(path, Kind::PnCounter).map(|key| PnCounter::new(self.clone(), key))
    }

    /// The last-writer-wins register at `path`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not a path.
    pub fn lww_register(&self, path: &str) -> Result<LwwRegister, Error> {
        self.key(path, Kind::LwwRegister).map(|key| LwwRegister::new(self.clone(), key))
    }

    /// The multi-value register at `path`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not a path.
    pub fn mv_register(&self, path: &str) -> Result<MvRegister, Error> {
        self.key(path, Kind::MvRegister).map(|key| MvRegister::new(self.clone(), key))
    }

    /// The set at `path`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `path` is not a path.
    pub fn or_set(&self, path: &str) -> Result<OrSet, Error> {
        self.key(path, Kind::OrSet).map(|key| OrSet::new(self.clone(), key))
    }

    /// What is live at `path`, of every kind, in ascending order of kinds.
    #[must_use]
    pub fn get(&self, path: &str) -> Vec<Value> {
        let keyspace = &self.0.keyspace;
        keyspace.kinds(path).into_iter().filter_map(|kind| keyspace.value(path, kind)).collect()
    }

    /// Deletes what is live at `path`, of every kind, as far as this replica has seen it.
    ///
    /// # Errors
    ///
    /// As a write.
    pub fn delete(&self, path: &str) -> Result<Written, Error> {
        let kinds = self.0.keyspace.kinds(path).into_iter();
        let changes: Result<Vec<_>, Error> = kinds.map(|kind| Ok((self.key(path, kind)?, Change::Delete))).collect();
        self.write(&changes?)
    }

    /// At most `limit` live objects whose paths begin with `prefix`, behind `after`, in ascending order of path and kind.
    ///
    /// Each is read when it is reached: a page is no snapshot.
    #[must_use]
    pub fn scan(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Vec<(ObjectKey, Value)> {
        let mut found = Vec::new();
        let mut after = after.cloned();
        while found.len() < limit {
            let keys = self.0.keyspace.keys(prefix, after.as_ref(), limit - found.len());
            let Some(last) = keys.last() else { break };
            after = Some(last.clone());
            let value = |key: ObjectKey| self.0.keyspace.value(key.path(), key.kind()).map(|value| (key, value));
            found.extend(keys.into_iter().filter_map(value));
        }
        found
    }

    /// Makes several changes at once: one segment carries all of them, or none is made.
    ///
    /// # Errors
    ///
    /// Those of any of the changes, [`ErrorKind::Invalid`] beyond 8 MiB; nothing is changed.
    pub fn batch(&self, changes: &[(ObjectKey, Change)]) -> Result<Written, Error> {
        let bytes: usize = changes.iter().map(|(key, change)| key.path().len() + change.payload()).sum();
        if bytes > BATCH_BYTES_MAX {
            let message = format!("a batch has at most 8 MiB; make several: bytes={bytes}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.write(changes)
    }

    /// Writes what waits to the bucket now, and waits until it is there.
    ///
    /// # Errors
    ///
    /// What stopped the replica, if it has stopped.
    pub async fn flush(&self) -> Result<(), Error> {
        if self.0.pending_bytes() == 0 {
            return self.0.durable.check().map_err(|(kind, message)| Error::new(kind, message));
        }
        let open = self.0.keyspace.open();
        self.0.flush.raise();
        self.wait_durable(open).await
    }

    /// Reads every peer's log to its end. Returns whether every bucket answered and nothing was missing.
    pub async fn catch_up(&self) -> bool {
        self.0.catch_up().await
    }

    /// How far each log has been applied here: a token. Who has it and waits for it elsewhere reads what it has seen.
    #[must_use]
    pub fn token(&self) -> Frontier {
        self.0.state().applied.frontier.clone()
    }

    /// What this replica is called.
    #[must_use]
    pub fn name(&self) -> &ReplicaName {
        &self.0.own.name
    }

    /// How long changes wait before they are flushed.
    #[must_use]
    pub fn flush_interval(&self) -> Duration {
        self.0.settings.flush_interval
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0
    }

    pub(crate) fn write(&self, changes: &[(ObjectKey, Change)]) -> Result<Written, Error> {
        let position = self.0.change(changes, &[])?;
        Ok(Written { replica: self.clone(), position })
    }

    fn key(&self, path: &str, kind: Kind) -> Result<ObjectKey, Error> {
        let key = self.0.keyspace.key(path, kind);
        key.map_err(|invalid| Error::new(ErrorKind::Invalid, format!("{invalid}: path={path:?}")))
    }

    async fn wait_durable(&self, position: Position) -> Result<(), Error> {
        let durable = self.0.durable.wait(position).await;
        durable.map_err(|(kind, message)| Error::new(kind, message))
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replica").field(self.name()).finish()
    }
}

/// A change that was made here. It is durable with the next flush; whoever needs to know waits for it.
#[derive(Clone, Debug)]
#[must_use = "the change is made, and not durable yet: wait for `durable`, or drop this to let the next flush do it"]
pub struct Written {
    replica: Replica,
    position: Position,
}

impl Written {
    /// The position of the segment that carries the change.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Waits until the change is in the bucket.
    ///
    /// # Errors
    ///
    /// What stopped the replica: the change may or may not be durable then, and is not acknowledged.
    pub async fn durable(self) -> Result<(), Error> {
        self.replica.wait_durable(self.position).await
    }
}
