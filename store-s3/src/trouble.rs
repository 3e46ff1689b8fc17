//! What went wrong with a request, as far as its outcome depends on it: the SDK's errors, told apart.

use core::error::Error;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use hyper_util::client::legacy;

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The store has answered that it did not do it.
    Answered(Reply),
    /// There is an answer, and it is not one of S3.
    Unreadable,
    /// No connection came about, so nothing was sent.
    NotConnected,
    /// The other side's certificate is not trusted, or it does not speak TLS; nothing was sent.
    Tls,
    /// The connection was lost before the end of the answer.
    BrokenOff,
    /// The time for the request was over.
    TimedOut,
    /// There are no credentials, or they are set up wrongly; nothing was sent.
    NoCredentials,
    /// The service that has the credentials did not give them; nothing was sent.
    CredentialsLate,
    /// The request could not be made from the settings; nothing was sent.
    NotMade,
}

/// What a store has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status of HTTP.
    pub(crate) status: u16,
    /// The code of S3; empty without one.
    pub(crate) code: String,
    /// The words with it.
    pub(crate) message: String,
    /// The region in which the bucket is, if the answer says so.
    pub(crate) region: Option<String>,
}

impl Trouble {
    /// What an error of the SDK tells.
    pub(crate) fn of<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E, HttpResponse>) -> Self {
        match error {
            SdkError::ServiceError(context) => {
                let (said, raw) = (context.err().meta(), context.raw());
                Self::Answered(Reply {
                    status: raw.status().as_u16(),
                    code: said.code().unwrap_or_default().to_owned(),
                    message: said.message().unwrap_or_default().to_owned(),
                    region: raw.headers().get("x-amz-bucket-region").map(str::to_owned),
                })
            }
            // SUBTLE: the SDK took the body and could not read it to its end. The status alone must not be believed: a 404
            // of S3 says in its body that the key is missing, and without that it looks like an endpoint that is no S3.
            SdkError::ResponseError(context) if context.raw().body().bytes().is_none() => Self::BrokenOff,
            // An error whose body is no XML, as a proxy sends it, still has its status.
            SdkError::ResponseError(context) if !context.raw().status().is_success() => {
                Self::Answered(Reply { status: context.raw().status().as_u16(), ..Reply::default() })
            }
            SdkError::ResponseError(_) => Self::Unreadable,
            SdkError::TimeoutError(_) => Self::TimedOut,
            SdkError::ConstructionFailure(_) => Self::unsent(error).unwrap_or(Self::NotMade),
            SdkError::DispatchFailure(failure) => Self::unsent(error).unwrap_or(if failure.is_timeout() {
                Self::TimedOut
            } else if failure.is_user() {
                Self::NotMade
            } else {
                Self::BrokenOff
            }),
            // A kind that a later SDK adds: nothing is known.
            _ => Self::BrokenOff,
        }
    }

    /// What shows that nothing was sent. The credentials come first: they are fetched by requests of their own.
    fn unsent(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(credentials) = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
            return Some(match credentials {
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                    Self::NoCredentials
                }
                _ => Self::CredentialsLate,
            });
        }
        if !chain(error).any(|cause| cause.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect)) {
            return None;
        }
        let tls = chain(error).any(<dyn Error>::is::<rustls::Error>);
        Some(if tls { Self::Tls } else { Self::NotConnected })
    }
}

/// The error and its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    core::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        // SUBTLE: the source of an `io::Error` is that of what it holds, which itself would be passed over: TLS fails so.
        Some(io) => io.get_ref().map(|held| held as &(dyn Error + 'static)),
        None => error.source(),
    })
}
