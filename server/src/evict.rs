//! `POST /v1/evict`: an operator's word that a replica will not come back.
//! Layer 3.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use replica::Position;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answer::json,
    app::App,
    problem::{Problem, Shown as ProblemShown},
    text::Parameters,
};

/// Which replica will not come back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Eviction {
    #[schema(min_length = 1, max_length = 40, pattern = "^[a-z0-9-]+$")]
    replica: String,
    /// The last position of its log that counts, unless it is its end.
    #[serde(default)]
    #[schema(pattern = "^[0-9a-f]{8}/[0-9a-f]{8}$")]
    at: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Evicted {
    replica: String,
    /// Where its log ends.
    at: String,
    /// Whether its log was sealed there.
    sealed: bool,
}

/// Declares that a replica will not come back: nobody waits for it any more. It cannot be undone.
#[utoipa::path(
    post,
    path = "/v1/evict",
    request_body = Eviction,
    responses(
        (status = 200, description = "It is evicted", body = Evicted),
        (status = 400, description = "No such replica", body = ProblemShown, content_type = "application/problem+json"),
        (status = 413, description = "Too much", body = ProblemShown, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be said now", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn evict(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Parameters::read(&uri, &[])?;
    let eviction: Eviction = app.bodies.object("an eviction", body, &headers).await?;
    let at = eviction.at.as_deref().map(|at| {
        position(at)
            .ok_or_else(|| Problem::invalid("a position is two times eight hexadecimal digits, as 65a1b2c3/0000000f"))
    });
    let evicted = app.replica.evict(&eviction.replica, at.transpose()?).await?;
    let (at, sealed) = (evicted.last.to_string(), evicted.is_sealed);
    json(StatusCode::OK, &Evicted { replica: eviction.replica, at, sealed })
}

/// A position as it is shown.
fn position(text: &str) -> Option<Position> {
    let digits = |part: &str| {
        let are_digits = part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(part, 16).ok().filter(|_| are_digits)
    };
    let (epoch, slot) = text.split_once('/')?;
    Some(Position::new(digits(epoch)?, digits(slot)?))
}
