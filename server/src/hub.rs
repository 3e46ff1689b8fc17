//! Hubs, one for each prefix that is watched: each change is text once, whoever reads it, and the last ones are kept.
//! Layer 2.

use core::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use operations::{Shown, ShownValue};
use replica::{Event, Origin, Replica, Watch, ports::Entropy};
use serde::Serialize;
use tokio::{sync::watch, time::interval};

use crate::{app::App, value::weight};

/// How many events are kept, and how many bytes of them: more than the largest request makes, as a rule.
const EVENTS_MAX: usize = 1 << 14;
const BYTES_MAX: usize = 4 << 20;

/// How many bytes all hubs keep together before each keeps less.
const ALL_BYTES_MAX: usize = 128 << 20;
const SCARCE_BYTES_MAX: usize = 64 << 10;

/// A value that takes more than that is not told: who wants it reads it.
const VALUE_BYTES_MAX: usize = 256 << 10;

/// How long a hub is kept that nobody reads.
const KEPT: Duration = Duration::from_secs(60);

/// How often it is looked meanwhile whether somebody does.
const UNREAD_LOOKS: u32 = 4;

/// How many hubs there are at most: each takes note of every change below its prefix.
const HUBS_MAX: usize = 1_024;

/// The hubs.
pub(crate) struct Hubs {
    by_prefix: Mutex<BTreeMap<String, Arc<Hub>>>,
    /// Tells the hubs of this process from those of others.
    process: u64,
    made: AtomicU64,
    /// How many bytes they keep.
    kept: Arc<AtomicUsize>,
}

/// The changes below a prefix.
pub(crate) struct Hub {
    /// Tells it from every other hub that there has been, here and elsewhere.
    pub(crate) id: String,
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
    readers: AtomicUsize,
    /// How many bytes all of them keep.
    kept: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Bytes>,
    bytes: usize,
    /// The number of the last event. Those before it have the numbers before.
    last: u64,
    has_ended: bool,
}

/// What a reader is told next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// An event, with its number in it.
    Event(u64, Bytes),
    /// Some were missed.
    Lagged,
    /// Nothing yet.
    Nothing,
    /// Nothing more: the replica has stopped.
    Ended,
}

/// A change, as it is told.
#[derive(Serialize)]
struct Told<'a> {
    path: &'a str,
    kind: &'static str,
    value: Option<ShownValue>,
    deleted: bool,
    /// True when the value is too large to be told.
    #[serde(skip_serializing_if = "is_false")]
    omitted: bool,
    /// The replica that made it; `null` when that is not known.
    origin: Option<&'a str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Somebody who reads a hub: it is kept as long.
pub(crate) struct Reader(Arc<Hub>);

impl core::ops::Deref for Reader {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.0
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hubs {
    pub(crate) fn new() -> Self {
        let mut process = [0; 8];
        replica::SystemEntropy.fill(&mut process);
        Self {
            by_prefix: Mutex::default(),
            process: u64::from_le_bytes(process),
            made: AtomicU64::new(0),
            kept: Arc::default(),
        }
    }

    fn by_prefix(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Hub>>> {
        self.by_prefix.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub of a prefix, made if it is not there. `None` when there are too many.
    pub(crate) fn enter(&self, app: &Arc<App>, prefix: &str) -> Option<Reader> {
        let mut by_prefix = self.by_prefix();
        if let Some(hub) = by_prefix.get(prefix) {
            hub.readers.fetch_add(1, Ordering::Relaxed);
            return Some(Reader(hub.clone()));
        }
        if by_prefix.len() >= HUBS_MAX {
            return None;
        }
        let id = format!("{:016x}{:x}", self.process, self.made.fetch_add(1, Ordering::Relaxed));
        let hub = Arc::new(Hub::new(id, 1, self.kept.clone()));
        by_prefix.insert(prefix.to_owned(), hub.clone());
        let watch = app.replica.watch(prefix);
        tokio::spawn(keep(app.clone(), hub.clone(), watch, prefix.to_owned()));
        Some(Reader(hub))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_prefix().len()
    }

    /// Lets a hub go, if nobody reads it.
    fn leave(&self, prefix: &str) -> bool {
        let mut by_prefix = self.by_prefix();
        let is_unread = by_prefix.get(prefix).is_none_or(|hub| hub.readers.load(Ordering::Relaxed) == 0);
        if is_unread {
            by_prefix.remove(prefix);
        }
        is_unread
    }
}

/// Takes in what changes, as long as somebody reads it, and some time longer for whoever comes back.
async fn keep(app: Arc<App>, hub: Arc<Hub>, mut watch: Watch, prefix: String) {
    let mut stopping = app.stopping.subscribe();
    let mut looks = interval(KEPT / UNREAD_LOOKS);
    let mut unread = 0;
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            _ = looks.tick() => {
                unread = if hub.readers.load(Ordering::Relaxed) == 0 { unread + 1 } else { 0 };
                if unread > UNREAD_LOOKS && app.hubs.leave(&prefix) {
                    return;
                }
                continue;
            }
            _ = stopping.wait_for(|stopping| *stopping) => None,
        };
        match event {
            Some(Event::Changed { key, value, origin }) => {
                let is_large = value.as_ref().is_some_and(|value| weight(value) > VALUE_BYTES_MAX);
                let Shown { path, kind, value: shown } = Shown::new(&key, value.as_ref().filter(|_| !is_large));
                let origin = origin_of(&origin, &app.replica);
                let told = Told { path, kind, value: shown, deleted: value.is_none(), omitted: is_large, origin };
                hub.push("change", &told);
            }
            Some(Event::Lagged) => hub.lag(),
            None => {
                hub.end();
                app.hubs.by_prefix().remove(&prefix);
                return;
            }
        }
    }
}

fn origin_of<'a>(origin: &'a Origin, here: &'a Replica) -> Option<&'a str> {
    match origin {
        Origin::Here => Some(here.name().as_str()),
        Origin::Replica(name) => Some(name.as_str()),
        Origin::Snapshot => None,
    }
}

/// An event as it is sent.
pub(crate) fn event(name: &str, id: Option<&str>, data: &impl Serialize) -> Bytes {
    // No line ends within JSON that is not told to be pretty.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.kept.fetch_sub(self.ring().bytes, Ordering::Relaxed);
    }
}

impl Hub {
    fn new(id: String, readers: usize, kept: Arc<AtomicUsize>) -> Self {
        let (ring, last, readers) = (Mutex::default(), watch::Sender::new(0), AtomicUsize::new(readers));
        Self { id, ring, last, readers, kept }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.ring().last
    }

    /// What tells of new events.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Where a reader was who has this id of an event, if all that came since is still here.
    pub(crate) fn place_of(&self, id: &str) -> Option<u64> {
        let (hub, number) = id.split_once('.')?;
        let number = number.parse().ok().filter(|_| hub == self.id)?;
        (!matches!(self.next(number), Next::Lagged)).then_some(number)
    }

    /// What comes behind the event of this number.
    pub(crate) fn next(&self, place: u64) -> Next {
        let ring = self.ring();
        let first = ring.last + 1 - ring.events.len() as u64;
        if place > ring.last || place + 1 < first {
            return Next::Lagged;
        }
        match ring.events.get((place + 1 - first) as usize) {
            Some(event) => Next::Event(place + 1, event.clone()),
            None if ring.has_ended => Next::Ended,
            None => Next::Nothing,
        }
    }

    fn push(&self, name: &str, data: &impl Serialize) {
        let mut ring = self.ring();
        let number = ring.last + 1;
        let event = event(name, Some(&format!("{}.{number}", self.id)), data);
        ring.last = number;
        ring.bytes += event.len();
        let all = self.kept.fetch_add(event.len(), Ordering::Relaxed);
        ring.events.push_back(event);
        let bytes_max = if all > ALL_BYTES_MAX { SCARCE_BYTES_MAX } else { BYTES_MAX };
        while ring.events.len() > EVENTS_MAX || (ring.bytes > bytes_max && ring.events.len() > 1) {
            let gone = ring.events.pop_front().map_or(0, |event| event.len());
            ring.bytes -= gone;
            self.kept.fetch_sub(gone, Ordering::Relaxed);
        }
        drop(ring);
        self.last.send_replace(number);
    }

    /// Some changes are not known here: whoever reads has missed them.
    fn lag(&self) {
        let mut ring = self.ring();
        self.kept.fetch_sub(ring.bytes, Ordering::Relaxed);
        *ring = Ring { last: ring.last + 1, ..Ring::default() };
        let last = ring.last;
        drop(ring);
        self.last.send_replace(last);
    }

    fn end(&self) {
        self.ring().has_ended = true;
        self.last.send_modify(|_| ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Hub {
        Hub::new("a".to_owned(), 0, Arc::default())
    }

    fn text(next: Next) -> String {
        match next {
            Next::Event(number, event) => format!("{number}: {}", String::from_utf8_lossy(&event)),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_reader_is_told_everything_from_its_place_on() {
        let hub = hub();
        assert_eq!(hub.next(0), Next::Nothing);
        hub.push("change", &1);
        hub.push("change", &"two\nlines");
        assert_eq!(text(hub.next(0)), "1: id: a.1\nevent: change\ndata: 1\n\n");
        assert_eq!(text(hub.next(1)), "2: id: a.2\nevent: change\ndata: \"two\\nlines\"\n\n");
        assert_eq!(hub.next(2), Next::Nothing);
        hub.end();
        assert_eq!(hub.next(2), Next::Ended);
        assert_eq!(text(hub.next(1)).chars().next(), Some('2'));
    }

    #[test]
    fn whoever_is_too_slow_has_missed_some() {
        let hub = hub();
        for number in 0..=EVENTS_MAX {
            hub.push("change", &number);
        }
        assert_eq!(hub.next(0), Next::Lagged);
        assert!(matches!(hub.next(1), Next::Event(2, _)));
        let large = "x".repeat(BYTES_MAX / 2);
        for _ in 0..3 {
            hub.push("change", &large);
        }
        let last = hub.last();
        assert_eq!(hub.next(last - 2), Next::Lagged);
        assert!(matches!(hub.next(last - 1), Next::Event(_, _)));
        hub.lag();
        assert_eq!(hub.next(last), Next::Lagged);
        assert_eq!(hub.next(last + 1), Next::Nothing);
        hub.push("change", &1);
        assert!(matches!(hub.next(last + 1), Next::Event(_, _)));
    }

    /// Hubs that together keep too much keep little each, and what is gone is given back.
    #[test]
    fn all_hubs_together_keep_so_much() {
        let kept = Arc::new(AtomicUsize::new(ALL_BYTES_MAX));
        let (one, other) = (Hub::new("a".to_owned(), 0, kept.clone()), Hub::new("b".to_owned(), 0, kept.clone()));
        let large = "x".repeat(SCARCE_BYTES_MAX / 2);
        (0..9).for_each(|_| [&one, &other].into_iter().for_each(|hub| hub.push("change", &large)));
        let most = SCARCE_BYTES_MAX + large.len() * 2;
        assert!((1..=most).contains(&one.ring().bytes) && (1..=most).contains(&other.ring().bytes));
        assert_eq!(kept.load(Ordering::Relaxed), ALL_BYTES_MAX + one.ring().bytes + other.ring().bytes);
        one.lag();
        drop(other);
        assert_eq!(kept.load(Ordering::Relaxed), ALL_BYTES_MAX);
    }

    #[test]
    fn a_place_is_found_again_while_nothing_behind_it_is_lost() {
        let hub = hub();
        for number in 0..EVENTS_MAX {
            hub.push("change", &number);
        }
        assert_eq!(hub.place_of("a.0"), Some(0));
        assert_eq!(hub.place_of("a.7"), Some(7));
        hub.push("change", &0);
        assert_eq!(hub.place_of("a.0"), None);
        for id in ["", "a", "a.", "b.7", "a.x", "a.-1", "a.99999", "a.7.7", "a.99999999999999999999999"] {
            assert_eq!(hub.place_of(id), None, "{id}");
        }
    }
}
