//! What went wrong with a call to AWS beside the bucket's own five: what is known of its effect, and what to do.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use replica::ports::{BucketError, Outcome};

/// A call: the permission that it takes, and what it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) action: &'static str,
    pub(crate) on: &'a str,
}

/// What to do about an error, by its code.
enum Cure {
    Permission,
    Missing,
    Key,
    Secret,
    Expired,
    Clock,
    Encryption,
    Slower,
    Later,
    Unknown,
}

fn cure(code: &str, message: &str, status: u16) -> Cure {
    let code = code.trim_start_matches("AWS.SimpleQueueService.").trim_end_matches("Exception");
    match code {
        _ if code.starts_with("Kms") || code.starts_with("KMS") => Cure::Encryption,
        _ if message.contains("Signature expired") || message.contains("Signature not yet current") => Cure::Clock,
        "RequestExpired" | "RequestTimeTooSkewed" => Cure::Clock,
        "AccessDenied" | "AuthorizationError" | "AllAccessDisabled" | "Forbidden" | "UnauthorizedOperation" => {
            Cure::Permission
        }
        "NonExistentQueue" | "QueueDoesNotExist" | "NoSuchBucket" | "NotFound" => Cure::Missing,
        "InvalidClientTokenId" | "InvalidAccessKeyId" | "UnrecognizedClient" | "InvalidToken" => Cure::Key,
        "SignatureDoesNotMatch" | "InvalidSignature" => Cure::Secret,
        "ExpiredToken" | "TokenRefreshRequired" => Cure::Expired,
        "Throttling" | "ThrottlingException" | "Throttled" | "RequestThrottled" | "TooManyRequests" | "SlowDown" => {
            Cure::Slower
        }
        "OverLimit" | "RequestLimitExceeded" => Cure::Slower,
        "PurgeQueueInProgress" | "QueueDeletedRecently" | "OperationAborted" => Cure::Later,
        _ if status == 429 => Cure::Slower,
        _ if status >= 500 => Cure::Later,
        _ => Cure::Unknown,
    }
}

/// The error in words: which call, what is wrong, what to do.
pub(crate) fn explain<E>(call: Call<'_>, error: SdkError<E>) -> BucketError
where
    E: ProvideErrorMetadata + core::error::Error + Send + Sync + 'static,
{
    let Call { action, on } = call;
    let (outcome, says) = match &error {
        SdkError::ServiceError(answer) => {
            let (code, message) = (answer.err().code().unwrap_or("none"), answer.err().message().unwrap_or_default());
            let (outcome, does) = advice(&cure(code, message, answer.raw().status().as_u16()), call);
            (outcome, format!("{action} of {on} was refused: {does}: code={code} message={message:?}"))
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => {
            (Outcome::Indeterminate, format!("{action} of {on} got no whole answer; it is tried again"))
        }
        error => {
            let why = DisplayErrorContext(error).to_string();
            if why.to_ascii_lowercase().contains("credential") {
                let does = "no credentials were found; give them as any tool of AWS takes them, AWS_PROFILE for one";
                (Outcome::Refused, format!("{action} of {on} could not be asked for: {does}"))
            } else if why.to_ascii_lowercase().contains("certificate") {
                let does = "the certificate is not one that this machine trusts; check the endpoint and its authority";
                (Outcome::Refused, format!("{action} of {on} could not be asked for: {does}"))
            } else {
                (Outcome::Unavailable, format!("{action} of {on}: the service cannot be reached"))
            }
        }
    };
    BucketError::new(outcome, says).caused_by(error)
}

fn advice(cure: &Cure, Call { action, on }: Call<'_>) -> (Outcome, String) {
    let says = match cure {
        Cure::Permission => format!("these credentials lack the permission {action} for it"),
        Cure::Missing => "there is none; check its name and region, or have `archipelago provision` make it".to_owned(),
        Cure::Key => "the access key is not known; check which credentials are used, and for which endpoint".to_owned(),
        Cure::Secret => "the secret does not belong to the access key; check the credentials".to_owned(),
        Cure::Expired => "the credentials have expired; get new ones".to_owned(),
        Cure::Clock => "the clock of this machine is wrong; set it".to_owned(),
        Cure::Encryption => {
            format!("the key that encrypts {on} may not be used; allow kms:Decrypt and kms:GenerateDataKey")
        }
        Cure::Slower => return (Outcome::Throttled, "the service asks for fewer requests".to_owned()),
        Cure::Later => return (Outcome::Unavailable, "the service cannot do it now".to_owned()),
        Cure::Unknown => "the service does not do it".to_owned(),
    };
    (Outcome::Refused, says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(code: &str, message: &str, status: u16) -> (Outcome, String) {
        advice(&cure(code, message, status), Call { action: "sqs:ReceiveMessage", on: "the queue likes" })
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for (code, message, status, outcome, part) in [
            ("AccessDenied", "", 403, Outcome::Refused, "lack the permission sqs:ReceiveMessage"),
            ("AccessDeniedException", "", 400, Outcome::Refused, "lack the permission sqs:ReceiveMessage"),
            ("AuthorizationError", "", 403, Outcome::Refused, "lack the permission"),
            ("AWS.SimpleQueueService.NonExistentQueue", "", 400, Outcome::Refused, "there is none"),
            ("QueueDoesNotExist", "", 400, Outcome::Refused, "there is none"),
            ("InvalidClientTokenId", "", 403, Outcome::Refused, "access key is not known"),
            ("UnrecognizedClientException", "", 403, Outcome::Refused, "access key is not known"),
            ("SignatureDoesNotMatch", "", 403, Outcome::Refused, "secret does not belong"),
            ("SignatureDoesNotMatch", "Signature expired: 20261123 is now earlier", 403, Outcome::Refused, "clock"),
            ("RequestExpired", "", 400, Outcome::Refused, "clock"),
            ("ExpiredToken", "", 403, Outcome::Refused, "expired"),
            ("ExpiredTokenException", "", 400, Outcome::Refused, "expired"),
            ("KmsAccessDenied", "", 400, Outcome::Refused, "kms:Decrypt"),
            ("KMS.DisabledException", "", 400, Outcome::Refused, "kms:Decrypt"),
            ("ThrottlingException", "", 400, Outcome::Throttled, "fewer requests"),
            ("RequestThrottled", "", 403, Outcome::Throttled, "fewer requests"),
            ("AWS.SimpleQueueService.PurgeQueueInProgress", "", 403, Outcome::Unavailable, "now"),
            ("InternalError", "", 500, Outcome::Unavailable, "now"),
            ("none", "", 429, Outcome::Throttled, "fewer requests"),
            ("Unheard", "", 400, Outcome::Refused, "does not do it"),
        ] {
            let (known, says) = says(code, message, status);
            assert!(known == outcome && says.contains(part), "{code}: {known:?}: {says}");
        }
    }
}
