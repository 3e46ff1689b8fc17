//! `POST /v1/ops`: changes, all of a request in one batch.
//! Layer 3.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use replica::{Batch, Written};

use crate::{
    access::Caller,
    answer::{Covered, aside},
    app::App,
    changed::{Changed, answer, answer_again},
    decode::{Form, Operations, operations},
    describe::OperationsBody,
    describe::{Durable, Frontier},
    keys::{Known, Once},
    problem::{Problem, Shown as ProblemShown},
    text::Parameters,
};

/// A body of more bytes is read and applied where it holds nobody up.
const ASIDE_BYTES: usize = 32 << 10;

/// Makes changes.
///
/// The body is one operation, an array of them, or, as `application/x-ndjson`, a line for each. All of a request is made at
/// once, in one segment of the log, or nothing of it.
#[utoipa::path(
    post,
    path = "/v1/ops",
    params(
        Durable,
        ("Idempotency-Key" = Option<String>, Header, description = "Has the request done once: 1 to 255 printable characters", min_length = 1, max_length = 255, pattern = "^[ -~]*[!-~][ -~]*$"),
        Frontier,
    ),
    request_body(content((OperationsBody = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "It is done", body = Changed),
        (status = 202, description = "It is done, and was not durable in time", body = Changed),
        (status = 400, description = "Not operations", body = ProblemShown, content_type = "application/problem+json"),
        (status = 409, description = "A path holds another kind", body = ProblemShown, content_type = "application/problem+json"),
        (status = 413, description = "Too much at once", body = ProblemShown, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor lines of it", body = ProblemShown, content_type = "application/problem+json"),
        (status = 422, description = "The key came with another request before", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "Nothing can be changed now", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn post(
    _: Covered,
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let durable = Parameters::read(&uri, &["durable"])?.flag("durable")?;
    let form = Form::of(&headers)?;
    let (known, applied) = {
        // It is not kept while the answer waits for anything.
        let body = app.bodies.whole(body, &headers).await?;
        let once = Once::read(&headers, &caller, &[&[form as u8], &body])?;
        if body.len() > ASIDE_BYTES {
            let app = app.clone();
            aside(move || apply(&app, form, &body, once)).await??
        } else {
            apply(&app, form, &body, once)?
        }
    };
    match known {
        Known::Done { written, repeated } => answer(&app, written, applied, durable, repeated).await,
        Known::DoneBefore => answer_again(&app, applied),
    }
}

/// Applies the operations of a body, and says how many they are.
fn apply(app: &App, form: Form, body: &[u8], once: Option<Once>) -> Result<(Known, usize), Problem> {
    let read = operations(form, body, app.options.limits.operations)?;
    let known = match once {
        Some(once) => app.keys.once(once, app.wall_ms(), |note| change(app, &read, note)),
        None => change(app, &read, &|_| ()).map(|written| Known::Done { written, repeated: false }),
    };
    Ok((known?, read.operations.len()))
}

fn change(app: &App, read: &Operations, note: &dyn Fn(&mut Batch<'_>)) -> Result<Written, Problem> {
    let written = app.replica.batch(|batch| {
        read.operations.iter().for_each(|operation| operation.put(&read.texts, batch));
        note(batch);
        Ok(())
    });
    Ok(written?)
}
