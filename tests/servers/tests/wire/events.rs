//! Events from a bucket to a queue, on every way that there is, and what goes wrong on them.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::client::{Reply, Request};
use serde_json::{Value, json};
use servers::{Cloud, Fault, Keys, Refusal, Rule, S3Server, SnsServer, SqsServer, Troubles};

const QUEUE: &str = "arn:aws:sqs:eu-west-1:000000000000:hints";
const FAR: &str = "arn:aws:sqs:us-east-1:000000000000:hints";
const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:europe";

struct Stage {
    cloud: Cloud,
    s3: S3Server,
    sqs: SqsServer,
    sns: SnsServer,
    admin: Keys,
}

impl Stage {
    fn new() -> Self {
        let cloud = Cloud::new();
        cloud.create_bucket("europe", "eu-west-1");
        let (s3, sqs, sns) = (S3Server::start(&cloud), SqsServer::start(&cloud), SnsServer::start(&cloud));
        let admin = cloud.admin();
        let free = "a port is free";
        Self { cloud, s3: s3.expect(free), sqs: sqs.expect(free), sns: sns.expect(free), admin }
    }

    fn sqs_in(&self, region: &str, keys: &Keys, action: &str, input: &Value) -> (u16, Value) {
        let request = Request { service: "sqs", ..Request::s3("POST", "/") };
        let request = request.region(region).header("x-amz-target", &format!("AmazonSQS.{action}"));
        let request = request.header("content-type", "application/x-amz-json-1.0").body(input.to_string());
        let reply = request.send(self.sqs.address(), keys).expect("it answers");
        (reply.status, serde_json::from_slice(&reply.body).expect("it is JSON"))
    }

    fn sqs(&self, action: &str, input: &Value) -> Value {
        let (status, output) = self.sqs_in("eu-west-1", &self.admin, action, input);
        assert_eq!(status, 200, "{action}: {output}");
        output
    }

    fn sns(&self, form: &[(&str, &str)]) -> Reply {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("Version", "2010-03-31").extend_pairs(form);
        let request = Request { service: "sns", ..Request::s3("POST", "/") }.body(body.finish());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.send(self.sns.address(), &self.admin).expect("it answers")
    }

    fn queue(&self, region: &str, attributes: &Value) {
        let input = json!({ "QueueName": "hints", "Attributes": attributes });
        let (status, output) = self.sqs_in(region, &self.admin, "CreateQueue", &input);
        assert_eq!((status, &output["QueueUrl"]), (200, &json!(self.sqs.queue_url("hints"))));
    }

    fn receive(&self, region: &str, seconds: u64) -> Vec<Value> {
        let input = json!({
            "QueueUrl": self.sqs.queue_url("hints"), "MaxNumberOfMessages": 10, "WaitTimeSeconds": seconds,
            "MessageSystemAttributeNames": ["All"]
        });
        let (status, output) = self.sqs_in(region, &self.admin, "ReceiveMessage", &input);
        assert_eq!(status, 200, "{output}");
        output["Messages"].as_array().cloned().unwrap_or_default()
    }

    fn bodies(&self, region: &str) -> Vec<Value> {
        let json =
            |message: &Value| serde_json::from_str(message["Body"].as_str().expect("a body")).expect("it is JSON");
        self.receive(region, 0).iter().map(json).collect()
    }

    fn notify(&self, xml: &str) -> Reply {
        let xml = format!("<NotificationConfiguration>{xml}</NotificationConfiguration>");
        let request = Request::s3("PUT", "/europe?notification").body(xml);
        request.send(self.s3.address(), &self.admin).expect("it answers")
    }

    fn put(&self, key: &str) {
        let request = Request::s3("PUT", &format!("/europe/{key}")).body("hello");
        assert_eq!(request.send(self.s3.address(), &self.admin).expect("it answers").status, 200);
    }
}

fn lets_in(service: &str, source: &str, action: &str, resource: &str) -> String {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": service }, "Action": action, "Resource": resource,
        "Condition": { "ArnEquals": { "aws:SourceArn": source } }
    }] })
    .to_string()
}

fn to_queue(prefix: &str) -> String {
    let filter =
        format!("<Filter><S3Key><FilterRule><Name>prefix</Name><Value>{prefix}</Value></FilterRule></S3Key></Filter>");
    format!(
        "<QueueConfiguration><Id>log</Id><Queue>{QUEUE}</Queue><Event>s3:ObjectCreated:*</Event>{filter}</QueueConfiguration>"
    )
}

/// A bucket whose log is told straight to a queue; the test event is taken out.
fn straight() -> Stage {
    let stage = Stage::new();
    let policy = lets_in("s3.amazonaws.com", "arn:aws:s3:::europe", "sqs:SendMessage", QUEUE);
    stage.queue("eu-west-1", &json!({ "Policy": policy, "VisibilityTimeout": "1" }));
    let reply = stage.notify(&to_queue("v1/log/"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let test = stage.bodies("eu-west-1");
    assert_eq!((test.len(), &test[0]["Event"], &test[0]["Bucket"]), (1, &json!("s3:TestEvent"), &json!("europe")));
    stage.sqs("PurgeQueue", &json!({ "QueueUrl": stage.sqs.queue_url("hints") }));
    stage
}

#[test]
fn a_creation_under_the_prefix_is_told_with_its_key_encoded() {
    let stage = straight();
    stage.put("v1/log/a%20b%2Bc");
    stage.put("v1/snap/x");
    let told = stage.bodies("eu-west-1");
    assert_eq!(told.len(), 1);
    let record = &told[0]["Records"][0];
    assert_eq!((&record["eventName"], &record["awsRegion"]), (&json!("ObjectCreated:Put"), &json!("eu-west-1")));
    assert_eq!(record["s3"]["object"]["key"], "v1/log/a+b%2Bc");
    assert_eq!((&record["s3"]["object"]["size"], &record["s3"]["configurationId"]), (&json!(5), &json!("log")));
    let got = Request::s3("GET", "/europe?notification").send(stage.s3.address(), &stage.admin).expect("it answers");
    assert_eq!((got.xml("Queue").as_deref(), got.xml("Value").as_deref()), (Some(QUEUE), Some("v1/log/")));
}

#[test]
fn a_destination_must_be_there_be_near_and_let_s3_in() {
    let stage = Stage::new();
    let refused = |xml: &str| {
        let reply = stage.notify(xml);
        (reply.status, reply.xml("Message").unwrap_or_default())
    };
    let unable = "Unable to validate the following destination configurations";
    assert!(refused(&to_queue("a")).1.starts_with(unable), "there is no queue");
    let other = lets_in("s3.amazonaws.com", "arn:aws:s3:::asia", "sqs:SendMessage", QUEUE);
    stage.queue("eu-west-1", &json!({ "Policy": other }));
    assert!(refused(&to_queue("a")).1.starts_with(unable), "it lets another bucket in");
    assert!(refused(&to_queue("a").replace("eu-west-1", "us-east-1")).1.contains("region"));
    let policy = lets_in("s3.amazonaws.com", "arn:aws:s3:::europe", "sqs:SendMessage", QUEUE);
    let input = json!({ "QueueUrl": stage.sqs.queue_url("hints"), "Attributes": { "Policy": policy } });
    stage.sqs("SetQueueAttributes", &input);
    assert!(refused(&(to_queue("v1/") + &to_queue("v1/log/"))).1.contains("overlap"));
    assert_eq!(refused(&(to_queue("v1/") + &to_queue("v2/"))).0, 200);
}

#[test]
fn a_topic_tells_queues_of_other_regions_wrapped_or_raw() {
    let stage = Stage::new();
    let s3_in = lets_in("s3.amazonaws.com", "arn:aws:s3:::europe", "sns:Publish", TOPIC);
    let created = stage.sns(&[("Action", "CreateTopic"), ("Name", "europe")]);
    assert_eq!(created.xml("TopicArn").as_deref(), Some(TOPIC));
    let set = [
        ("Action", "SetTopicAttributes"),
        ("TopicArn", TOPIC),
        ("AttributeName", "Policy"),
        ("AttributeValue", &s3_in),
    ];
    assert_eq!(stage.sns(&set).status, 200);
    for (region, arn) in [("eu-west-1", QUEUE), ("us-east-1", FAR)] {
        let policy = lets_in("sns.amazonaws.com", TOPIC, "sqs:SendMessage", arn);
        stage.queue(region, &json!({ "Policy": policy }));
    }
    let subscribe = [("Action", "Subscribe"), ("TopicArn", TOPIC), ("Protocol", "sqs"), ("Endpoint", QUEUE)];
    let wrapped = stage.sns(&subscribe).xml("SubscriptionArn").expect("it is subscribed");
    assert_eq!(stage.sns(&subscribe).xml("SubscriptionArn"), Some(wrapped.clone()), "twice is once");
    let raw = [("Attributes.entry.1.key", "RawMessageDelivery"), ("Attributes.entry.1.value", "true")];
    let far = [&subscribe[..3], &[("Endpoint", FAR)], &raw].concat();
    assert_eq!(stage.sns(&far).status, 200);
    let listed = stage.sns(&[("Action", "ListSubscriptionsByTopic"), ("TopicArn", TOPIC)]);
    assert_eq!(listed.xmls("Endpoint").len(), 2);
    let xml =
        format!("<TopicConfiguration><Topic>{TOPIC}</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration>");
    assert_eq!(stage.notify(&xml).status, 200);
    stage.put("v1/log/k");
    let near = stage.bodies("eu-west-1");
    assert_eq!((near.len(), &near[1]["Type"], &near[1]["TopicArn"]), (2, &json!("Notification"), &json!(TOPIC)));
    assert_eq!(near[1]["Subject"], "Amazon S3 Notification");
    let inner: Value = serde_json::from_str(near[1]["Message"].as_str().expect("a text")).expect("it is JSON");
    assert_eq!(inner["Records"][0]["s3"]["object"]["key"], "v1/log/k");
    let far = stage.bodies("us-east-1");
    assert_eq!((far.len(), &far[1]["Records"]), (2, &inner["Records"]), "raw is what is in the envelope");
    let ended = stage.sns(&[("Action", "Unsubscribe"), ("SubscriptionArn", &wrapped)]);
    assert_eq!(ended.status, 200);
    stage.put("v1/log/l");
    assert_eq!((stage.bodies("eu-west-1").len(), stage.bodies("us-east-1").len()), (0, 1));
}

#[test]
fn a_queue_that_does_not_let_a_topic_in_gets_nothing() {
    let stage = Stage::new();
    stage.sns(&[("Action", "CreateTopic"), ("Name", "europe")]);
    stage.queue("eu-west-1", &json!({}));
    stage.sns(&[("Action", "Subscribe"), ("TopicArn", TOPIC), ("Protocol", "sqs"), ("Endpoint", QUEUE)]);
    assert_eq!(stage.sns(&[("Action", "Publish"), ("TopicArn", TOPIC), ("Message", "x")]).status, 200);
    assert!(stage.receive("eu-west-1", 0).is_empty());
    assert_eq!(stage.cloud.deliveries().counts().refused, 1);
}

#[test]
fn event_bridge_tells_in_its_own_shape() {
    let stage = Stage::new();
    let rule = "arn:aws:events:eu-west-1:000000000000:rule/europe";
    let policy = lets_in("events.amazonaws.com", rule, "sqs:SendMessage", QUEUE);
    stage.queue("eu-west-1", &json!({ "Policy": policy }));
    stage.cloud.bridge("europe", QUEUE);
    stage.put("before");
    assert_eq!(stage.notify("<EventBridgeConfiguration/>").status, 200);
    stage.put("v1/log/a%20b");
    let told = stage.bodies("eu-west-1");
    assert_eq!((told.len(), &told[0]["detail-type"]), (1, &json!("Object Created")));
    assert_eq!(told[0]["detail"]["object"]["key"], "v1/log/a b");
}

#[test]
fn a_long_poll_wakes_when_something_comes() {
    let stage = straight();
    let began = Instant::now();
    let received = thread::scope(|scope| {
        let waiting = scope.spawn(|| stage.receive("eu-west-1", 20));
        thread::sleep(Duration::from_millis(300));
        stage.put("v1/log/k");
        waiting.join().expect("it ends")
    });
    assert_eq!(received.len(), 1);
    assert!((300..10_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(stage.receive("eu-west-1", 20).len(), 1, "it comes again when its second is over");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn poison_ends_in_the_dead_letter_queue_and_can_be_sent_back() {
    let stage = Stage::new();
    stage.sqs("CreateQueue", &json!({ "QueueName": "dead" }));
    let dead = "arn:aws:sqs:eu-west-1:000000000000:dead";
    let redrive = json!({ "deadLetterTargetArn": dead, "maxReceiveCount": 2 }).to_string();
    stage.queue("eu-west-1", &json!({ "RedrivePolicy": redrive, "VisibilityTimeout": "0" }));
    let url = stage.sqs.queue_url("hints");
    stage.sqs("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "poison" }));
    assert_eq!((stage.receive("eu-west-1", 0).len(), stage.receive("eu-west-1", 0).len()), (1, 1));
    assert_eq!(stage.receive("eu-west-1", 0).len(), 0);
    let count = |name: &str| {
        let input = json!({ "QueueUrl": stage.sqs.queue_url(name), "AttributeNames": ["ApproximateNumberOfMessages"] });
        stage.sqs("GetQueueAttributes", &input)["Attributes"]["ApproximateNumberOfMessages"].clone()
    };
    assert_eq!((count("hints"), count("dead")), (json!("0"), json!("1")));
    stage.sqs("StartMessageMoveTask", &json!({ "SourceArn": dead }));
    assert_eq!((count("hints"), count("dead")), (json!("1"), json!("0")));
    let again = &stage.receive("eu-west-1", 0)[0];
    assert_eq!((&again["Body"], &again["Attributes"]["ApproximateReceiveCount"]), (&json!("poison"), &json!("1")));
}

#[test]
fn a_batch_fails_entry_by_entry() {
    let stage = Stage::new();
    stage.queue("eu-west-1", &json!({}));
    let url = stage.sqs.queue_url("hints");
    stage.sqs("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "one" }));
    let receipt = stage.receive("eu-west-1", 0)[0]["ReceiptHandle"].clone();
    let entries = json!([{ "Id": "a", "ReceiptHandle": receipt }, { "Id": "b", "ReceiptHandle": "no" }]);
    let output = stage.sqs("DeleteMessageBatch", &json!({ "QueueUrl": url, "Entries": entries }));
    assert_eq!((&output["Successful"][0]["Id"], &output["Failed"][0]["Id"]), (&json!("a"), &json!("b")));
    let (status, output) =
        stage.sqs_in("eu-west-1", &stage.admin, "DeleteMessageBatch", &json!({ "QueueUrl": url, "Entries": [] }));
    assert_eq!((status, output["__type"].as_str().is_some()), (400, true));
    let (status, _) = stage.sqs_in("us-east-1", &stage.admin, "ReceiveMessage", &json!({ "QueueUrl": url }));
    assert_eq!(status, 400, "in that region there is no such queue");
}

#[test]
fn events_are_lost_doubled_late_and_out_of_order_when_asked() {
    let stage = straight();
    let late_by = Duration::from_millis(200);
    stage.cloud.deliveries().trouble(Troubles { lost: 0.2, doubled: 0.3, late: 0.5, late_by, reordered: true });
    for number in 0..60 {
        stage.put(&format!("v1/log/{number:02}"));
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut order = Vec::new();
    loop {
        let messages = stage.receive("eu-west-1", 1);
        if messages.is_empty() {
            break;
        }
        for message in messages {
            let body: Value = serde_json::from_str(message["Body"].as_str().expect("a body")).expect("it is JSON");
            let key = body["Records"][0]["s3"]["object"]["key"].as_str().expect("a key").to_owned();
            *seen.entry(key.clone()).or_default() += 1;
            order.push(key);
            let input = json!({ "QueueUrl": stage.sqs.queue_url("hints"), "ReceiptHandle": message["ReceiptHandle"] });
            stage.sqs("DeleteMessage", &input);
        }
    }
    let counts = stage.cloud.deliveries().counts();
    assert!(counts.lost > 0 && counts.doubled > 0 && counts.late > 0, "{counts:?}");
    // The test event arrived, too.
    assert_eq!(60 - counts.lost, seen.len() as u64);
    assert_eq!(counts.arrived - 1, seen.values().sum::<usize>() as u64);
    assert!(!order.is_sorted(), "{order:?}");
}

#[test]
fn queues_believe_signatures_and_policies_alone() {
    let stage = Stage::new();
    stage.queue("eu-west-1", &json!({}));
    let consumer = r#"{ "Version": "2012-10-17", "Statement": { "Effect": "Allow",
        "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
        "Resource": "arn:aws:sqs:eu-west-1:000000000000:hints" } }"#;
    let consumer = stage.cloud.principal("consumer", &[consumer]).expect("the policy is read");
    let input = json!({ "QueueUrl": stage.sqs.queue_url("hints"), "MessageBody": "x" });
    let status = |keys: &Keys, action: &str| stage.sqs_in("eu-west-1", keys, action, &input);
    assert_eq!(status(&consumer, "ReceiveMessage").0, 200);
    assert_eq!(status(&consumer, "SendMessage").0, 403);
    assert_eq!(status(&consumer, "PurgeQueue").0, 403);
    let wrong = Keys { secret_key: "guess".to_owned(), ..stage.admin.clone() };
    let (code, output) = status(&wrong, "ReceiveMessage");
    assert_eq!((code, &output["__type"]), (403, &json!("com.amazon.coral.service#InvalidSignatureException")));
    stage.sqs.faults().add(Rule::new(Fault::Refuse(Refusal::SlowDown)).on("ReceiveMessage").at("hints").times(1));
    assert_eq!(status(&stage.admin, "ReceiveMessage").1["__type"], "com.amazonaws.sqs#RequestThrottled");
    assert_eq!(stage.sqs.meter().of("ReceiveMessage").refused, 2);
}
