//! Merging what comes from elsewhere: the rows of a segment.
//! Layer 2.

use crdt_core::{Bytes, Dot, Frontier, Kind, Object, OrSet, ReplicaId};
use foldhash::fast::FixedState;

use super::{Early, Keyspace, Origin, View};
use crate::key::{InvalidPath, ObjectKey};

/// How far this replica has applied the logs, and what it has heard of ahead of them.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The last position applied of each log.
    pub frontier: Frontier,
    /// Removals of what lies beyond it.
    pub early: Early,
}

impl Keyspace {
    /// Merges what a segment says of one object: `merge` is given the object, what has been seen of it, and where to note
    /// removals that come ahead of their adds.
    ///
    /// The caller moves the frontier past the segment when all its rows are in, and settles `early` then.
    ///
    /// Cost: one look-up and `merge`, under the shard's lock.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when there is no such object and `path` is not a path; nothing is merged.
    pub fn merge_row(
        &self,
        applied: &mut Applied,
        (path, kind): (&str, Kind),
        origin: &Origin,
        merge: impl FnOnce(&mut Object<FixedState>, &View<'_>, &mut Ahead<'_>),
    ) -> Result<(), InvalidPath> {
        let hash = self.hash(path.as_bytes());
        let mut shard = self.lock(self.shard(hash));
        let mut ahead = Ahead {
            own: self.replica(),
            frontier: &applied.frontier,
            removed: Vec::new(),
            is_watched: false,
            elements_changed: false,
        };
        let own = || ObjectKey::new(path, kind);
        let ((), presence) = shard.change(hash, (path.as_bytes(), kind), own, origin, |object, owed| {
            let view = View { frontier: &applied.frontier, early: &applied.early, key: owed.key() };
            ahead.is_watched = owed.is_watched();
            merge(object, &view, &mut ahead);
            owed.elements_changed(ahead.elements_changed);
        })?;
        self.keep_index(presence);
        drop(shard);
        if !ahead.removed.is_empty() {
            let key = self.key(path, kind)?;
            for (dot, element) in ahead.removed {
                applied.early.insert(dot, (key.clone(), element));
            }
        }
        Ok(())
    }
}

/// Where removals are noted that come ahead of what they remove, and what is to be told of a set.
#[derive(Debug)]
pub struct Ahead<'a> {
    own: ReplicaId,
    frontier: &'a Frontier,
    removed: Vec<(Dot, Option<Bytes>)>,
    is_watched: bool,
    elements_changed: bool,
}

impl Ahead<'_> {
    /// Merges what is said of one element of a set, and notes for those who look at the set whether it came or went.
    pub fn merge_element(
        &mut self,
        set: &mut OrSet<Bytes, FixedState>,
        element: &[u8],
        merge: impl FnOnce(&mut OrSet<Bytes, FixedState>),
    ) {
        let was_there = self.is_watched && set.contains(element);
        merge(set);
        self.elements_changed |= self.is_watched && set.contains(element) != was_there;
    }

    /// Notes those of `removed` that have not been applied yet. `element` is `None` in a register.
    pub fn note(&mut self, removed: &[Dot], element: Option<&[u8]>) {
        for dot in removed.iter().filter(|dot| dot.replica != self.own && !self.frontier.covers(**dot)) {
            self.removed.push((*dot, element.map(Bytes::from)));
        }
    }
}
