//! What a message says: which objects were created, in any of the shapes in which S3 tells it.

use std::collections::BTreeSet;

use replica::ports::check_key;
use serde::Deserialize;

use super::decode;

/// The longest message that is read, in bytes. An event is at most 64 KiB, and quoted in the envelope of a topic at
/// most a few times that.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// How many objects of one message are told one by one; of more it is told that there are some.
const KEYS_MAX: usize = 64;

/// How many envelopes are opened, one in the other: a topic's around a topic's or a bus's around an event.
const ENVELOPES_MAX: usize = 3;

/// The major version of the events that are known. A greater one may mean another thing by the same name.
const MAJOR: &str = "2.";

/// What a message points to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// These objects were created: their keys without the bucket's prefix. Not one at all when the message is about
    /// something else: a test event, another bucket or prefix, a deletion.
    Created(BTreeSet<String>),
    /// Something was, and it is not known what: look everywhere.
    Something,
}

/// Why a message cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// It is longer than 256 KiB.
    TooLong,
    /// It is not JSON.
    NotJson,
    /// It is JSON, and not an event of S3's, nor one in the envelope of a topic or a bus.
    NotAnEvent,
    /// A topic asks its reader to confirm that it wants to be told.
    Confirmation,
}

impl Poison {
    /// What is wrong, and what to do.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::TooLong => "longer than 256 KiB: no event of S3's is",
            Self::NotJson => "not JSON: somebody else writes to this queue",
            Self::NotAnEvent => "not an event of S3's: somebody else writes to this queue",
            Self::Confirmation => {
                "a topic asks to confirm its subscription: subscribe the queue again as the owner of the queue"
            }
        }
    }
}

/// A bucket of which a queue tells: its name, and the prefix below which objects are its own, empty or with a `/` at
/// its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The name of the bucket.
    pub bucket: String,
    /// Empty, or with a `/` at its end.
    pub prefix: String,
}

/// Reads a message. `sources` are the buckets that count.
///
/// # Errors
///
/// [`Poison`] when nothing can be made of it.
///
/// Cost: memory of a small multiple of its length.
pub(super) fn parse(message: &str, sources: &[Source]) -> Result<Told, Poison> {
    let mut told = Ok(Told::Created(BTreeSet::new()));
    let mut inner: Option<String> = None;
    for _ in 0..ENVELOPES_MAX {
        let text = inner.as_deref().unwrap_or(message);
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(Poison::TooLong);
        }
        match read(text, sources)? {
            Read::Envelope(message) => (told, inner) = (Err(Poison::NotAnEvent), Some(message)),
            Read::Told(read) => return Ok(read),
        }
    }
    told
}

/// What one layer of a message is.
enum Read {
    Envelope(String),
    Told(Told),
}

/// Everything that a message may be, at its outermost. What else is in it is passed over.
#[derive(Deserialize)]
struct Any {
    // S3's own.
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    #[serde(rename = "Event")]
    event: Option<String>,
    // A topic's envelope.
    #[serde(rename = "Type")]
    kind: Option<String>,
    #[serde(rename = "Message")]
    message: Option<String>,
    // A bus's.
    source: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    detail: Option<Entity>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventVersion")]
    version: Option<String>,
    #[serde(rename = "eventSource")]
    source: Option<String>,
    #[serde(rename = "eventName")]
    name: Option<String>,
    s3: Option<Entity>,
}

#[derive(Deserialize)]
struct Entity {
    bucket: Option<Bucket>,
    object: Option<Object>,
}

#[derive(Deserialize)]
struct Bucket {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    key: Option<String>,
}

fn read(text: &str, sources: &[Source]) -> Result<Read, Poison> {
    let any: Any = match serde_json::from_str(text) {
        Ok(any) => any,
        Err(error) if error.is_data() => return Err(Poison::NotAnEvent),
        Err(_) => return Err(Poison::NotJson),
    };
    let mut found = Found::new(sources);
    match any {
        Any { records: Some(records), .. } => records.iter().for_each(|record| found.take(record)),
        Any { kind: Some(kind), .. } if kind.ends_with("Confirmation") => return Err(Poison::Confirmation),
        Any { message: Some(message), .. } => return Ok(Read::Envelope(message)),
        // What S3 sends to try whether it can.
        Any { event: Some(event), .. } if event == "s3:TestEvent" => {}
        Any { source: Some(source), detail_type: Some(kind), detail: Some(detail), .. } if source == "aws.s3" => {
            if kind == "Object Created" {
                // A bus tells the key as it is.
                found.created(&detail, Some);
            }
        }
        _ => return Err(Poison::NotAnEvent),
    }
    Ok(Read::Told(found.told))
}

/// What has been found in the records so far.
struct Found<'a> {
    sources: &'a [Source],
    told: Told,
}

impl<'a> Found<'a> {
    const fn new(sources: &'a [Source]) -> Self {
        Self { sources, told: Told::Created(BTreeSet::new()) }
    }

    fn take(&mut self, record: &Record) {
        let is_known = record.version.as_deref().is_none_or(|version| version.starts_with(MAJOR));
        match (&record.s3, &record.name) {
            // A version to come, of which not even this is known.
            _ if !is_known && record.s3.as_ref().is_none_or(|s3| s3.key().is_none()) => self.told = Told::Something,
            _ if record.source.as_ref().is_some_and(|source| !source.ends_with(":s3")) => {}
            (Some(s3), Some(name)) if is_creation(name) => self.created(s3, |key| decode::form(&key)),
            _ => {}
        }
    }

    /// An object was created; `decode` makes its key of what stands there.
    fn created(&mut self, entity: &Entity, decode: impl Fn(String) -> Option<String>) {
        let Some((bucket, key)) = entity.key() else { return };
        let Some(key) = decode(key.to_owned()) else { return };
        let Some(key) = self.own(bucket, &key) else { return };
        if let Told::Created(keys) = &mut self.told {
            keys.insert(key.to_owned());
            if keys.len() > KEYS_MAX {
                self.told = Told::Something;
            }
        }
    }

    /// The key without the prefix, if it is below that of one of the buckets that count.
    fn own<'k>(&self, bucket: &str, key: &'k str) -> Option<&'k str> {
        let mut counted = self.sources.iter().filter(|source| source.bucket == bucket);
        let own = counted.find_map(|source| key.strip_prefix(&*source.prefix));
        own.filter(|key| check_key(key).is_ok())
    }
}

impl Entity {
    fn key(&self) -> Option<(&str, &str)> {
        Some((self.bucket.as_ref()?.name.as_deref()?, self.object.as_ref()?.key.as_deref()?))
    }
}

/// `ObjectCreated:Put` and its like; some stores write `s3:` before it.
fn is_creation(name: &str) -> bool {
    name.strip_prefix("s3:").unwrap_or(name).starts_with("ObjectCreated:")
}

#[cfg(test)]
mod tests {
    use quickcheck::{Gen, QuickCheck};
    use serde_json::{Value, json};

    use super::*;

    fn sources() -> Vec<Source> {
        [("likes-eu", "production/"), ("likes-us", "")]
            .map(|(bucket, prefix)| Source { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            .to_vec()
    }

    fn told(message: &Value) -> Result<Told, Poison> {
        parse(&message.to_string(), &sources())
    }

    fn keys<const N: usize>(keys: [&str; N]) -> Result<Told, Poison> {
        Ok(Told::Created(keys.map(str::to_owned).into()))
    }

    fn record(bucket: &str, key: &str) -> Value {
        json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-west-1",
            "eventTime": "2026-11-23T12:00:00.000Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AWS:A"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "archipelago",
                "bucket": {"name": bucket, "ownerIdentity": {"principalId": "A"}, "arn": format!("arn:aws:s3:::{bucket}")},
                "object": {"key": key, "size": 1, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6DCD90281E5"}
            }
        })
    }

    fn topic(message: &Value) -> Value {
        json!({
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:eu-west-1:123456789012:likes-eu",
            "Subject": "Amazon S3 Notification",
            "Message": message.to_string(),
            "Timestamp": "2026-11-23T12:00:00.000Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/a.pem",
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe"
        })
    }

    fn bus(kind: &str, bucket: &str, key: &str) -> Value {
        json!({
            "version": "0",
            "id": "17793124-05d4-b198-2fde-7ededc63b103",
            "detail-type": kind,
            "source": "aws.s3",
            "account": "123456789012",
            "time": "2026-11-23T12:00:00Z",
            "region": "eu-west-1",
            "resources": [format!("arn:aws:s3:::{bucket}")],
            "detail": {
                "version": "0",
                "bucket": {"name": bucket},
                "object": {"key": key, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "00617F08299329D189"},
                "request-id": "N4N7GDK58NMKJ12R",
                "requester": "123456789012",
                "source-ip-address": "1.2.3.4",
                "reason": "PutObject"
            }
        })
    }

    #[test]
    fn every_shape_tells_the_key() {
        let event = json!({"Records": [record("likes-eu", "production/v1/log/eu/00000000/00000001")]});
        let expected = keys(["v1/log/eu/00000000/00000001"]);
        assert_eq!(told(&event), expected, "from the bucket");
        assert_eq!(told(&topic(&event)), expected, "through a topic");
        assert_eq!(told(&topic(&topic(&event))), expected, "through two topics");
        let event = bus("Object Created", "likes-eu", "production/v1/log/eu/00000000/00000001");
        assert_eq!(told(&event), expected, "from a bus");
        assert_eq!(told(&topic(&event)), expected, "from a bus through a topic");
    }

    #[test]
    fn several_records_are_told_at_once() {
        let records = ["v1/log/a/00000000/00000001", "v1/log/b/00000000/00000002", "v1/log/a/00000000/00000001"];
        let event = json!({"Records": records.map(|key| record("likes-us", key))});
        assert_eq!(told(&event), keys(["v1/log/a/00000000/00000001", "v1/log/b/00000000/00000002"]));
        let many: Vec<_> =
            (0..=KEYS_MAX).map(|slot| record("likes-us", &format!("v1/log/a/00000000/{slot:08x}"))).collect();
        assert_eq!(told(&json!({"Records": many})), Ok(Told::Something), "too many to name");
        assert_eq!(told(&json!({"Records": []})), keys([]));
    }

    #[test]
    fn a_key_is_escaped_by_a_bucket_and_not_by_a_bus() {
        let escaped = json!({"Records": [record("likes-us", "v1%2Flog%2Fa%2F00000000%2F00000001")]});
        assert_eq!(told(&escaped), keys(["v1/log/a/00000000/00000001"]));
        for foreign in ["v1/log/%C3%BC/1", "v1/log/a+b/1", "v1/log/a%2Bb/1", "%FF", ""] {
            assert_eq!(told(&json!({"Records": [record("likes-us", foreign)]})), keys([]), "{foreign}: no key of ours");
        }
        assert_eq!(told(&bus("Object Created", "likes-us", "v1%2Flog")), keys([]));
    }

    #[test]
    fn what_concerns_nobody_is_no_hint_and_no_poison() {
        let deletion = {
            let mut record = record("likes-us", "v1/log/a/00000000/00000001");
            record["eventName"] = json!("ObjectRemoved:Delete");
            json!({"Records": [record]})
        };
        let of_another_service = {
            let mut record = record("likes-us", "v1/log/a/00000000/00000001");
            record["eventSource"] = json!("aws:sqs");
            json!({"Records": [record]})
        };
        for message in [
            json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-23T12:00:00.000Z", "Bucket": "likes-eu"}),
            topic(&json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "likes-eu"})),
            json!({"Records": [record("somebody-elses", "v1/log/a/00000000/00000001")]}),
            json!({"Records": [record("likes-eu", "v1/log/a/00000000/00000001")]}),
            json!({"Records": [record("likes-eu", "production")]}),
            bus("Object Deleted", "likes-us", "v1/log/a/00000000/00000001"),
            bus("Object Created", "somebody-elses", "v1/log/a/00000000/00000001"),
            deletion,
            of_another_service,
        ] {
            assert_eq!(told(&message), keys([]), "{message}");
        }
    }

    #[test]
    fn a_version_to_come_is_read_as_far_as_it_can_be() {
        let mut newer = record("likes-us", "v1/log/a/00000000/00000001");
        newer["eventVersion"] = json!("2.9");
        newer["more"] = json!({"is": ["here"]});
        assert_eq!(told(&json!({"Records": [newer]})), keys(["v1/log/a/00000000/00000001"]));
        newer["eventVersion"] = json!("3.0");
        assert_eq!(
            told(&json!({"Records": [newer]})),
            keys(["v1/log/a/00000000/00000001"]),
            "what is meant can be seen"
        );
        let unknown = json!({"Records": [{"eventVersion": "3.0", "eventName": "ObjectCreated:Put", "body": {}}]});
        assert_eq!(told(&unknown), Ok(Told::Something));
    }

    #[test]
    fn what_cannot_be_understood_is_poison_with_a_reason() {
        let nested = (0..=ENVELOPES_MAX).fold(json!({"Records": []}), |message, _| topic(&message));
        for (message, poison) in [
            ("", Poison::NotJson),
            ("hello", Poison::NotJson),
            ("{\"Records\":", Poison::NotJson),
            ("[]", Poison::NotAnEvent),
            ("{}", Poison::NotAnEvent),
            ("null", Poison::NotAnEvent),
            ("{\"Records\": 7}", Poison::NotAnEvent),
            ("{\"Type\": \"Notification\", \"Message\": \"hello\"}", Poison::NotJson),
            ("{\"Type\": \"SubscriptionConfirmation\", \"Message\": \"You have\"}", Poison::Confirmation),
            (&*nested.to_string(), Poison::NotAnEvent),
            (&*"[".repeat(100_000), Poison::NotAnEvent),
            (&*format!("{{\"Records\":[],\"a\":\"{}\"}}", "a".repeat(MESSAGE_BYTES_MAX)), Poison::TooLong),
        ] {
            let start: String = message.chars().take(80).collect();
            assert_eq!(parse(message, &sources()), Err(poison), "{start}");
        }
    }

    /// Any bytes, and a good message with bytes of it replaced: an answer, and every key told is a key.
    #[test]
    fn no_message_makes_the_reader_fail() {
        #[expect(clippy::needless_pass_by_value, reason = "quickcheck gives it")]
        fn check(message: String) {
            if let Ok(Told::Created(keys)) = parse(&message, &sources()) {
                assert!(keys.len() <= KEYS_MAX && keys.iter().all(|key| check_key(key).is_ok()), "{message}");
            }
        }
        fn damaged(shape: u8, at: Vec<(u16, u8)>) {
            let event =
                json!({"Records": [record("likes-us", "v1/log/a%2Fb/+"), record("likes-eu", "production/v1/x")]});
            let message = match shape % 3 {
                0 => event.to_string(),
                1 => topic(&event).to_string(),
                _ => bus("Object Created", "likes-us", "v1/log/a").to_string(),
            };
            let mut bytes = message.into_bytes();
            for (at, byte) in at {
                let length = bytes.len();
                bytes[usize::from(at) % length] = byte;
            }
            check(String::from_utf8_lossy(&bytes).into_owned());
        }
        QuickCheck::new().tests(2_000).quickcheck(check as fn(String));
        QuickCheck::new().rng(Gen::new(8)).tests(20_000).quickcheck(damaged as fn(u8, Vec<(u16, u8)>));
    }
}
