//! A crash at every await of a small scenario.

use std::time::Duration;

use bytes::Bytes;
use replica::ports::{Bucket, BucketError, Created, Outcome};
use sim::{Executor, Fault, Faults, Region, SimBucket, Stop};

const SLOTS: u32 = 4;
const HOUR: Duration = Duration::from_secs(3_600);

/// A writer that fills the slots of a log in order, each with its own number, and takes up where it finds the log.
async fn write_all(bucket: SimBucket) {
    for slot in 0..SLOTS {
        let (key, body) = (format!("log/{slot:08x}"), Bytes::from(slot.to_string()));
        loop {
            match bucket.create(&key, body.clone()).await {
                Ok(Created::New) => break,
                Ok(Created::Exists) => match bucket.get(&key).await {
                    Ok(Some(found)) if found == body => break,
                    Ok(Some(found)) => panic!("{key} holds {found:?}"),
                    Ok(None) | Err(_) => {}
                },
                Err(BucketError { outcome: Outcome::Refused, .. }) => panic!("refused"),
                Err(_) => {}
            }
        }
    }
}

fn start(seed: u64, faults: Faults) -> (Executor, Region, SimBucket) {
    let mut executor = Executor::new(seed);
    let region = executor.region("eu");
    let bucket = SimBucket::new(executor.world(), "eu", faults);
    executor.spawn(region, write_all(bucket.clone()));
    (executor, region, bucket)
}

#[test]
fn a_log_is_whole_whenever_its_writer_is_crashed_and_started_again() {
    let lossy = Faults::none().with(Fault::AnswerLost, 200_000).with(Fault::Failed, 200_000).with(Fault::Late, 50_000);
    for (seed, faults) in [(1, Faults::none()), (2, lossy.clone()), (3, lossy)] {
        let (mut executor, region, _) = start(seed, faults.clone());
        assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
        let polls = executor.polls(region);
        assert!(polls > u64::from(SLOTS), "{polls}");
        let mut filled = std::collections::BTreeSet::new();
        for crash in 0..=polls {
            let (mut executor, region, bucket) = start(seed, faults.clone());
            executor.crash_after(region, crash);
            assert_eq!(executor.run_until(HOUR), Stop::Crashed(region), "crash={crash}");
            assert_eq!(executor.polls(region), crash);
            filled.insert(bucket.keys().len());
            let again = executor.spawn(region, write_all(bucket.clone()));
            assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 }, "crash={crash}");
            assert!(again.is_over());
            for slot in 0..SLOTS {
                let found = bucket.peek(&format!("log/{slot:08x}"));
                assert_eq!(found, Some(Bytes::from(slot.to_string())), "crash={crash}");
            }
        }
        assert_eq!(filled.len(), SLOTS as usize + 1, "crashes came at every length of the log");
    }
}

#[test]
fn a_crash_drops_what_waits_and_what_was_only_spawned() {
    struct Dropped(std::sync::Arc<std::sync::atomic::AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let dropped = std::sync::Arc::default();
    let mut executor = Executor::new(1);
    let (eu, us) = (executor.region("eu"), executor.region("us"));
    let wait = |kept: Dropped| async move {
        std::future::pending::<()>().await;
        drop(kept);
    };
    let first = executor.spawn(eu, wait(Dropped(std::sync::Arc::clone(&dropped))));
    let other = executor.spawn(us, wait(Dropped(std::sync::Arc::clone(&dropped))));
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 2 });
    let second = executor.spawn(eu, wait(Dropped(std::sync::Arc::clone(&dropped))));
    executor.crash(eu);
    assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 2);
    assert!(first.is_over() && second.is_over() && !other.is_over());
    assert_eq!(executor.run(HOUR, first), Ok(None));
    drop(executor);
    assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 3, "the executor drops the rest");
}
