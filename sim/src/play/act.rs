//! What each act of a story does.
//! Layer 4.

use std::{sync::Arc, time::Duration};

use replica::{
    BatchError, ErrorKind, MarkValue, Position, Replica,
    log::{BucketKey, LogObject, decode},
    name::ReplicaName,
};

use crate::{
    history::{Did, Log, Object, Sort, Truth},
    ports::{Damage, Moment, Way},
    story::{Act, LARGE, Spoiled},
};

use super::{
    Courier, INGESTED, Play,
    checks::read,
    keys,
    life::{Eviction, Life, Member, lock},
};

impl Life {
    /// True once its replica is open.
    pub(super) fn is_open(&self) -> bool {
        lock(&self.given).replica.is_some()
    }
}

impl Play<'_> {
    pub(super) fn act(&mut self, log: Log, act: &Act) {
        let now = self.executor.world().now();
        let home = self.members[log].home;
        match act {
            Act::Change(changes) => _ = self.change(log, changes, false),
            Act::ChangeAsZombie(changes) => _ = self.change(log, changes, true),
            // Whoever plays the story does.
            Act::Ask(_) => {}
            Act::Rely => self.rely(log),
            Act::Crash => {
                if let Some(life) = &self.members[log].life {
                    let place = life.place;
                    self.executor.crash(place);
                    self.forget(place);
                }
            }
            Act::CrashAfter(polls) => {
                if let Some(life) = &self.members[log].life {
                    self.executor.crash_after(life.place, self.executor.polls(life.place) + polls);
                }
            }
            Act::CrashAt { moment, left, after } => {
                if let Some(life) = &self.members[log].life {
                    life.gate.end_at(*moment, *left, *after);
                }
            }
            Act::Open => {
                if let Some(life) = self.members[log].life.take() {
                    self.members[log].was_taken_over = true;
                    self.members[log].zombies.push(life);
                }
                self.open(log, true);
            }
            Act::Close => {
                if let Some((life, replica)) = self.live(log) {
                    let closing = life.gate.guard(async move { replica.close().await });
                    self.executor.spawn(life.place, closing);
                }
            }
            Act::Cut { from, lasts } => {
                if let Some(life) = &self.members[log].life
                    && *from < self.stores.len()
                {
                    life.links[*from].unreachable(now..now + *lasts);
                    self.cuts.push((log, now + *lasts));
                }
            }
            Act::Away { way, lasts } => {
                self.stores[home].away(*way, now..now + *lasts);
                let peers: Vec<Log> =
                    self.there().filter(|(_, peer)| peer.home != home).map(|(peer, _)| peer).collect();
                if *way != Way::Writes {
                    self.cuts.extend(peers.into_iter().map(|peer| (peer, now + *lasts)));
                }
                self.points.reach(match way {
                    Way::Both => "a bucket is away",
                    Way::Reads => "a bucket takes writes and answers no reads",
                    Way::Writes => "a bucket answers reads and takes no writes",
                });
            }
            Act::Clock(offset) => {
                if let Some(life) = &self.members[log].life {
                    life.clock.set_offset_ms(*offset);
                }
            }
            Act::Drift(ppm) => {
                if let Some(life) = &self.members[log].life {
                    life.clock.set_drift_ppm(*ppm);
                }
            }
            Act::StopClock => {
                if let Some(life) = &self.members[log].life {
                    life.clock.stop();
                }
            }
            Act::Meet { bucket, request, fault, skip, older } => {
                let Member { life, zombies, .. } = &self.members[log];
                let life = life.iter().chain(zombies.iter().rev()).nth(*older);
                life.iter().for_each(|life| life.links[*bucket].meet(*request, *fault, *skip));
            }
            Act::Evict(other) => {
                let is_free = self.members.iter().all(|member| member.evicted.is_none());
                let is_other = *other != log && self.members.get(*other).is_some_and(|other| other.is_there);
                if is_free && is_other && self.live(log).is_some() {
                    // From here on nobody relies on what it writes.
                    let is_over = self.members[*other].life.is_none() && self.members[*other].zombies.is_empty();
                    self.members[*other].evicted =
                        Some(Eviction { of_one_that_is_over: is_over, ..Eviction::new(log) });
                    self.evict_again();
                }
            }
            Act::Image => self.images[home] = Some(self.stores[home].image()),
            Act::RollBack => self.roll_back(home),
            Act::Freeze(lasts) => {
                if let Some(life) = &self.members[log].life {
                    let gate = life.gate.clone();
                    gate.freeze();
                    self.executor.world().after(*lasts, move || gate.thaw());
                    self.knowledge.entry(life.link_home).or_default().frozen += *lasts;
                    self.points.reach("a process is frozen");
                }
            }
            Act::Observe => {
                let observer = self.observe(home, true, false);
                self.observers.push(observer);
            }
            Act::Follow(to) => self.follow(log, *to),
            Act::Hear(other) => self.hear(log, *other),
            Act::Alone { lands } => {
                if let Some(life) = &self.members[log].life {
                    life.links.iter().for_each(|link| link.left_alone(*lands));
                }
            }
            Act::Rank => {
                if let Some((_, replica)) = self.live(log)
                    && let Ok(board) = replica.leaderboard("")
                    && let Some(life) = &mut self.members[log].life
                {
                    life.board = Some(board);
                }
            }
            Act::Newer { is_snapshot } => self.plant_newer(log, *is_snapshot),
            Act::Spoil(what) => self.spoil(log, *what),
        }
    }

    /// Changes objects. Returns the position, if it could.
    pub(super) fn change(&mut self, log: Log, changes: &[(Object, Did)], by_zombie: bool) -> Option<u64> {
        let member = &self.members[log];
        let life = if by_zombie { member.zombies.last() } else { member.life.as_ref() }?;
        let replica = lock(&life.given).replica.clone()?;
        let seen = self.seen_by(&replica);
        let is_full = self.is_full(&replica);
        // A deletion is of every kind that is live there.
        let written = replica.batch(|batch| {
            changes.iter().for_each(|(object, did)| put(batch, object, *did));
            Ok::<(), BatchError>(())
        });
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                self.points.reach(refused(error.kind()));
                return None;
            }
        };
        if let Some((_, did)) = changes.iter().find(|(_, did)| matches!(did, Did::Put(_) | Did::Write(_)))
            && is_full
        {
            self.over_memory = Some(format!("{} took {did:?}", replica.name()));
        }
        if by_zombie {
            self.points.reach("a zombie changes something");
        }
        let (process, position) = (life.process, u64::from(written.position()));
        self.history.pass_to(self.executor.world().now());
        for ((path, sort), did) in changes {
            let sorts: &[Sort] = if *did == Did::Delete { &Sort::ALL } else { &[*sort] };
            for sort in sorts {
                self.history.record((process, log), position, (path.clone(), *sort), *did, seen.clone());
            }
        }
        self.changes += changes.len();
        self.executor.world().operated();
        // What has changed nothing is never written, and durable at once: to delete what is not there, say.
        let changes_something = |did: &Did| match did {
            Did::Count(by) => *by != 0,
            Did::Put(_) | Did::Write(_) => true,
            Did::Take(_) | Did::Delete => false,
        };
        let is_something = changes.iter().any(|(_, did)| changes_something(did))
            && !changes.iter().any(|(_, did)| *did == Did::Delete);
        let member = &mut self.members[log];
        let life = if by_zombie { member.zombies.last_mut() } else { member.life.as_mut() };
        if let Some(life) = life.filter(|_| is_something) {
            life.changed = Some(position);
        }
        Some(position)
    }

    /// True when a replica has reached the limit of its memory, if there is one.
    fn is_full(&self, replica: &Replica) -> bool {
        let limit = self.story.settings.memory_bytes;
        limit != u64::MAX && replica.status().memory_bytes >= limit
    }

    fn rely(&self, log: Log) {
        let Some((life, replica)) = self.live(log) else { return };
        let (given, Some(position)) = (Arc::clone(&life.given), life.changed) else { return };
        let written = replica.batch(|_| Ok::<(), BatchError>(()));
        if let Ok(written) = written {
            let waiting = life.gate.guard(async move {
                if written.durable().await.is_ok() {
                    lock(&given).relied_on.push(position);
                }
            });
            self.executor.spawn(life.place, waiting);
        }
    }

    /// An operator who was not answered asks again.
    pub(super) fn evict_again(&mut self) {
        self.find_lost_evictions();
        for log in 0..self.members.len() {
            let Some(eviction) = self.members[log].evicted.clone().filter(|eviction| !eviction.is_done()) else {
                continue;
            };
            // If that operator's replica is gone for good another one is asked.
            let by = match self.is_quiet && !self.members[eviction.by].counts() {
                true => {
                    (0..self.members.len()).find(|other| self.members[*other].counts() && self.live(*other).is_some())
                }
                false => Some(eviction.by),
            };
            let Some((life, replica)) = by.and_then(|by| self.live(by)) else { continue };
            let (name, is_done) = (self.members[log].name.clone(), Arc::clone(&eviction.is_done));
            // Where less is there than the operator's replica once knew he names the end.
            let named = (eviction.tries > 2 && self.is_quiet).then(|| self.furthest_of(log)).flatten();
            let evicting = life.gate.guard(async move {
                if replica.evict(name.as_str(), named.map(Into::into)).await.is_ok() {
                    is_done.store(true, std::sync::atomic::Ordering::Relaxed);
                }
            });
            self.executor.spawn(life.place, evicting);
            if let Some(eviction) = &mut self.members[log].evicted {
                eviction.tries += 1;
            }
        }
    }

    /// An eviction that was lost with a bucket, of which no replica knows any more, is not done: its operator sees that.
    fn find_lost_evictions(&mut self) {
        if self.ledger.lost.is_empty() || !self.is_quiet {
            return;
        }
        let live: Vec<_> = self.there().filter(|(_, member)| member.counts()).map(|(log, _)| log).collect();
        let told: Vec<_> = live.into_iter().filter_map(|log| Some(self.live(log)?.1.status().logs)).collect();
        for member in &mut self.members {
            let is_known = told.iter().flatten().any(|log| log.replica == member.name && log.evicted.is_some());
            if let Some(eviction) = member.evicted.as_mut().filter(|eviction| eviction.is_done())
                && !is_known
                && !told.is_empty()
            {
                *eviction = Eviction { is_done: Arc::default(), ..eviction.clone() };
            }
        }
    }

    /// How far the live replicas have read a log.
    fn furthest_of(&self, log: Log) -> Option<u64> {
        let views = self.there().filter(|(_, member)| member.counts()).filter_map(|(other, _)| self.view(other));
        views.filter_map(|(_, view)| view.seen.get(&log).copied()).max()
    }

    fn roll_back(&mut self, home: usize) {
        let before = self.stores[home].keys();
        self.stores[home].restore(&self.images[home].clone().unwrap_or_default());
        let after = self.stores[home].keys();
        let after: std::collections::BTreeSet<_> = after.iter().collect();
        *self.ledger.branch.entry(home).or_default() += 1;
        let mut is_less = false;
        for key in before.iter().filter(|key| !after.contains(key)) {
            match self.ledger.place(key) {
                super::ledger::Place::Log(log, position) => {
                    is_less = true;
                    let lost = self.ledger.lost.entry(log).or_default();
                    // What nobody could read nobody has read, and its slot may be written again.
                    if self.ledger.entries.contains_key(&(log, position)) {
                        lost.positions.insert(position);
                    }
                }
                super::ledger::Place::Manifest(log, _) | super::ledger::Place::Part(log) => {
                    self.ledger.lost.entry(log).or_default();
                }
                super::ledger::Place::Other => {}
            }
        }
        if is_less {
            let is_empty = self.images[home].is_none();
            self.points.reach(if is_empty { "a bucket is emptied" } else { "a bucket is rolled back" });
            let runs = self.there().any(|(_, member)| member.home == home && member.life.is_some());
            if runs {
                self.points.reach("a bucket is rolled back under its replica");
            }
        }
    }

    /// A hint of the newest object of another replica's log comes.
    fn hear(&self, log: Log, other: Log) {
        let (Some(life), Some(of)) = (&self.members[log].life, self.members.get(other)) else { return };
        let prefix = format!("v1/log/{}/", of.name);
        let newest = self.stores[of.home].keys().into_iter().rev().find(|key| key.starts_with(&prefix));
        if let (Some(key), Some((_, hints))) = (newest, life.hints.iter().find(|(bucket, _)| *bucket == of.home)) {
            hints.tell(Some(&key));
        }
    }

    /// A client writes in one region, and takes a token of it to another.
    fn follow(&mut self, from: Log, to: usize) {
        let number = self.couriers.len();
        let (path, value) = (format!("token/{number}"), number as u16);
        let Some(position) = self.change(from, &[((path.clone(), Sort::Every), Did::Write(value))], false) else {
            return;
        };
        let Some((life, replica)) = self.live(from) else { return };
        let token = Arc::default();
        let courier = Courier {
            to,
            from,
            path,
            value,
            token: Arc::clone(&token),
            read: Arc::default(),
            is_under_way: false,
            is_told: false,
        };
        let waiting = life.gate.guard(async move {
            let written = replica.batch(|_| Ok::<(), BatchError>(()));
            if let Ok(written) = written
                && written.durable().await.is_ok()
            {
                *lock(&token) = Some((replica.token(), position));
            }
        });
        self.executor.spawn(life.place, waiting);
        self.couriers.push(courier);
    }

    /// Who has a token goes to the other region and waits there.
    pub(super) fn send_couriers(&mut self) {
        for number in 0..self.couriers.len() {
            let courier = &self.couriers[number];
            let token = lock(&courier.token).clone();
            let (Some((token, position)), false) = (token, courier.is_under_way) else { continue };
            if self.members[courier.from].is_evicted() || self.ledger.lost.contains_key(&courier.from) {
                continue;
            }
            // A token taken after a durable write has it.
            debug_assert!(self.ledger.seen(token.frontier()).get(&courier.from) >= Some(&position));
            let Some((life, replica)) = self.live(courier.to) else { continue };
            let (read_there, path) = (Arc::clone(&courier.read), courier.path.clone());
            let waiting = life.gate.guard(async move {
                if replica.wait_for(&token).await.is_ok() {
                    *lock(&read_there) = Some(read(&replica, &(path, Sort::Every)));
                }
            });
            self.executor.spawn(life.place, waiting);
            self.couriers[number].is_under_way = true;
        }
    }

    /// Puts what only a later version can read behind the end of a log, or of its snapshots.
    fn plant_newer(&mut self, log: Log, is_snapshot: bool) {
        let name: ReplicaName = self.members[log].name.clone();
        let home = self.members[log].home;
        let prefix = format!("v1/log/{name}/");
        let store = &self.stores[home];
        let Some(last) = store.keys().into_iter().rev().find(|key| key.starts_with(&prefix)) else { return };
        let Some(BucketKey::Log { position, .. }) = BucketKey::parse(&last) else { return };
        // Behind a seal a log goes on in the epoch that the seal names.
        let next = match store.peek(&last).map(|body| decode(&body, &last, None)) {
            Some(Ok(LogObject::Seal(found))) => found.seal().next_epoch.map(|epoch| Position::new(epoch, 0)),
            _ => position.next(),
        };
        let Some(next) = next else { return };
        let key = match is_snapshot {
            true => BucketKey::Manifest { replica: name, position: next },
            false => BucketKey::Log { replica: name, position: next },
        };
        let key = keys().key(&key);
        if store.peek(&key).is_some() {
            return;
        }
        // `docs/format.md`, the envelope: what comes behind the version is that version's own matter.
        let mut body = replica::log::MAGIC.to_vec();
        body.extend_from_slice(&(replica::log::VERSION + 1).to_le_bytes());
        body.extend_from_slice(&[0x5a; 60]);
        store.plant(&key, body.into());
        self.planted.push((home, key));
        // It is of another process, of a later version: this one is gone.
        if let Some(life) = &self.members[log].life {
            let place = life.place;
            self.executor.crash(place);
            self.forget(place);
        }
    }

    /// Flips a bit of what is in the bucket of a log.
    fn spoil(&mut self, log: Log, what: Spoiled) {
        let (name, home) = (&self.members[log].name, self.members[log].home);
        let store = &self.stores[home];
        let under = |folder: &str| -> Vec<String> {
            let prefix = format!("v1/{folder}/{name}/");
            store.keys().into_iter().filter(|key| key.starts_with(&prefix)).collect()
        };
        let last = |folder: &str| under(folder).into_iter().next_back().into_iter().collect();
        let spoiled: Vec<String> = match what {
            Spoiled::LogEnd => last("log"),
            Spoiled::Manifest => last("snap"),
            Spoiled::Manifests => under("snap"),
            Spoiled::Part => {
                let newest = self.ledger.snapshots_of(log).next_back();
                newest.into_iter().filter_map(|(_, snapshot)| snapshot.parts.first().cloned()).collect()
            }
        };
        if what.is_fatal() {
            self.ledger.note_damage(log);
        }
        for key in spoiled {
            let Some(body) = store.peek(&key) else { continue };
            if store.damage(&key, Damage::Flip(body.len() * 4)) {
                self.points.reach("an object is damaged where it lies");
                self.spoiled.push((home, key, body));
            }
        }
    }

    /// True when an object of this log is damaged where it lies.
    pub(super) fn has_spoiled(&self, log: Log) -> bool {
        let of_it = |key: &str| matches!(self.ledger.place(key), super::ledger::Place::Log(of, _) if of == log);
        self.spoiled.iter().any(|(_, key, _)| of_it(key))
    }

    /// What was damaged and is still there is as it was.
    pub(super) fn mend(&mut self) {
        for (home, key, body) in std::mem::take(&mut self.spoiled) {
            if self.stores[home].peek(&key).is_some() {
                self.stores[home].plant(&key, body);
            }
        }
    }

    /// A process has come to itself after its log was taken over.
    pub(super) fn note_zombies(&mut self) {
        for log in 0..self.members.len() {
            let deleted = self.ledger.deleted.get(&log).copied();
            for zombie in &mut self.members[log].zombies {
                let is_frozen = zombie.gate.is_frozen();
                if is_frozen {
                    zombie.was_frozen = true;
                } else if std::mem::take(&mut zombie.was_frozen) {
                    self.points.reach("a frozen process goes on after its log was taken over");
                    if deleted.is_some_and(|deleted| zombie.seen.get(&log).is_some_and(|seen| *seen <= deleted)) {
                        self.points.reach("a frozen process goes on after its log was collected");
                    }
                }
            }
        }
    }
}

/// The point that is reached when a process ends at a request.
pub(super) const fn ended_at(moment: Moment, is_open: bool) -> &'static str {
    match moment {
        Moment::Seal => "a process ends at its seal",
        Moment::Segment => "a process ends at a segment",
        Moment::Part => "a process ends at a part of a snapshot",
        Moment::Manifest => "a process ends at a manifest",
        Moment::ListParts => "a process ends between a manifest and its check",
        Moment::ListLog if is_open => "a process ends while it lists a log",
        Moment::ReadLog if is_open => "a process ends while it reads a log",
        Moment::ReadSnapshot if is_open => "a process ends while it reads a snapshot",
        Moment::ListLog => "a process ends while it finds the end of its log",
        Moment::ReadLog => "a process ends while it recovers its log",
        Moment::ReadSnapshot => "a process ends while it recovers a snapshot",
        Moment::DropSegment | Moment::DropSnapshot => "a process ends in a collection",
    }
}

/// The point that is reached when a change is refused.
const fn refused(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Backpressure => "a change is refused by back-pressure",
        ErrorKind::ClockSkew => "a change is refused for a clock behind",
        ErrorKind::Fenced => "a change is refused by a fenced process",
        ErrorKind::Evicted => "a change is refused by an evicted replica",
        ErrorKind::Closed => "a change is refused by a closed replica",
        _ => "a change is refused",
    }
}

/// What a number becomes in a set or register: few bytes, or as many as there may be.
fn content(value: u16, most: usize) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    if value >= LARGE {
        bytes.resize(most, 7);
    }
    bytes
}

/// The largest element and the largest value.
const ELEMENT_BYTES: usize = 64 << 10;
const VALUE_BYTES: usize = 1 << 20;

fn put(batch: &mut replica::Batch<'_>, (path, sort): &Object, did: Did) {
    if let Did::Count(by) = did
        && path.starts_with(INGESTED)
    {
        batch.mark(path, MarkValue::Number(by.unsigned_abs()));
    }
    match (sort, did) {
        (_, Did::Delete) => batch.delete(path),
        (Sort::Grows, Did::Count(by)) => drop(batch.g_counter(path).add(by.unsigned_abs())),
        (Sort::Counter, Did::Count(by)) => drop(batch.pn_counter(path).add(by)),
        (Sort::Last, Did::Write(value)) => drop(batch.lww_register::<[u8]>(path).set(&*content(value, VALUE_BYTES))),
        (Sort::Every, Did::Write(value)) => drop(batch.mv_register::<[u8]>(path).set(&*content(value, VALUE_BYTES))),
        (Sort::Set, Did::Put(element)) => drop(batch.or_set::<[u8]>(path).add(&*content(element, ELEMENT_BYTES))),
        (Sort::Set, Did::Take(element)) => drop(batch.or_set::<[u8]>(path).remove(&*content(element, ELEMENT_BYTES))),
        _ => unreachable!("a story does to an object what can be done to it"),
    }
}

impl Courier {
    /// What it must read.
    pub(crate) fn must_read(&self) -> Truth {
        Truth::Writes([self.value].into())
    }

    /// By whom it was written.
    pub(crate) const fn from(&self) -> Log {
        self.from
    }

    /// Whether this was asked before, once it has read.
    pub(crate) fn was_told(&mut self) -> bool {
        std::mem::replace(&mut self.is_told, true)
    }

    /// True while it has not read.
    pub(crate) fn is_away(&self) -> bool {
        lock(&self.read).is_none()
    }
}

/// How long a step of time is while it is waited for something that takes about so long.
pub(super) fn step_of(long: Duration) -> Duration {
    (long / 16).max(Duration::from_secs(2))
}
