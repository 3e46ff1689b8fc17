//! Every history of a small scope, against the reference.
//!
//! Goal: leave no small counter-example to chance; every published CRDT bug of `museum.rs` needs no more than this.
//! Method: three replicas; a step is one mutation (two elements, two amounts, deletion), one delivery of one delta to one
//! replica, or one merge of one replica's whole state into another's. All sequences of up to `STEPS` steps are walked,
//! but two that differ only in the order of steps which cannot notice each other are one, and so are two that differ
//! only in the names of replicas or elements (not for the registers: their ties are decided by replica). After
//! every step the changed replica is read; after every history all replicas hear the rest in four ways (in order, in
//! reverse and twice, as one group, by whole states) and must then be equal to each other and to the reference.

use std::{fmt::Debug, num::NonZeroU64, rc::Rc};

use crdt_core::{
    Causal, DataType, Delta, GCounter, LwwRegister, MvRegister, OrSet, PnCounter, ReplicaId, Timestamp, Writer,
};
use tests::reference::{Did, History, Ops};

const REPLICAS: usize = 3;

/// A type under test: its mutations, and how the reference reads it.
trait Specimen: DataType<Changes: Debug> + Default + PartialEq + Debug {
    const STEPS: usize;
    const MUTATIONS: usize;
    /// How many of the mutations are worth trying first: an element that is swapped for the other says nothing new.
    const FIRST: usize;
    /// Swapping the names of replicas says nothing new.
    const REPLICAS_ALIKE: bool;
    /// A delta brings all that its author had counted before: whoever deletes deletes that too.
    const CUMULATIVE: bool;
    type Reading: PartialEq + Debug;

    fn mutate(writer: &mut Writer<Self>, author: usize, mutation: usize) -> (Delta<Self>, Did);
    fn read(&self) -> Self::Reading;
    fn must_read(history: &History, view: Ops) -> Self::Reading;
}

fn id(replica: usize) -> ReplicaId {
    NonZeroU64::new(replica as u64 + 1).expect("not zero").into()
}

impl Specimen for OrSet<u8> {
    const STEPS: usize = 7;
    const MUTATIONS: usize = 5;
    const FIRST: usize = 1;
    const REPLICAS_ALIKE: bool = true;
    const CUMULATIVE: bool = false;
    type Reading = Vec<u8>;

    fn mutate(writer: &mut Writer<Self>, _: usize, mutation: usize) -> (Delta<Self>, Did) {
        match mutation {
            0 | 1 => (writer.add(mutation as u8), Did::Add(mutation as u8)),
            2 | 3 => (writer.remove(&(mutation as u8 - 2)), Did::Remove(mutation as u8 - 2)),
            _ => (writer.clear(), Did::Delete),
        }
    }

    fn read(&self) -> Vec<u8> {
        self.elements().into_iter().copied().collect()
    }

    fn must_read(history: &History, view: Ops) -> Vec<u8> {
        history.elements(view, 0).into_iter().collect()
    }
}

impl Specimen for PnCounter {
    const STEPS: usize = 7;
    const MUTATIONS: usize = 3;
    const FIRST: usize = 2;
    const REPLICAS_ALIKE: bool = true;
    const CUMULATIVE: bool = true;
    type Reading = i128;

    fn mutate(writer: &mut Writer<Self>, _: usize, mutation: usize) -> (Delta<Self>, Did) {
        match mutation {
            0 => (writer.add(1).expect("small"), Did::Count(1)),
            1 => (writer.add(-4).expect("small"), Did::Count(-4)),
            _ => (writer.reset(), Did::Delete),
        }
    }

    fn read(&self) -> i128 {
        self.value()
    }

    fn must_read(history: &History, view: Ops) -> i128 {
        history.count(view, 0)
    }
}

impl Specimen for GCounter {
    const STEPS: usize = 6;
    const MUTATIONS: usize = 3;
    const FIRST: usize = 2;
    const REPLICAS_ALIKE: bool = true;
    const CUMULATIVE: bool = true;
    type Reading = u128;

    fn mutate(writer: &mut Writer<Self>, _: usize, mutation: usize) -> (Delta<Self>, Did) {
        match mutation {
            0 => (writer.add(1).expect("small"), Did::Count(1)),
            1 => (writer.add(8).expect("small"), Did::Count(8)),
            _ => (writer.reset(), Did::Delete),
        }
    }

    fn read(&self) -> u128 {
        self.value()
    }

    fn must_read(history: &History, view: Ops) -> u128 {
        history.count(view, 0).unsigned_abs()
    }
}

/// What a replica writes tells who wrote it, so that ties show.
const fn write(author: usize, mutation: usize) -> (u8, u64) {
    ((author * 2 + mutation) as u8, mutation as u64 + 1)
}

impl Specimen for LwwRegister<u8> {
    const STEPS: usize = 6;
    const MUTATIONS: usize = 3;
    const FIRST: usize = 2;
    const REPLICAS_ALIKE: bool = false;
    const CUMULATIVE: bool = false;
    type Reading = Option<u8>;

    fn mutate(writer: &mut Writer<Self>, author: usize, mutation: usize) -> (Delta<Self>, Did) {
        if mutation == 2 {
            return (writer.clear(), Did::Delete);
        }
        let (value, time) = write(author, mutation);
        (writer.set(value, Timestamp::from(time)), Did::Write(value, time))
    }

    fn read(&self) -> Option<u8> {
        self.value().copied()
    }

    fn must_read(history: &History, view: Ops) -> Option<u8> {
        history.writes(view, 0).last().map(|(.., value)| *value)
    }
}

impl Specimen for MvRegister<u8> {
    const STEPS: usize = 6;
    const MUTATIONS: usize = 3;
    const FIRST: usize = 2;
    const REPLICAS_ALIKE: bool = false;
    const CUMULATIVE: bool = false;
    type Reading = Vec<u8>;

    fn mutate(writer: &mut Writer<Self>, author: usize, mutation: usize) -> (Delta<Self>, Did) {
        if mutation == 2 {
            return (writer.clear(), Did::Delete);
        }
        let (value, time) = write(author, mutation);
        (writer.set(value, Timestamp::from(time)), Did::Write(value, time))
    }

    fn read(&self) -> Vec<u8> {
        let mut values: Vec<u8> = self.values().copied().collect();
        values.sort_unstable();
        values
    }

    fn must_read(history: &History, view: Ops) -> Vec<u8> {
        let mut values: Vec<u8> = history.writes(view, 0).iter().map(|(.., value)| *value).collect();
        values.sort_unstable();
        values
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Mutate { at: usize, mutation: usize },
    Deliver { at: usize, delta: usize },
    Merge { at: usize, from: usize },
}

impl Step {
    const fn at(self) -> usize {
        match self {
            Self::Mutate { at, .. } | Self::Deliver { at, .. } | Self::Merge { at, .. } => at,
        }
    }

    /// True when neither step can notice whether the other came before it. `made` is the delta that `self` made.
    fn commutes_with(self, next: Self, made: Option<usize>) -> bool {
        let reads = |step: Self, of: Self| matches!(step, Self::Merge { from, .. } if from == of.at());
        self.at() != next.at()
            && !reads(self, next)
            && !reads(next, self)
            && !matches!(next, Self::Deliver { delta, .. } if Some(delta) == made)
    }
}

struct Place<T> {
    causal: Causal<T>,
    view: Ops,
}

#[derive(Clone)]
struct Node<T: DataType> {
    places: [Rc<Place<T>>; REPLICAS],
    /// Every delta that was made, with its author; its operation has the same number.
    deltas: Vec<(usize, Rc<Delta<T>>)>,
    history: History,
    steps: Vec<Step>,
    used: usize,
    last_made: Option<usize>,
}

#[derive(Default)]
struct Checked {
    histories: u64,
    views: u64,
}

impl<T: Specimen> Node<T> {
    fn new() -> Self {
        Self {
            places: std::array::from_fn(|_| Rc::new(Place { causal: Causal::default(), view: Ops::default() })),
            deltas: Vec::new(),
            history: History::default(),
            steps: Vec::new(),
            used: 0,
            last_made: None,
        }
    }

    /// All steps that could come next and would say something new.
    fn next(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        // Replicas that have done and heard nothing are alike: only the first of them is interesting.
        let reach = if T::REPLICAS_ALIKE { (self.used + 1).min(REPLICAS) } else { REPLICAS };
        for at in 0..reach {
            let mutations = if self.deltas.is_empty() { T::FIRST } else { T::MUTATIONS };
            steps.extend((0..mutations).map(|mutation| Step::Mutate { at, mutation }));
            let heard = |delta: usize| self.places[at].view.contains(delta);
            steps
                .extend((0..self.deltas.len()).filter(|delta| !heard(*delta)).map(|delta| Step::Deliver { at, delta }));
            let known = |from: usize| self.places[from].view.without(self.places[at].view).is_empty();
            steps.extend((0..REPLICAS).filter(|from| !known(*from)).map(|from| Step::Merge { at, from }));
        }
        if let Some(last) = self.steps.last() {
            steps.retain(|step| step > last || !last.commutes_with(*step, self.last_made));
        }
        steps
    }

    /// `None` for a mutation that changes nothing: the same history without it is walked anyway.
    fn after(&self, step: Step) -> Option<Self> {
        let mut next = self.clone();
        let at = step.at();
        let Place { causal, view } = &*self.places[at];
        let mut place = Place { causal: causal.clone(), view: *view };
        next.last_made = None;
        match step {
            Step::Mutate { mutation, .. } => {
                let epoch = self.deltas.len() as u32;
                let mut writer = Writer::open(id(at), epoch, place.causal).expect("a new epoch for each mutation");
                let (delta, did) = T::mutate(&mut writer, at, mutation);
                if delta.is_empty() {
                    return None;
                }
                place.causal = writer.into_causal();
                let op = next.history.record(at, 0, did, self.observed(place.view));
                place.view.insert(op);
                next.last_made = Some(op);
                next.deltas.push((at, Rc::new(delta)));
            }
            Step::Deliver { delta, .. } => {
                place.causal.merge_delta(&self.deltas[delta].1);
                place.view.insert(delta);
            }
            Step::Merge { from, .. } => {
                place.causal.merge(&self.places[from].causal);
                place.view.unite(self.places[from].view);
            }
        }
        next.places[at] = Rc::new(place);
        next.used = next.used.max(at + 1);
        next.steps.push(step);
        Some(next)
    }

    /// What a mutation made in this view observes.
    fn observed(&self, view: Ops) -> Ops {
        let mut observed = view;
        if T::CUMULATIVE {
            for latest in view.iter() {
                let author = self.deltas[latest].0;
                (0..latest).filter(|op| self.deltas[*op].0 == author).for_each(|op| observed.insert(op));
            }
        }
        observed
    }

    fn check_view(&self, at: usize, checked: &mut Checked) {
        let Place { causal, view } = &*self.places[at];
        // Only a view that is causally closed has a defined value: a removal names the add that it observed last, and
        // says nothing of those which that one had superseded.
        if !self.history.is_closed(*view) {
            return;
        }
        checked.views += 1;
        let (reads, must) = (causal.read(), T::must_read(&self.history, *view));
        assert_eq!(reads, must, "replica {at} after {:?}", self.steps);
        for Place { causal: other, view } in self.places.iter().map(Rc::as_ref) {
            if other.context() == causal.context() && self.history.is_closed(*view) {
                assert_eq!(other, causal, "equal contexts, other states, after {:?}", self.steps);
            }
        }
    }

    /// Whatever has been done so far, everybody can hear of it and then agrees.
    fn check_end(&self) {
        let must = T::must_read(&self.history, self.history.all());
        let mut group = Delta::default();
        self.deltas.iter().for_each(|(_, delta)| group.merge(delta));
        let mut ends: Vec<Causal<T>> = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            // Each way from one replica, and whole states everywhere: any two of them meet in another history.
            let mut end = place.causal.clone();
            match at {
                0 => self.deltas.iter().for_each(|(_, delta)| end.merge_delta(delta)),
                1 => self.deltas.iter().rev().chain(&self.deltas).for_each(|(_, delta)| end.merge_delta(delta)),
                _ => end.merge_delta(&group),
            }
            let mut whole = place.causal.clone();
            whole.merge(&Causal::from(group.clone()));
            self.places.iter().for_each(|other| whole.merge(&other.causal));
            ends.extend([end, whole]);
        }
        assert_eq!(ends[0].read(), must, "at the end of {:?}", self.steps);
        for (way, end) in ends.iter().enumerate() {
            assert_eq!(*end, ends[0], "way {way} after {:?}", self.steps);
        }
    }

    fn walk(&self, checked: &mut Checked) {
        for step in self.next() {
            let Some(node) = self.after(step) else { continue };
            checked.histories += 1;
            node.check_view(step.at(), checked);
            if node.steps.len() < T::STEPS {
                node.walk(checked);
            } else {
                node.check_end();
            }
        }
    }
}

fn walk<T: Specimen>(name: &str, at_least: u64) {
    let mut checked = Checked::default();
    Node::<T>::new().walk(&mut checked);
    println!("{name}: {} histories of up to {} steps, {} views", checked.histories, T::STEPS, checked.views);
    assert!(checked.histories >= at_least, "only {} histories: something is left out", checked.histories);
}

#[test]
fn every_small_history_of_a_set() {
    walk::<OrSet<u8>>("OrSet", 2_500_000);
}

#[test]
fn every_small_history_of_an_up_and_down_counter() {
    walk::<PnCounter>("PnCounter", 2_400_000);
}

#[test]
fn every_small_history_of_a_grow_only_counter() {
    walk::<GCounter>("GCounter", 190_000);
}

#[test]
fn every_small_history_of_a_last_writer_register() {
    walk::<LwwRegister<u8>>("LwwRegister", 600_000);
}

#[test]
fn every_small_history_of_a_multi_value_register() {
    walk::<MvRegister<u8>>("MvRegister", 600_000);
}
