//! Queues: messages that are seen, hidden for a while, deleted, or put aside.
//!
//! Time is passed in. A message that is late is one that is hidden from the start.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{policy::Policy, random::Random, time::milliseconds};

/// What a queue has where nobody says otherwise.
const DEFAULTS: [(&str, &str); 6] = [
    ("DelaySeconds", "0"),
    ("MaximumMessageSize", "262144"),
    ("MessageRetentionPeriod", "345600"),
    ("ReceiveMessageWaitTimeSeconds", "0"),
    ("SqsManagedSseEnabled", "true"),
    ("VisibilityTimeout", "30"),
];

/// What else may be set.
const OTHERS: [&str; 5] =
    ["KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "Policy", "RedriveAllowPolicy", "RedrivePolicy"];

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) policy: Option<Policy>,
    /// Where a message goes that was received so often.
    pub(crate) redrive: Option<(String, u32)>,
    created: SystemTime,
    modified: SystemTime,
    messages: Vec<Message>,
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) attributes: Value,
    /// Where it was put aside from.
    source: Option<String>,
    sent: SystemTime,
    first_received: Option<SystemTime>,
    received: u32,
    receipt: Option<String>,
    hidden_until: Instant,
}

impl Message {
    pub(crate) fn new(
        random: &Random,
        body: String,
        attributes: Value,
        sent: SystemTime,
        hidden_until: Instant,
    ) -> Self {
        let (id, source, first_received) = (random.uuid(), None, None);
        Self { id, body, attributes, source, sent, first_received, received: 0, receipt: None, hidden_until }
    }

    /// The receipt of its last receive.
    pub(crate) fn receipt(&self) -> &str {
        self.receipt.as_deref().unwrap_or_default()
    }

    /// What SQS says about it.
    pub(crate) fn system_attributes(&self) -> BTreeMap<&'static str, String> {
        let mut attributes = BTreeMap::from([
            ("ApproximateReceiveCount", self.received.to_string()),
            ("SenderId", "AIDAARCHIPELAGO".to_owned()),
            ("SentTimestamp", milliseconds(self.sent).to_string()),
        ]);
        if let Some(time) = self.first_received {
            attributes.insert("ApproximateFirstReceiveTimestamp", milliseconds(time).to_string());
        }
        if let Some(source) = &self.source {
            attributes.insert("DeadLetterQueueSourceArn", source.clone());
        }
        attributes
    }
}

/// What a receive gives.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) messages: Vec<Message>,
    /// Those that were received too often, and where they go.
    pub(crate) aside: Vec<(String, Message)>,
}

impl Queue {
    pub(crate) fn new(created: SystemTime) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let attributes = DEFAULTS.map(own).into();
        Self { attributes, policy: None, redrive: None, created, modified: created, messages: Vec::new() }
    }

    /// Sets an attribute, or says what is wrong with it.
    pub(crate) fn set(&mut self, name: &str, value: &str, now: SystemTime) -> Result<(), String> {
        let range = match name {
            "DelaySeconds" => Some(0..=900),
            "MaximumMessageSize" => Some(1_024..=1_048_576),
            "MessageRetentionPeriod" => Some(60..=1_209_600),
            "ReceiveMessageWaitTimeSeconds" => Some(0..=20),
            "VisibilityTimeout" => Some(0..=43_200),
            _ => None,
        };
        let is_known = DEFAULTS.iter().any(|(known, _)| *known == name) || OTHERS.contains(&name);
        if !is_known {
            return Err(format!("Unknown Attribute {name}."));
        }
        if range.is_some_and(|range| !value.parse().is_ok_and(|value: u32| range.contains(&value))) {
            return Err(format!("Invalid value for the parameter {name}."));
        }
        match name {
            "Policy" if value.is_empty() => self.policy = None,
            "Policy" => self.policy = Some(Policy::of_resource(value)?),
            "RedrivePolicy" if value.is_empty() => self.redrive = None,
            "RedrivePolicy" => {
                self.redrive = Some(redrive(value).ok_or("Invalid value for the parameter RedrivePolicy.")?);
            }
            _ => {}
        }
        self.modified = now;
        if value.is_empty() {
            self.attributes.remove(name);
        } else {
            self.attributes.insert(name.to_owned(), value.to_owned());
        }
        Ok(())
    }

    /// Everything that `GetQueueAttributes` tells.
    pub(crate) fn described(&self, arn: &str, now: Instant) -> BTreeMap<String, String> {
        let count = |which: &dyn Fn(&Message) -> bool| self.messages.iter().filter(|message| which(message)).count();
        let is_hidden = |message: &Message| message.hidden_until > now;
        let mut all = self.attributes.clone();
        let seconds = |time| (milliseconds(time) / 1_000).to_string();
        for (name, value) in [
            ("QueueArn", arn.to_owned()),
            ("ApproximateNumberOfMessages", count(&|message| !is_hidden(message)).to_string()),
            (
                "ApproximateNumberOfMessagesNotVisible",
                count(&|message| is_hidden(message) && message.received > 0).to_string(),
            ),
            (
                "ApproximateNumberOfMessagesDelayed",
                count(&|message| is_hidden(message) && message.received == 0).to_string(),
            ),
            ("CreatedTimestamp", seconds(self.created)),
            ("LastModifiedTimestamp", seconds(self.modified)),
        ] {
            all.insert(name.to_owned(), value);
        }
        all
    }

    /// A time in seconds that is an attribute.
    pub(crate) fn seconds(&self, name: &str) -> Duration {
        let value = self.attributes.get(name).and_then(|value| value.parse().ok());
        Duration::from_secs(value.unwrap_or_default())
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// Takes up to so many messages that are not hidden, and hides them; in any order, if there is chance.
    pub(crate) fn receive(
        &mut self,
        max: usize,
        visibility: Duration,
        (now, wall): (Instant, SystemTime),
        chance: Option<&Random>,
        random: &Random,
    ) -> Received {
        let mut received = Received::default();
        if let Some((target, most)) = &self.redrive {
            let is_spent = |message: &mut Message| message.hidden_until <= now && message.received >= *most;
            received.aside = self.messages.extract_if(.., is_spent).map(|message| (target.clone(), message)).collect();
        }
        let mut visible: Vec<usize> =
            (0..self.messages.len()).filter(|place| self.messages[*place].hidden_until <= now).collect();
        if let Some(chance) = chance {
            for place in (1..visible.len()).rev() {
                visible.swap(place, chance.below(place + 1));
            }
        }
        for place in visible.into_iter().take(max) {
            let message = &mut self.messages[place];
            message.received += 1;
            message.first_received.get_or_insert(wall);
            message.receipt = Some(format!("{}-{}", message.id, random.hex(32)));
            message.hidden_until = now + visibility;
            received.messages.push(message.clone());
        }
        received
    }

    /// When the next hidden message can be seen.
    pub(crate) fn next_visible(&self) -> Option<Instant> {
        self.messages.iter().map(|message| message.hidden_until).min()
    }

    /// Deletes what has this receipt. One that is not there any more was deleted before, which is no error.
    pub(crate) fn delete(&mut self, receipt: &str) {
        self.messages.retain(|message| message.receipt() != receipt);
    }

    /// Hides a message for so long from now on; false if it is not hidden.
    pub(crate) fn hide(&mut self, receipt: &str, hidden: Duration, now: Instant) -> bool {
        let found = self.messages.iter_mut().find(|message| message.receipt() == receipt && message.hidden_until > now);
        if let Some(message) = found {
            message.hidden_until = now + hidden;
            return true;
        }
        false
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }
}

impl Message {
    /// As it is in the dead-letter queue of a queue.
    pub(crate) fn put_aside(mut self, from: &str, now: Instant) -> Self {
        (self.source, self.receipt, self.hidden_until) = (Some(from.to_owned()), None, now);
        self
    }

    /// As it is in the queue that it came from.
    pub(crate) fn sent_back(mut self, now: Instant) -> (Option<String>, Self) {
        (self.receipt, self.hidden_until, self.received, self.first_received) = (None, now, 0, None);
        (self.source.take(), self)
    }
}

/// The queue and the number of a redrive policy.
fn redrive(json: &str) -> Option<(String, u32)> {
    let policy: Value = serde_json::from_str(json).ok()?;
    let most = &policy["maxReceiveCount"];
    let most = most.as_u64().or_else(|| most.as_str()?.parse().ok()).filter(|most| (1..=1_000).contains(most))?;
    Some((policy["deadLetterTargetArn"].as_str()?.to_owned(), u32::try_from(most).ok()?))
}

/// A queue's name and region from its ARN.
pub(crate) fn queue_arn(region: &str, name: &str) -> String {
    format!("arn:aws:sqs:{region}:{}:{name}", crate::policy::ACCOUNT)
}

/// No attributes of a message.
pub(crate) fn no_attributes() -> Value {
    json!({})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

    const HIDDEN: Duration = Duration::from_secs(30);

    struct Stage {
        queue: Queue,
        random: Random,
        began: Instant,
        wall: SystemTime,
    }

    impl Stage {
        fn new(messages: usize) -> Self {
            let (random, began, wall) = (Random::new(1), Instant::now(), now());
            let mut queue = Queue::new(wall);
            for number in 0..messages {
                queue.push(Message::new(&random, number.to_string(), no_attributes(), wall, began));
            }
            Self { queue, random, began, wall }
        }

        fn receive(&mut self, max: usize, after: u64) -> Received {
            let now = self.began + Duration::from_secs(after);
            self.queue.receive(max, HIDDEN, (now, self.wall), None, &self.random)
        }
    }

    fn bodies(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|message| message.body.as_str()).collect()
    }

    #[test]
    fn a_message_is_hidden_and_comes_again_until_it_is_deleted() {
        let mut stage = Stage::new(3);
        let first = stage.receive(2, 0);
        assert_eq!(bodies(&first.messages), ["0", "1"]);
        assert_eq!(bodies(&stage.receive(10, 29).messages), ["2"]);
        stage.queue.delete(first.messages[0].receipt());
        let again = stage.receive(10, 30);
        assert_eq!(bodies(&again.messages), ["1"]);
        assert_eq!(again.messages[0].system_attributes()["ApproximateReceiveCount"], "2");
        stage.queue.delete(first.messages[1].receipt());
        assert_eq!(bodies(&stage.receive(10, 100).messages), ["1", "2"], "an old receipt deletes nothing");
    }

    #[test]
    fn hiding_longer_and_showing_again_are_the_same_call() {
        let mut stage = Stage::new(1);
        let receipt = stage.receive(1, 0).messages[0].receipt().to_owned();
        let at = |seconds| stage.began + Duration::from_secs(seconds);
        assert!(stage.queue.hide(&receipt, Duration::from_secs(60), at(20)));
        assert!(stage.queue.next_visible() == Some(at(80)));
        assert!(stage.queue.hide(&receipt, Duration::ZERO, at(21)));
        assert!(!stage.queue.hide(&receipt, HIDDEN, at(22)), "it is not hidden any more");
        assert_eq!(stage.receive(1, 22).messages.len(), 1);
    }

    #[test]
    fn what_was_received_too_often_is_put_aside() {
        let mut stage = Stage::new(1);
        let policy = r#"{"deadLetterTargetArn":"arn:dlq","maxReceiveCount":"2"}"#;
        stage.queue.set("RedrivePolicy", policy, stage.wall).expect("it is well-formed");
        assert_eq!(stage.receive(1, 0).messages.len(), 1);
        assert_eq!(stage.receive(1, 30).messages.len(), 1);
        let third = stage.receive(1, 60);
        assert!(third.messages.is_empty());
        let (target, message) = third.aside.into_iter().next().expect("it was put aside");
        let message = message.put_aside("arn:own", stage.began);
        assert_eq!((target.as_str(), message.body.as_str()), ("arn:dlq", "0"));
        assert_eq!(message.system_attributes()["DeadLetterQueueSourceArn"], "arn:own");
        assert_eq!(message.sent_back(stage.began).0.as_deref(), Some("arn:own"));
    }

    #[test]
    fn order_is_up_to_chance_where_chance_is_asked() {
        let (mut stage, chance) = (Stage::new(50), Random::new(3));
        let got = stage.queue.receive(50, HIDDEN, (stage.began, stage.wall), Some(&chance), &stage.random);
        let mut numbers: Vec<usize> =
            got.messages.iter().map(|message| message.body.parse().expect("a number")).collect();
        assert_ne!(numbers, (0..50).collect::<Vec<_>>());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn attributes_out_of_range_are_refused() {
        let mut queue = Queue::new(now());
        for (name, value) in [("VisibilityTimeout", "43201"), ("DelaySeconds", "-1"), ("Colour", "1"), ("Policy", "{}")]
        {
            assert!(queue.set(name, value, now()).is_err(), "{name}={value}");
        }
        assert!(queue.set("RedrivePolicy", r#"{"maxReceiveCount":3}"#, now()).is_err());
        assert!(queue.set("VisibilityTimeout", "0", now()).is_ok());
        assert_eq!(queue.seconds("VisibilityTimeout"), Duration::ZERO);
    }
}
