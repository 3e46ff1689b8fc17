//! What must be there, and what it is called.

use replica::ports::{BucketError, Outcome};

use crate::{QueueUrl, S3Url};

/// The regions of AWS that are off until an account switches them on. A topic there, or a queue, is another
/// principal's.
const OPT_IN: [&str; 17] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
];

/// What a region uses.
#[derive(Clone, Debug)]
pub struct Site {
    /// What the region is called.
    pub name: String,
    /// Its bucket, which others read.
    pub bucket: S3Url,
    /// Its queue, which tells it of objects in the buckets of the others. Without one it polls.
    pub queue: Option<QueueUrl>,
    /// The replicas that write in its bucket.
    pub replicas: Vec<String>,
}

/// What must be there for some regions to work together.
///
/// In each region a bucket; where a region has a queue, that and a dead-letter queue; where another region has one, a
/// topic beside the bucket, which the bucket tells of each new object in a log, and to which the others' queues are
/// subscribed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) sites: Vec<Place>,
}

/// A region with the names of what is in it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) bucket: S3Url,
    pub(super) replicas: Vec<String>,
    pub(super) queue: Option<QueueUrl>,
    pub(super) dead_letters: Option<String>,
    pub(super) topic: Option<String>,
    /// The regions whose topics its queue hears, by their places in the plan.
    pub(super) hears: Vec<usize>,
}

impl Plan {
    /// The plan for these regions.
    ///
    /// # Errors
    ///
    /// `Refused` when the region of AWS of a bucket is not known, or a queue is elsewhere than its bucket.
    pub fn new(sites: Vec<Site>) -> Result<Self, BucketError> {
        let refused = |says: String| Err(BucketError::new(Outcome::Refused, says));
        let has_queue: Vec<bool> = sites.iter().map(|site| site.queue.is_some()).collect();
        let elsewhere = |at: usize| (0..has_queue.len()).filter(move |other| *other != at);
        let mut places = Vec::new();
        for (at, site) in sites.into_iter().enumerate() {
            let Site { name, bucket, queue, replicas } = site;
            let region = bucket.region().or(bucket.endpoint().map(|_| "us-east-1"));
            let Some(region) = region.map(str::to_owned) else {
                return refused(format!("region {name}: write `?region=` behind the URL of its bucket"));
            };
            if let Some(queue) = queue.as_ref().filter(|queue| queue.region() != region) {
                return refused(format!(
                    "region {name}: its queue is in {}, and its bucket in {region}; put both into one region",
                    queue.region()
                ));
            }
            let is_heard = elsewhere(at).any(|other| has_queue[other]);
            places.push(Place {
                topic: is_heard.then(|| topic(&bucket)),
                dead_letters: queue.as_ref().map(|queue| format!("{:.75}-dead", queue.name())),
                hears: queue.as_ref().map(|_| elsewhere(at).collect()).unwrap_or_default(),
                name,
                region,
                bucket,
                replicas,
                queue,
            });
        }
        Ok(Self { sites: places })
    }

    /// The account, if one of the URLs names it.
    #[must_use]
    pub fn account(&self) -> Option<String> {
        let named = self
            .sites
            .iter()
            .find_map(|site| site.queue.as_ref().and_then(QueueUrl::account).or_else(|| site.bucket.owner()));
        named.map(str::to_owned)
    }

    /// The names of the regions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sites.iter().map(|site| &*site.name)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Place> {
        self.sites.iter().find(|site| site.name == name)
    }

    pub(super) fn heard_by<'a>(&'a self, site: &'a Place) -> impl Iterator<Item = &'a Place> {
        site.hears.iter().map(|at| &self.sites[*at])
    }

    /// Those whose queues hear the topic of this one.
    pub(super) fn listeners_of<'a>(&'a self, site: &'a Place) -> impl Iterator<Item = &'a Place> {
        self.sites.iter().filter(move |other| self.heard_by(other).any(|heard| heard.name == site.name))
    }
}

impl Place {
    pub(super) fn partition(&self) -> &'static str {
        match &*self.region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    pub(super) fn bucket_arn(&self) -> String {
        format!("arn:{}:s3:::{}", self.partition(), self.bucket.bucket())
    }

    /// The ARN of all objects below a folder of the prefix.
    pub(super) fn objects_arn(&self, folder: &str) -> String {
        format!("{}/{}{folder}*", self.bucket_arn(), self.bucket.prefix())
    }

    pub(super) fn queue_arn(&self, account: &str) -> Option<String> {
        self.queue.as_ref().map(|queue| self.arn("sqs", account, queue.name()))
    }

    pub(super) fn dead_letters_arn(&self, account: &str) -> Option<String> {
        self.dead_letters.as_ref().map(|name| self.arn("sqs", account, name))
    }

    pub(super) fn topic_arn(&self, account: &str) -> Option<String> {
        self.topic.as_ref().map(|name| self.arn("sns", account, name))
    }

    fn arn(&self, service: &str, account: &str, name: &str) -> String {
        format!("arn:{}:{service}:{}:{account}:{name}", self.partition(), self.region)
    }

    /// Where in the bucket the logs are.
    pub(super) fn logs(&self) -> String {
        format!("{}v1/log/", self.bucket.prefix())
    }

    /// What our rules in the bucket are called, apart from those of others and of other prefixes.
    pub(super) fn id(&self, what: &str) -> String {
        let prefix = self.bucket.prefix().trim_end_matches('/').replace('/', "-");
        let between = if prefix.is_empty() { "" } else { "-" };
        format!("archipelago{between}{prefix}-{what}")
    }

    /// Whose message it is that arrives from a topic there.
    pub(super) fn principal_of(&self, topic: &Self) -> String {
        let is_opt_in = |region: &str| OPT_IN.contains(&region);
        match (is_opt_in(&topic.region), is_opt_in(&self.region)) {
            (_, true) if topic.region != self.region => format!("sns.{}.amazonaws.com", self.region),
            (true, false) => format!("sns.{}.amazonaws.com", topic.region),
            _ => "sns.amazonaws.com".to_owned(),
        }
    }
}

/// What the topic is called: as the bucket and the prefix, which together are nobody else's.
fn topic(bucket: &S3Url) -> String {
    let name = format!("archipelago-{}-{}", bucket.bucket(), bucket.prefix());
    name.trim_end_matches(['-', '/']).replace(['/', '.'], "-")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::provision) fn plan() -> Plan {
        let site = |name: &str, prefix: &str| Site {
            name: name.to_owned(),
            bucket: format!("s3://likes-{name}{prefix}?region={name}").parse().expect("a bucket"),
            queue: Some(format!("sqs://likes-{name}?region={name}").parse().expect("a queue")),
            replicas: vec![name.to_owned()],
        };
        Plan::new(vec![site("us-east-1", ""), site("eu-west-1", "/production"), site("ap-east-1", "")]).expect("a plan")
    }

    #[test]
    fn a_queue_hears_every_bucket_but_its_own() {
        let plan = plan();
        for site in &plan.sites {
            let heard: Vec<&str> = plan.heard_by(site).map(|site| &*site.name).collect();
            assert!(heard.len() == 2 && !heard.contains(&&*site.name), "{heard:?}");
            assert_eq!(plan.listeners_of(site).count(), 2);
        }
    }

    #[test]
    fn without_queues_there_are_buckets_alone() {
        let site = |name: &str| Site {
            name: name.to_owned(),
            bucket: format!("s3://likes-{name}?endpoint=http://127.0.0.1:1").parse().expect("a bucket"),
            queue: None,
            replicas: vec![],
        };
        let plan = Plan::new(vec![site("one"), site("two")]).expect("a plan");
        assert!(plan.sites.iter().all(|site| site.topic.is_none() && site.dead_letters.is_none()));
    }

    #[test]
    fn names_are_apart_where_buckets_are_shared() {
        let plan = plan();
        let [us, eu, _] = &*plan.sites else { panic!("three regions") };
        assert_eq!(us.topic.as_deref(), Some("archipelago-likes-us-east-1"));
        assert_eq!(eu.topic.as_deref(), Some("archipelago-likes-eu-west-1-production"));
        assert_eq!(
            (us.id("log"), eu.id("log")),
            ("archipelago-log".to_owned(), "archipelago-production-log".to_owned())
        );
        assert_eq!(eu.objects_arn("v1/log/"), "arn:aws:s3:::likes-eu-west-1/production/v1/log/*");
    }

    #[test]
    fn a_topic_in_a_region_that_was_switched_on_speaks_for_itself() {
        let plan = plan();
        let [us, eu, hk] = &*plan.sites else { panic!("three regions") };
        assert_eq!(us.principal_of(eu), "sns.amazonaws.com");
        assert_eq!(us.principal_of(hk), "sns.ap-east-1.amazonaws.com");
        assert_eq!(hk.principal_of(us), "sns.ap-east-1.amazonaws.com");
    }

    #[test]
    fn a_bucket_must_say_its_region_and_a_queue_be_there() {
        let site = |bucket: &str, queue: &str| Site {
            name: "eu".to_owned(),
            bucket: bucket.parse().expect("a bucket"),
            queue: Some(queue.parse().expect("a queue")),
            replicas: vec![],
        };
        let says = |site| Plan::new(vec![site]).expect_err("it is wrong").to_string();
        assert!(says(site("s3://likes", "sqs://likes?region=eu-west-1")).contains("`?region=`"));
        let apart = site("s3://likes?region=us-east-1", "sqs://likes?region=eu-west-1");
        assert!(says(apart).contains("put both into one region"));
    }
}
