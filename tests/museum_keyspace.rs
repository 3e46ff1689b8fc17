//! The museum, second room: what goes wrong when many objects share one frontier and one dot is a whole segment.
//!
//! Each of these looked right until a history showed it. The names and numbers (M1 to M13) are those of the project's
//! own protocol model. The rules that only an engine with crashes and acknowledgements can break are told here with the
//! smallest keyspace; the engine has them again with real logs.

use std::num::NonZeroU64;

use crdt_core::{Kind, Value};
use tests::keyspace::{Key, Refused, Replica, Segment};

const LIKES: Key = (0, Kind::PnCounter);
const CART: Key = (0, Kind::OrSet);
const OTHER_CART: Key = (1, Kind::OrSet);
const NAME: Key = (0, Kind::LwwRegister);

fn replicas<const N: usize>() -> [Replica; N] {
    std::array::from_fn(|index| Replica::new(NonZeroU64::new(index as u64 + 1).expect("not zero").into(), 0, None))
}

fn cut(replica: &mut Replica) -> Segment {
    replica.cut(true).expect("an empty segment takes a place too")
}

fn hear(replica: &mut Replica, segments: &[&Segment]) {
    for segment in segments {
        assert_eq!(replica.apply(segment), Ok(()));
    }
}

/// Takes two snapshots, so that the older covers what has been applied, and acknowledges that.
fn settle(replica: &mut Replica) -> Segment {
    let covered = replica.frontier().clone();
    replica.acknowledge(&covered);
    cut(replica)
}

fn likes(replica: &Replica) -> i128 {
    match replica.value(LIKES) {
        Some(Value::PnCounter(value)) => value,
        _ => 0,
    }
}

fn elements(replica: &Replica, key: Key) -> Vec<u8> {
    match replica.value(key) {
        Some(Value::OrSet(elements)) => elements.iter().map(|element| element[0]).collect(),
        _ => Vec::new(),
    }
}

/// M1. B removes what A added, and C hears of B first. Forgetting the removal brought the element back for ever.
/// Remembering only the dot would hide everything else of A's segment; remembering only dot and element would hide the
/// same element at another path.
#[test]
fn m01_a_removal_ahead_of_its_add_hides_that_add_and_nothing_else() {
    let [mut a, mut b, mut c] = replicas();
    a.put(CART, 1, true);
    a.put(CART, 2, true);
    a.put(OTHER_CART, 1, true);
    a.write(NAME, 7, 0);
    let added = cut(&mut a);
    hear(&mut b, &[&added]);
    b.put(CART, 1, false);
    b.delete(NAME);
    let removed = cut(&mut b);
    hear(&mut c, &[&removed, &added]);
    hear(&mut a, &[&removed]);
    for replica in [&a, &b, &c] {
        assert_eq!(elements(replica, CART), [2]);
        assert_eq!(elements(replica, OTHER_CART), [1]);
        assert_eq!(replica.value(NAME), Some(Value::LwwRegister(None)));
    }
}

/// M1, through a third party: a snapshot passes the removal on while neither side has the add.
#[test]
fn m01_a_snapshot_passes_on_a_removal_that_is_ahead_of_its_add() {
    let [mut a, mut b, mut c, mut d] = replicas();
    a.put(CART, 1, true);
    let added = cut(&mut a);
    hear(&mut b, &[&added]);
    b.put(CART, 1, false);
    hear(&mut c, &[&cut(&mut b)]);
    cut(&mut c);
    d.merge(&c.snapshot());
    hear(&mut d, &[&added]);
    assert!(elements(&d, CART).is_empty());
    // And the other way: what has the add is a snapshot too.
    let [.., mut e] = replicas::<5>();
    e.merge(&c.snapshot());
    e.merge(&a.snapshot());
    assert!(elements(&e, CART).is_empty());
}

/// M2. A counts; before its segment is cut it hears of a reset by B. Publishing the tally as it stood at the increment,
/// under a header that already knows the reset, made the reset undone for whoever heard of B first.
#[test]
fn m02_an_own_tally_is_published_as_it_stands_at_the_cut() {
    let [mut a, mut b, mut c] = replicas();
    a.count(LIKES, 5);
    let five = cut(&mut a);
    hear(&mut b, &[&five]);
    b.delete(LIKES);
    let reset = cut(&mut b);
    a.count(LIKES, 2);
    hear(&mut a, &[&reset]);
    let two = cut(&mut a);
    hear(&mut c, &[&five, &reset, &two]);
    hear(&mut b, &[&two]);
    assert_eq!([likes(&a), likes(&b), likes(&c)], [2, 2, 2]);
}

/// M3. B deletes what it saw of A's count, then hears of more before it cuts. Refreshing A's tally at the cut would
/// relay increments past A's own log.
#[test]
fn m03_a_reset_of_another_tally_is_published_as_it_was_observed() {
    let [mut a, mut b, mut c] = replicas();
    a.count(LIKES, 5);
    let five = cut(&mut a);
    a.count(LIKES, 2);
    let two = cut(&mut a);
    hear(&mut b, &[&five]);
    b.delete(LIKES);
    hear(&mut b, &[&two]);
    let reset = cut(&mut b);
    hear(&mut c, &[&reset]);
    assert_eq!(likes(&c), 0, "the two that came later are in the log of A alone");
    hear(&mut c, &[&five, &two]);
    hear(&mut a, &[&reset]);
    assert_eq!([likes(&a), likes(&b), likes(&c)], [2, 2, 2]);
}

/// M5. A tally dies, lives again, and dies again with other totals. The purge that was queued for the first death must
/// not hit the second life, dead or alive.
#[test]
fn m05_a_purge_queued_for_one_life_leaves_the_next_alone() {
    let [mut a, mut b] = replicas();
    a.count(LIKES, 5);
    hear(&mut b, &[&cut(&mut a)]);
    b.delete(LIKES);
    hear(&mut a, &[&cut(&mut b)]);
    a.count(LIKES, 3);
    let lives_again = cut(&mut a);
    hear(&mut b, &[&lives_again]);
    hear(&mut b, &[&settle(&mut a)]);
    b.purge();
    assert_eq!(likes(&b), 3);
    a.purge();
    assert_eq!(likes(&a), 3);
}

/// M6, M7. A crashes and loses the snapshot that it took last. What the older one holds must not be taken for "I have
/// seen my own dots and do not hold them", nor may an own tally be exempt from being known to be gone.
#[test]
fn m06_an_own_old_snapshot_is_merged_by_its_frontier_like_any_other() {
    let [mut a, mut b] = replicas();
    a.put(CART, 1, true);
    a.count(LIKES, 5);
    let first = cut(&mut a);
    let old = a.snapshot();
    a.put(CART, 2, true);
    let second = cut(&mut a);
    hear(&mut b, &[&first, &second]);
    b.put(CART, 1, false);
    b.delete(LIKES);
    let removed = cut(&mut b);
    hear(&mut a, &[&removed]);
    let third = cut(&mut a);

    let mut again = Replica::new(a.id(), 1, None);
    again.merge(&old);
    hear(&mut again, &[&second, &third, &removed]);
    assert_eq!((elements(&again, CART), likes(&again)), (vec![2], 0));
    again.merge(&old);
    assert_eq!((elements(&again, CART), likes(&again)), (vec![2], 0));
}

/// M8. B deletes A's count and purges the dead tally because A said that it had heard. A crashes, had heard without
/// having kept it, and counts on from its own log. So an owner acknowledges only what it can recover alone.
#[test]
fn m08_a_tally_is_not_purged_because_its_owner_heard_but_because_it_can_recover() {
    let [mut a, mut b] = replicas();
    a.count(LIKES, 5);
    let five = cut(&mut a);
    hear(&mut b, &[&five]);
    b.delete(LIKES);
    let reset = cut(&mut b);
    hear(&mut a, &[&reset]);
    let heard = cut(&mut a); // It has heard of the reset, and acknowledges nothing.
    hear(&mut b, &[&heard]);
    b.purge();
    assert_eq!(b.dead_tallies(), 1);

    let mut again = Replica::new(a.id(), 1, None);
    hear(&mut again, &[&five, &heard]);
    again.count(LIKES, 2);
    let two = cut(&mut again);
    hear(&mut b, &[&two]);
    hear(&mut again, &[&reset]);
    assert_eq!([likes(&again), likes(&b)], [2, 2]);
}

/// M10. C hears of a reset of D's count before it has heard of D at all. Everybody that C knows has acknowledged the
/// reset. It is the owner who must have, and whose last increment must have been applied.
#[test]
fn m10_a_tally_is_not_purged_before_its_owner_is_known() {
    let [mut a, mut b, mut c, mut d] = replicas();
    d.count(LIKES, 5);
    let five = cut(&mut d);
    hear(&mut b, &[&five]);
    b.delete(LIKES);
    let reset = cut(&mut b);
    hear(&mut a, &[&reset]);
    hear(&mut c, &[&reset]);
    let settled = [settle(&mut a), settle(&mut b), settle(&mut c)];
    hear(&mut a, &[&settled[1], &settled[2]]);
    hear(&mut c, &[&settled[0], &settled[1]]);
    c.purge();
    a.purge();
    assert_eq!([a.dead_tallies(), c.dead_tallies()], [1, 1]);
    hear(&mut c, &[&five]);
    hear(&mut a, &[&five]);
    assert_eq!([likes(&a), likes(&c)], [0, 0]);
}

/// M10, the other half: the owner's acknowledgement came inside a snapshot, its last increment did not. A purge that did
/// not wait for the increment would take it for news when it arrives.
#[test]
fn m10_a_tally_is_not_purged_before_the_last_increment_is_applied() {
    let [mut a, mut b] = replicas();
    a.count(LIKES, 5);
    let five = cut(&mut a);
    let mut c = Replica::new(NonZeroU64::new(3).expect("not zero").into(), 0, None);
    hear(&mut b, &[&five]);
    b.delete(LIKES);
    let reset = cut(&mut b);
    hear(&mut a, &[&reset]);
    let settled = settle(&mut a);
    hear(&mut c, &[&reset]);
    c.purge();
    hear(&mut c, &[&five, &settled]);
    hear(&mut b, &[&settled]);
    for replica in [&mut a, &mut b, &mut c] {
        replica.purge();
        assert_eq!((likes(replica), replica.dead_tallies()), (0, 0));
    }
}

/// M13. A count that is deleted and counted again under one open dot is one life. Two lives of one birth would die with
/// the same baselines, and the purge queued for the first death would hit the second.
#[test]
fn m13_within_one_segment_a_life_goes_on() {
    let [mut a, mut b] = replicas();
    a.count(LIKES, 5);
    a.delete(LIKES);
    a.count(LIKES, 5);
    a.delete(LIKES);
    a.count(LIKES, 1);
    hear(&mut b, &[&cut(&mut a)]);
    a.purge();
    b.purge();
    assert_eq!([likes(&a), likes(&b)], [1, 1]);
    b.delete(LIKES);
    hear(&mut a, &[&cut(&mut b)]);
    assert_eq!([likes(&a), likes(&b)], [0, 0]);
}

/// A reset that arrives late, for a life that has been purged here, finds nothing and must leave nothing: its tally's
/// last increment has been seen, so its absence says that it is gone.
#[test]
fn a_late_reset_of_a_purged_life_leaves_nothing() {
    let [mut a, mut b, mut c] = replicas();
    a.count(LIKES, 5);
    let five = cut(&mut a);
    hear(&mut b, &[&five]);
    hear(&mut c, &[&five]);
    b.delete(LIKES);
    let reset = cut(&mut b);
    hear(&mut a, &[&reset]);
    let settled = settle(&mut a);
    c.delete(LIKES); // Concurrently with B,
    let reset_too = cut(&mut c);
    hear(&mut b, &[&settled]);
    b.purge();
    assert_eq!(b.dead_tallies(), 0);
    hear(&mut b, &[&reset_too]); // and heard of after the purge.
    assert_eq!((likes(&b), b.dead_tallies()), (0, 0));
}

/// What is applied out of order is refused, whatever it holds, and what is applied again changes nothing.
#[test]
fn a_log_is_applied_in_its_order_and_once() {
    let [mut a, mut b] = replicas();
    a.put(CART, 1, true);
    let first = cut(&mut a);
    a.put(CART, 1, false);
    let second = cut(&mut a);
    assert_eq!(b.apply(&second), Err(Refused::Gap));
    hear(&mut b, &[&first, &second]);
    assert_eq!(b.apply(&first), Err(Refused::Duplicate));
    assert_eq!(b.apply_again(&first), Ok(()));
    assert!(elements(&b, CART).is_empty());
}
