//! The executor: time, order, and repetition.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use replica::ports::{Bucket, Clock, Entropy};
use sim::{Executor, Fault, Faults, SimBucket, SimClock, SimEntropy, Stop, Trace};

const HOUR: Duration = Duration::from_secs(3_600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn time_passes_only_when_nothing_is_ready() {
    let mut executor = Executor::new(1);
    let world = executor.world().clone();
    let slept = executor.run(HOUR, async move {
        let long = world.sleep(seconds(5));
        world.sleep(seconds(2)).await;
        assert_eq!(world.now(), seconds(2));
        long.await;
        world.now()
    });
    assert_eq!(slept, Ok(seconds(5)));
}

#[test]
fn run_until_stops_at_the_time_and_goes_on() {
    let mut executor = Executor::new(1);
    let region = executor.region("eu");
    let world = executor.world().clone();
    let join = executor.spawn(region, async move { world.sleep(seconds(10)).await });
    assert_eq!(executor.run_until(seconds(4)), Stop::Reached);
    assert_eq!(executor.world().now(), seconds(4));
    assert!(!join.is_over());
    assert_eq!(executor.run_until(seconds(20)), Stop::Idle { waiting: 0 });
    assert!(join.is_over());
    assert_eq!(executor.world().now(), seconds(10));
}

#[test]
fn tasks_that_wait_for_each_other_are_found() {
    let mut executor = Executor::new(1);
    assert_eq!(executor.run(HOUR, std::future::pending::<()>()), Err(Stop::Idle { waiting: 1 }));
}

#[test]
fn tasks_that_never_let_time_pass_are_found() {
    let mut executor = Executor::new(1);
    let endless = std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        std::task::Poll::<()>::Pending
    });
    assert_eq!(executor.run(HOUR, endless), Err(Stop::Spinning));
}

#[test]
fn a_dropped_timer_wakes_nobody() {
    let mut executor = Executor::new(1);
    let world = executor.world().clone();
    let region = executor.region("eu");
    let join = executor.spawn(region, async move {
        let mut long = Box::pin(world.sleep(seconds(100)));
        futures_lite::future::poll_once(&mut long).await;
        drop(long);
        world.sleep(seconds(1)).await;
    });
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
    assert!(join.is_over());
    assert_eq!(executor.world().now(), seconds(1), "nothing happens at 100 s");
}

#[test]
fn actions_happen_though_their_region_is_gone() {
    let mut executor = Executor::new(1);
    let region = executor.region("eu");
    let world = executor.world().clone();
    let happened = Arc::new(());
    let action = Arc::clone(&happened);
    executor.spawn(region, async move {
        world.after(seconds(5), move || drop(action));
        std::future::pending::<()>().await;
    });
    assert_eq!(executor.run_until(seconds(1)), Stop::Reached);
    executor.crash(region);
    assert_eq!(Arc::strong_count(&happened), 2);
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
    assert_eq!(Arc::strong_count(&happened), 1);
}

#[test]
fn a_clock_can_be_wrong_and_run_wrong() {
    let mut executor = Executor::new(1);
    let world = executor.world().clone();
    let clock = SimClock::new(&world);
    let beginning = clock.wall_ms();
    clock.set_offset_ms(-5_000);
    clock.set_drift_ppm(100_000);
    let (asleep, own) = (clock.clone(), world.clone());
    let woken = executor.run(HOUR, async move {
        asleep.sleep(seconds(11)).await;
        own.now()
    });
    let woken = woken.unwrap();
    assert!(
        (seconds(10)..seconds(10) + Duration::from_micros(1)).contains(&woken),
        "a fast clock waits less: {woken:?}"
    );
    assert!(clock.elapsed() >= seconds(11), "but never less than was asked of it");
    assert_eq!(clock.wall_ms(), beginning + 11_000 - 5_000);
    clock.set_drift_ppm(0);
    assert!(clock.elapsed() >= seconds(11), "it never goes back");
    assert_eq!(executor.run_until(seconds(20)), Stop::Idle { waiting: 0 });
}

#[test]
fn entropy_is_the_same_for_a_seed_and_a_name_only() {
    let bytes = |seed, name| {
        let mut bytes = [0; 20];
        SimEntropy::new(Executor::new(seed).world(), name).fill(&mut bytes);
        bytes
    };
    assert_eq!(bytes(1, "eu"), bytes(1, "eu"));
    assert_ne!(bytes(1, "eu"), bytes(2, "eu"));
    assert_ne!(bytes(1, "eu"), bytes(1, "us"));
}

/// Three regions that write and read each other's buckets, with every fault there is.
fn three_regions(seed: u64) -> (Trace, Vec<Vec<String>>) {
    let mut executor = Executor::new(seed);
    let faults = Fault::ALL.into_iter().fold(Faults::none(), |faults, fault| faults.with(fault, 30_000));
    let names = ["eu", "us", "ap"];
    let buckets: Vec<_> = names.iter().map(|name| SimBucket::new(executor.world(), name, faults.clone())).collect();
    for name in names {
        let region = executor.region(name);
        let world = executor.world().clone();
        let links: Vec<_> = names
            .iter()
            .zip(&buckets)
            .map(|(of, bucket)| bucket.link(&format!("{name}-{of}"), faults.clone()))
            .collect();
        executor.spawn(region, async move {
            for slot in 0..50 {
                for (at, link) in links.iter().enumerate() {
                    let key = format!("log/{slot}");
                    let _ = link.create(&key, Bytes::from(format!("{at}"))).await;
                    let _ = link.get(&key).await;
                    if slot % 3 == 0 {
                        let _ = link.delete(&key).await;
                    }
                    let _ = link.list("log/", None, 5).await;
                }
                world.sleep(Duration::from_millis(10)).await;
            }
        });
    }
    buckets[0].unreachable(seconds(1)..seconds(3));
    assert_eq!(executor.run_until(HOUR), Stop::Idle { waiting: 0 });
    (executor.world().trace(), buckets.iter().map(SimBucket::keys).collect())
}

#[test]
fn one_seed_is_one_run() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let (trace, keys) = three_regions(seed);
        assert!(trace.events > 3_000, "{trace:?}");
        assert_eq!((trace, keys), three_regions(seed), "seed {seed}");
        hashes.insert(trace.hash);
    }
    assert_eq!(hashes.len(), 20, "other seeds are other runs");
}
