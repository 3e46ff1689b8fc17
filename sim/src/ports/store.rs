//! What a simulated bucket holds, and what becomes of it at rest.
//! Layer 2.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::{Bound, Range},
    time::Duration,
};

use bytes::Bytes;
use replica::ports::{BucketError, Created, Outcome, Page, Stored};

use super::{
    faults::{Fault, Way},
    gate::Moment,
    hints::SimHints,
};
use crate::machine::nanoseconds;

/// For how long a list can be stale, and so for how long what was deleted is remembered.
const STALE_MAX_NS: u64 = 60_000_000_000;

/// The objects of a bucket at one time.
#[derive(Clone, Debug, Default)]
pub struct Image(BTreeMap<String, Object>);

/// What has happened to an object at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Only so many bytes are left.
    Truncate(usize),
    /// This bit, counted from the beginning, modulo the length, is not what it was.
    Flip(usize),
}

#[derive(Clone, Debug)]
struct Object {
    body: Bytes,
    /// When it was created.
    since: u64,
}

#[derive(Debug)]
struct Deleted {
    key: String,
    size: u64,
    since: u64,
    at: u64,
}

/// The objects, and those deleted lately.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<String, Object>,
    deleted: VecDeque<Deleted>,
    /// Who is told of new objects.
    pub(crate) listeners: Vec<SimHints>,
    /// Every key that was ever created, with what it held first, if that is kept.
    pub(crate) journal: Option<BTreeMap<String, Bytes>>,
    /// What has happened since it was asked last, if the journal is kept.
    pub(crate) happened: Vec<Happened>,
    /// The times at which nobody can reach it, in nanoseconds.
    pub(crate) away: Vec<(Way, Range<u64>)>,
    /// How many links there are.
    pub(crate) links: u32,
}

/// A request that had an effect, or would have had.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    /// When.
    pub(crate) at: u64,
    /// Over which link.
    pub(crate) link: u32,
    pub(crate) key: String,
    pub(crate) what: Effect,
    /// What the request met.
    pub(crate) fault: Option<Fault>,
    /// True when nobody waited for its answer any more.
    pub(crate) alone: bool,
    pub(crate) moment: Option<Moment>,
}

#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// An object was created, and this is it.
    Created(Bytes),
    /// There was one: this one, or another.
    Exists { same: bool },
    /// An object was deleted.
    Deleted,
    /// There was none to delete.
    NotThere,
    /// It failed, and had no effect.
    Nothing,
}

impl Store {
    pub(crate) fn create(&mut self, key: &str, body: Bytes, now: u64) -> Result<Created, BucketError> {
        if self.objects.contains_key(key) {
            return Ok(Created::Exists);
        }
        let is_folder = self.under(&format!("{key}/"), None).next().is_some();
        if is_folder || key.match_indices('/').any(|(at, _)| self.objects.contains_key(&key[..at])) {
            let message = format!("not created: a key is a folder of another: key={key:?}");
            return Err(BucketError::new(Outcome::Refused, message));
        }
        if let Some(journal) = &mut self.journal {
            journal.entry(key.to_owned()).or_insert_with(|| body.clone());
        }
        self.objects.insert(key.to_owned(), Object { body, since: now });
        Ok(Created::New)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Bytes> {
        self.objects.get(key).map(|object| &object.body)
    }

    /// Returns whether there was one.
    pub(crate) fn delete(&mut self, key: &str, now: u64) -> bool {
        if let Some(Object { body, since }) = self.objects.remove(key) {
            while self.deleted.front().is_some_and(|oldest| oldest.at + STALE_MAX_NS < now) {
                self.deleted.pop_front();
            }
            self.deleted.push_back(Deleted { key: key.to_owned(), size: body.len() as u64, since, at: now });
            return true;
        }
        false
    }

    pub(crate) fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Page {
        let mut found = self.under(prefix, after).map(|(key, object)| stored(key, object));
        let objects = found.by_ref().take(limit).collect();
        Page { objects, more: found.next().is_some() }
    }

    /// The list as it was at some time.
    pub(crate) fn list_at(&self, at: u64, prefix: &str, after: Option<&str>, limit: usize) -> Page {
        let then =
            self.under(prefix, after).filter(|(_, object)| object.since <= at).map(|(key, object)| stored(key, object));
        let ghosts = self.deleted.iter().filter(|ghost| ghost.since <= at && at < ghost.at);
        let ghosts = ghosts
            .filter(|ghost| ghost.key.starts_with(prefix) && after.is_none_or(|after| ghost.key.as_str() > after));
        let then: BTreeMap<_, _> = then
            .chain(ghosts.map(|ghost| Stored { key: ghost.key.clone(), size: ghost.size }))
            .map(|stored| (stored.key.clone(), stored))
            .collect();
        let mut found = then.into_values();
        let objects = found.by_ref().take(limit).collect();
        Page { objects, more: found.next().is_some() }
    }

    /// The list with what was deleted lately.
    pub(crate) fn list_with_ghosts(&self, prefix: &str, after: Option<&str>, limit: usize) -> Page {
        let ghosts = self.deleted.iter().filter(|ghost| ghost.key.starts_with(prefix));
        let ghosts = ghosts.filter(|ghost| after.is_none_or(|after| ghost.key.as_str() > after));
        let all: BTreeMap<_, _> = ghosts
            .map(|ghost| Stored { key: ghost.key.clone(), size: ghost.size })
            .chain(self.under(prefix, after).map(|(key, object)| stored(key, object)))
            .map(|stored| (stored.key.clone(), stored))
            .collect();
        let mut found = all.into_values();
        let objects = found.by_ref().take(limit).collect();
        Page { objects, more: found.next().is_some() }
    }

    /// Another object than that of this key, by a number.
    pub(crate) fn another(&self, key: &str, number: u64) -> Option<&Bytes> {
        let count = (self.objects.len() as u64).max(1);
        let (_, object) = self.objects.iter().filter(|(other, _)| *other != key).nth((number % count) as usize)?;
        Some(&object.body)
    }

    /// Puts an object there, as no replica of this version would.
    pub(crate) fn plant(&mut self, key: &str, body: Bytes, now: u64) {
        self.objects.insert(key.to_owned(), Object { body, since: now });
    }

    pub(crate) fn folders(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        // From one folder on to the next, however many objects there are in it.
        let mut from = prefix.to_owned();
        while let Some((key, _)) =
            self.objects.range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded)).next()
        {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            match rest.split_once('/') {
                Some((name, _)) => {
                    names.push(name.to_owned());
                    // `0` follows `/`.
                    from = format!("{prefix}{name}0");
                }
                None => from = format!("{key}!"),
            }
        }
        // `a-/x` comes before `a/x`, and `a` before `a-`.
        names.sort_unstable();
        names
    }

    /// The folders of the objects of a list.
    pub(crate) fn folders_of(page: &Page, prefix: &str) -> Vec<String> {
        let names = page.objects.iter().filter_map(|stored| stored.key.strip_prefix(prefix)?.split_once('/'));
        let names: BTreeSet<_> = names.map(|(name, _)| name.to_owned()).collect();
        names.into_iter().collect()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    pub(crate) fn image(&self) -> Image {
        Image(self.objects.clone())
    }

    pub(crate) fn restore(&mut self, image: &Image) {
        self.objects = image.0.clone();
        self.deleted.clear();
    }

    pub(crate) fn damage(&mut self, key: &str, damage: Damage) -> bool {
        let Some(object) = self.objects.get_mut(key) else { return false };
        object.body = damaged(&object.body, damage);
        true
    }

    fn under(&self, prefix: &str, after: Option<&str>) -> impl Iterator<Item = (&String, &Object)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.objects.range::<str, _>((from, Bound::Unbounded)).take_while(move |(key, _)| key.starts_with(prefix))
    }
}

/// The body with the damage done to it.
pub(crate) fn damaged(body: &Bytes, damage: Damage) -> Bytes {
    match damage {
        Damage::Truncate(length) => body.slice(..length.min(body.len())),
        Damage::Flip(_) if body.is_empty() => Bytes::new(),
        Damage::Flip(bit) => {
            let mut bytes = body.to_vec();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes.into()
        }
    }
}

fn stored(key: &str, object: &Object) -> Stored {
    Stored { key: key.to_owned(), size: object.body.len() as u64 }
}

/// A time within which lists can be stale.
pub(crate) fn stale_ns(stale_max: Duration) -> u64 {
    nanoseconds(stale_max).min(STALE_MAX_NS)
}

/// A hash that is the same in every run.
pub(crate) fn hash(bytes: &[u8], seed: u64) -> u64 {
    bytes.chunks(8).fold(seed ^ bytes.len() as u64, |state, some| {
        let mut word = [0; 8];
        word[..some.len()].copy_from_slice(some);
        (state.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}
