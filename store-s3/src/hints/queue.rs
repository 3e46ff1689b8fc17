//! A queue: the few calls of SQS that are used, with errors that say what to do.

use core::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
        QueueAttributeName,
    },
};
use replica::ports::{BucketError, Outcome};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::{ledger::Handle, queue_url::QueueUrl};
use crate::{
    calls::{Call, explain},
    clients::Access,
};

/// How long a receive waits for a message to come: the most that SQS takes.
pub(super) const LONG_POLL: Duration = Duration::from_secs(20);

/// How many messages SQS takes or gives in one call.
pub(super) const BATCH: usize = 10;

/// A queue, and the right to ask for what is in it.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    url: QueueUrl,
    /// What it is called in errors.
    on: String,
    address: OnceCell<String>,
}

/// A message that was received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) handle: Handle,
    pub(super) body: String,
    /// How often it was received, this time included.
    pub(super) times: u32,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub(super) sent_ms: u64,
}

/// What a queue says of itself. Its numbers are about right, no more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueState {
    /// Messages that wait to be received.
    pub waiting: u64,
    /// Messages that were received and are neither deleted nor back.
    pub under_way: u64,
    /// The ARN of the queue with what could not be understood, if there is one.
    pub dead_letters: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
}

impl Queue {
    /// The queue at this place. Nothing is asked yet, but for the credentials if they come from the network.
    pub async fn connect(url: &QueueUrl) -> Self {
        Self::with(url, None).await
    }

    /// The same with credentials that are not those of the usual chain.
    pub async fn connect_as(url: &QueueUrl, credentials: impl ProvideCredentials + 'static) -> Self {
        Self::with(url, Some(SharedCredentialsProvider::new(credentials))).await
    }

    async fn with(url: &QueueUrl, credentials: Option<SharedCredentialsProvider>) -> Self {
        let access = Access { region: url.region(), endpoint: url.endpoint(), profile: url.profile(), credentials };
        // Whoever asks here asks again in time, and the alarm is not to wait for the retries.
        let client = Client::new(&access.config(0, LONG_POLL).await);
        let address = OnceCell::new_with(url.address().map(str::to_owned));
        Self { client, url: url.clone(), on: format!("the queue {}", url.name()), address }
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &QueueUrl {
        &self.url
    }

    fn call(&self, action: &'static str) -> Call<'_> {
        Call { action, on: &self.on }
    }

    /// What SQS calls it.
    async fn address(&self) -> Result<&str, BucketError> {
        let found = self.address.get_or_try_init(|| async {
            let request = self.client.get_queue_url().queue_name(self.url.name());
            let request = request.set_queue_owner_aws_account_id(self.url.account().map(str::to_owned));
            let answer = request.send().await.map_err(|error| explain(self.call("sqs:GetQueueUrl"), error))?;
            answer.queue_url.ok_or_else(|| self.silent("sqs:GetQueueUrl"))
        });
        found.await.map(String::as_str)
    }

    /// The service answered without what was asked for.
    fn silent(&self, action: &str) -> BucketError {
        let says = format!("{action} of {}: the answer lacks what was asked for; this is no SQS", self.on);
        BucketError::new(Outcome::Refused, says)
    }

    /// How much is in it, and where its dead letters go.
    ///
    /// # Errors
    ///
    /// `Refused` when there is no such queue, or it may not be asked; `Unavailable` when the service does not answer.
    ///
    /// Cost: one request, and at first one more where the URL does not give the address.
    pub async fn state(&self) -> Result<QueueState, BucketError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::RedrivePolicy,
        ];
        let request = self.client.get_queue_attributes().queue_url(self.address().await?);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| explain(self.call("sqs:GetQueueAttributes"), error))?;
        let attribute = |name| answer.attributes.as_ref().and_then(|all| all.get(&name));
        let number = |name| attribute(name).and_then(|number| number.parse().ok()).unwrap_or(0);
        let redrive = attribute(QueueAttributeName::RedrivePolicy);
        let redrive = redrive.and_then(|policy| serde_json::from_str::<RedrivePolicy>(policy).ok());
        Ok(QueueState {
            waiting: number(QueueAttributeName::ApproximateNumberOfMessages),
            under_way: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            dead_letters: redrive.map(|policy| policy.dead_letter_target_arn),
        })
    }

    /// The queue with what could not be understood, if there is one.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state).
    pub async fn dead_letters(&self) -> Result<Option<Self>, BucketError> {
        let Some(arn) = self.state().await?.dead_letters else { return Ok(None) };
        // arn:PARTITION:sqs:REGION:ACCOUNT:NAME. It is in the region of the queue that it belongs to.
        let mut parts = arn.split(':').skip(4);
        let (Some(account), Some(name)) = (parts.next(), parts.next()) else {
            return Err(self.silent("sqs:GetQueueAttributes"));
        };
        let url = self.url.neighbour(name, account)?;
        Ok(Some(Self {
            client: self.client.clone(),
            on: format!("the queue {}", url.name()),
            url,
            address: OnceCell::new(),
        }))
    }

    /// At most ten messages, as soon as there are any within `wait`. They are hidden from others for `hidden`.
    pub(super) async fn receive(&self, wait: Duration, hidden: Duration) -> Result<Vec<Received>, BucketError> {
        let names = [MessageSystemAttributeName::ApproximateReceiveCount, MessageSystemAttributeName::SentTimestamp];
        let request = self.client.receive_message().queue_url(self.address().await?);
        let request = request.max_number_of_messages(BATCH as i32).wait_time_seconds(seconds(wait));
        let request = request.visibility_timeout(seconds(hidden));
        let answer = request.set_message_system_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| explain(self.call("sqs:ReceiveMessage"), error))?;
        let received = answer.messages.unwrap_or_default().into_iter().filter_map(|message| {
            let number = |name| message.attributes.as_ref()?.get(&name)?.parse::<u64>().ok();
            let times = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
            let sent_ms = number(MessageSystemAttributeName::SentTimestamp).unwrap_or(0);
            let handle = Handle { id: message.message_id?, receipt: message.receipt_handle? };
            let times = u32::try_from(times).unwrap_or(u32::MAX);
            Some(Received { handle, body: message.body.unwrap_or_default(), times, sent_ms })
        });
        Ok(received.collect())
    }

    /// Deletes at most ten messages. Returns those that could not be, with why; one that is gone already is deleted.
    pub(super) async fn delete(&self, messages: &[Handle]) -> Result<Vec<(Handle, String)>, BucketError> {
        let entry = |(number, message): (usize, &Handle)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
            entry.receipt_handle(&message.receipt).build().ok()
        };
        let entries = messages.iter().enumerate().filter_map(entry).collect();
        let request = self.client.delete_message_batch().queue_url(self.address().await?);
        let answer = request.set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| explain(self.call("sqs:DeleteMessage"), error))?;
        Ok(failed(messages, answer.failed.iter().map(|failed| (failed.id(), failed.code(), failed.message()))))
    }

    /// Hides at most ten messages from others for so long from now. Returns those that could not be, with why.
    pub(super) async fn hide(
        &self,
        messages: &[Handle],
        hidden: Duration,
    ) -> Result<Vec<(Handle, String)>, BucketError> {
        let entry = |(number, message): (usize, &Handle)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
            entry.receipt_handle(&message.receipt).visibility_timeout(seconds(hidden)).build().ok()
        };
        let entries = messages.iter().enumerate().filter_map(entry).collect();
        let request = self.client.change_message_visibility_batch().queue_url(self.address().await?);
        let answer = request.set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| explain(self.call("sqs:ChangeMessageVisibility"), error))?;
        Ok(failed(messages, answer.failed.iter().map(|failed| (failed.id(), failed.code(), failed.message()))))
    }

    /// Puts a message into it.
    pub(super) async fn send(&self, body: &str) -> Result<(), BucketError> {
        let request = self.client.send_message().queue_url(self.address().await?).message_body(body);
        request.send().await.map(drop).map_err(|error| explain(self.call("sqs:SendMessage"), error))
    }

    /// Deletes all that is in it. SQS takes up to 60 seconds, and does not take it twice within that time.
    pub(super) async fn purge(&self) -> Result<(), BucketError> {
        let request = self.client.purge_queue().queue_url(self.address().await?);
        request.send().await.map(drop).map_err(|error| explain(self.call("sqs:PurgeQueue"), error))
    }
}

/// Those entries of a batch that failed, by the numbers they were given.
fn failed<'a>(
    messages: &[Handle],
    failed: impl Iterator<Item = (&'a str, &'a str, Option<&'a str>)>,
) -> Vec<(Handle, String)> {
    failed
        .filter_map(|(id, code, message)| {
            let message = message.map(|message| format!(": {message}")).unwrap_or_default();
            Some((messages.get(id.parse::<usize>().ok()?)?.clone(), format!("{code}{message}")))
        })
        .collect()
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
