//! The reference: what every value must be, from the history of operations alone.
//!
//! It knows what was done, by whom, and what its author had seen. It keeps everything for ever, tombstones included, and
//! shares no code with what it checks: it does not even know what a dot is.

use std::collections::BTreeSet;

/// A set of operations, by their numbers in the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ops([u64; 2]);

impl Ops {
    /// How many operations a history can have.
    pub const MAX: usize = 128;

    /// Adds an operation.
    pub const fn insert(&mut self, op: usize) {
        self.0[op / 64] |= 1 << (op % 64);
    }

    /// Adds all of `other`.
    pub const fn unite(&mut self, other: Self) {
        self.0[0] |= other.0[0];
        self.0[1] |= other.0[1];
    }

    /// Takes away all of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self([self.0[0] & !other.0[0], self.0[1] & !other.0[1]])
    }

    /// True when `op` is in it.
    #[must_use]
    pub const fn contains(self, op: usize) -> bool {
        self.0[op / 64] >> (op % 64) & 1 == 1
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0[0] == 0 && self.0[1] == 0
    }

    /// The operations in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let word = if rest[0] != 0 { 0 } else { 1 };
            let bit = rest[word].trailing_zeros() as usize;
            (bit < 64).then(|| {
                rest[word] &= rest[word] - 1;
                word * 64 + bit
            })
        })
    }
}

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// Added to a counter.
    Count(i64),
    /// Put an element into a set.
    Add(u8),
    /// Took an element out of a set.
    Remove(u8),
    /// Wrote to a register, at this time.
    Write(u8, u64),
    /// Deleted whatever was there.
    Delete,
}

#[derive(Clone, Debug)]
struct Op {
    author: usize,
    object: usize,
    did: Did,
    seen: Ops,
}

/// Everything that was ever done.
#[derive(Clone, Debug, Default)]
pub struct History {
    ops: Vec<Op>,
    /// Done, and lost in a crash before anybody heard of it.
    lost: Ops,
}

impl History {
    /// Records an operation of `author`, who had seen `seen`. Returns its number.
    pub fn record(&mut self, author: usize, object: usize, did: Did, seen: Ops) -> usize {
        self.ops.push(Op { author, object, did, seen });
        self.ops.len() - 1
    }

    /// How many operations there have been.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// True before the first operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// These operations never happened, as far as anybody else can tell.
    pub const fn lose(&mut self, ops: Ops) {
        self.lost.unite(ops);
    }

    /// All that was done and not lost.
    #[must_use]
    pub fn all(&self) -> Ops {
        let mut all = Ops::default();
        (0..self.ops.len()).for_each(|op| all.insert(op));
        all.without(self.lost)
    }

    /// True when the view holds whatever the authors of its operations had seen.
    #[must_use]
    pub fn is_closed(&self, view: Ops) -> bool {
        view.iter().all(|op| self.ops[op].seen.without(view).without(self.lost).is_empty())
    }

    /// The value of a counter: every amount that no deletion in the view had seen.
    #[must_use]
    pub fn count(&self, view: Ops, object: usize) -> i128 {
        let dead = self.seen_by(view, object, |did| did == Did::Delete);
        let amount = |op: usize| match self.ops[op].did {
            Did::Count(amount) if self.ops[op].object == object && !dead.contains(op) => i128::from(amount),
            _ => 0,
        };
        view.iter().map(amount).sum()
    }

    /// The elements of a set: those with an add that no removal, later add or deletion in the view had seen.
    #[must_use]
    pub fn elements(&self, view: Ops, object: usize) -> BTreeSet<u8> {
        let mut elements = BTreeSet::new();
        for op in view.iter().filter(|op| self.ops[*op].object == object) {
            if let Did::Add(element) = self.ops[op].did {
                let buries = |did| matches!(did, Did::Add(e) | Did::Remove(e) if e == element) || did == Did::Delete;
                if !self.seen_by(view, object, buries).contains(op) {
                    elements.insert(element);
                }
            }
        }
        elements
    }

    /// The writes to a register that no later write or deletion in the view had seen, each as (time, author, value), the
    /// one that is read last.
    #[must_use]
    pub fn writes(&self, view: Ops, object: usize) -> Vec<(u64, usize, u8)> {
        let dead = self.seen_by(view, object, |did| matches!(did, Did::Write(..) | Did::Delete));
        let mut writes: Vec<_> = view
            .iter()
            .filter(|op| self.ops[*op].object == object && !dead.contains(*op))
            .filter_map(|op| match self.ops[op].did {
                Did::Write(value, time) => Some((time, self.ops[op].author, value)),
                _ => None,
            })
            .collect();
        writes.sort_unstable();
        writes
    }

    /// All that was seen by those operations of the view on this object which `which` picks.
    fn seen_by(&self, view: Ops, object: usize, which: impl Fn(Did) -> bool) -> Ops {
        let mut seen = Ops::default();
        for op in view.iter().map(|op| &self.ops[op]).filter(|op| op.object == object && which(op.did)) {
            seen.unite(op.seen);
        }
        seen
    }
}
