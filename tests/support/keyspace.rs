//! The smallest keyspace that follows the design: objects by path under one frontier, segments, snapshots, purging.
//!
//! It is what the data types must bear: a dot is a whole segment, removals can arrive ahead of what they remove, states
//! are merged stale, tallies are dropped when nobody can need them. Logs and snapshots are plain values here.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{
    Bytes, Changes, Dot, DotSource, Frontier, Kind, Object, ObjectChanges, Position, ReplicaId, Seen, Tally, Timestamp,
    Value,
};

use crate::reference::Ops;

/// Which object: a path and a kind.
pub type Key = (u8, Kind);

/// (dot, object, element) of a removal that arrived before the segment in which the element was added. The dot alone
/// would not do: it is a whole segment.
type Early = BTreeSet<(Dot, Key, Option<Bytes>)>;

/// What is published at once.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its place in its replica's log.
    pub dot: Dot,
    /// The place before it, if any.
    pub previous: Option<Position>,
    /// Which operations it carries, for the reference.
    pub ops: Ops,
    frontier: Frontier,
    ack: Frontier,
    rows: BTreeMap<Key, ObjectChanges>,
}

/// The state at one frontier.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Whose it is.
    pub replica: ReplicaId,
    /// What it covers.
    pub frontier: Frontier,
    /// Which operations it covers, for the reference.
    pub ops: Ops,
    published: Frontier,
    heard: Frontier,
    objects: BTreeMap<Key, Object>,
    early: Early,
    acks: BTreeMap<ReplicaId, Frontier>,
    full: Frontier,
    clock: u64,
}

/// A tally that died, and what its owner must have acknowledged before it can be dropped.
#[derive(Clone, Debug)]
struct Grave {
    key: Key,
    tally: Tally,
    needs: Frontier,
}

/// One replica of the keyspace.
#[derive(Debug)]
pub struct Replica {
    /// Which operations it has seen, for the reference.
    pub ops: Ops,
    /// The operations that it has not published yet.
    pub pending_ops: Ops,
    source: DotSource,
    previous: Option<Position>,
    frontier: Frontier,
    /// What its log has ever said of its frontier. It only grows, also through a recovery.
    published: Frontier,
    /// What the segments that were applied had seen. While the frontier is short of it the view has no defined value.
    heard: Frontier,
    objects: BTreeMap<Key, Object>,
    pending: BTreeMap<Key, ObjectChanges>,
    counted: BTreeSet<Key>,
    early: Early,
    /// What each replica promised never to need again.
    acks: BTreeMap<ReplicaId, Frontier>,
    /// The last segment of each log that had rows.
    full: Frontier,
    graves: Vec<Grave>,
    clock: u64,
}

/// Why a segment was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has been applied before.
    Duplicate,
    /// Something before it is missing.
    Gap,
}

struct View<'a> {
    frontier: &'a Frontier,
    early: &'a Early,
    key: Key,
}

impl Seen for View<'_> {
    fn has_seen(&self, dot: Dot, (): &()) -> bool {
        self.frontier.covers(dot) || self.early.contains(&(dot, self.key, None))
    }
}

impl Seen<Bytes> for View<'_> {
    fn has_seen(&self, dot: Dot, element: &Bytes) -> bool {
        self.frontier.covers(dot) || self.early.contains(&(dot, self.key, Some(element.clone())))
    }
}

fn element(value: u8) -> Bytes {
    Bytes::from([value].as_slice())
}

impl Replica {
    /// A replica that opens its log in `epoch`, after `previous`.
    #[must_use]
    pub fn new(replica: ReplicaId, epoch: u32, previous: Option<Position>) -> Self {
        Self {
            ops: Ops::default(),
            pending_ops: Ops::default(),
            source: DotSource::new(replica, epoch),
            previous,
            frontier: Frontier::default(),
            published: Frontier::default(),
            heard: Frontier::default(),
            objects: BTreeMap::new(),
            pending: BTreeMap::new(),
            counted: BTreeSet::new(),
            early: BTreeSet::new(),
            acks: BTreeMap::new(),
            full: Frontier::default(),
            graves: Vec::new(),
            clock: 0,
        }
    }

    /// Whose replica it is.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        self.source.replica()
    }

    /// How far each log has been applied.
    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// True when whatever the authors of the applied segments had seen has been applied too.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.frontier.covers_all(&self.heard)
    }

    /// What a reader sees at this key.
    #[must_use]
    pub fn value(&self, key: Key) -> Option<Value> {
        self.objects.get(&key).map(Object::value)
    }

    /// How many tallies there are that count nothing any more.
    #[must_use]
    pub fn dead_tallies(&self) -> usize {
        self.objects.values().flat_map(Object::tallies).filter(|tally| tally.is_dead()).count()
    }

    /// Adds to a counter.
    pub fn count(&mut self, key: Key, amount: i64) {
        let open = self.source.open();
        match object(&mut self.objects, key) {
            Object::GCounter(counter) => counter.add(amount.unsigned_abs(), open).expect("small amounts"),
            Object::PnCounter(counter) => counter.add(amount, open).expect("small amounts"),
            other => panic!("{} does not count", other.kind()),
        }
        self.counted.insert(key);
    }

    /// Puts an element into a set, or takes it out.
    pub fn put(&mut self, key: Key, value: u8, present: bool) {
        let changes = self.pending.entry(key).or_insert_with(|| ObjectChanges::none(key.1));
        let (Object::OrSet(set), ObjectChanges::Set(changes)) = (object(&mut self.objects, key), changes) else {
            panic!("{} is no set", key.1);
        };
        if present {
            set.add(element(value), self.source.open(), changes);
        } else {
            set.remove(&element(value), self.source.open(), changes);
        }
    }

    /// Writes to a register. Returns the time of the write.
    pub fn write(&mut self, key: Key, value: u8, wall: u64) -> u64 {
        self.clock = self.clock.max(wall) + 1;
        let (open, time) = (self.source.open(), Timestamp::from(self.clock));
        let changes = self.pending.entry(key).or_insert_with(|| ObjectChanges::none(key.1));
        match (object(&mut self.objects, key), changes) {
            (Object::LwwRegister(register), ObjectChanges::Register(changes)) => {
                register.set(element(value), time, open, changes);
            }
            (Object::MvRegister(register), ObjectChanges::Register(changes)) => {
                register.set(element(value), time, open, changes);
            }
            _ => panic!("{} is no register", key.1),
        }
        self.clock
    }

    /// Deletes what is at this key, as far as this replica has seen.
    pub fn delete(&mut self, key: Key) {
        let Some(held) = self.objects.get_mut(&key) else { return };
        let changes = self.pending.entry(key).or_insert_with(|| ObjectChanges::none(key.1));
        let before: Vec<Tally> = held.tallies().iter().filter(|tally| !tally.is_dead()).copied().collect();
        held.delete(self.source.open(), changes).expect("the same kind");
        let dead: Vec<Tally> = held
            .tallies()
            .iter()
            .filter(|tally| before.iter().any(|live| live.parts().replica == tally.parts().replica))
            .copied()
            .collect();
        dead.into_iter().for_each(|tally| self.bury(key, tally));
    }

    /// Publishes what has changed. An empty segment takes a place too, if `even_if_empty`.
    pub fn cut(&mut self, even_if_empty: bool) -> Option<Segment> {
        if self.pending.is_empty() && self.counted.is_empty() && self.pending_ops.is_empty() && !even_if_empty {
            return None;
        }
        let me = self.id();
        let mut rows = std::mem::take(&mut self.pending);
        for key in std::mem::take(&mut self.counted) {
            rows.entry(key).or_insert_with(|| ObjectChanges::none(key.1));
        }
        for (key, row) in &mut rows {
            // An owner's own tally goes out as it stands now, with what has been reset of it since it was raised.
            if let (ObjectChanges::Counter(row), Some(held)) = (row, self.objects.get(key))
                && let Some(own) = held.tallies().iter().find(|tally| tally.parts().replica == me)
                && (own.parts().last == self.source.open().dot().position
                    || row.tallies().iter().any(|tally| tally.parts().replica == me))
            {
                row.record(*own);
            }
        }
        rows.retain(|_, row| !row.is_empty());
        self.published.join(&self.frontier);
        let dot = self.source.cut();
        let segment = Segment {
            dot,
            previous: self.previous.replace(dot.position),
            ops: std::mem::take(&mut self.pending_ops),
            frontier: self.published.clone(),
            ack: self.acks.get(&me).cloned().unwrap_or_default(),
            rows,
        };
        self.passed(&segment);
        Some(segment)
    }

    /// Applies a segment, in the order of its log.
    ///
    /// # Errors
    ///
    /// When it is not the next.
    pub fn apply(&mut self, segment: &Segment) -> Result<(), Refused> {
        if self.frontier.covers(segment.dot) {
            return Err(Refused::Duplicate);
        }
        if self.frontier.get(segment.dot.replica) != segment.previous {
            return Err(Refused::Gap);
        }
        self.merge_rows(segment);
        self.passed(segment);
        self.ops.unite(segment.ops);
        if segment.dot.replica == self.id() {
            self.published.join(&segment.frontier);
            self.published.advance(segment.dot);
            self.previous = Some(segment.dot.position);
        }
        // Last: what a purge waits for is noted after the merge that killed the tally.
        for (key, row) in &segment.rows {
            if let ObjectChanges::Counter(row) = row {
                for replica in row.tallies().iter().map(|tally| tally.parts().replica) {
                    self.bury_if_dead(*key, replica);
                }
            }
        }
        Ok(())
    }

    /// Merges the rows of a segment that has been applied before, past every guard. It must change nothing.
    ///
    /// # Errors
    ///
    /// What changed.
    pub fn apply_again(&mut self, segment: &Segment) -> Result<(), String> {
        let before = self.objects.clone();
        self.merge_rows(segment);
        for (key, after) in &self.objects {
            let was = before.get(key);
            if was.map_or(!after.is_empty(), |was| was != after) {
                return Err(format!("a segment applied twice changed {key:?} from {was:?} to {after:?}"));
            }
        }
        Ok(())
    }

    fn merge_rows(&mut self, segment: &Segment) {
        for (key, row) in &segment.rows {
            let view = View { frontier: &self.frontier, early: &self.early, key: *key };
            object(&mut self.objects, *key).merge_changes(&view, row).expect("the same kind");
            let mut ahead = |dot: Dot, element: Option<&Bytes>| {
                if !self.frontier.covers(dot) && dot.replica != self.source.replica() {
                    self.early.insert((dot, *key, element.cloned()));
                }
            };
            match row {
                ObjectChanges::Counter(_) => {}
                ObjectChanges::Register(edit) => {
                    edit.removed().iter().for_each(|dot| ahead(*dot, None));
                    let latest = edit.added().iter().map(|write| u64::from(write.timestamp)).max();
                    self.clock = self.clock.max(latest.unwrap_or(0));
                }
                ObjectChanges::Set(edits) => {
                    for (element, edit) in edits.edits() {
                        edit.removed().iter().for_each(|dot| ahead(*dot, Some(element)));
                    }
                }
            }
        }
    }

    /// Moves the frontier past a segment and takes note of what its header says.
    fn passed(&mut self, segment: &Segment) {
        let Dot { replica, .. } = segment.dot;
        self.frontier.advance(segment.dot);
        if replica == self.id() {
            self.published.advance(segment.dot);
        }
        self.early.retain(|(dot, ..)| !self.frontier.covers(*dot));
        self.heard.join(&segment.frontier);
        self.acks.entry(replica).or_default().join(&segment.ack);
        if !segment.rows.is_empty() {
            self.full.advance(segment.dot);
        }
    }

    /// The state as of now. Nothing may be pending: cut first.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        assert!(self.pending.is_empty() && self.counted.is_empty(), "cut before a snapshot");
        Snapshot {
            replica: self.id(),
            frontier: self.frontier.clone(),
            ops: self.ops,
            published: self.published.clone(),
            heard: self.heard.clone(),
            objects: self.objects.clone(),
            early: self.early.clone(),
            acks: self.acks.clone(),
            full: self.full.clone(),
            clock: self.clock,
        }
    }

    /// Promises never to need again what a snapshot of its own covers.
    pub fn acknowledge(&mut self, covered: &Frontier) {
        self.acks.entry(self.id()).or_default().join(covered);
    }

    /// Merges a snapshot, fresh or stale, of any replica.
    pub fn merge(&mut self, snapshot: &Snapshot) {
        let keys: BTreeSet<Key> = self.objects.keys().chain(snapshot.objects.keys()).copied().collect();
        let mut dead = Vec::new();
        for key in keys {
            let ours = View { frontier: &self.frontier, early: &self.early, key };
            let theirs = View { frontier: &snapshot.frontier, early: &snapshot.early, key };
            let none = Object::new(key.1, Default::default());
            let held = object(&mut self.objects, key);
            held.merge(&ours, snapshot.objects.get(&key).unwrap_or(&none), &theirs).expect("the same kind");
            dead.extend(held.tallies().iter().map(|tally| (key, tally.parts().replica)));
        }
        self.frontier.join(&snapshot.frontier);
        self.heard.join(&snapshot.heard);
        self.full.join(&snapshot.full);
        self.early.extend(snapshot.early.iter().cloned());
        self.early.retain(|(dot, ..)| !self.frontier.covers(*dot));
        self.ops.unite(snapshot.ops);
        self.clock = self.clock.max(snapshot.clock);
        for (replica, ack) in &snapshot.acks {
            self.acks.entry(*replica).or_default().join(ack);
        }
        if snapshot.replica == self.id() {
            self.published.join(&snapshot.published);
            self.previous = self.previous.max(snapshot.frontier.get(self.id()));
        }
        for (key, replica) in dead {
            self.bury_if_dead(key, replica);
        }
    }

    /// Drops the dead tallies that nobody can bring back any more.
    pub fn purge(&mut self) {
        let Self { graves, objects, acks, frontier, .. } = self;
        graves.retain(|Grave { key, tally, needs }| {
            let owner = tally.parts().replica;
            let Some(held) = objects.get_mut(key) else { return false };
            let now = held.tallies().iter().find(|now| now.parts().replica == owner);
            let Some(last) = now.map(|now| now.parts().last) else { return false };
            let heard_all = frontier.covers(Dot { replica: owner, position: last });
            let acknowledged = acks.get(&owner).is_some_and(|ack| ack.covers_all(needs));
            if heard_all && acknowledged {
                held.purge(tally);
            }
            !(heard_all && acknowledged)
        });
        objects.retain(|_, held| !held.is_empty());
    }

    fn bury_if_dead(&mut self, key: Key, replica: ReplicaId) {
        let tallies = self.objects.get(&key).map_or(&[][..], Object::tallies);
        let dead = tallies.iter().find(|tally| tally.parts().replica == replica && tally.is_dead()).copied();
        dead.into_iter().for_each(|tally| self.bury(key, tally));
    }

    fn bury(&mut self, key: Key, tally: Tally) {
        let mut needs: Frontier = self
            .frontier
            .iter()
            .filter_map(|dot| Some(dot.min(Dot { position: self.full.get(dot.replica)?, ..dot })))
            .collect();
        let open = self.source.open().dot();
        if matches!(self.pending.get(&key), Some(ObjectChanges::Counter(row)) if !row.is_empty()) {
            needs.advance(open);
        }
        self.graves.push(Grave { key, tally, needs });
    }
}

fn object(objects: &mut BTreeMap<Key, Object>, key: Key) -> &mut Object {
    objects.entry(key).or_insert_with(|| Object::new(key.1, Default::default()))
}
