//! Hints, provisioning and roles against the servers of this repository: what was provisioned is what makes hints
//! arrive, what is printed is what is enforced, and a queue that is away or full of garbage holds up nothing.

use std::{future::Future, time::Duration};

use aws_credential_types::Credentials;
use bytes::Bytes;
use replica::{
    Replica,
    ports::{Bucket, Created, Hints, Outcome},
};
use servers::{Cloud as Account, Keys, S3Server, SnsServer, SqsServer, Troubles};
use store_s3::{Cloud, DeadLetters, Plan, Queue, QueueUrl, Role, S3Bucket, S3Url, Site, Source, SqsHints};
use tokio::time::{Instant, sleep, timeout};

/// The account of the servers.
const ACCOUNT: &str = "000000000000";

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

struct World {
    account: Account,
    s3: S3Server,
    sqs: SqsServer,
    sns: SnsServer,
}

impl World {
    fn new() -> Self {
        let account = Account::new();
        Self {
            s3: S3Server::start(&account).expect("a server"),
            sqs: SqsServer::start(&account).expect("a server"),
            sns: SnsServer::start(&account).expect("a server"),
            account,
        }
    }

    fn admin(&self) -> Credentials {
        credentials(&self.account.admin())
    }

    fn bucket(&self, region: &str) -> S3Url {
        format!("s3://likes-{region}/production?region={region}&endpoint={}", self.s3.url()).parse().expect("a bucket")
    }

    fn queue(&self, region: &str) -> QueueUrl {
        format!("sqs://likes-{region}?region={region}&endpoint={}", self.sqs.url()).parse().expect("a queue")
    }

    fn plan(&self) -> Plan {
        let site = |region: &str| Site {
            name: region.to_owned(),
            bucket: self.bucket(region),
            queue: Some(self.queue(region)),
            replicas: vec![region.to_owned()],
        };
        Plan::new(REGIONS.map(site).into()).expect("a plan")
    }

    async fn cloud(&self) -> Cloud {
        Cloud::connect_as(self.plan(), self.admin(), Some(&self.sns.url())).await
    }

    async fn provisioned() -> Self {
        let world = Self::new();
        world.cloud().await.provision().await.expect("everything is made");
        world
    }

    /// A principal with these roles of a region.
    fn acting(&self, region: &str, roles: &[Role]) -> Credentials {
        let policies: Vec<String> =
            roles.iter().map(|role| self.plan().role(region, *role, ACCOUNT).expect("a policy").to_string()).collect();
        let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
        let name = format!("{region}-{}", roles.iter().map(|role| role.name()).collect::<String>());
        credentials(&self.account.principal(&name, &policies).expect("the server reads the policies"))
    }

    async fn listen(&self, region: &str) -> SqsHints {
        let queue = Queue::connect_as(&self.queue(region), self.acting(region, &[Role::Consumer])).await;
        SqsHints::listen(queue, sources(region))
    }

    async fn create(&self, region: &str, key: &str) {
        let bucket = S3Bucket::open_as(&self.bucket(region), self.admin()).await.expect("a bucket");
        let created = bucket.create(key, Bytes::from_static(b"1")).await;
        assert_eq!(created.expect("it is written"), Created::New);
    }

    /// How much is in a queue: waiting, and under way.
    async fn in_queue(&self, region: &str) -> (u64, u64) {
        let state = Queue::connect_as(&self.queue(region), self.admin()).await.state().await.expect("it answers");
        (state.waiting, state.under_way)
    }

    /// The SDK's own client, for what no part of ours does.
    fn raw(&self, region: &str) -> (aws_sdk_sqs::Client, String) {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::v2026_01_12())
            .region(aws_sdk_sqs::config::Region::new(region.to_owned()))
            .endpoint_url(self.sqs.url())
            .credentials_provider(self.admin())
            .build();
        let url = format!("{}/{ACCOUNT}/likes-{region}", self.sqs.url());
        (aws_sdk_sqs::Client::from_conf(config), url)
    }
}

fn credentials(keys: &Keys) -> Credentials {
    Credentials::new(&keys.access_key, &keys.secret_key, None, None, "test")
}

fn sources(here: &str) -> Vec<Source> {
    let others = REGIONS.into_iter().filter(|region| *region != here);
    others.map(|region| Source { bucket: format!("likes-{region}"), prefix: "production/".to_owned() }).collect()
}

async fn within<T>(time: Duration, what: impl Future<Output = T>) -> T {
    timeout(time, what).await.expect("it does not come in time")
}

/// Waits until it is so.
async fn until(time: Duration, is_so: impl AsyncFn() -> bool) {
    let end = Instant::now() + time;
    while !is_so().await {
        assert!(Instant::now() < end, "it does not become so in time");
        sleep(Duration::from_millis(50)).await;
    }
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_twice_changes_nothing_the_second_time() {
    let world = World::new();
    let cloud = world.cloud().await;
    assert!(!cloud.check().await.expect("it answers").is_empty(), "nothing is there yet");
    assert!(!cloud.provision().await.expect("everything is made").is_empty());
    assert_eq!(cloud.check().await.expect("it answers"), []);
    assert_eq!(cloud.provision().await.expect("nothing is to be made"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_provisioned_tells_every_other_region_of_a_segment() {
    let world = World::provisioned().await;
    let [us, eu, ap] = REGIONS;
    let (in_eu, in_ap) = (world.listen(eu).await, world.listen(ap).await);
    // What S3 sent to try the other regions' topics; nobody receives it.
    let before = world.in_queue(us).await;
    let key = "v1/log/us-east-1/00000000/00000000";
    world.create(us, key).await;
    for hints in [&in_eu, &in_ap] {
        let hint = within(SOON, hints.next()).await;
        assert_eq!(hint.key.as_deref(), Some(key));
        hints.done(hint).await;
    }
    for region in [eu, ap] {
        until(SOON, async || world.in_queue(region).await == (0, 0)).await;
    }
    assert_eq!(world.in_queue(us).await, before, "a region is not told of itself");
    world.create(us, "v1/part/us-east-1/1/2").await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(world.in_queue(eu).await, (0, 0), "nobody is told of what is no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_holds_up_nothing_and_ends_among_the_dead_letters() {
    let world = World::provisioned().await;
    let [us, eu, _] = REGIONS;
    let (raw, url) = world.raw(eu);
    let garbage = "x".repeat(200 * 1024);
    for _ in 0..25 {
        raw.send_message().queue_url(&url).message_body(&garbage).send().await.expect("it is sent");
    }
    let hints = world.listen(eu).await;
    world.create(us, "v1/log/us-east-1/00000000/00000000").await;
    let hint = within(SOON, hints.next()).await;
    assert_eq!(hint.key.as_deref(), Some("v1/log/us-east-1/00000000/00000000"));
    hints.done(hint).await;
    assert_eq!(hints.trouble(), None);
    until(SOON, async || world.in_queue(eu).await.0 == 0).await;
    drop(hints);
    // What it has received comes back after a while, and would be among the letters too.
    raw.purge_queue().queue_url(&url).send().await.expect("it is emptied");

    // Received as often as the redrive policy takes it.
    raw.send_message().queue_url(&url).message_body("hello").send().await.expect("it is sent");
    let letters = DeadLetters::of(Queue::connect_as(&world.queue(eu), world.acting(eu, &[Role::Operator])).await).await;
    let letters = letters.expect("there is a dead-letter queue");
    // The last receive of the listener that has ended may still take it, and hides it for a while.
    until(Duration::from_secs(90), async || {
        let receive = raw.receive_message().queue_url(&url).visibility_timeout(0).max_number_of_messages(10);
        receive.send().await.expect("it is received");
        letters.count().await.expect("it answers") > 0
    })
    .await;
    for _ in 0..2 {
        let found = letters.list(10, &sources(eu)).await.expect("they are listed");
        let [letter] = &*found else { panic!("one letter, and it stays: {found:?}") };
        assert!(letter.start == "hello" && letter.reason.contains("not JSON") && letter.bytes == 5, "{letter:?}");
    }
    let hints = world.listen(eu).await;
    until(SOON, async || hints.look().is_some_and(|look| look.dead == Some(1))).await;
    drop(hints);
    let replayed = letters.replay(10).await.expect("they are sent back");
    assert_eq!((replayed.sent, replayed.doubled, letters.count().await.expect("it answers")), (1, 0, 0));
    assert_eq!(letters.purge().await.expect("it is purged"), 0);
}

/// By the clock of the queue, which is that of this machine here.
#[tokio::test(flavor = "multi_thread")]
async fn how_long_a_message_waited_is_told() {
    let world = World::provisioned().await;
    let [us, eu, _] = REGIONS;
    world.create(us, "v1/log/us-east-1/00000000/00000000").await;
    sleep(Duration::from_millis(1_500)).await;
    let hints = world.listen(eu).await;
    within(SOON, hints.next()).await;
    let look = hints.look().expect("it is a queue");
    assert!(look.oldest.is_some_and(|oldest| (Duration::from_secs(1)..SOON).contains(&oldest)), "{look:?}");
    assert_eq!(look.name, "likes-eu-west-1");
    until(SOON, async || hints.look().is_some_and(|look| look.dead == Some(0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_away_says_so_and_comes_back() {
    let mut world = World::provisioned().await;
    let [us, eu, _] = REGIONS;
    let port = world.sqs.address().port();
    let hints = world.listen(eu).await;
    assert_eq!(hints.trouble(), None);
    let account = world.account.clone();
    world.sqs = SqsServer::start(&account).expect("another one");
    until(2 * SOON, async || hints.trouble().is_some()).await;
    let says = hints.trouble().expect("it is away");
    assert!(
        says.contains("likes-eu-west-1") && says.contains("since 20") && says.contains("polling goes on"),
        "{says}"
    );
    world.sqs = SqsServer::start_on(&account, port).expect("the port is free again");
    world.create(us, "v1/log/us-east-1/00000000/00000000").await;
    let hint = within(Duration::from_secs(40), hints.next()).await;
    assert_eq!(hint.key.as_deref(), Some("v1/log/us-east-1/00000000/00000000"));
    hints.done(hint).await;
    // What could not be deleted meanwhile is tried again after a pause.
    until(2 * SOON, async || hints.trouble().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_and_a_wrong_name_are_named() {
    let world = World::provisioned().await;
    let [us, eu, _] = REGIONS;
    let foreign = Queue::connect_as(&world.queue(eu), world.acting(us, &[Role::Consumer])).await;
    let refused = foreign.state().await.expect_err("it is not its queue");
    assert_eq!(refused.outcome, Outcome::Refused);
    assert!(refused.to_string().contains("sqs:GetQueueUrl"), "{refused}");
    let hints = SqsHints::listen(foreign, sources(eu));
    until(SOON, async || hints.trouble().is_some_and(|says| says.contains("lack the permission sqs:"))).await;
    let missing: QueueUrl = world.queue(eu).to_string().replace("likes-eu", "likes-ue").parse().expect("a queue");
    let refused = Queue::connect_as(&missing, world.admin()).await.state().await.expect_err("there is none");
    assert!(refused.to_string().contains("there is none"), "{refused}");
    let wrong = Credentials::new("AKIAWRONG", "wrong", None, None, "test");
    let refused = Queue::connect_as(&world.queue(eu), wrong).await.state().await.expect_err("nobody knows the key");
    assert_eq!(refused.outcome, Outcome::Refused, "{refused}");
}

/// Each role does what it must, and is refused everything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_may_do_what_it_must_and_nothing_else() {
    let world = World::provisioned().await;
    let [us, eu, _] = REGIONS;
    let (log, others) = ("v1/log/eu-west-1/00000000/00000000", "v1/log/us-east-1/00000000/00000000");
    let open = async |bucket: &str, role| {
        S3Bucket::open_as(&world.bucket(bucket), world.acting(eu, &[role])).await.expect("it opens")
    };
    let is_refused = |outcome: Option<Outcome>| outcome == Some(Outcome::Refused);
    let body = || Bytes::from_static(b"1");
    world.create(us, others).await;

    let writer = open(eu, Role::Writer).await;
    writer.check("v1/log/").await.expect("it may look");
    assert_eq!(writer.create(log, body()).await.expect("it writes its log"), Created::New);
    assert_eq!(writer.create(log, body()).await.expect("it is told"), Created::Exists);
    assert_eq!(writer.get(log).await.expect("it reads"), Some(body()));
    assert_eq!(writer.get("v1/log/eu-west-1/00000000/00000009").await.expect("nothing is there"), None);
    assert_eq!(writer.folders("v1/log/").await.expect("it lists"), ["eu-west-1"]);
    assert!(is_refused(writer.create(others, body()).await.err().map(|error| error.outcome)), "another's log");
    assert!(is_refused(writer.create("v2/log/a", body()).await.err().map(|error| error.outcome)), "elsewhere");
    assert!(is_refused(writer.delete(log).await.err().map(|error| error.outcome)), "a segment");
    let foreign = open(us, Role::Writer).await;
    assert!(is_refused(foreign.get(others).await.err().map(|error| error.outcome)), "another's bucket");

    let reader = open(us, Role::Reader).await;
    assert_eq!(reader.get(others).await.expect("it reads"), Some(body()));
    assert_eq!(reader.get("v1/log/us-east-1/00000000/00000009").await.expect("nothing is there"), None);
    assert_eq!(reader.list("v1/log/", None, 10).await.expect("it lists").objects.len(), 1);
    assert!(is_refused(reader.create(log, body()).await.err().map(|error| error.outcome)), "it writes nothing");
    assert!(is_refused(reader.delete(others).await.err().map(|error| error.outcome)), "it deletes nothing");
    assert!(is_refused(open(eu, Role::Reader).await.get(log).await.err().map(|error| error.outcome)), "peers alone");

    let collector = open(eu, Role::Collector).await;
    assert!(is_refused(collector.get(log).await.err().map(|error| error.outcome)), "it reads nothing");
    assert!(is_refused(collector.delete(others).await.err().map(|error| error.outcome)), "another's log");
    assert!(is_refused(collector.delete("v1/probe/eu-west-1/1").await.err().map(|error| error.outcome)), "a probe");
    collector.delete(log).await.expect("it deletes its own");
    assert!(is_refused(collector.create(log, body()).await.err().map(|error| error.outcome)), "it writes nothing");

    // The header is forced: without it the writer could overwrite.
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_s3::config::Region::new(eu))
        .endpoint_url(world.s3.url())
        .force_path_style(true)
        .credentials_provider(world.acting(eu, &[Role::Writer]))
        .build();
    let put = aws_sdk_s3::Client::from_conf(config).put_object().bucket("likes-eu-west-1");
    let put = put.key(format!("production/{log}")).body(aws_sdk_s3::primitives::ByteStream::from_static(b"2"));
    let refused = put.send().await.expect_err("it could overwrite");
    assert_eq!(refused.raw_response().map(|answer| answer.status().as_u16()), Some(403), "{refused:?}");
}

/// With the policies that are printed a replica does all that it does: it opens, is probed, writes, hears of the
/// others, reads them, takes a snapshot, and ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_lives_with_the_printed_policies_alone() {
    let world = World::provisioned().await;
    let [us, eu, _] = REGIONS;
    let replica = async |here: &'static str, there: &str| {
        let roles = [Role::Writer, Role::Reader, Role::Collector];
        let keys = world.acting(here, &roles);
        let own = S3Bucket::open_as(&world.bucket(here), keys.clone()).await.expect("a bucket");
        let peer = S3Bucket::open_as(&world.bucket(there), keys).await.expect("a bucket");
        let mut settings = replica::Settings::default();
        // Nothing comes but by hints.
        let hour = Duration::from_secs(3_600);
        (settings.poll_min, settings.poll_max, settings.discovery_interval) = (hour, hour, hour);
        settings.flush_interval = Duration::from_millis(10);
        let builder = Replica::builder(here, own).peer(there, peer).settings(settings).hints(world.listen(here).await);
        builder.open().await.expect("it opens")
    };
    let (first, second) = (replica(us, eu).await, replica(eu, us).await);
    for number in 1..=5 {
        let likes = first.pn_counter("likes").expect("a path");
        likes.add(1).expect("it counts").durable().await.expect("it is written");
        until(SOON, async || second.pn_counter("likes").expect("a path").value() == number).await;
    }
    assert_eq!(second.status().alarms, [], "nothing was refused");
    assert_eq!(first.status().alarms, [], "nothing was refused");
    first.close().await.expect("it ends");
    second.close().await.expect("it ends");
}

/// Events are lost, come twice, late and in any order: that costs time and nothing else, and the queue is empty in the end.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_events_costs_time_and_nothing_else() {
    const CHANGES: i128 = 60;
    let world = World::provisioned().await;
    let [us, eu, _] = REGIONS;
    let late_by = Duration::from_secs(3);
    world.account.deliveries().trouble(Troubles { lost: 0.2, doubled: 0.3, late: 0.3, late_by, reordered: true });
    let open = async |here: &str, there: &str| {
        let own = S3Bucket::open_as(&world.bucket(here), world.admin()).await.expect("a bucket");
        let peer = S3Bucket::open_as(&world.bucket(there), world.admin()).await.expect("a bucket");
        let mut settings = replica::Settings::default();
        settings.flush_interval = Duration::from_millis(10);
        // What is lost is found by polling.
        (settings.poll_min, settings.poll_max) = (Duration::from_secs(2), Duration::from_secs(2));
        let builder = Replica::builder(here, own).peer(there, peer).settings(settings).hints(world.listen(here).await);
        builder.open().await.expect("it opens")
    };
    let (first, second) = (open(us, eu).await, open(eu, us).await);
    for _ in 0..CHANGES {
        for replica in [&first, &second] {
            let likes = replica.pn_counter("likes").expect("a path");
            likes.add(1).expect("it counts").durable().await.expect("it is written");
        }
    }
    for (replica, other) in [(&first, &second), (&second, &first)] {
        within(SOON, replica.wait_for(&other.token())).await.expect("it arrives");
        assert_eq!(replica.pn_counter("likes").expect("a path").value(), 2 * CHANGES);
        assert_eq!(replica.status().alarms, [], "{}", replica.name());
    }
    let became = world.account.deliveries().counts();
    assert!(became.lost > 0 && became.doubled > 0 && became.late > 0, "nothing has happened: {became:?}");
    world.account.deliveries().trouble(Troubles::default());
    for region in [us, eu] {
        until(2 * SOON, async || world.in_queue(region).await == (0, 0)).await;
    }
    first.close().await.expect("it ends");
    second.close().await.expect("it ends");
}
