//! Idempotency keys: which requests have been answered, so that one that is repeated is answered again and not done again.
//! Layer 1.
//!
//! A key is remembered in a mark that is in the same segment as what the request did: after a crash both are there or neither.
//! Marks have no end but their age, so a fixed number of them is used over and over, each for the key that came longest ago.
//! A mark holds 32 bytes: half of them from the hash of the key, half from that of the request.

use core::time::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use replica::{Batch, MarkValue, Replica, Written};

use crate::{access::Caller, problem::Problem};
use axum::http::{HeaderMap, StatusCode};

/// The header in which a key is sent.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest key.
const KEY_BYTES_MAX: usize = 255;

type Half = [u8; 16];

/// A request that must be done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Once {
    key: Half,
    request: Half,
}

impl Once {
    /// What the header says, if it is there. A key belongs to the caller who sends it, and `request` is what must be the same
    /// when it comes again.
    pub(crate) fn read(headers: &HeaderMap, caller: &Caller, request: &[&[u8]]) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.as_bytes();
        let is_key = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(|byte| (0x20..0x7f).contains(byte));
        if !is_key || values.next().is_some() {
            return Err(Problem::invalid("an Idempotency-Key is 1 to 255 printable characters, and stands once"));
        }
        Ok(Some(Self { key: half_of(&[caller.0.as_bytes(), key]), request: half_of(request) }))
    }
}

/// Half of the hash of some parts, each of which is told from the others by its length.
fn half_of(parts: &[&[u8]]) -> Half {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let hash = hasher.finalize();
    core::array::from_fn(|index| hash.as_bytes()[index])
}

/// The keys that are remembered.
pub(crate) struct Keys {
    kept: Mutex<Kept>,
    slots: u32,
    kept_ms: u64,
}

struct Kept {
    answered: BTreeMap<Half, Answered>,
    /// The keys in the order in which they came, with the time.
    order: VecDeque<(u64, Half)>,
    /// Slots that hold nothing.
    free: Vec<u32>,
}

/// A request that has been answered.
struct Answered {
    request: Half,
    slot: u32,
    /// What it did; `None` when that was before the server was started.
    written: Option<Written>,
}

/// What is known of a request.
pub(crate) enum Known {
    /// It was done by this, be it now or before.
    Done { written: Written, repeated: bool },
    /// It was done before the server was started.
    DoneBefore,
}

impl Keys {
    /// What the marks of a replica say. Cost: a look for each key that there may be.
    pub(crate) fn recover(replica: &Replica, slots: u32, kept: Duration) -> Self {
        let mut found = Vec::new();
        let mut free = Vec::new();
        for slot in (0..slots).rev() {
            match replica.mark(mark_name(slot)).map(|mark| (mark.value, mark.time.millis())) {
                Some((MarkValue::Hash(hash), time)) => found.push((time, slot, hash)),
                _ => free.push(slot),
            }
        }
        found.sort_unstable();
        let mut kept_keys = Kept { answered: BTreeMap::new(), order: VecDeque::new(), free };
        for (time, slot, hash) in found {
            let half = |from: usize| core::array::from_fn(|index| hash[from + index]);
            let (key, request) = (half(0), half(16));
            if let Some(older) = kept_keys.answered.insert(key, Answered { request, slot, written: None }) {
                // It had been forgotten here, and came again.
                kept_keys.free.push(older.slot);
                kept_keys.order.retain(|(_, held)| *held != key);
            }
            kept_keys.order.push_back((time, key));
        }
        Self { kept: Mutex::new(kept_keys), slots, kept_ms: kept.as_millis() as u64 }
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.kept().answered.len()
    }

    /// Does a request unless it has been done. `change` makes a batch; it is given what to add to it. Requests with keys take
    /// turns here, so two with the same one are never done both.
    ///
    /// # Errors
    ///
    /// 422 when the key came with another request before; whatever `change` fails with, and then nothing is remembered.
    pub(crate) fn once(
        &self,
        once: Once,
        now_ms: u64,
        change: impl FnOnce(&dyn Fn(&mut Batch<'_>)) -> Result<Written, Problem>,
    ) -> Result<Known, Problem> {
        let mut kept = self.kept();
        kept.forget_before(now_ms.saturating_sub(self.kept_ms));
        if let Some(answered) = kept.answered.get(&once.key) {
            if answered.request != once.request {
                let detail = "this Idempotency-Key came with another request before";
                let advice = "Use a new key for each request that is to be done once. Nothing was changed.";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", detail, advice));
            }
            return Ok(match &answered.written {
                Some(written) => Known::Done { written: written.clone(), repeated: true },
                None => Known::DoneBefore,
            });
        }
        // Without a free slot the oldest key is given up: once what replaces it is there.
        let oldest = if kept.free.is_empty() { kept.order.front().map(|(_, key)| *key) } else { None };
        let slot = match oldest.and_then(|key| kept.answered.get(&key)) {
            Some(oldest) => oldest.slot,
            None => kept.free.last().copied().unwrap_or(self.slots),
        };
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&once.key);
        hash[16..].copy_from_slice(&once.request);
        let written = change(&|batch| batch.mark(mark_name(slot), MarkValue::Hash(hash)))?;
        match oldest {
            Some(key) => {
                kept.answered.remove(&key);
                kept.order.pop_front();
            }
            None => drop(kept.free.pop()),
        }
        kept.order.push_back((now_ms, once.key));
        kept.answered.insert(once.key, Answered { request: once.request, slot, written: Some(written.clone()) });
        Ok(Known::Done { written, repeated: false })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_before(&mut self, time_ms: u64) {
        while let Some((time, key)) = self.order.front().copied() {
            if time >= time_ms {
                break;
            }
            self.order.pop_front();
            if let Some(answered) = self.answered.remove(&key) {
                self.free.push(answered.slot);
            }
        }
    }
}

fn mark_name(slot: u32) -> String {
    format!("http/{slot:05x}")
}
