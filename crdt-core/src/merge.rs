//! The one merge rule.
//! Layer 1. *Invariant:* nothing outside this file decides that absence means removal.

use core::cmp::Ordering;

use crate::Dot;

/// What a data type keeps under a dot: the dot alone (sets), a write (registers), a tally (counters).
pub trait Entry: Clone {
    /// What makes an entry the same on both sides. Entries are kept in ascending order of it.
    type Key: Ord;

    /// The key of this entry.
    fn key(&self) -> Self::Key;

    /// The latest change that this entry speaks of.
    fn dot(&self) -> Dot;

    /// Takes in what the other side has under the same key.
    fn join(&mut self, other: &Self);
}

impl Entry for Dot {
    type Key = Self;

    fn key(&self) -> Self {
        *self
    }

    fn dot(&self) -> Self {
        *self
    }

    /// The same dot is the same change.
    fn join(&mut self, _: &Self) {}
}

/// What holds the entries of one element, one register or one counter: few, in ascending order of their keys.
pub(crate) trait Entries<E> {
    /// The entries in order.
    fn as_slice(&self) -> &[E];

    /// The entries, to be joined with others in place.
    fn as_mut_slice(&mut self) -> &mut [E];

    /// Inserts `entry` before the one at `index`.
    fn insert(&mut self, index: usize, entry: E);

    /// Keeps those for which `keep` says so.
    fn retain(&mut self, keep: impl FnMut(&E) -> bool);
}

/// The dot rule: an entry that one side lacks stays if that side has not seen its dot, and goes if it has.
///
/// Who has seen a dot and does not hold it knows that it was removed; who has not seen it cannot know anything about it.
/// The context carries all the knowledge of removal, so nothing that was removed leaves a trace in the state.
///
/// Source: Almeida, Shoker, Baquero, 2018, section 7.2, figure 14: (s ∩ s') ∪ (s \ c') ∪ (s' \ c).
fn survives(dot: Dot, seen_by_who_lacks_it: impl Fn(Dot) -> bool) -> bool {
    !seen_by_who_lacks_it(dot)
}

/// Merges `theirs` into `ours`, by the dot rule where only one side has an entry and by [`Entry::join`] where both have.
///
/// It is used for whole states and for deltas alike. A delta is a small state whose `seen` is just what it speaks of.
///
/// Cost: O((n + m) log(n + m)) in the entries of this one element, which are nearly always one and one.
pub(crate) fn merge_entries<E: Entry>(
    ours: &mut impl Entries<E>,
    ours_seen: impl Fn(Dot) -> bool,
    theirs: &[E],
    theirs_seen: impl Fn(Dot) -> bool,
) {
    // What is new here, and alone: so common that it has a way of its own.
    if let ([], [only]) = (ours.as_slice(), theirs) {
        if survives(only.dot(), ours_seen) {
            ours.insert(0, only.clone());
        }
        return;
    }
    if same_keys(ours.as_slice(), theirs) {
        for (mine, other) in ours.as_mut_slice().iter_mut().zip(theirs) {
            mine.join(other);
        }
        return;
    }
    ours.retain(|entry| find(theirs, &entry.key()).is_ok() || survives(entry.dot(), &theirs_seen));
    for entry in theirs {
        match find(ours.as_slice(), &entry.key()) {
            Ok(index) => ours.as_mut_slice()[index].join(entry),
            Err(index) if survives(entry.dot(), &ours_seen) => ours.insert(index, entry.clone()),
            Err(_) => {}
        }
    }
}

/// Adds those of `more` that are not there yet, and joins the rest: the merge of two sides that have seen nothing.
pub(crate) fn union<E: Entry>(ours: &mut impl Entries<E>, more: &[E]) {
    merge_entries(ours, |_| false, more, |_| false);
}

/// Where the entry of this key is, or where it would have to go.
pub(crate) fn find<E: Entry>(entries: &[E], key: &E::Key) -> Result<usize, usize> {
    match entries {
        [] => Err(0),
        [only] => match only.key().cmp(key) {
            Ordering::Less => Err(1),
            Ordering::Equal => Ok(0),
            Ordering::Greater => Err(0),
        },
        _ => entries.binary_search_by(|entry| entry.key().cmp(key)),
    }
}

fn same_keys<E: Entry>(left: &[E], right: &[E]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.key() == right.key())
}
