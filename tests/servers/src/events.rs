//! What S3 says of its changes, in the shapes that it has on each way.

use serde_json::{Value, json};

use crate::policy::ACCOUNT;

/// A change of a key.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Such as `ObjectCreated:Put`.
    pub(crate) name: &'static str,
    pub(crate) bucket: String,
    pub(crate) region: String,
    pub(crate) key: String,
    /// Of what was created.
    pub(crate) object: Option<(usize, String)>,
    pub(crate) version: Option<String>,
    /// Who did it.
    pub(crate) principal: String,
    pub(crate) time: String,
    pub(crate) sequence: u64,
}

impl Event {
    /// As S3 sends it to a queue or a topic.
    pub(crate) fn notification(&self, configuration: &str, request: &str) -> Value {
        let mut object = json!({ "key": quoted(&self.key), "sequencer": self.sequencer() });
        if let Some((size, etag)) = &self.object {
            object["size"] = json!(size);
            object["eTag"] = json!(etag);
        }
        if let Some(version) = &self.version {
            object["versionId"] = json!(version);
        }
        json!({ "Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": self.region,
            "eventTime": self.time,
            "eventName": self.name,
            "userIdentity": { "principalId": format!("AWS:{}", self.principal) },
            "requestParameters": { "sourceIPAddress": "127.0.0.1" },
            "responseElements": { "x-amz-request-id": request, "x-amz-id-2": request },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": configuration,
                "bucket": {
                    "name": self.bucket,
                    "ownerIdentity": { "principalId": "A3ARCHIPELAGO" },
                    "arn": bucket_arn(&self.bucket)
                },
                "object": object
            }
        }] })
    }

    /// As EventBridge passes it on. Here the key is as it is.
    pub(crate) fn bridged(&self, id: &str) -> Value {
        let mut object = json!({ "key": self.key, "sequencer": self.sequencer() });
        if let Some((size, etag)) = &self.object {
            object["size"] = json!(size);
            object["etag"] = json!(etag);
        }
        if let Some(version) = &self.version {
            object["version-id"] = json!(version);
        }
        let is_created = self.object.is_some();
        let mut detail = json!({
            "version": "0",
            "bucket": { "name": self.bucket },
            "object": object,
            "request-id": id,
            "requester": ACCOUNT,
            "source-ip-address": "127.0.0.1",
            "reason": if is_created { "PutObject" } else { "DeleteObject" }
        });
        if !is_created {
            let marked = self.name.ends_with("DeleteMarkerCreated");
            detail["deletion-type"] = json!(if marked { "Delete Marker Created" } else { "Permanently Deleted" });
        }
        json!({
            "version": "0",
            "id": id,
            "detail-type": if is_created { "Object Created" } else { "Object Deleted" },
            "source": "aws.s3",
            "account": ACCOUNT,
            "time": self.time,
            "region": self.region,
            "resources": [bucket_arn(&self.bucket)],
            "detail": detail
        })
    }

    /// Whether a configuration for this event, such as `s3:ObjectCreated:*`, means this one.
    pub(crate) fn is_meant(&self, configured: &str) -> bool {
        let Some(wanted) = configured.strip_prefix("s3:") else { return false };
        wanted.strip_suffix('*').map_or(wanted == self.name, |begin| self.name.starts_with(begin))
    }

    fn sequencer(&self) -> String {
        format!("{:016X}", self.sequence)
    }
}

/// What S3 sends when a notification is configured.
pub(crate) fn test_event(bucket: &str, time: &str, request: &str) -> Value {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": time,
        "Bucket": bucket,
        "RequestId": request,
        "HostId": request
    })
}

/// What SNS wraps around a message, unless it is delivered raw.
pub(crate) fn envelope(
    topic: &str,
    subject: Option<&str>,
    message: &str,
    time: &str,
    id: &str,
    subscription: &str,
) -> Value {
    let region = topic.split(':').nth(3).unwrap_or_default();
    let mut envelope = json!({
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": topic,
        "Message": message,
        "Timestamp": time,
        "SignatureVersion": "1",
        "Signature": "bm90IHNpZ25lZA==",
        "SigningCertURL": format!("https://sns.{region}.amazonaws.com/SimpleNotificationService.pem"),
        "UnsubscribeURL": format!("https://sns.{region}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription}")
    });
    if let Some(subject) = subject {
        envelope["Subject"] = json!(subject);
    }
    envelope
}

pub(crate) fn bucket_arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// A key as events have it: all but letters, digits and `-_.*/` in percent signs, and `+` for a space.
pub(crate) fn quoted(key: &str) -> String {
    form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>().replace("%2F", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            name: "ObjectCreated:Put",
            bucket: "eu".to_owned(),
            region: "eu-west-1".to_owned(),
            key: "v1/log/a b+\u{fc}".to_owned(),
            object: Some((5, "5d41402abc4b2a76b9719d911017c592".to_owned())),
            version: None,
            principal: "writer".to_owned(),
            time: "2026-11-30T12:00:00.000Z".to_owned(),
            sequence: 0x0055_aed6_dcd9_0281,
        }
    }

    #[test]
    fn a_notification_has_the_shape_that_s3_documents() {
        let value = event().notification("log", "C3D13FE58DE4C810");
        let record = &value["Records"][0];
        for (pointer, expected) in [
            ("/eventVersion", json!("2.1")),
            ("/eventSource", json!("aws:s3")),
            ("/awsRegion", json!("eu-west-1")),
            ("/eventName", json!("ObjectCreated:Put")),
            ("/s3/configurationId", json!("log")),
            ("/s3/bucket/arn", json!("arn:aws:s3:::eu")),
            ("/s3/object/key", json!("v1/log/a+b%2B%C3%BC")),
            ("/s3/object/size", json!(5)),
            ("/s3/object/sequencer", json!("0055AED6DCD90281")),
        ] {
            assert_eq!(record.pointer(pointer), Some(&expected), "{pointer}");
        }
        assert_eq!(record.pointer("/s3/object/versionId"), None);
    }

    #[test]
    fn event_bridge_leaves_keys_as_they_are() {
        let value = event().bridged("id");
        assert_eq!(value["detail-type"], "Object Created");
        assert_eq!(value["detail"]["object"]["key"], "v1/log/a b+\u{fc}");
        let deleted = Event { name: "ObjectRemoved:Delete", object: None, ..event() }.bridged("id");
        assert_eq!(
            (&deleted["detail-type"], &deleted["detail"]["deletion-type"]),
            (&json!("Object Deleted"), &json!("Permanently Deleted"))
        );
    }

    #[test]
    fn configured_events_are_matched_by_their_beginning() {
        for (configured, is_meant) in [
            ("s3:ObjectCreated:*", true),
            ("s3:ObjectCreated:Put", true),
            ("s3:ObjectCreated:Copy", false),
            ("s3:ObjectRemoved:*", false),
            ("ObjectCreated:*", false),
        ] {
            assert_eq!(event().is_meant(configured), is_meant, "{configured}");
        }
    }
}
