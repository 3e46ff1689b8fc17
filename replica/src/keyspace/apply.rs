//! Merging what comes from elsewhere: the rows of a segment, the objects of a snapshot.
//! Layer 2.

use crdt_core::{Bytes, Dot, Frontier, Object, ReplicaId, Tally};
use foldhash::fast::FixedState;

use super::{Early, Keyspace, View};
use crate::key::ObjectKey;

/// How far this replica has applied the logs, and what it has heard of ahead of them.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The last position applied of each log.
    pub frontier: Frontier,
    /// Removals of what lies beyond it.
    pub early: Early,
}

/// What a merge leaves for its caller to deal with.
#[derive(Debug, Default)]
pub struct Merged {
    /// Tallies that are dead after the merge. To be buried when the frontier has moved, not before: what a purge waits
    /// for includes what has just been merged.
    pub dead: Vec<Dead>,
}

/// A tally that has died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// The counter that it belongs to.
    pub key: ObjectKey,
    /// The tally, as it was when it died.
    pub tally: Tally,
}

impl Keyspace {
    /// Merges what a segment says of one object: `merge` is given the object, what has been seen of it, and where to note
    /// removals that come ahead of their adds.
    ///
    /// The caller moves the frontier past the segment when all its rows are in, and settles `early` then.
    ///
    /// Cost: that of `merge`, under the shard's lock.
    pub fn merge_row(
        &self,
        applied: &mut Applied,
        key: &ObjectKey,
        merged: &mut Merged,
        merge: impl FnOnce(&mut Object<FixedState>, &View<'_>, &mut Ahead<'_>),
    ) {
        let hash = self.hash(key.path());
        let mut shard = self.lock(self.shard(hash));
        let mut ahead = Ahead { own: self.replica(), frontier: &applied.frontier, removed: Vec::new() };
        let view = View { frontier: &applied.frontier, early: &applied.early, key };
        let ((), presence) = shard.change(hash, key, |object, _| {
            merge(object, &view, &mut ahead);
            merged.note_dead(key, object);
        });
        self.keep_index(key, presence);
        drop(shard);
        for (dot, element) in ahead.removed {
            applied.early.insert(dot, (key.clone(), element));
        }
    }

    /// Merges the state of one object in a snapshot taken at `theirs`; `None` where the snapshot has no such object.
    ///
    /// It must be called for every object that either side has, before the frontiers are joined.
    ///
    /// Cost: in both states.
    pub fn merge_object(
        &self,
        applied: &Applied,
        key: &ObjectKey,
        object: Option<&Object<FixedState>>,
        theirs: &Applied,
        merged: &mut Merged,
    ) {
        let hash = self.hash(key.path());
        let mut shard = self.lock(self.shard(hash));
        let seen = View { frontier: &applied.frontier, early: &applied.early, key };
        let their_seen = View { frontier: &theirs.frontier, early: &theirs.early, key };
        let ((), presence) = shard.change(hash, key, |held, _| {
            let none = Object::new(key.kind(), FixedState::default());
            let same_kind = held.merge(&seen, object.unwrap_or(&none), &their_seen);
            debug_assert!(same_kind.is_ok(), "an object is of its key's kind");
            merged.note_dead(key, held);
        });
        self.keep_index(key, presence);
    }

    /// Drops the tally that died as `dead` did. Returns whether it was there.
    pub fn purge(&self, dead: &Dead) -> bool {
        let hash = self.hash(dead.key.path());
        let mut shard = self.lock(self.shard(hash));
        if shard.get(hash, dead.key.path(), dead.key.kind()).is_none() {
            return false;
        }
        let (purged, presence) = shard.change(hash, &dead.key, |object, _| object.purge(&dead.tally));
        self.keep_index(&dead.key, presence);
        purged
    }

    /// This replica's view of one replica's tally at `key`.
    #[must_use]
    pub fn tally(&self, key: &ObjectKey, replica: ReplicaId) -> Option<Tally> {
        let find = |object: &Object<FixedState>| {
            object.tallies().iter().find(|tally| tally.parts().replica == replica).copied()
        };
        self.read(key.path(), key.kind(), find).flatten()
    }
}

impl Merged {
    fn note_dead(&mut self, key: &ObjectKey, object: &Object<FixedState>) {
        let dead = object.tallies().iter().filter(|tally| tally.is_dead());
        self.dead.extend(dead.map(|tally| Dead { key: key.clone(), tally: *tally }));
    }
}

/// Where removals are noted that come ahead of what they remove.
#[derive(Debug)]
pub struct Ahead<'a> {
    own: ReplicaId,
    frontier: &'a Frontier,
    removed: Vec<(Dot, Option<Bytes>)>,
}

impl Ahead<'_> {
    /// Notes those of `removed` that have not been applied yet. `element` is `None` in a register.
    pub fn note(&mut self, removed: &[Dot], element: Option<&[u8]>) {
        for dot in removed.iter().filter(|dot| dot.replica != self.own && !self.frontier.covers(**dot)) {
            self.removed.push((*dot, element.map(Bytes::from)));
        }
    }
}
