//! A state and what it has seen: the types standing alone.
//! Layer 2.

use core::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};

use crate::{CausalContext, Dot, Seen};

/// A data type: entries under dots, merged by the one rule in `merge.rs`.
///
/// A state means something only together with what its holder has seen, which every merge is given. The holder is a
/// [`Causal`] when a type stands alone, and the keyspace in the engine, where all objects share one frontier.
pub trait DataType: Clone {
    /// What, beside the dot, decides whether something was seen: the element of a set, `()` elsewhere.
    type Key: ?Sized;

    /// What a mutation changed.
    type Changes: Changes;

    /// Merges a whole state. Cost: in both states.
    ///
    /// The caller unites what the two sides have seen afterwards, not before.
    fn merge(&mut self, seen: &impl Seen<Self::Key>, other: &Self, other_seen: &impl Seen<Self::Key>);

    /// Merges changes. Cost: in the changes, whatever the size of the state.
    ///
    /// The caller marks what the changes name as seen afterwards, not before.
    fn merge_changes(&mut self, seen: &impl Seen<Self::Key>, changes: &Self::Changes);

    /// True when `holds` is true of the dot of every entry.
    fn all_dots(&self, holds: impl Fn(Dot) -> bool) -> bool;

    /// Checks changes that came from outside and are well formed, for what this type could not have made.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    fn check(changes: &Self::Changes) -> Result<(), &'static str>;
}

/// What mutations changed: a fragment of a state, and the dots that were removed.
pub trait Changes: Clone + Default {
    /// True when nothing changed.
    fn is_empty(&self) -> bool;

    /// Groups changes: merging the group has the effect of merging its parts, in any order.
    fn merge(&mut self, other: &Self);

    /// Visits every dot that is named, added or removed, in an order that depends on the changes alone.
    fn for_each_dot(&self, visit: impl FnMut(Dot));
}

/// A data type with its causal context: it can be read, merged and stored by anybody, and changed by a
/// [`Writer`](crate::Writer).
///
/// *Invariant:* **covered.** Every dot in the state is in the context.
///
/// Between replicas that hear of everything in causal order, equal contexts mean equal states: a mutation takes a dot of
/// its own, also one that only removes. So comparing contexts tells whether they are in step. After deltas with gaps it
/// does not: what supersedes a change that never arrived counts the dot of that change as seen. Such a state is passing,
/// and merges as any other.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts<T>", into = "Parts<T>")]
#[serde(bound(serialize = "T: DataType + Serialize", deserialize = "T: DataType + Deserialize<'de>"))]
pub struct Causal<T> {
    pub(crate) state: T,
    pub(crate) context: CausalContext,
}

impl<T: DataType> Causal<T> {
    /// Merges a whole state, in any order, any number of times.
    pub fn merge(&mut self, other: &Self) {
        self.state.merge(&self.context, &other.state, &other.context);
        self.context.join(&other.context);
    }

    /// Merges a delta, in any order, any number of times. Cost: in the delta, whatever the size of the state, but for the
    /// growth of a table.
    ///
    /// Do not skip a delta because its dots have all been seen: a dot counts as seen too when something that superseded
    /// its change has arrived first, and the rest of what the change did has not.
    pub fn merge_delta(&mut self, delta: &Delta<T>) {
        self.state.merge_changes(&self.context, &delta.changes);
        self.context.join(&delta.context);
    }
}

impl<T> Causal<T> {
    /// What has been seen.
    pub const fn context(&self) -> &CausalContext {
        &self.context
    }
}

impl<T> Deref for Causal<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T: fmt::Debug> fmt::Debug for Causal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Causal").field("state", &self.state).field("context", &self.context).finish()
    }
}

/// A state of its own from a delta: what a replica would hold that had received nothing else.
impl<T: DataType + Default> From<Delta<T>> for Causal<T> {
    fn from(delta: Delta<T>) -> Self {
        let mut causal = Self::default();
        causal.merge_delta(&delta);
        causal
    }
}

/// The serialised form, which is believed only when the invariant holds.
#[derive(Serialize, Deserialize)]
struct Parts<T> {
    state: T,
    context: CausalContext,
}

impl<T> From<Causal<T>> for Parts<T> {
    fn from(causal: Causal<T>) -> Self {
        Self { state: causal.state, context: causal.context }
    }
}

impl<T: DataType> TryFrom<Parts<T>> for Causal<T> {
    type Error = &'static str;

    fn try_from(parts: Parts<T>) -> Result<Self, Self::Error> {
        if parts.state.all_dots(|dot| parts.context.covers(dot)) {
            Ok(Self { state: parts.state, context: parts.context })
        } else {
            Err("a dot in the state is not in the context")
        }
    }
}

/// What a mutation changed, with the dots that it speaks of: to be sent to every other replica, by any way, in any
/// order, any number of times.
///
/// A delta is a state with a small context. Merging it is the whole-state merge restricted to what it names, and it says
/// nothing of what it does not name.
///
/// Source: Almeida, Shoker, Baquero, 2018, sections 4 and 5: delta-mutators and delta-groups.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "DeltaParts<T::Changes>", into = "DeltaParts<T::Changes>")]
#[serde(bound(serialize = "T::Changes: Serialize", deserialize = "T::Changes: Deserialize<'de>"))]
#[must_use = "a delta is to be sent to the other replicas"]
pub struct Delta<T: DataType> {
    pub(crate) changes: T::Changes,
    pub(crate) context: CausalContext,
}

impl<T: DataType> Delta<T> {
    /// What changed.
    pub const fn changes(&self) -> &T::Changes {
        &self.changes
    }

    /// The dots that it speaks of: those added, those removed, and its own.
    pub const fn context(&self) -> &CausalContext {
        &self.context
    }

    /// True when the mutation changed nothing: there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.context.is_empty()
    }

    /// Groups deltas: merging the group has the effect of merging its parts, in any order.
    pub fn merge(&mut self, other: &Self) {
        self.changes.merge(&other.changes);
        self.context.join(&other.context);
    }
}

impl<T: DataType> Clone for Delta<T> {
    fn clone(&self) -> Self {
        Self { changes: self.changes.clone(), context: self.context.clone() }
    }
}

impl<T: DataType> Default for Delta<T> {
    fn default() -> Self {
        Self { changes: T::Changes::default(), context: CausalContext::default() }
    }
}

impl<T: DataType<Changes: PartialEq>> PartialEq for Delta<T> {
    fn eq(&self, other: &Self) -> bool {
        self.changes == other.changes && self.context == other.context
    }
}

impl<T: DataType<Changes: Eq>> Eq for Delta<T> {}

impl<T: DataType<Changes: fmt::Debug>> fmt::Debug for Delta<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta").field("changes", &self.changes).field("context", &self.context).finish()
    }
}

/// The serialised form, which is believed only when it names nothing beyond its context.
#[derive(Serialize, Deserialize)]
struct DeltaParts<C> {
    changes: C,
    context: CausalContext,
}

impl<T: DataType> From<Delta<T>> for DeltaParts<T::Changes> {
    fn from(delta: Delta<T>) -> Self {
        Self { changes: delta.changes, context: delta.context }
    }
}

impl<T: DataType> TryFrom<DeltaParts<T::Changes>> for Delta<T> {
    type Error = &'static str;

    fn try_from(parts: DeltaParts<T::Changes>) -> Result<Self, Self::Error> {
        let DeltaParts { changes, context } = parts;
        T::check(&changes)?;
        let mut covered = true;
        changes.for_each_dot(|dot| covered &= context.covers(dot));
        if covered { Ok(Self { changes, context }) } else { Err("a delta names a dot that is not in its context") }
    }
}
