//! What of the plan is missing, or wider than needed. No I/O.

use core::fmt;

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, Event, ExpirationStatus, FilterRuleName, LifecycleRule,
    NoncurrentVersionExpiration, S3KeyFilter, TopicConfiguration,
};
use serde_json::{Value, json};

use super::{
    found::{Attributes, Found, FoundBucket, FoundTopic},
    plan::{Place, Plan},
    policy,
};

/// A difference between the plan and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The region, as it is called in the plan.
    pub region: String,
    /// What it is about.
    pub part: Part,
    /// What is wrong with it.
    pub fault: Fault,
    /// What is wrong, in words.
    pub says: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there, or not as it must be.
    Missing,
    /// It allows more than is needed.
    Wider,
}

/// What a region consists of, in the order in which it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The bucket itself.
    Bucket,
    /// That no version of an object is lost.
    Versioning,
    /// That nothing in it is public.
    PublicAccess,
    /// That objects are encrypted.
    Encryption,
    /// That what is of no more use goes.
    Lifecycle,
    /// That it is spoken to over TLS alone.
    BucketPolicy,
    /// The dead-letter queue itself.
    DeadLetterQueue,
    /// The queue itself.
    Queue,
    /// Whose dead letters are taken, and how long they stay.
    DeadLetterSettings,
    /// Where what is received too often goes, and how long hints stay.
    QueueSettings,
    /// Who may put something into the queue.
    QueuePolicy,
    /// The topic itself.
    Topic,
    /// Who may tell it something.
    TopicPolicy,
    /// Which queues it tells.
    Subscriptions,
    /// What the bucket tells the topic.
    Notification,
}

impl Part {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Versioning => "versioning",
            Self::PublicAccess => "public access",
            Self::Encryption => "encryption",
            Self::Lifecycle => "lifecycle",
            Self::BucketPolicy => "bucket policy",
            Self::DeadLetterQueue => "dead-letter queue",
            Self::Queue => "queue",
            Self::DeadLetterSettings => "dead-letter queue settings",
            Self::QueueSettings => "queue settings",
            Self::QueuePolicy => "queue policy",
            Self::Topic => "topic",
            Self::TopicPolicy => "topic policy",
            Self::Subscriptions => "subscriptions",
            Self::Notification => "notification",
        }
    }
}

impl Fault {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wider => "wider than needed",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}: {}", self.region, self.part.name(), self.fault.name(), self.says)
    }
}

/// Days after which what is of no more use goes: uploads that were not completed, and versions that were deleted.
pub(super) const UPLOAD_DAYS: i32 = 1;
pub(super) const VERSION_DAYS: i32 = 30;

/// How long a hint is kept that nobody receives, and a dead letter, in seconds. Both begin when it is sent.
pub(super) const HINT_SECONDS: u32 = 4 * 86_400;
pub(super) const LETTER_SECONDS: u32 = 14 * 86_400;

/// What differs in a region, in the order of creation. `account` is none while nothing is there that tells it.
pub(super) fn compare(plan: &Plan, site: &Place, account: Option<&str>, found: &Found) -> Vec<Difference> {
    let mut seen = Seen { region: &site.name, differences: Vec::new() };
    match &found.bucket {
        None => seen.lacks(Part::Bucket, format!("there is no bucket {}", site.bucket.bucket())),
        Some(bucket) => compare_bucket(&mut seen, site, bucket),
    }
    if let Some(queue) = &site.queue {
        match &found.dead_letters {
            None => seen.lacks(
                Part::DeadLetterQueue,
                format!("there is no queue {}", site.dead_letters.as_deref().unwrap_or_default()),
            ),
            Some(attributes) => compare_dead_letters(&mut seen, site, account, attributes),
        }
        match &found.queue {
            None => seen.lacks(Part::Queue, format!("there is no queue {}", queue.name())),
            Some(attributes) => compare_queue(&mut seen, plan, site, account, attributes),
        }
    }
    if let Some(name) = &site.topic {
        match &found.topic {
            None => seen.lacks(Part::Topic, format!("there is no topic {name}")),
            Some(topic) => compare_topic(&mut seen, plan, site, account, topic),
        }
        if let Some(bucket) = &found.bucket {
            compare_notification(&mut seen, site, account, bucket);
        }
    }
    seen.differences.sort_by_key(|difference| difference.part);
    seen.differences
}

struct Seen<'a> {
    region: &'a str,
    differences: Vec<Difference>,
}

impl Seen<'_> {
    fn lacks(&mut self, part: Part, says: impl Into<String>) {
        self.differs(part, Fault::Missing, says);
    }

    fn differs(&mut self, part: Part, fault: Fault, says: impl Into<String>) {
        self.differences.push(Difference { region: self.region.to_owned(), part, fault, says: says.into() });
    }

    /// Holds a policy that is all ours against what it must be: nothing less is allowed, and nothing more.
    fn holds(&mut self, part: Part, wanted: Option<&Value>, found: Option<&Value>) {
        let statements = |policy: Option<&Value>| policy.map(statements).unwrap_or_default();
        let (wanted, found) = (statements(wanted), statements(found));
        for statement in wanted.iter().filter(|statement| !found.contains(statement)) {
            self.lacks(part, format!("it does not say {statement}"));
        }
        let is_wider = |statement: &&Value| statement["Effect"] == "Allow" && !wanted.contains(statement);
        for statement in found.iter().filter(is_wider) {
            self.differs(part, Fault::Wider, format!("it also says {statement}"));
        }
    }
}

fn compare_bucket(seen: &mut Seen<'_>, site: &Place, bucket: &FoundBucket) {
    if !bucket.is_versioned {
        seen.lacks(Part::Versioning, "it is off");
    }
    let ways = ["new access lists", "old access lists", "new policies", "old policies"];
    let open: Vec<&str> =
        ways.into_iter().zip(bucket.blocked).filter(|(_, blocked)| !blocked).map(|(way, _)| way).collect();
    if !open.is_empty() {
        seen.differs(Part::PublicAccess, Fault::Wider, format!("it can be given by {}", open.join(", ")));
    }
    let (is_kms, key) = (site.bucket.is_kms(), site.bucket.kms_key());
    match &bucket.encryption {
        None => seen.lacks(Part::Encryption, "objects are not encrypted by default"),
        Some((how, with)) if is_kms && (how != "aws:kms" || (key.is_some() && key != with.as_deref())) => {
            seen.lacks(
                Part::Encryption,
                format!("objects are encrypted by {how}, and not with the key of the configuration"),
            );
        }
        Some(_) => {}
    }
    for (rule, what) in
        [(uploads(site), "uploads that were not completed stay"), (versions(site), "deleted versions stay")]
    {
        if !bucket.rules.iter().any(|found| is_same_rule(found, &rule)) {
            seen.lacks(Part::Lifecycle, what);
        }
    }
    let there = bucket.policy.as_ref().map(statements).unwrap_or_default();
    if !policy::is_plain(site) && !there.contains(&canonical(&policy::tls_only(site))) {
        seen.lacks(Part::BucketPolicy, "it may be spoken to without TLS");
    }
    for statement in there.iter().filter(|statement| is_public(statement)) {
        seen.differs(Part::BucketPolicy, Fault::Wider, format!("anybody is allowed {}", statement["Action"]));
    }
}

fn compare_dead_letters(seen: &mut Seen<'_>, site: &Place, account: Option<&str>, found: &Attributes) {
    let wanted = account.and_then(|account| policy::dead_letters_of(site, account));
    let there = found.get("RedriveAllowPolicy").and_then(|text| serde_json::from_str(text).ok());
    match (wanted, there) {
        (Some(wanted), Some(there)) if canonical(&wanted) == canonical(&there) => {}
        (_, Some(there)) => {
            seen.differs(Part::DeadLetterSettings, Fault::Wider, format!("it takes the letters of others: {there}"));
        }
        (_, None) => seen.differs(Part::DeadLetterSettings, Fault::Wider, "it takes the letters of every queue"),
    }
    compare_number(seen, Part::DeadLetterSettings, found, "MessageRetentionPeriod", LETTER_SECONDS);
    compare_queue_encryption(seen, Part::DeadLetterSettings, found);
    // Only the service that moves letters puts anything into it, and that needs no policy.
    seen.holds(Part::DeadLetterSettings, None, policy_of(found).as_ref());
}

fn compare_queue(seen: &mut Seen<'_>, plan: &Plan, site: &Place, account: Option<&str>, found: &Attributes) {
    let wanted = account.and_then(|account| policy::redrive(site, account));
    let there = found.get("RedrivePolicy").and_then(|text| serde_json::from_str(text).ok()).map(|there: Value| {
        // It comes back as a number or as text.
        let times = there["maxReceiveCount"].as_str().and_then(|times| times.parse::<u64>().ok());
        json!({
            "deadLetterTargetArn": there["deadLetterTargetArn"],
            "maxReceiveCount": times.or(there["maxReceiveCount"].as_u64())
        })
    });
    match there {
        None => seen.lacks(Part::QueueSettings, "what cannot be understood goes into no dead-letter queue"),
        Some(there) if wanted.as_ref() != Some(&there) => {
            seen.lacks(Part::QueueSettings, format!("what cannot be understood goes elsewhere: {there}"));
        }
        Some(_) => {}
    }
    compare_number(seen, Part::QueueSettings, found, "MessageRetentionPeriod", HINT_SECONDS);
    compare_queue_encryption(seen, Part::QueueSettings, found);
    let wanted = account.and_then(|account| policy::queue(plan, site, account));
    seen.holds(Part::QueuePolicy, wanted.as_ref(), policy_of(found).as_ref());
}

fn compare_number(seen: &mut Seen<'_>, part: Part, found: &Attributes, name: &str, wanted: u32) {
    let there = found.get(name).map_or("nothing", String::as_str);
    if there != wanted.to_string() {
        seen.lacks(part, format!("{name} is {there} and not {wanted}"));
    }
}

fn compare_queue_encryption(seen: &mut Seen<'_>, part: Part, found: &Attributes) {
    let is_encrypted = found.get("SqsManagedSseEnabled").is_some_and(|on| on == "true")
        || found.get("KmsMasterKeyId").is_some_and(|key| !key.is_empty());
    if !is_encrypted {
        seen.lacks(part, "messages are not encrypted");
    }
}

fn compare_topic(seen: &mut Seen<'_>, plan: &Plan, site: &Place, account: Option<&str>, found: &FoundTopic) {
    let wanted = account.and_then(|account| policy::topic(site, account));
    seen.holds(Part::TopicPolicy, wanted.as_ref(), found.policy.as_ref());
    for listener in plan.listeners_of(site) {
        let arn = account.and_then(|account| listener.queue_arn(account));
        if !arn.is_some_and(|arn| found.queues.contains(&arn)) {
            seen.lacks(Part::Subscriptions, format!("the queue of {} is not subscribed to it", listener.name));
        }
    }
}

fn compare_notification(seen: &mut Seen<'_>, site: &Place, account: Option<&str>, bucket: &FoundBucket) {
    let Some(arn) = account.and_then(|account| site.topic_arn(account)) else {
        return seen.lacks(Part::Notification, "the bucket tells nobody of new objects");
    };
    let configurations = bucket.notifications.topic_configurations();
    let ours: Vec<&TopicConfiguration> =
        configurations.iter().filter(|configuration| configuration.topic_arn() == arn).collect();
    if ours.is_empty() {
        return seen.lacks(Part::Notification, "the bucket does not tell the topic of new objects");
    }
    for configuration in ours {
        let is_created = |event: &Event| event.as_str() == "s3:ObjectCreated:*";
        if !configuration.events().iter().any(is_created) {
            seen.lacks(Part::Notification, "the bucket tells the topic other things than new objects");
        }
        if let Some(event) = configuration.events().iter().find(|event| !event.as_str().starts_with("s3:ObjectCreated"))
        {
            seen.differs(
                Part::Notification,
                Fault::Wider,
                format!("the bucket also tells the topic of {}", event.as_str()),
            );
        }
        let (prefix, logs) = (prefix_of(configuration), site.logs());
        if logs.starts_with(&prefix) && prefix != logs {
            let says = format!("the bucket tells the topic of everything below {prefix:?}, and not only of {logs:?}");
            seen.differs(Part::Notification, Fault::Wider, says);
        } else if prefix != logs {
            seen.lacks(
                Part::Notification,
                format!("the bucket tells the topic of what is below {prefix:?}, and not of {logs:?}"),
            );
        }
    }
}

/// Below what a notification is about; the prefix is case-insensitive in name and may be any of several rules.
fn prefix_of(configuration: &TopicConfiguration) -> String {
    let rules =
        configuration.filter().and_then(|filter| filter.key()).map(S3KeyFilter::filter_rules).unwrap_or_default();
    let is_prefix =
        |name: Option<&FilterRuleName>| name.is_some_and(|name| name.as_str().eq_ignore_ascii_case("prefix"));
    let prefix = rules.iter().find(|rule| is_prefix(rule.name())).and_then(|rule| rule.value());
    prefix.unwrap_or_default().to_owned()
}

fn policy_of(found: &Attributes) -> Option<Value> {
    found.get("Policy").and_then(|text| serde_json::from_str(text).ok())
}

/// Uploads that were not completed go. The engine makes none; a tool may.
pub(super) fn uploads(site: &Place) -> LifecycleRule {
    use aws_sdk_s3::types::AbortIncompleteMultipartUpload as Abort;
    let abort = Abort::builder().days_after_initiation(UPLOAD_DAYS).build();
    rule(site, "uploads").abort_incomplete_multipart_upload(abort).build().expect("a rule has a status")
}

/// Versions that were deleted go, and then what says that they were.
pub(super) fn versions(site: &Place) -> LifecycleRule {
    use aws_sdk_s3::types::{LifecycleExpiration as Expiration, NoncurrentVersionExpiration as Noncurrent};
    let noncurrent = Noncurrent::builder().noncurrent_days(VERSION_DAYS).build();
    let expiration = Expiration::builder().expired_object_delete_marker(true).build();
    let rule = rule(site, "versions").noncurrent_version_expiration(noncurrent).expiration(expiration);
    rule.build().expect("a rule has a status")
}

fn rule(site: &Place, what: &str) -> aws_sdk_s3::types::builders::LifecycleRuleBuilder {
    let filter = aws_sdk_s3::types::LifecycleRuleFilter::builder().prefix(site.bucket.prefix()).build();
    LifecycleRule::builder().id(site.id(what)).filter(filter).status(ExpirationStatus::Enabled)
}

/// The same in what it does, whatever else a store writes into it.
fn is_same_rule(found: &LifecycleRule, wanted: &LifecycleRule) -> bool {
    let prefix = |rule: &LifecycleRule| rule.filter().and_then(|filter| filter.prefix()).unwrap_or_default().to_owned();
    let uploads = |rule: &LifecycleRule| {
        rule.abort_incomplete_multipart_upload().and_then(AbortIncompleteMultipartUpload::days_after_initiation)
    };
    let versions = |rule: &LifecycleRule| {
        rule.noncurrent_version_expiration().and_then(NoncurrentVersionExpiration::noncurrent_days)
    };
    found.id() == wanted.id()
        && found.status() == wanted.status()
        && prefix(found) == prefix(wanted)
        && uploads(found) == uploads(wanted)
        && versions(found) == versions(wanted)
}

/// Anybody, on no condition.
pub(super) fn is_public(statement: &Value) -> bool {
    let principal = &statement["Principal"];
    statement["Effect"] == "Allow" && (*principal == "*" || principal["AWS"] == "*") && statement["Condition"].is_null()
}

/// The statements of a policy, each in one form however it was written.
pub(super) fn statements(policy: &Value) -> Vec<Value> {
    match &policy["Statement"] {
        Value::Array(statements) => statements.iter().map(canonical).collect(),
        Value::Null => Vec::new(),
        statement => vec![canonical(statement)],
    }
}

/// One of a list is written without the list, and a list in ascending order; what a statement is called does not count.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(values) => {
            let mut values: Vec<Value> = values.iter().map(canonical).collect();
            values.sort_by_key(Value::to_string);
            if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
        }
        Value::Object(fields) => {
            let counts = |name: &str| name != "Sid";
            fields
                .iter()
                .filter(|(name, _)| counts(name))
                .map(|(name, value)| (name.clone(), canonical(value)))
                .collect()
        }
        other => other.clone(),
    }
}
