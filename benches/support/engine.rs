//! Whole replicas on buckets in memory, and keyspaces of many small objects.

use core::fmt;
use std::{pin::Pin, sync::Arc, time::Duration};

use crdt_core::{DotSource, Kind, ReplicaId, Timestamp};
use futures_lite::{future, future::block_on};
use replica::{
    Error, Replica,
    handles::PnCounter,
    key::ObjectKey,
    keyspace::{Applied, Change, Keyspace, Origin},
    ports::{Answer, Bucket, Clock, Entropy},
};
use store_object::MemoryBucket;

use crate::{clock::timed, corpus::path};

/// As many shards as a replica has by default.
const SHARDS: usize = 64;

/// A clock that stands still: nothing happens in the background but what is asked for.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> u64 {
        1_000_000_000_000
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> Answer<'static, ()> {
        Box::pin(future::pending())
    }
}

/// Bytes that differ from replica to replica and not from run to run.
#[derive(Debug)]
struct Named(String);

impl Entropy for Named {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(self.0.bytes().cycle()).for_each(|(to, from)| *to = from);
    }
}

/// A replica that is driven by hand.
pub struct Hosted {
    /// To read and to write.
    pub replica: Replica,
    run: Pin<Box<dyn Future<Output = Error>>>,
}

impl Hosted {
    /// Opens a replica in `own`, which reads from `peer`.
    #[must_use]
    pub fn open(name: &str, own: &MemoryBucket, peer: &MemoryBucket) -> Self {
        Self::open_in(name, own.clone(), [peer.clone()])
    }

    /// Opens a replica in `own`, which reads from `peers`.
    ///
    /// # Panics
    ///
    /// When it cannot be opened.
    #[must_use]
    pub fn open_in<B: Bucket + 'static>(name: &str, own: B, peers: impl IntoIterator<Item = B>) -> Self {
        let builder = Replica::builder_with(name, own, Arc::new(Still), Arc::new(Named(name.to_owned())));
        let regions = peers.into_iter().enumerate();
        let builder = regions.fold(builder, |builder, (number, peer)| builder.peer(&format!("peer {number}"), peer));
        let replica = block_on(builder.open()).expect("it opens");
        let driven = replica.clone();
        Self { replica, run: Box::pin(async move { driven.run().await }) }
    }

    /// Closes it.
    pub fn close(self) {
        let Self { replica, run } = self;
        let (_ended, closed) = block_on(future::zip(run, replica.close()));
        closed.expect("it is closed");
    }

    /// Reads what the others have written: gets it from their buckets, decodes and merges it.
    ///
    /// # Panics
    ///
    /// When something of it cannot be read.
    pub fn catch_up(&self) {
        assert!(block_on(self.replica.catch_up()), "everything was read");
    }

    /// Writes what waits to the bucket.
    pub fn flush(&mut self) {
        let Self { replica, run } = self;
        block_on(future::or(async { Err(run.await) }, replica.flush())).expect("it is written");
    }
}

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hosted").field(&self.replica).finish()
    }
}

/// A replica that writes, and one that reads its log.
#[derive(Debug)]
pub struct Pair {
    reader: Hosted,
    writer: Hosted,
}

impl Pair {
    /// Both hold a counter at each of the first `n` paths, on which the writer has counted.
    #[must_use]
    pub fn new(n: usize) -> Self {
        const SEGMENT: usize = 50_000;
        let [ann, bob] = [MemoryBucket::new(), MemoryBucket::new()];
        let mut pair = Self { reader: Hosted::open("ann", &ann, &bob), writer: Hosted::open("bob", &bob, &ann) };
        for first in (0..n).step_by(SEGMENT) {
            pair.write(first..n.min(first + SEGMENT));
            let _ = pair.read();
        }
        pair
    }

    /// The writer counts at the paths of these numbers, and writes one segment.
    pub fn write(&mut self, numbers: impl Iterator<Item = usize>) {
        for number in numbers {
            let _ = counter(&self.writer.replica, &path(number)).add(1).expect("it is taken");
        }
        self.writer.flush();
    }

    /// The reader applies what has been written: it gets it from the bucket, decodes and merges it. Returns how long that
    /// took.
    #[must_use]
    pub fn read(&self) -> Duration {
        timed(|| self.reader.catch_up()).0
    }

    /// Both read the same at the paths of these numbers.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn check(&self, numbers: impl Iterator<Item = usize>) {
        for path in numbers.map(path) {
            let [read, written] = [&self.reader, &self.writer].map(|host| counter(&host.replica, &path).value());
            assert_eq!(read, written, "{path}");
        }
    }
}

/// The numbers of so many paths of the first `n`, other ones in each round, and in no order of the paths.
pub fn sample(n: usize, rows: usize, round: usize) -> impl Iterator<Item = usize> + Clone {
    (0..rows).map(move |row| (row * (n / rows) + round * 7_919) % n)
}

/// The counter at `path`.
///
/// # Panics
///
/// When it is not a path.
#[must_use]
pub fn counter(replica: &Replica, path: &str) -> PnCounter {
    replica.pn_counter(path).expect("a path")
}

/// A keyspace with a counter at each of the first `n` paths; each was counted at by as many replicas. It owes nothing to
/// its log.
#[must_use]
pub fn counters(n: usize, tallies: usize) -> Keyspace {
    let ids: Vec<_> = (0..tallies).map(|number| ReplicaId::named(&format!("replica {number}"))).collect();
    let keyspace = keyspace(n, ids[0], Kind::PnCounter, |_| vec![Change::Count(1)]);
    let mut applied = Applied::default();
    for id in &ids[1..] {
        let source = DotSource::new(*id, 0);
        let _seal = source.cut();
        let peer = Keyspace::new(source, 1, SHARDS);
        for first in (0..n).step_by(10_000) {
            for number in first..n.min(first + 10_000) {
                peer.change(&key(number, Kind::PnCounter), &Change::Count(1)).expect("it is taken");
            }
            let cut = peer.cut();
            for (key, changes) in cut.rows {
                let merged =
                    keyspace.merge_row(&mut applied, (key.path(), key.kind()), &Origin::Snapshot, |object, seen, _| {
                        object.merge_changes(seen, &changes).expect("counters");
                    });
                merged.expect("a path");
            }
            applied.frontier.advance(cut.dot);
        }
    }
    keyspace
}

/// A keyspace with a register of 16 bytes at each of the first `n` paths.
#[must_use]
pub fn registers(n: usize) -> Keyspace {
    let write = |number: usize| vec![Change::Write([number as u8; 16].into(), Timestamp::from_millis(1))];
    keyspace(n, ReplicaId::named("ann"), Kind::LwwRegister, write)
}

/// A keyspace with a set of as many elements of 12 bytes at each of the first `n` paths.
#[must_use]
pub fn sets(n: usize, elements: usize) -> Keyspace {
    let add = |element: usize| Change::Add(format!("element {element:04}").into_bytes().into());
    keyspace(n, ReplicaId::named("ann"), Kind::OrSet, |_| (0..elements).map(add).collect())
}

fn keyspace(n: usize, replica: ReplicaId, kind: Kind, changes: impl Fn(usize) -> Vec<Change>) -> Keyspace {
    let source = DotSource::new(replica, 0);
    let _seal = source.cut();
    let keyspace = Keyspace::new(source, 1, SHARDS);
    for number in 0..n {
        let key = key(number, kind);
        for change in changes(number) {
            keyspace.change(&key, &change).expect("it is taken");
        }
        if number % 1_000 == 999 {
            let _published = keyspace.cut();
        }
    }
    let _published = keyspace.cut();
    assert_eq!(keyspace.len(), n, "objects");
    keyspace
}

fn key(number: usize, kind: Kind) -> ObjectKey {
    ObjectKey::new(path(number), kind).expect("a path")
}
