//! Against an S3 server in this process, which is strict about signatures, checksums and policies, and fails on demand.

use std::{error::Error as _, time::Duration};

use aws_credential_types::Credentials;
use bytes::Bytes;
use replica::ports::{Bucket, Created, Outcome};
use servers::{Cloud, Fault, Keys, Refusal, Rule, S3Server};
use store_s3::S3Bucket;

struct Stage {
    cloud: Cloud,
    server: S3Server,
}

impl Stage {
    fn new() -> Self {
        let cloud = Cloud::new();
        cloud.create_bucket("likes-eu", "eu-west-1");
        let server = S3Server::start(&cloud).expect("a port");
        Self { cloud, server }
    }

    async fn bucket_of(&self, name: &str, parameters: &str, keys: &Keys) -> S3Bucket {
        self.bucket_in("eu-west-1", name, parameters, keys).await
    }

    async fn bucket_in(&self, region: &str, name: &str, parameters: &str, keys: &Keys) -> S3Bucket {
        let url = format!("s3://{name}/prod?region={region}&endpoint={}{parameters}", self.server.url());
        let credentials = Credentials::new(&keys.access_key, &keys.secret_key, None, None, "test");
        S3Bucket::open_as(&url.parse().expect("a URL"), credentials).await.expect("a bucket")
    }

    async fn bucket(&self, parameters: &str) -> S3Bucket {
        self.bucket_of("likes-eu", parameters, &self.cloud.admin()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_server_conforms() {
    let stage = Stage::new();
    tests::conformance::everything(&stage.bucket("&checksum=crc32").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_server_conforms_with_the_checksum_of_aws() {
    let stage = Stage::new();
    tests::conformance::everything(&stage.bucket("&checksum=crc64nvme").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_end_to_end() {
    let stage = Stage::new();
    let wrong = Keys { secret_key: "wrong".to_owned(), ..stage.cloud.admin() };
    let bucket = stage.bucket_of("likes-eu", "", &wrong).await;
    let error = bucket.create("a", Bytes::from_static(b"body")).await.expect_err("signed with another secret");
    assert_eq!(error.outcome, Outcome::Refused, "{error}");
    assert!(error.to_string().contains("secret key does not belong"), "{error}");
    assert_eq!(stage.cloud.keys_in("likes-eu"), [""; 0], "nothing was written");

    let nobody = Keys { access_key: "AKIANOBODY".to_owned(), ..stage.cloud.admin() };
    let error = stage.bucket_of("likes-eu", "", &nobody).await.check("").await.expect_err("nobody");
    assert!(error.to_string().contains("does not know these credentials"), "{error}");
}

/// One bit of the body flips on its way: the store finds out, writes nothing, and the same request succeeds when repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_damaged_on_its_way_is_not_written() {
    for checksum in ["crc64nvme", "crc32", "none"] {
        let stage = Stage::new();
        let bucket = stage.bucket(&format!("&checksum={checksum}")).await;
        stage.server.faults().add(Rule::new(Fault::FlipRequest).on("PutObject").times(1));
        let error = bucket.create("a", Bytes::from_static(b"body")).await.expect_err("damaged");
        assert_eq!(error.outcome, Outcome::Unavailable, "{checksum}: {error}");
        assert_eq!(stage.cloud.keys_in("likes-eu"), [""; 0], "{checksum}");
        assert_eq!(bucket.create("a", Bytes::from_static(b"body")).await.expect("an answer"), Created::New);
        assert_eq!(stage.server.faults().injected()["FlipRequest"], 1);
    }
}

/// What is read is what was written, whoever damaged it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_on_its_way_back_is_not_believed() {
    for checksum in ["crc64nvme", "crc32"] {
        let stage = Stage::new();
        let bucket = stage.bucket(&format!("&checksum={checksum}")).await;
        let body = Bytes::from(vec![b'x'; 100_000]);
        assert_eq!(bucket.create("a", body.clone()).await.expect("an answer"), Created::New);
        for fault in [Fault::FlipAnswer, Fault::WrongChecksum, Fault::WrongLength(1), Fault::ResetInAnswer] {
            stage.server.faults().clear();
            stage.server.faults().add(Rule::new(fault).on("GetObject").times(1));
            let error = bucket.get("a").await.expect_err(fault.name());
            assert_eq!(error.outcome, Outcome::Unavailable, "{checksum} {}: {error}", fault.name());
            assert_eq!(bucket.get("a").await.expect("an answer"), Some(body.clone()), "{}", fault.name());
        }
    }
}

/// Each fault that the server can inject into a create: the outcome of the table, and whether the object is there after it.
#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_create_has_its_outcome_and_its_effect() {
    use Outcome::{Indeterminate, Refused, Throttled, Unavailable};
    let stage = Stage::new();
    let bucket = stage.bucket("").await;
    let cases = [
        (Fault::Refuse(Refusal::InternalError), Indeterminate, false),
        (Fault::Refuse(Refusal::ServiceUnavailable), Indeterminate, false),
        (Fault::Refuse(Refusal::SlowDown), Throttled, false),
        (Fault::Refuse(Refusal::ConditionalRequestConflict), Unavailable, false),
        (Fault::Refuse(Refusal::AccessDenied), Refused, false),
        (Fault::Refuse(Refusal::SignatureDoesNotMatch), Refused, false),
        (Fault::Refuse(Refusal::ExpiredToken), Refused, false),
        (Fault::Refuse(Refusal::RequestTimeTooSkewed), Refused, false),
        (Fault::Refuse(Refusal::RequestTimeout), Unavailable, false),
        (Fault::RefuseAfterEffect(Refusal::InternalError), Indeterminate, true),
        (Fault::RefuseAfterEffect(Refusal::ServiceUnavailable), Indeterminate, true),
        (Fault::ResetBefore, Indeterminate, false),
        (Fault::ResetInRequest, Indeterminate, false),
        (Fault::AnswerLost, Indeterminate, true),
    ];
    for (number, (fault, outcome, effect)) in cases.into_iter().enumerate() {
        let key = format!("case/{number}");
        let body = Bytes::from(vec![b'x'; 300_000]);
        stage.server.faults().clear();
        stage.server.faults().add(Rule::new(fault).on("PutObject").times(1));
        let before = stage.server.meter().of("PutObject").requests;
        let error = bucket.create(&key, body.clone()).await.expect_err(fault.name());
        let told = format!("{number} {}: {error}: {:?}", fault.name(), error.source());
        assert_eq!(error.outcome, outcome, "{told}");
        assert_eq!(stage.server.meter().of("PutObject").requests, before + 1, "sent once: {told}");
        assert_eq!(stage.cloud.object("likes-eu", &format!("prod/{key}")).is_some(), effect, "{told}");
        // Repeated, as the engine does, it is there either way, and is ours.
        let again = bucket.create(&key, body.clone()).await.expect("an answer");
        assert_eq!(again, if effect { Created::Exists } else { Created::New }, "{told}");
        assert_eq!(bucket.get(&key).await.expect("an answer"), Some(body), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_read_and_one_that_stands_still_is_not_waited_for() {
    let stage = Stage::new();
    let bucket = stage.bucket("").await;
    let body = Bytes::from(vec![b'x'; 10_000]);
    assert_eq!(bucket.create("a", body.clone()).await.expect("an answer"), Created::New);
    stage.server.faults().add(Rule::new(Fault::SlowAnswer { pieces: 10, pause: Duration::from_millis(30) }));
    assert_eq!(bucket.get("a").await.expect("an answer"), Some(body));
    stage.server.faults().clear();
    stage.server.faults().add(Rule::new(Fault::SlowAnswer { pieces: 2, pause: Duration::from_secs(30) }));
    let impatient = bucket.answer_within(Duration::from_millis(200));
    assert_eq!(impatient.get("a").await.expect_err("too slow").outcome, Outcome::Unavailable);
}

/// A store that denies lists denies what is missing too, which must not be taken for "there is nothing".
#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_to_list_a_missing_object_is_denied_and_the_permission_named() {
    let stage = Stage::new();
    let may = |actions: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":[{actions}],"Resource":["arn:aws:s3:::likes-eu","arn:aws:s3:::likes-eu/*"]}}}}"#
        )
    };
    let blind = stage.cloud.principal("blind", &[&may(r#""s3:GetObject""#)]).expect("a policy");
    let bucket = stage.bucket_of("likes-eu", "", &blind).await;
    for error in [bucket.get("missing").await.expect_err("denied"), bucket.check("").await.expect_err("denied")] {
        assert_eq!(error.outcome, Outcome::Refused, "{error}");
        assert!(error.to_string().contains("s3:ListBucket on arn:aws:s3:::likes-eu"), "{error}");
    }
    let reader = stage.cloud.principal("reader", &[&may(r#""s3:GetObject","s3:ListBucket""#)]).expect("a policy");
    let bucket = stage.bucket_of("likes-eu", "", &reader).await;
    bucket.check("").await.expect("it can be read");
    assert_eq!(bucket.get("missing").await.expect("an answer"), None);
    let error = bucket.create("a", Bytes::new()).await.expect_err("denied");
    assert!(error.to_string().contains("s3:PutObject on arn:aws:s3:::likes-eu/prod/*"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_missing_or_of_another_region_is_named() {
    let stage = Stage::new();
    let missing = stage.bucket_of("nobody-has-it", "", &stage.cloud.admin()).await;
    let error = missing.check("").await.expect_err("missing");
    assert!(error.to_string().contains("there is no such bucket"), "{error}");
    let elsewhere = S3Server::start_on(&stage.cloud, 0, Some("us-east-2")).expect("a port");
    let url = format!("s3://likes-eu?region=eu-west-1&endpoint={}", elsewhere.url()).parse().expect("a URL");
    let keys = stage.cloud.admin();
    let credentials = Credentials::new(keys.access_key, keys.secret_key, None, None, "test");
    let error = S3Bucket::open_as(&url, credentials).await.expect("a bucket").check("").await.expect_err("elsewhere");
    assert_eq!(error.outcome, Outcome::Refused, "{error}");
    assert!(error.to_string().contains("another region"), "{error}");
}

/// Deleted objects of a versioned bucket are gone, and their keys are free.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_versions_conforms() {
    let stage = Stage::new();
    stage.cloud.keep_versions("likes-eu");
    tests::conformance::everything(&stage.bucket("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_agree_over_three_buckets() {
    let stage = Stage::new();
    tests::regions::three_replicas_agree(&three(&stage).await).await;
}

/// One request of five fails in one way or another, and nothing is lost or doubled.
#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_agree_over_a_store_that_fails() {
    let stage = Stage::new();
    let buckets = three(&stage).await;
    let faults = stage.server.faults();
    for fault in [
        Fault::Refuse(Refusal::InternalError),
        Fault::RefuseAfterEffect(Refusal::InternalError),
        Fault::Refuse(Refusal::ConditionalRequestConflict),
        Fault::ResetBefore,
        Fault::AnswerLost,
        Fault::ResetInAnswer,
        Fault::FlipRequest,
    ] {
        faults.add(Rule::new(fault).rate(0.025));
    }
    // Lists have no checksum: what flips there only TLS would notice.
    faults.add(Rule::new(Fault::FlipAnswer).on("GetObject").rate(0.05));
    tests::regions::three_replicas_agree(&buckets).await;
    assert!(faults.injected().values().sum::<u64>() > 50, "{:?}", faults.injected());
}

async fn three(stage: &Stage) -> Vec<S3Bucket> {
    let mut buckets = Vec::new();
    for (name, region) in [("engine-eu", "eu-west-1"), ("engine-us", "us-east-1"), ("engine-ap", "ap-southeast-1")] {
        stage.cloud.create_bucket(name, region);
        buckets.push(stage.bucket_in(region, name, "", &stage.cloud.admin()).await);
    }
    buckets
}
