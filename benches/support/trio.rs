//! Three replicas that hold the corpus, one of which writes deltas that another one reads.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use futures_lite::future::block_on;
use replica::{
    Replica,
    keyspace::{part_of, stripe_of},
    log::{BucketKey, Keys, decode_manifest},
    ports::Bucket,
};
use store_object::MemoryBucket;

use crate::{
    clock::timed,
    corpus::{self, REPLICAS, ROUNDS},
    engine::Hosted,
};

/// Three replicas, of which the first reads and the second writes.
#[derive(Debug)]
pub struct Trio {
    /// Of the first.
    pub reader: Hosted,
    /// Of the second.
    pub writer: Hosted,
    buckets: [MemoryBucket; 3],
    n: usize,
}

impl Trio {
    /// The first `n` objects of the corpus, in all three. The third has gone since.
    #[must_use]
    pub fn new(n: usize) -> Self {
        const SEGMENT: usize = 20_000;
        let buckets = [(); 3].map(|()| MemoryBucket::new());
        let mut hosts = [0, 1, 2].map(|own| open(&buckets, own));
        for first in (0..n).step_by(SEGMENT) {
            for number in first..n.min(first + SEGMENT) {
                let path = corpus::path(number);
                corpus::first(number).iter().for_each(|act| act.on(&hosts[number % 3].replica, &path));
            }
            hosts.iter_mut().for_each(Hosted::flush);
            hosts[..2].iter().for_each(Hosted::catch_up);
        }
        let [reader, writer, _gone] = hosts;
        Self { reader, writer, buckets, n }
    }

    /// The writer changes the objects of these numbers, as the corpus does in this round, and writes one segment.
    pub fn change(&mut self, numbers: impl Iterator<Item = usize>, round: usize) {
        for number in numbers {
            corpus::change(number, round).on(&self.writer.replica, &corpus::path(number));
        }
        self.writer.flush();
    }

    /// The reader gets what has been written, decodes and merges it. Returns how long that took.
    #[must_use]
    pub fn read(&self) -> Duration {
        timed(|| self.reader.catch_up()).0
    }

    /// The reader and the writer read the same at every path.
    ///
    /// # Panics
    ///
    /// When they do not.
    pub fn check(&self) {
        check_same(&self.reader.replica, &self.writer.replica, self.n);
    }

    /// The last segment of the writer's log, and its key.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn last_segment(&self) -> (String, Bytes) {
        last_of_log(&self.buckets[1])
    }

    /// The writer changes one object in each part of its snapshot and closes, and what it has changed is taken out of its log: the
    /// reader has to merge the snapshot to go on. Returns how many parts that has, and how long it takes.
    ///
    /// # Panics
    ///
    /// When the two differ then.
    #[must_use]
    pub fn merge_snapshot(self) -> (usize, Duration) {
        let Self { reader, writer, buckets, n } = self;
        writer.close();
        let mut writer = open(&buckets, 1);
        reader.catch_up();
        let parts = parts_of_newest(&buckets[1]);
        let mut untouched: BTreeSet<usize> = (0..parts).collect();
        for number in 0..n {
            let path = corpus::path(number);
            if untouched.remove(&part_of(stripe_of(&path), parts)) {
                corpus::change(number, ROUNDS + 1).on(&writer.replica, &path);
            }
        }
        assert!(untouched.is_empty(), "each part has an object");
        writer.flush();
        let (gone, _) = last_of_log(&buckets[1]);
        let written = writer.replica.clone();
        writer.close();
        block_on(buckets[1].delete(&gone)).expect("it is deleted");
        let (took, ()) = timed(|| reader.catch_up());
        check_same(&reader.replica, &written, n);
        (parts, took)
    }
}

fn open(buckets: &[MemoryBucket; 3], own: usize) -> Hosted {
    let peers = buckets.iter().enumerate().filter(|(peer, _)| *peer != own).map(|(_, bucket)| bucket.clone());
    Hosted::open_in(REPLICAS[own], buckets[own].clone(), peers)
}

fn check_same(left: &Replica, right: &Replica, n: usize) {
    for number in 0..n {
        let path = corpus::path(number);
        let [left, right] = [left, right].map(|replica| replica.get(&path).expect("a path"));
        assert!(!left.is_empty(), "something is at {path}");
        assert_eq!(left, right, "{path}");
    }
    assert_eq!([left.status().objects, right.status().objects], [n, n], "objects");
}

/// The keys of a bucket, in ascending order.
fn keys(bucket: &MemoryBucket) -> Vec<BucketKey> {
    let page = block_on(bucket.list("", None, usize::MAX)).expect("a list");
    page.objects.iter().filter_map(|stored| BucketKey::parse(&stored.key)).collect()
}

fn last_of_log(bucket: &MemoryBucket) -> (String, Bytes) {
    let last = keys(bucket).into_iter().rfind(|key| matches!(key, BucketKey::Log { .. })).expect("a log");
    let key = Keys::new("").expect("a root").key(&last);
    let object = block_on(bucket.get(&key)).expect("a bucket in memory").expect("it is there");
    (key, object)
}

fn parts_of_newest(bucket: &MemoryBucket) -> usize {
    let newest = keys(bucket).into_iter().rfind(|key| matches!(key, BucketKey::Manifest { .. })).expect("a snapshot");
    let key = Keys::new("").expect("a root").key(&newest);
    let object = block_on(bucket.get(&key)).expect("a bucket in memory").expect("it is there");
    decode_manifest(&object, &key, None).expect("a manifest").manifest().parts.len()
}
