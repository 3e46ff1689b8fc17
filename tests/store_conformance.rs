//! The conformance body of the bucket port, run against every bucket; and that a bucket which does not conform is refused.

use std::{thread, time::Duration};

use bytes::Bytes;
use futures_lite::future::block_on;
use replica::{
    ErrorKind, Replica, blocking,
    ports::{Answer, Bucket, BucketError, Created, Page},
};
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

/// What a bucket does that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// It knows no condition on creates, as older object stores do.
    Overwrites,
    /// It says that there is an object, and overwrites it.
    OverwritesAndDenies,
    /// It says that it has created what it has not.
    ClaimsToCreate,
    /// Its lists are those of before.
    ListsLate,
    /// It gives back something else than was written.
    GivesOther,
    /// It loses what was written.
    Loses,
}

/// A bucket in memory with a flaw.
#[derive(Debug)]
struct Flawed(MemoryBucket, Flaw);

impl Bucket for Flawed {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move {
            let was_there = self.0.get(key).await?.is_some();
            match self.1 {
                Flaw::Overwrites | Flaw::OverwritesAndDenies => {
                    self.0.delete(key).await?;
                    self.0.create(key, body).await?;
                }
                Flaw::Loses => {}
                _ => drop(self.0.create(key, body).await?),
            }
            let denies = was_there && !matches!(self.1, Flaw::Overwrites | Flaw::ClaimsToCreate);
            Ok(if denies || self.1 == Flaw::Loses { Created::Exists } else { Created::New })
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            let body = self.0.get(key).await?;
            Ok(if self.1 == Flaw::GivesOther { body.map(|body| body.slice(1..)) } else { body })
        })
    }

    fn get_range<'a>(&'a self, key: &'a str, start: u64, end: u64) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        self.0.get_range(key, start, end)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        if self.1 == Flaw::ListsLate {
            return Box::pin(async { Ok(Page::default()) });
        }
        self.0.list(prefix, after, limit)
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        self.0.folders(prefix)
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        self.0.delete(key)
    }
}

/// A log on such a bucket would lose what it holds sooner or later, so no replica is opened on it.
#[test]
fn a_bucket_that_cannot_hold_a_log_is_refused_when_a_replica_is_opened() {
    let (overwrites, other) = ("it overwrites objects", "it does not give back what was written");
    for (flaw, says) in [
        (Flaw::Overwrites, overwrites),
        (Flaw::OverwritesAndDenies, overwrites),
        (Flaw::ClaimsToCreate, overwrites),
        (Flaw::ListsLate, "its lists leave out what was just written"),
        (Flaw::GivesOther, other),
        (Flaw::Loses, other),
    ] {
        let bucket = MemoryBucket::new();
        let builder = Replica::builder("eu-west-1", Flawed(bucket.clone(), flaw));
        let refused = blocking::Replica::open(builder).expect_err("it cannot hold a log");
        assert_eq!(refused.kind(), ErrorKind::Store, "{flaw:?}: {refused}");
        let message = refused.to_string();
        assert!(message.contains("the bucket cannot hold a log") && message.contains(says), "{flaw:?}: {message}");
        let left = block_on(bucket.list("", None, 10)).unwrap();
        assert_eq!(left, Page::default(), "{flaw:?}: the probe takes away what it has written");
    }
    // The same bucket without a flaw will do.
    blocking::Replica::open(Replica::builder("eu-west-1", MemoryBucket::new())).unwrap();
}
