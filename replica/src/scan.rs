//! Reading many objects: scans, conflicts, and deleting below a prefix.
//! Layer 5.

use core::fmt;

use crdt_core::{Bytes, Dot, Kind, Object, Timestamp, Value, Write};

use crate::{
    content::Content,
    error::{Error, ErrorKind},
    key::ObjectKey,
    keyspace::Change,
    name::ReplicaName,
    replica::Replica,
    written::Written,
};

/// How many keys are taken from the index at a time.
const PAGE: usize = 256;

/// How many bytes of a segment one step of a deletion may take.
const STEP_BYTES: u64 = 4 << 20;

/// What the removal of an element takes beside it: its path, as much as 1,024 bytes, its dots, and some.
const ELEMENT_BYTES: usize = 1_280;

/// The live objects whose paths begin with a prefix, in ascending order of path and kind: [`Replica::scan`].
///
/// Each object is read when it is reached. What is made or deleted meanwhile behind the present place shows, so a scan is no
/// snapshot; but no key comes twice.
#[derive(Clone)]
#[must_use = "a scan reads nothing until it is iterated"]
pub struct Scan {
    keys: Keys,
    left: usize,
}

impl Scan {
    /// Ends after this many objects.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.left = limit;
        self
    }

    /// Begins behind this key: the last one of the page before.
    pub fn after(mut self, key: &ObjectKey) -> Self {
        self.keys.after = Some(key.clone());
        self
    }
}

impl Iterator for Scan {
    type Item = (ObjectKey, Value);

    fn next(&mut self) -> Option<(ObjectKey, Value)> {
        self.left = self.left.checked_sub(1)?;
        let Keys { replica, .. } = &self.keys;
        let replica = replica.clone();
        let value = |key: ObjectKey| replica.engine().keyspace.value(key.path(), key.kind()).map(|value| (key, value));
        self.keys.find_map(value)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("prefix", &self.keys.prefix).field("left", &self.left).finish_non_exhaustive()
    }
}

/// The keys under a prefix, live or not, page by page.
#[derive(Clone)]
struct Keys {
    replica: Replica,
    prefix: Box<str>,
    after: Option<ObjectKey>,
    page: std::vec::IntoIter<ObjectKey>,
}

impl Keys {
    fn new(replica: &Replica, prefix: &str) -> Self {
        Self { replica: replica.clone(), prefix: prefix.into(), after: None, page: Vec::new().into_iter() }
    }
}

impl Iterator for Keys {
    type Item = ObjectKey;

    fn next(&mut self) -> Option<ObjectKey> {
        if self.page.len() == 0 {
            self.page = self.replica.engine().keyspace.keys(&self.prefix, self.after.as_ref(), PAGE).into_iter();
            if let Some(last) = self.page.as_slice().last() {
                self.after = Some(last.clone());
            }
        }
        self.page.next()
    }
}

/// The registers below a prefix that have more than one live write: [`Replica::conflicts`].
#[must_use = "nothing is read until it is iterated"]
pub struct Conflicts(Keys);

impl Conflicts {
    /// Begins behind this key: the last one of the page before.
    pub fn after(mut self, key: &ObjectKey) -> Self {
        self.0.after = Some(key.clone());
        self
    }
}

/// A register with more than one live write: they were written concurrently, and nobody has written since.
///
/// It is the same in every replica that has applied the same. Any write to the register resolves it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// Which register.
    pub key: ObjectKey,
    /// Its live writes, the latest first: the one that a last-writer-wins register reads as.
    pub writes: Vec<LiveWrite>,
}

/// One of the live writes of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveWrite {
    /// What was written.
    pub value: Bytes,
    /// When, by the hybrid clock of its writer.
    pub timestamp: Timestamp,
    /// Which segment carries it.
    pub dot: Dot,
    /// Who wrote it.
    pub replica: ReplicaName,
}

impl LiveWrite {
    /// What was written, as a `T`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is not one.
    pub fn decode<T: Content + ?Sized>(&self) -> Result<T::Owned, Error> {
        T::decode(&self.value)
    }
}

impl Iterator for Conflicts {
    type Item = Conflict;

    fn next(&mut self) -> Option<Conflict> {
        loop {
            if !self.0.replica.engine().keyspace.has_conflicts() {
                return None;
            }
            let key = self.0.next()?;
            let replica = &self.0.replica;
            if !matches!(key.kind(), Kind::LwwRegister | Kind::MvRegister) {
                continue;
            }
            let writes = |object: &Object<_>| match object.writes() {
                writes @ [_, _, ..] => writes.to_vec(),
                _ => Vec::new(),
            };
            let mut writes = replica.engine().keyspace.read(key.path(), key.kind(), writes).unwrap_or_default();
            if writes.is_empty() {
                continue;
            }
            writes.sort_unstable_by_key(|write| core::cmp::Reverse(write.precedence()));
            let state = replica.engine().state();
            let live = |Write { dot, timestamp, value }| {
                // Whoever wrote what is here has been met.
                let name = state.roster.get(dot.replica).cloned();
                name.map(|replica| LiveWrite { value, timestamp, dot, replica })
            };
            return Some(Conflict { key, writes: writes.into_iter().filter_map(live).collect() });
        }
    }
}

impl fmt::Debug for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conflicts").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

impl Replica {
    /// The live objects whose paths begin with `prefix`, in ascending order of path and kind. An empty prefix means all.
    ///
    /// ```
    /// # let replica = replica::blocking::Replica::open(replica::Replica::builder("eu", store_object::MemoryBucket::new()))?;
    /// # for post in 0..250 { replica.pn_counter(&format!("posts/{post:03}/likes"))?.add(post)?; }
    /// let page: Vec<_> = replica.scan("posts/").limit(100).collect();
    /// let Some((last, _)) = page.last() else { panic!("there are posts") };
    /// let next = replica.scan("posts/").after(last).limit(100);
    /// assert_eq!(next.count(), 100);
    /// # Ok::<(), replica::Error>(())
    /// ```
    ///
    /// # Cost
    ///
    /// For each 256 objects one look into the ordered index, which is locked meanwhile; and each value, when it is reached.
    pub fn scan(&self, prefix: &str) -> Scan {
        Scan { keys: Keys::new(self, prefix), left: usize::MAX }
    }

    /// The registers whose paths begin with `prefix` that have more than one live write, in ascending order of path and kind:
    /// what was written concurrently, and for a [`LwwRegister`](crate::handles::LwwRegister) what was lost by it.
    ///
    /// # Cost
    ///
    /// It looks at every object below the prefix, as it is reached, and at none while no register of the replica is in conflict.
    pub fn conflicts(&self, prefix: &str) -> Conflicts {
        Conflicts(Keys::new(self, prefix))
    }

    /// Deletes what is live at every path that begins with `prefix`, as far as this replica has seen it, and gives the number
    /// of objects. An empty prefix means all.
    ///
    /// It is not atomic. It deletes in batches of at most 256 objects and 4 MiB, and removes the elements of a larger set in
    /// steps of that size; between them others read and write, and what is made meanwhile may be deleted too or not. An error
    /// leaves the batches before it deleted.
    ///
    /// # Errors
    ///
    /// [What stops every write](crate::Replica#what-stops-every-write).
    ///
    /// # Cost
    ///
    /// As [`scan`](Self::scan), and in what is deleted: every element of a set is.
    pub fn delete_prefix(&self, prefix: &str) -> Result<Written<u64>, Error> {
        let keyspace = &self.engine().keyspace;
        let is_live = |key: &ObjectKey| keyspace.read(key.path(), key.kind(), Object::is_live) == Some(true);
        let (mut batch, mut bytes, mut deleted) = (Vec::new(), 0, 0);
        for key in Keys::new(self, prefix).filter(is_live) {
            let more = keyspace.deletion_bytes(&key);
            if batch.len() == PAGE || bytes + more > STEP_BYTES {
                self.write(&std::mem::take(&mut batch))?;
                bytes = 0;
            }
            if more > STEP_BYTES {
                self.empty_in_steps(&key)?;
            }
            deleted += 1;
            bytes += more.min(STEP_BYTES);
            batch.push((key, Change::Delete));
        }
        let written = self.write(&batch)?;
        Ok(Written::new(self.clone(), written.position(), deleted))
    }

    /// Removes the elements of a set that is too large to be deleted in one segment.
    fn empty_in_steps(&self, key: &ObjectKey) -> Result<(), Error> {
        let elements: Vec<Bytes> = self
            .engine()
            .keyspace
            .read(key.path(), key.kind(), |object| match object {
                Object::OrSet(set) => set.unordered().map(|(element, _)| element.clone()).collect(),
                _ => Vec::new(),
            })
            .unwrap_or_default();
        let mut elements = elements.into_iter().peekable();
        while elements.peek().is_some() {
            let mut bytes = 0;
            let step = core::iter::from_fn(|| {
                elements.next_if(|element| {
                    bytes += ELEMENT_BYTES + element.len();
                    bytes <= STEP_BYTES as usize
                })
            });
            let removed = self.write(&step.map(|element| (key.clone(), Change::Remove(element))).collect::<Vec<_>>());
            match removed {
                // Somebody else has emptied it, and something of another kind is there.
                Err(error) if error.kind() == ErrorKind::KindMismatch => return Ok(()),
                removed => removed.map(drop)?,
            }
        }
        Ok(())
    }
}
