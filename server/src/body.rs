//! The body of a request: all of it, within limits, or the one object that it is.
//! Layer 1.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{decode::Form, options::Limits, problem::Problem};

/// All of a body, if it is not too long.
pub(crate) async fn whole(body: Body, headers: &HeaderMap, limits: &Limits) -> Result<Bytes, Problem> {
    let limit = limits.body_bytes;
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > limit as u64) {
        return Err(Problem::too_long(limit));
    }
    let collected = timeout(limits.request, Limited::new(body, limit).collect()).await;
    let collected = collected.map_err(|_| {
        let advice = "Send the body faster, or less of it. Nothing was changed.";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "late_body", "the body has not come in time", advice)
    })?;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            return Problem::too_long(limit);
        }
        Problem::invalid("the body has broken off")
    })
}

/// The JSON object that a body is; `what` names it, as in "an eviction".
pub(crate) async fn object<T: DeserializeOwned>(
    what: &str,
    body: Body,
    headers: &HeaderMap,
    limits: &Limits,
) -> Result<T, Problem> {
    if Form::of(headers)? != Form::Json {
        return Err(Problem::invalid(format!("{what} is one JSON object")));
    }
    let body = whole(body, headers, limits).await?;
    serde_json::from_slice(&body).map_err(|error| Problem::invalid(format!("not {what}: {error}")))
}
