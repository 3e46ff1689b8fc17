//! The conformance body of the bucket port, run against every bucket.

use std::{thread, time::Duration};

use futures_lite::future::block_on;
use replica::ports::{Bucket, Created};
use sim::{Executor, Faults, SimBucket};
use store_object::{LocalBucket, MemoryBucket};
use tests::conformance::{CREATORS, creators_body, demand_one_winner, everything};

#[test]
fn memory_conforms() {
    block_on(everything(&MemoryBucket::new()));
}

#[test]
fn a_local_directory_conforms() {
    let directory = tempfile::tempdir().unwrap();
    block_on(everything(&LocalBucket::open(directory.path()).unwrap()));
}

#[test]
fn of_64_threads_one_creates_in_memory() {
    let bucket = MemoryBucket::new();
    race(&vec![bucket; CREATORS]);
}

/// Each thread has a handle of its own, as processes have.
#[test]
fn of_64_threads_one_creates_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let handles: Vec<_> = (0..CREATORS).map(|_| LocalBucket::open(directory.path()).unwrap()).collect();
    race(&handles);
}

/// One creator for each handle, each in its own thread, several times over.
fn race<B: Bucket>(handles: &[B]) {
    for round in 0..8 {
        let key = format!("race/{}/{round}", round / 4);
        let answers: Vec<Created> = thread::scope(|scope| {
            let creators: Vec<_> = handles
                .iter()
                .enumerate()
                .map(|(creator, bucket)| {
                    let key = &key;
                    scope.spawn(move || block_on(bucket.create(key, creators_body(creator))).expect("an answer"))
                })
                .collect();
            creators.into_iter().map(|creator| creator.join().expect("a creator that ended")).collect()
        });
        block_on(demand_one_winner(&handles[0], &key, answers));
    }
}

/// The simulator's bucket is held to what it stands for.
#[test]
fn the_simulated_bucket_conforms() {
    let mut executor = Executor::new(1);
    let bucket = SimBucket::new(executor.world(), "b", Faults::none());
    executor.run(Duration::MAX, async move { everything(&bucket).await }).unwrap();
}
