//! Reading many objects: pages, leaderboards.
//! Layer 3.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use replica::{Kind, Ranked, key::ObjectKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::{Covered, json},
    app::App,
    describe::{Frontier, Paging, Prefix},
    problem::{Problem, Shown as ProblemShown},
    text::Parameters,
    value::{Object, weight},
};

/// The most objects in a page, or counters in an answer.
pub(crate) const PAGE_MAX: usize = 1_000;

/// A page ends behind the object with which it has so many bytes.
pub(crate) const PAGE_BYTES: usize = 4 << 20;

/// A page of objects.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page {
    objects: Vec<Object>,
    /// What to give as `after`, and as `after_kind`, for the next page; `null` when this is the last.
    next: Option<Next>,
    /// What this answer has seen.
    #[schema(pattern = "^[0-9a-f]+$")]
    token: String,
}

/// Behind which object the next page begins.
#[derive(Serialize, ToSchema)]
pub(crate) struct Next {
    after: String,
    after_kind: &'static str,
}

impl Next {
    pub(crate) fn behind(key: &ObjectKey) -> Self {
        Self { after: key.path().to_owned(), after_kind: key.kind().name() }
    }
}

/// Lists the objects below a prefix, in the order of their paths.
#[utoipa::path(
    get,
    path = "/v1/scan",
    params(Prefix, Paging, Frontier),
    responses(
        (status = 200, description = "A page", body = Page),
        (status = 400, description = "No such parameter", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "The token is not covered yet", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn scan(_: Covered, State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let parameters = Parameters::read(&uri, &["prefix", "after", "after_kind", "limit"])?;
    let limit = parameters.number("limit", 100, 1..=PAGE_MAX)?;
    let mut scan = app.replica.scan(parameters.prefix()?);
    if let Some(after) = after(&parameters)? {
        scan = scan.after(&after);
    }
    let (mut objects, mut bytes, mut last) = (Vec::new(), 0, None);
    let mut is_whole = true;
    for (key, value) in scan {
        if objects.len() == limit || bytes >= PAGE_BYTES {
            is_whole = false;
            break;
        }
        bytes += key.path().len() + weight(&value);
        objects.push(Object::new(&key, &value));
        last = Some(key);
    }
    let next = last.filter(|_| !is_whole).as_ref().map(Next::behind);
    json(StatusCode::OK, &Page { objects, next, token: app.replica.token().to_string() })
}

/// The key behind which a page begins.
pub(crate) fn after(parameters: &Parameters) -> Result<Option<ObjectKey>, Problem> {
    let kind = parameters.text("after_kind").map(str::parse::<Kind>).transpose();
    let kind = kind.map_err(|unknown| Problem::invalid(format!("after_kind: {unknown}")))?;
    if parameters.text("after").is_none() {
        return match kind {
            Some(_) => Err(Problem::invalid("after_kind is for where there is an after")),
            None => Ok(None),
        };
    }
    // Behind every kind at that path.
    let last = Kind::ALL.into_iter().max().unwrap_or(Kind::OrSet);
    let key = ObjectKey::new(parameters.path("after")?, kind.unwrap_or(last));
    key.map(Some).map_err(|invalid| Problem::invalid(format!("after: {invalid}")))
}

/// A counter on a leaderboard.
#[derive(Serialize, ToSchema)]
pub(crate) struct Standing {
    /// 1 is the first.
    #[schema(minimum = 1)]
    rank: usize,
    path: String,
    /// `g_counter` or `pn_counter`.
    kind: &'static str,
    #[schema(value_type = crate::describe::Whole)]
    value: i128,
}

impl From<Ranked> for Standing {
    fn from(ranked: Ranked) -> Self {
        let (path, kind) = (ranked.key.path().to_owned(), ranked.key.kind().name());
        Self { rank: ranked.rank, path, kind, value: ranked.value }
    }
}

/// The greatest counters.
#[derive(Serialize, ToSchema)]
pub(crate) struct Top {
    counters: Vec<Standing>,
    /// How many there are below the prefix.
    of: usize,
    /// The sum of all of them.
    #[schema(value_type = crate::describe::Whole)]
    sum: i128,
    /// What this answer has seen.
    #[schema(pattern = "^[0-9a-f]+$")]
    token: String,
}

/// Lists the greatest counters below a prefix.
#[utoipa::path(
    get,
    path = "/v1/top",
    params(
        Prefix,
        ("n" = Option<u32>, Query, description = "How many, 10 unless told", minimum = 1, maximum = 1_000),
        Frontier,
    ),
    responses(
        (status = 200, description = "The greatest, the first of them first", body = Top),
        (status = 400, description = "No such parameter", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "The token is not covered yet", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn top(_: Covered, State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let parameters = Parameters::read(&uri, &["prefix", "n"])?;
    let n = parameters.number("n", 10, 1..=PAGE_MAX)?;
    let board = app.boards.get(&app, parameters.prefix()?).await?;
    let counters = board.top(n).into_iter().map(Standing::from).collect();
    let token = app.replica.token().to_string();
    json(StatusCode::OK, &Top { counters, of: board.len(), sum: board.sum(), token })
}

/// Where a counter stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rank {
    #[serde(flatten)]
    standing: Standing,
    /// How many there are below the prefix.
    of: usize,
    /// What this answer has seen.
    #[schema(pattern = "^[0-9a-f]+$")]
    token: String,
}

/// Says where a counter stands among those below a prefix.
#[utoipa::path(
    get,
    path = "/v1/rank",
    params(
        Prefix,
        ("path" = String, Query, description = "The path of the counter, all of it", min_length = 1),
        Frontier,
    ),
    responses(
        (status = 200, description = "Where it stands", body = Rank),
        (status = 400, description = "No such parameter", body = ProblemShown, content_type = "application/problem+json"),
        (status = 404, description = "No such counter", body = ProblemShown, content_type = "application/problem+json"),
        (status = 503, description = "The token is not covered yet", body = ProblemShown, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn rank(_: Covered, State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let parameters = Parameters::read(&uri, &["prefix", "path"])?;
    let path = parameters.path("path")?;
    let board = app.boards.get(&app, parameters.prefix()?).await?;
    let ranked = board.rank(path).ok_or_else(|| Problem::missing("no counter below the prefix is at this path"))?;
    let token = app.replica.token().to_string();
    json(StatusCode::OK, &Rank { standing: ranked.into(), of: board.len(), token })
}
