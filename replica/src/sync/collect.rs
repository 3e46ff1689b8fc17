//! Collecting: deleting what nobody needs any more.
//! Layer 4. *Invariant:* seals stay, and so does the newest segment of each epoch; nothing else tells a delayed seal from
//! one that counts.

use core::sync::atomic::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crdt_core::Position;
use crdt_core::planted::{Mutant, is_planted};

use super::{Engine, shelf::Shelf, store::Patience};
use crate::{error::Error, log::parse_position};

impl Engine {
    /// Deletes segments, manifests and parts of the own log and snapshots that are superfluous.
    ///
    /// A segment may go when the older of the two kept snapshots covers it, `retention` has passed since a snapshot
    /// covered it, and each live peer has acknowledged it or been silent for `max_lag`.
    ///
    /// SUBTLE: nothing goes unless both kept snapshots are there, as they were when they were taken, or recovered from. In a
    /// bucket that was rolled back since, what is older than they are may be all that is left.
    ///
    /// # Cost
    ///
    /// Three LISTs, of which that of the log is one for each 1,000 segments; two GETs for each manifest that is there beside
    /// the two kept ones, and a DELETE for each object that goes.
    pub(crate) async fn collect(&self) -> Result<(), Error> {
        let shelf = self.own_shelf();
        let manifests = shelf.positions(self.soon()).await?;
        if !self.kept().positions().iter().all(|kept| manifests.contains(kept)) {
            return Ok(());
        }
        let Some(old) = self.outlived(&shelf, &manifests).await? else { return Ok(()) };
        let Some(limit) = self.collectable().map(|limit| limit.min(old)) else { return Ok(()) };
        let Some(segments) = self.collect_log(limit).await? else { return Ok(()) };
        let others = self.collect_snapshots(&shelf, manifests, old).await?;
        tracing::debug!(replica = %self.own.name, %limit, segments, others, "collected");
        Ok(())
    }

    /// The newest own snapshot that was taken longer than `retention` ago: what it covers was covered then.
    async fn outlived(&self, shelf: &Shelf, manifests: &[Position]) -> Result<Option<Position>, Error> {
        let retention = self.settings.retention.as_millis() as u64;
        let now = self.world.clock.wall_ms();
        for position in manifests.iter().rev().copied() {
            let known = self.kept().taken_at(position);
            let taken = match known {
                Some(known) => Some(known),
                None => shelf.manifest(position, self.soon()).await.ok().flatten().map(|manifest| manifest.wall_ms),
            };
            if taken.is_some_and(|taken| taken.saturating_add(retention) <= now) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    fn soon(&self) -> Patience {
        Patience::For(self.settings.catch_up)
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.own.store.delete(key, self.soon()).await?;
        self.collected.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The position up to which nobody needs the own log, as far as snapshots and peers go.
    fn collectable(&self) -> Option<Position> {
        let mut state = self.state();
        let own = self.own.name.id();
        let now = self.world.clock.elapsed();
        let safe = self.kept().safe()?;
        // What changes nothing is acknowledged with what comes behind it.
        let needed = state.logs.get(&own).and_then(|log| log.last_change).map(|last| last.min(safe));
        let mut limit = Some(safe);
        for (id, log) in &mut state.logs {
            if *id == own || log.evicted.is_some() {
                continue;
            }
            let contact = *log.contact.get_or_insert(now);
            let counts = now.saturating_sub(contact) <= self.settings.max_lag && !is_planted(Mutant::CollectsUnasked);
            let acknowledged = log.ack.get(own);
            log.blocks = (counts && acknowledged < needed).then(|| log.blocks.unwrap_or(now));
            if counts {
                limit = limit.min(acknowledged);
            }
        }
        limit
    }

    /// Returns how many went, or `None` when the log is another process's by now.
    async fn collect_log(&self, limit: Position) -> Result<Option<usize>, Error> {
        let mut deleted = 0;
        let mut epochs: BTreeMap<u32, Vec<Position>> = BTreeMap::new();
        let prefix = self.keys.log_prefix(&self.own.name);
        for key in self.own.store.list(&prefix, None, self.soon()).await? {
            if let Some(position) = parse_position(&key, &prefix) {
                epochs.entry(position.epoch()).or_default().push(position);
            }
        }
        // SUBTLE: what is there and was never cut here is of a process that has taken the log over. One that slept meanwhile
        // may have nothing to write, so that nothing else tells it; and what it knows of its peers is as old as its sleep.
        let newest = epochs.values().filter_map(|slots| slots.last()).max();
        if newest.is_some_and(|newest| *newest >= self.keyspace.open()) {
            self.overtaken.raise();
            return Ok(None);
        }
        let lineage: BTreeMap<u32, u32> = {
            let state = self.state();
            state.standing(self.own.name.id()).lineage.iter().map(|ended| (ended.epoch, ended.slot)).collect()
        };
        for (epoch, slots) in epochs {
            // The seal of an epoch that ended, and the newest segment before it; the newest segment of the open one.
            let mut stay = if lineage.contains_key(&epoch) { 2 } else { 1 };
            if is_planted(Mutant::SealsCollected) && stay == 2 {
                stay = 0;
            }
            let (may_go, _) = slots.split_at(slots.len().saturating_sub(stay));
            for position in may_go.iter().filter(|position| **position <= limit) {
                self.delete(&self.keys.log(&self.own.name, *position)).await?;
                deleted += 1;
            }
        }
        Ok(Some(deleted))
    }

    /// The two kept snapshots stay, and the newest that has outlived `retention`, which tells how old the log is.
    async fn collect_snapshots(&self, shelf: &Shelf, manifests: Vec<Position>, old: Position) -> Result<usize, Error> {
        let mut deleted = 0;
        let kept = self.kept().positions();
        let oldest_kept = if is_planted(Mutant::OlderSnapshotCollected) { kept.last() } else { kept.first() };
        let Some(oldest_kept) = oldest_kept.copied() else { return Ok(0) };
        // What is newer than the older of its own is not this process's to delete: a successor may have fenced it.
        let stays_from = old.min(oldest_kept);
        let mut named: BTreeSet<(Position, [u8; 32])> = BTreeSet::new();
        for position in manifests {
            if position >= stays_from {
                let known = self.kept().parts_of(position);
                let parts = match known {
                    Some(parts) => parts,
                    None => match shelf.manifest(position, self.soon()).await? {
                        Some(manifest) => manifest.parts,
                        None => continue,
                    },
                };
                named.extend(parts.iter().map(|part| (part.written, *part.content.as_bytes())));
            } else {
                self.delete(&self.keys.manifest(&self.own.name, position)).await?;
                deleted += 1;
            }
        }
        let mut orphans = 0;
        for (written, content) in shelf.parts(self.soon()).await? {
            let is_named = named.contains(&(written, *content.as_bytes())) && !is_planted(Mutant::NamedPartsCollected);
            if written < stays_from && !is_named {
                self.delete(&self.keys.part(&self.own.name, written, content)).await?;
                deleted += 1;
            } else {
                orphans += u64::from(!is_named);
            }
        }
        self.orphans.store(orphans, Ordering::Relaxed);
        Ok(deleted)
    }
}
