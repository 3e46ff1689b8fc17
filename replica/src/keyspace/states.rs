//! Whole states: loading them, merging them, and purging what is dead in them.
//! Layer 2.

use core::convert::Infallible;

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Kind, Object, Tally};
use foldhash::fast::FixedState;

use super::{
    Applied, Keyspace, Origin, View,
    shard::{Locked, Presence},
};
use crate::key::{InvalidPath, ObjectKey};

impl Keyspace {
    /// An empty object, as this keyspace hashes.
    #[must_use]
    pub fn object(&self, kind: Kind) -> Object<FixedState> {
        Object::new(kind, self.map.hasher().clone())
    }

    /// Makes room for so many more objects. Tables that grow step by step look at every path again each time.
    pub fn make_room(&self, objects: usize) {
        let of_each = objects / self.sides.len();
        (0..self.sides.len()).for_each(|shard| self.lock(shard).make_room(of_each));
    }

    /// Fills an object in: `load` is given what is there, an empty object if there is nothing. Returns its key if it has come
    /// to be, which the caller adds to the index with all the others: [`index_all`](Self::index_all).
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when `path` is not a path.
    pub fn load(
        &self,
        path: &str,
        kind: Kind,
        load: impl FnOnce(&mut Object<FixedState>),
    ) -> Result<Option<ObjectKey>, InvalidPath> {
        let hash = self.hash(path.as_bytes());
        let mut shard = self.lock(self.shard(hash));
        let own = || ObjectKey::new(path, kind);
        let ((), presence) = shard.change(hash, (path.as_bytes(), kind), own, &Origin::Snapshot, |object, owed| {
            load(object);
            owed.elements_changed(true);
        })?;
        match presence {
            Presence::Came(key) => Ok(Some(key)),
            Presence::Same | Presence::Went(_) => Ok(None),
        }
    }

    /// Adds the keys of objects that were loaded to the index.
    ///
    /// Cost: little. Who reads them first pays for sorting them.
    pub fn index_all(&self, keys: Vec<ObjectKey>) {
        self.index.extend(keys);
    }

    /// Merges an object of which another replica had none. Returns the tallies that have died of it. `merge` is given the object,
    /// what has been seen of it here, and their state, which is nothing.
    ///
    /// The caller joins the frontiers when all objects of both sides are merged.
    pub fn merge_nothing(
        &self,
        applied: &Applied,
        key: &ObjectKey,
        merge: impl FnOnce(&mut Object<FixedState>, &View<'_>, &Object<FixedState>),
    ) -> Vec<Tally> {
        let hash = self.hash(key.path_bytes());
        let mut shard = self.lock(self.shard(hash));
        let own = || Ok::<_, Infallible>(key.clone());
        let at = (key.path_bytes(), key.kind());
        let nothing = self.object(key.kind());
        let Ok((dead, _)) = self.merge_state(&mut shard, hash, at, own, applied, &nothing, merge);
        dead
    }

    /// Returns what has died, and whether the object has come or gone.
    #[expect(clippy::too_many_arguments, reason = "what is merged, and what it has looked up")]
    pub(super) fn merge_state<E>(
        &self,
        shard: &mut Locked<'_>,
        hash: u64,
        at: (&[u8], Kind),
        own: impl FnOnce() -> Result<ObjectKey, E>,
        applied: &Applied,
        theirs: &Object<FixedState>,
        merge: impl FnOnce(&mut Object<FixedState>, &View<'_>, &Object<FixedState>),
    ) -> Result<(Vec<Tally>, bool), E> {
        let (dead, presence) = shard.change(hash, at, own, &Origin::Snapshot, |object, owed| {
            let before = owed.is_watched().then(|| object.value());
            let were_dead: Vec<Tally> = object.newly_dead(&[]).copied().collect();
            if is_planted(Mutant::SnapshotOverwrites) {
                object.clone_from(theirs);
            }
            merge(object, &View { frontier: &applied.frontier, early: &applied.early, key: owed.key() }, theirs);
            owed.elements_changed(before.is_some_and(|before| before != object.value()));
            object.newly_dead(&were_dead).copied().collect()
        })?;
        let has_changed = presence != Presence::Same;
        self.keep_index(presence);
        Ok((dead, has_changed))
    }

    /// The tally of this owner as it is now, if it is dead.
    #[must_use]
    pub fn dead_tally(&self, key: &ObjectKey, dead: &Tally) -> Option<Tally> {
        let owner = dead.parts().replica;
        let find = |object: &Object<FixedState>| {
            object.tallies().iter().find(|tally| tally.parts().replica == owner && tally.is_dead()).copied()
        };
        self.read(key.path(), key.kind(), find).flatten()
    }

    /// Drops the tally that died as `dead` did. The caller knows that nobody can bring it back.
    pub fn purge(&self, key: &ObjectKey, dead: &Tally) {
        let hash = self.hash(key.path_bytes());
        let mut shard = self.lock(self.shard(hash));
        if shard.get(hash, key.path_bytes(), key.kind()).is_none() {
            return;
        }
        let own = || Ok::<_, Infallible>(key.clone());
        let Ok((_, presence)) =
            shard.change(hash, (key.path_bytes(), key.kind()), own, &Origin::Here, |object, _| object.purge(dead));
        self.keep_index(presence);
    }
}
