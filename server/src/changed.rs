//! What a change is answered with: where it is, and whether it is durable.
//! Layer 2.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use futures_util::FutureExt;
use operations::moment;
use replica::{Error, ErrorKind, Written};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::{answer::json, app::App, problem::Problem};

/// What came of a change.
#[derive(Serialize, ToSchema)]
pub(crate) struct Changed {
    /// How many operations it was.
    applied: usize,
    /// Where it is in the log of this replica: epoch and slot. `null` for a repeated request from before the server's last
    /// start.
    #[schema(pattern = "^[0-9a-f]{8}/[0-9a-f]{8}$")]
    position: Option<String>,
    /// What a reader has seen who has seen this. Sent as `X-Archipelago-Frontier` to another region, it is read there too.
    #[schema(pattern = "^[0-9a-f]+$")]
    token: String,
    /// True when the bucket has it: nothing can take it back.
    durable: bool,
    /// When it is flushed at the latest: until then, and until the bucket has taken it, a crash of this server loses it. `null`
    /// when it is durable, and once the bucket has not answered for some time.
    in_memory_until: Option<String>,
    /// Why it is not durable and nobody knows when it will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// True when a request with this `Idempotency-Key` had done it before, and nothing was done now.
    repeated: bool,
}

/// Answers a change, and waits until it is durable if that is asked for: so long as is waited for that, and then says so.
pub(crate) async fn answer(
    app: &Arc<App>,
    written: Written,
    applied: usize,
    durable: bool,
    repeated: bool,
) -> Result<Response, Problem> {
    let waited = if durable {
        timeout(app.options.limits.durable, written.clone().durable()).await.ok()
    } else {
        // What changed nothing is durable already.
        written.clone().durable().now_or_never()
    };
    let is_durable = match waited {
        Some(Ok(())) => true,
        Some(Err(error)) => return Err(undecided(error)),
        None => false,
    };
    let trouble = if is_durable { None } else { app.trouble_of_writing() };
    let flush_ms = app.replica.flush_interval().as_millis() as u64;
    let due = (!is_durable && trouble.is_none()).then(|| moment(app.wall_ms() + flush_ms));
    let status = if durable && !is_durable { StatusCode::ACCEPTED } else { StatusCode::OK };
    json(
        status,
        &Changed {
            applied,
            position: Some(written.position().to_string()),
            token: app.token_of(&written, is_durable).to_string(),
            durable: is_durable,
            in_memory_until: due,
            trouble,
            repeated,
        },
    )
}

/// Answers a request that had been answered before the server was started: what it did is durable, or it would not be known.
pub(crate) fn answer_again(app: &App, applied: usize) -> Result<Response, Problem> {
    json(
        StatusCode::OK,
        &Changed {
            applied,
            position: None,
            token: app.replica.token().to_string(),
            durable: true,
            in_memory_until: None,
            trouble: None,
            repeated: true,
        },
    )
}

/// The replica has stopped before it was known whether the change is durable.
fn undecided(error: Error) -> Problem {
    match error.kind() {
        ErrorKind::Invalid | ErrorKind::KindMismatch => error.into(),
        _ => Problem::from(error).open(),
    }
}
