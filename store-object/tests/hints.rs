//! An object that is created in a directory is told within moments, whoever creates it.
#![cfg(all(feature = "local", feature = "notify"))]

use std::{thread, time::Duration};

use bytes::Bytes;
use futures_lite::future::{block_on, or};
use replica::ports::{Bucket, Hint, Hints, Outcome};
use store_object::{FolderHints, LocalBucket};

/// The next hint, or none after a time in which the system would have told.
#[expect(clippy::disallowed_methods, reason = "the file system tells in its own time")]
fn next(hints: &FolderHints) -> Option<Hint> {
    let patience = async {
        blocking::unblock(|| thread::sleep(Duration::from_secs(10))).await;
        None
    };
    block_on(or(async { Some(hints.next().await) }, patience))
}

#[test]
fn an_object_of_another_handle_is_told_by_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let ours = LocalBucket::open(directory.path()).unwrap();
    let theirs = LocalBucket::open(directory.path()).unwrap();
    block_on(ours.create("v1/log/eu/0", Bytes::new())).unwrap();
    let hints = FolderHints::watch(ours.path()).unwrap();
    block_on(theirs.create("v1/log/eu/1", Bytes::new())).unwrap();
    let hint = next(&hints).expect("a hint");
    assert_eq!(hint.key.as_deref(), Some("v1/log/eu/1"));
    block_on(hints.done(hint));
}

#[test]
fn an_object_in_a_new_folder_is_told_somehow() {
    let directory = tempfile::tempdir().unwrap();
    let bucket = LocalBucket::open(directory.path()).unwrap();
    let hints = FolderHints::watch(directory.path()).unwrap();
    block_on(bucket.create("v1/log/us/0", Bytes::new())).unwrap();
    let hint = next(&hints).expect("a hint");
    assert!(matches!(hint.key.as_deref(), None | Some("v1/log/us/0")), "{hint:?}");
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = FolderHints::watch(directory.path().join("none")).unwrap_err();
    assert_eq!(error.outcome, Outcome::Refused);
    assert!(error.to_string().contains("none"), "{error}");
}
