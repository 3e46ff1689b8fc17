//! What must come of all changes, worked out without any of the types that are demonstrated: sums, sets, and who wrote last.
//!
//! No region's changes are known to the others in any order, so only what does not depend on it is expected. Counts add up.
//! What one region alone touches follows from its own steps. Of a register that several write, each region's last write may be
//! live and no other one can be, because a region has seen its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use operations::json;
use replica::{Bytes, Kind, Value};

use super::script::{Act, Change};

/// An object: its path and kind.
pub(crate) type Key = (String, Kind);

/// What is known of an object.
#[derive(Clone, Debug)]
enum Known {
    Sum(i128),
    /// The last write of each region.
    Written(BTreeMap<usize, String>),
    /// For each element whether each region that touched it added or removed it last.
    Members(BTreeMap<String, BTreeMap<usize, bool>>),
}

/// What a reader must see of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// This sum.
    Sum(i128),
    /// Exactly these.
    All(BTreeSet<String>),
    /// One of these.
    OneOf(BTreeSet<String>),
    /// At least one of these.
    SomeOf(BTreeSet<String>),
}

/// The model.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    known: BTreeMap<Key, Known>,
    /// What is known for another reason than the changes tell.
    settled: BTreeMap<Key, Expected>,
    /// What must be listed as written concurrently.
    conflicts: BTreeMap<Key, BTreeSet<String>>,
    /// How many changes there were, by kind.
    pub(crate) changes: BTreeMap<Kind, u64>,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) region: String,
    pub(crate) key: Key,
    pub(crate) expected: String,
    pub(crate) seen: String,
}

impl Truth {
    /// Takes note of a change. Those of one region come in their order.
    pub(crate) fn note(&mut self, region: usize, change: Change) {
        let key = (change.path.clone(), change.kind());
        *self.changes.entry(key.1).or_default() += 1;
        let known = || match key.1 {
            Kind::GCounter | Kind::PnCounter => Known::Sum(0),
            Kind::LwwRegister | Kind::MvRegister => Known::Written(BTreeMap::new()),
            Kind::OrSet => Known::Members(BTreeMap::new()),
        };
        if matches!(change.act, Act::Delete(_)) {
            self.known.remove(&key);
            return;
        }
        match (self.known.entry(key.clone()).or_insert_with(known), change.act) {
            (Known::Sum(sum), Act::Increment(amount)) => *sum += i128::from(amount),
            (Known::Sum(sum), Act::Count(amount)) => *sum += i128::from(amount),
            (Known::Written(written), Act::Write(text) | Act::WriteBeside(text)) => {
                written.insert(region, text);
            }
            (Known::Members(members), Act::Add(element)) => {
                members.entry(element).or_default().insert(region, true);
            }
            (Known::Members(members), Act::Remove(element)) => {
                members.entry(element).or_default().insert(region, false);
            }
            (known, act) => unreachable!("{act:?} does not fit {known:?}"),
        }
    }

    /// Says what is to be seen of an object that several regions changed in a way that was arranged.
    pub(crate) fn settle(&mut self, path: &str, kind: Kind, expected: Expected) {
        self.settled.insert((path.to_owned(), kind), expected);
    }

    /// Says which writes of a register must be kept beside each other.
    pub(crate) fn conflict(&mut self, path: &str, kind: Kind, writes: BTreeSet<String>) {
        self.conflicts.insert((path.to_owned(), kind), writes);
    }

    /// What is wrong with a list of conflicts. Who had seen whom is not known, but only the last writes of regions can be
    /// concurrent, of two regions at least, and what was arranged must be there.
    pub(crate) fn check_conflicts(&self, listed: &BTreeMap<Key, BTreeSet<String>>) -> Vec<String> {
        let mut wrong = Vec::new();
        for ((path, kind), writes) in &self.conflicts {
            if listed.get(&(path.clone(), *kind)) != Some(writes) {
                wrong.push(format!("{path} is not listed as a conflict of {}", list(writes)));
            }
        }
        for (key, writes) in listed.iter().filter(|(key, _)| !self.conflicts.contains_key(*key)) {
            let can_be = match self.known.get(key) {
                Some(Known::Written(last)) => {
                    last.len() > 1 && writes.iter().all(|one| last.values().any(|of| of == one))
                }
                _ => false,
            };
            if !can_be {
                wrong.push(format!("{} is listed as a conflict of {}, which cannot be", key.0, list(writes)));
            }
        }
        wrong
    }

    /// What is wrong with a board of the counters below `prefix`: it must show the greatest sums. Those that are equal may
    /// stand in any order.
    pub(crate) fn check_board(&self, prefix: &str, places: usize, board: &[(String, i128)]) -> Option<String> {
        let sum = |(key, known): (&Key, &Known)| match known {
            Known::Sum(sum) if key.1 == Kind::PnCounter => Some((key.0.strip_prefix(prefix)?.to_owned(), *sum)),
            _ => None,
        };
        let sums: BTreeMap<String, i128> = self.known.iter().filter_map(sum).collect();
        let mut greatest: Vec<i128> = sums.values().copied().collect();
        greatest.sort_unstable_by(|one, other| other.cmp(one));
        greatest.truncate(places);
        let is_right = board.iter().map(|(_, points)| *points).eq(greatest)
            && board.iter().all(|(name, points)| sums.get(name) == Some(points));
        (!is_right).then(|| format!("its board is not that of the {places} greatest counters below {prefix}"))
    }

    /// Makes the truth wrong by one.
    pub(crate) fn falsify(&mut self) {
        let sums = self.known.iter_mut().rev().filter(|((_, kind), _)| *kind == Kind::PnCounter);
        if let Some(Known::Sum(sum)) = sums.map(|(_, known)| known).next() {
            *sum += 1;
        }
    }

    /// What every region must show, and nothing else.
    pub(crate) fn expected(&self) -> BTreeMap<Key, Expected> {
        let mut expected: BTreeMap<Key, Expected> = BTreeMap::new();
        for (key, known) in &self.known {
            let seen = match known {
                Known::Sum(sum) => Expected::Sum(*sum),
                Known::Written(written) => {
                    let texts = written.values().cloned().collect();
                    if key.1 == Kind::MvRegister && written.len() > 1 {
                        Expected::SomeOf(texts)
                    } else if written.len() > 1 {
                        Expected::OneOf(texts)
                    } else {
                        Expected::All(texts)
                    }
                }
                Known::Members(members) => {
                    let is_in = |(_, said): &(&String, &BTreeMap<usize, bool>)| said.values().all(|is_in| *is_in);
                    let elements: BTreeSet<_> =
                        members.iter().filter(is_in).map(|(element, _)| element.clone()).collect();
                    if elements.is_empty() {
                        // A set without elements is nothing.
                        continue;
                    }
                    Expected::All(elements)
                }
            };
            expected.insert(key.clone(), seen);
        }
        expected.extend(self.settled.iter().map(|(key, settled)| (key.clone(), settled.clone())));
        expected
    }
}

impl Expected {
    fn fits(&self, seen: &Value) -> bool {
        match (self, texts(seen)) {
            (Self::Sum(sum), _) => match seen {
                Value::GCounter(seen) => i128::try_from(*seen).ok() == Some(*sum),
                Value::PnCounter(seen) => seen == sum,
                _ => false,
            },
            (_, None) => false,
            (Self::All(all), Some(seen)) => seen == *all,
            (Self::OneOf(any), Some(seen)) => seen.len() == 1 && seen.is_subset(any),
            (Self::SomeOf(any), Some(seen)) => !seen.is_empty() && seen.is_subset(any),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum(sum) => write!(f, "{sum}"),
            Self::All(all) => f.write_str(&list(all)),
            Self::OneOf(any) => write!(f, "one of {}", list(any)),
            Self::SomeOf(any) => write!(f, "some of {}", list(any)),
        }
    }
}

fn list(texts: &BTreeSet<String>) -> String {
    texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

/// What registers and sets hold, as text.
fn texts(value: &Value) -> Option<BTreeSet<String>> {
    let texts: Vec<_> = match value {
        Value::GCounter(_) | Value::PnCounter(_) => return None,
        Value::LwwRegister(value) => value.iter().collect(),
        Value::MvRegister(values) | Value::OrSet(values) => values.iter().collect(),
    };
    Some(texts.into_iter().map(text).collect())
}

/// Text as itself, everything else as JSON.
pub(crate) fn text(bytes: &Bytes) -> String {
    match json(bytes) {
        serde_json::Value::String(text) => text,
        value => value.to_string(),
    }
}

/// A value as differences show it.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::GCounter(sum)) => sum.to_string(),
        Some(Value::PnCounter(sum)) => sum.to_string(),
        Some(value) => Expected::All(texts(value).unwrap_or_default()).to_string(),
    }
}

/// Everything in which a region is not what it must be, or not what the first region is.
pub(crate) fn compare(
    expected: &BTreeMap<Key, Expected>,
    regions: &[(String, BTreeMap<Key, Value>)],
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (first, of_first) = match regions.first() {
        Some((name, seen)) => (name, seen),
        None => return differences,
    };
    for (region, seen) in regions {
        let keys: BTreeSet<&Key> = expected.keys().chain(seen.keys()).chain(of_first.keys()).collect();
        for key in keys {
            let (must, is) = (expected.get(key), seen.get(key));
            let expected = match (must, is) {
                (None, Some(_)) => "nothing".to_owned(),
                (Some(must), is) if !is.is_some_and(|is| must.fits(is)) => must.to_string(),
                _ if is != of_first.get(key) => format!("{}, as in {first}", shown(of_first.get(key))),
                _ => continue,
            };
            differences.push(Difference { region: region.clone(), key: key.clone(), expected, seen: shown(is) });
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(changes: &[(usize, &str, Act)]) -> Truth {
        let mut truth = Truth::default();
        for (region, path, act) in changes {
            truth.note(*region, Change::new(*path, act.clone()));
        }
        truth
    }

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn stored(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn write(text: &str) -> Act {
        Act::Write(text.to_owned())
    }

    #[test]
    fn counts_add_up_and_a_deletion_begins_anew() {
        let delete = Act::Delete(Kind::PnCounter);
        let truth = truth(&[
            (0, "a", Act::Count(5)),
            (1, "a", Act::Count(-7)),
            (0, "b", Act::Count(5)),
            (0, "b", delete.clone()),
            (0, "b", Act::Count(2)),
            (1, "c", Act::Count(1)),
            (1, "c", delete),
            (2, "a", Act::Increment(3)),
        ]);
        let expected = truth.expected();
        let at = |path: &str, kind| expected.get(&(path.to_owned(), kind)).cloned();
        assert_eq!(at("a", Kind::PnCounter), Some(Expected::Sum(-2)));
        assert_eq!(at("a", Kind::GCounter), Some(Expected::Sum(3)));
        assert_eq!(at("b", Kind::PnCounter), Some(Expected::Sum(2)));
        assert_eq!(at("c", Kind::PnCounter), None);
        assert_eq!((truth.changes[&Kind::PnCounter], truth.changes[&Kind::GCounter]), (7, 1));
    }

    #[test]
    fn of_a_register_each_regions_last_write_may_be_seen() {
        let beside = |text: &str| Act::WriteBeside(text.to_owned());
        let expected = truth(&[
            (0, "one", write("x")),
            (0, "one", write("y")),
            (0, "two", write("x")),
            (1, "two", write("y")),
            (0, "two", write("z")),
            (0, "three", beside("x")),
            (1, "three", beside("y")),
        ])
        .expected();
        let at = |path: &str, kind| expected[&(path.to_owned(), kind)].clone();
        assert_eq!(at("one", Kind::LwwRegister), Expected::All(set(&["y"])));
        assert_eq!(at("two", Kind::LwwRegister), Expected::OneOf(set(&["y", "z"])));
        assert!(at("two", Kind::LwwRegister).fits(&Value::LwwRegister(Some(stored("z")))));
        assert!(!at("two", Kind::LwwRegister).fits(&Value::LwwRegister(Some(stored("x")))));
        let three = at("three", Kind::MvRegister);
        assert!(three.fits(&Value::MvRegister(vec![stored("x"), stored("y")])));
        assert!(!three.fits(&Value::MvRegister(vec![])) && !three.fits(&Value::MvRegister(vec![stored("z")])));
    }

    #[test]
    fn an_element_is_in_the_set_unless_its_region_removed_it_last() {
        let (add, remove) = (|text: &str| Act::Add(text.to_owned()), |text: &str| Act::Remove(text.to_owned()));
        let truth = truth(&[
            (0, "s", add("a")),
            (0, "s", remove("a")),
            (1, "s", add("b")),
            (2, "s", add("b")),
            (2, "s", remove("c")),
            (2, "s", add("c")),
            (2, "empty", add("x")),
            (2, "empty", remove("x")),
        ]);
        let expected = truth.expected();
        assert_eq!(expected[&("s".to_owned(), Kind::OrSet)], Expected::All(set(&["b", "c"])));
        assert_eq!(expected.len(), 1);
    }

    #[test]
    fn a_board_shows_the_greatest_and_a_conflict_the_last_of_each() {
        let mut truth = truth(&[
            (0, "score/a", Act::Count(5)),
            (1, "score/b", Act::Count(7)),
            (1, "score/c", Act::Count(5)),
            (0, "one", write("x")),
            (0, "two", write("x")),
            (1, "two", write("y")),
            (0, "two", write("z")),
        ]);
        let board = |rows: &[(&str, i128)]| {
            let rows: Vec<_> = rows.iter().map(|(name, points)| ((*name).to_owned(), *points)).collect();
            truth.check_board("score/", 2, &rows).is_none()
        };
        assert!(board(&[("b", 7), ("a", 5)]) && board(&[("b", 7), ("c", 5)]));
        assert!(!board(&[("a", 5), ("b", 7)]) && !board(&[("b", 7)]) && !board(&[("b", 7), ("d", 5)]));

        let listed = |rows: &[(&str, &[&str])]| {
            let rows = rows.iter().map(|(path, texts)| (((*path).to_owned(), Kind::LwwRegister), set(texts)));
            rows.collect::<BTreeMap<_, _>>()
        };
        let right = listed(&[("two", &["y", "z"])]);
        assert_eq!(truth.check_conflicts(&right), [""; 0]);
        for wrong in [listed(&[("two", &["x", "y"])]), listed(&[("one", &["x"])]), listed(&[("none", &["x", "y"])])] {
            assert_eq!(truth.check_conflicts(&wrong).len(), 1);
        }
        truth.conflict("final", Kind::LwwRegister, set(&["p", "q"]));
        assert_eq!(truth.check_conflicts(&right).len(), 1);
        assert_eq!(truth.check_conflicts(&listed(&[("final", &["p"])])).len(), 1);
        assert_eq!(truth.check_conflicts(&listed(&[("final", &["p", "q"])])), [""; 0]);
    }

    #[test]
    fn every_difference_is_named() {
        let mut truth = truth(&[(0, "a", Act::Count(5)), (0, "b", write("x")), (1, "b", write("y"))]);
        truth.settle("b", Kind::LwwRegister, Expected::OneOf(set(&["x", "y", "z"])));
        let key = |path: &str, kind| (path.to_owned(), kind);
        let region = |name: &str, sum: i128, held: &str| {
            let seen = [
                (key("a", Kind::PnCounter), Value::PnCounter(sum)),
                (key("b", Kind::LwwRegister), Value::LwwRegister(Some(stored(held)))),
            ];
            (name.to_owned(), BTreeMap::from(seen))
        };
        let alike = [region("us", 5, "x"), region("eu", 5, "x")];
        assert_eq!(compare(&truth.expected(), &alike), []);
        let found = compare(&truth.expected(), &[region("us", 5, "x"), region("eu", 5, "y")]);
        assert_eq!((found.len(), &*found[0].region, &*found[0].expected), (1, "eu", "\"x\", as in us"));
        let found = compare(&truth.expected(), &[region("us", 5, "x"), region("eu", 4, "x")]);
        assert_eq!((found.len(), &*found[0].expected, &*found[0].seen), (1, "5", "4"));
        let mut more = region("eu", 5, "x");
        more.1.remove(&key("a", Kind::PnCounter));
        more.1.insert(key("c", Kind::GCounter), Value::GCounter(1));
        let found = compare(&truth.expected(), &[region("us", 5, "x"), more]);
        assert_eq!(found.iter().map(|found| &*found.seen).collect::<Vec<_>>(), ["nothing", "1"]);
        truth.falsify();
        assert_eq!(compare(&truth.expected(), &alike).len(), 2, "once in each region");
    }
}
