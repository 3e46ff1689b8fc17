//! Against fake-gcs-server, an emulator of Google Cloud Storage that no one here wrote. Started by its script,
//! tests/with-emulators.sh, which makes the buckets and tells the addresses; without that these tests fail.
//!
//! Buckets are spoken to in Google's XML API, and fake-gcs-server 1.54 knows the conditions of its JSON API alone. So
//! between the two stands tests/with-emulators.py, which says each request in JSON and each answer in XML, with the
//! codes of Google's reference. Who creates, what is kept and what is listed is decided by the emulator; that Google
//! itself answers in this form is what only Google can show. What else the emulator does otherwise is named there, and
//! what it does without help is the last test here. Credentials it takes as they come, and the translator one token
//! alone.

mod emulated;

use std::env;

use bytes::Bytes;
use replica::{
    ErrorKind, Replica,
    ports::{Bucket, Outcome},
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
    emulated::conforms_under_a_prefix(&opened("prefixed"), &opened("prefixed/some/prefix")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_missing_is_no_empty_one() {
    opened("checked").check("v1/log/").await.expect("it can be read");
    emulated::is_missing(&opened("no-such-bucket")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_not_shown() {
    let (wrong, right) = (opened_at("ARCHIPELAGO_TEST_GCS", "checked", "hunter2"), opened("checked"));
    emulated::is_refused(&wrong, &right, "does not believe these credentials", "hunter2").await;
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
