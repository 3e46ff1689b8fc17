//! What a service has answered, kept as it was.
//!
//! `object_store` turns a status into an error of its own and keeps the status to itself. Two services mean different things by
//! one status, and the engine must know whether a request had its effect. So the HTTP client is wrapped: an answer that is no
//! success becomes an error here, with its status and the service's own code.

use std::fmt;

use futures_util::StreamExt;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
    },
};

/// How much of an answer is read to find the service's code in it.
const BODY_BYTES_MAX: usize = 4 << 10;

/// An answer that was no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) status: u16,
    /// The service's code, such as `BlobAlreadyExists`; empty where it gave none.
    pub(super) code: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {} {}", self.status, self.code)
    }
}

impl std::error::Error for Status {}

impl Status {
    /// The answer that an error stands for, if there was one.
    pub(super) fn of(error: &object_store::Error) -> Option<&Self> {
        chain(error).find_map(|cause| cause.downcast_ref())
    }
}

/// What went wrong on the way to a service and back, if nothing was answered.
pub(super) fn transport(error: &object_store::Error) -> Option<HttpErrorKind> {
    chain(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(HttpError::kind)
}

fn chain(error: &object_store::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source())
}

/// Makes clients that tell what was answered.
#[derive(Debug, Default)]
pub(super) struct Connector(ReqwestConnector);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Telling(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct Telling(HttpClient);

#[async_trait::async_trait]
impl HttpService for Telling {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.execute(request).await?;
        let status = answer.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(answer);
        }
        let named = answer.headers().get("x-ms-error-code").and_then(|code| code.to_str().ok()).map(str::to_owned);
        let code = match named {
            Some(code) => code,
            None => code_in(&start_of(answer).await),
        };
        Err(HttpError::new(HttpErrorKind::Unknown, Status { status: status.as_u16(), code }))
    }
}

/// The beginning of a body, or what of it could be read.
async fn start_of(answer: HttpResponse) -> String {
    let mut chunks = answer.into_body().bytes_stream();
    let mut body = Vec::new();
    while let Some(Ok(chunk)) = chunks.next().await {
        body.extend_from_slice(&chunk[..chunk.len().min(BODY_BYTES_MAX - body.len())]);
        if body.len() >= BODY_BYTES_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// The service's code in the body of an error: an element `Code` in XML, `reason` or `message` in JSON.
fn code_in(body: &str) -> String {
    let between = |open: &str, close: &str| Some(body.split_once(open)?.1.split_once(close)?.0.trim().to_owned());
    let of_json =
        |name: &str| between(&format!("\"{name}\""), "\",").or_else(|| between(&format!("\"{name}\""), "\"\n"));
    let clean = |text: String| text.trim_start_matches([':', ' ', '"']).to_owned();
    between("<Code>", "</Code>")
        .or_else(|| of_json("reason").map(clean))
        .or_else(|| of_json("message").map(clean))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_in_xml_and_in_json() {
        let xml = "<?xml version='1.0'?><Error><Code>NoSuchBucket</Code><Message>It is not there.</Message></Error>";
        assert_eq!(code_in(xml), "NoSuchBucket");
        let json = "{\"error\": {\"code\": 404,\n \"errors\": [{\"reason\": \"notFound\",\n \"domain\": \"global\"}]}}";
        assert_eq!(code_in(json), "notFound");
        assert_eq!(code_in("<html>Bad gateway"), "");
        assert_eq!(code_in(""), "");
    }
}
