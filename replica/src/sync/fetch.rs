//! Catching up through a snapshot: of a new replica, and past what was collected.
//! Layer 4.

use crdt_core::{Dot, Frontier, Position};
use futures_util::future::join_all;

use super::{
    Engine,
    shelf::{Fetched, Shelf},
    state::State,
    store::Patience,
    takeover::LogPlace,
};
use crate::{error::Error, log::Manifest, name::ReplicaName};

/// How often a snapshot is looked for anew when its parts are collected while they are read.
const TRIES: usize = 3;

impl Engine {
    /// Merges a snapshot that covers `next`, a position of `log` that was collected: of its own replica or of any other
    /// live one. Returns whether there was one.
    pub(crate) async fn fetch_snapshot(&self, log: &LogPlace, next: Position) -> Result<bool, Error> {
        let dot = Dot { replica: log.name.id(), position: next };
        let own = Shelf::of(log);
        let mut shelves = vec![own];
        shelves.extend(self.shelves().await.into_iter().filter(|shelf| shelf.name != log.name));
        self.merge_one_of(&shelves, |manifest| manifest.frontier().covers(dot)).await
    }

    /// A new replica begins with what the nearest peer holds: regions are asked in the order in which they were given.
    /// Returns whether there was anything.
    pub(crate) async fn bootstrap(&self) -> Result<bool, Error> {
        let own = &self.own.name;
        let shelves: Vec<Shelf> = self.shelves().await.into_iter().filter(|shelf| shelf.name != *own).collect();
        self.merge_one_of(&shelves, |_| true).await
    }

    /// The snapshots of every replica in every region.
    async fn shelves(&self) -> Vec<Shelf> {
        self.discover().await.iter().map(|(_, log)| Shelf::of(log)).collect()
    }

    async fn merge_one_of(&self, shelves: &[Shelf], is_enough: impl Fn(&Manifest) -> bool) -> Result<bool, Error> {
        let patience = Patience::For(self.settings.catch_up);
        let mut fetched = Fetched::new();
        let mut failed = None;
        for _ in 0..TRIES {
            let mut again = false;
            for shelf in shelves {
                match self.merge_newest(shelf, &is_enough, &mut fetched, patience).await {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(error) => {
                        again = true;
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
        is_enough: impl Fn(&Manifest) -> bool,
        fetched: &mut Fetched,
        patience: Patience,
    ) -> Result<bool, Error> {
        let Some(manifest) = shelf.newest(patience).await? else { return Ok(false) };
        if !is_enough(&manifest) || self.state().applied.frontier.covers_all(&manifest.frontier()) {
            return Ok(false);
        }
        self.state().check_manifest(&manifest)?;
        let snapshot = shelf.snapshot(manifest, fetched, patience).await?;
        self.observe(snapshot.manifest.hlc);
        let mut state = self.state();
        if let Err(error) = self.check_own(&state, &snapshot.manifest.frontier(), &shelf.name) {
            self.end(error.kind(), error.told());
            return Err(error);
        }
        state.merge_snapshot(&self.keyspace, &snapshot)?;
        self.after_applying(&mut state);
        drop(state);
        let (position, parts) = (snapshot.manifest.position, snapshot.parts.len());
        tracing::info!(replica = %self.own.name, peer = %shelf.name, %position, parts, "snapshot merged");
        Ok(true)
    }

    /// See [`State::check_own`]. An observer has no log of its own.
    pub(crate) fn check_own(&self, state: &State, theirs: &Frontier, reader: &ReplicaName) -> Result<(), Error> {
        if self.writes { state.check_own(&self.own.name, theirs, reader) } else { Ok(()) }
    }
}

/// What the peers have read of the log of `own`: the last position that each of them has published. A bucket that does
/// not answer is passed over.
pub(crate) async fn read_by_peers(
    own: &ReplicaName,
    logs: Vec<LogPlace>,
    patience: Patience,
) -> Vec<(ReplicaName, Position)> {
    let read = logs.into_iter().filter(|log| log.name != *own).map(|log| async move {
        let tail = log.tail(patience).await.ok()?;
        Some((log.name.clone(), tail.published.get(own.id())?))
    });
    join_all(read).await.into_iter().flatten().collect()
}
