//! Creating what is missing, and putting right what is wider than needed. What others have set up in a bucket stays.

use aws_sdk_s3::{
    operation::create_bucket::CreateBucketError,
    types::{
        BucketLifecycleConfiguration, BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
        Event, FilterRule, FilterRuleName, LifecycleRule, NotificationConfigurationFilter,
        PublicAccessBlockConfiguration, S3KeyFilter, ServerSideEncryption, ServerSideEncryptionByDefault,
        ServerSideEncryptionConfiguration, ServerSideEncryptionRule, TopicConfiguration, VersioningConfiguration,
    },
};
use aws_sdk_sqs::types::QueueAttributeName;
use replica::ports::{BucketError, Outcome};
use serde_json::{Value, json};

use super::{
    cloud::{Cloud, Services},
    compare::{self, Difference, HINT_SECONDS, LETTER_SECONDS, Part},
    found::{Found, FoundBucket},
    plan::Place,
    policy,
};
use crate::{
    calls::{Call, explain},
    hints::QueueUrl,
};

impl Cloud {
    /// Carries the plan out: creates what is missing, and narrows what is wider than needed. Returns what it changed,
    /// and nothing at all where everything is there.
    ///
    /// It may be repeated at any time, also after it failed half-way.
    ///
    /// # Errors
    ///
    /// `Refused` when something may not be done, which names the permission; `Unavailable` when a service does not
    /// answer.
    ///
    /// Cost: what [`check`](Self::check) costs, twice, and one request or two for each change.
    pub async fn provision(&self) -> Result<Vec<Difference>, BucketError> {
        let (_, found) = self.look().await?;
        let mut changed = Vec::new();
        // First what the settings of others name.
        for ((site, services), found) in self.plan.sites.iter().zip(&self.services).zip(&found) {
            let differences = compare::compare(&self.plan, site, None, found);
            for difference in differences {
                if self.create(site, services, difference.part).await? {
                    changed.push(difference);
                }
            }
        }
        let (account, found) = self.look().await?;
        // Where there is no account there is neither queue nor topic, and nothing that names it.
        let account = account.unwrap_or_default();
        let differences = self.differences(Some(&account), &found);
        self.settle(&account, &found, &differences).await?;
        changed.extend(differences);
        Ok(changed)
    }

    /// Makes one of the things that have a name. Returns whether the part is one of these.
    async fn create(&self, site: &Place, services: &Services, part: Part) -> Result<bool, BucketError> {
        match part {
            Part::Bucket => create_bucket(site, services).await?,
            Part::Queue | Part::DeadLetterQueue => {
                let name = if part == Part::Queue {
                    site.queue.as_ref().map(QueueUrl::name)
                } else {
                    site.dead_letters.as_deref()
                };
                let on = format!("the queue {}", name.unwrap_or_default());
                let request = services.sqs.create_queue().set_queue_name(name.map(str::to_owned));
                let answer = request.send().await;
                answer.map_err(|error| explain(Call { action: "sqs:CreateQueue", on: &on }, error))?;
            }
            Part::Topic => {
                let on = format!("the topic {}", site.topic.as_deref().unwrap_or_default());
                let request = services.sns.create_topic().set_name(site.topic.clone());
                let answer = request.send().await;
                answer.map_err(|error| explain(Call { action: "sns:CreateTopic", on: &on }, error))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Sets what differs of things that are there, in the order of the parts: a bucket is told of a topic that takes
    /// its word.
    async fn settle(&self, account: &str, found: &[Found], differences: &[Difference]) -> Result<(), BucketError> {
        let mut parts: Vec<Part> = differences.iter().map(|difference| difference.part).collect();
        parts.sort_unstable();
        parts.dedup();
        for part in parts {
            for ((site, services), found) in self.plan.sites.iter().zip(&self.services).zip(found) {
                let is_here = |difference: &Difference| difference.region == site.name && difference.part == part;
                if differences.iter().any(is_here) {
                    self.set(site, services, account, found, part).await?;
                }
            }
        }
        Ok(())
    }

    async fn set(
        &self,
        site: &Place,
        services: &Services,
        account: &str,
        found: &Found,
        part: Part,
    ) -> Result<(), BucketError> {
        // A setting of a bucket differs only where there is one.
        let Some(bucket) = &found.bucket else { return Ok(()) };
        match part {
            Part::Bucket | Part::Queue | Part::DeadLetterQueue | Part::Topic => Ok(()),
            Part::Versioning => set_versioning(site, services).await,
            Part::PublicAccess => set_public_access(site, services).await,
            Part::Encryption => set_encryption(site, services).await,
            Part::Lifecycle => set_lifecycle(site, services, bucket).await,
            Part::BucketPolicy => set_bucket_policy(site, services, bucket).await,
            Part::Notification => set_notification(site, services, account, bucket).await,
            Part::DeadLetterSettings => {
                let attributes = [
                    ("MessageRetentionPeriod", LETTER_SECONDS.to_string()),
                    ("RedriveAllowPolicy", text(policy::dead_letters_of(site, account))),
                    ("SqsManagedSseEnabled", "true".to_owned()),
                    ("Policy", String::new()),
                ];
                set_queue(services, site.dead_letters.as_deref(), attributes).await
            }
            Part::QueueSettings => {
                let attributes = [
                    ("MessageRetentionPeriod", HINT_SECONDS.to_string()),
                    ("RedrivePolicy", text(policy::redrive(site, account))),
                    ("SqsManagedSseEnabled", "true".to_owned()),
                ];
                set_queue(services, site.queue.as_ref().map(QueueUrl::name), attributes).await
            }
            Part::QueuePolicy => {
                let attributes = [("Policy", text(policy::queue(&self.plan, site, account)))];
                set_queue(services, site.queue.as_ref().map(QueueUrl::name), attributes).await
            }
            Part::TopicPolicy => {
                let (arn, policy) = (site.topic_arn(account), text(policy::topic(site, account)));
                let request = services.sns.set_topic_attributes().set_topic_arn(arn.clone());
                let answer = request.attribute_name("Policy").attribute_value(policy).send().await;
                let on = format!("the topic {}", arn.unwrap_or_default());
                answer.map(drop).map_err(|error| explain(Call { action: "sns:SetTopicAttributes", on: &on }, error))
            }
            Part::Subscriptions => {
                for listener in self.plan.listeners_of(site) {
                    let (topic, queue) = (site.topic_arn(account), listener.queue_arn(account));
                    if queue
                        .as_ref()
                        .is_some_and(|queue| found.topic.as_ref().is_some_and(|topic| topic.queues.contains(queue)))
                    {
                        continue;
                    }
                    let on = format!("the topic {}", topic.clone().unwrap_or_default());
                    let request = services.sns.subscribe().set_topic_arn(topic).protocol("sqs").set_endpoint(queue);
                    let answer = request.attributes("RawMessageDelivery", "true").send().await;
                    answer.map_err(|error| explain(Call { action: "sns:Subscribe", on: &on }, error))?;
                }
                Ok(())
            }
        }
    }
}

fn text(value: Option<Value>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

async fn create_bucket(site: &Place, services: &Services) -> Result<(), BucketError> {
    let name = site.bucket.bucket();
    // Whoever asks in us-east-1 must not name it.
    let place = (site.region != "us-east-1").then(|| {
        let constraint = BucketLocationConstraint::from(&*site.region);
        CreateBucketConfiguration::builder().location_constraint(constraint).build()
    });
    let request = services.s3.create_bucket().bucket(name).set_create_bucket_configuration(place);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(CreateBucketError::is_bucket_already_owned_by_you) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(CreateBucketError::is_bucket_already_exists) => {
            let says = format!(
                "the bucket {name} belongs to somebody else; choose another name, such as one with your company's"
            );
            Err(BucketError::new(Outcome::Refused, says).caused_by(error))
        }
        Err(error) => Err(explain(Call { action: "s3:CreateBucket", on: &format!("the bucket {name}") }, error)),
    }
}

async fn set_versioning(site: &Place, services: &Services) -> Result<(), BucketError> {
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let request = services.s3.put_bucket_versioning().bucket(site.bucket.bucket()).versioning_configuration(enabled);
    done(site, "s3:PutBucketVersioning", request.send().await)
}

async fn set_public_access(site: &Place, services: &Services) -> Result<(), BucketError> {
    let blocked = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    let request = services.s3.put_public_access_block().bucket(site.bucket.bucket());
    done(site, "s3:PutBucketPublicAccessBlock", request.public_access_block_configuration(blocked).send().await)
}

async fn set_encryption(site: &Place, services: &Services) -> Result<(), BucketError> {
    let how = if site.bucket.is_kms() { ServerSideEncryption::AwsKms } else { ServerSideEncryption::Aes256 };
    let default = ServerSideEncryptionByDefault::builder().sse_algorithm(how);
    let default = default.set_kms_master_key_id(site.bucket.kms_key().map(str::to_owned)).build();
    let default = default.map_err(|error| unsaid(site, error))?;
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default);
    // One key for the bucket and not one request for each object.
    let rule = rule.set_bucket_key_enabled(site.bucket.is_kms().then_some(true)).build();
    let rules =
        ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(|error| unsaid(site, error))?;
    let request = services.s3.put_bucket_encryption().bucket(site.bucket.bucket());
    done(site, "s3:PutEncryptionConfiguration", request.server_side_encryption_configuration(rules).send().await)
}

async fn set_lifecycle(site: &Place, services: &Services, bucket: &FoundBucket) -> Result<(), BucketError> {
    let ours = [compare::uploads(site), compare::versions(site)];
    let is_ours = |rule: &LifecycleRule| ours.iter().any(|own| own.id() == rule.id());
    let rules: Vec<LifecycleRule> = bucket.rules.iter().filter(|rule| !is_ours(rule)).chain(&ours).cloned().collect();
    let all = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build();
    let all = all.map_err(|error| unsaid(site, error))?;
    let request = services.s3.put_bucket_lifecycle_configuration().bucket(site.bucket.bucket());
    done(site, "s3:PutLifecycleConfiguration", request.lifecycle_configuration(all).send().await)
}

/// Adds our statement, where there is TLS. Of those of others go the ones that let anybody in.
async fn set_bucket_policy(site: &Place, services: &Services, bucket: &FoundBucket) -> Result<(), BucketError> {
    let own = policy::tls_only(site);
    let there = bucket.policy.as_ref().map(|policy| &policy["Statement"]);
    let there: Vec<Value> = match there {
        Some(Value::Array(statements)) => statements.clone(),
        None | Some(Value::Null) => Vec::new(),
        Some(statement) => vec![statement.clone()],
    };
    let stays =
        |statement: &&Value| statement["Sid"] != own["Sid"] && !compare::is_public(&compare::canonical(statement));
    let mut statements: Vec<Value> = there.iter().filter(stays).cloned().collect();
    if !policy::is_plain(site) {
        statements.push(own.clone());
    }
    if statements.is_empty() {
        let request = services.s3.delete_bucket_policy().bucket(site.bucket.bucket());
        return done(site, "s3:DeleteBucketPolicy", request.send().await);
    }
    let mut policy = bucket.policy.clone().unwrap_or_else(|| policy::document(&[]));
    policy["Statement"] = json!(statements);
    let request = services.s3.put_bucket_policy().bucket(site.bucket.bucket()).policy(policy.to_string());
    done(site, "s3:PutBucketPolicy", request.send().await)
}

async fn set_notification(
    site: &Place,
    services: &Services,
    account: &str,
    bucket: &FoundBucket,
) -> Result<(), BucketError> {
    let (arn, id) = (site.topic_arn(account).unwrap_or_default(), site.id("log"));
    let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(site.logs()).build();
    let filter =
        NotificationConfigurationFilter::builder().key(S3KeyFilter::builder().filter_rules(rule).build()).build();
    let own = TopicConfiguration::builder().id(&id).topic_arn(&arn).events(Event::from("s3:ObjectCreated:*"));
    let own = own.filter(filter).build().map_err(|error| unsaid(site, error))?;
    let stays =
        |configuration: &&TopicConfiguration| configuration.topic_arn() != arn && configuration.id() != Some(&*id);
    let mut all = bucket.notifications.clone();
    let mut topics: Vec<TopicConfiguration> = all.topic_configurations().iter().filter(stays).cloned().collect();
    topics.push(own);
    all.topic_configurations = Some(topics);
    let request = services.s3.put_bucket_notification_configuration().bucket(site.bucket.bucket());
    done(site, "s3:PutBucketNotification", request.notification_configuration(all).send().await)
}

async fn set_queue<const N: usize>(
    services: &Services,
    name: Option<&str>,
    attributes: [(&str, String); N],
) -> Result<(), BucketError> {
    let on = format!("the queue {}", name.unwrap_or_default());
    let answer = services.sqs.get_queue_url().set_queue_name(name.map(str::to_owned)).send().await;
    let url = answer.map_err(|error| explain(Call { action: "sqs:GetQueueUrl", on: &on }, error))?.queue_url;
    let attributes = attributes.into_iter().map(|(name, value)| (QueueAttributeName::from(name), value)).collect();
    let request = services.sqs.set_queue_attributes().set_queue_url(url).set_attributes(Some(attributes));
    let answer = request.send().await;
    answer.map(drop).map_err(|error| explain(Call { action: "sqs:SetQueueAttributes", on: &on }, error))
}

fn done<T, E>(
    site: &Place,
    action: &'static str,
    answer: Result<T, aws_sdk_s3::error::SdkError<E>>,
) -> Result<(), BucketError>
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + core::error::Error + Send + Sync + 'static,
{
    let on = format!("the bucket {}", site.bucket.bucket());
    answer.map(drop).map_err(|error| explain(Call { action, on: &on }, error))
}

/// What was put together here is not whole.
fn unsaid(site: &Place, error: impl core::error::Error + Send + Sync + 'static) -> BucketError {
    BucketError::new(Outcome::Refused, format!("region {}: the request is not whole", site.name)).caused_by(error)
}
