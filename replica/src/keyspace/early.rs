//! Removals that arrived ahead of what they remove.
//! Layer 2.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{
    Bytes, Dot, Frontier, Seen,
    planted::{Mutant, Point, is_planted, reached},
};

use crate::key::ObjectKey;

/// What was removed, of the segment that carries it: an object, and in a set which element.
pub type Removed = (ObjectKey, Option<Bytes>);

/// Removals whose dot is beyond the frontier: peers' logs are independent, so a removal can be applied before the
/// segment with the add that it observed.
///
/// SUBTLE: the dot alone is not enough. It stands for a whole segment, and forgetting which object and which element were
/// meant would hide everything else that the segment brings. Each entry is dropped when the frontier covers its dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early(BTreeMap<Dot, BTreeSet<Removed>>);

impl Early {
    /// Notes that `removed` is gone from the segment `dot`, which has not been applied.
    pub fn insert(&mut self, dot: Dot, removed: Removed) {
        reached(Point::RemovalAheadOfItsAdd);
        self.0.entry(dot).or_default().insert(removed);
    }

    /// Takes over what another replica has noted.
    pub fn extend(&mut self, other: &Self) {
        for (dot, removed) in &other.0 {
            self.0.entry(*dot).or_default().extend(removed.iter().cloned());
        }
    }

    /// Drops what the frontier covers: the segment has been applied, and without what was removed.
    pub fn settle(&mut self, frontier: &Frontier) {
        self.0.retain(|dot, _| !frontier.covers(*dot));
    }

    /// Drops what waits for segments that will not come.
    pub fn forget(&mut self, will_not_come: impl Fn(Dot) -> bool) {
        self.0.retain(|dot, _| !will_not_come(*dot));
    }

    /// Every removal, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (Dot, &Removed)> {
        self.0.iter().flat_map(|(dot, removed)| removed.iter().map(|removed| (*dot, removed)))
    }

    /// How many removals are waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// True when none is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, dot: Dot, key: &ObjectKey, element: Option<&[u8]>) -> bool {
        // Nearly always empty: the common case must not build a key to look up.
        let is_it = |removed: &BTreeSet<Removed>| removed.contains(&(key.clone(), element.map(Bytes::from)));
        let has = self.0.get(&dot).is_some_and(|removed| is_it(removed) || is_planted(Mutant::EarlyByDotAlone));
        if has {
            reached(Point::AddBehindItsRemoval);
        }
        has
    }
}

/// What one side has seen, asked for one object.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// How far each log has been applied.
    pub frontier: &'a Frontier,
    /// What was removed beyond that.
    pub early: &'a Early,
    /// The object that is asked for.
    pub key: &'a ObjectKey,
}

impl Seen for View<'_> {
    fn has_seen(&self, dot: Dot, (): &()) -> bool {
        self.frontier.covers(dot) || self.early.has(dot, self.key, None)
    }
}

impl Seen<[u8]> for View<'_> {
    fn has_seen(&self, dot: Dot, element: &[u8]) -> bool {
        self.frontier.covers(dot) || self.early.has(dot, self.key, Some(element))
    }
}

impl Seen<Bytes> for View<'_> {
    fn has_seen(&self, dot: Dot, element: &Bytes) -> bool {
        self.has_seen(dot, &**element)
    }
}
