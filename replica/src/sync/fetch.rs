//! Catching up through a snapshot: of a new replica, and past what was collected.
//! Layer 4.

use std::collections::BTreeMap;

use crdt_core::{
    Dot, Frontier, Position,
    planted::{Point, reached},
};
use futures_util::future::join_all;

use super::{
    Engine,
    shelf::{Fetched, Shelf},
    state::State,
    store::Patience,
    takeover::{LogPlace, evicted},
};
use crate::{
    error::{Error, ErrorKind},
    log::Manifest,
    name::ReplicaName,
};

/// How often a snapshot is looked for anew when its parts are collected while they are read.
const TRIES: usize = 3;

impl Engine {
    /// Merges a snapshot that covers `next`, a position of the log of `whose` that was collected or is out of reach: of its
    /// own replica or of any other one. Returns whether there was one.
    pub(crate) async fn fetch_snapshot(&self, whose: &ReplicaName, next: Position) -> Result<bool, Error> {
        let dot = Dot { replica: whose.id(), position: next };
        let mut shelves = self.shelves().await;
        shelves.sort_by_key(|shelf| shelf.name != *whose);
        let is_enough =
            |manifest: &Manifest, state: &State| manifest.frontier().covers(dot) && !state.applied.frontier.covers(dot);
        let merged = self.merge_one_of(&shelves, BTreeMap::new(), is_enough).await;
        if matches!(merged, Ok(true)) {
            reached(Point::SnapshotPastACollectedSlot);
        }
        merged
    }

    /// Merges a snapshot that holds more of a log than has been applied. Returns whether there was one.
    pub(crate) async fn fetch_more_of(&self, whose: &ReplicaName) -> Result<bool, Error> {
        let is_more =
            |manifest: &Manifest, state: &State| manifest.frontier().get(whose.id()) > state.position_of(whose.id());
        let merged = self.merge_one_of(&self.shelves().await, BTreeMap::new(), is_more).await;
        if matches!(merged, Ok(true)) {
            reached(Point::SnapshotToTheEndOfAnEvicted);
        }
        merged
    }

    /// A new replica begins with what the nearest peer holds: regions are asked in the order in which they were given.
    /// Returns whether there was anything.
    ///
    /// SUBTLE: first of all it learns who was evicted, and where their logs end. What lies beyond that may have been
    /// forgotten by everybody else, and one who began with it would bring it back.
    pub(crate) async fn bootstrap(&self) -> Result<bool, Error> {
        let (own, patience) = (&self.own.name, Patience::For(self.settings.catch_up));
        let shelves: Vec<Shelf> = self.shelves().await.into_iter().filter(|shelf| shelf.name != *own).collect();
        let newest = join_all(shelves.iter().map(|shelf| shelf.newest(patience))).await;
        let there = newest.into_iter().enumerate().filter_map(|(place, newest)| Some((place, newest.ok()??)));
        let known: BTreeMap<usize, Manifest> = there.collect();
        {
            let mut state = self.state();
            state.learn_evictions(&known.values().collect::<Vec<_>>())?;
            self.after_applying(&mut state);
        }
        self.durable.check().map_err(|(kind, message)| Error::new(kind, message))?;
        self.knows_evictions.rise(1);
        let merged = self.merge_one_of(&shelves, known, |_, _| true).await;
        if self.writes && matches!(merged, Ok(true)) {
            reached(Point::Bootstrap);
        }
        merged
    }

    /// The snapshots of every replica in every region.
    async fn shelves(&self) -> Vec<Shelf> {
        self.discover().await.iter().map(|(_, log)| Shelf::of(log)).collect()
    }

    /// `known` are the newest manifests of those shelves of which they have been read.
    async fn merge_one_of(
        &self,
        shelves: &[Shelf],
        mut known: BTreeMap<usize, Manifest>,
        is_enough: impl Fn(&Manifest, &State) -> bool,
    ) -> Result<bool, Error> {
        let patience = Patience::For(self.settings.catch_up);
        let mut fetched = Fetched::new();
        let mut failed = None;
        for _ in 0..TRIES {
            let mut again = false;
            for (place, shelf) in shelves.iter().enumerate() {
                match self.merge_newest(shelf, known.remove(&place), &is_enough, &mut fetched, patience).await {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(error) => {
                        again = true;
                        reached(Point::SnapshotReadAnew);
                        failed = Some(error);
                    }
                }
            }
            if !again {
                break;
            }
        }
        failed.map_or(Ok(false), Err)
    }

    async fn merge_newest(
        &self,
        shelf: &Shelf,
        known: Option<Manifest>,
        is_enough: impl Fn(&Manifest, &State) -> bool,
        fetched: &mut Fetched,
        patience: Patience,
    ) -> Result<bool, Error> {
        let manifest = match known {
            Some(known) => known,
            None => match shelf.newest(patience).await? {
                Some(newest) => newest,
                None => return Ok(false),
            },
        };
        let is_of_use = |state: &State| {
            is_enough(&manifest, state)
                && !state.applied.frontier.covers_all(&manifest.frontier())
                && !state.is_beyond_eviction(&shelf.name, &manifest)
        };
        if !is_of_use(&self.state()) {
            return Ok(false);
        }
        // One at a time: several readers may need the same, and it is as large as the keyspace.
        let _reading = self.reading.lock().await;
        {
            let state = self.state();
            if !is_of_use(&state) {
                return Ok(false);
            }
            self.check_evicted(evicted_in(&manifest))?;
            self.check_read(&state, &manifest.frontier(), &shelf.name)?;
            state.check_manifest(&manifest)?;
        }
        let snapshot = shelf.snapshot(manifest, fetched, patience).await?;
        self.observe(snapshot.manifest.hlc);
        let mut state = self.state();
        if state.is_beyond_eviction(&shelf.name, &snapshot.manifest) {
            return Ok(false);
        }
        self.check_read(&state, &snapshot.manifest.frontier(), &shelf.name)?;
        let is_pending = self.pending_bytes() > 0;
        let (position, parts) = (snapshot.manifest.position, snapshot.parts.len());
        state.merge_snapshot(&self.keyspace, snapshot)?;
        if is_pending {
            reached(Point::SnapshotMergedOverPending);
        }
        self.after_applying(&mut state);
        drop(state);
        let (src, dst) = (&shelf.name, &self.own.name);
        tracing::info!(
            replica = %dst, sync_id = %format_args!("{src}/{position}"), %src, %dst, key = self.keys.manifest(src, position), outcome = "merged",
            parts, "snapshot merged"
        );
        Ok(true)
    }

    /// Stops this replica when it is among those who were evicted.
    pub(crate) fn check_evicted<'a>(&self, mut names: impl Iterator<Item = &'a ReplicaName>) -> Result<(), Error> {
        if !self.writes || !names.any(|name| *name == self.own.name) {
            return Ok(());
        }
        let error = evicted(&self.own.name);
        self.end(error.kind(), error.told());
        Err(error)
    }

    /// Stops this replica when a peer has read of its log what is not there: see [`State::check_own`]. An observer has no log
    /// of its own.
    pub(crate) fn check_read(&self, state: &State, theirs: &Frontier, reader: &ReplicaName) -> Result<(), Error> {
        if !self.writes {
            return Ok(());
        }
        let claimed = self.keyspace.open().epoch();
        let checked = state.check_own(&self.own.name, claimed, theirs, reader);
        match &checked {
            // By whom, its own log tells.
            Err(error) if error.kind() == ErrorKind::Fenced => {
                reached(Point::OvertakenByAPeersWord);
                self.overtaken.raise();
            }
            Err(error) => self.end(error.kind(), error.told()),
            Ok(()) => {}
        }
        checked
    }
}

fn evicted_in(manifest: &Manifest) -> impl Iterator<Item = &ReplicaName> {
    manifest.logs.iter().filter(|log| log.evicted.is_some()).map(|log| &log.replica)
}

/// What the peers have read of the log of `own`: the last position that each of them has published. A bucket that does
/// not answer is passed over.
pub(crate) async fn read_by_peers(
    own: &ReplicaName,
    logs: Vec<LogPlace>,
    patience: Patience,
) -> Vec<(ReplicaName, Position)> {
    let read = logs.into_iter().filter(|log| log.name != *own).map(|log| async move {
        let tail = log.tail(patience).await.ok().filter(|tail| !tail.is_final)?;
        Some((log.name.clone(), tail.published.get(own.id())?))
    });
    join_all(read).await.into_iter().flatten().collect()
}
