//! What each failure means: the one table of outcomes.
//!
//! A row says what is known of the effect and what to do. Rows of codes come before rows of statuses, since a code is exact.

use replica::ports::{BucketError, Outcome, Request};

use crate::{
    S3Url,
    trouble::{Reply, Trouble},
};

/// What a failed request comes to.
#[derive(Debug)]
pub(crate) enum Verdict {
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
    /// The condition of a create has failed: the object is there.
    Exists,
    /// A read or a delete has found nothing.
    Absent,
    /// A range begins at or after the end.
    PastTheEnd,
    /// It may have had its effect. What only reads has none, so there it is just unavailable.
    Nothing,
    /// It had no effect, and may succeed when it is repeated.
    NoEffect,
    /// It had no effect, and there are too many requests.
    TooMany,
    /// It had no effect, and somebody has to do something.
    Refused,
}
use Known::{Absent, Exists, NoEffect, Nothing, PastTheEnd, Refused, TooMany};

/// What S3 and its kin answer, by their codes. In the advice `{permission}`, `{arn}`, `{bucket}`, `{region}` and
/// `{endpoint}` stand for those of the request.
const CODES: &[(&[&str], Known, &str)] = &[
    (&["PreconditionFailed"], Exists, ""),
    (&["NoSuchKey"], Absent, ""),
    (&["InvalidRange"], PastTheEnd, ""),
    (
        &["ConditionalRequestConflict", "OperationAborted"],
        NoEffect,
        "another request for the same key was under way; it will be decided when this one is repeated",
    ),
    (
        &[
            "SlowDown",
            "SlowDownRead",
            "SlowDownWrite",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "TooManyRequests",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "KMS.ThrottlingException",
        ],
        TooMany,
        "the store asks for fewer requests; give the replica a prefix or a bucket of its own if it goes on",
    ),
    (
        &["RequestTimeout", "IncompleteBody"],
        NoEffect,
        "the body did not reach the store; look at the network if it goes on",
    ),
    (
        &["BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"],
        NoEffect,
        "the body was damaged on its way; if it goes on, the store may not know the checksum: try `checksum=none`",
    ),
    (&["TemporaryRedirect"], NoEffect, "the bucket is new, and its name is not known everywhere yet; wait"),
    (
        &[
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "IncorrectEndpoint",
        ],
        Refused,
        "the bucket is in another region or behind another endpoint; write `?region={region}` behind its URL",
    ),
    (
        &["NoSuchBucket"],
        Refused,
        "there is no such bucket here; create it, or correct the name, the region or the endpoint of its URL",
    ),
    (&["InvalidBucketName"], Refused, "the store takes no bucket of this name; correct its URL"),
    (
        &["AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "NotSignedUp"],
        Refused,
        "access is denied; these credentials need {permission}, and no policy that denies it",
    ),
    (
        &[
            "KMS.NotFoundException",
            "KMS.DisabledException",
            "KMS.InvalidStateException",
            "KMS.KMSInvalidStateException",
        ],
        Refused,
        "the key of KMS is missing, disabled or about to be deleted; restore it, or name another with `kms_key=`",
    ),
    (
        &["InvalidAccessKeyId", "InvalidToken", "InvalidSecurity", "UnrecognizedClientException"],
        Refused,
        "the store does not know these credentials; look which profile or environment they come from",
    ),
    (
        &["SignatureDoesNotMatch", "InvalidSignatureException"],
        Refused,
        "the signature is wrong: the secret key does not belong to the access key, or a proxy changes requests",
    ),
    (
        &["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"],
        Refused,
        "the session of these credentials has expired; log in again, or give the replica a role",
    ),
    (
        &["RequestTimeTooSkewed", "RequestExpired"],
        Refused,
        "the clock of this machine is wrong by more than 15 minutes; set it, and keep it set with NTP",
    ),
    (
        &["NotImplemented"],
        Refused,
        "the store does not know what was asked; without create-only writes (`If-None-Match: *`) it cannot hold a log, \
         and without checksums it needs `checksum=none`",
    ),
    (&["InvalidStorageClass"], Refused, "the store has no such class; change `storage_class=` in its URL"),
    (&["InvalidObjectState"], Refused, "the object was moved to an archive; restore it, and end the lifecycle rule"),
    (&["EntityTooLarge"], Refused, "the object is too large for the store"),
    (
        &["QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"],
        Refused,
        "the store is full; make room, or raise the quota of the bucket",
    ),
    (&["InternalError"], Nothing, "the store has failed; it will be asked again"),
    (&["ServiceUnavailable"], Nothing, "the store is not ready; it will be asked again"),
];

/// The first and last of some statuses of HTTP, what is known then, and what to do.
const STATUSES: &[(u16, u16, Known, &str)] = &[
    (100, 299, Nothing, "the answer is not one of S3; look what is behind the endpoint"),
    (300, 306, Refused, "the endpoint sends elsewhere; correct the endpoint or the region of the URL"),
    (307, 307, NoEffect, "the endpoint sends elsewhere for a while; wait"),
    (308, 399, Refused, "the endpoint sends elsewhere; correct the endpoint or the region of the URL"),
    (401, 401, Refused, "the endpoint does not take these credentials"),
    (403, 403, Refused, "access is denied; these credentials need {permission}, and no policy that denies it"),
    (404, 404, Refused, "the endpoint knows neither bucket nor key, and may not be S3; correct the URL"),
    (407, 407, Refused, "a proxy asks for credentials; set them, or name the endpoint in NO_PROXY"),
    (408, 408, Nothing, "the request took too long; it will be repeated"),
    (409, 409, NoEffect, "another request was under way; it will be decided when this one is repeated"),
    (412, 412, Exists, ""),
    (413, 413, Refused, "the object is too large for the store, or for a proxy before it"),
    (416, 416, PastTheEnd, ""),
    (425, 425, NoEffect, "the store asks to repeat the request"),
    (429, 429, TooMany, "the store asks for fewer requests"),
    (400, 499, Refused, "the store refuses the request"),
    (501, 501, Refused, "the store does not know what was asked"),
    (507, 507, Refused, "the store is full; make room"),
    (500, 599, Nothing, "the store, or a proxy before it, has failed; it will be asked again"),
];

/// What happened on the way, and what is known then.
fn on_the_way(trouble: &Trouble) -> (Known, &'static str) {
    match trouble {
        Trouble::Answered(_) => (Nothing, ""),
        Trouble::Unreadable => (Nothing, "the answer is not one of S3; look what is behind the endpoint"),
        Trouble::NotConnected => {
            (NoEffect, "cannot connect to {endpoint}; look at its name, the network and its state")
        }
        Trouble::Tls => (
            Refused,
            "no TLS with {endpoint}: its certificate is not trusted, or it does not speak TLS; correct the endpoint, or \
             name the file of its authority in SSL_CERT_FILE",
        ),
        Trouble::BrokenOff => (Nothing, "the connection to {endpoint} was lost before the end of the answer"),
        Trouble::TimedOut => (Nothing, "{endpoint} did not answer in time"),
        Trouble::NoCredentials => (
            Refused,
            "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a `profile=` in the URL, or \
             give this machine a role",
        ),
        Trouble::CredentialsLate => (NoEffect, "the service that has the credentials did not give them"),
        Trouble::NotMade => (Refused, "the request cannot be made; correct the URL or the AWS configuration"),
    }
}

/// Looks a failure up.
pub(crate) fn verdict(url: &S3Url, region: &str, request: Request, trouble: &Trouble) -> Verdict {
    let (known, advice) = match trouble {
        Trouble::Answered(reply) => answered(request, reply),
        other => on_the_way(other),
    };
    let outcome = match (known, request) {
        (Exists, Request::Create) => return Verdict::Exists,
        (Absent, Request::Get | Request::Delete) => return Verdict::Absent,
        (PastTheEnd, Request::Get) => return Verdict::PastTheEnd,
        (Nothing, Request::Create | Request::Delete) => Outcome::Indeterminate,
        (Nothing | NoEffect, _) => Outcome::Unavailable,
        (TooMany, _) => Outcome::Throttled,
        // An answer that does not belong to the request, as `NoSuchKey` to a create.
        (Exists | Absent | PastTheEnd | Refused, _) => Outcome::Refused,
    };
    let advice =
        if advice.is_empty() { "the answer does not fit the request; is this a store that speaks S3?" } else { advice };
    let mut message = fill(advice, url, region, request, trouble);
    message += &format!(": bucket={}", url.bucket());
    if let Trouble::Answered(Reply { status, code, message: said, .. }) = trouble {
        message += &format!(" status={status}");
        if !code.is_empty() {
            message += &format!(" code={}", code.chars().take(64).collect::<String>().escape_debug());
        }
        if !said.is_empty() {
            message += &format!(" says={:?}", said.chars().take(300).collect::<String>());
        }
    }
    Verdict::Failed(BucketError::new(outcome, message))
}

fn answered(request: Request, reply: &Reply) -> (Known, &'static str) {
    // A key of KMS is refused with the code of the bucket; its words tell.
    if reply.code == "AccessDenied" && reply.message.contains("kms:") {
        return match request {
            Request::Create => {
                (Refused, "the key of KMS may not be used; these credentials need kms:GenerateDataKey on it")
            }
            _ => (Refused, "the key of KMS may not be used; these credentials need kms:Decrypt on it"),
        };
    }
    let by_code = CODES.iter().find(|(codes, ..)| codes.contains(&reply.code.as_str())).map(|row| (row.1, row.2));
    let by_status = || {
        let row = STATUSES.iter().find(|(first, last, ..)| (*first..=*last).contains(&reply.status));
        row.map(|row| (row.2, row.3))
    };
    by_code.or_else(by_status).unwrap_or((Nothing, "the answer is not one of HTTP; look what is behind the endpoint"))
}

fn fill(advice: &str, url: &S3Url, region: &str, request: Request, trouble: &Trouble) -> String {
    let partition = match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let bucket = format!("arn:{partition}:s3:::{}", url.bucket());
    let objects = format!("{bucket}/{}*", url.prefix());
    let permission = match request {
        Request::Create => format!("s3:PutObject on {objects}"),
        Request::Get => format!(
            "s3:GetObject on {objects}, and s3:ListBucket on {bucket}, without which a missing object is denied too"
        ),
        Request::List => format!("s3:ListBucket on {bucket}"),
        Request::Delete => format!("s3:DeleteObject on {objects}"),
    };
    let there = match trouble {
        Trouble::Answered(Reply { region: Some(region), .. }) => region,
        _ => "...",
    };
    advice
        .replace("{permission}", &permission)
        .replace("{region}", there)
        .replace("{endpoint}", url.endpoint().unwrap_or("S3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_up(request: Request, trouble: &Trouble) -> Verdict {
        let url = "s3://likes-eu/prod?endpoint=https://s3.example.com".parse().expect("a URL");
        verdict(&url, "eu-west-1", request, trouble)
    }

    fn reply(status: u16, code: &str) -> Trouble {
        Trouble::Answered(Reply { status, code: code.to_owned(), ..Reply::default() })
    }

    /// The word for what comes of it, on each request: create, get, list, delete.
    fn outcomes(trouble: &Trouble) -> [&'static str; 4] {
        [Request::Create, Request::Get, Request::List, Request::Delete].map(|request| {
            match looked_up(request, trouble) {
                Verdict::Exists => "exists",
                Verdict::Absent => "absent",
                Verdict::PastTheEnd => "past the end",
                Verdict::Failed(error) => error.outcome.name(),
            }
        })
    }

    fn message(request: Request, trouble: &Trouble) -> String {
        match looked_up(request, trouble) {
            Verdict::Failed(error) => error.to_string(),
            other => panic!("{trouble:?} is {other:?}, and no failure"),
        }
    }

    const UNKNOWN: [&str; 4] = ["indeterminate", "unavailable", "unavailable", "indeterminate"];
    const NO_EFFECT: [&str; 4] = ["unavailable"; 4];
    const TOO_MANY: [&str; 4] = ["throttled"; 4];
    const REFUSED: [&str; 4] = ["refused"; 4];
    const EXISTS: [&str; 4] = ["exists", "refused", "refused", "refused"];
    const ABSENT: [&str; 4] = ["refused", "absent", "refused", "absent"];
    const PAST_THE_END: [&str; 4] = ["refused", "past the end", "refused", "refused"];

    /// Written out once more, by hand: each code that S3 documents for these requests, with its status.
    #[test]
    fn every_code_has_its_outcome() {
        let expected = [
            (412, "PreconditionFailed", EXISTS),
            (404, "NoSuchKey", ABSENT),
            (416, "InvalidRange", PAST_THE_END),
            (409, "ConditionalRequestConflict", NO_EFFECT),
            (409, "OperationAborted", NO_EFFECT),
            (503, "SlowDown", TOO_MANY),
            (503, "SlowDownRead", TOO_MANY),
            (503, "SlowDownWrite", TOO_MANY),
            (400, "Throttling", TOO_MANY),
            (400, "ThrottlingException", TOO_MANY),
            (400, "ThrottledException", TOO_MANY),
            (503, "RequestThrottled", TOO_MANY),
            (503, "RequestThrottledException", TOO_MANY),
            (429, "TooManyRequests", TOO_MANY),
            (429, "TooManyRequestsException", TOO_MANY),
            (503, "RequestLimitExceeded", TOO_MANY),
            (509, "BandwidthLimitExceeded", TOO_MANY),
            (400, "KMS.ThrottlingException", TOO_MANY),
            (400, "RequestTimeout", NO_EFFECT),
            (400, "IncompleteBody", NO_EFFECT),
            (400, "BadDigest", NO_EFFECT),
            (400, "InvalidDigest", NO_EFFECT),
            (400, "XAmzContentSHA256Mismatch", NO_EFFECT),
            (400, "XAmzContentChecksumMismatch", NO_EFFECT),
            (307, "TemporaryRedirect", NO_EFFECT),
            (301, "PermanentRedirect", REFUSED),
            (400, "AuthorizationHeaderMalformed", REFUSED),
            (400, "IllegalLocationConstraintException", REFUSED),
            (400, "IncorrectEndpoint", REFUSED),
            (404, "NoSuchBucket", REFUSED),
            (400, "InvalidBucketName", REFUSED),
            (403, "AccessDenied", REFUSED),
            (403, "AccessDeniedException", REFUSED),
            (403, "AllAccessDisabled", REFUSED),
            (403, "AccountProblem", REFUSED),
            (403, "NotSignedUp", REFUSED),
            (400, "KMS.NotFoundException", REFUSED),
            (400, "KMS.DisabledException", REFUSED),
            (400, "KMS.InvalidStateException", REFUSED),
            (400, "KMS.KMSInvalidStateException", REFUSED),
            (403, "InvalidAccessKeyId", REFUSED),
            (400, "InvalidToken", REFUSED),
            (403, "InvalidSecurity", REFUSED),
            (400, "UnrecognizedClientException", REFUSED),
            (403, "SignatureDoesNotMatch", REFUSED),
            (403, "InvalidSignatureException", REFUSED),
            (400, "ExpiredToken", REFUSED),
            (400, "ExpiredTokenException", REFUSED),
            (400, "TokenRefreshRequired", REFUSED),
            (403, "RequestTimeTooSkewed", REFUSED),
            (403, "RequestExpired", REFUSED),
            (501, "NotImplemented", REFUSED),
            (400, "InvalidStorageClass", REFUSED),
            (403, "InvalidObjectState", REFUSED),
            (400, "EntityTooLarge", REFUSED),
            (403, "QuotaExceeded", REFUSED),
            (507, "XMinioStorageFull", REFUSED),
            (400, "XMinioAdminBucketQuotaExceeded", REFUSED),
            (507, "InsufficientStorage", REFUSED),
            (500, "InternalError", UNKNOWN),
            (503, "ServiceUnavailable", UNKNOWN),
        ];
        for (status, code, outcome) in expected {
            assert_eq!(outcomes(&reply(status, code)), outcome, "{status} {code}");
        }
        let told: Vec<_> = CODES.iter().flat_map(|(codes, ..)| codes.iter()).collect();
        assert_eq!(told.len(), expected.len(), "the table and this one have the same codes");
        assert!(told.iter().all(|code| expected.iter().any(|(_, known, _)| known == *code)), "and no other");
    }

    #[test]
    fn every_status_without_a_known_code_has_its_outcome() {
        for status in 0..=1_100 {
            let expected = match status {
                307 | 409 | 425 => NO_EFFECT,
                429 => TOO_MANY,
                412 => EXISTS,
                416 => PAST_THE_END,
                408 => UNKNOWN,
                501 | 507 => REFUSED,
                300..=499 => REFUSED,
                _ => UNKNOWN,
            };
            assert_eq!(outcomes(&reply(status, "")), expected, "{status}");
            assert_eq!(outcomes(&reply(status, "Unheard")), expected, "{status}");
        }
    }

    /// A 404 that does not name the key may come from anything: to believe that an object is absent would be to lose it.
    #[test]
    fn only_the_code_of_a_missing_key_says_that_an_object_is_absent() {
        assert!(matches!(looked_up(Request::Get, &reply(404, "NoSuchKey")), Verdict::Absent));
        for code in ["", "NotFound", "NoSuchBucket", "NoSuchUpload"] {
            assert!(matches!(looked_up(Request::Get, &reply(404, code)), Verdict::Failed(_)), "{code}");
        }
    }

    #[test]
    fn what_happens_on_the_way_has_its_outcome() {
        for (trouble, outcome) in [
            (Trouble::Unreadable, UNKNOWN),
            (Trouble::BrokenOff, UNKNOWN),
            (Trouble::TimedOut, UNKNOWN),
            (Trouble::NotConnected, NO_EFFECT),
            (Trouble::CredentialsLate, NO_EFFECT),
            (Trouble::Tls, REFUSED),
            (Trouble::NoCredentials, REFUSED),
            (Trouble::NotMade, REFUSED),
        ] {
            assert_eq!(outcomes(&trouble), outcome, "{trouble:?}");
            assert!(!message(Request::Get, &trouble).contains('{'), "{trouble:?}");
        }
        assert!(message(Request::Get, &Trouble::NotConnected).contains("https://s3.example.com"));
    }

    #[test]
    fn whoever_is_denied_is_told_the_permission() {
        let denied = reply(403, "AccessDenied");
        for (request, permission) in [
            (Request::Create, "s3:PutObject on arn:aws:s3:::likes-eu/prod/*"),
            (Request::Get, "s3:GetObject on arn:aws:s3:::likes-eu/prod/*"),
            (Request::Get, "s3:ListBucket on arn:aws:s3:::likes-eu,"),
            (Request::List, "s3:ListBucket on arn:aws:s3:::likes-eu,"),
            (Request::Delete, "s3:DeleteObject on arn:aws:s3:::likes-eu/prod/*"),
        ] {
            let said = message(request, &denied);
            assert!(said.contains(permission), "{request:?}: {said}");
        }
        let kms = Trouble::Answered(Reply {
            status: 403,
            code: "AccessDenied".into(),
            message: "User is not authorized to perform: kms:GenerateDataKey on the resource".into(),
            region: None,
        });
        assert!(message(Request::Create, &kms).contains("need kms:GenerateDataKey"));
        assert!(message(Request::Get, &kms).contains("need kms:Decrypt"));
        let url = "s3://likes-cn".parse().expect("a URL");
        let Verdict::Failed(error) = verdict(&url, "cn-north-1", Request::List, &denied) else { panic!("denied") };
        assert!(error.to_string().contains("arn:aws-cn:s3:::likes-cn"), "{error}");
    }

    #[test]
    fn whoever_asks_in_the_wrong_region_is_told_the_right_one() {
        let moved = Trouble::Answered(Reply {
            status: 301,
            code: "PermanentRedirect".into(),
            message: String::new(),
            region: Some("us-east-2".into()),
        });
        assert!(message(Request::List, &moved).contains("`?region=us-east-2`"));
    }

    #[test]
    fn a_long_or_hostile_answer_stays_one_short_line() {
        let hostile = Trouble::Answered(Reply {
            status: 400,
            code: "x".repeat(10_000),
            message: "\n\u{1b}[31m\"".repeat(10_000),
            region: None,
        });
        let said = message(Request::Create, &hostile);
        assert!(said.len() < 8_000 && !said.contains(['\n', '\u{1b}']), "{}", said.len());
    }
}
