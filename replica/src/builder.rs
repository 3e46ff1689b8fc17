//! Opening a replica.
//! Layer 5.

use std::sync::Arc;

use crate::{
    error::{Error, ErrorKind},
    log::{Keys, MacKey},
    name::ReplicaName,
    ports::{Bucket, Clock, Entropy, Hints},
    replica::Replica,
    settings::Settings,
    sync::{self, Engine, Plan, World},
};

/// What a replica is opened with: [`Replica::builder`].
#[derive(Debug)]
#[must_use = "a replica is opened with `open`"]
pub struct Builder {
    name: String,
    region: Option<String>,
    root: String,
    bucket: Arc<dyn Bucket>,
    peers: Vec<(String, Arc<dyn Bucket>)>,
    hints: Vec<Arc<dyn Hints>>,
    world: World,
    settings: Settings,
    mac: Option<MacKey>,
    /// Whether the replica runs by itself.
    #[cfg(feature = "tokio")]
    runs: bool,
}

impl Builder {
    pub(crate) fn new(name: &str, bucket: impl Bucket + 'static, world: World) -> Self {
        Self {
            name: name.to_owned(),
            region: None,
            root: String::new(),
            bucket: Arc::new(bucket),
            peers: Vec::new(),
            hints: Vec::new(),
            world,
            settings: Settings::default(),
            mac: None,
            #[cfg(feature = "tokio")]
            runs: false,
        }
    }

    /// A builder whose replica runs by itself, on the tokio runtime.
    #[cfg(feature = "tokio")]
    pub(crate) fn running(self) -> Self {
        Self { runs: true, ..self }
    }

    /// What the own region is called, in errors and in [`Status::regions`](crate::Status::regions). Unless told otherwise it is
    /// called by the replica's name.
    pub fn region(self, region: &str) -> Self {
        Self { region: Some(region.to_owned()), ..self }
    }

    /// Adds the bucket of another region, to read. What the region is called is for people alone.
    pub fn peer(mut self, region: &str, bucket: impl Bucket + 'static) -> Self {
        self.peers.push((region.to_owned(), Arc::new(bucket)));
        self
    }

    /// Adds a source of hints: what tells that a log has grown. Without any, logs are polled.
    pub fn hints(mut self, hints: impl Hints + 'static) -> Self {
        self.hints.push(Arc::new(hints));
        self
    }

    /// Keeps everything below this folder of each bucket: at most 700 bytes, without a `/` at its end. Empty unless told
    /// otherwise; the same for all replicas.
    pub fn root(mut self, root: &str) -> Self {
        root.clone_into(&mut self.root);
        self
    }

    /// Sets intervals and limits.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Believes only what was written with this key, and writes with it. Every replica needs the same.
    pub fn key(mut self, key: MacKey) -> Self {
        self.mac = Some(key);
        self
    }

    /// Has the replica do nothing by itself: the host polls [`Replica::run`], on a tokio runtime with its time enabled.
    #[cfg(feature = "tokio")]
    pub fn manual(self) -> Self {
        Self { runs: false, ..self }
    }

    /// Takes the replica's log over and recovers what it had written.
    ///
    /// Whoever else has it open is fenced: nothing more that it writes counts.
    ///
    /// From here on a replica of [`Replica::builder`] flushes and reads its peers by itself, on the tokio runtime on which it
    /// was opened, until it is closed or its last handle is dropped. For any other, [`Replica::run`] must be polled, or
    /// nothing is flushed and nothing arrives.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a name or a root that is none, for a name that has no log in this bucket and one in that of a
    /// peer, and where there is no tokio runtime to run on; [`ErrorKind::Store`] when the bucket does not answer in time; [`ErrorKind::Evicted`], [`ErrorKind::LostHistory`],
    /// [`ErrorKind::Corrupt`] and [`ErrorKind::Unsupported`] as they say.
    ///
    /// # Cost
    ///
    /// With one peer that has a snapshot of one part and little behind it, up to and with the first second of running:
    ///
    /// | opening | PUT | GET | LIST | DELETE |
    /// |---|---|---|---|---|
    /// | first, own bucket | 3 | 2 | 8 | 1 |
    /// | first, the peer's | 0 | 7 | 10 | 0 |
    /// | again, own bucket | 1 | 9 | 10 | 0 |
    /// | again, the peer's | 0 | 5 | 5 | 0 |
    ///
    /// In the own bucket: one PUT for the seal, and a new name's probe, which is the other two PUTs, a GET, a LIST and the
    /// DELETE. Finding the end of the log, twice, one LIST of its epochs each time, and where there is a log one more LIST and
    /// GET for the newest epoch and as much for the seal before it. One LIST behind the seal. For the recovery, one LIST of
    /// the snapshots, and of the two newest one GET for each manifest, one for each part of the newer and one LIST for the
    /// parts of the older; then a GET for each segment and seal behind the newer one. In each peer's bucket: one LIST of the
    /// logs, and for each log what finding its end costs. Then, for a new name or where less has come back than was seen, the
    /// newest snapshot of the nearest peer as [`observe`](Self::observe) says, and [`Replica::catch_up`]. Running begins with
    /// one LIST for each bucket, and the first poll of each log.
    ///
    /// A LIST gives 1,000 keys: what lists a newest epoch of more segments than that takes more of them.
    pub async fn open(self) -> Result<Replica, Error> {
        let host = self.host()?;
        let engine = sync::open(self.plan()?).await?;
        let position = engine.durable.reached();
        tracing::info!(replica = %engine.own.name, epoch = engine.keyspace.open().epoch(), %position, "opened");
        Ok(host(engine))
    }

    /// Opens an observer: it reads what everybody has written, its own region first, and writes nothing. It takes no log over
    /// and fences nobody, so its name may be that of a replica that is running.
    ///
    /// It runs as [`open`](Self::open) says. Every write to it is refused with [`ErrorKind::Invalid`]. What a bucket that does
    /// not answer holds is missing until it does: [`Replica::status`] says so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] as for [`open`](Self::open).
    ///
    /// # Cost
    ///
    /// No PUT. One LIST for each bucket, and for each log in turn one LIST of its snapshots until there is one; a GET for its
    /// manifest and one for each of its parts, of about 4 MiB. Then what [`Replica::catch_up`] costs.
    pub async fn observe(self) -> Result<Replica, Error> {
        let host = self.host()?;
        let engine = sync::observe(self.plan()?).await;
        tracing::info!(replica = %engine.own.name, "an observer was opened");
        Ok(host(engine))
    }

    fn plan(self) -> Result<Plan, Error> {
        let name = ReplicaName::new(&self.name)
            .map_err(|invalid| Error::new(ErrorKind::Invalid, format!("{invalid}: name={:?}", self.name)))?;
        let keys = Keys::new(&self.root).map_err(|error| {
            let message = format!("a root is what a key begins with, without a `/` at its end: root={:?}", self.root);
            Error::new(ErrorKind::Invalid, message).caused_by(error)
        })?;
        self.settings.check()?;
        let Self { bucket, peers, hints, world, settings, mac, .. } = self;
        let region = self.region.unwrap_or_else(|| name.to_string());
        Ok(Plan { name, region, bucket, peers, hints, keys, mac, world, settings })
    }

    /// What makes a replica of an engine. It is asked for first, so that nobody is fenced where nothing could run.
    #[cfg(feature = "tokio")]
    fn host(&self) -> Result<impl FnOnce(Arc<Engine>) -> Replica + use<>, Error> {
        let runtime = self.runs.then(crate::runtime::Background::runtime).transpose()?;
        Ok(|engine| match runtime {
            Some(runtime) => Replica::running(engine, &runtime),
            None => Replica::new(engine),
        })
    }

    #[cfg(not(feature = "tokio"))]
    #[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
    fn host(&self) -> Result<impl FnOnce(Arc<Engine>) -> Replica + use<>, Error> {
        Ok(Replica::new)
    }
}

impl Replica {
    /// A replica of this name in the bucket of its own region, to be opened on the tokio runtime, where it runs by itself.
    ///
    /// The name is 1 to 40 of `a-z 0-9 -`, and belongs to one process at a time: opening it takes its log over.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), replica::Error> {
    /// use replica::Replica;
    /// use store_object::MemoryBucket;
    ///
    /// let (ours, theirs) = (MemoryBucket::new(), MemoryBucket::new());
    /// let replica = Replica::builder("eu-west-1", ours).peer("us-east-1", theirs).open().await?;
    /// replica.pn_counter("posts/42/likes")?.add(1)?.durable().await?;
    /// replica.close().await
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub fn builder(name: &str, bucket: impl Bucket + 'static) -> Builder {
        use crate::runtime::{SystemClock, SystemEntropy};
        Self::builder_with(name, bucket, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).running()
    }

    /// The same with a clock and entropy of the caller's. Such a replica runs on any executor, and does nothing by itself:
    /// the caller polls [`run`](Self::run).
    pub fn builder_with(
        name: &str,
        bucket: impl Bucket + 'static,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Builder {
        Builder::new(name, bucket, World { clock, entropy })
    }
}
