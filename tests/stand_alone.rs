//! What a user of `crdt-core` alone meets: writers that exchange deltas, limits, errors, and bytes from strangers.
//!
//! Goal: each promise of the public API that needs no engine is kept at its edges. Method: each is walked up to where
//! it ends, and what is refused is shown to change nothing. The costs that the docs state are counted, not timed.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fmt::Debug,
    hash::{Hash, Hasher},
    sync::Barrier,
};

use crdt_core::{
    Bytes, Causal, CausalContext, DataType, Delta, Dot, DotReuse, DotSource, Few, GCounter, Kind, LwwRegister,
    MvRegister, Object, ObjectChanges, OpenDot, OrSet, Overflow, PnCounter, Position, ReplicaId, SetChanges, Timestamp,
    UnknownKind, Value, Writer, WrongKind,
};
use tests::{
    exchange::{orders, writers},
    malformed::{self, Case, Claim},
};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Every order of the deltas, each of them twice, ends with `expected`.
fn exchange<T: DataType + Default + PartialEq + Debug>(deltas: &[Delta<T>], expected: &Causal<T>) {
    for order in orders(deltas) {
        let mut state = Causal::<T>::default();
        order.iter().chain(order.iter().rev()).for_each(|delta| state.merge_delta(delta));
        assert_eq!(state, *expected);
    }
}

#[test]
fn every_type_may_be_exchanged_in_any_order() -> Result<(), Box<dyn std::error::Error>> {
    let [mut ann, mut bob] = writers::<GCounter, 2>();
    let deltas = [ann.add(3)?, bob.add(4)?, ann.reset(), ann.add(5)?];
    ann.merge(&bob)?;
    exchange(&deltas, &ann);
    assert_eq!(ann.value(), 9);

    let [mut ann, mut bob] = writers::<PnCounter, 2>();
    let deltas = [ann.add(3)?, bob.add(-4)?, bob.reset(), ann.add(-5)?];
    ann.merge(&bob)?;
    exchange(&deltas, &ann);
    assert_eq!(ann.value(), -2);

    let [mut ann, mut bob] = writers::<LwwRegister<&str>, 2>();
    let deltas = [ann.set("a", at(1)), bob.set("b", at(3)), ann.set("c", at(2)), bob.clear()];
    ann.merge(&bob)?;
    exchange(&deltas, &ann);
    assert_eq!(ann.value(), Some(&"c"));
    assert_eq!(ann.losers().count(), 0);
    let lost = Writer::<LwwRegister<&str>>::new(ReplicaId::named("cyd")).set("d", at(1));
    ann.merge_delta(&lost)?;
    assert_eq!(ann.value(), Some(&"c"));
    assert!(ann.losers().map(|write| write.value).eq(["d"]));

    let [mut ann, mut bob] = writers::<MvRegister<&str>, 2>();
    let deltas = [ann.set("a", at(1)), bob.set("b", at(1)), ann.set("c", at(1)), bob.set("d", at(1))];
    ann.merge(&bob)?;
    exchange(&deltas, &ann);
    assert_eq!(ann.values().collect::<BTreeSet<_>>(), BTreeSet::from([&"c", &"d"]));

    let [mut ann, mut bob] = writers::<OrSet<&str>, 2>();
    let deltas = [ann.add("x"), bob.add("y"), ann.remove("x"), bob.add("x"), bob.remove("y")];
    ann.merge(&bob)?;
    exchange(&deltas, &ann);
    assert_eq!(ann.elements(), [&"x"]);
    Ok(())
}

/// In rounds, which begin together, so that the threads do meet on a busy machine too.
#[test]
fn one_source_gives_many_threads_no_dot_twice() {
    const ROUNDS: u32 = 100;
    const CUTS: u32 = 5_000;
    let source = DotSource::new(ReplicaId::named("ann"), 3);
    let together = Barrier::new(4);
    let mut dots: Vec<Dot> = std::thread::scope(|scope| {
        let cut = || {
            let mut mine = Vec::new();
            for _ in 0..ROUNDS {
                together.wait();
                mine.extend((0..CUTS).map(|_| source.cut()));
            }
            mine
        };
        let threads = [(); 4].map(|()| scope.spawn(cut));
        threads.into_iter().flat_map(|thread| thread.join().expect("it only cuts")).collect()
    });
    dots.sort_unstable();
    let slots = dots.iter().map(|dot| dot.position.slot());
    assert!(slots.eq(0..4 * ROUNDS * CUTS), "each slot once, and none left out");
    assert_eq!(source.open().dot().position, Position::new(3, 4 * ROUNDS * CUTS));
}

#[test]
fn a_writer_is_refused_where_its_epoch_has_been_used() {
    let [mut ann] = writers::<OrSet<u8>, 1>();
    let replica = ann.replica();
    let _ = ann.add(1);
    let first = Causal::clone(&ann);
    let mut second = Writer::open(replica, 5, first.clone()).expect("epoch 5 is new");
    let _ = second.add(2);
    let kept = second.into_causal();
    let refused = |epoch| Writer::open(replica, epoch, kept.clone()).map(Writer::into_causal).err();
    let seen = Position::new(5, 0);
    for epoch in [0, 4, 5] {
        assert_eq!(refused(epoch), Some(DotReuse { replica, seen, open: Position::new(epoch, 0) }));
    }
    assert_eq!(refused(6), None);
    assert!(Writer::open(ReplicaId::named("bob"), 0, kept.clone()).is_ok(), "another replica's epochs are its own");
    assert!(Writer::open(replica, 1, first).is_ok(), "what the state has not seen cannot be checked");
}

#[test]
fn a_dot_that_another_writer_minted_is_refused_and_nothing_is_merged() {
    let [mut ann, mut bob] = writers::<OrSet<u8>, 2>();
    let [mut twin] = writers::<OrSet<u8>, 1>();
    let (own, foreign) = (ann.add(1), bob.add(2));
    twin.merge_delta(&foreign).expect("a dot of bob");
    let _ = twin.add(3);
    let beyond = twin.add(4);
    let before = Causal::clone(&ann);

    let reuse = ann.merge(&twin).expect_err("two writers of one epoch");
    assert_eq!(ann.merge_delta(&beyond), Err(reuse));
    assert_eq!(*ann, before);
    assert_eq!(reuse, DotReuse { replica: ann.replica(), seen: Position::new(0, 1), open: Position::new(0, 1) });
    let text = reuse.to_string();
    assert!(text.ends_with("replica=e8ff67337868178e seen=00000000/00000001 open=00000000/00000001"), "{text}");

    ann.merge_delta(&own).expect("an echo of its own is no reuse");
    ann.merge_delta(&foreign).expect("a dot of bob");
    assert_eq!(ann.elements(), [&1, &2]);
}

#[test]
fn an_increment_that_does_not_fit_changes_nothing() {
    let [mut ann] = writers::<GCounter, 1>();
    let _ = ann.add(u64::MAX).expect("it fits exactly");
    let before = Causal::clone(&ann);
    assert_eq!(ann.add(1), Err(Overflow { total: u64::MAX, amount: 1 }));
    assert_eq!(ann.add(u64::MAX), Err(Overflow { total: u64::MAX, amount: u64::MAX }));
    assert!(ann.add(0).expect("nothing always fits").is_empty());
    assert_eq!(*ann, before);

    let [mut ann] = writers::<PnCounter, 1>();
    let _ = ann.add(i64::MIN).expect("half of it");
    let _ = ann.add(i64::MAX).expect("the other side has room");
    let before = Causal::clone(&ann);
    let overflow = ann.add(i64::MIN).expect_err("twice 2^63");
    assert_eq!(overflow, Overflow { total: 1 << 63, amount: 1 << 63 });
    assert!(overflow.to_string().ends_with("total=9223372036854775808 amount=9223372036854775808"));
    assert_eq!(*ann, before);
    let _ = ann.add(-i64::MAX).expect("one less fits");
    assert_eq!(ann.value(), -(1 << 63));
    assert!(ann.add(-1).is_err());
}

#[test]
fn a_deletion_makes_room_from_the_next_dot_on_and_only_when_it_took_everything() {
    let [mut ann, mut bob] = writers::<GCounter, 2>();
    bob.merge_delta(&ann.add(u64::MAX - 1).expect("it fits")).expect("one writer");
    let partial = bob.reset();
    let _ = ann.add(1).expect("it fits exactly");
    ann.merge_delta(&partial).expect("one writer");
    assert_eq!(ann.value(), 1);
    assert!(ann.add(1).is_err(), "the total is what counts, not what is left of it");
    let _ = ann.reset();
    let _ = ann.add(u64::MAX).expect("a new life");
    assert_eq!(ann.value(), u64::MAX.into());

    let source = DotSource::new(ReplicaId::named("ann"), 0);
    let mut counter = GCounter::default();
    counter.add(u64::MAX, source.open()).expect("it fits exactly");
    counter.reset(&mut Default::default());
    let before = counter.clone();
    assert!(counter.add(1, source.open()).is_err(), "the same dot, so the same life");
    assert_eq!(counter, before);
    source.cut();
    counter.add(1, source.open()).expect("a new life");
    assert_eq!(counter.value(), 1);
}

#[test]
fn values_are_exact_where_every_total_is_at_its_limit() {
    let [mut all, others @ ..] = writers::<GCounter, 5>();
    for mut other in others {
        all.merge_delta(&other.add(u64::MAX).expect("it fits")).expect("one writer");
    }
    assert_eq!(all.value(), 4 * u128::from(u64::MAX));

    let [mut all, others @ ..] = writers::<PnCounter, 5>();
    for mut other in others {
        for amount in [i64::MIN, -i64::MAX] {
            all.merge_delta(&other.add(amount).expect("it fits")).expect("one writer");
        }
    }
    assert_eq!(all.value(), -4 * i128::from(u64::MAX));
}

/// Each line: a writer, and what changes nothing in it.
#[test]
fn what_changes_nothing_takes_no_dot_and_has_nothing_to_send() {
    fn idle<T, D>(mut writer: Writer<T>, change: impl FnOnce(&mut Writer<T>) -> Delta<T>, then: D)
    where
        T: DataType + PartialEq + Debug,
        D: FnOnce(&mut Writer<T>) -> Delta<T>,
    {
        let before = Causal::clone(&writer);
        let next = before.context().latest(writer.replica()).map_or(Some(Position::FIRST), Position::next);
        let delta = change(&mut writer);
        assert!(delta.is_empty());
        assert_eq!(*writer, before);
        let position = then(&mut writer).context().latest(writer.replica());
        assert_eq!(position, next, "the next change takes the next dot");
    }
    let [mut dead] = writers::<PnCounter, 1>();
    let _ = (dead.add(3), dead.reset());
    idle(dead, Writer::<PnCounter>::reset, |w| w.add(1).expect("small"));
    let [grow, fresh] = writers::<GCounter, 2>();
    idle(grow, |w| w.add(0).expect("nothing fits"), |w| w.add(1).expect("small"));
    idle(fresh, Writer::<GCounter>::reset, |w| w.add(1).expect("small"));
    let [count] = writers::<PnCounter, 1>();
    idle(count, |w| w.add(0).expect("nothing fits"), |w| w.add(-1).expect("small"));
    let [last] = writers::<LwwRegister<u8>, 1>();
    idle(last, Writer::<LwwRegister<u8>>::clear, |w| w.set(1, at(0)));
    let [multi] = writers::<MvRegister<u8>, 1>();
    idle(multi, Writer::<MvRegister<u8>>::clear, |w| w.set(1, at(0)));
    let [set, cleared] = writers::<OrSet<u8>, 2>();
    idle(set, |w| w.remove(&1), |w| w.add(1));
    idle(cleared, Writer::<OrSet<u8>>::clear, |w| w.add(1));
}

#[test]
fn a_few_are_the_same_however_they_were_made() {
    let none = Few::<u8>::new();
    assert!(none.is_empty() && none == Few::default() && none == Few::from(Vec::new()));
    assert_eq!(Few::from(vec![7]), Few::one(7));
    let many = Few::from(vec![3, 1, 2]);
    assert_eq!((many.len(), many.as_slice()), (3, &[3, 1, 2][..]));
    assert!(many.iter().eq(&many));
    assert_eq!(format!("{none:?} {:?} {many:?}", Few::one(7)), "[] [7] [3, 1, 2]");
}

#[test]
fn an_edit_tells_what_was_added_and_which_dots_that_replaced() {
    let [mut ann] = writers::<OrSet<&str>, 1>();
    let (lamp, again) = (ann.add("lamp"), ann.add("lamp"));
    let only = |delta: &Delta<OrSet<&'static str>>| {
        let mut edits = delta.changes().edits();
        assert_eq!(edits.len(), 1);
        edits.next().map(|(_, edit)| (edit.added().to_vec(), edit.removed().to_vec()))
    };
    let dots = [0, 1].map(|slot| Dot { replica: ann.replica(), position: Position::new(0, slot) });
    assert_eq!(only(&lamp), Some((vec![dots[0]], vec![])));
    assert_eq!(only(&again), Some((vec![dots[1]], vec![dots[0]])));
    let mut group = lamp.clone();
    group.merge(&again);
    assert_eq!(only(&group), only(&again), "what came and went within a group is not sent");
    assert_eq!(*group.context(), CausalContext::from_iter(dots));
    group.merge(&ann.remove("lamp"));
    assert_eq!(only(&group), Some((vec![], dots.to_vec())));
}

#[test]
fn an_edit_of_many_changes_under_one_dot_tells_what_they_came_to() {
    let source = DotSource::new(ReplicaId::named("ann"), 0);
    let (mut set, mut changes) = (OrSet::<&str>::default(), SetChanges::default());
    set.add("kept", source.open(), &mut changes);
    let old = source.cut();
    let open = source.open();

    let mut changes = SetChanges::default();
    for element in ["kept", "passing"] {
        set.remove(element, open, &mut changes);
        set.add(element, open, &mut changes);
        set.remove(element, open, &mut changes);
    }
    let told = |changes: &SetChanges<&'static str>| {
        let edits = changes.edits().map(|(element, edit)| (*element, edit.added().to_vec(), edit.removed().to_vec()));
        edits.collect::<Vec<_>>()
    };
    assert_eq!(told(&changes), [("kept", vec![], vec![old])], "nobody has seen the other one");
    set.add("kept", open, &mut changes);
    assert_eq!(told(&changes), [("kept", vec![open.dot()], vec![old])]);
}

fn bytes(text: &str) -> Bytes {
    text.as_bytes().into()
}

fn object(kind: Kind) -> Object {
    Object::new(kind, Default::default())
}

/// Writes something of its kind.
fn write(object: &mut Object, open: OpenDot<'_>) -> ObjectChanges {
    let mut changes = ObjectChanges::none(object.kind());
    match (object, &mut changes) {
        (Object::GCounter(counter), ObjectChanges::Counter(changes)) => {
            counter.add(2, open).expect("small");
            counter.tallies().iter().for_each(|tally| changes.record(*tally));
        }
        (Object::PnCounter(counter), ObjectChanges::Counter(changes)) => {
            counter.add(-2, open).expect("small");
            counter.tallies().iter().for_each(|tally| changes.record(*tally));
        }
        (Object::LwwRegister(register), ObjectChanges::Register(changes)) => {
            register.set(bytes("v"), at(1), open, changes);
        }
        (Object::MvRegister(register), ObjectChanges::Register(changes)) => {
            register.set(bytes("v"), at(1), open, changes);
        }
        (Object::OrSet(set), ObjectChanges::Set(changes)) => {
            set.add(bytes("e"), open, changes);
        }
        _ => unreachable!("changes are of the kind of their object"),
    }
    changes
}

#[test]
fn an_object_of_every_kind_is_written_merged_deleted_and_purged() {
    let written = [
        Value::GCounter(2),
        Value::PnCounter(-2),
        Value::LwwRegister(Some(bytes("v"))),
        Value::MvRegister(vec![bytes("v")]),
        Value::OrSet(vec![bytes("e")]),
    ];
    let seen = CausalContext::default();
    for (kind, written) in Kind::ALL.into_iter().zip(written) {
        let source = DotSource::new(ReplicaId::named("ann"), 0);
        let mut ours = object(kind);
        assert!(ours.is_empty() && !ours.is_live() && ours.kind() == kind);
        let unwritten = ours.value();
        let changes = write(&mut ours, source.open());
        source.cut();
        assert!(ours.is_live() && !ours.is_empty() && !changes.is_empty());
        assert_eq!(ours.value(), written);

        let [mut by_changes, mut by_state] = [object(kind), object(kind)];
        by_changes.merge_changes(&seen, &changes).expect("the same kind");
        by_state.merge(&seen, &ours, &seen).expect("the same kind");
        assert_eq!([&by_changes, &by_state], [&ours, &ours]);

        let mut deletion = ObjectChanges::none(kind);
        ours.delete(source.open(), &mut deletion).expect("the same kind");
        assert!(!ours.is_live());
        assert_eq!(ours.value(), unwritten);
        by_changes.merge_changes(&seen, &deletion).expect("the same kind");
        assert_eq!(by_changes, ours);

        let dead = ours.tallies().to_vec();
        assert_eq!(dead.is_empty(), ours.is_empty(), "a counter leaves a dead tally until it is purged");
        assert_eq!(dead.is_empty(), !matches!(kind, Kind::GCounter | Kind::PnCounter));
        for tally in dead {
            assert!(!by_state.purge(&tally), "there it is alive");
            assert!(ours.purge(&tally) && !ours.purge(&tally));
        }
        assert!(ours.is_empty());
    }
}

#[test]
fn an_object_refuses_what_is_of_another_kind() {
    let source = DotSource::new(ReplicaId::named("ann"), 0);
    let seen = CausalContext::default();
    for kind in Kind::ALL {
        for other_kind in Kind::ALL {
            let [mut ours, mut other] = [object(kind), object(other_kind)];
            write(&mut ours, source.open());
            let mut changes = write(&mut other, source.open());
            let before = ours.clone();
            let refused = Err(WrongKind { object: kind });
            if kind != other_kind {
                assert_eq!(ours.merge(&seen, &other, &seen), refused);
            }
            if std::mem::discriminant(&changes) != std::mem::discriminant(&ObjectChanges::none(kind)) {
                assert_eq!(ours.merge_changes(&seen, &changes), refused);
                assert_eq!(ours.delete(source.open(), &mut changes), refused);
            }
            assert_eq!(ours, before);
        }
        assert_eq!(kind.to_string().parse(), Ok(kind));
        assert!(WrongKind { object: kind }.to_string().ends_with(&format!("object={kind}")));
    }
    for name in ["", "or-set", "OrSet", "or_set "] {
        assert_eq!(name.parse::<Kind>(), Err(UnknownKind));
    }
}

/// Whoever queued a purge for one death must not hit a later one, so no two may look alike.
#[test]
fn a_purge_hits_the_death_that_it_was_queued_for_and_no_other() {
    let source = DotSource::new(ReplicaId::named("ann"), 0);
    let mut counter = PnCounter::default();
    let mut deaths = Vec::new();
    for cut_before in [false, false, true, true, false] {
        if cut_before {
            source.cut();
        }
        counter.add(4, source.open()).expect("small");
        assert_eq!(counter.value(), 4);
        assert!(deaths.iter().all(|death| !counter.purge(death)), "it is alive");
        counter.reset(&mut Default::default());
        assert!(deaths.iter().all(|death| !counter.purge(death)), "it died otherwise");
        deaths.extend_from_slice(counter.tallies());
    }
    assert_eq!(deaths.len(), 5);
    assert!(counter.purge(&deaths[4]));
    assert!(counter.tallies().is_empty());
}

thread_local! {
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

/// An element that counts how often a table looks at one.
#[derive(Clone, Copy, Debug, Eq, PartialOrd, Ord)]
struct Watched(u64);

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        LOOKS.set(LOOKS.get() + 1);
        self.0 == other.0
    }
}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        LOOKS.set(LOOKS.get() + 1);
        self.0.hash(state);
    }
}

#[test]
fn a_delta_visits_its_own_elements_and_no_others() {
    const HELD: u64 = 1_000_000;
    let [mut ann, mut bob] = writers::<OrSet<Watched>, 2>();
    for element in 0..HELD {
        let _ = ann.add(Watched(element));
    }
    bob.merge(&ann).expect("one writer");
    let mut delta = Delta::default();
    for element in 0..50 {
        delta.merge(&bob.remove(&Watched(element * 7)));
        delta.merge(&bob.add(Watched(HELD + element)));
    }
    LOOKS.set(0);
    ann.merge_delta(&delta).expect("one writer");
    let looks = LOOKS.get();
    assert_eq!(delta.changes().edits().len(), 100);
    assert!((100..=300).contains(&looks), "looks={looks}");

    assert_eq!(*ann, *bob);
}

#[test]
fn nothing_is_left_of_a_hundred_thousand_removed_elements() {
    let [mut ann, mut bob] = writers::<OrSet<u64>, 2>();
    for element in 0..100_000 {
        bob.merge_delta(&ann.add(element)).expect("one writer");
        ann.merge_delta(&bob.remove(&element)).expect("one writer");
    }
    ann.shrink_to_fit();
    for replica in [&ann, &bob] {
        assert!(replica.is_empty());
        assert_eq!((replica.context().frontier().len(), replica.context().runs().count()), (2, 0));
        let json = serde_json::to_string(&***replica).expect("a set has a form");
        assert_eq!(json, "[]");
    }
}

#[test]
fn malformed_bytes_are_refused() {
    macro_rules! error {
        ($type:ty, $json:expr) => {
            serde_json::from_str::<$type>($json).err().map(|error| error.to_string())
        };
    }
    let read = |claim, json: &str| match claim {
        Claim::GCounter => error!(Causal<GCounter>, json),
        Claim::PnCounter => error!(Causal<PnCounter>, json),
        Claim::LwwRegister => error!(Causal<LwwRegister<u8>>, json),
        Claim::MvRegister => error!(Causal<MvRegister<u8>>, json),
        Claim::OrSet => error!(Causal<OrSet<u8>>, json),
        Claim::Context => error!(CausalContext, json),
        Claim::CounterDelta => error!(Delta<PnCounter>, json),
        Claim::GrowOnlyDelta => error!(Delta<GCounter>, json),
        Claim::SetDelta => error!(Delta<OrSet<u8>>, json),
    };
    for Case { wrong, claim, twin, malformed, said } in malformed::cases() {
        assert_eq!(read(claim, &twin), None, "without {wrong}: {twin}");
        let error = read(claim, &malformed).unwrap_or_else(|| panic!("accepted {wrong}: {malformed}"));
        assert!(error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn a_set_contains_what_was_added_and_nothing_else() {
    let [mut ann, _] = writers::<OrSet<u64>, 2>();
    assert!(!ann.add(1).is_empty());
    assert!(ann.contains(&1) && !ann.contains(&2));
}

/// A set of one element, as an object, with the changes that made it.
fn one_element(element: u8) -> (Object, ObjectChanges) {
    let source = DotSource::new(ReplicaId::named("ann"), 0);
    let (mut object, mut changes) = (Object::new(Kind::OrSet, Default::default()), ObjectChanges::none(Kind::OrSet));
    if let (Object::OrSet(set), ObjectChanges::Set(changes)) = (&mut object, &mut changes) {
        set.add([element].as_slice().into(), source.open(), changes);
    }
    (object, changes)
}

#[test]
fn objects_are_equal_when_kind_and_state_are() {
    let [one, same, other] = [1, 1, 2].map(|element| one_element(element).0);
    assert!(one == same && one != other);
    for (kind, next) in Kind::ALL.into_iter().zip(Kind::ALL.into_iter().cycle().skip(1)) {
        let object = |kind| -> Object { Object::new(kind, Default::default()) };
        assert!(object(kind) == object(kind) && object(kind) != object(next), "{kind}");
    }
}

#[test]
fn changes_of_an_object_name_every_dot() {
    let (_, changes) = one_element(1);
    let mut named = Vec::new();
    changes.for_each_dot(|dot| named.push(dot));
    assert_eq!(named, [DotSource::new(ReplicaId::named("ann"), 0).open().dot()]);
}

#[test]
fn a_position_is_packed_with_its_epoch_above_its_slot() {
    let position = Position::new(1, 2);
    assert_eq!(u64::from(position), (1 << 32) + 2);
    assert_eq!(Position::from(u64::from(position)), position);
}

#[test]
fn a_register_is_in_conflict_while_concurrent_writes_stand_beside_each_other() {
    let [mut ann, mut bob] = writers::<LwwRegister<u8>, 2>();
    assert!(!ann.is_conflicted());
    let (mine, other) = (ann.set(1, at(1)), bob.set(2, at(2)));
    assert!(!ann.is_conflicted());
    ann.merge_delta(&other).expect("one writer");
    bob.merge_delta(&mine).expect("one writer");
    assert!(ann.is_conflicted() && bob.is_conflicted());
    assert!(!bob.set(3, at(0)).is_empty());
    assert!(!bob.is_conflicted(), "it had seen both");
}

/// Memory itself is counted by the bench `table`. Here it shows in the elements that move to a smaller table.
#[test]
fn a_set_that_shrinks_moves_what_is_left_once() {
    let [mut ann] = writers::<OrSet<Watched>, 1>();
    for element in 0..1_000 {
        let _ = ann.add(Watched(element));
    }
    for element in 10..1_000 {
        let _ = ann.remove(&Watched(element));
    }
    let mut looks = || {
        LOOKS.set(0);
        ann.shrink_to_fit();
        LOOKS.get()
    };
    assert_eq!([(); 2].map(|()| looks()), [10, 0], "each element that is left, and then nothing more to give back");
}
