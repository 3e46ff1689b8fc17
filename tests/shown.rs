//! What a person is shown: the texts of values and errors.
//!
//! Goal: a story or a log line says what is there, and an error what to do. Method: each text in full.

use std::num::NonZeroU64;

use crdt_core::{
    Causal, CausalContext, ClockSkew, Dot, DotReuse, Few, Frontier, GCounter, Kind, LwwRegister, Object, ObjectChanges,
    OrSet, Overflow, PnCounter, Position, ReplicaId, SetChanges, Tally, TallyParts, Timestamp, UnknownKind, Writer,
    WrongKind,
};

fn id() -> ReplicaId {
    NonZeroU64::new(0xa1).expect("not zero").into()
}

fn dot() -> Dot {
    Dot { replica: id(), position: Position::new(2, 15) }
}

#[test]
fn names_and_places_are_shown_as_they_stand_in_keys() {
    assert_eq!((id().to_string(), format!("{:?}", id())), ("00000000000000a1".into(), "00000000000000a1".into()));
    assert_eq!(Position::new(2, 15).to_string(), "00000002/0000000f");
    assert_eq!(format!("{:?}", Position::new(2, 15)), "00000002/0000000f");
    assert_eq!(
        (dot().to_string(), format!("{:?}", dot())),
        ("00000000000000a1@00000002/0000000f".into(), dot().to_string())
    );
    let time = Timestamp::new(7, 3);
    assert_eq!((time.to_string(), format!("{time:?}")), ("7ms+3".into(), "7ms+3".into()));
    assert_eq!(format!("{:>12}|{:<12}|", Kind::OrSet, Kind::GCounter), "      or_set|g_counter   |");
}

#[test]
fn what_has_been_seen_is_shown_with_its_gaps() {
    assert_eq!(format!("{:?}", Frontier::from_iter([dot()])), "{00000000000000a1@00000002/0000000f}");
    assert_eq!(
        format!("{:?}", CausalContext::from_iter([dot()])),
        "CausalContext { frontier: {}, cloud: {00000000000000a1@00000002/0000000f: 00000002/0000000f} }"
    );
}

#[test]
fn states_and_deltas_are_shown_in_order() {
    let parts =
        TallyParts { replica: id(), birth: Position::FIRST, last: Position::new(0, 4), p: 9, n: 2, bp: 3, bn: 1 };
    let tally = Tally::try_from(parts).expect("a tally");
    assert_eq!(
        format!("{tally:?}"),
        "00000000000000a1 born 00000000/00000000 last 00000000/00000004: +9 -2, reset +3 -1"
    );
    assert_eq!(format!("{:?}", Few::one(3)), "[3]");

    let mut set = Writer::<OrSet<u8>>::new(id());
    let delta = set.add(7);
    assert_eq!(format!("{:?}", **set), "{7: [00000000000000a1@00000000/00000000]}");
    let context = "CausalContext { frontier: {00000000000000a1@00000000/00000000}, cloud: {} }";
    assert_eq!(
        format!("{:?}", *set),
        format!("Causal {{ state: {{7: [00000000000000a1@00000000/00000000]}}, context: {context} }}")
    );
    assert!(format!("{delta:?}").starts_with("Delta { changes: SetChanges({7: Edit { added: [00000000000000a1@"));
    assert!(format!("{delta:?}").ends_with(&format!("context: {context} }}")));

    let mut counter = Writer::<PnCounter>::new(id());
    counter.add(-4).expect("small").context();
    assert_eq!(
        format!("{:?}", **counter),
        "[00000000000000a1 born 00000000/00000000 last 00000000/00000000: +0 -4, reset +0 -0]"
    );
    let mut register = Writer::<LwwRegister<u8>>::new(id());
    assert!(!register.set(3, Timestamp::from_millis(1)).is_empty());
    assert_eq!(
        format!("{:?}", **register),
        "[Write { dot: 00000000000000a1@00000000/00000000, timestamp: 1ms+0, value: 3 }]"
    );
    for kind in Kind::ALL {
        let object: Object = Object::new(kind, Default::default());
        let empty = if kind == Kind::OrSet { "{}" } else { "[]" };
        assert_eq!(format!("{object:?}"), empty, "{kind}");
    }
}

#[test]
fn errors_say_what_to_do_and_end_with_their_values() {
    let overflow = Overflow { total: u64::MAX, amount: 1 };
    assert_eq!(
        overflow.to_string(),
        "counter would pass 2^64 - 1; delete it to start anew: total=18446744073709551615 amount=1"
    );
    let reuse = DotReuse { replica: id(), seen: Position::new(0, 9), open: Position::new(0, 3) };
    assert_eq!(
        reuse.to_string(),
        "another writer used this replica's dots; open it with a later epoch: replica=00000000000000a1 \
         seen=00000000/00000009 open=00000000/00000003"
    );
    let skew = ClockSkew { wall_ms: 5, last: Timestamp::new(900, 1), ahead_ms_max: 100 };
    assert_eq!(
        skew.to_string(),
        "the wall clock is too far behind; set it right: wall_ms=5 last=900ms+1 ahead_ms_max=100"
    );
    assert_eq!(
        WrongKind { object: Kind::OrSet }.to_string(),
        "what is merged is of another kind than the object: object=or_set"
    );
    assert_eq!(
        UnknownKind.to_string(),
        "unknown kind; one of g_counter, pn_counter, lww_register, mv_register, or_set"
    );
    assert_eq!("or_sets".parse::<Kind>(), Err(UnknownKind));
    assert!(Kind::ALL.into_iter().all(|kind| kind.name().parse() == Ok(kind)));
}

#[test]
fn serde_says_what_it_expected() {
    let error = serde_json::from_str::<OrSet<u8>>("7").expect_err("a number is no set");
    assert!(error.to_string().contains("elements with their dots, in ascending order"), "{error}");
}

#[test]
fn deltas_are_equal_when_changes_and_context_are() {
    let [mut ann, mut bob] = ["ann", "bob"].map(|name| Writer::<GCounter>::new(ReplicaId::named(name)));
    let (one, two) = (ann.add(1).expect("small"), ann.add(1).expect("small"));
    let other = bob.add(1).expect("small");
    assert!(one == one.clone() && one != two && one != other);
    // The same changes, of which one has seen more.
    let mut group = one.clone();
    group.merge(&two);
    assert!(group.changes() == two.changes() && group != two);
    // And the same context with other changes.
    let nothing = ann.add(0).expect("small");
    assert!(nothing.is_empty() && !one.is_empty());
    let [mut up, mut down] = [1, 2].map(|_| Writer::<PnCounter>::new(ReplicaId::named("ann")));
    assert!(up.add(1).expect("small") != down.add(-1).expect("small"));
}

#[test]
fn changes_are_empty_until_something_changes() {
    for kind in Kind::ALL {
        assert!(ObjectChanges::none(kind).is_empty(), "{kind}");
    }
    assert_eq!(SetChanges::<u8>::default().edits().len(), 0);
    assert!(Causal::<GCounter>::default().context().is_empty());
}
