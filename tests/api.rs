//! What an embedder calls: every call does what its documentation says, bad input included.
//!
//! Goal: a service that embeds a replica finds each call as promised, and each refusal of the kind that tells it what to do.
//! Method: replicas in memory buckets on the tokio runtime with its time paused, so that a second takes none; several
//! regions, and whatever needs a bucket that stalls or fails, in the simulator.

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use replica::{
    Builder, Error, ErrorKind, Replica,
    ports::{Answer, Bucket, BucketError, Created, Page},
};
use store_object::MemoryBucket;

/// More than anything here may take. It is virtual.
const LONG: Duration = Duration::from_secs(600);

fn builder(bucket: &MemoryBucket) -> Builder {
    Replica::builder("eu-west-1", bucket.clone())
}

async fn open() -> Replica {
    builder(&MemoryBucket::new()).open().await.expect("it opens")
}

#[track_caller]
fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("it is refused").kind()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("it does not wait for ever")
}

/// A bucket that tells whether anybody still holds it.
fn watched() -> (Arc<MemoryBucket>, Weak<MemoryBucket>) {
    let bucket = Arc::new(MemoryBucket::new());
    let weak = Arc::downgrade(&bucket);
    (bucket, weak)
}

async fn gone(bucket: &Weak<MemoryBucket>) {
    in_time(async {
        while bucket.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

// --- Opening, running, ending.

#[tokio::test(start_paused = true)]
async fn a_replica_flushes_and_reads_its_peers_by_itself() {
    let [ours, theirs] = [MemoryBucket::new(), MemoryBucket::new()];
    let ann = Replica::builder("ann", ours.clone()).peer("b", theirs.clone()).open().await.expect("it opens");
    let bob = Replica::builder("bob", theirs).peer("a", ours).open().await.expect("it opens");
    ann.pn_counter("likes").expect("a path").add(2).expect("it counts").durable().await.expect("it is flushed");
    in_time(bob.wait_for(&ann.token())).await.expect("it arrives");
    assert_eq!(bob.pn_counter("likes").expect("a path").value(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_background_ends_with_the_last_clone_or_handle() {
    let (bucket, weak) = watched();
    let replica = Replica::builder("eu-west-1", bucket).open().await.expect("it opens");
    let likes = replica.clone().pn_counter("likes").expect("a path");
    let written = likes.add(1).expect("it counts");
    drop(replica);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(weak.strong_count(), 1, "a handle keeps it");
    written.durable().await.expect("and it goes on");
    drop(likes);
    gone(&weak).await;
}

#[test]
fn a_replica_whose_runtime_has_ended_refuses_to_write() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let likes = runtime.block_on(open()).pn_counter("likes").expect("a path");
    drop(runtime);
    assert_eq!(kind(likes.add(1)), ErrorKind::Closed);
}

#[test]
fn without_a_runtime_nothing_is_opened_and_nobody_is_fenced() {
    let bucket = MemoryBucket::new();
    let error = futures_lite::future::block_on(builder(&bucket).open()).expect_err("there is no runtime");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("replica::blocking"), "{error}");
    assert_eq!(futures_lite::future::block_on(bucket.list("", None, 9)).expect("a list").objects, []);
}

#[tokio::test(start_paused = true)]
async fn a_manual_replica_does_nothing_until_it_is_run() {
    let replica = builder(&MemoryBucket::new()).manual().open().await.expect("it opens");
    let written = replica.pn_counter("likes").expect("a path").add(1).expect("it counts");
    let early = tokio::time::timeout(LONG, written.clone().durable()).await;
    assert!(early.is_err(), "nobody flushes");
    let background = replica.clone();
    let running = tokio::spawn(async move { background.run().await });
    in_time(written.durable()).await.expect("now somebody does");
    // Who runs it once more waits with the first.
    let again = replica.clone();
    let again = tokio::spawn(async move { again.run().await });
    in_time(replica.close()).await.expect("it closes");
    assert_eq!(in_time(running).await.expect("it ends").kind(), ErrorKind::Closed);
    assert_eq!(in_time(again).await.expect("it ends").kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_no_longer_run_refuses_to_write() {
    let replica = builder(&MemoryBucket::new()).manual().open().await.expect("it opens");
    let likes = replica.pn_counter("likes").expect("a path");
    let ran = tokio::time::timeout(Duration::from_secs(3), replica.run()).await;
    assert!(ran.is_err(), "it runs for ever");
    assert_eq!(kind(likes.add(1)), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn closing_flushes_refuses_and_ends() {
    let (bucket, weak) = watched();
    let replica = Replica::builder("eu-west-1", bucket.clone()).open().await.expect("it opens");
    let likes = replica.pn_counter("likes").expect("a path");
    let written = likes.add(7).expect("it counts");
    in_time(replica.close()).await.expect("it closes");
    assert!(in_time(written.durable()).await.is_ok(), "what waited is durable");
    assert_eq!(kind(likes.add(1)), ErrorKind::Closed);
    assert_eq!(kind(replica.or_set("s").expect("a path").add("x")), ErrorKind::Closed);
    assert_eq!(kind(replica.delete("likes")), ErrorKind::Closed);
    assert_eq!(kind(replica.batch(|_| Ok(()))), ErrorKind::Closed);
    assert_eq!(kind(in_time(replica.flush()).await), ErrorKind::Closed);
    assert_eq!(kind(in_time(replica.wait_for(&beyond(&replica))).await), ErrorKind::Closed);
    assert_eq!(likes.value(), 7, "what is there can be read");
    in_time(replica.close()).await.expect("closing twice is closing");
    let again = Replica::builder("eu-west-1", bucket).open().await.expect("it opens");
    assert_eq!(again.pn_counter("likes").expect("a path").value(), 7);
    drop((replica, likes, again));
    gone(&weak).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_changes_nothing_does_not_wait_for_ever() {
    let replica = open().await;
    let set = replica.or_set("s").expect("a path");
    for nothing in [set.remove("x"), set.delete(), replica.delete("s"), replica.batch(|_| Ok(()))] {
        in_time(nothing.expect("nothing to refuse").durable()).await.expect("nothing to wait for");
    }
    in_time(replica.pn_counter("c").expect("a path").add(0).expect("it counts").durable()).await.expect("at once");
    in_time(replica.flush()).await.expect("nothing waits");
}

/// A bucket whose creates wait to be let through.
#[derive(Debug)]
struct Stalling(MemoryBucket, tokio::sync::Semaphore);

impl Bucket for Stalling {
    fn create<'a>(&'a self, key: &'a str, body: bytes::Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move {
            self.1.acquire().await.expect("it is never closed").forget();
            self.0.create(key, body).await
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<bytes::Bytes>, BucketError>> {
        self.0.get(key)
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<bytes::Bytes>, BucketError>> {
        self.0.get_range(key, start, length)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        self.0.list(prefix, after, limit)
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        self.0.folders(prefix)
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        self.0.delete(key)
    }
}

/// Symptom: with a segment on its way and nothing behind it, `flush` answered at once. Cause: it asked whether anything waited
/// to be cut. Cure: it waits for what was cut before, too. A token must not tell of that segment either.
#[tokio::test(start_paused = true)]
async fn flush_and_token_know_what_was_cut_and_is_not_durable() {
    let bucket = Arc::new(Stalling(MemoryBucket::new(), tokio::sync::Semaphore::new(1_000)));
    let replica = Replica::builder("eu-west-1", bucket.clone()).open().await.expect("it opens");
    bucket.1.forget_permits(1_000);
    let before = replica.token();
    let written = replica.pn_counter("likes").expect("a path").add(1).expect("it counts");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let next = replica.pn_counter("likes").expect("a path").add(0).expect("it counts");
    assert!(next.position() > written.position(), "it has been cut");
    assert!(tokio::time::timeout(LONG, replica.flush()).await.is_err(), "it is not in the bucket");
    assert!(tokio::time::timeout(LONG, written.clone().durable()).await.is_err());
    assert_eq!(replica.token(), before, "a crash could take it back");
    bucket.1.add_permits(1_000);
    in_time(replica.flush()).await.expect("now it is");
    in_time(written.durable()).await.expect("it is durable");
    assert_ne!(replica.token(), before);
    assert!(replica.has_applied(&replica.token()));
}

/// A token that this replica cannot have reached.
fn beyond(replica: &Replica) -> replica::Token {
    let mut frontier = replica.token().frontier().clone();
    let own = replica.name().id();
    frontier.advance(crdt_core::Dot { replica: own, position: crdt_core::Position::new(u32::MAX, 0) });
    frontier.into()
}

// --- Batches.

#[tokio::test(start_paused = true)]
async fn a_batch_is_made_whole_or_not_at_all() {
    let replica = open().await;
    let written = replica.batch(|batch| {
        batch.g_counter("g").add(2);
        batch.pn_counter("pn").add(-3);
        batch.lww_register("lww").set("a");
        batch.mv_register::<u64>("mv").set(&7);
        batch.or_set("set").add("x").add("y").remove("x");
        Ok(())
    });
    let written = written.expect("it is made");
    assert_eq!(written.position(), replica.pn_counter("c").expect("a path").add(1).expect("it counts").position());
    let all = |replica: &Replica| {
        (
            replica.g_counter("g").expect("a path").value(),
            replica.pn_counter("pn").expect("a path").value(),
            replica.lww_register::<str>("lww").expect("a path").value().expect("text"),
            replica.mv_register::<u64>("mv").expect("a path").values().expect("a number"),
            replica.or_set::<str>("set").expect("a path").elements().expect("text"),
        )
    };
    let expected = (2, -3, Some("a".to_owned()), vec![7], vec!["y".to_owned()]);
    assert_eq!(all(&replica), expected);

    let refused: [(ErrorKind, Result<_, Error>); 7] = [
        (
            ErrorKind::Invalid,
            replica.batch(|batch| {
                batch.g_counter("g").add(1);
                batch.g_counter("").add(1);
                Ok(())
            }),
        ),
        (
            ErrorKind::KindMismatch,
            replica.batch(|batch| {
                batch.g_counter("g").add(1);
                batch.or_set("pn").add("x");
                Ok(())
            }),
        ),
        (
            ErrorKind::Invalid,
            replica.batch(|batch| {
                batch.g_counter("g").add(u64::MAX - 2);
                batch.g_counter("g").add(1);
                Ok(())
            }),
        ),
        (
            ErrorKind::Invalid,
            replica.batch(|batch| {
                batch.g_counter("g").add(1);
                batch.or_set::<[u8]>("set").add(&[0; (64 << 10) + 1]);
                Ok(())
            }),
        ),
        (
            ErrorKind::Invalid,
            replica.batch(|batch| {
                batch.g_counter("g").add(1);
                Err("given up".into())
            }),
        ),
        (
            ErrorKind::Invalid,
            replica.batch(|batch| {
                for n in 0..9 {
                    batch.lww_register::<[u8]>(&format!("big/{n}")).set(&[0; 1 << 20]);
                }
                Ok(())
            }),
        ),
        (
            ErrorKind::Invalid,
            replica.batch(|batch| {
                batch.g_counter("g").add(1);
                replica.or_set::<str>("\0")?;
                Ok(())
            }),
        ),
    ];
    for (at, (expected, refused)) in refused.into_iter().enumerate() {
        assert_eq!(kind(refused), expected, "{at}");
    }
    assert_eq!(all(&replica), expected, "nothing of them was made");
    assert_eq!(replica.scan("big/").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_given_up_says_why() {
    let replica = open().await;
    let error = replica.batch(|_| Err("not today".into())).expect_err("given up");
    assert_eq!(std::error::Error::source(&error).expect("the cause").to_string(), "not today");
}
