//! What holds of a bucket on any emulator.

use bytes::Bytes;
use replica::ports::{Bucket, Created, Outcome};
use store_object::CloudBucket;

/// A bucket conforms under the prefix `some/prefix`, beside what lies in the same one without it. `below` is seen through what
/// its emulator needs.
pub(crate) async fn conforms_under_a_prefix(beside: &CloudBucket, below: &impl Bucket) {
    for key in ["a", "some/prefix", "some/prefiy/a", "some/prefix-/a"] {
        assert_eq!(beside.create(key, Bytes::new()).await.expect("an answer"), Created::New);
    }
    tests::conformance::everything(below).await;
    let read = beside.get("some/prefix/read/a").await.expect("an answer");
    assert!(read.is_some(), "the prefix is where the keys are");
}

/// What is missing says so, and is no empty bucket.
pub(crate) async fn is_missing(missing: &CloudBucket) {
    for error in [
        missing.check("").await.expect_err("there is none"),
        missing.create("a", Bytes::new()).await.expect_err("there is none"),
        missing.get("a").await.expect_err("there is none"),
        missing.get_range("a", 0, 1).await.expect_err("there is none"),
        missing.delete("a").await.expect_err("there is none"),
        missing.folders("").await.expect_err("there is none"),
    ] {
        assert_eq!(error.outcome, Outcome::Refused, "{error}");
        assert!(error.to_string().contains("there is no such bucket"), "{error}");
    }
}

/// Wrong credentials are refused in these words, do nothing, and are not shown; who has the right ones sees that.
pub(crate) async fn is_refused(wrong: &CloudBucket, right: &CloudBucket, says: &str, secret: &str) {
    for error in [
        wrong.check("").await.expect_err("wrong credentials"),
        wrong.create("refused", Bytes::new()).await.expect_err("wrong credentials"),
        wrong.get("refused").await.expect_err("wrong credentials"),
        wrong.delete("refused").await.expect_err("wrong credentials"),
    ] {
        assert_eq!(error.outcome, Outcome::Refused, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error:?} {wrong:?}").contains(secret), "{error:?}");
    }
    assert_eq!(right.get("refused").await.expect("an answer"), None);
}
