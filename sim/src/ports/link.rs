//! A link to a store: how long requests take on it, what they meet, and what has been asked.
//! Layer 2.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use replica::ports::Outcome;

use super::{
    faults::{Fault, Faults, Lists, Request, Way},
    gate::Gate,
    journal::{Teller, What},
};
use crate::{
    machine::{World, nanoseconds},
    random::Random,
};

/// What has been asked over one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// How many creates.
    pub creates: u64,
    /// How many gets of whole objects.
    pub gets: u64,
    /// How many gets of ranges.
    pub ranges: u64,
    /// How many lists.
    pub lists: u64,
    /// How many lists of folders.
    pub folders: u64,
    /// How many deletes.
    pub deletes: u64,
    /// Bytes sent with creates.
    pub sent: u64,
    /// Bytes received from gets.
    pub received: u64,
}

/// One party's way to a store, and what becomes of requests on it.
pub(super) struct Link {
    pub(super) faults: Faults,
    pub(super) random: Random,
    pub(super) requests: Requests,
    /// How many requests are under way, and how many were at once at most.
    pub(super) under_way: Arc<AtomicU64>,
    pub(super) under_way_max: u64,
    pub(super) met: [u64; Fault::ALL.len()],
    /// The times at which the store cannot be reached, in nanoseconds.
    pub(super) unreachable: Vec<(Way, Range<u64>)>,
    /// Which of those that share the store this link is.
    pub(super) number: u32,
    /// How far the lists of a prefix can be believed.
    pub(super) lists: fn(&str) -> Lists,
    /// Through which the process at this end of it is polled.
    pub(super) gate: Option<Gate>,
    /// Faults that wait for their request, and how many such requests go by before it.
    pub(super) armed: VecDeque<(Request, Fault, u64)>,
    pub(super) teller: Option<Teller>,
    /// Whether what is on its way when its caller is gone has its effect; if nothing was said, chance decides.
    pub(super) alone: Option<bool>,
    /// When something was asked last, and how often in that instant without meeting anything, of each sort.
    pub(super) instant: (u64, [u64; Request::SORTS]),
}

/// How one request goes: what it takes there and back, and what it meets.
pub(super) struct Plan {
    pub(super) there: u64,
    pub(super) back: u64,
    pub(super) fault: Option<Fault>,
    /// A number for what else the fault needs to know.
    pub(super) draw: u64,
    /// Held while somebody waits for the answer.
    pub(super) _under_way: UnderWay,
}

/// One request under way.
pub(super) struct UnderWay(Arc<AtomicU64>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Plan {
    /// What is answered instead of doing anything.
    pub(super) const fn no_effect(&self) -> Option<Outcome> {
        match self.fault {
            Some(Fault::Failed | Fault::Conflict) => Some(Outcome::Unavailable),
            Some(Fault::Unsure) => Some(Outcome::Indeterminate),
            Some(Fault::Throttled) => Some(Outcome::Throttled),
            Some(Fault::Refused) => Some(Outcome::Refused),
            _ => None,
        }
    }
}

impl Link {
    pub(super) fn shared(world: &World, name: &str, faults: Faults, number: u32) -> Arc<Mutex<Self>> {
        let random = world.random(name);
        Arc::new(Mutex::new(Self {
            faults,
            random,
            requests: Requests::default(),
            under_way: Arc::default(),
            under_way_max: 0,
            met: [0; Fault::ALL.len()],
            unreachable: Vec::new(),
            number,
            lists: |_| Lists::Faulty,
            gate: None,
            armed: VecDeque::new(),
            teller: None,
            alone: None,
            instant: (0, [0; Request::SORTS]),
        }))
    }

    /// The fault that waits for a request, if it is its turn.
    pub(super) fn armed(&mut self, request: Request) -> Option<Fault> {
        let at = self.armed.iter().position(|(of, ..)| *of == request)?;
        let (_, fault, skip) = &mut self.armed[at];
        let fault = *fault;
        if *skip > 0 {
            *skip -= 1;
            return None;
        }
        self.armed.remove(at);
        Some(fault)
    }

    /// Counts a request as under way.
    pub(super) fn begin(&mut self) -> UnderWay {
        let others = self.under_way.fetch_add(1, Ordering::Relaxed);
        self.under_way_max = self.under_way_max.max(others + 1);
        UnderWay(Arc::clone(&self.under_way))
    }

    /// Tells of a request.
    pub(super) fn asked(&mut self, now: Duration, request: Request, key: &str, fault: Option<Fault>) {
        let Some(teller) = &self.teller else { return };
        if self.instant.0 != nanoseconds(now) {
            self.instant = (nanoseconds(now), [0; Request::SORTS]);
        }
        let unharmed = &mut self.instant.1[request as usize];
        if fault.is_some() || teller.journal.has_all() {
            let (bucket, key, skip) = (teller.bucket, key.to_owned(), *unharmed);
            teller.tell(now, What::Asked { bucket, request, key, fault, skip });
        }
        // The next one that meets something counts from here on.
        *unharmed = if fault.is_some() { 0 } else { *unharmed + 1 };
    }
}

impl Requests {
    /// All of them together.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.creates + self.gets + self.ranges + self.lists + self.folders + self.deletes
    }

    pub(super) const fn count(&mut self, request: Request) {
        let counter = match request {
            Request::Create => &mut self.creates,
            Request::Get => &mut self.gets,
            Request::Range => &mut self.ranges,
            Request::List => &mut self.lists,
            Request::Folders => &mut self.folders,
            Request::Delete => &mut self.deletes,
        };
        *counter += 1;
    }
}
