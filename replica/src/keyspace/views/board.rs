//! Leaderboards: the counters under a prefix in the order of their values.
//! Layer 2.

use core::fmt;
use std::{
    collections::BinaryHeap,
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crdt_core::{Kind, Object, Value};
use foldhash::fast::FixedState;

use super::{
    super::Keyspace,
    Viewer, Views,
    ranking::{Entry, Ranking},
};
use crate::key::ObjectKey;

const COUNTERS: [Kind; 2] = [Kind::GCounter, Kind::PnCounter];

/// A counter on a leaderboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Its place: the first has rank 1. No two counters have the same, since equal values are ordered by path.
    pub rank: usize,
    /// Which counter it is.
    pub key: ObjectKey,
    /// Its value. That of a grow-only counter stands at `i128::MAX` beyond it, which would take 2^63 replicas.
    pub value: i128,
}

impl Ranked {
    fn new(rank: usize, entry: &Entry) -> Self {
        Self { rank, key: entry.key().clone(), value: entry.value() }
    }
}

/// The counters of both kinds whose paths begin with a prefix, ordered by value, the greatest first, and equal values by
/// path. It is kept up with every change until the last reference to it is dropped.
///
/// [`Keyspace::rank`] and [`Keyspace::around`] find a path in it.
///
/// # Cost
///
/// An entry has 24 bytes, in nodes that are filled to two thirds on average. A change of a counter under the
/// prefix is O(log n), and waits for its turn: all the writers of one board share its lock.
pub struct Board {
    prefix: Box<str>,
    standings: Arc<Standings>,
    views: Arc<Views>,
}

/// What a board and whoever keeps it up share.
///
/// SUBTLE: changes hold this, and never the board. The last reference to a board leaves the registry, which takes its lock,
/// and must not be dropped by a change, which holds it.
#[derive(Debug, Default)]
pub(super) struct Standings {
    ranking: RwLock<Ranking>,
    /// Set when everything that was there has been entered.
    filled: OnceLock<()>,
}

impl Standings {
    fn read(&self) -> RwLockReadGuard<'_, Ranking> {
        self.ranking.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Ranking> {
        self.ranking.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a counter. The counter's shard must be locked.
    ///
    /// While the board is being filled the old entry may be missing, or the new one may be there: both are fine.
    pub(super) fn update(&self, key: &ObjectKey, before: Option<i128>, after: Option<i128>) {
        let mut ranking = self.write();
        if let Some(before) = before {
            ranking.remove(&Entry::new(before, key.clone()));
        }
        if let Some(after) = after {
            ranking.insert(Entry::new(after, key.clone()));
        }
    }
}

impl Board {
    pub(super) fn new(prefix: &str, standings: Arc<Standings>, views: Arc<Views>) -> Self {
        Self { prefix: prefix.into(), standings, views }
    }

    /// What the paths of its counters begin with.
    #[must_use]
    pub const fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The first `count` counters.
    ///
    /// Cost: O(log n + count), under a lock that is shared with other readers.
    #[must_use]
    pub fn top(&self, count: usize) -> Vec<Ranked> {
        window(&self.standings.read(), 0, count)
    }

    /// How many counters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.standings.read().len()
    }

    /// True when there is no counter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of all values. Cost: O(1).
    #[must_use]
    pub fn sum(&self) -> i128 {
        self.standings.read().sum()
    }

    /// How many entries and branches the board has looked at since it was made, in changes and in reads: its costs, counted.
    #[must_use]
    pub fn visited(&self) -> u64 {
        self.standings.read().visited()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let own = |view: &Viewer| matches!(view, Viewer::Board(held, _) if Arc::ptr_eq(held, &self.standings));
        self.views.remove(&self.prefix, own);
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("prefix", &self.prefix).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Keyspace {
    /// The board of this prefix: the one that is kept, or a new one.
    ///
    /// Cost: nothing where there is one. A new one takes a look at every object under the prefix, a few at a time, and
    /// changes go on meanwhile; who asks for the same board waits.
    #[must_use]
    pub fn board(&self, prefix: &str) -> Arc<Board> {
        let board = self.views.board(prefix);
        board.standings.filled.get_or_init(|| self.fill(prefix, &board.standings));
        board
    }

    /// SUBTLE: the barrier comes before the keys are listed. A change that did not know of the board yet is over then, and
    /// its key is in the list; any later one enters itself.
    fn fill(&self, prefix: &str, standings: &Standings) {
        self.pass_views();
        let mut after: Option<ObjectKey> = None;
        loop {
            let page = self.keys(prefix, after.as_ref(), 4_096);
            let Some(last) = page.last() else { return };
            after = Some(last.clone());
            let counters = page.iter().filter(|key| COUNTERS.contains(&key.kind()));
            let place = |key| {
                let hash = self.hash(ObjectKey::path_bytes(key));
                (self.shard(hash), hash, key)
            };
            let mut placed: Vec<(usize, u64, &ObjectKey)> = counters.map(place).collect();
            placed.sort_unstable_by_key(|(shard, ..)| *shard);
            for same in placed.chunk_by(|left, right| left.0 == right.0) {
                let shard = self.lock(same[0].0);
                shard.touch(same.iter().map(|(_, hash, key)| (*hash, key.path_bytes().len())));
                for (_, hash, key) in same {
                    if let Some(object) = shard.get(*hash, key.path_bytes(), key.kind()) {
                        standings.update(key, None, live_score(object));
                    }
                }
            }
        }
    }

    /// The first `count` counters whose paths begin with `prefix`, without a board.
    ///
    /// Cost: a look at every object of the keyspace, one shard locked at a time.
    #[must_use]
    pub fn top(&self, prefix: &str, count: usize) -> Vec<Ranked> {
        // The last of the best so far is on top.
        let mut best = BinaryHeap::new();
        for held in &self.map {
            let (key, object) = held.pair();
            if !COUNTERS.contains(&key.kind()) || !key.path_bytes().starts_with(prefix.as_bytes()) {
                continue;
            }
            let Some(value) = live_score(object) else { continue };
            let entry = Entry::new(value, key.clone());
            if best.len() < count {
                best.push(entry);
            } else if let Some(mut last) = best.peek_mut()
                && entry < *last
            {
                *last = entry;
            }
        }
        let best = best.into_sorted_vec();
        best.iter().enumerate().map(|(before, entry)| Ranked::new(before + 1, entry)).collect()
    }

    /// Where the counter at `path` stands on the board. Of two counters at one path, the one that stands better.
    ///
    /// Cost: O(log n), under the locks of the counter's shard and of the board.
    #[must_use]
    pub fn rank(&self, board: &Board, path: &str) -> Option<Ranked> {
        self.around(board, path, 0).pop()
    }

    /// The counter at `path` on the board, with up to `count` before it and up to `count` behind it, in order; nothing if it
    /// is not there.
    ///
    /// Cost: O(log n + count), under the locks of the counter's shard and of the board.
    #[must_use]
    pub fn around(&self, board: &Board, path: &str, count: usize) -> Vec<Ranked> {
        let hash = self.hash(path.as_bytes());
        let table = self.map.shards()[self.shard(hash)].read();
        let ranking = board.standings.read();
        let place = |kind| {
            let (key, object) = table.get(hash, |(held, _)| held.is(path.as_bytes(), kind))?;
            ranking.rank(&Entry::new(live_score(object.get())?, key.clone()))
        };
        let Some(place) = COUNTERS.into_iter().filter_map(place).min() else { return Vec::new() };
        let first = place.saturating_sub(count);
        window(&ranking, first, (place - first).saturating_add(count).saturating_add(1))
    }
}

fn window(ranking: &Ranking, first: usize, count: usize) -> Vec<Ranked> {
    let mut ranked = Vec::with_capacity(count.min(ranking.len().saturating_sub(first)));
    ranking.visit(first, count, |entry| {
        ranked.push(Ranked::new(first + ranked.len() + 1, entry));
    });
    ranked
}

fn live_score(object: &Object<FixedState>) -> Option<i128> {
    if object.is_live() { score(&object.value()) } else { None }
}

/// By what a counter is ordered.
pub(super) fn score(value: &Value) -> Option<i128> {
    match value {
        Value::GCounter(value) => Some(i128::try_from(*value).unwrap_or(i128::MAX)),
        Value::PnCounter(value) => Some(*value),
        _ => None,
    }
}
