//! Registers that were written concurrently: what was written, and which of it shall stay.
//! Layer 3.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use operations::{Operation, Texts, json as as_json, moment};
use replica::{
    Bytes, Conflict, Dot, ErrorKind, Kind, LiveWrite, Replica, Status,
    key::{ObjectKey, check_path},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    answer::{Covered, aside, json},
    app::App,
    changed::{Changed, answer},
    describe::{Durable, Frontier, Paging, Prefix},
    problem::{Problem, Shown as ProblemShown},
    read::{Next, PAGE_BYTES, PAGE_MAX, after},
    text::Parameters,
};

/// Registers with more than one live write.
#[derive(Serialize, ToSchema)]
pub(crate) struct Conflicts {
    conflicts: Vec<Conflicted>,
    /// What to give as `after`, and as `after_kind`, for those behind; `null` when there are no more.
    next: Option<Next>,
    /// What this answer has seen.
    #[schema(pattern = "^[0-9a-f]+$")]
    token: String,
}

/// A register with more than one live write.
#[derive(Serialize, ToSchema)]
pub(crate) struct Conflicted {
    path: String,
    /// `lww_register` or `mv_register`.
    kind: &'static str,
    /// Its live writes, the latest first: what an `lww_register` reads as.
    #[schema(min_items = 2)]
    writes: Vec<Candidate>,
}

/// A live write.
#[derive(Serialize, ToSchema)]
pub(crate) struct Candidate {
    /// Names this write: for `keep` and `seen`.
    id: String,
    #[schema(value_type = serde_json::Value)]
    value: serde_json::Value,
    /// Who wrote it.
    replica: String,
    /// In which region; `null` when its log was in none of the buckets that were read since the start.
    region: Option<String>,
    /// When, by the clock of its writer.
    time: String,
}

impl Candidate {
    fn of(write: &LiveWrite, status: &Status) -> Self {
        let (value, time) = (as_json(&write.value), moment(write.timestamp.millis()));
        let region = status.logs.iter().find(|log| log.replica == write.replica).and_then(|log| log.region.clone());
        Self { id: id_of(write), value, replica: write.replica.to_string(), region, time }
    }
}

fn id_of(write: &LiveWrite) -> String {
    format!("{}:{}", write.replica, write.dot.position)
}

/// Lists the registers below a prefix that were written concurrently.
#[utoipa::path(
    get,
    path = "/v1/conflicts",
    params(Prefix, Paging, Frontier),
    responses(
        (status = 200, description = "The conflicts", body = Conflicts),
        (status = 400, description = "No such parameter", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "The token is not covered yet", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(_: Covered, State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let parameters = Parameters::read(&uri, &["prefix", "after", "after_kind", "limit"])?;
    let limit = parameters.number("limit", 100, 1..=PAGE_MAX)?;
    let (prefix, after) = (parameters.prefix()?.to_owned(), after(&parameters)?);
    let replica = app.replica.clone();
    let (found, is_whole) = aside(move || page(&replica, &prefix, after.as_ref(), limit)).await?;
    let next = found.last().filter(|_| !is_whole);
    let next = next.map(|last| Next::behind(&last.key));
    let status = app.replica.status();
    let conflicted = |conflict: &Conflict| Conflicted {
        path: conflict.key.path().to_owned(),
        kind: conflict.key.kind().name(),
        writes: conflict.writes.iter().map(|write| Candidate::of(write, &status)).collect(),
    };
    let conflicts = found.iter().map(conflicted).collect();
    json(StatusCode::OK, &Conflicts { conflicts, next, token: app.replica.token().to_string() })
}

/// The first conflicts behind a key, and whether they are all. There is one at least, however large it is.
fn page(replica: &Replica, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> (Vec<Conflict>, bool) {
    let conflicts = replica.conflicts(prefix);
    let conflicts = if let Some(after) = after { conflicts.after(after) } else { conflicts };
    let (mut found, mut bytes) = (Vec::new(), 0);
    for conflict in conflicts {
        if found.len() == limit || bytes >= PAGE_BYTES {
            return (found, false);
        }
        bytes += conflict.key.path().len() + conflict.writes.iter().map(|write| write.value.len()).sum::<usize>();
        found.push(conflict);
    }
    (found, true)
}

/// How a conflict is to end: one of its writes is kept, or another value is written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolution {
    #[schema(min_length = 1)]
    path: String,
    #[schema(value_type = crate::describe::RegisterName)]
    kind: String,
    /// The id of the write whose value stays.
    #[serde(default)]
    keep: Option<String>,
    /// The value that takes the place of all, instead of `keep`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = serde_json::Value, required = false)]
    value: Option<Box<RawValue>>,
    /// The ids of the writes that were looked at. When others are live by now, nothing is done.
    #[serde(default)]
    seen: Option<Vec<String>>,
}

/// A field that may be missing. To be `null` is something else.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// Ends a conflict by an ordinary write, which takes the place of every write that this region has seen.
#[utoipa::path(
    post,
    path = "/v1/conflicts/resolve",
    params(Durable, Frontier),
    request_body = Resolution,
    responses(
        (status = 200, description = "It is written", body = Changed),
        (status = 202, description = "It is written, and was not durable in time", body = Changed),
        (status = 400, description = "Not a resolution", body = ProblemShown, content_type = "application/problem+json"),
        (status = 409, description = "Other writes are live by now, or it is no conflict any more", body = ProblemShown, content_type = "application/problem+json"),
        (status = 413, description = "Too much", body = ProblemShown, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "Nothing can be changed now", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn resolve(
    _: Covered,
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let durable = Parameters::read(&uri, &["durable"])?.flag("durable")?;
    let resolution: Resolution = app.bodies.object("a resolution", body, &headers).await?;
    check_path(&resolution.path).map_err(|invalid| Problem::invalid(invalid.to_string()))?;
    let kind = match resolution.kind.parse::<Kind>() {
        Ok(kind @ (Kind::LwwRegister | Kind::MvRegister)) => kind,
        _ => return Err(Problem::invalid("kind is lww_register or mv_register")),
    };
    let replica = app.replica.clone();
    let path = resolution.path.clone();
    // It looks at what is below the path too, if nothing is at it.
    let live = aside(move || {
        let at_path = replica.conflicts(&path).take_while(|conflict| conflict.key.path() == path);
        at_path.into_iter().find(|conflict| conflict.key.kind() == kind)
    });
    let live = live.await?.ok_or_else(|| changed("there is no conflict at this path any more"))?;
    let chosen = chosen(&resolution, &live)?;
    // Whoever has not said what was looked at has looked here and now.
    let looked_at: Vec<Dot> = live.writes.iter().map(|write| write.dot).collect();
    let written = app.replica.batch(|batch| {
        let path = &resolution.path;
        let kept = if let Chosen::Kept(value) = &chosen { Some(&**value) } else { None };
        match kind {
            Kind::MvRegister => {
                let mut register = batch.mv_register::<[u8]>(path);
                register.expect(&looked_at);
                if let Some(value) = kept {
                    register.set(value);
                }
            }
            _ => {
                let mut register = batch.lww_register::<[u8]>(path);
                register.expect(&looked_at);
                if let Some(value) = kept {
                    register.set(value);
                }
            }
        }
        if let Chosen::Merged(operation, texts) = &chosen {
            operation.put(texts, batch);
        }
        Ok(())
    });
    let written = written.map_err(|error| match error.kind() {
        ErrorKind::Changed => changed("other writes are live by now"),
        _ => error.into(),
    })?;
    answer(&app, written, 1, durable, false).await
}

/// What a resolution writes.
enum Chosen {
    Kept(Bytes),
    Merged(Operation, Texts),
}

fn chosen(resolution: &Resolution, live: &Conflict) -> Result<Chosen, Problem> {
    let Resolution { path, kind, keep, value, seen } = resolution;
    if let Some(seen) = seen {
        let ids: BTreeSet<String> = live.writes.iter().map(id_of).collect();
        if ids != seen.iter().cloned().collect() {
            return Err(changed("other writes are live by now"));
        }
    }
    match (keep, value) {
        (Some(keep), None) => {
            let kept = live.writes.iter().find(|write| id_of(write) == *keep);
            kept.map(|write| Chosen::Kept(write.value.clone())).ok_or_else(|| changed("this write is not live"))
        }
        (None, Some(value)) => {
            // It is what this operation would be, and what is wrong with one is wrong with the other.
            let path = serde_json::Value::from(path.as_str());
            let line = format!("{{\"op\":\"set\",\"kind\":\"{kind}\",\"path\":{path},\"value\":{value}}}");
            let mut texts = Texts::default();
            let operation = Operation::parse(line.as_bytes(), &mut texts);
            let operation = operation.map_err(|wrong| Problem::invalid(format!("value: {}", wrong.says)))?;
            Ok(Chosen::Merged(operation, texts))
        }
        _ => Err(Problem::invalid("a resolution has either keep or value")),
    }
}

fn changed(detail: &str) -> Problem {
    let advice = "Look at the conflict again with /v1/conflicts. Nothing was changed.";
    Problem::new(StatusCode::CONFLICT, "conflict_changed", detail, advice)
}
