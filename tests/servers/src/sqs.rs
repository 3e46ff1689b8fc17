//! The SQS server: the JSON protocol, over the queues of the cloud.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use hyper::{Request, Response, StatusCode, http::request::Parts};
use s3s::crypto::{Checksum as _, Md5};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    bucket::hex,
    cloud::Cloud,
    faults::{Asked, Faults, Refusal},
    http::{Server, Service},
    meter::Meter,
    policy::{ACCOUNT, Caller, Request as Question},
    queues::{Message, Queue, no_attributes, queue_arn},
    signature::{Disbelief, Signer, signer},
    time::now,
};

/// What a receive or a batch handles at most.
const BATCH_MAX: usize = 10;

/// SQS on 127.0.0.1: standard queues, in the region that a request is signed for.
///
/// It runs on a thread of its own until it is dropped; what was sent stays in the [`Cloud`].
#[derive(Debug)]
pub struct SqsServer(Server);

impl SqsServer {
    /// Serves on a port that is free.
    ///
    /// # Errors
    ///
    /// No port can be had.
    pub fn start(cloud: &Cloud) -> io::Result<Self> {
        Self::start_on(cloud, 0)
    }

    /// Serves on a given port, 0 for any.
    ///
    /// # Errors
    ///
    /// The port cannot be had.
    pub fn start_on(cloud: &Cloud, port: u16) -> io::Result<Self> {
        let address = Arc::new(OnceLock::new());
        let server = Server::start(port, Protocol { cloud: cloud.clone(), address: Arc::clone(&address) })?;
        address.set(server.address).expect("it was not set before");
        Ok(Self(server))
    }

    /// Where it listens: `http://127.0.0.1:` and a port.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The URL of a queue, as `GetQueueUrl` gives it.
    #[must_use]
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.url())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What was asked.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.0.meter
    }
}

struct Protocol {
    cloud: Cloud,
    address: Arc<OnceLock<SocketAddr>>,
}

/// Why a request is refused: status, code of the JSON protocol, code of the older one, and a message.
#[derive(Debug)]
struct Refused(u16, &'static str, &'static str, String);

impl Refused {
    fn no_queue() -> Self {
        let message = "The specified queue does not exist.".to_owned();
        Self(400, "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", message)
    }

    fn invalid(message: impl Into<String>) -> Self {
        let code = "com.amazonaws.sqs#InvalidParameterValueException";
        Self(400, code, "InvalidParameterValue", message.into())
    }

    fn response(&self) -> Response<Bytes> {
        let Self(status, code, older, message) = self;
        let status = StatusCode::from_u16(*status).expect("it is a status");
        let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
        let builder = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
        let builder = builder.header("x-amzn-query-error", format!("{older};{fault}"));
        let body = json!({ "__type": code, "message": message }).to_string();
        builder.body(body.into()).expect("it is a response")
    }
}

type Answer = Result<Value, Refused>;

impl Service for Protocol {
    fn asked(&self, head: &Parts, body: Option<&Bytes>) -> Option<Asked> {
        let input: Value = serde_json::from_slice(body?).unwrap_or_default();
        Some(Asked { operation: operation(head), place: queue_of(&input).to_owned(), key: String::new() })
    }

    fn answer(&self, request: Request<Bytes>) -> Pin<Box<dyn Future<Output = Response<Bytes>> + Send + '_>> {
        Box::pin(async move {
            let answered = match signer(&self.cloud, "sqs", &request) {
                Ok(signer) => self.operate(&signer, request).await,
                Err(disbelief) => Err(disbelieved(disbelief)),
            };
            match answered {
                Ok(output) => Response::builder()
                    .header("content-type", "application/x-amz-json-1.0")
                    .body(output.to_string().into())
                    .expect("it is a response"),
                Err(refused) => refused.response(),
            }
        })
    }

    fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        let (code, older) = match refusal {
            Refusal::InternalError => ("com.amazon.coral.service#InternalFailure", "InternalFailure"),
            Refusal::ServiceUnavailable => ("com.amazon.coral.service#ServiceUnavailable", "ServiceUnavailable"),
            Refusal::SlowDown => ("com.amazonaws.sqs#RequestThrottled", "RequestThrottled"),
            Refusal::AccessDenied => ("com.amazon.coral.service#AccessDeniedException", "AccessDenied"),
            Refusal::SignatureDoesNotMatch | Refusal::RequestTimeTooSkewed => {
                ("com.amazon.coral.service#InvalidSignatureException", "SignatureDoesNotMatch")
            }
            Refusal::ExpiredToken => ("com.amazon.coral.service#ExpiredTokenException", "ExpiredToken"),
            Refusal::ConditionalRequestConflict => ("com.amazon.coral.service#Conflict", "Conflict"),
            Refusal::RequestTimeout => ("com.amazon.coral.service#RequestTimeout", "RequestTimeout"),
        };
        let status = if refusal == Refusal::SlowDown { 400 } else { refusal.status() };
        Refused(status, code, older, "Injected by the test".to_owned()).response()
    }
}

impl Protocol {
    async fn operate(&self, signer: &Signer, request: Request<Bytes>) -> Answer {
        let (head, body) = request.into_parts();
        let input: Value = serde_json::from_slice(&body).map_err(|_| {
            Refused(400, "com.amazon.coral.service#SerializationException", "MalformedInput", String::new())
        })?;
        let operation = operation(&head);
        let (name, region) = (queue_of(&input).to_owned(), signer.region.as_str());
        let arn = queue_arn(region, &name);
        let action = operation.strip_suffix("Batch").unwrap_or(&operation);
        let action = format!("sqs:{action}");
        match operation.as_str() {
            "ListQueues" => {
                self.allow(signer, &action, "*")?;
                return Ok(self.list(region, &input));
            }
            "StartMessageMoveTask" => return self.move_back(signer, &input),
            _ => self.allow(signer, &action, &arn)?,
        }
        if operation == "CreateQueue" {
            return self.create(&name, &arn, &input);
        }
        if !self.cloud.queues().contains_key(&arn) {
            return Err(Refused::no_queue());
        }
        match operation.as_str() {
            "GetQueueUrl" => Ok(json!({ "QueueUrl": self.url(&name) })),
            "GetQueueAttributes" => self.with(&arn, |queue| Ok(described(queue, &arn, &input))),
            "SetQueueAttributes" => self.with(&arn, |queue| set(queue, &input).map(|()| json!({}))),
            "DeleteQueue" => {
                self.cloud.queues().remove(&arn);
                Ok(json!({}))
            }
            "PurgeQueue" => self.with(&arn, |queue| {
                queue.drain();
                Ok(json!({}))
            }),
            "SendMessage" => self.with(&arn, |queue| self.send(queue, &input)),
            "SendMessageBatch" => self.with(&arn, |queue| batch(&input, |entry| self.send(queue, entry))),
            "ReceiveMessage" => self.receive(&arn, &input).await,
            "DeleteMessage" => self.with(&arn, |queue| delete(queue, &input)),
            "DeleteMessageBatch" => self.with(&arn, |queue| batch(&input, |entry| delete(queue, entry))),
            "ChangeMessageVisibility" => self.with(&arn, |queue| hide(queue, &input)),
            "ChangeMessageVisibilityBatch" => self.with(&arn, |queue| batch(&input, |entry| hide(queue, entry))),
            _ => Err(Refused(
                400,
                "com.amazon.coral.service#UnknownOperationException",
                "InvalidAction",
                format!("{operation} is not served here"),
            )),
        }
    }

    fn allow(&self, signer: &Signer, action: &str, resource: &str) -> Result<(), Refused> {
        let caller = Caller::Principal(signer.name.clone());
        let context = self.cloud.context_of(&signer.name);
        let question = Question { caller: &caller, action, resource, context: &context };
        let queues = self.cloud.queues();
        if self.cloud.allows(&question, queues.get(resource).and_then(|queue| queue.policy.as_ref())) {
            return Ok(());
        }
        let message = format!("{} is not authorized to perform: {action} on resource: {resource}", signer.name);
        Err(Refused(403, "com.amazon.coral.service#AccessDeniedException", "AccessDenied", message))
    }

    fn with<T>(&self, arn: &str, act: impl FnOnce(&mut Queue) -> Result<T, Refused>) -> Result<T, Refused> {
        let done = act(self.cloud.queues().get_mut(arn).ok_or_else(Refused::no_queue)?);
        self.cloud.arrived().notify_waiters();
        done
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/{ACCOUNT}/{name}", self.address.wait())
    }

    fn list(&self, region: &str, input: &Value) -> Value {
        let begin = queue_arn(region, input["QueueNamePrefix"].as_str().unwrap_or_default());
        let queues = self.cloud.queues();
        let found = queues.keys().filter(|arn| arn.starts_with(&begin));
        let urls: Vec<String> = found.filter_map(|arn| Some(self.url(arn.rsplit(':').next()?))).collect();
        json!({ "QueueUrls": urls })
    }

    fn create(&self, name: &str, arn: &str, input: &Value) -> Answer {
        let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "-_".contains(sign);
        if name.is_empty() || name.len() > 80 || !name.chars().all(is_plain) {
            return Err(Refused::invalid(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ));
        }
        let mut created = Queue::new(now());
        set(&mut created, input)?;
        let mut queues = self.cloud.queues();
        let present = queues.entry(arn.to_owned()).or_insert_with(|| created);
        let asked = input["Attributes"].as_object();
        let differs =
            |(name, value): (&String, &Value)| present.attributes.get(name).map(String::as_str) != value.as_str();
        if asked.into_iter().flatten().any(differs) {
            let message = "A queue already exists with the same name and a different value for an attribute".to_owned();
            return Err(Refused(400, "com.amazonaws.sqs#QueueNameExists", "QueueAlreadyExists", message));
        }
        Ok(json!({ "QueueUrl": self.url(name) }))
    }

    fn send(&self, queue: &mut Queue, input: &Value) -> Answer {
        let body = input["MessageBody"].as_str().unwrap_or_default();
        let limit = queue.attributes.get("MaximumMessageSize").and_then(|limit| limit.parse().ok());
        if body.is_empty() || limit.is_some_and(|limit: usize| body.len() > limit) {
            return Err(Refused::invalid(
                "One or more parameters are invalid. Reason: Message must be within its limits.",
            ));
        }
        let delay = input["DelaySeconds"].as_u64().map_or_else(|| queue.seconds("DelaySeconds"), Duration::from_secs);
        let attributes = input.get("MessageAttributes").cloned().unwrap_or_else(no_attributes);
        let message = Message::new(self.cloud.random(), body.to_owned(), attributes, now(), Instant::now() + delay);
        let output = json!({ "MessageId": message.id, "MD5OfMessageBody": md5(body) });
        queue.push(message);
        Ok(output)
    }

    /// Waits until there is a message, or the time is up.
    async fn receive(&self, arn: &str, input: &Value) -> Answer {
        let max = input["MaxNumberOfMessages"].as_u64().map_or(1, |max| usize::try_from(max).unwrap_or(usize::MAX));
        if !(1..=BATCH_MAX).contains(&max) {
            return Err(Refused::invalid(
                "Value for parameter MaxNumberOfMessages is invalid. Reason: Must be 1 to 10",
            ));
        }
        let seconds = |name: &str, own: &str, most: u64| {
            let asked = input[name].as_u64();
            if asked.is_some_and(|asked| asked > most) {
                return Err(Refused::invalid(format!("Value for parameter {name} is invalid")));
            }
            let of_queue = || self.with(arn, |queue| Ok(queue.seconds(own)));
            asked.map_or_else(of_queue, |asked| Ok(Duration::from_secs(asked)))
        };
        let wait = seconds("WaitTimeSeconds", "ReceiveMessageWaitTimeSeconds", 20)?;
        let visibility = seconds("VisibilityTimeout", "VisibilityTimeout", 43_200)?;
        let until = Instant::now() + wait;
        loop {
            let mut arrived = std::pin::pin!(self.cloud.arrived().notified());
            arrived.as_mut().enable();
            let now = Instant::now();
            let (messages, next) = self.take(arn, max, visibility, now)?;
            if !messages.is_empty() || now >= until {
                let shown = messages.iter().map(|message| shown(message, input)).collect::<Vec<_>>();
                return Ok(if shown.is_empty() { json!({}) } else { json!({ "Messages": shown }) });
            }
            let wake = next.map_or(until, |next| next.min(until));
            let _ = tokio::time::timeout_at(wake, arrived).await;
        }
    }

    /// What can be received now, and when more can be if nobody sends anything. What was received too often is put aside.
    fn take(
        &self,
        arn: &str,
        max: usize,
        visibility: Duration,
        now: Instant,
    ) -> Result<(Vec<Message>, Option<Instant>), Refused> {
        let random = self.cloud.random();
        let chance = self.cloud.deliveries().is_reordered().then_some(random);
        let mut queues = self.cloud.queues();
        let queue = queues.get_mut(arn).ok_or_else(Refused::no_queue)?;
        let received = queue.receive(max, visibility, (now, crate::time::now()), chance, random);
        let next = queue.next_visible().filter(|next| *next > now);
        for (target, message) in received.aside {
            if let Some(aside) = queues.get_mut(&target) {
                aside.push(message.put_aside(arn, now));
                self.cloud.arrived().notify_waiters();
            }
        }
        Ok((received.messages, next))
    }

    /// Sends what is in a dead-letter queue back to where it came from, at once rather than bit by bit.
    fn move_back(&self, signer: &Signer, input: &Value) -> Answer {
        let source = input["SourceArn"].as_str().unwrap_or_default();
        self.allow(signer, "sqs:StartMessageMoveTask", source)?;
        let destination = input["DestinationArn"].as_str();
        let mut queues = self.cloud.queues();
        let messages = queues.get_mut(source).ok_or_else(Refused::no_queue)?.drain();
        for message in messages {
            let (origin, message) = message.sent_back(Instant::now());
            let target = destination.map(str::to_owned).or(origin).unwrap_or_else(|| source.to_owned());
            // One whose queue is gone stays where it is.
            let target = if queues.contains_key(&target) { target } else { source.to_owned() };
            queues.get_mut(&target).ok_or_else(Refused::no_queue)?.push(message);
        }
        drop(queues);
        self.cloud.arrived().notify_waiters();
        Ok(json!({ "TaskHandle": self.cloud.random().uuid() }))
    }
}

/// What the operation of a request is called.
fn operation(head: &Parts) -> String {
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    target.strip_prefix("AmazonSQS.").unwrap_or(target).to_owned()
}

/// The name of the queue that a request is about.
fn queue_of(input: &Value) -> &str {
    let url = input["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next());
    let arn = || input["SourceArn"].as_str().and_then(|arn| arn.rsplit(':').next());
    url.or_else(|| input["QueueName"].as_str()).or_else(arn).unwrap_or_default()
}

fn set(queue: &mut Queue, input: &Value) -> Result<(), Refused> {
    for (name, value) in input["Attributes"].as_object().into_iter().flatten() {
        let refused = |why| Refused(400, "com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName", why);
        queue.set(name, value.as_str().unwrap_or_default(), now()).map_err(refused)?;
    }
    Ok(())
}

fn described(queue: &Queue, arn: &str, input: &Value) -> Value {
    let asked: Vec<&str> = input["AttributeNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut all: BTreeMap<String, String> = queue.described(arn, Instant::now());
    all.retain(|name, _| asked.contains(&"All") || asked.contains(&name.as_str()));
    if all.is_empty() { json!({}) } else { json!({ "Attributes": all }) }
}

fn shown(message: &Message, input: &Value) -> Value {
    let asked =
        |list: &str| -> Vec<&str> { input[list].as_array().into_iter().flatten().filter_map(Value::as_str).collect() };
    let (mut system, older) = (asked("MessageSystemAttributeNames"), asked("AttributeNames"));
    system.extend(older);
    let mut shown = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt(),
        "MD5OfBody": md5(&message.body),
        "Body": message.body
    });
    let mut attributes = message.system_attributes();
    attributes.retain(|name, _| system.contains(&"All") || system.contains(name));
    if !attributes.is_empty() {
        shown["Attributes"] = json!(attributes);
    }
    let is_told = message.attributes.as_object().is_some_and(|attributes| !attributes.is_empty());
    if is_told && !asked("MessageAttributeNames").is_empty() {
        shown["MessageAttributes"] = message.attributes.clone();
    }
    shown
}

fn delete(queue: &mut Queue, input: &Value) -> Answer {
    let receipt = input["ReceiptHandle"].as_str().filter(|receipt| receipt.len() > 32);
    let refused = || {
        let message = "The input receipt handle is invalid.".to_owned();
        Refused(400, "com.amazonaws.sqs#ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", message)
    };
    queue.delete(receipt.ok_or_else(refused)?);
    Ok(json!({}))
}

fn hide(queue: &mut Queue, input: &Value) -> Answer {
    let seconds = input["VisibilityTimeout"].as_u64().filter(|seconds| *seconds <= 43_200);
    let seconds = seconds.ok_or_else(|| Refused::invalid("Value for parameter VisibilityTimeout is invalid"))?;
    let receipt = input["ReceiptHandle"].as_str().unwrap_or_default();
    if queue.hide(receipt, Duration::from_secs(seconds), Instant::now()) {
        return Ok(json!({}));
    }
    let message = "The message is not in flight.".to_owned();
    Err(Refused(400, "com.amazonaws.sqs#MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", message))
}

/// Does each entry of a batch, and answers for each: the batch succeeds even if all of them fail.
fn batch(input: &Value, mut each: impl FnMut(&Value) -> Answer) -> Answer {
    let entries = input["Entries"].as_array().map_or(&[][..], Vec::as_slice);
    if entries.is_empty() || entries.len() > BATCH_MAX {
        let message = "A batch has 1 to 10 entries.".to_owned();
        let code = "com.amazonaws.sqs#TooManyEntriesInBatchRequest";
        return Err(Refused(400, code, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", message));
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        match each(entry) {
            Ok(mut output) => {
                output["Id"] = entry["Id"].clone();
                successful.push(output);
            }
            Err(Refused(_, _, code, message)) => {
                failed.push(json!({ "Id": entry["Id"], "SenderFault": true, "Code": code, "Message": message }));
            }
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

fn disbelieved(disbelief: Disbelief) -> Refused {
    let (status, code, older, message) = match disbelief {
        Disbelief::Missing => (
            403,
            "com.amazon.coral.service#MissingAuthenticationToken",
            "MissingAuthenticationToken",
            "It is not signed",
        ),
        Disbelief::Unknown => (
            403,
            "com.amazon.coral.service#UnrecognizedClientException",
            "InvalidClientTokenId",
            "The security token included in the request is invalid",
        ),
        Disbelief::Wrong => (
            403,
            "com.amazon.coral.service#InvalidSignatureException",
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided",
        ),
        Disbelief::Skewed => {
            (403, "com.amazon.coral.service#InvalidSignatureException", "SignatureDoesNotMatch", "Signature expired")
        }
    };
    Refused(status, code, older, message.to_owned())
}

fn md5(text: &str) -> String {
    hex(Md5::checksum(text.as_bytes()).as_ref())
}
