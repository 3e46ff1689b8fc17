//! Who may do what: the policies of buckets, topics and queues, and those of the roles in which replicas run.

use serde_json::{Value, json};

use super::plan::{Place, Plan};

/// What a process does in a region. A replica usually does the first four of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes its own log, snapshots and parts, and reads its own bucket.
    Writer,
    /// Reads the buckets of the other regions.
    Reader,
    /// Deletes what nobody needs any more.
    Collector,
    /// Receives hints.
    Consumer,
    /// Looks at dead letters, sends them back, deletes them.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Writer, Self::Reader, Self::Collector, Self::Consumer, Self::Operator];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Collector => "collector",
            Self::Consumer => "consumer",
            Self::Operator => "operator",
        }
    }
}

impl Plan {
    /// The IAM policy of a role in a region; none where it has nothing to do there.
    #[must_use]
    pub fn role(&self, region: &str, role: Role, account: &str) -> Option<Value> {
        let site = self.named(region)?;
        let statements = match role {
            Role::Writer => writer(site),
            Role::Reader => self.sites.iter().filter(|other| other.name != site.name).flat_map(reading).collect(),
            Role::Collector => collector(site),
            Role::Consumer => consumer(site, account)?,
            Role::Operator => operator(site, account)?,
        };
        (!statements.is_empty()).then(|| document(&statements))
    }
}

/// In the folder of each kind of object, those of the replicas of this place.
fn own(site: &Place, folders: &[&str]) -> Vec<String> {
    let mut arns = Vec::new();
    for folder in folders {
        arns.extend(site.replicas.iter().map(|replica| site.objects_arn(&format!("v1/{folder}/{replica}/"))));
    }
    arns
}

fn writer(site: &Place) -> Vec<Value> {
    let mut statements = vec![
        // The condition: no request that could overwrite anything.
        json!({
            "Sid": "CreateOnly", "Effect": "Allow", "Action": "s3:PutObject",
            "Resource": own(site, &["log", "snap", "part", "probe"]),
            "Condition": {"Null": {"s3:if-none-match": "false"}}
        }),
        json!({
            "Sid": "EndProbe", "Effect": "Allow", "Action": "s3:DeleteObject",
            "Resource": own(site, &["probe"])
        }),
    ];
    statements.extend(reading(site));
    if let Some(key) = kms_key(site) {
        statements.push(json!({
            "Sid": "Encrypt", "Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": key
        }));
    }
    statements
}

/// Reading a bucket, and what is not there: who may not list is told 403 instead of 404, and could not tell a log's
/// end.
fn reading(site: &Place) -> Vec<Value> {
    let name: String = site.name.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut statements = vec![
        json!({
            "Sid": format!("Read{name}"), "Effect": "Allow", "Action": "s3:GetObject",
            "Resource": site.objects_arn("v1/")
        }),
        // SUBTLE: a GET has no `s3:prefix`. Without `IfExists` it would be refused the right to list, and get 403 for
        // 404.
        json!({
            "Sid": format!("List{name}"), "Effect": "Allow", "Action": "s3:ListBucket",
            "Resource": site.bucket_arn(),
            "Condition": {"StringLikeIfExists": {"s3:prefix": format!("{}v1/*", site.bucket.prefix())}}
        }),
    ];
    if let Some(key) = kms_key(site) {
        statements.push(json!({
            "Sid": format!("Decrypt{name}"), "Effect": "Allow", "Action": "kms:Decrypt", "Resource": key
        }));
    }
    statements
}

/// A policy cannot tell a seal from a segment. That a seal is never deleted is the engine's promise: the simulator checks each
/// deletion, and finds the planted fault `seals-collected`.
fn collector(site: &Place) -> Vec<Value> {
    vec![json!({
        "Sid": "Collect", "Effect": "Allow", "Action": "s3:DeleteObject",
        "Resource": own(site, &["log", "snap", "part"])
    })]
}

fn consumer(site: &Place, account: &str) -> Option<Vec<Value>> {
    Some(vec![
        json!({
            "Sid": "ReceiveHints", "Effect": "Allow",
            "Action": [
                "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl"
            ],
            "Resource": site.queue_arn(account)?
        }),
        json!({
            "Sid": "CountDeadLetters", "Effect": "Allow", "Action": ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"],
            "Resource": site.dead_letters_arn(account)?
        }),
    ])
}

fn operator(site: &Place, account: &str) -> Option<Vec<Value>> {
    Some(vec![
        json!({
            "Sid": "SendBack", "Effect": "Allow",
            "Action": ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"],
            "Resource": site.queue_arn(account)?
        }),
        json!({
            "Sid": "DeadLetters", "Effect": "Allow",
            "Action": [
                "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl", "sqs:PurgeQueue"
            ],
            "Resource": site.dead_letters_arn(account)?
        }),
    ])
}

/// The key that a bucket's objects are encrypted with, if the URL names one: by its ARN.
fn kms_key(site: &Place) -> Option<&str> {
    site.bucket.kms_key().filter(|key| key.starts_with("arn:"))
}

/// Whether the store is spoken to over plain HTTP. To demand TLS there would lock everybody out.
pub(super) fn is_plain(site: &Place) -> bool {
    site.bucket.endpoint().is_some_and(|endpoint| endpoint.starts_with("http://"))
}

/// What every bucket refuses: whatever is not sent over TLS.
pub(super) fn tls_only(site: &Place) -> Value {
    let bucket = site.bucket_arn();
    json!({
        "Sid": "ArchipelagoTlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [bucket, format!("{bucket}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}
    })
}

/// What the topic takes: what its bucket tells, and nothing else.
pub(super) fn topic(site: &Place, account: &str) -> Option<Value> {
    Some(document(&[json!({
        "Sid": "OwnBucket", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sns:Publish",
        "Resource": site.topic_arn(account)?,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": site.bucket_arn()},
            "StringEquals": {"aws:SourceAccount": account}
        }
    })]))
}

/// What the queue takes: what the topics of the other regions tell, and nothing else.
pub(super) fn queue(plan: &Plan, site: &Place, account: &str) -> Option<Value> {
    let arn = site.queue_arn(account)?;
    let mut by_principal: Vec<(String, Vec<String>)> = Vec::new();
    for topic in plan.heard_by(site) {
        let (principal, topic) = (site.principal_of(topic), topic.topic_arn(account)?);
        match by_principal.iter_mut().find(|(known, _)| *known == principal) {
            Some((_, topics)) => topics.push(topic),
            None => by_principal.push((principal, vec![topic])),
        }
    }
    let statements: Vec<Value> = by_principal
        .into_iter()
        .enumerate()
        .map(|(number, (principal, topics))| {
            json!({
                "Sid": format!("PeerTopics{}", number + 1), "Effect": "Allow", "Principal": {"Service": principal},
                "Action": "sqs:SendMessage", "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topics}}
            })
        })
        .collect();
    (!statements.is_empty()).then(|| document(&statements))
}

/// Whose dead letters the queue takes.
pub(super) fn dead_letters_of(site: &Place, account: &str) -> Option<Value> {
    Some(json!({"redrivePermission": "byQueue", "sourceQueueArns": [site.queue_arn(account)?]}))
}

/// After how many receives, and where to.
pub(super) fn redrive(site: &Place, account: &str) -> Option<Value> {
    Some(json!({"deadLetterTargetArn": site.dead_letters_arn(account)?, "maxReceiveCount": 5}))
}

pub(super) fn document(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}
