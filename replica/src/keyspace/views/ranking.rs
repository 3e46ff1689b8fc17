//! Entries in the order of their scores, with ranks: a counted B+-tree.
//! Layer 2. *Invariant:* it knows no lock and no keyspace.
//!
//! A branch carries how many entries are below it, so a rank is a sum on the way down, and the entry of a rank is found by
//! subtracting. Why a tree of our own: the ordered sets at hand that know ranks either take the square root of n for a
//! rank, or are not maintained; and one of our own can count what it visits, which is what is promised.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::key::ObjectKey;

/// How many entries or branches make a node split.
///
/// Wide enough that a million entries are five levels deep, narrow enough that moving half a node is cheap.
const WIDTH: usize = 32;

/// A score and whose it is: the greater score first, equal scores by path, then by kind.
///
/// # Cost
///
/// Three words. Nodes are filled to two thirds when scores come in random order, to a half when they come in
/// order, and never below a quarter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    score: Score,
    key: ObjectKey,
}

/// A value as 128 bits that ascend when the value descends. Two words and not one `u128`, which would be aligned to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Score(u64, u64);

impl Score {
    const fn new(value: i128) -> Self {
        let bits = value as u128 ^ i128::MAX as u128;
        Self((bits >> 64) as u64, bits as u64)
    }

    const fn value(self) -> i128 {
        let bits = (self.0 as u128) << 64 | self.1 as u128;
        (bits ^ i128::MAX as u128) as i128
    }
}

impl Entry {
    pub(super) const fn new(value: i128, key: ObjectKey) -> Self {
        Self { score: Score::new(value), key }
    }

    pub(super) const fn value(&self) -> i128 {
        self.score.value()
    }

    pub(super) const fn key(&self) -> &ObjectKey {
        &self.key
    }
}

/// Entries in order, each there once.
///
/// # Cost
///
/// O(log n) to insert, to remove and to rank; O(log n + k) to read k neighbours.
#[derive(Debug)]
pub(super) struct Ranking {
    root: Node,
    width: usize,
    len: usize,
    sum: i128,
    /// Entries and branches looked at, ever.
    visited: AtomicU64,
}

#[derive(Debug)]
enum Node {
    Leaf(Vec<Entry>),
    Inner(Vec<Branch>),
}

#[derive(Debug)]
struct Branch {
    /// Not above what is in it, and above everything before it. In the first branch of a node it says nothing.
    least: Entry,
    len: usize,
    node: Node,
}

impl Default for Ranking {
    fn default() -> Self {
        Self::with_width(WIDTH)
    }
}

impl Ranking {
    fn with_width(width: usize) -> Self {
        Self { root: Node::Leaf(Vec::new()), width, len: 0, sum: 0, visited: AtomicU64::new(0) }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The sum of all values, modulo 2^128: it is what it should be whenever it fits.
    pub(super) const fn sum(&self) -> i128 {
        self.sum
    }

    /// How many entries and branches have been looked at since it was made.
    pub(super) fn visited(&self) -> u64 {
        self.visited.load(Ordering::Relaxed)
    }

    /// Inserts an entry. If it is there, nothing changes.
    pub(super) fn insert(&mut self, entry: Entry) {
        let (value, mut visited) = (entry.value(), 0);
        if self.root.insert(entry, self.width, &mut visited) {
            self.len += 1;
            self.sum = self.sum.wrapping_add(value);
        }
        if let Some(right) = self.root.split(self.width) {
            let root = std::mem::replace(&mut self.root, Node::Inner(Vec::new()));
            // The first branch of a node: what it says of its least entry is not read.
            let left = Branch { least: right.least.clone(), len: self.len - right.len, node: root };
            self.root = Node::Inner(vec![left, right]);
        }
        *self.visited.get_mut() += visited;
    }

    /// Removes an entry. If it is not there, nothing changes.
    pub(super) fn remove(&mut self, entry: &Entry) {
        let mut visited = 0;
        if self.root.remove(entry, self.width, &mut visited) {
            self.len -= 1;
            self.sum = self.sum.wrapping_sub(entry.value());
        }
        if let Node::Inner(branches) = &mut self.root
            && branches.len() == 1
            && let Some(only) = branches.pop()
        {
            self.root = only.node;
        }
        *self.visited.get_mut() += visited;
    }

    /// How many entries come before this one, if it is there.
    pub(super) fn rank(&self, entry: &Entry) -> Option<usize> {
        let (mut node, mut before, mut visited) = (&self.root, 0, 0);
        let found = loop {
            match node {
                Node::Leaf(entries) => break search(entries, entry, &mut visited),
                Node::Inner(branches) => {
                    let at = choose(branches, entry, &mut visited);
                    visited += at as u64;
                    before += branches[..at].iter().map(|branch| branch.len).sum::<usize>();
                    node = &branches[at].node;
                }
            }
        };
        self.visited.fetch_add(visited, Ordering::Relaxed);
        found.ok().map(|at| before + at)
    }

    /// Visits at most `count` entries in order, from the one at `first`.
    pub(super) fn visit(&self, first: usize, count: usize, mut visit: impl FnMut(&Entry)) {
        let mut walk = Walk { skip: first, left: count, visited: 0, visit: &mut visit };
        walk.node(&self.root);
        self.visited.fetch_add(walk.visited, Ordering::Relaxed);
    }
}

/// On the way through the entries in order.
struct Walk<'a, F> {
    skip: usize,
    left: usize,
    visited: u64,
    visit: &'a mut F,
}

impl<F: FnMut(&Entry)> Walk<'_, F> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Leaf(entries) => {
                let begin = self.skip.min(entries.len());
                let taken = &entries[begin..][..self.left.min(entries.len() - begin)];
                self.skip -= begin;
                self.left -= taken.len();
                self.visited += taken.len() as u64;
                taken.iter().for_each(&mut *self.visit);
            }
            Node::Inner(branches) => {
                for branch in branches {
                    if self.left == 0 {
                        return;
                    }
                    self.visited += 1;
                    if self.skip < branch.len {
                        self.node(&branch.node);
                    } else {
                        self.skip -= branch.len;
                    }
                }
            }
        }
    }
}

impl Node {
    fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(branches) => branches.len(),
        }
    }

    /// Returns whether it was not there. Afterwards the node may be too wide; whoever holds it splits it.
    fn insert(&mut self, entry: Entry, width: usize, visited: &mut u64) -> bool {
        match self {
            Self::Leaf(entries) => match search(entries, &entry, visited) {
                Ok(_) => false,
                Err(at) => {
                    entries.insert(at, entry);
                    true
                }
            },
            Self::Inner(branches) => {
                let at = choose(branches, &entry, visited);
                let branch = &mut branches[at];
                let is_new = branch.node.insert(entry, width, visited);
                branch.len += usize::from(is_new);
                split_branch(branches, at, width);
                is_new
            }
        }
    }

    /// Returns whether it was there. Afterwards the node may be too narrow; whoever holds it joins it with a neighbour.
    fn remove(&mut self, entry: &Entry, width: usize, visited: &mut u64) -> bool {
        match self {
            Self::Leaf(entries) => {
                let found = search(entries, entry, visited);
                found.map(|at| entries.remove(at)).is_ok()
            }
            Self::Inner(branches) => {
                let at = choose(branches, entry, visited);
                let branch = &mut branches[at];
                let was_there = branch.node.remove(entry, width, visited);
                branch.len -= usize::from(was_there);
                if branch.node.width() < (width / 4).max(2) && branches.len() > 1 {
                    join(branches, at.saturating_sub(1), width);
                }
                was_there
            }
        }
    }

    /// Takes the second half off a node that is too wide.
    fn split(&mut self, width: usize) -> Option<Branch> {
        if self.width() < width {
            return None;
        }
        Some(match self {
            Self::Leaf(entries) => {
                let right = entries.split_off(entries.len() / 2);
                entries.shrink_to(width);
                Branch { least: right[0].clone(), len: right.len(), node: Self::Leaf(right) }
            }
            Self::Inner(branches) => {
                let right = branches.split_off(branches.len() / 2);
                branches.shrink_to(width);
                let len = right.iter().map(|branch| branch.len).sum();
                Branch { least: right[0].least.clone(), len, node: Self::Inner(right) }
            }
        })
    }
}

/// The branch that has `entry`, if any has.
fn choose(branches: &[Branch], entry: &Entry, visited: &mut u64) -> usize {
    // As many of the others as begin at it or before it.
    branches[1..].partition_point(|branch| {
        *visited += 1;
        branch.least <= *entry
    })
}

fn search(entries: &[Entry], entry: &Entry, visited: &mut u64) -> Result<usize, usize> {
    entries.binary_search_by(|held| {
        *visited += 1;
        held.cmp(entry)
    })
}

fn split_branch(branches: &mut Vec<Branch>, at: usize, width: usize) {
    let branch = &mut branches[at];
    if let Some(right) = branch.node.split(width) {
        branch.len -= right.len;
        branches.insert(at + 1, right);
    }
}

/// Joins the branches at `left` and behind it, and parts them again evenly if they are too wide for one.
fn join(branches: &mut Vec<Branch>, left: usize, width: usize) {
    let right = branches.remove(left + 1);
    let held = &mut branches[left];
    held.len += right.len;
    match (&mut held.node, right.node) {
        (Node::Leaf(entries), Node::Leaf(mut more)) => entries.append(&mut more),
        (Node::Inner(branches), Node::Inner(mut more)) => {
            // It was the first of its node, and is so no more.
            more[0].least = right.least;
            branches.append(&mut more);
        }
        _ => unreachable!("all leaves are at one depth"),
    }
    split_branch(branches, left, width);
}

#[cfg(test)]
mod tests {
    use crdt_core::Kind;
    use quickcheck::quickcheck;

    use super::*;

    fn entry(value: i8, path: u8) -> Entry {
        Entry::new(value.into(), ObjectKey::new(format!("{:03}", path % 16), Kind::PnCounter).unwrap())
    }

    fn read(ranking: &Ranking, first: usize, count: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        ranking.visit(first, count, |entry| entries.push(entry.clone()));
        entries
    }

    /// Depth and widths are what the costs rest on, and the counts what the ranks rest on.
    fn check(node: &Node, width: usize, is_root: bool) -> (usize, usize) {
        assert!(node.width() < width && (is_root || node.width() >= (width / 4).max(2)), "width {}", node.width());
        match node {
            Node::Leaf(entries) => (entries.len(), 0),
            Node::Inner(branches) => {
                let below: Vec<_> = branches.iter().map(|branch| check(&branch.node, width, false)).collect();
                assert!(
                    below
                        .iter()
                        .zip(branches)
                        .all(|((len, depth), branch)| { *len == branch.len && *depth == below[0].1 })
                );
                (below.iter().map(|(len, _)| len).sum(), below[0].1 + 1)
            }
        }
    }

    quickcheck! {
        fn a_ranking_is_a_sorted_list(changes: Vec<(bool, i8, u8)>) -> bool {
            let (mut ranking, mut sorted) = (Ranking::with_width(4), Vec::new());
            for (inserts, value, path) in changes {
                // Few values, so that what is removed has often been inserted.
                let entry = entry(value % 8, path);
                match (sorted.binary_search(&entry), inserts) {
                    (Err(at), true) => sorted.insert(at, entry.clone()),
                    (Ok(at), false) => drop(sorted.remove(at)),
                    _ => {}
                }
                if inserts { ranking.insert(entry.clone()) } else { ranking.remove(&entry) }
                assert_eq!(check(&ranking.root, 4, true).0, sorted.len());
                assert_eq!(ranking.rank(&entry), sorted.binary_search(&entry).ok());
            }
            let count = sorted.len() / 3;
            read(&ranking, 0, usize::MAX) == sorted
                && read(&ranking, count, count) == sorted[count..2 * count]
                && ranking.len() == sorted.len()
                && ranking.sum() == sorted.iter().map(Entry::value).sum::<i128>()
                && sorted.iter().enumerate().all(|(rank, entry)| ranking.rank(entry) == Some(rank))
        }

        fn it_grows_and_shrinks_in_any_order(order: Vec<(u64, u16)>) -> bool {
            let key = |number: usize| ObjectKey::new(format!("{number}"), Kind::GCounter).unwrap();
            let entries: Vec<_> =
                order.iter().enumerate().map(|(at, (_, value))| Entry::new((*value).into(), key(at))).collect();
            let mut ranking = Ranking::with_width(4);
            entries.iter().for_each(|entry| ranking.insert(entry.clone()));
            let mut leaving: Vec<_> = entries.iter().zip(&order).map(|(entry, (order, _))| (order, entry)).collect();
            leaving.sort();
            for (_, entry) in leaving {
                ranking.remove(entry);
                check(&ranking.root, 4, true);
            }
            ranking.len() == 0 && ranking.sum() == 0 && read(&ranking, 0, 1).is_empty()
        }
    }

    #[test]
    fn scores_ascend_when_values_descend() {
        let values = [i128::MAX, 1 << 64, u64::MAX as i128, 1, 0, -1, -(1 << 64), i128::MIN];
        assert!(values.map(Score::new).is_sorted());
        assert_eq!(values.map(|value| Score::new(value).value()), values);
    }

    /// In a tree of the width in use: inserting, removing, ranking, and reading ten.
    #[test]
    fn what_is_visited_grows_with_the_logarithm() {
        let mut ranking = Ranking::default();
        let key = |number: u64| ObjectKey::new(format!("{number:06}"), Kind::GCounter).unwrap();
        let value = |number: u64| i128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
        for number in 0..200_000 {
            let entry = Entry::new(value(number), key(number));
            let before = ranking.visited();
            ranking.insert(entry.clone());
            ranking.remove(&entry);
            ranking.insert(entry.clone());
            let rank = ranking.rank(&entry).unwrap();
            assert_eq!(read(&ranking, rank, 10)[0], entry);
            let (visited, most) = (ranking.visited() - before, 30 * u64::from((number + 2).ilog2()) + 10);
            assert!(visited <= most, "visited {visited} of {number}");
        }
    }
}
