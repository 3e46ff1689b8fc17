//! What was answered, kept as it was.
//!
//! `object_store` turns a status into an error of its own and keeps the status to itself. Two services mean different
//! things by one status, and the engine must know whether a request had its effect. So the HTTP client is wrapped: an
//! answer that is no success becomes an error here, with its status and the service's own code, and with who gave it.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::{
    ClientConfigKey, ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    },
};

/// How much of an answer is read to find the service's code in it. No answer to a batch of one is as long.
const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a connection may take, with its handshake.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long a connection is kept for the next request: less than servers keep it, so that few requests meet one just
/// closed.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Why a request came to nothing, as far as HTTP knows.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service has answered, and it was no success.
    Answered(Status),
    /// There is no connection, so the service was asked nothing.
    Unreached(HttpError),
    /// Whoever gives credentials has refused them, so the service was asked nothing.
    Denied(Status),
    /// Whoever gives credentials was not reached, or broke off; so the service was asked nothing.
    Unserved(HttpError),
}

/// An answer that was no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) status: u16,
    /// The service's code, such as `BlobAlreadyExists`; empty where it gave none.
    pub(super) code: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(Status { status, code }) => write!(f, "the service answered {status} {code}"),
            Self::Denied(Status { status, code }) => {
                write!(f, "asked for credentials, it was answered {status} {code}")
            }
            Self::Unreached(_) => f.write_str("there is no connection"),
            Self::Unserved(_) => f.write_str("nobody was there to give credentials"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Answered(_) | Self::Denied(_) => None,
            Self::Unreached(error) | Self::Unserved(error) => Some(error),
        }
    }
}

impl Failure {
    /// What an error stands for, if it came from here. Other errors are of bodies that broke off, or were not
    /// understood.
    pub(super) fn of(error: &object_store::Error) -> Option<&Self> {
        chain(error).find_map(|cause| cause.downcast_ref())
    }

    fn into_error(self) -> HttpError {
        // Of a kind that is never repeated.
        HttpError::new(HttpErrorKind::Unknown, self)
    }
}

/// The error and its causes, the nearest first.
fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause.source())
}

/// Makes clients that tell what was answered.
#[derive(Debug)]
pub(super) struct Connector {
    /// What the address of each request to the service begins with. All others ask for credentials.
    service: String,
}

impl Connector {
    pub(super) fn to(endpoint: &str) -> Self {
        Self { service: format!("{endpoint}/") }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|allow| allow == "true");
        let client = reqwest::Client::builder()
            .user_agent(concat!("archipelago/", env!("CARGO_PKG_VERSION")))
            .https_only(!allow_http)
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .http1_only()
            // A create that is sent elsewhere can come back as the success of a GET.
            .redirect(reqwest::redirect::Policy::none())
            // Sizes are those of what is sent.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .build()
            .map_err(|error| object_store::Error::Generic { store: "HTTP", source: Box::new(error) })?;
        Ok(HttpClient::new(Telling { client, service: self.service.clone() }))
    }
}

#[derive(Debug)]
struct Telling {
    client: reqwest::Client,
    service: String,
}

#[async_trait::async_trait]
impl HttpService for Telling {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_for_service = request.uri().to_string().starts_with(&self.service);
        match self.client.call(request).await {
            Ok(answer) => match told(answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(status)) if is_for_service => Err(Failure::Answered(status).into_error()),
                Ok(Err(status)) => Err(Failure::Denied(status).into_error()),
                Err(error) if is_for_service => Err(error),
                Err(error) => Err(Failure::Unserved(error).into_error()),
            },
            Err(error) if !is_for_service => Err(Failure::Unserved(error).into_error()),
            Err(error) if is_unconnected(&error) => Err(Failure::Unreached(error).into_error()),
            Err(error) => Err(error),
        }
    }
}

/// Whether the request was never sent. `object_store` has a kind for it, which a connection that took too long is not
/// of.
fn is_unconnected(error: &HttpError) -> bool {
    chain(error).any(|cause| cause.downcast_ref().is_some_and(reqwest::Error::is_connect))
}

/// The answer, or its status if that is no success.
async fn told(answer: HttpResponse) -> Result<Result<HttpResponse, Status>, HttpError> {
    let (parts, body) = answer.into_parts();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if !parts.status.is_success() {
        let code = match header("x-ms-error-code") {
            Some(code) => code.to_owned(),
            None => code_in(&String::from_utf8_lossy(&beginning(body).await?)),
        };
        return Ok(Err(Status { status: parts.status.as_u16(), code }));
    }
    // A delete at Azure is sent as a batch of one, which succeeds whatever becomes of the delete.
    if header("content-type").is_some_and(|kind| kind.starts_with("multipart/mixed")) {
        let body = beginning(body).await?;
        return Ok(match of_part(&String::from_utf8_lossy(&body)) {
            Some(status) => Err(status),
            None => Ok(HttpResponse::from_parts(parts, body.into())),
        });
    }
    Ok(Ok(HttpResponse::from_parts(parts, body)))
}

/// The beginning of a body: all of it, if it is not longer than any answer of this kind.
async fn beginning(body: HttpResponseBody) -> Result<Bytes, HttpError> {
    let mut chunks = body.bytes_stream();
    let mut collected = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        collected.extend_from_slice(&chunk[..chunk.len().min(BODY_BYTES_MAX - collected.len())]);
        if collected.len() == BODY_BYTES_MAX {
            break;
        }
    }
    Ok(collected.freeze())
}

/// The status of a batch's only part, if that is no success.
fn of_part(body: &str) -> Option<Status> {
    let mut lines = body.lines().skip_while(|line| !line.starts_with("HTTP/1.1 "));
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    if (200..300).contains(&status) {
        return None;
    }
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let code = headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("x-ms-error-code"));
    Some(Status { status, code: code.map(|(_, code)| code.trim().to_owned()).unwrap_or_default() })
}

/// The code in the body of an error: the element `Code` of XML; of JSON, which whoever gives credentials speaks,
/// `error`.
fn code_in(body: &str) -> String {
    if let Some((code, _)) = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")) {
        return code.trim().to_owned();
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let error = &body["error"];
    let code = error.as_str().or(error["status"].as_str()).or(error["errors"][0]["reason"].as_str());
    code.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_in_xml_and_in_json() {
        let xml = "<?xml version='1.0'?><Error><Code>NoSuchBucket</Code><Message>It is not there.</Message></Error>";
        assert_eq!(code_in(xml), "NoSuchBucket");
        assert_eq!(code_in(r#"{"error": {"code": 404, "errors": [{"reason": "notFound"}]}}"#), "notFound");
        assert_eq!(code_in(r#"{"error": {"code": 403, "status": "PERMISSION_DENIED"}}"#), "PERMISSION_DENIED");
        assert_eq!(code_in(r#"{"error": "invalid_client", "error_description": "AADSTS7000215"}"#), "invalid_client");
        for other in ["<html>Bad gateway", "", "{}", "[1]", "<Code>"] {
            assert_eq!(code_in(other), "", "{other}");
        }
    }

    #[test]
    fn the_answer_to_a_batch_is_that_of_its_part() {
        let part = |status: &str| {
            format!(
                "--batchresponse_1\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status}\r\n\
                 X-Ms-Error-Code: BlobNotFound\r\nServer: a\r\n\r\nX-Ms-Error-Code: no\r\n--batchresponse_1--\r\n"
            )
        };
        assert_eq!(of_part(&part("202 Accepted")), None);
        let status = of_part(&part("404 The specified blob does not exist.")).unwrap();
        assert_eq!((status.status, status.code.as_str()), (404, "BlobNotFound"));
        assert_eq!(of_part("--batchresponse_1--\r\n"), None);
    }
}
