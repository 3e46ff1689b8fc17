//! These types against those of `crdts` 7.3.2, and both behind the same traits.
//!
//! Goal: the two agree at every step wherever their semantics are the same, and where `crdts` is known to be wrong its
//! wrong outcome is asserted next to our right one, so that a claim in the docs is a run. Method: random histories of
//! three replicas that change and merge whole states; the known cases step by step; and generic code that knows nothing
//! but `CvRDT` and `CmRDT`.

use std::{env, fmt::Debug};

use crdt_core::{
    Causal, DataType, DotReuse, GCounter, LwwRegister, MvRegister, OrSet, PnCounter, Position, ReplicaId, Timestamp,
    Writer,
};
use crdts::{CmRDT, CvRDT, LWWReg, MVReg, Map, Orswot, PNCounter};
use quickcheck::{Arbitrary, Gen, QuickCheck};

const NAMES: [&str; 3] = ["ann", "bob", "cyd"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Put { replica: usize, value: u8 },
    Take { replica: usize, value: u8 },
    Merge { to: usize, from: usize },
}

use Step::{Merge, Put, Take};

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let [replica, other] = [usize::arbitrary(g) % 3, usize::arbitrary(g) % 3];
        let value = u8::arbitrary(g) % 4;
        let steps = [Put { replica, value }, Take { replica, value }, Merge { to: replica, from: other }];
        *g.choose(&steps).expect("three of them")
    }
}

type Verdict = Result<(), String>;

fn check(law: fn(Vec<Step>) -> Verdict) {
    let mut check = QuickCheck::new().rng(Gen::from_size_and_seed(40, 0x1bd1_1bda_a9fc_1a22));
    if env::var_os("QUICKCHECK_TESTS").is_none() {
        check = check.tests(5_000);
    }
    check.quickcheck(law);
}

fn writers<T: Default>() -> [Writer<T>; 3] {
    NAMES.map(|name| Writer::new(ReplicaId::named(name)))
}

/// Takes both sides through the same steps; `read` gives what the two show, which must be equal on every replica after
/// every step. `change` gets the index of the replica, which is its actor in `crdts`.
fn agree<T, R, V>(
    steps: &[Step],
    change: impl Fn(&mut Writer<T>, &mut R, u8, Step),
    read: impl Fn(&T, &R) -> [V; 2],
) -> Verdict
where
    T: DataType + Default,
    R: CvRDT + Clone + Default,
    V: PartialEq + Debug,
{
    let mut ours = writers::<T>();
    let mut theirs = [R::default(), R::default(), R::default()];
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Put { replica, .. } | Take { replica, .. } => {
                let actor = u8::try_from(replica).expect("three of them");
                change(&mut ours[replica], &mut theirs[replica], actor, *step);
            }
            Merge { to, from } => {
                let state = Causal::clone(&ours[from]);
                ours[to].merge(&state).expect("every replica has one writer");
                theirs[to].merge(theirs[from].clone());
            }
        }
        for (name, (ours, theirs)) in NAMES.iter().zip(ours.iter().zip(&theirs)) {
            let [ours, theirs] = read(ours, theirs);
            if ours != theirs {
                return Err(format!("after step {number} {name} reads {ours:?}, with crdts {theirs:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn sets_agree_with_orswot() {
    check(|steps| {
        agree::<OrSet<u8>, Orswot<u8, u8>, _>(
            &steps,
            |ours, theirs, actor, step| match step {
                Put { value, .. } => {
                    let _ = ours.add(value);
                    theirs.apply(theirs.add(value, theirs.read_ctx().derive_add_ctx(actor)));
                }
                Take { value, .. } => {
                    let _ = ours.remove(&value);
                    theirs.apply(theirs.rm(value, theirs.contains(&value).derive_rm_ctx()));
                }
                Merge { .. } => {}
            },
            |ours, theirs| [ours.elements().into_iter().copied().collect(), members(theirs)],
        )
    });
}

fn members(set: &Orswot<u8, u8>) -> Vec<u8> {
    let mut members: Vec<u8> = set.iter().map(|member| *member.val).collect();
    members.sort_unstable();
    members
}

#[test]
fn grow_only_counters_agree() {
    check(|steps| {
        agree::<GCounter, crdts::GCounter<u8>, _>(
            &steps,
            |ours, theirs, actor, step| {
                if let Put { value, .. } | Take { value, .. } = step {
                    let _ = ours.add(value.into()).expect("small amounts");
                    theirs.apply(theirs.inc_many(actor, value.into()));
                }
            },
            |ours, theirs| [ours.value().to_string(), theirs.read().to_string()],
        )
    });
}

#[test]
fn counters_agree() {
    check(|steps| {
        agree::<PnCounter, PNCounter<u8>, _>(
            &steps,
            |ours, theirs, actor, step| match step {
                Put { value, .. } => {
                    let _ = ours.add(value.into()).expect("small amounts");
                    theirs.apply(theirs.inc_many(actor, value.into()));
                }
                Take { value, .. } => {
                    let _ = ours.add(-i64::from(value)).expect("small amounts");
                    theirs.apply(theirs.dec_many(actor, value.into()));
                }
                Merge { .. } => {}
            },
            |ours, theirs| [ours.value().to_string(), theirs.read().to_string()],
        )
    });
}

/// Each write is at a later time than all that it has seen; concurrent ones may be at the same, and then the id
/// decides.
#[test]
fn registers_agree_with_lwwreg_while_time_follows_causality() {
    check(|steps| {
        agree::<LwwRegister<u8>, LWWReg<Option<u8>, Option<(u64, ReplicaId)>>, _>(
            &steps,
            |ours, theirs, _, step| {
                if let Put { value, .. } | Take { value, .. } = step {
                    let millis = ours.winner().map_or(0, |write| write.timestamp.millis()) + 1;
                    let _ = ours.set(value, Timestamp::from_millis(millis));
                    theirs.update(Some(value), Some((millis, ours.replica())));
                }
            },
            |ours, theirs| [ours.value().copied(), theirs.val],
        )
    });
}

#[test]
fn registers_agree_with_mvreg() {
    check(|steps| {
        agree::<MvRegister<u8>, MVReg<u8, u8>, _>(
            &steps,
            |ours, theirs, actor, step| {
                if let Put { value, .. } | Take { value, .. } = step {
                    let _ = ours.set(value, Timestamp::default());
                    theirs.apply(theirs.write(value, theirs.read_ctx().derive_add_ctx(actor)));
                }
            },
            |ours, theirs| {
                let mut both = [ours.values().copied().collect(), theirs.read().val];
                both.iter_mut().for_each(|values: &mut Vec<u8>| values.sort_unstable());
                both
            },
        )
    });
}

/// One counter under one key.
type RivalMap = Map<u8, PNCounter<u8>, u8>;

const KEY: u8 = 7;

fn count(map: &mut RivalMap, actor: u8) {
    map.apply(map.update(KEY, map.read_ctx().derive_add_ctx(actor), |counter, _| counter.inc(actor)));
}

fn delete(map: &mut RivalMap) {
    map.apply(map.rm(KEY, map.get(&KEY).derive_rm_ctx()));
}

fn value(map: &RivalMap) -> i128 {
    map.get(&KEY).val.map_or(0, |counter| counter.read().to_string().parse().expect("a small number"))
}

/// R6: the second increment's entry is cumulative and took in the first, so deleting the first does not take it out.
#[test]
fn a_deleted_increment_comes_back_in_crdts_and_not_here() {
    let [mut a, mut b] = [RivalMap::new(), RivalMap::new()];
    count(&mut a, 0);
    b.merge(a.clone());
    delete(&mut b);
    count(&mut a, 0);
    a.merge(b);
    assert_eq!(value(&a), 2, "wrong, and known");

    let [mut a, mut b, _] = writers::<PnCounter>();
    b.merge_delta(&a.add(1).expect("small")).expect("one writer");
    let _ = b.reset();
    let _ = a.add(1).expect("small");
    a.merge(&b).expect("one writer");
    assert_eq!(a.value(), 1);
}

/// R7: one increment was seen by no deletion, so 1 is right in every order.
#[test]
fn the_order_of_merging_decides_the_value_in_crdts_and_not_here() {
    let [mut r0, mut r1] = [RivalMap::new(), RivalMap::new()];
    count(&mut r1, 1);
    count(&mut r1, 1);
    r0.merge(r1.clone());
    let r2 = r0.clone();
    delete(&mut r1);
    delete(&mut r0);
    count(&mut r1, 1);
    let rivals = [r0, r1, r2];
    assert_eq!(value(&merged(&rivals, [0, 1, 2])), 2, "wrong, and known");
    assert_eq!(value(&merged(&rivals, [2, 0, 1])), 1);

    let [mut r0, mut r1, mut r2] = writers::<PnCounter>();
    let _ = r1.add(1).expect("small");
    let _ = r1.add(1).expect("small");
    r0.merge(&r1).expect("one writer");
    r2.merge(&r0).expect("one writer");
    let _ = r1.reset();
    let _ = r0.reset();
    let _ = r1.add(1).expect("small");
    let ours = [r0, r1, r2].map(Writer::into_causal);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(merged(&ours, order).value(), 1, "{order:?}");
    }
}

fn merged<T: CvRDT + Clone>(replicas: &[T; 3], order: [usize; 3]) -> T {
    let [first, second, third] = order.map(|index| replicas[index].clone());
    let mut all = first;
    all.merge(second);
    all.merge(third);
    all
}

/// R12: a replica goes on from a backup and mints a dot for the second time. Both changes that bear it were
/// acknowledged, and each looks removed to whoever has seen the other.
#[test]
fn two_acknowledged_adds_vanish_in_crdts_after_a_restore() {
    let put = |set: &mut Orswot<&'static str, u8>, element| {
        set.apply(set.add(element, set.read_ctx().derive_add_ctx(0)));
    };
    let mut ann = Orswot::new();
    put(&mut ann, "a");
    let backup = ann.clone();
    put(&mut ann, "b");
    let mut bob = ann;
    let mut ann = backup;
    put(&mut ann, "c");
    assert!(ann.contains(&"c").val && bob.contains(&"b").val);
    bob.merge(ann.clone());
    ann.merge(bob.clone());
    for replica in [ann, bob] {
        assert_eq!(replica.read().val.into_iter().collect::<Vec<_>>(), ["a"], "wrong, and known");
    }
}

/// R12, here: the backup itself shows which epoch is used up, and in the next one nothing can collide.
#[test]
fn a_restored_replica_has_to_take_a_new_epoch_and_then_nothing_vanishes() {
    let [mut ann, mut bob, _] = writers::<OrSet<&str>>();
    let _ = ann.add("a");
    let backup = Causal::clone(&ann);
    let _ = ann.add("b");
    bob.merge(&ann).expect("one writer");
    let replica = ann.replica();
    drop(ann);

    let refused = Writer::open(replica, 0, backup.clone()).map(Writer::into_causal);
    assert_eq!(refused, Err(DotReuse { replica, seen: Position::new(0, 0), open: Position::new(0, 0) }));
    let mut ann = Writer::open(replica, 1, backup).expect("epoch 1 is new");
    let _ = ann.add("c");
    bob.merge(&ann).expect("one writer at a time");
    ann.merge(&bob).expect("one writer at a time");
    assert_eq!(ann.elements(), [&"a", &"b", &"c"]);
    assert_eq!(*ann, *bob);
}

/// R12, when not even a backup is left. What it wrote since is at stake only if it goes on, so it is told at once.
#[test]
fn a_replica_that_lost_everything_is_told_at_the_first_merge() {
    let [mut ann, mut bob, _] = writers::<OrSet<&str>>();
    let _ = (ann.add("a"), ann.add("b"));
    bob.merge(&ann).expect("one writer");
    let replica = ann.replica();
    drop(ann);

    let mut ann = Writer::<OrSet<&str>>::new(replica);
    let _ = ann.add("c");
    let before = Causal::clone(&ann);
    let told = DotReuse { replica, seen: Position::new(0, 1), open: Position::new(0, 1) };
    assert_eq!(ann.merge(&bob), Err(told));
    assert_eq!(*ann, before, "nothing is merged");

    let mut ann = Writer::open(replica, told.seen.epoch() + 1, Causal::clone(&bob)).expect("a later epoch");
    let _ = ann.add("c");
    bob.merge(&ann).expect("one writer at a time");
    assert_eq!(bob.elements(), [&"a", &"b", &"c"]);
}

/// R12, and what is not promised: its dots are the right number, so nobody can see that they are others. A replica that
/// may have lost writes needs a new epoch or a new id before it writes.
#[test]
fn a_replica_that_lost_everything_and_wrote_as_much_again_is_not_told() {
    let [mut ann, mut bob, _] = writers::<OrSet<&str>>();
    let _ = ann.add("a");
    bob.merge(&ann).expect("one writer");
    let replica = ann.replica();
    drop(ann);

    let mut ann = Writer::<OrSet<&str>>::new(replica);
    let _ = ann.add("c");
    ann.merge(&bob).expect("nothing looks wrong");
    assert!(ann.is_empty(), "both adds look removed");
}

/// Everybody merges everybody. Written for any state-based type.
fn converge<T: CvRDT + Clone>(replicas: &mut [T]) {
    let before = replicas.to_vec();
    for replica in replicas {
        for other in &before {
            replica.validate_merge(other).expect("states of one history");
            replica.merge(other.clone());
        }
    }
}

/// A replica from a log of operations. Written for any operation-based type.
fn replayed<T: CmRDT<Op: Clone> + Default>(log: &[T::Op]) -> T {
    let mut replica = T::default();
    for op in log {
        replica.validate_op(op).expect("operations of one history");
        replica.apply(op.clone());
    }
    replica
}

fn all_equal<T: PartialEq>(replicas: &[T]) -> bool {
    replicas.windows(2).all(|pair| pair[0] == pair[1])
}

#[test]
fn code_for_any_cvrdt_takes_these_types_and_theirs() {
    let [mut ann, mut bob, mut cyd] = writers::<OrSet<u8>>();
    let _ = (ann.add(1), bob.add(2), cyd.add(1), cyd.remove(&1));
    let mut sets = [ann, bob, cyd].map(Writer::into_causal);
    converge(&mut sets);
    assert!(all_equal(&sets));
    assert_eq!(sets[0].elements(), [&1, &2]);

    let mut rivals = [0, 1, 2].map(|actor| {
        let mut set = Orswot::<u8, u8>::new();
        set.apply(set.add(actor, set.read_ctx().derive_add_ctx(actor)));
        set
    });
    converge(&mut rivals);
    assert!(all_equal(&rivals));
    assert_eq!(members(&rivals[0]), [0, 1, 2]);

    let [mut ann, bob, mut cyd] = writers::<PnCounter>();
    let _ = (ann.add(5), cyd.add(-2));
    let mut counters = [ann, bob, cyd].map(Writer::into_causal);
    converge(&mut counters);
    assert!(all_equal(&counters));
    assert_eq!(counters[1].value(), 3);
}

#[test]
fn code_for_any_cmrdt_takes_these_types_and_theirs() {
    let [mut ann, mut bob, _] = writers::<LwwRegister<u8>>();
    let log = [ann.set(1, Timestamp::from_millis(9)), bob.set(2, Timestamp::from_millis(8)), ann.clear()];
    assert_eq!(replayed::<Causal<LwwRegister<u8>>>(&log).value(), Some(&2));

    let mut rival = PNCounter::<u8>::default();
    let log = [rival.inc_many(0, 5), rival.dec_many(1, 2)];
    log.iter().for_each(|op| rival.apply(op.clone()));
    assert_eq!(replayed::<PNCounter<u8>>(&log), rival);

    let mut rival = Orswot::<u8, u8>::new();
    let add = rival.add(1, rival.read_ctx().derive_add_ctx(0));
    rival.apply(add.clone());
    let remove = rival.rm(1, rival.contains(&1).derive_rm_ctx());
    assert!(members(&replayed(&[add, remove])).is_empty());
}

/// `Orswot` must be given its operations in the order in which they were made, and so must most of `crdts`.
#[test]
fn a_log_of_deltas_may_be_replayed_backwards_and_a_log_of_ops_may_not() {
    let [mut ann, ..] = writers::<OrSet<u8>>();
    let mut log = vec![ann.add(1), ann.add(2), ann.remove(&1)];
    log.reverse();
    assert_eq!(replayed::<Causal<OrSet<u8>>>(&log), *ann);

    let mut rival = Orswot::<u8, u8>::new();
    let mut log = Vec::new();
    for element in [1, 2] {
        let op = rival.add(element, rival.read_ctx().derive_add_ctx(0));
        rival.apply(op.clone());
        log.push(op);
    }
    log.reverse();
    assert!(Orswot::<u8, u8>::new().validate_op(&log[0]).is_err());
    let mut backwards = Orswot::<u8, u8>::new();
    log.into_iter().for_each(|op| backwards.apply(op));
    assert_eq!(members(&backwards), [2], "the add of 1 is taken for a repetition");
}
