//! Dead tallies that wait until nobody can bring them back: `docs/architecture.md`, "Purging".
//! Layer 4.

use crdt_core::{
    Dot, Frontier, ReplicaId, Tally,
    planted::{Mutant, Point, is_planted, reached},
};

use crate::{key::ObjectKey, keyspace::Keyspace};

/// The dead tallies that are still held.
#[derive(Debug, Default)]
pub(crate) struct Graves(Vec<Grave>);

/// Tallies that died at one time.
#[derive(Debug)]
struct Grave {
    /// What the owner of each must have acknowledged: the last non-empty position of every log that was applied then.
    needs: Frontier,
    /// SUBTLE: named by birth and baselines, so that it cannot hit a younger life.
    dead: Vec<(ObjectKey, Tally)>,
}

impl Graves {
    /// Notes tallies that have just died. `needs` is taken after the merge that killed them: taken before, it would leave
    /// out the very deletion that is to be acknowledged.
    ///
    /// SUBTLE: not those that were dead before it. They may have died of a deletion that is in the open segment still, and are
    /// noted when that is cut: nobody can have acknowledged it yet.
    pub(crate) fn bury(&mut self, dead: Vec<(ObjectKey, Tally)>, needs: Frontier) {
        if dead.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.needs == needs => last.dead.extend(dead),
            _ => self.0.push(Grave { needs, dead }),
        }
    }

    /// Drops the tallies whose owner has been heard to its end and has acknowledged the death.
    ///
    /// Cost: in the tallies that wait.
    pub(crate) fn purge(
        &mut self,
        keyspace: &Keyspace,
        has_heard: impl Fn(Dot) -> bool,
        acknowledged: impl Fn(ReplicaId, &Frontier) -> bool,
    ) {
        self.0.retain_mut(|Grave { needs, dead }| {
            dead.retain(|(key, tally)| {
                let replica = tally.parts().replica;
                let Some(now) = keyspace.dead_tally(key, tally) else { return false };
                let heard_all = has_heard(Dot { replica, position: now.parts().last });
                let acknowledged = acknowledged(replica, needs) || is_planted(Mutant::PurgedUnacknowledged);
                let gone = heard_all && acknowledged && !is_planted(Mutant::DeadNeverPurged);
                if gone {
                    reached(Point::Purge);
                    keyspace.purge(key, tally);
                }
                !gone
            });
            !dead.is_empty()
        });
    }

    /// How many tallies wait.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|grave| grave.dead.len()).sum()
    }
}
