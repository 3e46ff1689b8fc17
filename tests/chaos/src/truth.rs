//! The truth: what was acknowledged, and what must therefore be there. It knows no CRDT.

use std::collections::{BTreeMap, BTreeSet};

/// A life of a process: its region, and the how-manieth process of all it is.
pub(crate) type Life = (String, u64);

/// What processes have said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    acknowledged: BTreeMap<Life, BTreeSet<u64>>,
    /// Why processes have stopped by themselves, and how often.
    pub(crate) stopped: BTreeMap<String, u64>,
    pub(crate) opened: u64,
    /// How many processes have ended without saying why.
    pub(crate) crashed: u64,
    /// How many have found that a peer holds something else.
    pub(crate) differing: u64,
}

/// What a process may stop for: another one has its log, or its bucket was away for too long while it was opened.
/// Whoever
/// watches over it starts it again. Nothing that is injected explains anything else.
const MAY_STOP_FOR: [&str; 2] = ["fenced", "store"];

/// What a region holds in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) region: String,
    pub(crate) likes: i128,
    /// How often each region has counted.
    pub(crate) by: BTreeMap<String, u128>,
    /// The elements of all sets `seen/…`.
    pub(crate) seen: BTreeSet<String>,
    /// Every object, as text.
    pub(crate) everything: BTreeMap<String, String>,
}

impl Truth {
    pub(crate) fn acknowledge(&mut self, life: &Life, number: u64) {
        self.acknowledged.entry(life.clone()).or_default().insert(number);
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.values().map(BTreeSet::len).sum()
    }

    /// Holds what the regions hold against it.
    ///
    /// - All hold the same.
    /// - What was acknowledged is there.
    /// - Every change is there once: it added an element and counted one, in one batch, so there are as many of one as
    ///   of the other.
    /// - Nothing has a hole: of one process a change is there only if all before it are.
    /// - No process has crashed, found damage, or found that a peer differs.
    pub(crate) fn check(&self, held: &[Held]) -> Result<(), String> {
        let Some(first) = held.first() else { return Err("nobody holds anything".to_owned()) };
        let unexplained = self.stopped.keys().find(|kind| !MAY_STOP_FOR.contains(&kind.as_str()));
        if let Some(kind) = unexplained {
            return Err(format!("a process has stopped for what nothing explains: kind={kind}"));
        }
        if self.crashed + self.differing > 0 {
            let (crashed, differing) = (self.crashed, self.differing);
            return Err(format!(
                "processes have crashed or found a difference: crashed={crashed} differing={differing}"
            ));
        }
        for other in &held[1..] {
            if let Some(path) = difference(&first.everything, &other.everything) {
                let (one, another) = (first.everything.get(&path), other.everything.get(&path));
                return Err(format!(
                    "regions differ: path={path} {}={one:?} {}={another:?}",
                    first.region, other.region
                ));
            }
        }
        for ((name, life), numbers) in &self.acknowledged {
            let lost = numbers.iter().find(|number| !first.seen.contains(&format!("{name}/{life}/{number}")));
            if let Some(number) = lost {
                return Err(format!("acknowledged and lost: {name}/{life}/{number}"));
            }
        }
        if first.likes != first.seen.len() as i128 {
            return Err(format!("counted {} times, and {} changes are there", first.likes, first.seen.len()));
        }
        let mut by: BTreeMap<String, u128> = BTreeMap::new();
        let mut lives: BTreeMap<(&str, &str), BTreeSet<u64>> = BTreeMap::new();
        for element in &first.seen {
            let mut parts = element.split('/');
            let (Some(name), Some(life), Some(Ok(number))) = (parts.next(), parts.next(), parts.next().map(str::parse))
            else {
                return Err(format!("nobody has added {element}"));
            };
            *by.entry(name.to_owned()).or_default() += 1;
            lives.entry((name, life)).or_default().insert(number);
        }
        if by != first.by {
            return Err(format!("regions counted {:?}, and their changes are {by:?}", first.by));
        }
        for ((name, life), numbers) in lives {
            if numbers.iter().zip(0..).any(|(number, expected)| *number != expected) {
                return Err(format!("changes of {name}/{life} are missing before others of it"));
            }
        }
        Ok(())
    }

    pub(crate) fn in_short(&self, held: &[Held]) -> String {
        let changes = held.first().map_or(0, |held| held.seen.len());
        format!("{changes} changes, of which {} were acknowledged, each of them once", self.acknowledged())
    }
}

fn difference(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Option<String> {
    let paths: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    paths.into_iter().find(|path| one.get(*path) != other.get(*path)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(region: &str, changes: u64) -> Held {
        let seen: BTreeSet<String> = (0..changes).map(|number| format!("eu/0/{number}")).collect();
        let by = BTreeMap::from([("eu".to_owned(), u128::from(changes))]);
        let everything = seen.iter().map(|element| (element.clone(), String::new())).collect();
        Held { region: region.to_owned(), likes: i128::from(changes), by, seen, everything }
    }

    fn truth(numbers: impl IntoIterator<Item = u64>) -> Truth {
        let mut truth = Truth::default();
        numbers.into_iter().for_each(|number| truth.acknowledge(&("eu".to_owned(), 0), number));
        truth
    }

    fn says(truth: &Truth, held: &[Held]) -> String {
        truth.check(held).expect_err("it does not hold")
    }

    #[test]
    fn what_was_never_acknowledged_may_be_there() {
        assert_eq!(truth(0..3).check(&[held("a", 5), held("b", 5)]), Ok(()));
    }

    #[test]
    fn what_is_lost_doubled_torn_or_different_is_found() {
        assert!(says(&truth(0..6), &[held("a", 5)]).starts_with("acknowledged and lost: eu/0/5"));
        assert!(says(&truth(0..3), &[held("a", 5), held("b", 4)]).starts_with("regions differ: path=eu/0/4"));
        let mut twice = held("a", 5);
        twice.likes += 1;
        assert!(says(&truth(0..3), &[twice]).starts_with("counted 6 times"));
        let mut torn = held("a", 5);
        torn.seen.remove("eu/0/3");
        (torn.likes, torn.by) = (4, BTreeMap::from([("eu".to_owned(), 4)]));
        assert!(says(&truth(0..3), &[torn]).contains("missing before others"));
        let mut other = held("a", 5);
        other.by.insert("us".to_owned(), 1);
        assert!(says(&truth(0..3), &[other]).starts_with("regions counted"));
        assert!(says(&truth(0..3), &[]).starts_with("nobody holds anything"));
    }

    #[test]
    fn a_process_that_stops_for_more_than_a_fence_or_a_store_is_found() {
        let stopped = |kind: &str| Truth { stopped: BTreeMap::from([(kind.to_owned(), 1)]), ..truth(0..3) };
        assert_eq!(stopped("fenced").check(&[held("a", 5)]), Ok(()));
        assert_eq!(stopped("store").check(&[held("a", 5)]), Ok(()));
        assert!(says(&stopped("corrupt"), &[held("a", 5)]).ends_with("kind=corrupt"));
        assert!(says(&Truth { crashed: 1, ..truth(0..3) }, &[held("a", 5)]).ends_with("crashed=1 differing=0"));
        assert!(says(&Truth { differing: 1, ..truth(0..3) }, &[held("a", 5)]).ends_with("crashed=0 differing=1"));
    }
}
