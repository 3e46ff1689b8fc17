//! Provisioning, hints and dead letters against moto's S3, SNS and SQS, which no one here wrote. Started by
//! tests/with-moto.sh, which tells the address and gives credentials; without that these tests fail.
//!
//! moto is known to differ from AWS. Each test that meets a difference names it:
//!
//! - It writes every `/` of a key as `%2F` in an event.
//! - It enforces no policy of a topic or a queue.
//! - It forgets `RedriveAllowPolicy`, so a dead-letter queue seems to take the letters of every queue for ever.
//! - `StartMessageMoveTask` fails, so dead letters are moved one by one.

use std::{env, fs, process::Command, time::Duration};

use bytes::Bytes;
use replica::ports::{Bucket, Hints};
use store_s3::{Cloud, DeadLetters, Fault, Part, Plan, Queue, QueueUrl, S3Bucket, S3Url, Site, Source, SqsHints};
use tokio::time::timeout;

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

fn endpoint() -> String {
    env::var("ARCHIPELAGO_TEST_S3").expect("run by tests/with-moto.sh, which starts the server")
}

fn bucket(name: &str, region: &str) -> S3Url {
    format!("s3://{name}-{region}?region={region}&endpoint={}", endpoint()).parse().expect("a bucket")
}

fn queue(name: &str, region: &str) -> QueueUrl {
    format!("sqs://{name}-{region}?region={region}&endpoint={}", endpoint()).parse().expect("a queue")
}

fn plan(name: &str) -> Plan {
    let site = |region: &str| Site {
        name: region.to_owned(),
        bucket: bucket(name, region),
        queue: Some(queue(name, region)),
        replicas: vec![region.to_owned()],
    };
    Plan::new(REGIONS.map(site).into()).expect("a plan")
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_is_done_once_and_seen() {
    let cloud = Cloud::connect(plan("twice")).await;
    assert!(!cloud.check().await.expect("it answers").is_empty(), "nothing is there yet");
    assert!(!cloud.provision().await.expect("everything is made").is_empty());
    for differences in [cloud.check().await, cloud.provision().await] {
        let differences = differences.expect("it answers");
        // What moto forgets, in each region, and nothing else.
        let parts: Vec<_> = differences.iter().map(|difference| (difference.part, difference.fault)).collect();
        assert_eq!(parts, [(Part::DeadLetterSettings, Fault::Wider); 3], "{differences:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_in_one_bucket_is_heard_of_in_the_other_regions() {
    Cloud::connect(plan("heard")).await.provision().await.expect("everything is made");
    let [us, eu, _] = REGIONS;
    let source = Source { bucket: format!("heard-{us}"), prefix: String::new() };
    let hints = SqsHints::listen(Queue::connect(&queue("heard", eu)).await, vec![source]);
    let key = "v1/log/us-east-1/00000000/00000000";
    let written = S3Bucket::open(&bucket("heard", us)).await.expect("a bucket");
    written.create(key, Bytes::from_static(b"1")).await.expect("it is written");
    let hint = timeout(Duration::from_secs(30), hints.next()).await.expect("it comes");
    assert_eq!(hint.key.as_deref(), Some(key));
    hints.done(hint).await;
    let queue = Queue::connect(&queue("heard", eu)).await;
    for _ in 0..100 {
        let state = queue.state().await.expect("it answers");
        if (state.waiting, state.under_way) == (0, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the message was not deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_sent_back_and_purged() {
    Cloud::connect(plan("dead")).await.provision().await.expect("everything is made");
    let (name, region) = ("dead-eu-west-1", "eu-west-1");
    let config = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).endpoint_url(endpoint());
    let raw = aws_sdk_sqs::Client::new(&config.region(aws_config::Region::new(region)).load().await);
    let url = raw.get_queue_url().queue_name(name).send().await.expect("it is there").queue_url.expect("a URL");
    raw.send_message().queue_url(&url).message_body("hello").send().await.expect("it is sent");
    let letters = DeadLetters::of(Queue::connect(&queue("dead", region)).await).await.expect("there are some");
    let mut received = 0;
    while letters.count().await.expect("it answers") == 0 {
        assert!(received < 30, "it stays in the queue");
        received += 1;
        let receive = raw.receive_message().queue_url(&url).visibility_timeout(0).max_number_of_messages(10);
        receive.send().await.expect("it is received");
    }
    let found = letters.list(10, &[]).await.expect("they are listed");
    // What S3 sent to try the topic may be among them.
    assert!(found.iter().any(|letter| letter.start == "hello" && letter.reason.contains("not JSON")), "{found:?}");
    let replayed = letters.replay(100).await.expect("they are sent back");
    assert!(replayed.sent >= 1 && replayed.doubled == 0, "{replayed:?}");
    assert_eq!(letters.count().await.expect("it answers"), 0);
    letters.purge().await.expect("they are purged");
}

/// moto's CloudFormation drops half of a template without a word, so it is held against its schema instead.
#[test]
fn cfn_lint_finds_nothing_in_the_templates() {
    let lint = env::var("ARCHIPELAGO_TEST_CFN_LINT").expect("run by tests/with-moto.sh, which installs it");
    let site = |region: &str| Site {
        name: region.to_owned(),
        bucket: format!("s3://likes-{region}/production?region={region}").parse().expect("a bucket"),
        queue: Some(format!("sqs://likes-{region}?region={region}").parse().expect("a queue")),
        replicas: vec![region.to_owned()],
    };
    let plan = Plan::new(REGIONS.map(site).into()).expect("a plan");
    for region in REGIONS {
        let file = env::temp_dir().join(format!("archipelago-{region}-{}.json", std::process::id()));
        fs::write(&file, plan.template(region).expect("a template").to_string()).expect("it is written");
        let output = Command::new(&lint).args(["--regions", region, "--"]).arg(&file).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        fs::remove_file(&file).expect("it is removed");
        assert!(output.status.success() && said.trim().is_empty(), "{region}: {said}");
    }
}
