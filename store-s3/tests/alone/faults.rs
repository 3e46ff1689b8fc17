//! What a bucket says when the store, the network or the settings fail: the table of outcomes, over real connections.

use std::{error::Error as _, time::Duration};

use crate::scripted::{Act, Scripted, bucket, error, http};
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use bytes::Bytes;
use replica::ports::{Bucket, BucketError, Created, Outcome};
use store_s3::S3Bucket;

/// What comes of each request, in the order create, get, range, list, folders, delete.
async fn outcomes(bucket: &S3Bucket) -> [Result<(), BucketError>; 6] {
    [
        bucket.create("a", Bytes::from_static(b"body")).await.map(drop),
        bucket.get("a").await.map(drop),
        bucket.get_range("a", 0, 1).await.map(drop),
        bucket.list("", None, 10).await.map(drop),
        bucket.folders("").await.map(drop),
        bucket.delete("a").await,
    ]
}

async fn demand(bucket: &S3Bucket, writes: Outcome, reads: Outcome, says: &str) {
    let expected = [writes, reads, reads, reads, reads, writes];
    for (number, (result, expected)) in outcomes(bucket).await.into_iter().zip(expected).enumerate() {
        let error = result.expect_err("an error");
        let told = format!("request {number}: {error}: {:?}", error.source());
        assert_eq!(error.outcome, expected, "{told}");
        assert!(error.to_string().contains(says), "{told}");
    }
}

use Outcome::{Indeterminate, Refused, Throttled, Unavailable};

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    // A port that was free a moment ago.
    let endpoint = Scripted::serves([Act::Closes]).await.endpoint().to_owned();
    tokio::task::yield_now().await;
    demand(&bucket(&endpoint).await, Unavailable, Unavailable, "cannot connect to http://127.0.0.1").await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_no_connection() {
    demand(&bucket("https://store.invalid").await, Unavailable, Unavailable, "cannot connect to https://store.invalid")
        .await;
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_leaves_a_write_unknown() {
    let server = Scripted::serves([Act::Closes]).await;
    demand(&server.bucket("").await, Indeterminate, Unavailable, "lost before the end of the answer").await;
    let server = Scripted::serves([Act::ClosesAtOnce]).await;
    demand(&server.bucket("").await, Indeterminate, Unavailable, "lost before the end of the answer").await;
}

#[tokio::test]
async fn half_an_answer_leaves_a_write_unknown() {
    for half in ["HTTP/1.1 20", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let server = Scripted::serves([Act::Says(half.to_owned())]).await;
        demand(&server.bucket("").await, Indeterminate, Unavailable, "").await;
    }
}

/// Symptom: a replica was told that its endpoint is not S3. Cause: the answer 404 broke off before its body said that the
/// key is missing, and the status was believed alone. Cure: an answer that breaks off is none, and is asked for again.
#[tokio::test]
async fn an_error_that_breaks_off_is_no_answer() {
    for status in [
        "301 Moved Permanently",
        "403 Forbidden",
        "404 Not Found",
        "412 Precondition Failed",
        "416 Range Not Satisfiable",
    ] {
        for begins in ["", "<Error><Code>NoSuchKey</Co"] {
            let server = Scripted::serves([http(status, &[("content-length", "1000")], begins)]).await;
            demand(&server.bucket("").await, Indeterminate, Unavailable, "lost before the end of the answer").await;
        }
    }
}

#[tokio::test]
async fn what_is_no_http_leaves_a_write_unknown() {
    let server = Scripted::serves([Act::Says("220 mail.example.com ESMTP\r\n".to_owned())]).await;
    demand(&server.bucket("").await, Indeterminate, Unavailable, "").await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_leaves_a_write_unknown() {
    let server = Scripted::serves([Act::Waits]).await;
    let bucket = server.bucket("").await.answer_within(Duration::from_millis(300));
    demand(&bucket, Indeterminate, Unavailable, "did not answer in time").await;
}

#[tokio::test]
async fn a_store_that_fails_leaves_a_write_unknown() {
    for act in [
        error("500 Internal Server Error", "InternalError", "We encountered an internal error."),
        http("500 Internal Server Error", &[], ""),
        http("502 Bad Gateway", &[("content-type", "text/html")], "<html><body>bad gateway</body></html>"),
        http("503 Service Unavailable", &[], "not XML"),
        http("504 Gateway Timeout", &[], ""),
        error("503 Service Unavailable", "ServiceUnavailable", "Please reduce your request rate."),
    ] {
        let server = Scripted::serves([act]).await;
        demand(&server.bucket("").await, Indeterminate, Unavailable, "status=50").await;
    }
}

#[tokio::test]
async fn a_store_that_asks_for_fewer_requests_is_told_apart() {
    for act in [error("503 Slow Down", "SlowDown", "Reduce your request rate."), http("429 Too Many Requests", &[], "")]
    {
        let server = Scripted::serves([act]).await;
        demand(&server.bucket("").await, Throttled, Throttled, "fewer requests").await;
    }
}

/// An error that the SDK would repeat is seen once: whatever it repeated by itself could look like a lost race.
#[tokio::test]
async fn every_request_is_sent_once() {
    for act in [
        http("500 Internal Server Error", &[], ""),
        error("503 Slow Down", "SlowDown", ""),
        error("400 Bad Request", "RequestTimeout", ""),
        error("403 Forbidden", "RequestTimeTooSkewed", ""),
        error("409 Conflict", "ConditionalRequestConflict", ""),
        Act::Closes,
    ] {
        let server = Scripted::serves([act.clone()]).await;
        let refused = outcomes(&server.bucket("").await).await;
        assert!(refused.iter().all(Result::is_err), "{refused:?}");
        assert_eq!(server.asked().len(), refused.len(), "{act:?}");
    }
}

#[tokio::test]
async fn a_lost_race_is_one_and_a_conflict_is_none() {
    let server = Scripted::serves([
        error("409 Conflict", "ConditionalRequestConflict", "Conflict"),
        error("412 Precondition Failed", "PreconditionFailed", "At least one of the pre-conditions did not hold"),
    ])
    .await;
    let bucket = server.bucket("").await;
    let conflict = bucket.create("a", Bytes::new()).await.expect_err("a conflict");
    assert_eq!(conflict.outcome, Unavailable, "{conflict}");
    assert_eq!(bucket.create("a", Bytes::new()).await.expect("an answer"), Created::Exists);
}

#[tokio::test]
async fn what_the_store_refuses_is_refused_with_what_to_do() {
    for (status, code, says) in [
        ("403 Forbidden", "AccessDenied", "these credentials need s3:"),
        ("403 Forbidden", "SignatureDoesNotMatch", "secret key"),
        ("403 Forbidden", "InvalidAccessKeyId", "does not know these credentials"),
        ("400 Bad Request", "ExpiredToken", "has expired"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock of this machine"),
        ("404 Not Found", "NoSuchBucket", "there is no such bucket"),
        ("501 Not Implemented", "NotImplemented", "If-None-Match"),
    ] {
        let server = Scripted::serves([error(status, code, "words of the store")]).await;
        demand(&server.bucket("").await, Refused, Refused, says).await;
        demand(&server.bucket("").await, Refused, Refused, "words of the store").await;
    }
}

#[tokio::test]
async fn a_bucket_of_another_region_is_named() {
    let moved = error("301 Moved Permanently", "PermanentRedirect", "The bucket must be addressed elsewhere");
    let Act::Says(moved) = moved else { panic!("an answer") };
    let moved = moved.replacen("\r\n", "\r\nx-amz-bucket-region: us-east-2\r\nlocation: http://127.0.0.1:1/\r\n", 1);
    let server = Scripted::serves([Act::Says(moved)]).await;
    demand(&server.bucket("").await, Refused, Refused, "`?region=us-east-2`").await;
}

/// A page of a proxy must not be taken for "there is no such object".
#[tokio::test]
async fn a_404_that_is_not_of_s3_is_refused() {
    let server =
        Scripted::serves([http("404 Not Found", &[("content-type", "text/html")], "<html>nothing here</html>")]).await;
    demand(&server.bucket("").await, Refused, Refused, "may not be S3").await;
}

#[tokio::test]
async fn what_is_missing_is_no_error() {
    let server = Scripted::serves([error("404 Not Found", "NoSuchKey", "The specified key does not exist.")]).await;
    let bucket = server.bucket("").await;
    assert_eq!(bucket.get("a").await.expect("an answer"), None);
    assert_eq!(bucket.get_range("a", 0, 1).await.expect("an answer"), None);
    bucket.delete("a").await.expect("it is gone");
    assert_eq!(bucket.create("a", Bytes::new()).await.expect_err("no answer to a create").outcome, Refused);
}

#[tokio::test]
async fn an_endpoint_without_tls_is_refused_as_that() {
    let server = Scripted::serves([http("400 Bad Request", &[], "")]).await;
    let endpoint = server.endpoint().replace("http://", "https://");
    demand(&bucket(&endpoint).await, Refused, Refused, "no TLS with https://127.0.0.1").await;
}

#[derive(Debug)]
struct Without(fn() -> CredentialsError);

impl ProvideCredentials for Without {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err((self.0)()))
    }
}

#[tokio::test]
async fn credentials_that_are_missing_are_refused_and_those_that_are_late_awaited() {
    let server = Scripted::serves([Act::Closes]).await;
    let url = format!("s3://likes-eu?endpoint={}", server.endpoint()).parse().expect("a URL");
    for (without, outcome, says) in [
        (Without(|| CredentialsError::not_loaded("nowhere")), Refused, "there are no credentials"),
        (Without(|| CredentialsError::invalid_configuration("wrong")), Refused, "there are no credentials"),
        (Without(|| CredentialsError::provider_error("away")), Unavailable, "did not give them"),
        (Without(|| CredentialsError::provider_timed_out(Duration::ZERO)), Unavailable, "did not give them"),
    ] {
        let bucket = S3Bucket::open_as(&url, without).await.expect("a bucket");
        demand(&bucket, outcome, outcome, says).await;
    }
    assert_eq!(server.asked(), [""; 0], "nothing was sent");
}
