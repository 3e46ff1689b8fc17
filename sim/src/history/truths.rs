//! What a view must show, worked out as it grows: the oracle, for whoever asks it at every step.
//! Layer 0.
//!
//! A view only grows, so what was undone in it stays undone, and what is new in it is held against what is there. It comes to
//! what [`History::truth`] says, which looks at everything each time; a test holds the two side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::once,
};

use super::{Did, Done, Event, History, Object, Process, Seen, Sort, Truth, View};

/// In how many looks at a view each object of it is read at least once: what was to stay as it is may have changed as well.
const EACH: u64 = 8;

/// What a view must show of each object, as far as it was worked out.
#[derive(Debug, Default)]
pub(crate) struct Truths {
    /// By the numbers of the objects.
    known: Vec<Known>,
    /// What the view held when it was looked at last.
    seen: Seen,
    /// How often it was looked at.
    looks: u64,
}

/// What an object must read as.
#[derive(Debug)]
pub(crate) struct Must<'a> {
    pub(crate) truth: &'a Truth,
    /// Where all clocks are right: the writes of which a register reads as one.
    pub(crate) last_writes: &'a BTreeSet<u16>,
    /// True when it may be something else than before, or was not looked at for a while.
    pub(crate) is_due: bool,
}

/// What was worked out of one object.
#[derive(Debug, Default)]
struct Known {
    /// How often something had been done to it when it was looked at.
    changes: u64,
    /// How many of its events were looked at.
    events: usize,
    /// Those of them that the view does not hold.
    missing: Vec<usize>,
    /// Those that it holds and that nobody else can read yet: who has seen their position need not have seen them.
    unpublished: Vec<usize>,
    /// How far those reach that it holds and that undo one element, or everything.
    reach: BTreeMap<Option<u16>, Reach>,
    /// Those that it holds and that nothing in it undoes.
    standing: Vec<usize>,
    /// What those count.
    count: i128,
    truth: Option<Truth>,
    last_writes: BTreeSet<u16>,
}

/// How far those have seen that undo something: of each process the last of them, and all that any of them had seen.
#[derive(Debug, Default)]
struct Reach(BTreeMap<Process, (usize, Seen)>);

impl Truths {
    /// To be called before [`of`](Self::of), with a view that is always that of the same party.
    pub(crate) fn turn_to(&mut self, history: &History, view: &View) {
        self.looks += 1;
        if self.seen != view.seen {
            if self.seen.iter().any(|(log, before)| view.seen.get(log).is_none_or(|now| now < before)) {
                self.known.clear();
            }
            self.seen.clone_from(&view.seen);
        }
        self.known.resize_with(history.done.len(), Known::default);
    }

    /// What an object must read as in the view that it was turned to.
    pub(crate) fn of(&mut self, history: &History, view: &View, (number, object): (usize, &Object)) -> Must<'_> {
        let known = &mut self.known[number];
        if known.take_in(history, &history.done[number], view) {
            known.truth = None;
        }
        let is_new = known.truth.is_none();
        let Known { standing, count, truth, last_writes, .. } = known;
        let truth = truth.get_or_insert_with(|| {
            if object.1 == Sort::Last {
                *last_writes = history.last_of(standing);
            }
            shown(history, standing, *count, object.1)
        });
        let is_due = is_new || (self.looks + number as u64).is_multiple_of(EACH);
        Must { truth, last_writes, is_due }
    }
}

impl Known {
    /// Takes in what the view has come to hold, and says whether that is anything.
    fn take_in(&mut self, history: &History, done: &Done, view: &View) -> bool {
        let is_same = self.changes == done.changes;
        if is_same && self.missing.is_empty() {
            return false;
        }
        let mut has_changed = false;
        if !is_same {
            self.changes = done.changes;
            self.missing.extend_from_slice(&done.events[self.events..]);
            self.events = done.events.len();
            for event in std::mem::take(&mut self.unpublished) {
                if !history.events[event].is_published {
                    self.unpublished.push(event);
                } else if self.is_undone(history, event) {
                    self.retain(history, |standing| standing != event);
                    has_changed = true;
                }
            }
        }
        for event in std::mem::take(&mut self.missing) {
            if history.holds(view, &history.events[event]) {
                self.hold(history, event);
                has_changed = true;
            } else {
                self.missing.push(event);
            }
        }
        has_changed
    }

    fn hold(&mut self, history: &History, event: usize) {
        let did = history.events[event].did;
        if !history.events[event].is_published {
            self.unpublished.push(event);
        }
        if did.undoes() {
            let events = &history.events;
            self.retain(history, |other| !(did.undoes_a(events[other].did) && history.has_seen(event, other)));
            self.reach.entry(did.element()).or_default().extend(&history.events[event], event);
        }
        if !matches!(did, Did::Take(_) | Did::Delete) && !self.is_undone(history, event) {
            self.standing.push(event);
            self.count += did.counts();
        }
    }

    /// What stands from now on of what has stood so far.
    fn retain(&mut self, history: &History, stands: impl Fn(usize) -> bool) {
        self.standing.retain(|event| {
            let stays = stands(*event);
            if !stays {
                self.count -= history.events[*event].did.counts();
            }
            stays
        });
    }

    /// True when something that the view holds undoes this, having seen it.
    fn is_undone(&self, history: &History, event: usize) -> bool {
        let Event { did, .. } = &history.events[event];
        let undoing = once(None).chain(did.element().map(Some)).filter_map(|what| self.reach.get(&what));
        undoing.into_iter().any(|reach| reach.has_seen(&history.events[event], event))
    }
}

impl Reach {
    fn extend(&mut self, event: &Event, number: usize) {
        let (last, reach) = self.0.entry(event.process).or_default();
        *last = (*last).max(number);
        for (log, position) in &event.seen {
            let seen = reach.entry(*log).or_default();
            *seen = (*seen).max(*position);
        }
    }

    fn has_seen(&self, event: &Event, number: usize) -> bool {
        self.0.iter().any(|(process, (last, seen))| match *process == event.process {
            true => number < *last,
            false => event.is_published && seen.get(&event.log).is_some_and(|seen| *seen >= event.position),
        })
    }
}

/// What an object reads as of which this stands.
fn shown(history: &History, standing: &[usize], count: i128, sort: Sort) -> Truth {
    let done = standing.iter().map(|event| history.events[*event].did);
    match sort {
        Sort::Grows | Sort::Counter => Truth::Count(count),
        Sort::Last | Sort::Every => Truth::Writes(done.filter_map(Did::written).collect()),
        Sort::Set => {
            let put = |did| if let Did::Put(element) = did { Some(element) } else { None };
            Truth::Elements(done.filter_map(put).collect())
        }
    }
}

impl Did {
    /// The one element that it is about, in a set.
    const fn element(self) -> Option<u16> {
        match self {
            Self::Put(element) | Self::Take(element) => Some(element),
            Self::Count(_) | Self::Write(_) | Self::Delete => None,
        }
    }

    const fn counts(self) -> i128 {
        if let Self::Count(by) = self { by as i128 } else { 0 }
    }

    /// True when it undoes such a thing that its author had seen. An add that has seen another one stands for it: who takes out
    /// the later one has taken out both.
    fn undoes_a(self, earlier: Self) -> bool {
        match earlier {
            Self::Count(_) => self == Self::Delete,
            Self::Write(_) => matches!(self, Self::Write(_) | Self::Delete),
            Self::Put(element) => self == Self::Put(element) || self == Self::Take(element) || self == Self::Delete,
            Self::Take(_) | Self::Delete => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::Log, random::Random};

    #[test]
    fn what_was_worked_out_is_what_would_be() {
        let objects = [Sort::Set, Sort::Counter, Sort::Last].map(|sort| ("a".to_owned(), sort));
        let mut random = Random::named(1, "truths");
        let mut history = History::default();
        let mut parties: Vec<(View, Truths)> = (0..4)
            .map(|party| View { seen: Seen::new(), of: Some((party, party as Log)).filter(|_| party < 3) })
            .map(|view| (view, Truths::default()))
            .collect();
        for step in 0..2_000 {
            let (party, log) = (random.below(4) as usize, random.below(3) as usize);
            let view = &mut parties[party].0;
            match random.below(3) {
                0 => *view.seen.entry(log).or_default() += random.below(3),
                1 => history.publish(log, random.below(40)),
                _ if party == 3 => {}
                _ => {
                    let object = objects[random.below(3) as usize].clone();
                    let did = match object.1 {
                        _ if random.below(5) == 0 => Did::Delete,
                        Sort::Set if random.below(2) == 0 => Did::Take(1),
                        Sort::Set => Did::Put(random.below(2) as u16),
                        Sort::Last => Did::Write(step),
                        _ => Did::Count(1),
                    };
                    let seen = view.seen.clone();
                    history.record((party as Process, party), random.below(40), object, did, seen);
                }
            }
            for (view, truths) in &mut parties {
                truths.turn_to(&history, view);
                for (number, object) in history.numbered() {
                    // Not each is asked for each time.
                    if random.below(3) == 0 {
                        continue;
                    }
                    let must = truths.of(&history, view, (number, object));
                    assert_eq!(*must.truth, history.truth(view, object));
                    if object.1 == Sort::Last {
                        assert_eq!(*must.last_writes, history.last_writes(view, object));
                    }
                }
            }
        }
    }
}
