//! What is there of a region: as the services tell it, and no more of it than the plan is about.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{LifecycleRule, NotificationConfiguration};
use serde_json::Value;

/// What of a region was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) bucket: Option<FoundBucket>,
    pub(super) queue: Option<Attributes>,
    pub(super) dead_letters: Option<Attributes>,
    pub(super) topic: Option<FoundTopic>,
}

/// A bucket, with what others have set up in it: it stays.
#[derive(Clone, Debug)]
pub(super) struct FoundBucket {
    pub(super) is_versioned: bool,
    /// Which of the four ways in are blocked: new and old access lists, new and old policies.
    pub(super) blocked: [bool; 4],
    /// How objects are encrypted unless a request says otherwise, and with which key.
    pub(super) encryption: Option<(String, Option<String>)>,
    pub(super) rules: Vec<LifecycleRule>,
    pub(super) policy: Option<Value>,
    pub(super) notifications: NotificationConfiguration,
}

/// What a queue says of itself, by the names of SQS.
pub(super) type Attributes = BTreeMap<String, String>;

/// A topic.
#[derive(Clone, Debug, Default)]
pub(super) struct FoundTopic {
    pub(super) policy: Option<Value>,
    /// The ARNs of the queues that are subscribed to it.
    pub(super) queues: Vec<String>,
}
