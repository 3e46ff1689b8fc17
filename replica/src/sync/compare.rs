//! Comparing snapshots of the same changes: whether replicas agree, checked while they run.
//! Layer 4.

use core::pin::pin;
use std::collections::BTreeMap;

use crdt_core::{
    Position,
    planted::{Mutant, Point, is_planted, reached},
};
use futures_util::future::{join_all, select};

use super::{Engine, shelf::Shelf, snapshot::KeptSnapshot, store::Patience};
use crate::{
    error::{Error, ErrorKind},
    log::Manifest,
    name::ReplicaName,
};

/// A look at the newest snapshot of a peer.
#[derive(Clone, Copy)]
struct Look {
    ours: Position,
    theirs: Position,
    /// Whether they are of the same changes.
    same_changes: bool,
}

/// What the places of alarms begin with that are about a peer's snapshot: what it holds, and what it has read.
const AGREEMENT: &str = "agreement with ";
const HISTORY: &str = "history with ";

/// The last look at each peer.
type Looked = BTreeMap<ReplicaName, Look>;

impl Engine {
    /// Compares each snapshot that is taken with the newest of every peer. A peer whose snapshot is not of the same changes,
    /// or that does not answer, is asked again after `snapshot_interval`: it may be the one that is late.
    pub(crate) async fn keep_comparing(&self) {
        let mut looked = Looked::new();
        loop {
            let rest = self.world.clock.sleep(self.settings.snapshot_interval);
            select(pin!(self.compare.wait()), rest).await;
            self.compare_with_peers(&mut looked).await;
        }
    }

    async fn compare_with_peers(&self, looked: &mut Looked) {
        let Some(ours) = self.kept().snapshots.last().cloned() else { return };
        let waits = |name: &ReplicaName| {
            let is_done = |look: &Look| look.ours == ours.position && look.same_changes;
            *name != self.own.name && !looked.get(name).is_some_and(is_done)
        };
        let live = self.live_names();
        // Whoever was evicted is asked no more, and what was wrong with it is of no use to anybody.
        for about in [AGREEMENT, HISTORY] {
            self.alarms.clear_all(about, |place| !live.iter().any(|name| place == format!("{about}{name}")));
        }
        if !live.iter().any(waits) {
            return;
        }
        let places = self.discover().await.into_iter().map(|(_, log)| log);
        let shelves: Vec<Shelf> =
            places.filter(|log| waits(&log.name) && live.contains(&log.name)).map(|log| Shelf::of(&log)).collect();
        let before = &*looked;
        let looks = shelves.iter().map(|shelf| self.look(&ours, shelf, before.get(&shelf.name).copied()));
        let now: Vec<_> = join_all(looks).await.into_iter().flatten().collect();
        looked.extend(now);
    }

    /// Compares with the newest snapshot of one peer, unless that was done before.
    async fn look(&self, ours: &KeptSnapshot, shelf: &Shelf, before: Option<Look>) -> Option<(ReplicaName, Look)> {
        let patience = Patience::For(self.settings.catch_up);
        let theirs = shelf.positions(patience).await.ok()?.pop()?;
        if before.is_some_and(|look| (look.ours, look.theirs) == (ours.position, theirs)) {
            return None;
        }
        let differing = match shelf.manifest(theirs, patience).await {
            Ok(manifest) => {
                let manifest = manifest?;
                if is_planted(Mutant::AcksNotApplied) {
                    self.state().believe_acks(&manifest);
                }
                if self.has_another_history(&shelf.name, &manifest) {
                    None
                } else {
                    ours.differs_from(&KeptSnapshot::of(&manifest))
                }
            }
            // It will be no better the next time; whoever needs it raises the alarm.
            Err(error) if error.kind() != ErrorKind::Store => None,
            Err(_) => return None,
        };
        if let Some(differing) = &differing {
            self.note_agreement(ours, &shelf.name, theirs, differing);
        }
        let look = Look { ours: ours.position, theirs, same_changes: differing.is_some() };
        Some((shelf.name.clone(), look))
    }

    fn live_names(&self) -> Vec<ReplicaName> {
        let state = self.state();
        state.live().filter_map(|(id, _)| state.roster.get(id).cloned()).collect()
    }

    /// True when a peer has read another history of some log than this replica: its bucket was put back, and both stand where
    /// neither reads anything more of it. Nothing but their snapshots shows that.
    fn has_another_history(&self, peer: &ReplicaName, manifest: &Manifest) -> bool {
        let place = format!("{HISTORY}{peer}");
        let checked = self.state().check_manifest(manifest);
        match &checked {
            Err(error) => self.alarms.raise(&place, error),
            Ok(()) => self.alarms.clear(&place),
        }
        checked.is_err()
    }

    fn note_agreement(&self, ours: &KeptSnapshot, peer: &ReplicaName, theirs: Position, differing: &[usize]) {
        let place = format!("{AGREEMENT}{peer}");
        {
            let mut state = self.state();
            let log = state.logs.entry(peer.id()).or_default();
            log.agrees = Some(differing.is_empty());
            if differing.is_empty() {
                log.agreed_ms = Some(self.world.clock.wall_ms());
            }
        }
        if differing.is_empty() {
            reached(Point::DigestsAgree);
            self.alarms.clear(&place);
            return;
        }
        let message = format!(
            "two snapshots of the same changes hold different things, which must never be; keep both buckets as they are, \
             compare them, and report it: ours={} theirs={theirs} peer={peer} parts={differing:?} of={}",
            ours.position,
            ours.parts.len(),
        );
        self.alarms.raise(&place, &Error::new(ErrorKind::Corrupt, message));
    }
}

impl KeptSnapshot {
    /// The numbers of the parts that are not the same, if both snapshots hold the same changes.
    ///
    /// A part in which dead tallies wait is passed over when it is not the same: when they are purged is not a matter of
    /// the changes alone.
    fn differs_from(&self, other: &Self) -> Option<Vec<usize>> {
        if self.changes != other.changes {
            return None;
        }
        if self.parts.len() != other.parts.len() {
            return Some((0..self.parts.len().max(other.parts.len())).collect());
        }
        let pairs = self.parts.iter().zip(&other.parts).enumerate();
        let differ = pairs.filter(|(_, (a, b))| a.content != b.content && a.dead + b.dead == 0);
        Some(differ.map(|(number, _)| number).collect())
    }
}
