//! Several changes at once.
//! Layer 5.

use core::marker::PhantomData;
use std::error::Error as StdError;

use crdt_core::{Dot, Kind};

use crate::{
    content::Content,
    error::{Error, ErrorKind},
    handles::{GCounter, LwwRegister, MvRegister, OrSet, PnCounter, element, value},
    key::{BATCH_BYTES_MAX, MARK_BYTES_MAX, ObjectKey},
    keyspace::{Change, Mark, MarkValue},
    replica::{Replica, not_a_path},
    sync::Marked,
    written::Written,
};

/// What a batch may be given up with: any error at all.
pub type BatchError = Box<dyn StdError + Send + Sync>;

/// Changes that will be made together: [`Replica::batch`].
///
/// Nothing is changed before the batch is complete, so what is read meanwhile is as it was. Changes are made in the order in
/// which they were asked for. A change that is refused, such as one at an empty path, makes the whole batch fail.
#[derive(Debug)]
pub struct Batch<'a> {
    replica: &'a Replica,
    changes: Vec<(ObjectKey, Change)>,
    marks: Vec<Mark>,
    bytes: usize,
    refused: Option<Error>,
}

/// One object in a batch; `H` is what its handle would be.
#[derive(Debug)]
pub struct InBatch<'b, 'a, H> {
    batch: &'b mut Batch<'a>,
    /// `None` when the path is none, which the batch has taken note of.
    key: Option<ObjectKey>,
    handle: PhantomData<fn() -> H>,
}

impl<'a> Batch<'a> {
    /// What a change counts beside its path and its content.
    const ROW_BYTES: usize = 64;

    pub(crate) const fn new(replica: &'a Replica) -> Self {
        Self { replica, changes: Vec::new(), marks: Vec::new(), bytes: 0, refused: None }
    }

    /// The grow-only counter at `path`.
    pub fn g_counter(&mut self, path: &str) -> InBatch<'_, 'a, GCounter> {
        self.at(path, Kind::GCounter)
    }

    /// The counter at `path`.
    pub fn pn_counter(&mut self, path: &str) -> InBatch<'_, 'a, PnCounter> {
        self.at(path, Kind::PnCounter)
    }

    /// The last-writer-wins register at `path`.
    pub fn lww_register<T: Content + ?Sized>(&mut self, path: &str) -> InBatch<'_, 'a, LwwRegister<T>> {
        self.at(path, Kind::LwwRegister)
    }

    /// The multi-value register at `path`.
    pub fn mv_register<T: Content + ?Sized>(&mut self, path: &str) -> InBatch<'_, 'a, MvRegister<T>> {
        self.at(path, Kind::MvRegister)
    }

    /// The set at `path`.
    pub fn or_set<T: Content + ?Sized>(&mut self, path: &str) -> InBatch<'_, 'a, OrSet<T>> {
        self.at(path, Kind::OrSet)
    }

    /// Deletes what is live at `path`, of every kind, as far as this replica has seen it, what this batch has made there so far
    /// included.
    pub fn delete(&mut self, path: &str) {
        match self.replica.live(path) {
            Ok(mut keys) => {
                keys.extend(self.changes.iter().map(|(key, _)| key).filter(|key| key.path() == path).cloned());
                keys.sort_unstable();
                keys.dedup();
                keys.into_iter().for_each(|key| self.push(key, Ok(Change::Delete)));
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Deletes what is live at `path` of one kind, as far as this replica has seen it.
    pub fn delete_kind(&mut self, path: &str, kind: Kind) {
        self.at::<()>(path, kind).delete();
    }

    /// Makes a mark: a note of this replica's own that is durable exactly if the changes of this batch are. An offset up to
    /// which an input was ingested, or the key of a request that was answered, so that neither is done twice.
    ///
    /// The name is 1 to 1,024 bytes. The newest mark of a name replaces those before. No other replica sees it, and it is
    /// dropped when it has not been made again for 30 days. Read it with [`Replica::mark`].
    ///
    /// Every snapshot writes all marks. Together they may take 32 MiB, each its name and 64 bytes: 360,000 with names of 29
    /// bytes. Beyond that the batch is refused with [`ErrorKind::Backpressure`].
    pub fn mark(&mut self, name: impl AsRef<[u8]>, value: MarkValue) {
        let name = name.as_ref();
        if self.refused.is_some() {
            return;
        }
        if name.is_empty() || name.len() > MARK_BYTES_MAX {
            let message = format!("the name of a mark has 1 to {MARK_BYTES_MAX} bytes: bytes={}", name.len());
            return self.refuse(Error::new(ErrorKind::Invalid, message));
        }
        match self.replica.engine().tick() {
            Ok(time) => {
                self.takes(name.len());
                self.marks.push(Mark { name: name.into(), value, time });
            }
            Err(error) => self.refuse(error),
        }
    }

    fn at<H>(&mut self, path: &str, kind: Kind) -> InBatch<'_, 'a, H> {
        // Not looked up: all that a batch changes is fetched at once, when it is made.
        let key = ObjectKey::new(path, kind).map_err(|invalid| self.refuse(not_a_path(path, invalid))).ok();
        InBatch { batch: self, key, handle: PhantomData }
    }

    fn takes(&mut self, bytes: usize) {
        self.bytes += Self::ROW_BYTES + bytes;
        if self.bytes > BATCH_BYTES_MAX {
            let message = format!("a batch has at most 8 MiB; make several: limit={BATCH_BYTES_MAX}");
            self.refuse(Error::new(ErrorKind::Invalid, message));
            self.changes.clear();
            self.marks.clear();
        }
    }

    /// The first refusal counts.
    fn refuse(&mut self, error: Error) {
        self.refused.get_or_insert(error);
    }

    fn push(&mut self, key: ObjectKey, change: Result<Change, Error>) {
        if self.refused.is_some() {
            return;
        }
        match change {
            Ok(change) => {
                self.takes(key.path().len() + change.payload());
                self.changes.push((key, change));
            }
            Err(error) => self.refuse(error),
        }
    }
}

impl<H> InBatch<'_, '_, H> {
    fn push(&mut self, change: impl FnOnce(&Replica) -> Result<Change, Error>) -> &mut Self {
        if let Some(key) = &self.key {
            let change = change(self.batch.replica);
            self.batch.push(key.clone(), change);
        }
        self
    }

    /// Deletes what is there, as far as this replica has seen it.
    pub fn delete(&mut self) -> &mut Self {
        self.push(|_| Ok(Change::Delete))
    }
}

impl InBatch<'_, '_, GCounter> {
    /// [`GCounter::add`].
    pub fn add(&mut self, amount: u64) -> &mut Self {
        self.push(|_| Ok(Change::Increment(amount)))
    }
}

impl InBatch<'_, '_, PnCounter> {
    /// [`PnCounter::add`].
    pub fn add(&mut self, amount: i64) -> &mut Self {
        self.push(|_| Ok(Change::Count(amount)))
    }
}

impl<H> InBatch<'_, '_, H> {
    fn expects(&mut self, writes: &[Dot]) -> &mut Self {
        let mut writes: Box<[Dot]> = writes.into();
        writes.sort_unstable();
        self.push(|_| Ok(Change::Expect(writes)))
    }
}

impl<T: Content + ?Sized> InBatch<'_, '_, LwwRegister<T>> {
    /// Has the batch fail with [`ErrorKind::Changed`] unless these are the live writes of the register when it is made, and no
    /// others, as [`Replica::conflicts`] tells them; none when it is not there. So nothing is superseded that nobody has looked at,
    /// but for what was written here since then under the same dot: writes of one replica between two flushes have one.
    ///
    /// ```
    /// # use replica::{Replica, ErrorKind, blocking};
    /// # let replica = blocking::Replica::open(Replica::builder("eu", store_object::MemoryBucket::new()))?;
    /// let name = |name: &str| replica.batch(|batch| Ok(drop(batch.lww_register("name").expect(&[]).set(name))));
    /// name("Ada")?;
    /// assert_eq!(name("Grace").map(drop).map_err(|error| error.kind()), Err(ErrorKind::Changed));
    /// # Ok::<(), replica::Error>(())
    /// ```
    pub fn expect(&mut self, writes: &[Dot]) -> &mut Self {
        self.expects(writes)
    }

    /// [`LwwRegister::set`].
    pub fn set(&mut self, content: &T) -> &mut Self {
        self.push(|replica| Ok(Change::Write(value(content)?, replica.engine().tick()?)))
    }
}

impl<T: Content + ?Sized> InBatch<'_, '_, MvRegister<T>> {
    /// As [that of the other register](InBatch::<LwwRegister<T>>::expect).
    pub fn expect(&mut self, writes: &[Dot]) -> &mut Self {
        self.expects(writes)
    }

    /// [`MvRegister::set`].
    pub fn set(&mut self, content: &T) -> &mut Self {
        self.push(|replica| Ok(Change::Write(value(content)?, replica.engine().tick()?)))
    }
}

impl<T: Content + ?Sized> InBatch<'_, '_, OrSet<T>> {
    /// [`OrSet::add`].
    pub fn add(&mut self, content: &T) -> &mut Self {
        self.push(|_| Ok(Change::Add(element(content)?)))
    }

    /// [`OrSet::remove`].
    pub fn remove(&mut self, content: &T) -> &mut Self {
        self.push(|_| Ok(Change::Remove(element(content)?)))
    }
}

impl Replica {
    /// Makes several changes at once: one segment carries all of them to the other replicas, or none is made.
    ///
    /// An error that `changes` returns gives the batch up. It is not isolated: a concurrent reader, here or elsewhere, may
    /// see one object changed and another not yet.
    ///
    /// ```
    /// # let replica = replica::blocking::Replica::open(replica::Replica::builder("eu", store_object::MemoryBucket::new()))?;
    /// replica.batch(|b| {
    ///     b.pn_counter("posts/42/likes").add(1);
    ///     b.or_set("posts/42/likers").add("ada");
    ///     Ok(())
    /// })?;
    /// let refused = replica.batch(|b| {
    ///     b.pn_counter("posts/42/likes").add(1);
    ///     Err("not today".into())
    /// });
    /// assert_eq!(refused.unwrap_err().kind(), replica::ErrorKind::Invalid);
    /// assert_eq!(replica.pn_counter("posts/42/likes")?.value(), 1);
    /// # Ok::<(), replica::Error>(())
    /// ```
    ///
    /// # Limits
    ///
    /// 8 MiB: for each change the bytes of its path and of its content, and 64 more.
    ///
    /// # Errors
    ///
    /// What `changes` returns: an [`Error`] as it is, anything else as the cause of an [`ErrorKind::Invalid`]. Those of any of
    /// the changes, [`ErrorKind::Invalid`] beyond 8 MiB, and [what stops every
    /// write](crate::Replica#what-stops-every-write). Nothing is changed.
    ///
    /// # Cost
    ///
    /// In the changes. The shards of all its objects are locked while it is made.
    pub fn batch(&self, changes: impl FnOnce(&mut Batch<'_>) -> Result<(), BatchError>) -> Result<Written, Error> {
        let mut batch = Batch::new(self);
        changes(&mut batch).map_err(|error| match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => {
                Error::new(ErrorKind::Invalid, "the batch was given up; nothing was changed").caused_by(error)
            }
        })?;
        if let Some(refused) = batch.refused {
            return Err(refused);
        }
        let position = self.engine().change(&batch.changes, &batch.marks)?;
        Ok(Written::new(self.clone(), position, ()))
    }

    /// The mark of this name, as this replica made it last: [`Batch::mark`].
    ///
    /// It is there again after a recovery exactly if the changes are that were made with it.
    #[must_use]
    pub fn mark(&self, name: impl AsRef<[u8]>) -> Option<Mark> {
        self.engine().keyspace.mark(name.as_ref())
    }

    /// The marks of this name that other replicas hold which were not evicted: who ingests an input asks before it begins, so
    /// that no two replicas ingest the same one.
    ///
    /// To ask is no lock: two that ask at the same time may both find nobody. Two that each make a mark first, wait until it is
    /// durable, and ask then do not both find nobody.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when a bucket does not answer, since its replicas may have; [`ErrorKind::Corrupt`] and
    /// [`ErrorKind::Unsupported`] when a log cannot be read.
    ///
    /// # Cost
    ///
    /// One LIST for each bucket. For each replica two LISTs and a GET, a GET for each segment since its newest snapshot, and
    /// one that finds nothing.
    pub async fn marked_by(&self, name: impl AsRef<[u8]>) -> Result<Vec<Marked>, Error> {
        self.engine().marked_by(name.as_ref()).await
    }
}
