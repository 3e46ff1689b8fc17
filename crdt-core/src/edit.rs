//! What a change says of one element or one register.
//! Layer 2.

use serde::{Deserialize, Serialize};

use crate::{
    Changes, Dot, Few, OpenDot,
    merge::{Entry, find, merge_entries, union},
    planted::{Mutant, is_planted},
};

/// The change of one element of a set, or of one register: what was added, and which dots were removed.
///
/// It is a state with a context of its own: the context is exactly the dots that it names. So it says nothing about
/// anything else, and a peer that merges it keeps all that it does not mention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts<E>", bound(deserialize = "E: Entry + Deserialize<'de>"))]
pub struct Edit<E> {
    added: Few<E>,
    removed: Few<Dot>,
}

/// The serialised form.
#[derive(Deserialize)]
#[serde(bound(deserialize = "E: Entry + Deserialize<'de>"))]
struct Parts<E> {
    added: Few<E>,
    removed: Few<Dot>,
}

impl<E: Entry> TryFrom<Parts<E>> for Edit<E> {
    type Error = &'static str;

    fn try_from(Parts { added, removed }: Parts<E>) -> Result<Self, Self::Error> {
        if added.iter().any(|entry| find(removed.as_slice(), &entry.dot()).is_ok()) {
            Err("a dot is both added and removed")
        } else {
            Ok(Self { added, removed })
        }
    }
}

impl<E> Default for Edit<E> {
    fn default() -> Self {
        Self { added: Few::new(), removed: Few::new() }
    }
}

impl<E: Entry> Edit<E> {
    /// What was added, in ascending order of dots.
    #[must_use]
    pub fn added(&self) -> &[E] {
        self.added.as_slice()
    }

    /// Which dots were removed, in ascending order.
    #[must_use]
    pub fn removed(&self) -> &[Dot] {
        self.removed.as_slice()
    }

    /// Notes a local change: `observed` was superseded or removed, `added` took its place.
    ///
    /// SUBTLE: the open dot is never noted as removed. Nobody has seen it, so there is nothing to remove; and an element
    /// that is removed and added again under the same open dot would carry a dot that its own delta calls removed.
    pub(crate) fn record(&mut self, observed: &Few<E>, added: Few<E>, open: OpenDot<'_>) {
        for dot in observed.iter().map(Entry::dot).filter(|dot| *dot != open.dot()) {
            if is_planted(Mutant::RemovalNamesNoDots) && added.is_empty() {
                continue;
            }
            union(&mut self.removed, &[dot]);
        }
        self.added = added;
    }
}

impl<E: Entry> Changes for Edit<E> {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    fn merge(&mut self, other: &Self) {
        let mut added = core::mem::take(&mut self.added);
        merge_entries(
            &mut added,
            |dot| find(self.removed(), &dot).is_ok(),
            other.added(),
            |dot| find(other.removed(), &dot).is_ok(),
        );
        self.added = added;
        union(&mut self.removed, other.removed());
    }

    fn for_each_dot(&self, mut visit: impl FnMut(Dot)) {
        self.added.iter().for_each(|entry| visit(entry.dot()));
        self.removed.iter().for_each(|dot| visit(*dot));
    }
}
