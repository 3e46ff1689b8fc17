//! What an answer means: whether the request had its effect, and what to do.

use object_store::client::HttpErrorKind;
use replica::ports::{BucketError, Outcome};

use super::{
    answer::{Status, transport},
    location::Location,
};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Create,
    Get,
    List,
    Delete,
}

/// Who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    #[cfg_attr(not(feature = "azure"), expect(dead_code, reason = "the feature is off"))]
    Azure,
    #[cfg_attr(not(feature = "gcs"), expect(dead_code, reason = "the feature is off"))]
    Google,
}

impl Asked {
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }

    const fn changes(self) -> bool {
        matches!(self, Self::Create | Self::Delete)
    }
}

/// True when a create was answered that an object of this key is there. Azure says 409 or, as the protocol has it, 412; Google 412.
pub(super) fn exists(error: &object_store::Error) -> bool {
    match Status::of(error) {
        Some(Status { status: 412, .. }) => true,
        Some(Status { status: 409, code }) => code == "BlobAlreadyExists",
        _ => false,
    }
}

/// True when the object is not there, and the bucket is.
pub(super) fn is_absent(error: &object_store::Error) -> bool {
    match Status::of(error) {
        Some(Status { status: 404, code }) => !is_no_bucket(code),
        Some(_) => false,
        None => matches!(error, object_store::Error::NotFound { .. }),
    }
}

/// A missing bucket, which a missing object must not be taken for.
fn is_no_bucket(code: &str) -> bool {
    matches!(code, "ContainerNotFound" | "NoSuchBucket") || code.contains("specified bucket does not exist")
}

/// What a request that failed comes to.
pub(super) fn failed(
    service: Service,
    asked: Asked,
    location: &Location,
    key: &str,
    error: object_store::Error,
) -> BucketError {
    let (outcome, says) = match Status::of(&error) {
        Some(status) => answered(service, asked, status),
        None => unanswered(asked, transport(&error)),
    };
    let message = format!("{says}: request={} bucket={location} key={key}", asked.name());
    BucketError::new(outcome, message).caused_by(error)
}

fn answered(service: Service, asked: Asked, Status { status, code }: &Status) -> (Outcome, String) {
    let unsure = if asked.changes() { Outcome::Indeterminate } else { Outcome::Unavailable };
    match status {
        401 => (
            Outcome::Refused,
            "the credentials are missing, wrong or out of date; set them where the service looks".into(),
        ),
        403 => (Outcome::Refused, format!("not allowed; grant {}", permission(service, asked))),
        404 => (Outcome::Refused, "there is no such bucket; create it, or mend the URL".into()),
        408 => (unsure, "the service has waited too long".into()),
        409 => (unsure, format!("the service is told of a conflict: code={code}")),
        429 => (Outcome::Throttled, "the service asks for fewer requests".into()),
        // To a change it may be a gateway that gave up waiting.
        503 if !asked.changes() => (Outcome::Throttled, "the service is busy".into()),
        500.. => (unsure, format!("the service fails: status={status} code={code}")),
        _ => (Outcome::Refused, format!("the service does not take the request: status={status} code={code}")),
    }
}

fn unanswered(asked: Asked, kind: Option<HttpErrorKind>) -> (Outcome, String) {
    match kind {
        Some(HttpErrorKind::Connect) => {
            (Outcome::Unavailable, "no connection; is the endpoint right, and its certificate?".into())
        }
        Some(_) if asked.changes() => (Outcome::Indeterminate, "the connection was lost".into()),
        Some(_) => (Outcome::Unavailable, "the connection was lost".into()),
        None if asked.changes() => (Outcome::Indeterminate, "it is not known what was answered".into()),
        None => (Outcome::Unavailable, "the answer was not understood".into()),
    }
}

const fn permission(service: Service, asked: Asked) -> &'static str {
    match (service, asked) {
        (Service::Azure, Asked::Get | Asked::List) => "the role Storage Blob Data Reader on the container",
        (Service::Azure, _) => "the role Storage Blob Data Contributor on the container",
        (Service::Google, Asked::Create) => "storage.objects.create on the bucket",
        (Service::Google, Asked::Get) => "storage.objects.get on the bucket",
        (Service::Google, Asked::List) => "storage.objects.list on the bucket",
        (Service::Google, Asked::Delete) => "storage.objects.delete on the bucket",
    }
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpError;

    use super::*;

    fn error(status: u16, code: &str) -> object_store::Error {
        let status = Status { status, code: code.to_owned() };
        let source = Box::new(HttpError::new(HttpErrorKind::Unknown, status));
        object_store::Error::Generic { store: "test", source }
    }

    fn broken(kind: HttpErrorKind) -> object_store::Error {
        let source = Box::new(HttpError::new(kind, std::io::Error::other("broken")));
        object_store::Error::Generic { store: "test", source }
    }

    fn outcome(asked: Asked, error: object_store::Error) -> Outcome {
        let location = Location::parse("az://data?account=acme").unwrap();
        failed(Service::Azure, asked, &location, "a", error).outcome
    }

    #[test]
    fn what_may_have_had_its_effect_is_never_said_to_have_none() {
        for asked in [Asked::Create, Asked::Delete] {
            for status in [408, 409, 500, 502, 503, 504] {
                assert_eq!(outcome(asked, error(status, "")), Outcome::Indeterminate, "{status}");
            }
            use HttpErrorKind as K;
            for kind in [K::Timeout, K::Interrupted, K::Request, K::Decode, K::Unknown] {
                assert_eq!(outcome(asked, broken(kind)), Outcome::Indeterminate, "{kind:?}");
            }
            assert_eq!(outcome(asked, broken(HttpErrorKind::Connect)), Outcome::Unavailable);
            assert_eq!(outcome(asked, error(429, "")), Outcome::Throttled);
        }
    }

    #[test]
    fn a_read_is_never_indeterminate() {
        for asked in [Asked::Get, Asked::List] {
            for status in [400, 401, 403, 404, 408, 409, 416, 429, 500, 503] {
                assert_ne!(outcome(asked, error(status, "")), Outcome::Indeterminate, "{status}");
            }
            assert_eq!(outcome(asked, broken(HttpErrorKind::Timeout)), Outcome::Unavailable);
            assert_eq!(outcome(asked, error(503, "ServerBusy")), Outcome::Throttled);
        }
    }

    #[test]
    fn who_is_refused_is_told_what_to_grant() {
        let location = Location::parse("gs://data").unwrap();
        let says = |asked| failed(Service::Google, asked, &location, "a", error(403, "forbidden")).to_string();
        assert!(says(Asked::List).contains("storage.objects.list"), "{}", says(Asked::List));
        assert!(says(Asked::Create).contains("storage.objects.create"), "{}", says(Asked::Create));
        assert_eq!(outcome(Asked::Create, error(403, "")), Outcome::Refused);
        assert_eq!(outcome(Asked::Create, error(401, "")), Outcome::Refused);
        assert_eq!(outcome(Asked::Create, error(404, "ContainerNotFound")), Outcome::Refused);
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        assert!(is_absent(&error(404, "BlobNotFound")));
        assert!(is_absent(&error(404, "")));
        assert!(!is_absent(&error(404, "ContainerNotFound")));
        assert!(!is_absent(&error(404, "The specified bucket does not exist.")));
        assert!(!is_absent(&error(403, "")));
    }

    #[test]
    fn only_a_taken_key_is_a_taken_key() {
        assert!(exists(&error(412, "ConditionNotMet")));
        assert!(exists(&error(409, "BlobAlreadyExists")));
        assert!(!exists(&error(409, "ContainerBeingDeleted")));
        assert!(!exists(&error(409, "")));
        assert!(!exists(&error(500, "")));
    }
}
