//! Against fake-gcs-server, an emulator of Google Cloud Storage that no one here wrote. Started by its script,
//! tests/with-emulators.sh, which makes the buckets and tells the addresses; without that these tests fail.
//!
//! Buckets are spoken to in Google's XML API, and fake-gcs-server 1.54 knows the conditions of its JSON API alone. So
//! between the two stands tests/with-emulators.py, which says each request in JSON and each answer in XML, with the
//! codes of Google's reference. Who creates, what is kept and what is listed is decided by the emulator; that Google
//! itself answers in this form is what only Google can show. What else the emulator does otherwise is named there, and
//! what it does without help is the last test here. Credentials it takes as they come, and the translator one token
//! alone.

use std::env;

use bytes::Bytes;
use replica::{
    ErrorKind, Replica,
    ports::{Bucket, Created, Outcome},
};
use store_object::{CloudBucket, CloudUrl};

fn opened_at(variable: &str, bucket: &str, token: &str) -> CloudBucket {
    let endpoint = env::var(variable).expect("run by tests/with-emulators.sh, which starts the servers");
    let url: CloudUrl = format!("gs://{bucket}?endpoint={endpoint}").parse().expect("a URL");
    CloudBucket::open_as(&url, [("GOOGLE_BEARER_TOKEN".to_owned(), token.to_owned())]).expect("a bucket")
}

fn opened(bucket: &str) -> CloudBucket {
    opened_at("ARCHIPELAGO_TEST_GCS", bucket, "the-token")
}

#[tokio::test(flavor = "multi_thread")]
async fn fake_gcs_server_conforms() {
    tests::conformance::everything(&opened("conforms")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fake_gcs_server_conforms_under_a_prefix() {
    let beside = opened("prefixed");
    for key in ["a", "some/prefix", "some/prefiy/a", "some/prefix-/a"] {
        assert_eq!(beside.create(key, Bytes::new()).await.expect("an answer"), Created::New);
    }
    tests::conformance::everything(&opened("prefixed/some/prefix")).await;
    let read = beside.get("some/prefix/read/a").await.expect("an answer");
    assert!(read.is_some(), "the prefix is where the keys are");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_missing_is_no_empty_one() {
    opened("checked").check("v1/log/").await.expect("it can be read");
    let missing = opened("no-such-bucket");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_not_shown() {
    let wrong = opened_at("ARCHIPELAGO_TEST_GCS", "checked", "hunter2");
    for error in [
        wrong.check("").await.expect_err("a wrong token"),
        wrong.create("refused", Bytes::new()).await.expect_err("a wrong token"),
        wrong.get("refused").await.expect_err("a wrong token"),
        wrong.delete("refused").await.expect_err("a wrong token"),
    ] {
        assert_eq!(error.outcome, Outcome::Refused, "{error}");
        assert!(error.to_string().contains("does not believe these credentials"), "{error}");
        assert!(!format!("{error:?} {wrong:?}").contains("hunter2"), "{error:?}");
    }
    assert_eq!(opened("checked").get("refused").await.expect("an answer"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_agree_over_three_buckets() {
    tests::regions::three_replicas_agree(&["engine-eu", "engine-us", "engine-ap"].map(opened)).await;
}

/// The emulator by itself takes no upload in XML (it answers 400 `invalid uploadType`), so no replica is opened on it;
/// and it answers with plain text what is not there, which is not taken for Google's word that it is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_conditional_creates_is_refused_when_a_replica_is_opened() {
    let bare = opened_at("ARCHIPELAGO_TEST_GCS_BARE", "checked", "the-token");
    let error = bare.create("a", Bytes::new()).await.expect_err("it does not know the request");
    assert_eq!(error.outcome, Outcome::Refused, "{error}");
    assert!(error.to_string().contains("does not take the request: status=400"), "{error}");
    let error = bare.get("a").await.expect_err("no code");
    assert_eq!(error.outcome, Outcome::Refused, "{error}");
    let refused = Replica::builder("eu-west-1", bare).open().await.expect_err("it cannot hold a log");
    assert_eq!(refused.kind(), ErrorKind::Store, "{refused}");
}
