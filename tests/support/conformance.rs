//! What every bucket must do, whatever it is made of: one body, run against each.
//!
//! The functions panic with what they saw. Each works in a folder of its own, so that one bucket can be put through all of
//! them, and through each of them once.

use core::{
    future::poll_fn,
    task::{Context, Poll},
};
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Outcome, Stored};

/// How many creators want one key.
pub const CREATORS: usize = 64;

/// All of it.
pub async fn everything(bucket: &dyn Bucket) {
    what_is_created_is_read(bucket).await;
    a_taken_key_keeps_its_object(bucket).await;
    one_of_many_creators_wins(bucket).await;
    large_and_empty_objects_are_kept(bucket).await;
    a_range_ends_where_the_object_ends(bucket).await;
    what_is_missing_is_no_error(bucket).await;
    what_is_deleted_is_gone(bucket).await;
    lists_are_complete_and_in_order(bucket).await;
    many_objects_are_listed_in_pages(bucket).await;
    folders_are_those_with_objects(bucket).await;
    every_key_of_the_alphabet_is_kept(bucket).await;
    what_is_no_key_is_refused(bucket).await;
    a_key_that_is_a_folder_harms_nothing(bucket).await;
}

async fn what_is_created_is_read(bucket: &dyn Bucket) {
    let body = Bytes::from_static(b"\0any bytes\r\n\xff");
    assert_eq!(create(bucket, "read/a", body.clone()).await, Created::New);
    assert_eq!(get(bucket, "read/a").await, Some(body));
    assert_eq!(keys(bucket, "read/").await, ["read/a"]);
}

async fn a_taken_key_keeps_its_object(bucket: &dyn Bucket) {
    assert_eq!(create(bucket, "taken/a", Bytes::from_static(b"first")).await, Created::New);
    assert_eq!(create(bucket, "taken/a", Bytes::from_static(b"second")).await, Created::Exists);
    assert_eq!(create(bucket, "taken/a", Bytes::from_static(b"first")).await, Created::Exists);
    assert_eq!(get(bucket, "taken/a").await.as_deref(), Some(&b"first"[..]));
}

/// Of many creators at once exactly one is told that the object is new, and it is its object that is there; in a folder
/// that is made by the same creates, and in one that is there.
pub async fn one_of_many_creators_wins(bucket: &dyn Bucket) {
    for round in 0..3 {
        let key = format!("winner/{}/a{round}", round / 2);
        let bodies: Vec<_> = (0..CREATORS).map(creators_body).collect();
        let creates = bodies.iter().map(|body| bucket.create(&key, body.clone())).collect();
        let answers = all(creates).await.into_iter().map(|answer| done("create", &key, answer)).collect();
        demand_one_winner(bucket, &key, answers).await;
    }
}

/// What one of many creators writes: long enough that two of them mixed would show.
#[must_use]
pub fn creators_body(creator: usize) -> Bytes {
    Bytes::from(format!("creator {creator};").repeat(1_000))
}

/// Checks the answers of creators that wrote [`creators_body`] of their own number.
pub async fn demand_one_winner(bucket: &dyn Bucket, key: &str, answers: Vec<Created>) {
    let winners: Vec<_> = (0..answers.len()).filter(|creator| answers[*creator] == Created::New).collect();
    assert_eq!(winners.len(), 1, "one creator of {key} wins, not {winners:?}");
    assert_eq!(get(bucket, key).await, Some(creators_body(winners[0])), "the object of {key} is the winner's");
}

async fn large_and_empty_objects_are_kept(bucket: &dyn Bucket) {
    let large: Bytes = (0..16_u32 << 18).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    assert_eq!(large.len(), 16 << 20);
    assert_eq!(create(bucket, "sizes/empty", Bytes::new()).await, Created::New);
    assert_eq!(create(bucket, "sizes/large", large.clone()).await, Created::New);
    assert_eq!(create(bucket, "sizes/empty", Bytes::from_static(b"x")).await, Created::Exists);
    assert_eq!(get(bucket, "sizes/empty").await, Some(Bytes::new()));
    assert!(get(bucket, "sizes/large").await == Some(large.clone()), "16 MiB are read as they were written");
    let middle = range(bucket, "sizes/large", 5_000_001, 1_000_000).await;
    assert!(middle == Some(large.slice(5_000_001..6_000_001)), "a range of them too");
    let sizes: Vec<_> = list(bucket, "sizes/", None, 10).await.iter().map(|stored| stored.size).collect();
    assert_eq!(sizes, [0, 16 << 20]);
}

async fn a_range_ends_where_the_object_ends(bucket: &dyn Bucket) {
    let body = Bytes::from_static(b"0123456789");
    create(bucket, "ranges/a", body.clone()).await;
    create(bucket, "ranges/empty", Bytes::new()).await;
    for start in [0, 1, 5, 9, 10, 11, 1 << 40, u64::MAX] {
        for length in [0, 1, 4, 5, 10, 11, 1 << 40, u64::MAX] {
            let from = usize::try_from(start.min(10)).expect("at most 10");
            let to = usize::try_from(start.saturating_add(length).min(10)).expect("at most 10");
            let asked = format!("start={start} length={length}");
            assert_eq!(range(bucket, "ranges/a", start, length).await, Some(body.slice(from..to)), "{asked}");
            assert_eq!(range(bucket, "ranges/empty", start, length).await, Some(Bytes::new()), "{asked}");
            assert_eq!(range(bucket, "ranges/none", start, length).await, None, "{asked}");
        }
    }
}

async fn what_is_missing_is_no_error(bucket: &dyn Bucket) {
    create(bucket, "missing/there/a", Bytes::from_static(b"x")).await;
    // No folder, a folder, nothing in a folder, below an object.
    for key in ["missing/no/such", "missing/there", "missing/there/b", "missing/there/a/b", "missing/there/a/b/c"] {
        assert_eq!(get(bucket, key).await, None, "{key}");
        assert_eq!(range(bucket, key, 0, 1).await, None, "{key}");
        delete(bucket, key).await;
    }
    for prefix in ["missing/no/", "missing/there/a/", "missing/there/a/b/", "missing/th/"] {
        assert_eq!(keys(bucket, prefix).await, [""; 0], "{prefix}");
        assert_eq!(folders(bucket, prefix).await, [""; 0], "{prefix}");
    }
    assert_eq!(get(bucket, "missing/there/a").await.as_deref(), Some(&b"x"[..]), "a delete took more than its key");
}

async fn what_is_deleted_is_gone(bucket: &dyn Bucket) {
    for key in ["gone/a/b", "gone/c/d", "gone/c/e"] {
        create(bucket, key, Bytes::from_static(b"old")).await;
    }
    delete(bucket, "gone/a/b").await;
    delete(bucket, "gone/c/d").await;
    delete(bucket, "gone/c/d").await;
    assert_eq!(get(bucket, "gone/a/b").await, None);
    assert_eq!(range(bucket, "gone/a/b", 0, 1).await, None);
    assert_eq!(keys(bucket, "gone/").await, ["gone/c/e"]);
    assert_eq!(folders(bucket, "gone/").await, ["c"], "a folder is gone with its last object");
    assert_eq!(create(bucket, "gone/a/b", Bytes::from_static(b"new")).await, Created::New);
    assert_eq!(get(bucket, "gone/a/b").await.as_deref(), Some(&b"new"[..]));
    assert_eq!(create(bucket, "gone/f", Bytes::new()).await, Created::New);
    delete(bucket, "gone/f").await;
    assert_eq!(create(bucket, "gone/f/g", Bytes::new()).await, Created::New, "what was an object can be a folder");
}

async fn lists_are_complete_and_in_order(bucket: &dyn Bucket) {
    // Bytes of the alphabet on both sides of `/`, and folders beside objects whose names go on.
    let names = [
        "a-/z", "a-b", "a.", "a.b/c", "a/-", "a/.x", "a/a/a/a", "a/a0", "a/b", "a/b-", "a0/b", "aA", "a_", "aa/a", "A",
        "A_/a", "Z", "_", "-", "0", "0.", "z/z/z", "z/z-", "z.z",
    ];
    let mut expected = BTreeMap::new();
    for (size, name) in names.into_iter().enumerate() {
        let key = format!("order/{name}");
        create(bucket, &key, Bytes::from(vec![b'x'; size])).await;
        expected.insert(key, size as u64);
    }
    create(bucket, "order-/a", Bytes::new()).await;
    create(bucket, "order0", Bytes::new()).await;
    let folders: BTreeSet<_> = expected.keys().flat_map(|key| folders_of(key)).collect();
    let texts =
        ["", "!", "order", "order/", "order/a", "order/a.b", "order/a/", "order/a/b0", "order/b~", "zz", "\u{10ffff}"];
    for prefix in folders {
        let afters = expected.keys().map(String::as_str).chain(texts).map(Some).chain([None]);
        for after in afters {
            let wanted =
                expected.iter().filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|at| key.as_str() > at));
            let wanted: Vec<_> = wanted.map(|(key, size)| Stored { key: key.clone(), size: *size }).collect();
            for limit in [1, 2, 7, 1_000] {
                let found = list(bucket, prefix, after, limit).await;
                assert_eq!(found, wanted, "prefix={prefix} after={after:?} limit={limit}");
            }
        }
    }
    let root = keys(bucket, "").await;
    assert!(root.is_sorted(), "the whole bucket is in order");
    assert!(expected.keys().all(|key| root.contains(key)), "the whole bucket lists every object");
}

async fn many_objects_are_listed_in_pages(bucket: &dyn Bucket) {
    let mut expected: Vec<_> =
        (0..1_100).map(|slot: u32| format!("many/{:08x}", slot.wrapping_mul(0x9e37_79b9))).collect();
    for some in expected.chunks(CREATORS) {
        let creates = some.iter().map(|key| bucket.create(key, Bytes::from_static(b"x"))).collect();
        for (key, answer) in some.iter().zip(all(creates).await) {
            assert_eq!(done("create", key, answer), Created::New, "{key}");
        }
    }
    expected.sort();
    for limit in [100, 1_000, 1_001, 1_100, 1_000_000] {
        assert!(
            list(bucket, "many/", None, limit).await.iter().map(|stored| &stored.key).eq(&expected),
            "limit={limit}"
        );
    }
    let half = list(bucket, "many/", Some(&expected[549]), 100).await;
    assert!(half.iter().map(|stored| &stored.key).eq(&expected[550..]), "from the middle on");
}

async fn folders_are_those_with_objects(bucket: &dyn Bucket) {
    for key in ["f/b/x", "f/b/y/z", "f/a.b/x", "f/a/x/y/z", "f/a-b/x", "f/a0/x", "f/file", "f/A/x", "f-/no/x"] {
        create(bucket, key, Bytes::new()).await;
    }
    assert_eq!(folders(bucket, "f/").await, ["A", "a", "a-b", "a.b", "a0", "b"]);
    assert_eq!(folders(bucket, "f/b/").await, ["y"]);
    assert_eq!(folders(bucket, "f/a/").await, ["x"]);
    assert_eq!(folders(bucket, "f/b/y/").await, [""; 0]);
    let root = folders(bucket, "").await;
    assert!(root.is_sorted() && root.contains(&"f".to_owned()) && root.contains(&"f-".to_owned()), "{root:?}");
}

async fn every_key_of_the_alphabet_is_kept(bucket: &dyn Bucket) {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    let mut wanted: Vec<_> = letters.chars().map(|letter| format!("alphabet/1/x{letter}")).collect();
    let segment = letters.repeat(4)[..255].to_owned();
    let longest = format!("alphabet/{segment}/{segment}/{segment}/{}", "x".repeat(123));
    assert_eq!(longest.len(), 900);
    let deepest = format!("alphabet/2{}", "/d".repeat(445));
    assert_eq!(deepest.len(), 900);
    wanted.extend([longest, deepest, "alphabet/3/...".into(), "alphabet/3/-".into(), "alphabet/3/.x/..x/x..".into()]);
    for key in &wanted {
        assert_eq!(create(bucket, key, Bytes::from(key.clone())).await, Created::New, "{key}");
    }
    for key in &wanted {
        assert_eq!(get(bucket, key).await, Some(Bytes::from(key.clone())), "{key}");
    }
    wanted.sort();
    assert_eq!(keys(bucket, "alphabet/").await, wanted);
}

async fn what_is_no_key_is_refused(bucket: &dyn Bucket) {
    let mut not_keys: Vec<_> =
        ["", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/..", "../a", "a/../b", "./a"].map(String::from).into();
    not_keys.extend(
        (0_u8..=255)
            .map(char::from)
            .filter(|sign| !sign.is_ascii_alphanumeric() && !"._-/".contains(*sign))
            .map(|sign| format!("a/x{sign}y")),
    );
    not_keys.extend(["x".repeat(256), format!("a/{}", "x".repeat(256)), "a/".repeat(450) + "x", "x/\u{4e2d}".into()]);
    for key in &not_keys {
        demand_refused(key, bucket.create(key, Bytes::new()).await);
        demand_refused(key, bucket.get(key).await);
        demand_refused(key, bucket.get_range(key, 0, 1).await);
        demand_refused(key, bucket.delete(key).await);
        if !key.is_empty() {
            demand_refused(key, bucket.list(&format!("{key}/"), None, 1).await);
            demand_refused(key, bucket.folders(&format!("{key}/")).await);
        }
    }
    demand_refused("a prefix without `/`", bucket.list("a", None, 1).await);
    demand_refused("a prefix without `/`", bucket.folders("a").await);
}

/// The caller sees to it that no key is a folder of another. Should one be, it is refused or kept, and nothing else
/// changes.
async fn a_key_that_is_a_folder_harms_nothing(bucket: &dyn Bucket) {
    create(bucket, "both/a/b", Bytes::from_static(b"below")).await;
    for key in ["both/a", "both/a/b/c", "both/a/b/c/d"] {
        match bucket.create(key, Bytes::from_static(b"both")).await {
            Ok(Created::New) => assert_eq!(get(bucket, key).await.as_deref(), Some(&b"both"[..]), "{key}"),
            Ok(Created::Exists) => panic!("{key} is a folder, and reported as an object"),
            Err(error) => {
                assert_eq!(error.outcome, Outcome::Refused, "{key}: {error}");
                assert_eq!(get(bucket, key).await, None, "{key}");
            }
        }
        assert_eq!(get(bucket, "both/a/b").await.as_deref(), Some(&b"below"[..]), "after {key}");
    }
    delete(bucket, "both/a").await;
    assert_eq!(get(bucket, "both/a/b").await.as_deref(), Some(&b"below"[..]), "the delete of a folder takes no object");
}

/// Polls all of them until all are done.
async fn all<T>(mut answers: Vec<Answer<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = answers.iter().map(|_| None).collect();
    poll_fn(|context: &mut Context<'_>| {
        for (answer, done) in answers.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(value) = answer.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Every folder that the key is in, as a prefix.
fn folders_of(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(at, _)| &key[..=at])
}

fn done<T>(what: &str, key: &str, result: Result<T, BucketError>) -> T {
    result.unwrap_or_else(|error| panic!("{what} of {key:?}: {error}: {:?}", std::error::Error::source(&error)))
}

fn demand_refused<T: core::fmt::Debug>(key: &str, result: Result<T, BucketError>) {
    match result {
        Err(error) => assert_eq!(error.outcome, Outcome::Refused, "{key:?}: {error}"),
        Ok(value) => panic!("{key:?} is refused, not answered with {value:?}"),
    }
}

async fn create(bucket: &dyn Bucket, key: &str, body: Bytes) -> Created {
    done("create", key, bucket.create(key, body).await)
}

async fn get(bucket: &dyn Bucket, key: &str) -> Option<Bytes> {
    done("get", key, bucket.get(key).await)
}

async fn range(bucket: &dyn Bucket, key: &str, start: u64, length: u64) -> Option<Bytes> {
    done("get_range", key, bucket.get_range(key, start, length).await)
}

async fn delete(bucket: &dyn Bucket, key: &str) {
    done("delete", key, bucket.delete(key).await);
}

async fn folders(bucket: &dyn Bucket, prefix: &str) -> Vec<String> {
    done("folders", prefix, bucket.folders(prefix).await)
}

async fn keys(bucket: &dyn Bucket, prefix: &str) -> Vec<String> {
    list(bucket, prefix, None, 100).await.into_iter().map(|stored| stored.key).collect()
}

/// Everything under the prefix, page after page.
async fn list(bucket: &dyn Bucket, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Stored> {
    let mut found: Vec<Stored> = Vec::new();
    loop {
        let after = found.last().map(|stored| stored.key.clone()).or(after.map(str::to_owned));
        let page = done("list", prefix, bucket.list(prefix, after.as_deref(), limit).await);
        assert!(page.objects.len() <= limit, "a page of {prefix} has at most {limit} objects");
        assert!(!page.more || !page.objects.is_empty(), "a page of {prefix} is empty, and there are more");
        let more = page.more;
        found.extend(page.objects);
        if !more {
            return found;
        }
    }
}
