//! Reading what is there. What is absent is no error; what may not be looked at is one.

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    types::{BucketVersioningStatus, NotificationConfiguration},
};
use aws_sdk_sqs::types::QueueAttributeName;
use replica::ports::BucketError;
use serde_json::Value;

use super::{
    cloud::{Cloud, Services},
    found::{Attributes, Found, FoundBucket, FoundTopic},
    plan::{Place, Plan},
};
use crate::calls::{Call, explain};

impl Cloud {
    /// What is there of each region, and whose account it is, if anything tells.
    pub(super) async fn look(&self) -> Result<(Option<String>, Vec<Found>), BucketError> {
        let mut found = Vec::new();
        for (site, services) in self.plan.sites.iter().zip(&self.services) {
            found.push(Found {
                bucket: look_at_bucket(site, services).await?,
                queue: match &site.queue {
                    Some(queue) => look_at_queue(services, queue.name()).await?,
                    None => None,
                },
                dead_letters: match &site.dead_letters {
                    Some(name) => look_at_queue(services, name).await?,
                    None => None,
                },
                topic: None,
            });
        }
        let account = self.plan.account().or_else(|| account(&found));
        if let Some(account) = &account {
            for ((site, services), found) in self.plan.sites.iter().zip(&self.services).zip(&mut found) {
                found.topic = look_at_topic(&self.plan, site, services, account).await?;
            }
        }
        Ok((account, found))
    }
}

/// Whose account it is, as the ARN of a queue says.
pub(super) fn account(found: &[Found]) -> Option<String> {
    let queues = found.iter().flat_map(|found| found.queue.iter().chain(&found.dead_letters));
    let mut arns = queues.filter_map(|attributes| attributes.get("QueueArn"));
    arns.find_map(|arn| arn.split(':').nth(4).map(str::to_owned))
}

/// The answer, or none when the error says that what was asked for is not there.
fn unless_absent<T, E>(
    call: Call<'_>,
    answer: Result<T, SdkError<E>>,
    absent: &[&str],
) -> Result<Option<T>, BucketError>
where
    E: ProvideErrorMetadata + core::error::Error + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
            if absent.iter().any(|absent| code.trim_start_matches("AWS.SimpleQueueService.") == *absent) {
                return Ok(None);
            }
            Err(explain(call, error))
        }
    }
}

async fn look_at_bucket(site: &Place, services: &Services) -> Result<Option<FoundBucket>, BucketError> {
    let (name, s3) = (site.bucket.bucket(), &services.s3);
    let on = format!("the bucket {name}");
    let call = |action| Call { action, on: &on };
    let answer = s3.get_bucket_versioning().bucket(name).send().await;
    let Some(versioning) = unless_absent(call("s3:GetBucketVersioning"), answer, &["NoSuchBucket"])? else {
        return Ok(None);
    };
    let answer = s3.get_public_access_block().bucket(name).send().await;
    let absent = ["NoSuchPublicAccessBlockConfiguration", "NoSuchPublicAccessBlock"];
    let blocked = unless_absent(call("s3:GetBucketPublicAccessBlock"), answer, &absent)?;
    let blocked = blocked.and_then(|blocked| blocked.public_access_block_configuration).map(|blocked| {
        [
            blocked.block_public_acls,
            blocked.ignore_public_acls,
            blocked.block_public_policy,
            blocked.restrict_public_buckets,
        ]
        .map(|is_blocked| is_blocked.unwrap_or(false))
    });
    let answer = s3.get_bucket_encryption().bucket(name).send().await;
    let absent = ["ServerSideEncryptionConfigurationNotFoundError"];
    let encryption = unless_absent(call("s3:GetEncryptionConfiguration"), answer, &absent)?;
    let encryption = encryption.and_then(|answer| {
        let configuration = answer.server_side_encryption_configuration?;
        let default = configuration.rules().iter().find_map(|rule| rule.apply_server_side_encryption_by_default())?;
        Some((default.sse_algorithm().as_str().to_owned(), default.kms_master_key_id().map(str::to_owned)))
    });
    let answer = s3.get_bucket_lifecycle_configuration().bucket(name).send().await;
    let rules = unless_absent(call("s3:GetLifecycleConfiguration"), answer, &["NoSuchLifecycleConfiguration"])?;
    let answer = s3.get_bucket_policy().bucket(name).send().await;
    let policy = unless_absent(call("s3:GetBucketPolicy"), answer, &["NoSuchBucketPolicy"])?;
    let answer = s3.get_bucket_notification_configuration().bucket(name).send().await;
    let told = answer.map_err(|error| explain(call("s3:GetBucketNotification"), error))?;
    let notifications = NotificationConfiguration::builder()
        .set_topic_configurations(told.topic_configurations)
        .set_queue_configurations(told.queue_configurations)
        .set_lambda_function_configurations(told.lambda_function_configurations)
        .set_event_bridge_configuration(told.event_bridge_configuration)
        .build();
    Ok(Some(FoundBucket {
        is_versioned: versioning.status == Some(BucketVersioningStatus::Enabled),
        blocked: blocked.unwrap_or_default(),
        encryption,
        rules: rules.and_then(|rules| rules.rules).unwrap_or_default(),
        policy: policy.and_then(|answer| serde_json::from_str(answer.policy.as_deref()?).ok()),
        notifications,
    }))
}

async fn look_at_queue(services: &Services, name: &str) -> Result<Option<Attributes>, BucketError> {
    let on = format!("the queue {name}");
    let answer = services.sqs.get_queue_url().queue_name(name).send().await;
    let absent = ["QueueDoesNotExist", "NonExistentQueue"];
    let url = unless_absent(Call { action: "sqs:GetQueueUrl", on: &on }, answer, &absent)?;
    let Some(url) = url.and_then(|answer| answer.queue_url) else { return Ok(None) };
    let request = services.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let call = Call { action: "sqs:GetQueueAttributes", on: &on };
    let answer = unless_absent(call, request.send().await, &absent)?;
    Ok(answer.map(|answer| {
        let attributes = answer.attributes.unwrap_or_default().into_iter();
        attributes.map(|(name, value)| (name.as_str().to_owned(), value)).collect()
    }))
}

async fn look_at_topic(
    plan: &Plan,
    site: &Place,
    services: &Services,
    account: &str,
) -> Result<Option<FoundTopic>, BucketError> {
    let Some(arn) = site.topic_arn(account) else { return Ok(None) };
    let on = format!("the topic {arn}");
    let answer = services.sns.get_topic_attributes().topic_arn(&arn).send().await;
    let call = Call { action: "sns:GetTopicAttributes", on: &on };
    let Some(attributes) = unless_absent(call, answer, &["NotFound", "NotFoundException"])? else { return Ok(None) };
    let policy = attributes.attributes.as_ref().and_then(|attributes| attributes.get("Policy"));
    let mut found = FoundTopic { policy: policy.and_then(|text| read(text)), queues: Vec::new() };
    if plan.listeners_of(site).next().is_none() {
        return Ok(Some(found));
    }
    let mut next: Option<String> = None;
    loop {
        let request = services.sns.list_subscriptions_by_topic().topic_arn(&arn).set_next_token(next);
        let call = Call { action: "sns:ListSubscriptionsByTopic", on: &on };
        let page = request.send().await.map_err(|error| explain(call, error))?;
        let queues = page.subscriptions().iter().filter(|subscription| subscription.protocol() == Some("sqs"));
        found.queues.extend(queues.filter_map(|subscription| subscription.endpoint().map(str::to_owned)));
        next = page.next_token;
        if next.is_none() {
            return Ok(Some(found));
        }
    }
}

fn read(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}
