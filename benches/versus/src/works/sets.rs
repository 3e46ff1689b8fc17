//! One large set of distinct 64-bit numbers in no order: a delta into it, and a whole merge.

use benches::{clock::timed, or_set, report::thousands};
use crdt_core::{ReplicaId, Writer};
use crdt_kit::{Crdt, DeltaCrdt, ORSet};
use crdts::CvRDT;

use super::Scale;
use crate::{
    race::medians,
    report::{Bar, Report, Row},
};

/// How many elements a delta has.
const CHANGED: usize = 100;

/// Ours is given several deltas in each turn, so that no more of the set is in the caches than a replica would find there.
const IN_A_ROW: usize = 10;

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    delta(report, scale);
    merge(report, scale);
}

fn delta(report: &mut Report, Scale { n, few, .. }: Scale) {
    let ann = ReplicaId::named("ann");
    let (mut ours, mut peer, mut kit) = (or_set::ours(ann, 0..n), or_set::peer(ann, 0..n), kit(1, 0..n));
    // Each turn is by another replica: a state that omits what its replica added earlier would say that it was removed.
    let per_turn = IN_A_ROW * CHANGED;
    let [ours_took, peer_took, kit_took] = medians(few, |turn, runner| {
        let replica = ReplicaId::named(&format!("replica {turn}"));
        let added = |delta: usize| n + turn * per_turn + delta * CHANGED..n + turn * per_turn + (delta + 1) * CHANGED;
        match runner {
            0 => {
                let mut writer = Writer::new(replica);
                let deltas: Vec<_> = (0..IN_A_ROW).map(|delta| or_set::add(&mut writer, added(delta))).collect();
                timed(|| deltas.iter().for_each(|delta| ours.merge_delta(delta))).0 / IN_A_ROW as u32
            }
            1 => {
                let change = or_set::peer(replica, added(0));
                let took = timed(|| peer.merge(change)).0;
                peer.merge(or_set::peer(replica, added(0).start..added(IN_A_ROW - 1).end));
                took
            }
            _ => {
                let change = self::kit(10 + turn as u64, added(0)).delta(&ORSet::new(1));
                let took = timed(|| kit.apply_delta(&change)).0;
                let rest = self::kit(1_000 + turn as u64, added(1).start..added(IN_A_ROW - 1).end);
                kit.apply_delta(&rest.delta(&ORSet::new(1)));
                took
            }
        }
    });
    let all = n + few * per_turn;
    or_set::check(&ours, &peer, all);
    check_kit(&ours, &kit, all);
    let work = format!("delta of {CHANGED} into a set of {}", thousands(n));
    let row = |peer, bar| Row { work: work.clone(), ours: ours_took / 1e3, peer: Some(peer), unit: "us", bar };
    report.row(row(("crdts", peer_took / 1e3), Some(Bar::times(8_000.0, 25_000.0))));
    report.row(row(("crdt-kit", kit_took / 1e3), None));
}

fn merge(report: &mut Report, Scale { n, few, .. }: Scale) {
    let (ours, theirs) = or_set::ours_parted(n);
    let (peer, peer_theirs) = or_set::peer_parted(n);
    let parted = |actor: u64, from: usize| {
        let mut set = kit(1, 0..n / 2);
        set.merge(&kit(actor, from..from + n / 2));
        set
    };
    let (kit, kit_theirs) = (parted(2, n / 2), parted(3, n));
    let [ours_took, peer_took, kit_took] = medians(few, |turn, runner| {
        let check = turn == 0;
        match runner {
            0 => {
                let mut merged = ours.clone();
                let took = timed(|| merged.merge(&theirs)).0;
                assert_eq!(merged.len(), n + n / 2, "elements");
                took
            }
            1 => {
                let (mut merged, other) = (peer.clone(), peer_theirs.clone());
                let took = timed(|| merged.merge(other)).0;
                if check {
                    let mut ours = ours.clone();
                    ours.merge(&theirs);
                    or_set::check(&ours, &merged, n + n / 2);
                }
                took
            }
            _ => {
                let mut merged = kit.clone();
                let took = timed(|| merged.merge(&kit_theirs)).0;
                if check {
                    let mut ours = ours.clone();
                    ours.merge(&theirs);
                    check_kit(&ours, &merged, n + n / 2);
                }
                took
            }
        }
    });
    let work = format!("whole merge of two sets of {}, 50 % overlap", thousands(n));
    let row = |peer, bar| Row { work: work.clone(), ours: ours_took / 1e6, peer: Some(peer), unit: "ms", bar };
    report.row(row(("crdts", peer_took / 1e6), Some(Bar::times(10.0, 30.0))));
    report.row(row(("crdt-kit", kit_took / 1e6), None));
}

fn kit(actor: u64, numbers: std::ops::Range<usize>) -> ORSet<u64> {
    let mut set = ORSet::new(actor);
    numbers.for_each(|number| set.insert(or_set::element(number)));
    set
}

fn check_kit(ours: &or_set::Ours, kit: &ORSet<u64>, n: usize) {
    assert!(kit.iter().eq(ours.elements()), "the two sides differ");
    assert_eq!(kit.len(), n, "elements");
}
