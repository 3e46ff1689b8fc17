//! The museum: faults that other systems had, each rebuilt with the types of this one.
//!
//! Goal: none of them can come back. Method: every case is a named test whose name is what holds here; its doc tells
//! the symptom, the cause, who had it, and why it cannot happen. The numbers are those of the project's fault
//! catalogue. Our own faults are in the second room, `tests/museum_keyspace.rs`.

use std::collections::BTreeSet;

use crdt_core::{
    Bytes, Causal, DataType, Delta, Dot, DotSource, Frontier, Kind, LwwRegister, Object, ObjectChanges, OpenDot, OrSet,
    PnCounter, ReplicaId, Seen, SetChanges, Timestamp, Value, Writer,
};
use tests::exchange::{orders, writers};

fn merge<T: DataType>(to: &mut Writer<T>, from: &Causal<T>) {
    to.merge(from).expect("every replica has one writer");
}

fn deliver<T: DataType>(to: &mut Writer<T>, delta: &Delta<T>) {
    to.merge_delta(delta).expect("every replica has one writer");
}

/// *Symptom:* an element that every replica had removed was there again. *Cause:* "on both sides, so keep it": each
/// side held it under a dot that the other had removed. *System:* riak_dt, pull request 82.
///
/// Here being on both sides means nothing for a set. Each dot is kept or dropped by itself.
#[test]
fn r01_an_element_on_both_sides_is_gone_when_each_side_removed_the_others_add() {
    let [mut a, mut b, mut c] = writers::<OrSet<&str>, 3>();
    let _ = (a.add("x"), b.add("x"));
    merge(&mut c, &a);
    let _ = a.remove("x");
    merge(&mut a, &b);
    let _ = b.remove("x");
    merge(&mut a, &c);
    assert!(a.contains("x"), "still under the dot of b");
    merge(&mut b, &a);
    assert!(b.is_empty());
}

/// *Symptom:* a removed element came back at the next merge. *Cause:* a shortcut for merges, "the side with the greater
/// clock has seen all, take it", while a removal did not tick the clock. *System:* riak_dt, issues 78 and 79.
///
/// Here a removal takes a dot of its own, so equal contexts mean that there is nothing to merge.
#[test]
fn r02_a_removed_element_does_not_come_back_because_a_removal_takes_a_dot() {
    let [mut a, mut b, mut c] = writers::<OrSet<&str>, 3>();
    let _ = (a.add("foo"), a.add("bar"), b.add("baz"));
    merge(&mut c, &a);
    merge(&mut c, &b);
    let _ = a.remove("bar");
    assert!(!c.context().covers_all(a.context()), "the removal shows in the context");
    merge(&mut a, &c);
    merge(&mut c, &a);
    assert_eq!(a.elements(), [&"baz", &"foo"]);
    assert_eq!(*a, *c);
}

/// *Symptom:* a flag that had been disabled everywhere was enabled after a merge of two replicas that both showed it as
/// enabled. *Cause:* "true on both sides is true". *System:* riak_dt, pull request 82, the observed-disable flag.
///
/// There is no flag type here; an element of a set is one. Each side shows only the enabling that the other disabled.
#[test]
fn r03_a_flag_is_off_when_each_side_disabled_what_the_other_shows() {
    let [mut a, mut b] = writers::<OrSet<&str>, 2>();
    let (on_a, on_b) = (a.add("dark"), b.add("dark"));
    let (off_a, off_b) = (a.remove("dark"), b.remove("dark"));
    let shows = |deltas: [&Delta<OrSet<&'static str>>; 3]| {
        let mut state = Causal::<OrSet<&str>>::default();
        deltas.into_iter().for_each(|delta| state.merge_delta(delta));
        assert!(state.contains("dark"));
        state
    };
    let (left, right) = (shows([&on_a, &off_a, &on_b]), shows([&on_b, &off_b, &on_a]));
    for (to, from) in [(&left, &right), (&right, &left)] {
        let mut both = to.clone();
        both.merge(from);
        assert!(both.is_empty());
    }
}

/// A replica of an engine: changes are made under its open dot, and applied from others in the order of their logs.
struct Log {
    source: DotSource,
    frontier: Frontier,
}

impl Log {
    fn new(name: &str) -> Self {
        Self { source: DotSource::new(ReplicaId::named(name), 0), frontier: Frontier::default() }
    }

    fn open(&self) -> OpenDot<'_> {
        self.source.open()
    }

    fn cut(&mut self) -> Dot {
        let dot = self.source.cut();
        self.frontier.advance(dot);
        dot
    }
}

fn bytes(text: &str) -> Bytes {
    text.as_bytes().into()
}

/// *Symptom:* of several fields that were updated at once, one was left after a merge. *Cause:* the dot was used as the
/// key of the merge, and they had the same one. *System:* riak_dt, pull request 90.
///
/// Here a whole segment has one dot by design. It is looked up under its object and element, never by itself.
#[test]
fn r04_many_fields_under_one_dot_live_and_die_by_themselves() {
    let (mut ann, mut bob) = (Log::new("ann"), Log::new("bob"));
    let kinds = [Kind::LwwRegister, Kind::MvRegister, Kind::OrSet];
    let mut ours: [Object; 3] = kinds.map(|kind| Object::new(kind, Default::default()));
    let mut segment = kinds.map(ObjectChanges::none);
    for (object, changes) in ours.iter_mut().zip(&mut segment) {
        match (object, changes) {
            (Object::LwwRegister(register), ObjectChanges::Register(changes)) => {
                register.set(bytes("v"), Timestamp::default(), ann.open(), changes);
            }
            (Object::MvRegister(register), ObjectChanges::Register(changes)) => {
                register.set(bytes("v"), Timestamp::default(), ann.open(), changes);
            }
            (Object::OrSet(set), ObjectChanges::Set(changes)) => {
                for element in ["x", "y", "z"] {
                    set.add(bytes(element), ann.open(), changes);
                }
            }
            _ => unreachable!("changes are of the kind of their object"),
        }
    }
    let one = ann.cut();

    let mut theirs: [Object; 3] = kinds.map(|kind| Object::new(kind, Default::default()));
    for (object, changes) in theirs.iter_mut().zip(&segment) {
        object.merge_changes(&bob.frontier, changes).expect("the same kind");
    }
    bob.frontier.advance(one);
    assert_eq!(theirs, ours);

    let mut removal = ObjectChanges::none(Kind::OrSet);
    let (Object::OrSet(set), ObjectChanges::Set(changes)) = (&mut theirs[2], &mut removal) else {
        unreachable!("the third is the set");
    };
    set.remove(&bytes("y"), bob.open(), changes);
    theirs[0].delete(bob.open(), &mut ObjectChanges::none(Kind::LwwRegister)).expect("the same kind");
    bob.cut();
    for (mine, other) in ours.iter_mut().zip(&theirs) {
        mine.merge(&ann.frontier, other, &bob.frontier).expect("the same kind");
    }
    assert_eq!(ours, theirs);
    assert_eq!(ours[0].value(), Value::LwwRegister(None));
    assert_eq!(ours[1].value(), Value::MvRegister(vec![bytes("v")]));
    assert_eq!(ours[2].value(), Value::OrSet(vec![bytes("x"), bytes("z")]));
}

/// *Symptom:* an element that was added again and again grew, and one that was removed stayed. *Cause:* a new add kept
/// the old dots beside its own, and a removal that had seen only some of them left the rest. *System:* the predecessor
/// of Akka Distributed Data, issue 1.
///
/// Here an add supersedes the adds that it observed, its own and those of others.
#[test]
fn r05_an_element_that_is_added_again_has_one_dot_and_one_removal_suffices() {
    let [mut a, mut b, mut c] = writers::<OrSet<&str>, 3>();
    let first = a.add("x");
    deliver(&mut c, &first);
    for _ in 0..100 {
        let delta = a.add("x");
        deliver(&mut b, &delta);
        let delta = b.add("x");
        deliver(&mut a, &delta);
    }
    assert_eq!(a.dots("x").len(), 1);
    merge(&mut c, &a);
    assert_eq!(c.dots("x"), a.dots("x"));
    let gone = c.remove("x");
    deliver(&mut a, &gone);
    merge(&mut b, &c);
    assert!(a.is_empty() && b.is_empty());
}

/// *Symptom:* a counter in a map that was removed and counted again showed what it had counted before. *Cause:* totals
/// are cumulative: the entry of the second increment had taken in the first. *System:* riak_dt, issue 98, and crdts.
///
/// Here a reset raises a baseline to the total that it observed, so it takes out exactly that.
#[test]
fn r06_a_deleted_increment_does_not_come_back_with_the_next_one() {
    let [mut a, mut b] = writers::<PnCounter, 2>();
    let first = a.add(1).expect("small");
    deliver(&mut b, &first);
    let reset = b.reset();
    let second = a.add(1).expect("small");
    for order in orders(&[&first, &reset, &second]) {
        let mut state = Causal::<PnCounter>::default();
        order.into_iter().for_each(|delta| state.merge_delta(delta));
        assert_eq!(state.value(), 1);
    }
    merge(&mut b, &a);
    merge(&mut a, &b);
    assert_eq!((a.value(), b.value()), (1, 1));
}

/// *Symptom:* three replicas of a counter in a map read 2 or 1, by the order in which they were merged. *Cause:*
/// removal trimmed the totals of the counter by the clock of the map, and merging was not associative. *System:* crdts,
/// found by random histories; the same steps are run there in `tests/differential.rs`.
///
/// Here a merge is a join of each tally. One increment was seen by no reset.
#[test]
fn r07_three_states_of_a_reset_counter_give_one_value_in_every_order() {
    let [mut r0, mut r1, mut r2] = writers::<PnCounter, 3>();
    let _ = (r1.add(1), r1.add(1));
    merge(&mut r0, &r1);
    merge(&mut r2, &r0);
    let _ = (r1.reset(), r0.reset(), r1.add(1));
    let states = [r0, r1, r2].map(Writer::into_causal);
    for order in orders(&states) {
        let mut all = Causal::<PnCounter>::default();
        order.iter().for_each(|state| all.merge(state));
        assert_eq!(all.value(), 1);
    }
}

/// *Symptom:* a value that was removed right after it had been added stayed where the delta was merged, and not where
/// the whole state was. *Cause:* the delta of the map had lost the removal inside. *System:* Akka, issues 22648, 22631,
/// 22668.
///
/// Here a delta is a state with a small context, and the same rule merges both.
#[test]
fn r08_merging_the_deltas_gives_what_merging_the_state_gives() {
    let [mut m1, mut m2] = writers::<OrSet<(&str, &str)>, 2>();
    let _ = m1.add(("b", "B1"));
    let (add, remove) = (m2.add(("b", "B2")), m2.remove(&("b", "B2")));
    let mut group = add.clone();
    group.merge(&remove);
    let mut by_state = Causal::clone(&m1);
    by_state.merge(&m2);
    for deltas in [vec![&add, &remove], vec![&remove, &add], vec![&group], vec![&remove, &group]] {
        let mut by_deltas = Causal::clone(&m1);
        deltas.into_iter().for_each(|delta| by_deltas.merge_delta(delta));
        assert_eq!(by_deltas, by_state);
        assert_eq!(by_deltas.elements(), [&("b", "B1")]);
    }
}

/// *Symptom:* what a key shows after it was removed and created again depended on when the merges happened; removals
/// got lost. *Cause:* the new value began with an empty clock, and the old entries looked like news to it. *System:*
/// Akka, issue 22508, the review.
///
/// Here the context outlives what it speaks of.
#[test]
fn r10_what_is_created_again_shows_nothing_of_its_former_life_whenever_it_arrives() {
    let [mut a] = writers::<OrSet<&str>, 1>();
    let deltas = [a.add("x"), a.add("y"), a.clear(), a.add("x")];
    for order in orders(&deltas) {
        let mut state = Causal::<OrSet<&str>>::default();
        order.iter().for_each(|delta| state.merge_delta(delta));
        assert_eq!(state.elements(), [&"x"]);
    }

    let [mut a, mut b] = writers::<PnCounter, 2>();
    let old = a.add(5).expect("small");
    deliver(&mut b, &old);
    let meanwhile = b.add(2).expect("small");
    let deltas = [old, meanwhile, a.reset(), a.add(1).expect("small")];
    for order in orders(&deltas) {
        let mut state = Causal::<PnCounter>::default();
        order.iter().for_each(|delta| state.merge_delta(delta));
        assert_eq!(state.value(), 3);
    }
}

/// *Symptom:* of an entry on both sides, changes that one side had removed stayed, or new ones went. *Cause:* the clock
/// of the entry was updated and then used as if it were still the old one. *System:* rust-crdt, issues 33 and 35; its
/// random tests had not seen it.
///
/// Here the rule asks, for each dot, the two contexts as they were before the merge.
#[test]
fn r11_an_entry_on_both_sides_keeps_what_is_common_and_what_is_new_and_nothing_else() {
    let adders = writers::<OrSet<&str>, 5>();
    let [common, removed_left, removed_right, new_left, new_right] = adders.map(|mut writer| writer.add("x"));
    let side = |name: &str, removed: &Delta<OrSet<&'static str>>, others: [&Delta<OrSet<&'static str>>; 3]| {
        let mut side = Writer::<OrSet<&str>>::new(ReplicaId::named(name));
        deliver(&mut side, removed);
        let _ = side.remove("x");
        others.into_iter().for_each(|delta| deliver(&mut side, delta));
        side.into_causal()
    };
    let left = side("left", &removed_left, [&common, &removed_right, &new_left]);
    let right = side("right", &removed_right, [&common, &removed_left, &new_right]);
    let expected = [&common, &new_left, &new_right].map(|delta| delta.changes().edits().next());
    let expected: BTreeSet<Dot> = expected.into_iter().flatten().flat_map(|(_, edit)| edit.added()).copied().collect();
    for (to, from) in [(&left, &right), (&right, &left)] {
        assert_eq!(to.dots("x").len(), 3);
        let mut both = to.clone();
        both.merge(from);
        assert!(both.dots("x").iter().eq(&expected));
    }
}

/// *Symptom:* counters read too high after a node had replayed its log. *Cause:* the log had increments, and an
/// increment that is applied twice counts twice. *System:* Cassandra up to 2.0.
///
/// Here a delta tells the total as it then stood.
#[test]
fn r15_a_replayed_increment_counts_once() {
    let [mut a] = writers::<PnCounter, 1>();
    let log = [a.add(5).expect("small"), a.add(-2).expect("small"), a.reset(), a.add(4).expect("small")];
    let mut state = Causal::<PnCounter>::default();
    for from in 0..log.len() {
        log[from..].iter().for_each(|delta| state.merge_delta(delta));
        assert_eq!(state.value(), 4);
    }
    state.merge(&a);
    log.iter().for_each(|delta| state.merge_delta(delta));
    assert_eq!(state, *a);
}

/// *Symptom:* removing an element wiped what others had added concurrently. *Cause:* the server stored the record that
/// came with the removal, which held tombstones and nothing else, over what it had. *System:* TopGun, issue 54.
///
/// Here a removal names the dots that it observed, and says nothing of any other.
#[test]
fn r16_a_removal_takes_nothing_but_the_adds_that_it_observed() {
    let [mut a, mut b, mut server] = writers::<OrSet<&str>, 3>();
    let observed = a.add("x");
    deliver(&mut b, &observed);
    let concurrent = [a.add("x"), a.add("y")];
    let removal = b.remove("x");
    let alone = Causal::from(removal.clone());
    assert!(alone.is_empty());
    concurrent.iter().for_each(|delta| deliver(&mut server, delta));
    deliver(&mut server, &removal);
    merge(&mut server, &alone);
    assert_eq!(server.elements(), [&"x", &"y"]);

    let [mut a, mut b] = writers::<LwwRegister<&str>, 2>();
    let observed = a.set("old", Timestamp::from_millis(9));
    deliver(&mut b, &observed);
    let removal = b.clear();
    let _ = a.set("new", Timestamp::from_millis(1));
    deliver(&mut a, &removal);
    assert_eq!(a.value(), Some(&"new"));
}

/// *Symptom:* a receiver of a small delta deletes all that is not in it. *Cause:* the delta carries the whole vector of
/// its sender as its context: "I have seen all this, and do not hold it". *System:* a design that suggests itself, and
/// that delta libraries warn of.
///
/// Here the context of a delta is the dots that it names, whatever else its sender has seen.
#[test]
fn r19_a_delta_says_nothing_of_what_it_does_not_name() {
    let [mut a, mut b, mut c] = writers::<OrSet<u32>, 3>();
    let old: Vec<_> = (0..100).map(|element| a.add(element)).collect();
    let _ = a.remove(&50);
    merge(&mut b, &a);
    let delta = b.add(1_000);
    let named: Vec<Dot> = delta.context().frontier().iter().chain(delta.context().runs().map(|(dot, _)| dot)).collect();
    assert_eq!(named, b.dots(&1_000));
    for delta in &old {
        deliver(&mut c, delta);
    }
    deliver(&mut c, &delta);
    assert_eq!(c.len(), 101);
    assert!(c.contains(&50), "nobody has told c of its removal");
}

/// What an engine has seen: whole logs up to the frontier, and beyond it only single removals, each for its element.
#[derive(Default)]
struct Applied {
    frontier: Frontier,
    early: BTreeSet<(Dot, &'static str)>,
}

impl Seen<&'static str> for Applied {
    fn has_seen(&self, dot: Dot, element: &&'static str) -> bool {
        self.frontier.covers(dot) || self.early.contains(&(dot, *element))
    }
}

impl Applied {
    fn apply(&mut self, set: &mut OrSet<&'static str>, segment: Dot, changes: &SetChanges<&'static str>) {
        set.merge_changes(self, changes);
        for (element, edit) in changes.edits() {
            self.early.extend(edit.removed().iter().map(|dot| (*dot, *element)));
        }
        self.frontier.advance(segment);
        self.early.retain(|(dot, _)| !self.frontier.covers(*dot));
    }
}

/// *Symptom:* an element comes back when its removal arrives before its add. *Cause:* the receiver found nothing to
/// remove and forgot the removal. *System:* Riak's sets need deferred removals for this.
///
/// Here the cloud of the context remembers the dot.
#[test]
fn r20_a_removal_that_overtakes_its_add_is_not_forgotten() {
    let [mut a, mut b, mut c] = writers::<OrSet<&str>, 3>();
    let add = b.add("x");
    deliver(&mut a, &add);
    let removal = a.remove("x");
    deliver(&mut c, &removal);
    deliver(&mut c, &add);
    assert!(c.is_empty());
    let mut group = removal.clone();
    group.merge(&add);
    assert_eq!(Causal::from(group), *c);
}

/// As above, where a dot is a segment with many elements: *the removal of one is remembered for that one.* Taking the
/// whole segment for seen would lose the others; taking none of it would bring the removed one back.
#[test]
fn r20_a_removal_that_overtakes_a_segment_leaves_the_rest_of_the_segment_alone() {
    let (mut ann, mut bob) = (Log::new("ann"), Log::new("bob"));
    let (mut set_of_bob, mut added) = (OrSet::<&str>::default(), SetChanges::default());
    for element in ["x", "y"] {
        set_of_bob.add(element, bob.open(), &mut added);
    }
    let segment_of_bob = bob.cut();

    let (mut set_of_ann, mut removed) = (OrSet::default(), SetChanges::default());
    set_of_ann.merge_changes(&ann.frontier, &added);
    ann.frontier.advance(segment_of_bob);
    set_of_ann.remove("x", ann.open(), &mut removed);
    let segment_of_ann = ann.cut();

    let (mut cyd, mut set_of_cyd) = (Applied::default(), OrSet::default());
    cyd.apply(&mut set_of_cyd, segment_of_ann, &removed);
    assert_eq!(cyd.early.len(), 1);
    cyd.apply(&mut set_of_cyd, segment_of_bob, &added);
    assert_eq!(set_of_cyd.elements(), [&"y"]);
    assert_eq!(set_of_cyd, set_of_ann);
    assert!(cyd.early.is_empty(), "the frontier has caught up");
}
