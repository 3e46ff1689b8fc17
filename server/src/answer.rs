//! Answers, and what a read waits for before it is answered.
//! Layer 2.

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use replica::Token;
use serde::Serialize;
use std::sync::Arc;
use tokio::task::spawn_blocking;

use crate::{app::App, problem::Problem};

/// The header in which a token is sent.
pub(crate) const FRONTIER: &str = "x-archipelago-frontier";

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, answer: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(answer).map_err(|error| {
        let advice = "This is a fault of the server. Report it.";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string(), advice)
    })?;
    Ok(typed(status, "application/json", body))
}

/// Does what takes long where nothing else waits for it.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    spawn_blocking(work).await.map_err(|_| {
        let advice = "This is a fault of the server. Report it.";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request was given up", advice).open()
    })
}

/// An answer of some other type.
pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What a reader has seen elsewhere has been applied here: the request had no `X-Archipelago-Frontier`, or it was waited for.
pub(crate) struct Covered;

impl FromRequestParts<Arc<App>> for Covered {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(FRONTIER).iter();
        let Some(value) = values.next() else { return Ok(Self) };
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        let token = text.and_then(|text| text.trim().parse::<Token>().ok());
        let Some(token) = token else {
            return Err(Problem::invalid("X-Archipelago-Frontier is one token, as an answer gave it"));
        };
        let token = app.to_wait_for(&token);
        if app.replica.has_applied(&token) || app.replica.wait_for_within(&token, app.options.limits.frontier).await? {
            return Ok(Self);
        }
        let detail = "what the token has seen has not all arrived here yet";
        let advice = "Try again, or ask the region that gave the token. /v1/status says how far this one is behind.";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "behind", detail, advice).later(1))
    }
}
