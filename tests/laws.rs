//! The laws that every data type keeps, whatever happens to its replicas.
//!
//! Goal: adding a type to the suite is one line in the table at the end. Method: quickcheck makes a history of three
//! replicas, in which deltas arrive late, twice, grouped and in any order, whole states are merged, and writers are
//! opened again. Each law is checked on the states and deltas that the history reached. Steps name deltas by index,
//! modulo how many there are, so a history stays legal while it shrinks; a failure prints it as a story. The histories
//! are the same in every run; `QUICKCHECK_TESTS=100000` makes more of them.

#![expect(clippy::needless_pass_by_value, reason = "quickcheck gives what it made away")]

use std::{env, fmt};

use crdt_core::{
    Causal, CausalContext, Changes, Counter, DataType, Delta, Dot, GCounter, LwwRegister, Mode, MvRegister, OrSet,
    PnCounter, ReplicaId, Timestamp, Writer,
};
use quickcheck::{Arbitrary, Gen, QuickCheck};

const NAMES: [&str; 3] = ["ann", "bob", "cyd"];

/// What a replica does to its own state. There are few values, so that they collide.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    Put(u8),
    Take(u8),
    Clear,
}

use Mutation::{Clear, Put, Take};

#[derive(Clone)]
enum Step {
    Mutate {
        replica: u8,
        mutation: Mutation,
    },
    /// The deltas arrive as one group.
    Deliver {
        to: u8,
        deltas: Vec<u8>,
    },
    Merge {
        to: u8,
        from: u8,
    },
    /// The writer ends, and another goes on from its state.
    Reopen {
        replica: u8,
    },
}

#[derive(Clone)]
struct History(Vec<Step>);

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let replica = *g.choose(&[0, 1, 2]).expect("three of them");
        match u8::arbitrary(g) % 16 {
            0..=6 => {
                let value = u8::arbitrary(g) % 3;
                let mutation = *g.choose(&[Put(value), Put(value), Take(value), Clear]).expect("four of them");
                Self::Mutate { replica, mutation }
            }
            7..=11 => Self::Deliver {
                to: replica,
                deltas: Vec::arbitrary(&mut Gen::from_size_and_seed(5, u64::arbitrary(g))),
            },
            12..=14 => Self::Merge { to: replica, from: u8::arbitrary(g) % 3 },
            _ => Self::Reopen { replica },
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match self.clone() {
            Self::Deliver { to, deltas } => Box::new(deltas.shrink().map(move |deltas| Self::Deliver { to, deltas })),
            _ => quickcheck::empty_shrinker(),
        }
    }
}

impl Arbitrary for History {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(Vec::arbitrary(g))
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut made = 0;
        for step in &self.0 {
            match step {
                Step::Mutate { replica, mutation } => {
                    write!(f, "\n  {}: {mutation:?}, which is delta {made}", name(*replica))?;
                    made += 1;
                }
                Step::Deliver { to, deltas } => {
                    write!(f, "\n  {} merges deltas {:?} as a group", name(*to), indices(deltas, made))?;
                }
                Step::Merge { to, from } => write!(f, "\n  {} merges the state of {}", name(*to), name(*from))?,
                Step::Reopen { replica } => write!(f, "\n  {} reopens in a new epoch", name(*replica))?,
            }
        }
        writeln!(f)
    }
}

fn name(replica: u8) -> &'static str {
    NAMES[usize::from(replica)]
}

fn indices(picks: &[u8], made: usize) -> Vec<usize> {
    picks.iter().filter_map(|pick| usize::from(*pick).checked_rem(made)).collect()
}

/// What the laws need of a type, written by the table.
trait Subject: DataType<Changes: PartialEq + fmt::Debug> + Default + PartialEq + fmt::Debug {
    fn mutate(writer: &mut Writer<Self>, mutation: Mutation) -> Delta<Self>;
    /// Its bytes, and what they are read as.
    fn through_json(state: &Causal<Self>) -> (String, Causal<Self>);
    fn delta_through_json(delta: &Delta<Self>) -> (String, Delta<Self>);
}

/// In which order deltas may arrive.
#[derive(Clone, Copy)]
enum Delivery {
    Any,
    /// A delta arrives only where every other dot that it names has been seen.
    AfterWhatItNames,
}

/// What a history came to.
struct Run<T: DataType> {
    /// Every delta, with its own dot: none if nothing changed.
    deltas: Vec<(Delta<T>, Option<Dot>)>,
    /// Every state that a replica ever had.
    states: Vec<Causal<T>>,
    /// The state before a mutation, the index of its delta, and the state after.
    mutations: Vec<(Causal<T>, usize, Causal<T>)>,
    /// What the replicas ended with.
    ends: Vec<Causal<T>>,
}

impl<T: Subject> Run<T> {
    fn of(history: &History, delivery: Delivery) -> Self {
        let mut writers = NAMES.map(|name| Writer::<T>::new(ReplicaId::named(name)));
        let mut epochs = [0; NAMES.len()];
        let mut run =
            Self { deltas: Vec::new(), states: vec![Causal::default()], mutations: Vec::new(), ends: Vec::new() };
        for step in &history.0 {
            let changed = match step {
                Step::Mutate { replica, mutation } => {
                    let writer = &mut writers[usize::from(*replica)];
                    let before = Causal::clone(writer);
                    let delta = T::mutate(writer, *mutation);
                    run.mutations.push((before, run.deltas.len(), Causal::clone(writer)));
                    let replica = writer.replica();
                    let own = delta.context().latest(replica).map(|position| Dot { replica, position });
                    run.deltas.push((delta, own));
                    writer
                }
                Step::Deliver { to, deltas } => {
                    let writer = &mut writers[usize::from(*to)];
                    let indices = indices(deltas, run.deltas.len()).into_iter();
                    let ready = indices.filter(|index| match delivery {
                        Delivery::Any => true,
                        Delivery::AfterWhatItNames => run.is_next(*index, writer.context()),
                    });
                    let group = run.group(ready);
                    writer.merge_delta(&group).expect("every replica has one writer");
                    writer
                }
                Step::Merge { to, from } => {
                    let from = Causal::clone(&writers[usize::from(*from)]);
                    let writer = &mut writers[usize::from(*to)];
                    writer.merge(&from).expect("every replica has one writer");
                    writer
                }
                Step::Reopen { replica } => {
                    let replica = usize::from(*replica);
                    epochs[replica] += 1;
                    let kept = Causal::clone(&writers[replica]);
                    writers[replica] =
                        Writer::open(ReplicaId::named(NAMES[replica]), epochs[replica], kept).expect("a later epoch");
                    &mut writers[replica]
                }
            };
            run.states.push(Causal::clone(changed));
        }
        run.ends = writers.into_iter().map(Writer::into_causal).collect();
        run
    }

    fn group(&self, indices: impl IntoIterator<Item = usize>) -> Delta<T> {
        let mut group = Delta::default();
        indices.into_iter().for_each(|index| group.merge(&self.deltas[index].0));
        group
    }

    fn is_next(&self, index: usize, context: &CausalContext) -> bool {
        let (delta, own) = &self.deltas[index];
        let mut then = context.clone();
        own.iter().for_each(|own| then.insert(*own));
        then.covers_all(delta.context())
    }

    /// A replica that only listens, and gets these deltas one by one.
    fn listener<'a>(&self, indices: impl IntoIterator<Item = &'a usize>) -> Causal<T> {
        let mut listener = Causal::<T>::default();
        indices.into_iter().for_each(|index| listener.merge_delta(&self.deltas[*index].0));
        listener
    }
}

fn merged<T: DataType>(left: &Causal<T>, right: &Causal<T>) -> Causal<T> {
    let mut left = left.clone();
    left.merge(right);
    left
}

fn with_delta<T: DataType>(state: &Causal<T>, delta: &Delta<T>) -> Causal<T> {
    let mut state = state.clone();
    state.merge_delta(delta);
    state
}

/// What a law says when it is broken. `Debug` is what quickcheck prints.
struct Broken(String);

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

type Verdict = Result<(), Broken>;

fn equal<T: PartialEq + fmt::Debug>(law: &str, left: &T, right: &T) -> Verdict {
    if left == right { Ok(()) } else { Err(Broken(format!("{law}\n  left:  {left:?}\n  right: {right:?}"))) }
}

fn holds(law: &str, holds: bool) -> Verdict {
    if holds { Ok(()) } else { Err(Broken(law.into())) }
}

/// The second argument picks states or deltas, by index.
type Law = fn(History, Vec<u8>) -> Verdict;

fn check(law: Law) {
    let mut check = QuickCheck::new().rng(Gen::from_size_and_seed(32, 0x000a_4c81_9e1a_60f5));
    if env::var_os("QUICKCHECK_TESTS").is_none() {
        check = check.tests(500);
    }
    check.quickcheck(law);
}

fn merge_is_a_join<T: Subject>(history: History, picks: Vec<u8>) -> Verdict {
    let states = Run::<T>::of(&history, Delivery::Any).states;
    for a in &states {
        equal("idempotent", &merged(a, a), a)?;
        for b in &states {
            let ab = merged(a, b);
            equal("commutative", &ab, &merged(b, a))?;
            equal("absorbing", &merged(&ab, b), &ab)?;
            for c in indices(&picks, states.len()).into_iter().take(3).map(|index| &states[index]) {
                equal("associative", &merged(&ab, c), &merged(a, &merged(b, c)))?;
            }
        }
    }
    Ok(())
}

fn a_delta_merges_as_the_state_that_it_is<T: Subject>(history: History, picks: Vec<u8>) -> Verdict {
    let run = Run::<T>::of(&history, Delivery::Any);
    let mut deltas: Vec<_> = run.deltas.iter().map(|(delta, _)| delta.clone()).collect();
    deltas.push(run.group(indices(&picks, deltas.len())));
    for delta in &deltas {
        let as_state = Causal::from(delta.clone());
        for state in &run.states {
            equal("delta, state", &with_delta(state, delta), &merged(state, &as_state))?;
            equal("state into delta", &with_delta(state, delta), &merged(&as_state, state))?;
        }
    }
    Ok(())
}

fn a_group_merges_as_its_parts<T: Subject>(history: History, picks: Vec<u8>) -> Verdict {
    let run = Run::<T>::of(&history, Delivery::Any);
    let parts = indices(&picks, run.deltas.len());
    let group = run.group(parts.iter().copied());
    equal("groups in reverse", &run.group(parts.iter().rev().copied()), &group)?;
    let mut twice = group.clone();
    twice.merge(&group);
    equal("a group of a group and itself", &twice, &group)?;
    let (front, back) = parts.split_at(parts.len() / 2);
    let mut of_groups = run.group(back.iter().copied());
    of_groups.merge(&run.group(front.iter().copied()));
    equal("a group of groups", &of_groups, &group)?;
    for state in &run.states {
        let at_once = with_delta(state, &group);
        let one_by_one = |state: &Causal<T>, index: &usize| with_delta(state, &run.deltas[*index].0);
        let forwards = parts.iter().fold(state.clone(), |state, index| one_by_one(&state, index));
        let backwards = parts.iter().rev().fold(state.clone(), |state, index| one_by_one(&state, index));
        equal("group, parts", &at_once, &forwards)?;
        equal("group, parts backwards", &at_once, &backwards)?;
    }
    Ok(())
}

fn order_repetition_and_batching_do_not_matter<T: Subject>(history: History, picks: Vec<u8>) -> Verdict {
    let run = Run::<T>::of(&history, Delivery::Any);
    let chosen = indices(&picks, run.deltas.len());
    let mut in_order = chosen.clone();
    in_order.sort_unstable();
    in_order.dedup();
    let expected = run.listener(&in_order);
    equal("any order, with repetitions", &run.listener(&chosen), &expected)?;
    equal("newest first", &run.listener(in_order.iter().rev()), &expected)?;
    let batched =
        chosen.rchunks(3).fold(Causal::default(), |state, batch| with_delta(&state, &run.group(batch.iter().copied())));
    equal("in batches", &batched, &expected)?;
    let all: Vec<usize> = (0..run.deltas.len()).collect();
    let ends = run.ends.iter().fold(Causal::default(), |all, end| merged(&all, end));
    equal("all deltas, all states", &run.listener(all.iter().rev()), &ends)
}

fn bytes_come_back_as_what_they_were<T: Subject>(history: History, picks: Vec<u8>) -> Verdict {
    let run = Run::<T>::of(&history, Delivery::Any);
    for state in &run.states {
        equal("state", &T::through_json(state).1, state)?;
    }
    let group = run.group(indices(&picks, run.deltas.len()));
    for delta in run.deltas.iter().map(|(delta, _)| delta).chain([&group]) {
        equal("delta", &T::delta_through_json(delta).1, delta)?;
    }
    Ok(())
}

fn equal_states_have_equal_bytes<T: Subject>(history: History, picks: Vec<u8>) -> Verdict {
    let mut run = Run::<T>::of(&history, Delivery::Any);
    let chosen = indices(&picks, run.deltas.len());
    run.states.extend([run.listener(&chosen), run.listener(chosen.iter().rev())]);
    let (group, reverse) = (run.group(chosen.iter().copied()), run.group(chosen.iter().rev().copied()));
    equal("groups in two orders", &T::delta_through_json(&group).0, &T::delta_through_json(&reverse).0)?;
    let bytes: Vec<String> = run.states.iter().map(|state| T::through_json(state).0).collect();
    for (a, bytes_of_a) in run.states.iter().zip(&bytes) {
        for (b, bytes_of_b) in run.states.iter().zip(&bytes) {
            holds("equal exactly when their bytes are", (a == b) == (bytes_of_a == bytes_of_b))?;
        }
    }
    Ok(())
}

fn every_dot_is_in_the_context<T: Subject>(history: History, picks: Vec<u8>) -> Verdict {
    let run = Run::<T>::of(&history, Delivery::Any);
    let listener = run.listener(&indices(&picks, run.deltas.len()));
    for state in run.states.iter().chain([&listener]) {
        assert!(state.all_dots(|dot| state.context().covers(dot)), "{state:?}");
    }
    for (delta, _) in &run.deltas {
        delta.changes().for_each_dot(|dot| assert!(delta.context().covers(dot), "{dot} in {delta:?}"));
    }
    Ok(())
}

fn a_mutation_is_the_merge_of_its_delta<T: Subject>(history: History, _: Vec<u8>) -> Verdict {
    let run = Run::<T>::of(&history, Delivery::Any);
    for (before, index, after) in &run.mutations {
        let (delta, own) = &run.deltas[*index];
        equal("before and delta, after", &with_delta(before, delta), after)?;
        match own {
            None => {
                holds("no dot, no change", delta.is_empty() && delta.changes().is_empty())?;
                equal("an empty delta changes nothing", before, after)?;
            }
            Some(own) => {
                let mut context = before.context().clone();
                holds("the dot is new", !context.covers(*own))?;
                context.insert(*own);
                equal("one dot and no more", &context, after.context())?;
            }
        }
    }
    Ok(())
}

/// Needs the order: see `a_delta_is_merged_even_where_all_its_dots_have_been_seen`.
fn what_is_covered_changes_nothing<T: Subject>(history: History, _: Vec<u8>) -> Verdict {
    nothing_new_under(&Run::<T>::of(&history, Delivery::AfterWhatItNames))
}

/// Totals are cumulative, so a later tally says all that the earlier ones of its owner did.
fn what_is_covered_changes_nothing_in_any_order<T: Subject>(history: History, picks: Vec<u8>) -> Verdict {
    let mut run = Run::<T>::of(&history, Delivery::Any);
    let chosen = indices(&picks, run.deltas.len());
    run.states.extend((0..chosen.len()).map(|from| run.listener(&chosen[from..])).collect::<Vec<_>>());
    nothing_new_under(&run)
}

/// The state is a function of the context, and a monotone one.
fn nothing_new_under<T: Subject>(run: &Run<T>) -> Verdict {
    for a in &run.states {
        for b in run.states.iter().filter(|b| a.context().covers_all(b.context())) {
            equal("a covered state changes nothing", &merged(a, b), a)?;
            if a.context() == b.context() {
                equal("equal contexts, equal states", a, b)?;
            }
        }
        for (delta, _) in run.deltas.iter().filter(|(delta, _)| a.context().covers_all(delta.context())) {
            equal("a covered delta changes nothing", &with_delta(a, delta), a)?;
        }
    }
    Ok(())
}

macro_rules! laws {
    ($($name:ident: $type:ty = |$writer:ident| $($mutation:pat => $mutate:expr),+;)+) => {
        $(
            impl Subject for $type {
                fn mutate($writer: &mut Writer<Self>, mutation: Mutation) -> Delta<Self> {
                    match mutation { $($mutation => $mutate),+ }
                }

                fn through_json(state: &Causal<Self>) -> (String, Causal<Self>) {
                    let json = serde_json::to_string(state).expect("every state has a form");
                    let read = serde_json::from_str(&json).expect("what was written is read");
                    (json, read)
                }

                fn delta_through_json(delta: &Delta<Self>) -> (String, Delta<Self>) {
                    let json = serde_json::to_string(delta).expect("every delta has a form");
                    let read = serde_json::from_str(&json).expect("what was written is read");
                    (json, read)
                }
            }

            laws!(@tests $name: $type,
                merge_is_a_join,
                a_delta_merges_as_the_state_that_it_is,
                a_group_merges_as_its_parts,
                order_repetition_and_batching_do_not_matter,
                bytes_come_back_as_what_they_were,
                equal_states_have_equal_bytes,
                every_dot_is_in_the_context,
                a_mutation_is_the_merge_of_its_delta,
                what_is_covered_changes_nothing,
            );
        )+
    };
    (@tests $name:ident: $type:ty, $($law:ident,)+) => {
        mod $name {
            use super::*;
            $(
                #[test]
                fn $law() {
                    check(super::$law::<$type>);
                }
            )+
        }
    };
}

laws! {
    g_counter: GCounter = |w| Put(n) | Take(n) => add(w, n.into()), Clear => w.reset();
    pn_counter: PnCounter = |w| Put(n) => add(w, n.into()), Take(n) => add(w, -i64::from(n)), Clear => w.reset();
    lww_register: LwwRegister<u8> = |w| Put(n) => w.set(n, at(n)), Take(n) => w.set(n, at(0)), Clear => w.clear();
    mv_register: MvRegister<u8> = |w| Put(n) => w.set(n, at(n)), Take(n) => w.set(n, at(0)), Clear => w.clear();
    or_set: OrSet<u8> = |w| Put(n) => w.add(n), Take(n) => w.remove(&n), Clear => w.clear();
}

fn add<M: Mode>(writer: &mut Writer<Counter<M>>, amount: M::Amount) -> Delta<Counter<M>> {
    writer.add(amount).expect("few and small amounts")
}

fn at(millis: u8) -> Timestamp {
    Timestamp::from_millis(millis.into())
}

#[test]
fn a_grow_only_counter_is_a_function_of_its_context_in_any_order() {
    check(what_is_covered_changes_nothing_in_any_order::<GCounter>);
}

#[test]
fn a_counter_is_a_function_of_its_context_in_any_order() {
    check(what_is_covered_changes_nothing_in_any_order::<PnCounter>);
}

/// The context of a delta takes in the dots that it removes, but the delta does not say what those had removed before.
/// So where it overtakes, the context is ahead of the state, until the overtaken delta or a whole state arrives. Who
/// skips deltas, or exchanges, because the contexts are equal would stop too early.
#[test]
fn a_delta_is_merged_even_where_all_its_dots_have_been_seen() {
    let mut ann = Writer::<OrSet<u8>>::new(ReplicaId::named("ann"));
    let (first, second, third) = (ann.add(1), ann.add(1), ann.remove(&1));
    let mut bob = Causal::<OrSet<u8>>::default();
    bob.merge_delta(&first);
    bob.merge_delta(&third);
    assert!(bob.context().covers_all(second.context()));
    assert_eq!(bob.context(), ann.context());
    assert!(bob.contains(&1));
    let by_state = merged(&bob, &ann);
    bob.merge_delta(&second);
    assert_eq!(bob, *ann);
    assert_eq!(by_state, *ann);
}

#[test]
fn a_history_reads_as_a_story() {
    let history = History(vec![
        Step::Mutate { replica: 0, mutation: Put(1) },
        Step::Mutate { replica: 1, mutation: Clear },
        Step::Deliver { to: 2, deltas: vec![3, 0] },
        Step::Merge { to: 0, from: 2 },
        Step::Reopen { replica: 0 },
    ]);
    let story = "
  ann: Put(1), which is delta 0
  bob: Clear, which is delta 1
  cyd merges deltas [1, 0] as a group
  ann merges the state of cyd
  ann reopens in a new epoch
";
    assert_eq!(format!("{history:?}"), story);
}
