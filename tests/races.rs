//! Threads that change a keyspace while it is cut and frozen: what a snapshot holds is what was there at its cut.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use crdt_core::{DotSource, Kind, Object, ReplicaId, Timestamp};
use replica::{
    MarkValue,
    key::ObjectKey,
    keyspace::{Change, Freeze, Frozen, Keyspace, Mark},
};

/// Threads that work until they are told to stop.
struct Workers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Each calls `work` again and again, with its own number and that of the round.
    fn start(count: usize, work: impl Fn(usize, usize) + Clone + Send + 'static) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let thread = |number| {
            let (stop, work) = (stop.clone(), work.clone());
            std::thread::spawn(move || {
                (0..).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(|round| work(number, round));
            })
        };
        let threads = (0..count).map(thread).collect();
        Self { stop, threads }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it has not panicked"));
    }
}

fn keyspace() -> Arc<Keyspace> {
    Arc::new(Keyspace::new(DotSource::new(ReplicaId::named("ann"), 1), 7, 64))
}

fn counter(path: &str) -> ObjectKey {
    ObjectKey::new(path, Kind::PnCounter).expect("a path")
}

fn counters(frozen: &Frozen<'_>) -> BTreeMap<String, (i128, Vec<crdt_core::Position>)> {
    let objects = frozen.layout().parts.into_iter().flat_map(|part| frozen.objects(part));
    let read = |(key, object): (ObjectKey, Object<_>)| match object {
        Object::PnCounter(counter) => {
            let raised = counter.tallies().iter().map(|tally| tally.parts().last).collect();
            (key.path().to_owned(), (counter.value(), raised))
        }
        _ => panic!("all of them are counters"),
    };
    objects.map(read).collect()
}

/// Nothing of the next position is in a snapshot: a crash could take it back, and leave it in the snapshot alone.
#[test]
fn a_snapshot_holds_nothing_of_the_next_position() {
    let keyspace = keyspace();
    let written = keyspace.clone();
    let workers = Workers::start(3, move |thread, round| {
        let _full = written.change(&counter(&format!("p/{thread}/{}", round % 300)), &Change::Count(1));
    });
    for _ in 0..300 {
        let Freeze { cut, frozen, .. } = keyspace.cut_and_freeze();
        for (path, (_, raised)) in counters(&frozen) {
            assert!(raised.iter().all(|position| *position <= cut.dot.position), "{path} {raised:?} {:?}", cut.dot);
        }
    }
    workers.stop();
}

/// A snapshot has all of a batch, with its mark, or nothing of it.
#[test]
fn a_snapshot_holds_whole_batches_and_their_marks() {
    let keyspace = keyspace();
    let written = keyspace.clone();
    let workers = Workers::start(1, move |_, round| {
        let changes: Vec<_> = (0..8).map(|number| (counter(&format!("lines/{number}")), Change::Count(1))).collect();
        let mark = |number| Mark {
            name: b"offset"[..].into(),
            value: MarkValue::Number(number),
            time: Timestamp::from_millis(round as u64),
        };
        let number = written.mark(b"offset").map_or(0, |mark| match mark.value {
            MarkValue::Number(number) => number,
            MarkValue::Hash(_) => panic!("it is a number"),
        });
        let _full = written.batch(&changes, &[mark(number + 1)]);
    });
    for _ in 0..2_000 {
        let Freeze { frozen, marks, .. } = keyspace.cut_and_freeze();
        let counted: Vec<i128> = counters(&frozen).into_values().map(|(value, _)| value).collect();
        let marked = marks.first().map_or(0, |mark| match mark.value {
            MarkValue::Number(number) => i128::from(number),
            MarkValue::Hash(_) => panic!("it is a number"),
        });
        assert!(counted.iter().all(|value| *value == marked), "{counted:?} {marked}");
        assert_eq!(counted.len(), if marked == 0 { 0 } else { 8 });
    }
    workers.stop();
}

/// Every count is in the segment of its position, whatever snapshots are taken meanwhile.
#[test]
fn cuts_and_snapshots_take_every_change_once() {
    let keyspace = keyspace();
    let written = keyspace.clone();
    let workers = Workers::start(3, move |thread, round| {
        let _full = written.change(&counter(&format!("p/{thread}/{}", round % 50)), &Change::Count(1));
    });
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    let mut apply = |cut: replica::keyspace::Cut| {
        for (key, changes) in cut.rows {
            let crdt_core::ObjectChanges::Counter(row) = changes else { panic!("all of them are counters") };
            for tally in row.tallies() {
                assert_eq!(tally.parts().last, cut.dot.position, "{}", key.path());
                totals.insert(key.path().to_owned(), tally.parts().p);
            }
        }
    };
    for round in 0..600 {
        apply(if round % 2 == 0 { keyspace.cut() } else { keyspace.cut_and_freeze().cut });
    }
    workers.stop();
    apply(keyspace.cut());
    for (path, total) in totals {
        let key = counter(&path);
        let held = keyspace.read(key.path(), key.kind(), |object| match object {
            Object::PnCounter(counter) => counter.value(),
            _ => panic!("it is a counter"),
        });
        assert_eq!(held, Some(i128::from(total)), "{path}");
    }
}
