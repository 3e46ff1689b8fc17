//! Topics, and the way of events from buckets through them to queues.

use std::collections::BTreeMap;

use s3s::{S3Result, dto::NotificationConfiguration, s3_error};
use tokio::time::Instant;

use crate::{
    cloud::Cloud,
    events::{Event, bucket_arn, envelope, test_event},
    policy::{ACCOUNT, Caller, Context, Policy, Request},
    queues::{Message, no_attributes},
    time::{iso, now},
};

/// A topic.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) policy: Option<Policy>,
    /// By ARN.
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
}

/// A queue that gets what is published.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) queue: String,
    pub(crate) is_raw: bool,
}

/// Where a notification goes, with the id of its configuration.
struct Destination {
    id: String,
    arn: String,
    events: Vec<String>,
    prefix: String,
    suffix: String,
}

impl Destination {
    fn is_meant(&self, event: &Event) -> bool {
        self.events.iter().any(|configured| event.is_meant(configured))
            && event.key.starts_with(&self.prefix)
            && event.key.ends_with(&self.suffix)
    }

    /// Whether some event of some key would go to both.
    fn overlaps(&self, other: &Self) -> bool {
        let begins = |one: &str, two: &str| one.starts_with(two) || two.starts_with(one);
        let ends = |one: &str, two: &str| one.ends_with(two) || two.ends_with(one);
        let stem = |name: &String| name.trim_end_matches('*').to_owned();
        let same = |one: &String| other.events.iter().any(|two| begins(&stem(one), &stem(two)));
        self.events.iter().any(same) && begins(&self.prefix, &other.prefix) && ends(&self.suffix, &other.suffix)
    }
}

/// The destinations of a configuration.
fn destinations(configuration: &NotificationConfiguration) -> S3Result<Vec<Destination>> {
    let queues = configuration.queue_configurations.iter().flatten();
    let queues = queues.map(|queue| (&queue.id, &queue.queue_arn, &queue.events, &queue.filter));
    let topics = configuration.topic_configurations.iter().flatten();
    let topics = topics.map(|topic| (&topic.id, &topic.topic_arn, &topic.events, &topic.filter));
    let mut found = Vec::new();
    for (id, arn, events, filter) in queues.chain(topics) {
        let (mut prefix, mut suffix) = (String::new(), String::new());
        let rules = filter.as_ref().and_then(|filter| filter.key.as_ref()).and_then(|key| key.filter_rules.as_ref());
        for rule in rules.into_iter().flatten() {
            let value = rule.value.clone().unwrap_or_default();
            match rule.name.as_ref().map(|name| name.as_str().to_ascii_lowercase()).as_deref() {
                Some("prefix") => prefix = value,
                Some("suffix") => suffix = value,
                _ => return Err(s3_error!(InvalidArgument, "filter rule name must be either prefix or suffix")),
            }
        }
        let events = events.iter().map(|event| event.as_ref().to_owned()).collect();
        found.push(Destination { id: id.clone().unwrap_or_default(), arn: arn.clone(), events, prefix, suffix });
    }
    Ok(found)
}

impl Cloud {
    /// Configures the notifications of a bucket as S3 does: each destination must be there, in the bucket's region, and let
    /// S3 in; no two may overlap; each then gets a test event.
    pub(crate) fn configure_notifications(
        &self,
        bucket: &str,
        mut configuration: NotificationConfiguration,
        validates: bool,
    ) -> S3Result<()> {
        if configuration.lambda_function_configurations.as_ref().is_some_and(|functions| !functions.is_empty()) {
            return Err(s3_error!(NotImplemented, "There are no functions here"));
        }
        let id = |id: &mut Option<String>| *id = id.take().or_else(|| Some(self.random().uuid()));
        configuration.queue_configurations.iter_mut().flatten().for_each(|queue| id(&mut queue.id));
        configuration.topic_configurations.iter_mut().flatten().for_each(|topic| id(&mut topic.id));
        let destinations = destinations(&configuration)?;
        let region = self.buckets().get(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?.region.clone();
        for (place, one) in destinations.iter().enumerate() {
            if destinations[..place].iter().any(|other| one.overlaps(other)) {
                return Err(s3_error!(
                    InvalidArgument,
                    "Configurations overlap. Configurations on the same bucket cannot share a common event type."
                ));
            }
            if one.arn.split(':').nth(3) != Some(&region) {
                return Err(s3_error!(
                    InvalidArgument,
                    "The notification destination service region is not valid for the bucket location constraint"
                ));
            }
            if validates && !self.lets_in(&one.arn, "s3.amazonaws.com", &bucket_arn(bucket)) {
                return Err(s3_error!(
                    InvalidArgument,
                    "Unable to validate the following destination configurations: {}",
                    one.arn
                ));
            }
        }
        if let Some(bucket) = self.buckets().get_mut(bucket) {
            bucket.notification = configuration;
        }
        let event = test_event(bucket, &iso(now()), &self.random().hex(16)).to_string();
        for destination in destinations {
            self.notify(bucket, &destination.arn, &event);
        }
        Ok(())
    }

    /// Tells whoever wants to know of a change.
    pub(crate) fn tell(&self, event: &Event) {
        let buckets = self.buckets();
        let Some(bucket) = buckets.get(&event.bucket) else { return };
        let configuration = bucket.notification.clone();
        drop(buckets);
        for destination in destinations(&configuration).unwrap_or_default() {
            if destination.is_meant(event) {
                let message = event.notification(&destination.id, &self.random().hex(16)).to_string();
                self.notify(&event.bucket, &destination.arn, &message);
            }
        }
        if configuration.event_bridge_configuration.is_some()
            && let Some(queue) = self.bridge_of(&event.bucket)
        {
            let rule = format!("arn:aws:events:{}:{ACCOUNT}:rule/{}", event.region, event.bucket);
            let message = event.bridged(&self.random().uuid()).to_string();
            self.deliver(&queue, "events.amazonaws.com", &rule, &message);
        }
    }

    /// Publishes a message to a topic: each queue gets it that is subscribed and lets the topic in.
    pub(crate) fn publish(&self, topic_arn: &str, subject: Option<&str>, message: &str) {
        let topics = self.topics();
        let subscriptions = topics.get(topic_arn).map(|topic| topic.subscriptions.clone()).unwrap_or_default();
        drop(topics);
        let id = self.random().uuid();
        for (arn, subscription) in subscriptions {
            let wrapped = || envelope(topic_arn, subject, message, &iso(now()), &id, &arn).to_string();
            let text = if subscription.is_raw { message.to_owned() } else { wrapped() };
            self.deliver(&subscription.queue, "sns.amazonaws.com", topic_arn, &text);
        }
    }

    /// Whether the policy of a queue or topic lets a service in on behalf of a source.
    fn lets_in(&self, arn: &str, service: &'static str, source: &str) -> bool {
        let context: Context =
            [("aws:sourcearn", source), ("aws:sourceaccount", ACCOUNT), ("aws:securetransport", "true")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let caller = Caller::Service(service);
        let allows = |action, policy| {
            let request = Request { caller: &caller, action, resource: arn, context: &context };
            self.allows(&request, policy)
        };
        if arn.starts_with("arn:aws:sns:") {
            return self.topics().get(arn).is_some_and(|topic| allows("sns:Publish", topic.policy.as_ref()));
        }
        self.queues().get(arn).is_some_and(|queue| allows("sqs:SendMessage", queue.policy.as_ref()))
    }

    fn notify(&self, bucket: &str, arn: &str, message: &str) {
        if !arn.starts_with("arn:aws:sns:") {
            self.deliver(arn, "s3.amazonaws.com", &bucket_arn(bucket), message);
        } else if self.lets_in(arn, "s3.amazonaws.com", &bucket_arn(bucket)) {
            self.publish(arn, Some("Amazon S3 Notification"), message);
        } else {
            self.deliveries().refuse();
        }
    }

    /// Puts a message into a queue that lets it in, with the troubles of the way.
    fn deliver(&self, queue_arn: &str, service: &'static str, source: &str, message: &str) {
        if !self.lets_in(queue_arn, service, source) {
            self.deliveries().refuse();
            return;
        }
        for late in self.deliveries().draw(self.random()) {
            let hidden_until = Instant::now() + late;
            let message = Message::new(self.random(), message.to_owned(), no_attributes(), now(), hidden_until);
            if let Some(queue) = self.queues().get_mut(queue_arn) {
                queue.push(message);
            }
        }
        self.arrived().notify_waiters();
    }
}
