//! Merging what comes from elsewhere: the rows of a segment.
//! Layer 2.

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Bytes, Dot, Frontier, Kind, Object, OrSet, ReplicaId};
use foldhash::fast::FixedState;

use super::{Early, Keyspace, Origin, Removed, View, shard::Locked};
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
        let mut removed = Vec::new();
        let mut shard = self.lock(self.shard(hash));
        self.merge_locked(&mut shard, hash, (path, kind), origin, applied, &mut removed, merge)?;
        drop(shard);
        applied.note(removed);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "those of `merge_row`, and what it has looked up")]
    pub(super) fn merge_locked(
        &self,
        shard: &mut Locked<'_>,
        hash: u64,
        (path, kind): (&str, Kind),
        origin: &Origin,
        applied: &Applied,
        removed: &mut Vec<(Dot, Removed)>,
        merge: impl FnOnce(&mut Object<FixedState>, &View<'_>, &mut Ahead<'_>),
    ) -> Result<(), InvalidPath> {
        let Applied { frontier, early } = applied;
        let own = || ObjectKey::new(path, kind);
        let ((), presence) = shard.change(hash, (path.as_bytes(), kind), own, origin, |object, owed| {
            let (key, is_watched) = (owed.key(), owed.is_watched());
            let mut ahead = Ahead { own: self.replica(), frontier, key, removed, is_watched, elements_changed: false };
            merge(object, &View { frontier, early, key }, &mut ahead);
            owed.elements_changed(ahead.elements_changed);
        })?;
        self.keep_index(presence);
        Ok(())
    }
}

impl Applied {
    pub(super) fn note(&mut self, removed: Vec<(Dot, Removed)>) {
        for (dot, removed) in removed {
            self.early.insert(dot, removed);
        }
    }
}

/// Where removals are noted that come ahead of what they remove, and what is to be told of a set.
#[derive(Debug)]
pub struct Ahead<'a> {
    own: ReplicaId,
    frontier: &'a Frontier,
    key: &'a ObjectKey,
    removed: &'a mut Vec<(Dot, Removed)>,
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
        if is_planted(Mutant::EarlyForgotten) {
            return;
        }
        for dot in removed.iter().filter(|dot| dot.replica != self.own && !self.frontier.covers(**dot)) {
            self.removed.push((*dot, (self.key.clone(), element.map(Bytes::from))));
        }
    }
}
