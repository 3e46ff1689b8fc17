//! Taking snapshots, and promising what they hold.
//! Layer 4.

use core::{future::poll_fn, pin::pin, sync::atomic::Ordering, task::Poll, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{
    Dot, Frontier, Position, ReplicaId, Timestamp,
    planted::{Mutant, Point, is_planted, reached},
};
use futures_util::future::select;

use super::{Engine, shelf::Shelf, state::State, store::Patience};
use crate::{
    error::{Error, ErrorKind},
    keyspace::{Freeze, Frozen},
    log::{Early, LogState, Manifest, PartRef, encode_manifest, encode_part},
    name::Roster,
};

/// The last position of each log that changed anything: what tells one state from another.
type Changes = BTreeMap<ReplicaId, Position>;

/// A snapshot in the own bucket that a recovery could begin with.
#[derive(Clone, Debug)]
pub(crate) struct KeptSnapshot {
    pub(crate) position: Position,
    pub(crate) wall_ms: u64,
    pub(crate) frontier: Frontier,
    pub(crate) parts: Vec<PartRef>,
    pub(super) changes: Changes,
}

/// The own snapshots, and when the next one is due.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The newest last, two at most: after any crash, and with one of them damaged, the other one is there.
    pub(crate) snapshots: Vec<KeptSnapshot>,
    /// How much log there was when the newest was taken.
    log_bytes: u64,
    /// Set when the newest was taken by this process: its parts can be named again.
    own_epoch: bool,
    /// Set when the own log does not say yet what is acknowledged.
    acknowledge: bool,
    /// Set when somebody waits for a snapshot of what has been applied by now.
    asked_for: bool,
}

/// How often it is asked whether a snapshot that somebody waits for is there.
const KEPT_POLL: Duration = Duration::from_millis(50);

/// A log this long since the newest snapshot makes a snapshot due, if that is more than a quarter of the snapshot.
const LOG_BYTES: u64 = 8 << 20;

/// Marks that were not made again for so long are dropped: 30 days.
const MARKS_KEPT_MS: u64 = 30 * 24 * 3_600 * 1_000;

impl KeptSnapshot {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self {
            position: manifest.position,
            wall_ms: manifest.wall_ms,
            frontier: manifest.frontier(),
            parts: manifest.parts.clone(),
            changes: manifest.changes(),
        }
    }

    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

impl Kept {
    /// True when the log since the newest snapshot is long.
    pub(crate) fn is_due(&self, state: &State) -> bool {
        let size = self.snapshots.last().map_or(0, KeptSnapshot::bytes);
        state.log_bytes - self.log_bytes > LOG_BYTES.max(size / 4) && self.has_changes(state)
    }

    /// True when something has changed that the *older* snapshot does not hold. It is the older one that is acknowledged, so
    /// when all is quiet one more is taken; it costs a manifest and no part.
    fn has_changes(&self, state: &State) -> bool {
        let now = state.logs.iter().filter_map(|(id, log)| Some((*id, log.last_change?)));
        match &self.snapshots[..] {
            [older, _] => !now.eq(older.changes.iter().map(|(id, position)| (*id, *position))),
            _ => now.count() > 0,
        }
    }

    /// What is safe to acknowledge: what both of the two hold.
    ///
    /// SUBTLE: that is not always what the older one holds. While a name is taken over two processes take snapshots of it, and the
    /// newer one may hold less of a peer's log: its process could not reach that peer. When the older one is collected, nothing but
    /// the newer one holds what was acknowledged.
    fn promised(&self) -> Option<Frontier> {
        match &self.snapshots[..] {
            [_, newest] if is_planted(Mutant::NewestIsPromised) => Some(newest.frontier.clone()),
            [older, newest] => {
                let held = |dot: Dot| newest.frontier.get(dot.replica).map(|held| held.min(dot.position));
                let both = |dot: Dot| Some(Dot { replica: dot.replica, position: held(dot)? });
                Some(older.frontier.iter().filter_map(both).collect())
            }
            _ => None,
        }
    }

    /// The position behind which a recovery never begins, as long as both snapshots are there.
    pub(crate) fn safe(&self) -> Option<Position> {
        match &self.snapshots[..] {
            [_, newest] if is_planted(Mutant::CollectsPastTheOlder) => Some(newest.position),
            [older, _] => Some(older.position),
            _ => None,
        }
    }

    /// Those that a recovery has found, the newest last.
    pub(crate) fn recovered(snapshots: Vec<KeptSnapshot>) -> Self {
        Self { snapshots, ..Self::default() }
    }

    /// What the process before has promised by its snapshots, and may not have said: it is said now. `said` is what the own
    /// log says.
    pub(crate) fn promise_again(&mut self, said: &mut Frontier) {
        if let Some(promised) = self.promised().filter(|promised| !said.covers_all(promised)) {
            said.join(&promised);
            reached(Point::PromiseSaidAgain);
            self.acknowledge = true;
        }
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        self.snapshots.iter().map(|kept| kept.position).collect()
    }

    /// When the snapshot at this position was taken, if it is one of these.
    pub(crate) fn taken_at(&self, position: Position) -> Option<u64> {
        self.snapshots.iter().find(|kept| kept.position == position).map(|kept| kept.wall_ms)
    }

    /// The parts of the snapshot at this position, if it is one of these.
    pub(crate) fn parts_of(&self, position: Position) -> Option<Vec<PartRef>> {
        self.snapshots.iter().find(|kept| kept.position == position).map(|kept| kept.parts.clone())
    }

    fn push(&mut self, snapshot: KeptSnapshot) {
        self.snapshots.push(snapshot);
        let surplus = self.snapshots.len().saturating_sub(2);
        self.snapshots.drain(..surplus);
    }
}

impl Engine {
    /// Takes snapshots when they are due, collects what they make superfluous, and acknowledges what they hold.
    pub(crate) async fn keep_snapshots(&self) -> Error {
        let settings = &self.settings;
        let mut last = self.world.clock.elapsed();
        let mut said = last;
        loop {
            let rest = settings.snapshot_interval.saturating_sub(self.world.clock.elapsed().saturating_sub(last));
            let rest = if self.kept().acknowledge { rest.min(settings.ack_interval) } else { rest };
            select(pin!(self.world.clock.sleep(rest)), pin!(self.snapshot.wait())).await;
            if self.closing.load(Ordering::Acquire) {
                return self.write_all_and_end().await;
            }
            let now = self.world.clock.elapsed();
            let is_due = {
                let state = self.state();
                let kept = self.kept();
                kept.asked_for
                    || kept.is_due(&state)
                    || (now.saturating_sub(last) >= settings.snapshot_interval && kept.has_changes(&state))
            };
            if is_due {
                match self.take_snapshot().await {
                    Ok(()) => self.alarms.clear("snapshot"),
                    Err(error) if error.kind() == ErrorKind::Fenced => {
                        self.end(error.kind(), error.told());
                        return error;
                    }
                    Err(error) => {
                        self.alarms.raise("snapshot", &error);
                        self.world.clock.sleep(settings.poll_max).await;
                    }
                }
            }
            if is_due || now.saturating_sub(last) >= settings.snapshot_interval {
                last = self.world.clock.elapsed();
                match self.collect().await {
                    Ok(()) => self.alarms.clear("collection"),
                    Err(error) => self.alarms.raise("collection", &error),
                }
            }
            if self.kept().acknowledge && self.world.clock.elapsed().saturating_sub(said) >= settings.ack_interval {
                said = self.world.clock.elapsed();
                if let Err(error) = self.say_acknowledged() {
                    return error;
                }
            }
        }
    }

    /// Waits for a snapshot of its own that holds what has been applied of a log.
    ///
    /// # Errors
    ///
    /// What stopped the replica, or why none can be written.
    pub(crate) async fn wait_until_kept(&self, dot: Dot) -> Result<(), Error> {
        // What went wrong before says nothing of the attempt that is asked for.
        self.alarms.clear("snapshot");
        loop {
            self.durable.check().map_err(|(kind, message)| Error::new(kind, message))?;
            {
                let mut kept = self.kept();
                if kept.snapshots.last().is_some_and(|newest| newest.frontier.covers(dot)) {
                    return Ok(());
                }
                kept.asked_for = true;
            }
            if let Some((kind, message)) = self.alarms.at("snapshot") {
                return Err(Error::new(kind, message));
            }
            self.snapshot.raise();
            self.world.clock.sleep(KEPT_POLL).await;
        }
    }

    /// Writes an empty segment if the log does not say yet what was acknowledged, and nothing else will say it soon.
    fn say_acknowledged(&self) -> Result<(), Error> {
        if std::mem::take(&mut self.kept().acknowledge) && self.pending_bytes() == 0 {
            self.cut_now()?;
            self.changed.raise();
            self.flush.raise();
        }
        Ok(())
    }

    /// Takes a snapshot: cuts, writes the parts that have changed, and then the manifest.
    pub(crate) async fn take_snapshot(&self) -> Result<(), Error> {
        let (mut manifest, roster, log_bytes, frozen) = self.cut_and_freeze()?;
        // SUBTLE: the manifest is created only after the own log is durable up to its frontier. A crash in between would
        // leave changes in a snapshot that were never in any log.
        if !is_planted(Mutant::ManifestBeforeTheLog) {
            self.durable.wait(manifest.position).await.map_err(|(kind, message)| Error::new(kind, message))?;
        }
        if self.keyspace.pending_bytes() > 0 {
            reached(Point::ChangesWhileFrozen);
        }
        manifest.parts = self.write_parts(&manifest, &roster, &frozen).await?;
        if is_planted(Mutant::FrontierNotedLate) {
            manifest.logs = log_states(&self.state());
        }
        let shelf = self.own_shelf();
        let key = self.keys.manifest(&self.own.name, manifest.position);
        let bytes =
            encode_manifest(&manifest, &key, self.mac.as_ref()).map_err(|error| Error::encoding(&key, error))?;
        if !self.own.put_own(&key, &bytes, Patience::Endless).await? {
            return Err(self.fenced());
        }
        let there: BTreeSet<(Position, [u8; 32])> =
            shelf.parts(Patience::Endless).await?.into_iter().map(|(at, content)| (at, *content.as_bytes())).collect();
        if manifest.parts.iter().any(|part| !there.contains(&(part.written, *part.content.as_bytes()))) {
            let message = format!("a part is gone that was just written; the snapshot does not count: key={key}");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let written = manifest.parts.iter().filter(|part| part.written == manifest.position);
        let (position, parts) = (manifest.position, manifest.parts.len());
        let (count, bytes) = written.fold((0, 0), |(count, bytes), part| (count + 1, bytes + part.bytes));
        let (src, dst) = (&self.own.name, &**self.own.store.region());
        tracing::info!(
            replica = %src, sync_id = %format_args!("{src}/{position}"), %src, dst, key = self.keys.manifest(src, position), outcome = "written",
            parts, written = count, bytes, "snapshot taken"
        );
        frozen.keep();
        self.keep(&manifest, log_bytes);
        self.compare.raise();
        Ok(())
    }

    /// Cuts a segment, and notes with its frontier all that the manifest will hold beside the parts. No await.
    fn cut_and_freeze(&self) -> Result<(Manifest, Roster, u64, Frozen<'_>), Error> {
        let wall_ms = self.world.clock.wall_ms();
        self.keyspace.forget_marks_before(Timestamp::from_millis(wall_ms.saturating_sub(MARKS_KEPT_MS)));
        let mut state = self.state();
        state.purge(&self.keyspace);
        let Freeze { cut, frozen, marks } = self.keyspace.cut_and_freeze();
        let position = self.publish(&mut state, &cut)?;
        self.flush.raise();
        self.changed.raise();
        let manifest = Manifest {
            replica: self.own.name.clone(),
            position,
            nonce: self.nonce,
            wall_ms,
            hlc: self.clock().last(),
            logs: log_states(&state),
            early: early(&state),
            marks,
            parts: Vec::new(),
        };
        Ok((manifest, state.roster.clone(), state.log_bytes, frozen))
    }

    /// Writes the parts that are not in the bucket yet, one after the other.
    async fn write_parts(
        &self,
        manifest: &Manifest,
        roster: &Roster,
        frozen: &Frozen<'_>,
    ) -> Result<Vec<PartRef>, Error> {
        let before: Vec<PartRef> = {
            let kept = self.kept();
            if kept.own_epoch {
                kept.snapshots.last().map(|last| last.parts.clone()).unwrap_or_default()
            } else {
                Vec::new()
            }
        };
        let layout = frozen.layout().parts;
        let count = layout.len();
        let mut parts = Vec::with_capacity(count);
        for (number, keys) in layout.into_iter().enumerate() {
            let before = before.get(number).filter(|_| before.len() == count);
            if let Some(before) = before.filter(|_| !frozen.changed(number, count)) {
                parts.push(*before);
                continue;
            }
            let objects = frozen.objects(keys);
            let body = encode_part(objects.iter().map(|(key, object)| (key, object)), roster)
                .map_err(|error| Error::encoding("a part", error))?;
            drop(objects);
            if let Some(before) = before.filter(|before| before.content == body.content()) {
                parts.push(*before);
                continue;
            }
            let key = self.keys.part(&self.own.name, manifest.position, body.content());
            let bytes = body.to_object(&key, self.mac.as_ref()).map_err(|error| Error::encoding(&key, error))?;
            if !self.own.put_own(&key, &bytes, Patience::Endless).await? {
                return Err(self.fenced());
            }
            parts.push(PartRef {
                written: manifest.position,
                content: body.content(),
                bytes: bytes.len() as u64,
                rows: body.rows(),
                dead: body.dead_tallies(),
            });
            yield_now().await;
        }
        Ok(parts)
    }

    /// A snapshot of its own is complete. What the older one of the two holds will never be needed again.
    fn keep(&self, manifest: &Manifest, log_bytes: u64) {
        let mut state = self.state();
        let promised = {
            let mut kept = self.kept();
            kept.push(KeptSnapshot::of(manifest));
            (kept.log_bytes, kept.own_epoch, kept.asked_for) = (log_bytes, true, false);
            kept.promised()
        };
        // Who had applied more of an evicted log, and holds it durably, says so.
        for dot in &manifest.frontier() {
            if state.end_of(dot.replica).is_some_and(|last| last < dot.position)
                && let Some(replica) = state.roster.get(dot.replica).cloned()
            {
                reached(Point::MoreOfAnEvictedDeclared);
                state.declare(&replica, dot.position);
                self.changed.raise();
            }
        }
        let own = state.logs.entry(self.own.name.id()).or_default();
        if let Some(promised) = promised.filter(|promised| !own.ack.covers_all(promised)) {
            own.ack.join(&promised);
            self.kept().acknowledge = true;
            state.purge(&self.keyspace);
        }
    }

    pub(crate) fn own_shelf(&self) -> Shelf {
        Shelf::of(&self.own)
    }

    /// The last that a replica does: everything that waits is written, and a snapshot holds what there is.
    async fn write_all_and_end(&self) -> Error {
        let closed = async {
            if self.keyspace.pending_bytes() > 0 {
                let position = self.cut_now()?;
                self.changed.raise();
                self.flush.raise();
                self.durable.wait(position).await.map_err(|(kind, message)| Error::new(kind, message))?;
            }
            if self.holds_more_than_the_newest() { self.take_snapshot().await } else { Ok(()) }
        };
        match closed.await {
            Ok(()) => self.end(ErrorKind::Closed, "the replica was closed"),
            Err(error) => self.end(error.kind(), error.told()),
        }
        self.ended().await
    }

    fn holds_more_than_the_newest(&self) -> bool {
        let state = self.state();
        let now: Changes = state.logs.iter().filter_map(|(id, log)| Some((*id, log.last_change?))).collect();
        self.kept().snapshots.last().map_or(!now.is_empty(), |last| last.changes != now)
    }
}

fn log_states(state: &State) -> Vec<LogState> {
    state.roster.iter().map(|(id, name)| log_state(state, id, name.clone())).collect()
}

fn log_state(state: &State, id: ReplicaId, replica: crate::name::ReplicaName) -> LogState {
    let log = state.logs.get(&id).cloned().unwrap_or_default();
    LogState {
        replica,
        applied: state.position_of(id),
        hash: log.hash,
        lineage: log.lineage,
        ack: log.ack,
        last_change: log.last_change,
        evicted: log.evicted,
    }
}

fn early(state: &State) -> Vec<Early> {
    if is_planted(Mutant::EarlyNotInTheSnapshot) {
        return Vec::new();
    }
    let removal = |(dot, (key, element)): (crdt_core::Dot, &(crate::key::ObjectKey, Option<crdt_core::Bytes>))| Early {
        key: key.clone(),
        element: element.clone(),
        dot,
    };
    let mut early: Vec<Early> = state.applied.early.iter().map(removal).collect();
    early.sort_unstable();
    early
}

/// Lets whoever polls do something else.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
