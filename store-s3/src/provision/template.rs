//! The plan as CloudFormation: a template for each region, since a stack has one.

use serde_json::{Value, json};

use super::{
    compare::{HINT_SECONDS, LETTER_SECONDS, UPLOAD_DAYS, VERSION_DAYS},
    plan::{Place, Plan},
    policy,
};

/// Stands for the account in what is printed, and is replaced by CloudFormation.
const ACCOUNT: &str = "${AWS::AccountId}";

impl Plan {
    /// The template of a region: the same as is created, but for the account, which the stack knows.
    ///
    /// Deploy it in every region with `Subscribe` as `no`, and then again with `yes`: a queue can be subscribed to a
    /// topic once that is there.
    #[must_use]
    pub fn template(&self, region: &str) -> Option<Value> {
        let site = self.named(region)?;
        let mut resources = serde_json::Map::new();
        resources.insert("Bucket".to_owned(), bucket(site));
        resources.insert(
            "BucketPolicy".to_owned(),
            json!({
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": policy::document(&[policy::tls_only(site)])}
            }),
        );
        if let Some(queue) = &site.queue {
            let dead = json!({
                "Type": "AWS::SQS::Queue",
                "Properties": {
                    "QueueName": site.dead_letters,
                    "MessageRetentionPeriod": LETTER_SECONDS,
                    "SqsManagedSseEnabled": true,
                    "RedriveAllowPolicy": substituted(policy::dead_letters_of(site, ACCOUNT)?)
                }
            });
            let queue_resource = json!({
                "Type": "AWS::SQS::Queue",
                "DependsOn": "DeadLetters",
                "Properties": {
                    "QueueName": queue.name(),
                    "MessageRetentionPeriod": HINT_SECONDS,
                    "SqsManagedSseEnabled": true,
                    "RedrivePolicy": substituted(policy::redrive(site, ACCOUNT)?)
                }
            });
            resources.insert("DeadLetters".to_owned(), dead);
            resources.insert("Queue".to_owned(), queue_resource);
            if let Some(policy) = policy::queue(self, site, ACCOUNT) {
                let policy = json!({
                    "Type": "AWS::SQS::QueuePolicy",
                    "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": substituted(policy)}
                });
                resources.insert("QueuePolicy".to_owned(), policy);
            }
        }
        if let Some(topic) = &site.topic {
            resources
                .insert("Topic".to_owned(), json!({"Type": "AWS::SNS::Topic", "Properties": {"TopicName": topic}}));
            let policy = json!({
                "Type": "AWS::SNS::TopicPolicy",
                "Properties": {
                    "Topics": [{"Ref": "Topic"}],
                    "PolicyDocument": substituted(policy::topic(site, ACCOUNT)?)
                }
            });
            resources.insert("TopicPolicy".to_owned(), policy);
            for (number, listener) in self.listeners_of(site).enumerate() {
                let subscription = json!({
                    "Type": "AWS::SNS::Subscription",
                    "Condition": "HasSubscriptions",
                    "Properties": {
                        "TopicArn": {"Ref": "Topic"},
                        "Protocol": "sqs",
                        "Endpoint": substituted(json!(listener.queue_arn(ACCOUNT)?)),
                        "RawMessageDelivery": true
                    }
                });
                resources.insert(format!("Subscription{}", number + 1), subscription);
            }
        }
        let mut template = json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": format!("Archipelago: what the region {} needs", site.name),
            "Resources": resources
        });
        if site.topic.is_some() {
            template["Parameters"] = json!({
                "Subscribe": {
                    "Type": "String", "AllowedValues": ["no", "yes"], "Default": "no",
                    "Description": "no until the stacks of all regions are there, then yes"
                }
            });
            template["Conditions"] = json!({"HasSubscriptions": {"Fn::Equals": [{"Ref": "Subscribe"}, "yes"]}});
        }
        Some(template)
    }
}

fn bucket(site: &Place) -> Value {
    let mut encryption = json!({
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": if site.bucket.is_kms() { "aws:kms" } else { "AES256" }}
    });
    if site.bucket.is_kms() {
        encryption["BucketKeyEnabled"] = json!(true);
    }
    if let Some(key) = site.bucket.kms_key() {
        encryption["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] = json!(key);
    }
    let mut uploads = json!({
        "Id": site.id("uploads"), "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS}
    });
    let mut versions = json!({
        "Id": site.id("versions"), "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": VERSION_DAYS},
        "ExpiredObjectDeleteMarker": true
    });
    if !site.bucket.prefix().is_empty() {
        (uploads["Prefix"], versions["Prefix"]) = (json!(site.bucket.prefix()), json!(site.bucket.prefix()));
    }
    let mut bucket = json!({
        "Type": "AWS::S3::Bucket",
        // A stack that is deleted takes no data with it.
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": site.bucket.bucket(),
            "VersioningConfiguration": {"Status": "Enabled"},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true
            },
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "LifecycleConfiguration": {"Rules": [uploads, versions]}
        }
    });
    if let Some(arn) = site.topic_arn(ACCOUNT) {
        bucket["DependsOn"] = json!("TopicPolicy");
        bucket["Properties"]["NotificationConfiguration"] = json!({
            "TopicConfigurations": [{
                "Topic": substituted(json!(arn)),
                "Event": "s3:ObjectCreated:*",
                "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": site.logs()}]}}
            }]
        });
    }
    bucket
}

/// The same with `Fn::Sub` around every text that names the account.
fn substituted(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains("${") => json!({"Fn::Sub": text}),
        Value::Array(values) => values.into_iter().map(substituted).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, substituted(value))).collect(),
        other => other,
    }
}
