//! Many threads at once, beside a plain map.
//!
//! Goal: local operations from any number of threads, with cuts and snapshots under way all the time, have the outcome that
//! one lock around one map would give. Method: each thread has elements and counters of its own, and all share some; a
//! model of each thread's share tells what must be there. A second replica must end up with the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::Duration,
};

use replica::{Replica, Settings, blocking};
use sim::Random;
use store_object::MemoryBucket;

const THREADS: u64 = 8;
const ROUNDS: u64 = 20_000;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(1);
    settings.poll_min = Duration::from_millis(5);
    settings.poll_max = Duration::from_millis(20);
    settings.snapshot_interval = Duration::from_millis(10);
    settings.ack_interval = Duration::from_millis(10);
    settings.retention = Duration::from_millis(20);
    settings.shards = 8;
    settings
}

/// What one thread's own objects must hold.
#[derive(Default)]
struct Model {
    counts: BTreeMap<u64, i128>,
    sets: BTreeMap<u64, BTreeSet<u64>>,
    shared: i128,
}

fn work(replica: &blocking::Replica, thread: u64) -> Model {
    let mut random = Random::named(thread, "threads");
    let mut model = Model::default();
    for _ in 0..ROUNDS {
        let object = random.below(20);
        let (count, set) = (format!("own/{thread}/{object}/count"), format!("own/{thread}/{object}/set"));
        match random.below(8) {
            0..=2 => {
                let amount = random.below(9) as i64 - 4;
                let written = replica.pn_counter(&count).expect("it goes well").add(amount).expect("it goes well");
                let expected = model.counts.entry(object).or_default();
                *expected += i128::from(amount);
                assert_eq!(written.value(), *expected);
            }
            3 => {
                let _written = replica.delete(&count).expect("it goes well");
                model.counts.insert(object, 0);
            }
            4 => {
                let element = random.below(30);
                let _written = replica.or_set::<u64>(&set).expect("it goes well").add(&element).expect("it goes well");
                model.sets.entry(object).or_default().insert(element);
            }
            5 => {
                let element = random.below(30);
                let _written =
                    replica.or_set::<u64>(&set).expect("it goes well").remove(&element).expect("it goes well");
                model.sets.entry(object).or_default().remove(&element);
            }
            6 => {
                let batch = replica.batch(|batch| {
                    batch.pn_counter("shared/a").add(1);
                    batch.pn_counter(&format!("shared/{}", thread % 3)).add(1);
                    Ok(())
                });
                let _written = batch.expect("it goes well");
                model.shared += 2;
            }
            _ => {
                let expected = model.counts.get(&object).copied().unwrap_or(0);
                assert_eq!(replica.pn_counter(&count).expect("it goes well").value(), expected);
                let there = replica.or_set::<u64>(&set).expect("it goes well").elements().expect("it goes well");
                assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), *model.sets.entry(object).or_default());
            }
        }
    }
    model
}

fn check(replica: &Replica, models: &[Model]) {
    for (thread, model) in models.iter().enumerate() {
        for (object, expected) in &model.counts {
            assert_eq!(
                replica.pn_counter(&format!("own/{thread}/{object}/count")).expect("it goes well").value(),
                *expected
            );
        }
        for (object, expected) in &model.sets {
            let there = replica
                .or_set::<u64>(&format!("own/{thread}/{object}/set"))
                .expect("it goes well")
                .elements()
                .expect("it goes well");
            assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), *expected, "{thread}/{object}");
        }
    }
    let shared: i128 = ["a", "0", "1", "2"]
        .iter()
        .map(|path| replica.pn_counter(&format!("shared/{path}")).expect("it goes well").value())
        .sum();
    assert_eq!(shared, models.iter().map(|model| model.shared).sum());
}

#[test]
fn many_threads_do_what_one_map_would() {
    let (ours, theirs) = (MemoryBucket::new(), MemoryBucket::new());
    let here = Replica::builder("here", ours.clone()).peer("there", theirs.clone()).settings(settings());
    let here = Arc::new(blocking::Replica::open(here).expect("it goes well"));
    let there = Replica::builder("there", theirs.clone()).peer("here", ours.clone()).settings(settings());
    let there = blocking::Replica::open(there).expect("it goes well");
    let models: Vec<Model> = thread::scope(|scope| {
        let start = |number| {
            let here = Arc::clone(&here);
            scope.spawn(move || work(&here, number))
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("it goes well")).collect()
    });
    check(&here, &models);
    here.flush().expect("it goes well");
    assert!(there.wait_for(&here.token(), Duration::from_secs(60)).expect("it goes well"));
    check(&there, &models);
    let status = here.status();
    assert_eq!((status.ended, status.alarms), (None, vec![]));
    assert!(!status.snapshots.is_empty(), "none was taken meanwhile");

    // And once more from the bucket alone.
    drop((here, there));
    let again = Replica::builder("here", ours).peer("there", theirs).settings(settings());
    check(&blocking::Replica::open(again).expect("it goes well"), &models);
}
