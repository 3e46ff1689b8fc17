//! A set in which an add wins over a concurrent remove.
//! Layer 4.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
    marker::PhantomData,
};

use foldhash::fast::FixedState;
use hashbrown::{HashTable, hash_table::Entry};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    Changes, DataType, Delta, Dot, Edit, Few, OpenDot, Seen, Writer,
    merge::merge_entries,
    planted::{Mutant, is_planted},
};

/// An observed-remove set: add wins, and nothing that was removed leaves a trace.
///
/// # Semantics
///
/// A removal removes the adds that it observed, so an element added concurrently stays. An add supersedes the adds that
/// it observed, so an element has one dot unless it was added concurrently. Every pair of operations:
/// `docs/semantics.md`.
///
/// # State
///
/// Element → live dots, in a hash table. Its order never shows: what lists elements sorts them. Elements that
/// strangers choose want a seeded hasher ([`with_hasher`](Self::with_hasher)); the default is fixed, so that a run can
/// be repeated.
///
/// # Limits and errors
///
/// None of its own. An element is in the set as long as it has a live dot.
///
/// # Cost
///
/// At most 58 bytes for each u64 element once there are more than 14, 52 at a million. A local operation takes O(1), a
/// delta time in its own size whatever the size of the set, a whole merge time in both sets but look-ups only in what
/// differs or may differ. Listing takes O(n log n).
///
/// # Source
///
/// Bieniusa et al., "An Optimized Conflict-free Replicated Set", 2012, as a dot store of Almeida, Shoker, Baquero, 2018,
/// figure 16.
///
/// # Example
///
/// ```
/// use crdt_core::{OrSet, ReplicaId, Writer};
///
/// let mut ann = Writer::<OrSet<&str>>::new(ReplicaId::named("ann"));
/// let mut bob = Writer::<OrSet<&str>>::new(ReplicaId::named("bob"));
/// bob.merge_delta(&ann.add("lamp"))?;
/// let gone = bob.remove("lamp");
/// let again = ann.add("lamp"); // Bob had not seen this one.
/// ann.merge_delta(&gone)?;
/// bob.merge_delta(&again)?;
/// assert_eq!((ann.elements(), bob.elements()), (vec![&"lamp"], vec![&"lamp"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OrSet<T, S = FixedState> {
    /// *Invariant:* every element has at least one dot.
    table: HashTable<(T, Few<Dot>)>,
    hasher: S,
}

impl<T, S> OrSet<T, S> {
    /// An empty set that hashes with `hasher`. It allocates nothing.
    pub const fn with_hasher(hasher: S) -> Self {
        Self { table: HashTable::new(), hasher }
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True when there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The elements in ascending order.
    #[must_use]
    pub fn elements(&self) -> Vec<&T>
    where
        T: Ord,
    {
        self.sorted().into_iter().map(|(element, _)| element).collect()
    }

    /// The elements with their live dots, in no order that may be relied on: for sums and searches.
    pub fn unordered(&self) -> impl Iterator<Item = (&T, &[Dot])> {
        self.table.iter().map(|(element, dots)| (element, dots.as_slice()))
    }

    /// The elements with their live dots, in ascending order.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&T, &[Dot])>
    where
        T: Ord,
    {
        let mut all: Vec<_> = self.unordered().collect();
        all.sort_unstable_by_key(|(element, _)| *element);
        all
    }
}

impl<T: Hash + Eq, S: BuildHasher> OrSet<T, S> {
    /// True when `element` is in the set.
    pub fn contains<Q: Hash + Eq + ?Sized>(&self, element: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        !self.dots(element).is_empty()
    }

    /// The live dots of `element`, in ascending order: one, unless it was added concurrently.
    pub fn dots<Q: Hash + Eq + ?Sized>(&self, element: &Q) -> &[Dot]
    where
        T: Borrow<Q>,
    {
        let found = self.table.find(self.hasher.hash_one(element), |(held, _)| held.borrow() == element);
        found.map_or(&[], |(_, dots)| dots.as_slice())
    }

    /// Adds `element` under the open dot, in place of the adds that are here. Returns whether it was absent.
    pub fn add(&mut self, element: T, open: OpenDot<'_>, changes: &mut SetChanges<T>) -> bool
    where
        T: Clone + Ord,
    {
        let added = Few::one(open.dot());
        let superseded = match self.entry(&element) {
            Entry::Occupied(mut held) => core::mem::replace(&mut held.get_mut().1, added.clone()),
            Entry::Vacant(free) => {
                free.insert((element.clone(), added.clone()));
                Few::new()
            }
        };
        changes.record(element, &superseded, added, open);
        superseded.is_empty()
    }

    /// Removes `element`, as far as it has been added here. Returns whether it was present.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, element: &Q, open: OpenDot<'_>, changes: &mut SetChanges<T>) -> bool
    where
        T: Borrow<Q> + Ord,
    {
        let hash = self.hasher.hash_one(element);
        let Ok(held) = self.table.find_entry(hash, |(held, _)| held.borrow() == element) else { return false };
        let ((element, removed), _) = held.remove();
        changes.record(element, &removed, Few::new(), open);
        true
    }

    /// Removes every element, as far as it has been added here.
    pub fn clear(&mut self, open: OpenDot<'_>, changes: &mut SetChanges<T>)
    where
        T: Ord,
    {
        for (element, removed) in self.table.drain() {
            changes.record(element, &removed, Few::new(), open);
        }
    }

    /// Applies the change of one element given in its parts, as a decoder has them; `own` makes the element if it has to
    /// be kept. Both slices must be in ascending order.
    pub fn merge_edit<Q: Hash + Eq + ?Sized>(
        &mut self,
        seen: &impl Seen<Q>,
        element: &Q,
        own: impl FnOnce() -> T,
        added: &[Dot],
        removed: &[Dot],
    ) where
        T: Borrow<Q>,
    {
        let is_named = |dot| removed.binary_search(&dot).is_ok();
        self.merge_element(seen, element, own, added, |dot| is_named(dot) || is_planted(Mutant::DeltaSpeaksOfAll));
    }

    /// Gives back the memory that the present elements do not need.
    pub fn shrink_to_fit(&mut self) {
        self.table.shrink_to_fit(|(element, _)| self.hasher.hash_one(element));
    }

    /// Merges what another side has of one element into what is here.
    fn merge_element<Q: Hash + Eq + ?Sized>(
        &mut self,
        seen: &impl Seen<Q>,
        element: &Q,
        own: impl FnOnce() -> T,
        theirs: &[Dot],
        theirs_seen: impl Fn(Dot) -> bool,
    ) where
        T: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(element);
        let ours_seen = |dot| seen.has_seen(dot, element);
        match self.table.entry(hash, |(held, _)| held.borrow() == element, |(held, _)| self.hasher.hash_one(held)) {
            Entry::Occupied(mut held) => {
                let dots = &mut held.get_mut().1;
                merge_entries(dots, ours_seen, theirs, theirs_seen);
                if dots.is_empty() {
                    held.remove();
                }
            }
            Entry::Vacant(free) => {
                let mut dots = Few::new();
                merge_entries(&mut dots, ours_seen, theirs, theirs_seen);
                if !dots.is_empty() {
                    free.insert((own(), dots));
                }
            }
        }
    }

    fn entry(&mut self, element: &T) -> Entry<'_, (T, Few<Dot>)> {
        let hash = self.hasher.hash_one(element);
        self.table.entry(hash, |(held, _)| held == element, |(held, _)| self.hasher.hash_one(held))
    }
}

impl<T: Clone + Hash + Ord, S: BuildHasher + Clone> DataType for OrSet<T, S> {
    type Key = T;
    type Changes = SetChanges<T>;

    /// Two passes, each over one side and looking up in the other only what could differ.
    ///
    /// Ours first: an element of which the other side has seen a dot may have been removed there. Then theirs: an element
    /// with a dot that we have not seen was added there. What neither pass looks up stays as it is.
    fn merge(&mut self, seen: &impl Seen<T>, other: &Self, other_seen: &impl Seen<T>) {
        self.table.retain(|(element, dots)| {
            if dots.iter().any(|dot| other_seen.has_seen(*dot, element)) {
                merge_entries(
                    dots,
                    |dot| seen.has_seen(dot, element),
                    other.dots(element),
                    |dot| other_seen.has_seen(dot, element),
                );
            }
            !dots.is_empty()
        });
        let mut new = Vec::new();
        for entry in &other.table {
            if entry.1.iter().any(|dot| !seen.has_seen(*dot, &entry.0)) {
                new.push(entry);
            }
        }
        // Room for all at once: growing while elements arrive in hash order would fill one end of the table first.
        self.table.reserve(new.len(), |(held, _)| self.hasher.hash_one(held));
        for (element, dots) in new {
            let theirs_seen = |dot| other_seen.has_seen(dot, element);
            self.merge_element(seen, element, || element.clone(), dots.as_slice(), theirs_seen);
        }
    }

    fn merge_changes(&mut self, seen: &impl Seen<T>, changes: &SetChanges<T>) {
        for (element, edit) in changes.edits() {
            self.merge_edit(seen, element, || element.clone(), edit.added(), edit.removed());
        }
    }

    fn all_dots(&self, holds: impl Fn(Dot) -> bool) -> bool {
        self.table.iter().flat_map(|(_, dots)| dots).all(|dot| holds(*dot))
    }

    fn check(_: &SetChanges<T>) -> Result<(), &'static str> {
        Ok(())
    }
}

impl<T: Clone + Hash + Ord, S: BuildHasher + Clone> Writer<OrSet<T, S>> {
    /// Adds `element` and returns the delta.
    pub fn add(&mut self, element: T) -> Delta<OrSet<T, S>> {
        self.mutate(|set, open, changes| {
            set.add(element, open, changes);
        })
    }

    /// Removes `element`, as far as this replica has seen it added, and returns the delta.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, element: &Q) -> Delta<OrSet<T, S>>
    where
        T: Borrow<Q>,
    {
        self.mutate(|set, open, changes| {
            set.remove(element, open, changes);
        })
    }

    /// Removes every element that this replica has seen added, and returns the delta.
    pub fn clear(&mut self) -> Delta<OrSet<T, S>> {
        self.mutate(OrSet::clear)
    }

    /// Gives back the memory that the present elements do not need.
    pub fn shrink_to_fit(&mut self) {
        self.state_mut().shrink_to_fit();
    }
}

impl<T, S: Default> Default for OrSet<T, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

/// Equal when the same elements have the same dots, whatever the hashers.
impl<T: Hash + Eq, S: BuildHasher> PartialEq for OrSet<T, S> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.table.iter().all(|(element, dots)| other.dots(element) == dots.as_slice())
    }
}

impl<T: Hash + Eq, S: BuildHasher> Eq for OrSet<T, S> {}

impl<T: fmt::Debug + Ord, S> fmt::Debug for OrSet<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.sorted()).finish()
    }
}

/// In ascending order of elements, so equal sets give equal bytes.
impl<T: Serialize + Ord, S> Serialize for OrSet<T, S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_seq(self.sorted())
    }
}

/// Refuses an element without dots, and elements that are not in strictly ascending order.
impl<'de, T: Deserialize<'de> + Hash + Ord, S: BuildHasher + Default> Deserialize<'de> for OrSet<T, S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SetVisitor(PhantomData))
    }
}

struct SetVisitor<T, S>(PhantomData<(T, S)>);

impl<'de, T: Deserialize<'de> + Hash + Ord, S: BuildHasher + Default> de::Visitor<'de> for SetVisitor<T, S> {
    type Value = OrSet<T, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("elements with their dots, in ascending order")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements: Vec<(T, Few<Dot>)> = Vec::new();
        while let Some((element, dots)) = seq.next_element::<(T, Few<Dot>)>()? {
            if dots.is_empty() {
                return Err(de::Error::custom("an element without a dot"));
            }
            if elements.last().is_some_and(|(before, _)| *before >= element) {
                return Err(de::Error::custom("elements are not in strictly ascending order"));
            }
            elements.push((element, dots));
        }
        let mut set = OrSet::<T, S>::default();
        set.table.reserve(elements.len(), |(held, _)| set.hasher.hash_one(held));
        for (element, dots) in elements {
            let hash = set.hasher.hash_one(&element);
            set.table.insert_unique(hash, (element, dots), |(held, _)| set.hasher.hash_one(held));
        }
        Ok(set)
    }
}

/// What changed in a set: an [`Edit`] for each element that was added or removed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<(T, Edit<Dot>)>", bound(deserialize = "T: Deserialize<'de> + Ord"))]
pub struct SetChanges<T>(BTreeMap<T, Edit<Dot>>);

impl<T> Default for SetChanges<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord> SetChanges<T> {
    /// The elements that changed, in ascending order, each with its edit.
    #[must_use]
    pub fn edits(&self) -> impl ExactSizeIterator<Item = (&T, &Edit<Dot>)> {
        self.0.iter()
    }

    /// An element that was only ever there under the open dot, and is gone again, leaves no edit.
    fn record(&mut self, element: T, observed: &Few<Dot>, added: Few<Dot>, open: OpenDot<'_>) {
        use alloc::collections::btree_map::Entry;
        match self.0.entry(element) {
            Entry::Occupied(mut held) => {
                held.get_mut().record(observed, added, open);
                if held.get().is_empty() {
                    held.remove();
                }
            }
            Entry::Vacant(free) => {
                let mut edit = Edit::default();
                edit.record(observed, added, open);
                if !edit.is_empty() {
                    free.insert(edit);
                }
            }
        }
    }
}

impl<T: Clone + Ord> Changes for SetChanges<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn merge(&mut self, other: &Self) {
        for (element, edit) in &other.0 {
            self.0.entry(element.clone()).or_default().merge(edit);
        }
    }

    fn for_each_dot(&self, mut visit: impl FnMut(Dot)) {
        self.0.values().for_each(|edit| edit.for_each_dot(&mut visit));
    }
}

/// As a sequence, since most formats want the keys of a map to be text.
impl<T: Serialize> Serialize for SetChanges<T> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<T: Ord> TryFrom<Vec<(T, Edit<Dot>)>> for SetChanges<T> {
    type Error = &'static str;

    fn try_from(edits: Vec<(T, Edit<Dot>)>) -> Result<Self, Self::Error> {
        if edits.iter().any(|(_, edit)| edit.is_empty()) {
            Err("an edit that changes nothing")
        } else if edits.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            Err("edits are not in strictly ascending order")
        } else {
            Ok(Self(edits.into_iter().collect()))
        }
    }
}
