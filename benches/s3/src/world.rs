//! Two regions on servers of their own: one writes, the other reads.

use std::time::Duration;

use aws_credential_types::Credentials;
use replica::{Replica, Settings};
use servers::{Cloud as Account, Fault, Rule, S3Server, SnsServer, SqsServer};
use store_s3::{Cloud, Plan, Queue, QueueUrl, S3Bucket, S3Url, Site, Source, SqsHints};

pub(crate) const WRITER: &str = "eu-west-1";
pub(crate) const READER: &str = "us-east-1";

pub(crate) struct World {
    pub(crate) account: Account,
    pub(crate) s3: S3Server,
    pub(crate) sqs: SqsServer,
    pub(crate) sns: SnsServer,
}

impl World {
    /// Everything that two regions need, provisioned. Each request takes so much longer from then on.
    pub(crate) async fn provisioned(latency: Duration) -> Self {
        let account = Account::new();
        let s3 = S3Server::start(&account).expect("a port");
        let sqs = SqsServer::start(&account).expect("a port");
        let sns = SnsServer::start(&account).expect("a port");
        let world = Self { account, s3, sqs, sns };
        let site = |region: &str| Site {
            name: region.to_owned(),
            bucket: world.url(region),
            queue: Some(world.queue(region)),
            replicas: vec![region.to_owned()],
        };
        let plan = Plan::new(vec![site(WRITER), site(READER)]).expect("a plan");
        let cloud = Cloud::connect_as(plan, world.credentials(), Some(&world.sns.url())).await;
        cloud.provision().await.expect("it is made");
        if !latency.is_zero() {
            for faults in [world.s3.faults(), world.sqs.faults()] {
                faults.add(Rule::new(Fault::Delay { least: latency, most: latency }));
            }
        }
        world
    }

    pub(crate) fn credentials(&self) -> Credentials {
        let keys = self.account.admin();
        Credentials::new(&keys.access_key, &keys.secret_key, None, None, "bench")
    }

    pub(crate) fn url(&self, region: &str) -> S3Url {
        format!("s3://likes-{region}?region={region}&endpoint={}", self.s3.url()).parse().expect("a bucket")
    }

    fn queue(&self, region: &str) -> QueueUrl {
        format!("sqs://likes-{region}?region={region}&endpoint={}", self.sqs.url()).parse().expect("a queue")
    }

    pub(crate) async fn bucket(&self, region: &str) -> S3Bucket {
        S3Bucket::open_as(&self.url(region), self.credentials()).await.expect("a bucket")
    }

    /// The replica of a region, with the other one as its peer.
    pub(crate) async fn open(&self, region: &str, settings: &Settings, hears: bool) -> Replica {
        let other = if region == WRITER { READER } else { WRITER };
        let builder = Replica::builder(region, self.bucket(region).await).settings(settings.clone());
        let mut builder = builder.peer(other, self.bucket(other).await);
        if hears {
            let queue = Queue::connect_as(&self.queue(region), self.credentials()).await;
            let source = Source { bucket: format!("likes-{other}"), prefix: String::new() };
            builder = builder.hints(SqsHints::listen(queue, vec![source]));
        }
        builder.open().await.expect("it opens")
    }
}
