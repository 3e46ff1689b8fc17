//! How a request fails: `application/problem+json` (RFC 9457), with the kind of error and what to do.
//! Layer 0.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use operations::told;
use replica::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    kind: &'static str,
    detail: String,
    advice: &'static str,
    retry_after: Option<u32>,
    /// True when it may have been done all the same.
    is_open: bool,
}

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Shown<'a> {
    /// `urn:archipelago:problem:` and the kind.
    #[serde(rename = "type")]
    of: String,
    /// The HTTP status in words.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The kind of error, for programs.
    kind: &'a str,
    /// What is wrong, for people.
    detail: &'a str,
    /// What to do.
    advice: &'a str,
    /// True when the change may have been made all the same: ask, or repeat it with the same `Idempotency-Key`.
    indeterminate: bool,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>, advice: &'static str) -> Self {
        Self { status, kind, detail: detail.into(), advice, retry_after: None, is_open: false }
    }

    /// The request is wrong, and will be wrong again.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail, "Mend the request. Nothing was changed.")
    }

    /// There is nothing.
    pub(crate) fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "missing", detail, "Look for the path with /v1/scan.")
    }

    pub(crate) fn too_long(limit: usize) -> Self {
        let detail = format!("a body has at most {limit} bytes");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_long",
            detail,
            "Send it in several requests. Nothing was changed.",
        )
    }

    /// What is sent of it.
    pub(crate) fn json(&self) -> Vec<u8> {
        let shown = Shown {
            of: format!("urn:archipelago:problem:{}", self.kind),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            kind: self.kind,
            detail: &self.detail,
            advice: self.advice,
            indeterminate: self.is_open,
        };
        serde_json::to_vec(&shown).unwrap_or_default()
    }

    /// It may be tried again after so many seconds.
    pub(crate) fn later(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// It may have been done all the same.
    pub(crate) fn open(self) -> Self {
        Self { is_open: true, ..self }
    }
}

/// What to do about an error of the engine.
pub(crate) const fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Changed => "Look at it again. Nothing was changed.",
        ErrorKind::KindMismatch => "Use the kind that is there, or another path, or delete it first.",
        ErrorKind::Backpressure => "Try again later. Too much waits for the bucket: see that it answers.",
        ErrorKind::ClockSkew => "Set the clock of the server right.",
        ErrorKind::Fenced => {
            "Another process has taken this replica's log over. Use that one; stop this one, or give it another name."
        }
        ErrorKind::LostHistory => "The log in the bucket was lost or rolled back. Open a replica of another name.",
        ErrorKind::Evicted => "An operator has evicted this replica. Open one of another name.",
        ErrorKind::Store => {
            "Mend what the bucket says: credentials, permissions, network. It is asked again by itself."
        }
        ErrorKind::Corrupt => "An object in a bucket is damaged. Look at it with `archipelago show`; the others go on.",
        ErrorKind::Unsupported => "An object in a bucket is of a newer format. Upgrade this process.",
        ErrorKind::Invalid => "Mend the request. Nothing was changed.",
        _ => "The replica has been closed. Start the server again.",
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::KindMismatch | ErrorKind::Changed => StatusCode::CONFLICT,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Corrupt | ErrorKind::Unsupported => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = Self::new(status, error.kind().name(), told(&error), advice(error.kind()));
        match error.kind() {
            ErrorKind::Backpressure | ErrorKind::Store => problem.later(1),
            ErrorKind::ClockSkew => problem.later(60),
            _ => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"archipelago\""));
        }
        // What is left of a body that was refused is not read.
        if matches!(self.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(Told(self.kind));
        response
    }
}

/// The kind of the problem that a response tells, for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told(pub(crate) &'static str);
