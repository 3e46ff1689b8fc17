//! Live views: leaderboards and watches, kept up by the changes themselves.
//! Layer 2. *Invariant:* a view changes while the shard of the object that it shows is locked, so view and values agree. The
//! order of locks is: shard, then registry, then view.

mod board;
mod ranking;
mod watch;

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, PoisonError, RwLock, RwLockWriteGuard, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Object, Value};
use foldhash::fast::FixedState;

pub use self::{
    board::{Board, Ranked},
    watch::{Event, Origin, WATCH_KEYS_MAX, Watcher},
};
use self::{
    board::{Standings, score},
    watch::Queue,
};
use super::Keyspace;
use crate::key::ObjectKey;

/// The views of a keyspace, by the prefixes that they show.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// How many there are: all that a change asks where there are none.
    count: AtomicUsize,
    held: RwLock<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_prefix: BTreeMap<Box<[u8]>, Vec<Viewer>>,
    has_ended: bool,
}

#[derive(Clone, Debug)]
enum Viewer {
    Board(Arc<Standings>, Weak<Board>),
    Watch(Arc<Queue>),
}

/// An object that is about to change, and somebody looks at it.
pub(super) struct Watched {
    views: Vec<Viewer>,
    before: Before,
}

/// What was seen of an object before a change.
enum Before {
    Value(Option<Value>),
    /// Of a set only how many elements it had: whoever changes a set says whether any came or went.
    Set(usize),
}

/// Who is waiting for a change, to be woken when the shard is not locked any more: when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Woken(Vec<Waker>);

impl Woken {
    /// Takes over those whom `other` would wake.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }
}

impl Drop for Woken {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

impl Views {
    /// To be called before an object changes, while its shard is locked. `None` when nobody looks at it.
    ///
    /// Cost: one relaxed load where there is no view. The count may be old: a view passes every shard once before it
    /// relies on being known.
    pub(super) fn watched(&self, key: &ObjectKey, object: &Object<FixedState>) -> Option<Watched> {
        if self.count.load(Ordering::Relaxed) == 0 { None } else { self.find(key, object) }
    }

    fn find(&self, key: &ObjectKey, object: &Object<FixedState>) -> Option<Watched> {
        let is_counter = matches!(object, Object::GCounter(_) | Object::PnCounter(_));
        let mut views = Vec::new();
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.for_each_of(key.path_bytes(), |view| {
            if is_counter || matches!(view, Viewer::Watch(_)) {
                views.push(view.clone());
            }
        });
        drop(held);
        if views.is_empty() {
            return None;
        }
        let before = match object {
            Object::OrSet(set) => Before::Set(set.len()),
            _ => Before::Value(visible(object)),
        };
        Some(Watched { views, before })
    }

    /// The board of this prefix, which may have to be filled.
    fn board(self: &Arc<Self>, prefix: &str) -> Arc<Board> {
        let mut held = self.write();
        let views = held.by_prefix.entry(prefix.as_bytes().into()).or_default();
        let found =
            views.iter().find_map(|view| if let Viewer::Board(_, board) = view { board.upgrade() } else { None });
        found.unwrap_or_else(|| {
            let standings = Arc::new(Standings::default());
            let board = Arc::new(Board::new(prefix, standings.clone(), self.clone()));
            views.push(Viewer::Board(standings, Arc::downgrade(&board)));
            self.count.fetch_add(1, Ordering::Relaxed);
            board
        })
    }

    fn watch(self: &Arc<Self>, prefix: &str) -> Watcher {
        let mut held = self.write();
        let queue = Arc::new(Queue::new(held.has_ended));
        held.by_prefix.entry(prefix.as_bytes().into()).or_default().push(Viewer::Watch(queue.clone()));
        self.count.fetch_add(1, Ordering::Relaxed);
        Watcher::new(prefix, queue, self.clone())
    }

    /// Ends a view. What it held is dropped when the registry is not locked any more.
    fn remove(&self, prefix: &str, is: impl Fn(&Viewer) -> bool) {
        let mut held = self.write();
        let Some(views) = held.by_prefix.get_mut(prefix.as_bytes()) else { return };
        let removed = views.iter().position(is).map(|at| views.swap_remove(at));
        if views.is_empty() {
            held.by_prefix.remove(prefix.as_bytes());
        }
        self.count.fetch_sub(usize::from(removed.is_some()), Ordering::Relaxed);
        drop(held);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Every view whose prefix `path` begins with.
    ///
    /// Cost: a look-up for each prefix that matches, and for each near miss. Prefixes that do not match are not walked.
    fn for_each_of(&self, path: &[u8], mut visit: impl FnMut(&Viewer)) {
        // A beginning of the path. Prefixes of the path that have not been found yet are not longer.
        let mut bound = path;
        while let Some((prefix, views)) =
            self.by_prefix.range::<[u8], _>((Bound::Unbounded, Bound::Included(bound))).next_back()
        {
            let shared = prefix.iter().zip(bound).take_while(|(left, right)| left == right).count();
            if shared < prefix.len() {
                // What lies between a beginning of the bound and the bound has that beginning too.
                bound = &path[..shared];
                continue;
            }
            views.iter().for_each(&mut visit);
            let Some(shorter) = shared.checked_sub(1) else { return };
            bound = &path[..shorter];
        }
    }
}

impl Watched {
    /// To be called after the change, while the shard is still locked.
    pub(super) fn tell(
        self,
        key: &ObjectKey,
        object: &Object<FixedState>,
        origin: &Origin,
        elements_changed: bool,
        woken: &mut Woken,
    ) {
        let (before, after) = match (self.before, object) {
            (Before::Set(len), Object::OrSet(set)) => {
                debug_assert!(elements_changed || len == set.len(), "a set changed, and nobody said so");
                if !elements_changed {
                    return;
                }
                (None, None)
            }
            (Before::Value(before), _) => {
                let after = visible(object);
                if before == after {
                    return;
                }
                (before, after)
            }
            (Before::Set(_), _) => unreachable!("an object keeps its kind"),
        };
        let [before, after] = [before, after].map(|value| value.as_ref().and_then(score));
        for view in self.views {
            match view {
                Viewer::Board(..) if is_planted(Mutant::BoardMissesMerges) && *origin != Origin::Here => {}
                Viewer::Board(standings, _) => standings.update(key, before, after),
                Viewer::Watch(queue) => woken.0.extend(queue.push(key, origin)),
            }
        }
    }
}

fn visible(object: &Object<FixedState>) -> Option<Value> {
    object.is_live().then(|| object.value())
}

impl Keyspace {
    /// Waits for every change that may not know of a view that has just been made: each shard is locked once.
    fn pass_views(&self) {
        self.map.shards().iter().for_each(|shard| drop(shard.read()));
    }

    /// Nothing will change any more: watchers are told what waits, and then that it is over.
    pub fn end_watches(&self) {
        let mut held = self.views.write();
        held.has_ended = true;
        let ends = |view: &Viewer| if let Viewer::Watch(queue) = view { queue.end() } else { None };
        let woken = Woken(held.by_prefix.values().flatten().filter_map(ends).collect());
        drop(held);
        drop(woken);
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn a_path_is_shown_by_every_view_of_a_beginning_of_it(prefixes: Vec<Vec<u8>>, path: Vec<u8>) -> bool {
            // Of two letters, so that they often begin alike.
            let few = |bytes: &[u8]| -> Box<[u8]> { bytes.iter().take(6).map(|byte| byte % 2).collect() };
            let mut held = Held::default();
            for prefix in &prefixes {
                held.by_prefix.entry(few(prefix)).or_default().push(Viewer::Watch(Arc::new(Queue::new(false))));
            }
            let path = few(&path);
            let mut found = 0;
            held.for_each_of(&path, |_| found += 1);
            found == prefixes.iter().filter(|prefix| path.starts_with(&few(prefix))).count()
        }
    }
}
