//! The oracle: what every value must be, from the history of operations alone.
//! Layer 0.
//!
//! It knows what was done, under which position of which log, and what its author had seen. It keeps everything for ever,
//! tombstones included, and shares no code with what it checks: a position is a number to it, and a dot nothing.

mod truths;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub(crate) use truths::{Must, Truths};

/// A log, by its number in the history.
pub type Log = usize;

/// A process that has written a log: several may have, one after the other.
pub type Process = u32;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// A counter that only grows.
    Grows,
    /// A counter.
    Counter,
    /// A register that reads as its last write.
    Last,
    /// A register that reads as every concurrent write.
    Every,
    /// A set.
    Set,
}

impl Sort {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Grows, Self::Counter, Self::Last, Self::Every, Self::Set];
}

/// An object, by its path and what it is.
pub type Object = (String, Sort);

/// What an operation did to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// Counted so much.
    Count(i64),
    /// Put an element in.
    Put(u16),
    /// Took an element out.
    Take(u16),
    /// Wrote a value.
    Write(u16),
    /// Deleted it.
    Delete,
}

impl Did {
    /// True when it can undo what its author had seen: whatever is no count.
    const fn undoes(self) -> bool {
        !matches!(self, Self::Count(_))
    }

    /// The value, of a write.
    const fn written(self) -> Option<u16> {
        if let Self::Write(value) = self { Some(value) } else { None }
    }
}

/// What somebody has seen: of each log, everything up to a position.
pub type Seen = BTreeMap<Log, u64>;

#[derive(Clone, Debug)]
struct Event {
    process: Process,
    log: Log,
    position: u64,
    did: Did,
    seen: Seen,
    /// True when its position is in its bucket, or has been.
    is_published: bool,
    at: Duration,
}

/// A view of the history: that of a process, or of somebody who writes nothing.
#[derive(Clone, Debug)]
pub struct View {
    /// How far each log has been applied.
    pub seen: Seen,
    /// Whose view it is: a process has seen all that it has done.
    pub of: Option<(Process, Log)>,
}

/// What an object must read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// A counter.
    Count(i128),
    /// The live writes of a register, each by its value.
    Writes(BTreeSet<u16>),
    /// The elements of a set.
    Elements(BTreeSet<u16>),
}

/// What was done to an object.
#[derive(Clone, Debug, Default)]
struct Done {
    /// Its events, in the order in which they were recorded.
    events: Vec<usize>,
    /// Those of them that deleted it.
    deletions: Vec<usize>,
    /// How often something was done to it, or came into a bucket.
    changes: u64,
}

/// Everything that was ever done.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
    now: Duration,
    /// Each object's number: the place of what was done to it.
    objects: BTreeMap<Object, usize>,
    done: Vec<Done>,
    /// The positions that are in a bucket, or have been.
    published: BTreeSet<(Log, u64)>,
    /// The events of those that are not, with the numbers of their objects.
    pending: BTreeMap<(Log, u64), Vec<(usize, usize)>>,
}

impl History {
    /// What is recorded from now on was done at this time.
    pub const fn pass_to(&mut self, now: Duration) {
        self.now = now;
    }

    /// Records what a process did under a position of its log, having seen `seen` of the others.
    pub fn record(&mut self, (process, log): (Process, Log), position: u64, object: Object, did: Did, seen: Seen) {
        let event = self.events.len();
        let next = self.done.len();
        let number = *self.objects.entry(object).or_insert(next);
        if number == next {
            self.done.push(Done::default());
        }
        // Also where the position has been in its bucket before: that was another's, of a bucket that was emptied since.
        self.pending.entry((log, position)).or_default().push((event, number));
        let done = &mut self.done[number];
        done.events.push(event);
        if did == Did::Delete {
            done.deletions.push(event);
        }
        done.changes += 1;
        self.events.push(Event { process, log, position, did, seen, is_published: false, at: self.now });
    }

    /// Notes that a position is in its bucket: what was done under it can be read.
    pub fn publish(&mut self, log: Log, position: u64) {
        self.published.insert((log, position));
        for (event, number) in self.pending.remove(&(log, position)).into_iter().flatten() {
            self.events[event].is_published = true;
            self.done[number].changes += 1;
        }
    }

    /// True when the position is in its bucket, or has been.
    #[must_use]
    pub fn is_published(&self, log: Log, position: u64) -> bool {
        self.published.contains(&(log, position))
    }

    /// How many operations there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// True before the first of them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Every object of which anything was recorded.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.keys()
    }

    /// Those at one path.
    pub(crate) fn objects_at(&self, path: &str) -> impl Iterator<Item = &Object> {
        let at = |sort| (path.to_owned(), sort);
        self.objects.range(at(Sort::Grows)..=at(Sort::Set)).map(|(object, _)| object)
    }

    /// Every one of them, with its number.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Object)> {
        self.objects.iter().map(|(object, number)| (*number, object))
    }

    /// What was counted last, in the order of their log, of what a view holds of a counter that one log counts on.
    #[must_use]
    pub fn last_count(&self, view: &View, object: &Object) -> Option<i64> {
        let held = self.done_to(object).iter().map(|event| &self.events[*event]);
        held.filter(|event| self.holds(view, event))
            .filter_map(|event| if let Did::Count(by) = event.did { Some(by) } else { None })
            .next_back()
    }

    /// What an object must read as in a view.
    #[must_use]
    pub fn truth(&self, view: &View, object: &Object) -> Truth {
        let held = self.held(view, object);
        // Counts undo nothing, and there are many of them. The last operations are asked first: they have seen the most.
        let undoing: Vec<usize> = held.iter().rev().copied().filter(|event| self.events[*event].did.undoes()).collect();
        // What stands of it: no later operation in the view that undoes such a thing had seen it.
        let standing = |event: usize, undoes: &dyn Fn(Did) -> bool| {
            let undone = |later: &usize| undoes(self.events[*later].did) && self.has_seen(*later, event);
            !undoing.iter().any(undone)
        };
        match object.1 {
            Sort::Grows | Sort::Counter => {
                let amount = |event: &usize| match self.events[*event].did {
                    Did::Count(by) if standing(*event, &|did| did == Did::Delete) => i128::from(by),
                    _ => 0,
                };
                Truth::Count(held.iter().map(amount).sum())
            }
            Sort::Last | Sort::Every => Truth::Writes(self.standing_writes(&held).map(|(_, value)| value).collect()),
            Sort::Set => {
                // An add that has seen another one stands for it: who takes out the later one has taken out both.
                let undoes = |did, element| did == Did::Put(element) || did == Did::Take(element) || did == Did::Delete;
                let there = |event: &usize| match self.events[*event].did {
                    Did::Put(element) if standing(*event, &|did| undoes(did, element)) => Some(element),
                    _ => None,
                };
                Truth::Elements(held.iter().filter_map(there).collect())
            }
        }
    }

    /// The writes one of which a register reads as, that of its last write, where all clocks are right: those that stand and were
    /// made in the last millisecond in which one was.
    #[must_use]
    pub fn last_writes(&self, view: &View, object: &Object) -> BTreeSet<u16> {
        let held = self.held(view, object);
        let standing: Vec<usize> = self.standing_writes(&held).map(|(event, _)| event).collect();
        self.last_of(&standing)
    }

    /// Of these operations the writes made in the last millisecond in which one was.
    fn last_of(&self, standing: &[usize]) -> BTreeSet<u16> {
        let standing = standing.iter().map(|event| &self.events[*event]);
        let last = standing.clone().map(|event| event.at.as_millis()).max();
        let of_the_last = standing.filter(|event| Some(event.at.as_millis()) == last);
        of_the_last.filter_map(|event| event.did.written()).collect()
    }

    /// Of these operations on a register the writes that no other one of them has seen and superseded.
    fn standing_writes<'a>(&'a self, held: &'a [usize]) -> impl Iterator<Item = (usize, u16)> + 'a {
        let undone = |event: usize| {
            let undoes = |later: usize| matches!(self.events[later].did, Did::Write(_) | Did::Delete);
            // The last ones have seen the most.
            held.iter().rev().any(|later| undoes(*later) && self.has_seen(*later, event))
        };
        held.iter().filter_map(move |event| match self.events[*event].did {
            Did::Write(value) if !undone(*event) => Some((*event, value)),
            _ => None,
        })
    }

    /// The deletions of the object that a view holds with all that their authors had seen of it, and with nothing of it that they
    /// had not seen: where there is one, nothing of the object is there, whatever the view lacks of others. Of each it is told
    /// what its author had seen.
    pub(crate) fn deleted_by<'a>(&'a self, view: &'a View, object: &Object) -> impl Iterator<Item = &'a Seen> {
        let holds = |event: usize| self.holds(view, &self.events[event]);
        let is_deletion = |event: usize| self.events[event].did == Did::Delete;
        let undoes_all = move |deletion: usize, of_it: &[usize]| {
            of_it.iter().all(|event| match self.has_seen(deletion, *event) {
                true => holds(*event),
                false => *event == deletion || is_deletion(*event) || !holds(*event),
            })
        };
        let done = self.objects.get(object).map(|number| &self.done[*number]);
        let deletions =
            done.into_iter().flat_map(|done| done.deletions.iter().map(|deletion| (*deletion, &done.events)));
        let whole = deletions.filter(move |(deletion, of_it)| holds(*deletion) && undoes_all(*deletion, of_it));
        whole.map(|(deletion, _)| &self.events[deletion].seen)
    }

    /// What was done to an object, one line for each operation.
    #[must_use]
    pub fn tell(&self, object: &Object) -> String {
        let tell = |event: &usize| {
            let Event { process, log, position, did, seen, is_published, .. } = &self.events[*event];
            let fate = if *is_published { "" } else { ", not published" };
            format!("\n    process {process} of log {log} at {position:x}{fate}: {did:?}, having seen {seen:x?}")
        };
        self.done_to(object).iter().map(tell).collect()
    }

    /// The events of an object.
    fn done_to(&self, object: &Object) -> &[usize] {
        self.objects.get(object).map_or(&[], |number| &self.done[*number].events)
    }

    /// Those of them that a view holds.
    fn held(&self, view: &View, object: &Object) -> Vec<usize> {
        let of_it = self.done_to(object).iter().copied();
        of_it.filter(|event| self.holds(view, &self.events[*event])).collect()
    }

    /// What the authors had seen of those that a view holds.
    pub(crate) fn seen_by_authors(&self, view: &View, object: &Object) -> impl Iterator<Item = &Seen> {
        self.held(view, object).into_iter().map(|event| &self.events[event].seen)
    }

    /// Where an object was changed: in which log, and at which position of it.
    pub(crate) fn changed_at(&self, object: &Object) -> impl Iterator<Item = (usize, u64)> {
        self.done_to(object).iter().map(|event| (self.events[*event].log, self.events[*event].position))
    }

    /// True when the author of `later` had seen `earlier`.
    fn has_seen(&self, later: usize, earlier: usize) -> bool {
        let (l, e) = (&self.events[later], &self.events[earlier]);
        if l.process == e.process {
            return earlier < later;
        }
        e.is_published && l.seen.get(&e.log).is_some_and(|seen| *seen >= e.position)
    }

    fn holds(&self, view: &View, event: &Event) -> bool {
        if view.of.is_some_and(|(process, _)| process == event.process) {
            return true;
        }
        event.is_published && view.seen.get(&event.log).is_some_and(|seen| *seen >= event.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: Sort = Sort::Set;

    fn seen(logs: &[(Log, u64)]) -> Seen {
        logs.iter().copied().collect()
    }

    fn all(history: &History, object: &Object) -> Truth {
        history.truth(&View { seen: seen(&[(0, 9), (1, 9)]), of: None }, object)
    }

    #[test]
    fn an_add_that_the_remover_has_not_seen_stays() {
        let cart = ("cart".to_owned(), SET);
        let mut history = History::default();
        history.record((0, 0), 1, cart.clone(), Did::Put(7), seen(&[]));
        history.record((1, 1), 1, cart.clone(), Did::Put(7), seen(&[(0, 1)]));
        history.record((0, 0), 2, cart.clone(), Did::Take(7), seen(&[]));
        [(0, 1), (0, 2), (1, 1)].into_iter().for_each(|(log, position)| history.publish(log, position));
        assert_eq!(all(&history, &cart), Truth::Elements([7].into()));
        assert_eq!(history.truth(&View { seen: seen(&[(0, 2)]), of: None }, &cart), Truth::Elements(BTreeSet::new()));
    }

    #[test]
    fn what_was_lost_in_a_crash_is_seen_by_its_process_alone() {
        let likes = ("likes".to_owned(), Sort::Counter);
        let mut history = History::default();
        history.record((0, 0), 1, likes.clone(), Did::Count(5), seen(&[]));
        history.publish(0, 1);
        history.record((0, 0), 2, likes.clone(), Did::Count(3), seen(&[]));
        assert_eq!(all(&history, &likes), Truth::Count(5));
        let own = View { seen: seen(&[]), of: Some((0, 0)) };
        assert_eq!(history.truth(&own, &likes), Truth::Count(8));
    }

    #[test]
    fn a_deletion_takes_what_it_had_seen_and_nothing_else() {
        let likes = ("likes".to_owned(), Sort::Grows);
        let mut history = History::default();
        history.record((0, 0), 1, likes.clone(), Did::Count(5), seen(&[]));
        history.record((1, 1), 1, likes.clone(), Did::Delete, seen(&[(0, 1)]));
        history.record((0, 0), 2, likes.clone(), Did::Count(2), seen(&[]));
        [(0, 1), (0, 2), (1, 1)].into_iter().for_each(|(log, position)| history.publish(log, position));
        assert_eq!(all(&history, &likes), Truth::Count(2));
        assert_eq!(history.truth(&View { seen: seen(&[]), of: None }, &likes), Truth::Count(0));
    }

    #[test]
    fn of_concurrent_writes_the_last_is_read_and_of_one_millisecond_any() {
        let name = ("name".to_owned(), Sort::Last);
        let mut history = History::default();
        let view = View { seen: seen(&[(0, 9), (1, 9), (2, 9)]), of: None };
        for (log, at_us) in [(0, 5_000), (1, 7_100), (2, 7_900)] {
            history.pass_to(Duration::from_micros(at_us));
            history.record((log as Process, log), 1, name.clone(), Did::Write(log as u16), seen(&[]));
        }
        history.publish(0, 1);
        assert_eq!(history.last_writes(&view, &name), [0].into());
        history.publish(1, 1);
        history.publish(2, 1);
        assert_eq!(history.last_writes(&view, &name), [1, 2].into());
        history.record((0, 0), 2, name.clone(), Did::Delete, seen(&[(1, 1), (2, 1)]));
        history.publish(0, 2);
        assert_eq!(history.last_writes(&view, &name), BTreeSet::new());
    }

    #[test]
    fn concurrent_writes_stand_beside_each_other_until_one_has_seen_them() {
        let name = ("name".to_owned(), Sort::Every);
        let mut history = History::default();
        history.record((0, 0), 1, name.clone(), Did::Write(1), seen(&[]));
        history.record((1, 1), 1, name.clone(), Did::Write(2), seen(&[]));
        [(0, 1), (1, 1)].into_iter().for_each(|(log, position)| history.publish(log, position));
        assert_eq!(all(&history, &name), Truth::Writes([1, 2].into()));
        history.record((1, 1), 2, name.clone(), Did::Write(3), seen(&[(0, 1)]));
        history.publish(1, 2);
        assert_eq!(all(&history, &name), Truth::Writes([3].into()));
    }
}
