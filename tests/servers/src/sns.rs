//! The SNS server: the query protocol, over the topics of the cloud.

use std::{collections::BTreeMap, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use hyper::{Request, Response, http::request::Parts};

use crate::{
    cloud::Cloud,
    faults::{Asked, Faults, Refusal},
    http::{Server, Service},
    meter::Meter,
    policy::{ACCOUNT, Caller, Policy, Request as Question},
    signature::{Disbelief, Signer, signer},
    topics::{Subscription, Topic},
};

/// SNS on 127.0.0.1: standard topics with queues for subscribers, in the region that a request is signed for.
///
/// It runs on a thread of its own until it is dropped; topics stay in the [`Cloud`].
#[derive(Debug)]
pub struct SnsServer(Server);

impl SnsServer {
    /// Serves on a port that is free.
    ///
    /// # Errors
    ///
    /// No port can be had.
    pub fn start(cloud: &Cloud) -> io::Result<Self> {
        Ok(Self(Server::start(0, Protocol(cloud.clone()))?))
    }

    /// Where it listens: `http://127.0.0.1:` and a port.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
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

struct Protocol(Cloud);

/// Status, code and message.
struct Refused(u16, &'static str, String);

impl Refused {
    fn invalid(message: impl Into<String>) -> Self {
        Self(400, "InvalidParameter", format!("Invalid parameter: {}", message.into()))
    }

    fn not_found(what: &str) -> Self {
        Self(404, "NotFound", format!("{what} does not exist"))
    }
}

type Form = BTreeMap<String, String>;

impl Service for Protocol {
    fn asked(&self, _: &Parts, body: Option<&Bytes>) -> Option<Asked> {
        let form = form(body?);
        let place =
            form.get("TopicArn").and_then(|arn| arn.rsplit(':').next()).or(form.get("Name").map(String::as_str));
        let operation = form.get("Action").cloned().unwrap_or_default();
        Some(Asked { operation, place: place.unwrap_or_default().to_owned(), key: String::new() })
    }

    fn answer(&self, request: Request<Bytes>) -> Pin<Box<dyn Future<Output = Response<Bytes>> + Send + '_>> {
        let form = form(request.body());
        let action = form.get("Action").cloned().unwrap_or_default();
        let answered = match signer(&self.0, "sns", &request) {
            Ok(signer) => self.operate(&signer, &action, &form),
            Err(disbelief) => Err(disbelieved(disbelief)),
        };
        let response = match answered {
            Ok(result) => document(
                200,
                &format!(
                    "<{action}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><{action}Result>{result}\
                     </{action}Result><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{action}Response>",
                    self.0.random().uuid()
                ),
            ),
            Err(refused) => self.refused(&refused),
        };
        Box::pin(async move { response })
    }

    fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        let code = match refusal {
            Refusal::SlowDown => "Throttling",
            Refusal::InternalError => "InternalFailure",
            Refusal::AccessDenied => "AuthorizationError",
            refusal => refusal.code(),
        };
        let status = if refusal == Refusal::SlowDown { 400 } else { refusal.status() };
        self.refused(&Refused(status, code, "Injected by the test".to_owned()))
    }
}

impl Protocol {
    fn operate(&self, signer: &Signer, action: &str, form: &Form) -> Result<String, Refused> {
        let text = |name: &str| form.get(name).map_or("", String::as_str);
        let named = format!("arn:aws:sns:{}:{ACCOUNT}:{}", signer.region, text("Name"));
        let of_subscription =
            || text("SubscriptionArn").rsplit_once(':').map_or(String::new(), |(topic, _)| topic.to_owned());
        let arn = match action {
            "CreateTopic" => named,
            "GetSubscriptionAttributes" | "SetSubscriptionAttributes" | "Unsubscribe" => of_subscription(),
            "ListTopics" => "*".to_owned(),
            _ => text("TopicArn").to_owned(),
        };
        self.allow(signer, &format!("sns:{action}"), &arn)?;
        match action {
            "CreateTopic" => {
                let mut topic = Topic::default();
                for (name, value) in entries(form, "Attributes") {
                    set(&mut topic, &name, &value)?;
                }
                self.0.topics().entry(arn.clone()).or_insert(topic);
                Ok(element("TopicArn", &arn))
            }
            "DeleteTopic" => {
                self.0.topics().remove(&arn);
                Ok(String::new())
            }
            "ListTopics" => {
                let topics = self.0.topics();
                let here = format!("arn:aws:sns:{}:", signer.region);
                let listed =
                    topics.keys().filter(|arn| arn.starts_with(&here)).map(|arn| member(&element("TopicArn", arn)));
                Ok(format!("<Topics>{}</Topics>", listed.collect::<String>()))
            }
            "GetTopicAttributes" => self.topic(&arn, |topic| {
                let mut attributes = topic.attributes.clone();
                attributes.insert("TopicArn".to_owned(), arn.clone());
                attributes.insert("Owner".to_owned(), ACCOUNT.to_owned());
                attributes.insert("SubscriptionsConfirmed".to_owned(), topic.subscriptions.len().to_string());
                Ok(map(&attributes))
            }),
            "SetTopicAttributes" => self
                .topic(&arn, |topic| set(topic, text("AttributeName"), text("AttributeValue")).map(|()| String::new())),
            "Subscribe" => self.subscribe(&arn, form),
            "Unsubscribe" => self.topic(&arn, |topic| {
                topic.subscriptions.remove(text("SubscriptionArn"));
                Ok(String::new())
            }),
            "ListSubscriptionsByTopic" => self.topic(&arn, |topic| {
                let listed = topic.subscriptions.iter().map(|(own, subscription)| {
                    let endpoint = element("Endpoint", &subscription.queue);
                    let (own, arn, owner) =
                        (element("SubscriptionArn", own), element("TopicArn", &arn), element("Owner", ACCOUNT));
                    member(&format!("{own}{arn}{owner}<Protocol>sqs</Protocol>{endpoint}"))
                });
                Ok(format!("<Subscriptions>{}</Subscriptions>", listed.collect::<String>()))
            }),
            "GetSubscriptionAttributes" => self.topic(&arn, |topic| {
                let own = text("SubscriptionArn");
                let found = topic.subscriptions.get(own).ok_or_else(|| Refused::not_found("Subscription"))?;
                let pairs = [
                    ("Endpoint", found.queue.clone()),
                    ("Owner", ACCOUNT.to_owned()),
                    ("PendingConfirmation", "false".to_owned()),
                    ("Protocol", "sqs".to_owned()),
                    ("RawMessageDelivery", found.is_raw.to_string()),
                    ("SubscriptionArn", own.to_owned()),
                    ("TopicArn", arn.clone()),
                ];
                Ok(map(&pairs.map(|(name, value)| (name.to_owned(), value)).into()))
            }),
            "SetSubscriptionAttributes" => self.topic(&arn, |topic| {
                let found = topic.subscriptions.get_mut(text("SubscriptionArn"));
                let found = found.ok_or_else(|| Refused::not_found("Subscription"))?;
                found.is_raw = raw(text("AttributeName"), text("AttributeValue"))?;
                Ok(String::new())
            }),
            "Publish" => {
                self.topic(&arn, |_| Ok(()))?;
                self.0.publish(&arn, form.get("Subject").map(String::as_str), text("Message"));
                Ok(element("MessageId", &self.0.random().uuid()))
            }
            _ => Err(Refused(400, "InvalidAction", format!("{action} is not served here"))),
        }
    }

    fn subscribe(&self, arn: &str, form: &Form) -> Result<String, Refused> {
        let queue = form.get("Endpoint").filter(|endpoint| endpoint.starts_with("arn:aws:sqs:"));
        let (Some("sqs"), Some(queue)) = (form.get("Protocol").map(String::as_str), queue) else {
            return Err(Refused::invalid("only queues can subscribe here"));
        };
        let mut is_raw = false;
        for (name, value) in entries(form, "Attributes") {
            is_raw = raw(&name, &value)?;
        }
        let fresh = format!("{arn}:{}", self.0.random().uuid());
        self.topic(arn, |topic| {
            // Who subscribes again is told of the subscription that there is.
            let present = topic.subscriptions.iter().find(|(_, subscription)| subscription.queue == *queue);
            if let Some((own, subscription)) = present {
                if subscription.is_raw != is_raw {
                    return Err(Refused::invalid("Subscription already exists with different attributes"));
                }
                return Ok(element("SubscriptionArn", own));
            }
            topic.subscriptions.insert(fresh.clone(), Subscription { queue: queue.clone(), is_raw });
            Ok(element("SubscriptionArn", &fresh))
        })
    }

    fn allow(&self, signer: &Signer, action: &str, resource: &str) -> Result<(), Refused> {
        let caller = Caller::Principal(signer.name.clone());
        let context = self.0.context_of(&signer.name);
        let question = Question { caller: &caller, action, resource, context: &context };
        let topics = self.0.topics();
        if self.0.allows(&question, topics.get(resource).and_then(|topic| topic.policy.as_ref())) {
            return Ok(());
        }
        let message = format!("{} is not authorized to perform: {action} on resource: {resource}", signer.name);
        Err(Refused(403, "AuthorizationError", message))
    }

    fn topic<T>(&self, arn: &str, act: impl FnOnce(&mut Topic) -> Result<T, Refused>) -> Result<T, Refused> {
        act(self.0.topics().get_mut(arn).ok_or_else(|| Refused::not_found("Topic"))?)
    }

    fn refused(&self, Refused(status, code, message): &Refused) -> Response<Bytes> {
        let kind = if *status < 500 { "Sender" } else { "Receiver" };
        let error =
            format!("<Error><Type>{kind}</Type>{}{}</Error>", element("Code", code), element("Message", message));
        let id = element("RequestId", &self.0.random().uuid());
        document(
            *status,
            &format!("<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">{error}{id}</ErrorResponse>"),
        )
    }
}

fn set(topic: &mut Topic, name: &str, value: &str) -> Result<(), Refused> {
    match name {
        "Policy" => topic.policy = Some(Policy::of_resource(value).map_err(Refused::invalid)?),
        "DisplayName" | "KmsMasterKeyId" | "SignatureVersion" | "TracingConfig" => {}
        _ => return Err(Refused::invalid("AttributeName")),
    }
    topic.attributes.insert(name.to_owned(), value.to_owned());
    Ok(())
}

fn raw(name: &str, value: &str) -> Result<bool, Refused> {
    match (name, value.parse()) {
        ("RawMessageDelivery", Ok(is_raw)) => Ok(is_raw),
        _ => Err(Refused::invalid("AttributeName")),
    }
}

fn disbelieved(disbelief: Disbelief) -> Refused {
    let (code, message) = match disbelief {
        Disbelief::Missing => ("MissingAuthenticationToken", "It is not signed"),
        Disbelief::Unknown => ("InvalidClientTokenId", "The security token included in the request is invalid"),
        Disbelief::Wrong => ("SignatureDoesNotMatch", "The signature does not match"),
        Disbelief::Skewed => ("SignatureDoesNotMatch", "Signature expired"),
    };
    Refused(403, code, message.to_owned())
}

fn form(body: &Bytes) -> Form {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The pairs of a map in a form: `Attributes.entry.1.key` and `.value`.
fn entries(form: &Form, name: &str) -> Vec<(String, String)> {
    let at = |number: usize, part: &str| form.get(&format!("{name}.entry.{number}.{part}")).cloned();
    (1..).map_while(|number| Some((at(number, "key")?, at(number, "value")?))).collect()
}

fn document(status: u16, xml: &str) -> Response<Bytes> {
    let builder = Response::builder().status(status).header("content-type", "text/xml");
    builder.body(format!("<?xml version=\"1.0\"?>{xml}").into()).expect("it is a response")
}

fn element(name: &str, text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    format!("<{name}>{escaped}</{name}>")
}

fn member(xml: &str) -> String {
    format!("<member>{xml}</member>")
}

fn map(attributes: &BTreeMap<String, String>) -> String {
    let entry = |(name, value): (&String, &String)| {
        format!("<entry>{}{}</entry>", element("key", name), element("value", value))
    };
    format!("<Attributes>{}</Attributes>", attributes.iter().map(entry).collect::<String>())
}
