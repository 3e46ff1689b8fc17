//! What each failure means: the one table of outcomes.
//!
//! A row says what is known of the effect and what to do. Rows of codes come before rows of statuses, since a code is
//! exact. The codes are those of Azure's and of Google's reference; both are tried in turn, as no code means two
//! things.

use replica::ports::{BucketError, Outcome};

use super::{
    answer::{Failure, Status},
    url::{CloudUrl, Service},
};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Create,
    Get,
    List,
    Delete,
}

/// What a failed request comes to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// There is an object of this key already.
    Exists,
    /// There is no object of this key.
    Absent,
    /// There is an object, and it ends before the range that was asked for.
    PastTheEnd,
    /// Something is wrong.
    Failed(BucketError),
}

/// What a row says of the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// A read or a delete has found nothing.
    Absent,
    /// A range begins at or after the end.
    PastTheEnd,
    /// It may have had its effect. What only reads has none, so there it is just unavailable.
    Nothing,
    /// It had no effect, and there are too many requests.
    TooMany,
    /// It had no effect, and somebody has to do something.
    Refused,
}
use Known::{Absent, Nothing, PastTheEnd, Refused, TooMany};

/// What only a create is answered, and only if an object is there. Some of them are what a policy, a hold, a lease or a
/// right to create alone make of the condition; whoever hears of an object reads it.
const EXISTS: &[&str] = &[
    "BlobAlreadyExists",
    "BlobImmutableDueToLegalHold",
    "BlobImmutableDueToPolicy",
    "ConditionNotMet",
    "LeaseIdMissing",
    "PreconditionFailed",
    "TargetConditionNotMet",
    "UnauthorizedBlobOverwrite",
];

/// What the services answer, by their codes. In the advice `{permission}` stands for that of the request.
const CODES: &[(&[&str], Known, &str)] = &[
    (&["BlobNotFound", "NoSuchKey"], Absent, ""),
    (&["InvalidRange"], PastTheEnd, ""),
    (
        &["ContainerNotFound", "NoSuchBucket", "ResourceNotFound"],
        Refused,
        "there is no such bucket; create it, or correct the name, the account or the endpoint of its URL",
    ),
    (
        &["ContainerBeingDeleted", "ContainerDisabled", "AccountBeingCreated", "AccountIsDisabled"],
        Refused,
        "the bucket or its account is disabled, or about to be there or not; wait, or mend that",
    ),
    (
        &["InvalidResourceName", "InvalidBucketName", "InvalidUri"],
        Refused,
        "the service takes no bucket of this name; correct its URL",
    ),
    (
        &[
            "AuthenticationFailed",
            "AuthenticationRequired",
            "InvalidAuthenticationInfo",
            "InvalidSecurity",
            "InvalidToken",
            "NoAuthenticationInformation",
            "SignatureDoesNotMatch",
        ],
        Refused,
        "the service does not believe these credentials: they are missing, wrong or out of date, or the clock of this \
         machine is wrong by minutes",
    ),
    (
        &["AuthorizationFailure", "AuthorizationSourceIPMismatch"],
        Refused,
        "not allowed, perhaps not from here: look at the network rules of the account, and grant {permission}",
    ),
    (
        &["KeyBasedAuthenticationNotPermitted"],
        Refused,
        "the account takes no shared keys; give this process an identity",
    ),
    (
        &["AccountProblem", "UserProjectAccountProblem", "UserProjectMissing"],
        Refused,
        "somebody has to pay: look at the billing of the account, and at who pays for requests to this bucket",
    ),
    (
        &["BlobImmutableDueToLegalHold", "BlobImmutableDueToPolicy", "LeaseIdMissing", "ObjectUnderActiveHold"],
        Refused,
        "a policy, a hold or a lease keeps the object; end it, or let it lie",
    ),
    (&["BlobArchived"], Refused, "the object was moved to an archive; restore it, and end the rule that moves objects"),
    (
        &["CloudKmsBadKey", "CloudKmsDecryptionKeyNotFound", "CloudKmsDisabledKey", "CloudKmsEncryptionKeyNotFound"],
        Refused,
        "the key that encrypts the bucket is missing, disabled or about to be deleted; restore it, or name another",
    ),
    (&["SlowDown"], TooMany, "the service asks for fewer requests; give the replica a bucket of its own if it goes on"),
];

/// What is left, by status: the first row that holds it.
const STATUSES: &[(std::ops::RangeInclusive<u16>, Known, &str)] = &[
    (300..=399, Refused, "requests are sent on elsewhere; name in `endpoint` the server itself"),
    (401..=401, Refused, "the service does not believe these credentials: they are missing, wrong or out of date"),
    (403..=403, Refused, "not allowed; grant {permission}"),
    (404..=404, Refused, "nothing of the service is there; is the endpoint right?"),
    (408..=409, Nothing, "the service was kept from it; it will be asked again"),
    (416..=416, PastTheEnd, ""),
    (429..=429, TooMany, "the service asks for fewer requests; give the replica a bucket of its own if it goes on"),
    (400..=499, Refused, "the service does not take the request"),
    (500..=599, Nothing, "the service has failed; it will be asked again"),
];

impl Request {
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }

    /// What is known of a request of which nothing is known.
    const fn unsure(self) -> Outcome {
        match self {
            Self::Create | Self::Delete => Outcome::Indeterminate,
            Self::Get | Self::List => Outcome::Unavailable,
        }
    }
}

/// What an error comes to.
pub(super) fn verdict(url: &CloudUrl, request: Request, key: &str, error: object_store::Error) -> Verdict {
    let known = match Failure::of(&error) {
        Some(Failure::Answered(status)) => answered(url, request, status),
        Some(Failure::Unreached(_)) => {
            Ok((Outcome::Unavailable, "no connection; are the endpoint, the account and the network right?".to_owned()))
        }
        Some(Failure::Denied(status)) => Ok(denied(status)),
        Some(Failure::Unserved(_)) => Ok((
            Outcome::Unavailable,
            "no credentials: nobody was there to give them; name them in the environment, or give this machine an identity"
                .to_owned(),
        )),
        None => Ok((request.unsure(), "the answer was lost, or not understood".to_owned())),
    };
    match known {
        Ok((outcome, says)) => Verdict::Failed(failed(url, request, key, outcome, &says).caused_by(error)),
        Err(verdict) => verdict,
    }
}

/// What waiting in vain comes to.
pub(super) fn timed_out(url: &CloudUrl, request: Request, key: &str) -> BucketError {
    failed(url, request, key, request.unsure(), "no answer in time")
}

/// What is said of an error that no failure stands for.
pub(super) fn failed(url: &CloudUrl, request: Request, key: &str, outcome: Outcome, says: &str) -> BucketError {
    BucketError::new(outcome, format!("{says}: request={} bucket={url} key={key}", request.name()))
}

fn answered(url: &CloudUrl, request: Request, status: &Status) -> Result<(Outcome, String), Verdict> {
    let Status { status, code } = status;
    if request == Request::Create && EXISTS.contains(&code.as_str()) {
        return Err(Verdict::Exists);
    }
    let of_code =
        CODES.iter().find(|(codes, ..)| codes.contains(&code.as_str())).map(|(_, known, says)| (*known, *says));
    let of_status =
        || STATUSES.iter().find(|(range, ..)| range.contains(status)).map(|(_, known, says)| (*known, *says));
    let (known, says) = of_code.or_else(of_status).unwrap_or((Nothing, "the answer was not understood"));
    let outcome = match known {
        Absent if matches!(request, Request::Get | Request::Delete) => return Err(Verdict::Absent),
        PastTheEnd if request == Request::Get => return Err(Verdict::PastTheEnd),
        Absent | PastTheEnd | Refused => Outcome::Refused,
        Nothing => request.unsure(),
        TooMany => Outcome::Throttled,
    };
    let says = match known {
        Absent | PastTheEnd => "the answer does not fit the request; is this a server of that service?".to_owned(),
        _ => says.replace("{permission}", permission(url.service, request)),
    };
    Ok((outcome, format!("{says}: status={status} code={code}")))
}

/// Who gives credentials has said no. The service itself was asked nothing, so there was no effect.
fn denied(Status { status, code }: &Status) -> (Outcome, String) {
    let (outcome, says) = match status {
        400 | 401 | 403 => (Outcome::Refused, "no credentials: they were refused; correct what the environment names"),
        404 => (Outcome::Unavailable, "no credentials: this machine has no identity; give it one, or name credentials"),
        _ => (Outcome::Unavailable, "no credentials: who gives them has failed; it will be asked again"),
    };
    (outcome, format!("{says}: status={status} code={code}"))
}

const fn permission(service: Service, request: Request) -> &'static str {
    match (service, request) {
        (Service::Azure, Request::Get | Request::List) => "the role Storage Blob Data Reader on the container",
        (Service::Azure, _) => "the role Storage Blob Data Contributor on the container",
        (Service::Google, Request::Create) => "storage.objects.create on the bucket",
        // Without the right to list, what is missing is denied.
        (Service::Google, Request::Get) => "storage.objects.get and storage.objects.list on the bucket",
        (Service::Google, Request::List) => "storage.objects.list on the bucket",
        (Service::Google, Request::Delete) => "storage.objects.delete on the bucket",
    }
}

#[cfg(test)]
mod tests {
    use object_store::client::{HttpError, HttpErrorKind};

    use super::*;

    const REQUESTS: [Request; 4] = [Request::Create, Request::Get, Request::List, Request::Delete];

    fn wrapped(failure: Failure) -> object_store::Error {
        let source = Box::new(HttpError::new(HttpErrorKind::Unknown, failure));
        object_store::Error::Generic { store: "test", source }
    }

    fn answer(status: u16, code: &str) -> object_store::Error {
        wrapped(Failure::Answered(Status { status, code: code.to_owned() }))
    }

    fn broken(kind: HttpErrorKind) -> HttpError {
        HttpError::new(kind, std::io::Error::other("broken"))
    }

    fn verdict_of(request: Request, error: object_store::Error) -> Verdict {
        verdict(&"gs://data".parse().unwrap(), request, "a", error)
    }

    fn failure(request: Request, error: object_store::Error) -> BucketError {
        match verdict_of(request, error) {
            Verdict::Failed(error) => error,
            other => panic!("{request:?}: {other:?}"),
        }
    }

    #[test]
    fn what_may_have_had_its_effect_is_never_said_to_have_none() {
        for request in REQUESTS {
            let unsure = match request {
                Request::Create | Request::Delete => Outcome::Indeterminate,
                Request::Get | Request::List => Outcome::Unavailable,
            };
            for status in [408, 409, 500, 502, 503, 504] {
                assert_eq!(failure(request, answer(status, "")).outcome, unsure, "{request:?} {status}");
            }
            use HttpErrorKind as K;
            for kind in [K::Connect, K::Timeout, K::Interrupted, K::Request, K::Decode, K::Unknown] {
                let error = object_store::Error::Generic { store: "test", source: Box::new(broken(kind)) };
                assert_eq!(failure(request, error).outcome, unsure, "{request:?} {kind:?}");
            }
            assert_eq!(timed_out(&"gs://data".parse().unwrap(), request, "a").outcome, unsure);
        }
    }

    #[test]
    fn who_was_asked_nothing_has_done_nothing() {
        for request in REQUESTS {
            for failed in [Failure::Unreached, Failure::Unserved] {
                let error = failure(request, wrapped(failed(broken(HttpErrorKind::Timeout))));
                assert_eq!(error.outcome, Outcome::Unavailable, "{error}");
            }
            // Statuses that would mean something, had the service given them.
            for (status, outcome) in [
                (400, Outcome::Refused),
                (403, Outcome::Refused),
                (404, Outcome::Unavailable),
                (409, Outcome::Unavailable),
                (412, Outcome::Unavailable),
                (500, Outcome::Unavailable),
            ] {
                let code = "NoSuchKey".to_owned();
                let error = failure(request, wrapped(Failure::Denied(Status { status, code })));
                assert_eq!(error.outcome, outcome, "{error}");
                assert!(error.to_string().starts_with("no credentials"), "{error}");
            }
        }
    }

    #[test]
    fn only_the_code_of_a_missing_object_is_a_missing_object() {
        for request in [Request::Get, Request::Delete] {
            for code in ["BlobNotFound", "NoSuchKey"] {
                assert!(matches!(verdict_of(request, answer(404, code)), Verdict::Absent), "{code}");
            }
        }
        for code in ["ContainerNotFound", "NoSuchBucket", "", "notFound"] {
            for request in REQUESTS {
                assert_eq!(failure(request, answer(404, code)).outcome, Outcome::Refused, "{code}");
            }
        }
        for request in [Request::Create, Request::List] {
            assert_eq!(failure(request, answer(404, "NoSuchKey")).outcome, Outcome::Refused);
        }
    }

    #[test]
    fn only_a_taken_key_is_a_taken_key() {
        for (status, code) in [
            (412, "ConditionNotMet"),
            (412, "PreconditionFailed"),
            (412, "LeaseIdMissing"),
            (409, "BlobAlreadyExists"),
            (409, "BlobImmutableDueToPolicy"),
            (403, "UnauthorizedBlobOverwrite"),
        ] {
            assert!(matches!(verdict_of(Request::Create, answer(status, code)), Verdict::Exists), "{code}");
            assert_ne!(failure(Request::Delete, answer(status, code)).outcome, Outcome::Throttled, "{code}");
        }
        for (status, code, outcome) in [
            // A rule of the organisation is a precondition too.
            (412, "OrgPolicyConstraintFailed", Outcome::Refused),
            (412, "", Outcome::Refused),
            (409, "ContainerBeingDeleted", Outcome::Refused),
            (409, "", Outcome::Indeterminate),
            (500, "", Outcome::Indeterminate),
        ] {
            assert_eq!(failure(Request::Create, answer(status, code)).outcome, outcome, "{status} {code}");
        }
    }

    #[test]
    fn a_range_behind_the_end_is_that_of_a_read_alone() {
        assert!(matches!(verdict_of(Request::Get, answer(416, "InvalidRange")), Verdict::PastTheEnd));
        assert!(matches!(verdict_of(Request::Get, answer(416, "")), Verdict::PastTheEnd));
        assert_eq!(failure(Request::Create, answer(416, "InvalidRange")).outcome, Outcome::Refused);
    }

    #[test]
    fn who_is_refused_is_told_what_to_do() {
        for (request, status, code, says) in [
            (Request::List, 403, "AccessDenied", "storage.objects.list"),
            (Request::Get, 403, "AccessDenied", "storage.objects.get and storage.objects.list"),
            (Request::Create, 403, "AccessDenied", "storage.objects.create"),
            (Request::Delete, 403, "AccessDenied", "storage.objects.delete"),
            (Request::Get, 403, "AuthenticationFailed", "does not believe these credentials"),
            (Request::Get, 401, "", "does not believe these credentials"),
            (Request::Get, 403, "AuthorizationFailure", "network rules"),
            (Request::Get, 302, "", "`endpoint`"),
            (Request::Delete, 409, "BlobImmutableDueToPolicy", "keeps the object"),
        ] {
            let error = failure(request, answer(status, code));
            assert_eq!(error.outcome, Outcome::Refused, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
        let azure = "az://data?account=acme".parse().unwrap();
        let Verdict::Failed(error) =
            verdict(&azure, Request::Create, "a", answer(403, "AuthorizationPermissionMismatch"))
        else {
            panic!("it is refused")
        };
        assert!(error.to_string().contains("Storage Blob Data Contributor"), "{error}");
        assert_eq!(failure(Request::Create, answer(429, "")).outcome, Outcome::Throttled);
    }
}
