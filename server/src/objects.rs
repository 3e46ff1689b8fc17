//! One path: what is there, and deleting it.
//! Layer 3.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use operations::{ShownValue, kind_of, shown};
use replica::{Kind, Value};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::{Covered, json},
    app::App,
    changed::{Changed, answer},
    describe::{Durable, Frontier},
    problem::{Problem, Shown as ProblemShown},
    text::{Parameters, path_of},
};

/// What is at a path.
#[derive(Serialize, ToSchema)]
#[schema(as = Found)]
pub(crate) struct Found<'a> {
    path: &'a str,
    /// One for each kind: nearly always one, several where regions have made different kinds concurrently.
    #[schema(min_items = 1)]
    values: Vec<OfKind>,
    /// What this answer has seen.
    #[schema(pattern = "^[0-9a-f]+$")]
    token: String,
}

/// A value of one kind.
#[derive(Serialize, ToSchema)]
pub(crate) struct OfKind {
    /// One of `g_counter`, `pn_counter`, `lww_register`, `mv_register`, `or_set`.
    kind: &'static str,
    /// Of a counter a whole number, of an `lww_register` any JSON, of an `mv_register` and an `or_set` an array.
    #[schema(value_type = serde_json::Value)]
    value: ShownValue,
}

/// Reads what is at a path.
///
/// A path is 1 to 1,024 bytes of UTF-8 without control characters, and may have slashes in it.
#[utoipa::path(
    get,
    path = "/v1/objects/{path}",
    params(
        ("path" = String, Path, description = "The path, all of it", min_length = 1),
        ("kind" = Option<crate::describe::KindName>, Query, description = "Only what is of this kind"),
        Frontier,
    ),
    responses(
        (status = 200, description = "What is there", body = Found),
        (status = 400, description = "No path, or no such parameter", body = ProblemShown, content_type = "application/problem+json"),
        (status = 404, description = "Nothing is there", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "The token is not covered yet", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(_: Covered, State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let path = path_of(&uri)?;
    let kind = Parameters::read(&uri, &["kind"])?.kind()?;
    let found = app.replica.get(&path)?;
    let values: Vec<OfKind> =
        meant(&found, kind).map(|(kind, value)| OfKind { kind: kind.name(), value: shown(value) }).collect();
    if values.is_empty() {
        return Err(Problem::missing("nothing is at this path"));
    }
    json(StatusCode::OK, &Found { path: &path, values, token: app.replica.token().to_string() })
}

/// Deletes what is at a path, as far as this region has seen it.
///
/// What is changed elsewhere at the same time stays.
#[utoipa::path(
    delete,
    path = "/v1/objects/{path}",
    params(
        ("path" = String, Path, description = "The path, all of it", min_length = 1),
        ("kind" = Option<crate::describe::KindName>, Query, description = "Only what is of this kind"),
        Durable,
        Frontier,
    ),
    responses(
        (status = 200, description = "It is deleted", body = Changed),
        (status = 202, description = "It is deleted, and was not durable in time", body = Changed),
        (status = 400, description = "No path, or no such parameter", body = ProblemShown, content_type = "application/problem+json"),
        (status = 404, description = "Nothing is there", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "Nothing can be changed now", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn delete(_: Covered, State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let path = path_of(&uri)?;
    let parameters = Parameters::read(&uri, &["durable", "kind"])?;
    let (kind, durable) = (parameters.kind()?, parameters.flag("durable")?);
    let found = app.replica.get(&path)?;
    let kinds: Vec<Kind> = meant(&found, kind).map(|(kind, _)| kind).collect();
    if kinds.is_empty() {
        return Err(Problem::missing("nothing is at this path"));
    }
    let written = app.replica.batch(|batch| {
        kinds.iter().for_each(|kind| batch.delete_kind(&path, *kind));
        Ok(())
    })?;
    answer(&app, written, kinds.len(), durable, false).await
}

/// Those of the asked kind, or all.
fn meant(found: &[Value], asked: Option<Kind>) -> impl Iterator<Item = (Kind, &Value)> {
    let of_kind = found.iter().map(|value| (kind_of(value), value));
    of_kind.filter(move |(kind, _)| asked.is_none_or(|asked| asked == *kind))
}
