//! Which function answers what.
//! Layer 4.

use std::sync::Arc;

use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};

use crate::{
    app::App, conflicts, describe, evict, live, metrics, objects, ops, page, problem::Problem, read, routes::OBJECTS,
    status,
};

pub(crate) fn router(app: Arc<App>) -> Router {
    let object = get(objects::get).delete(objects::delete);
    Router::new()
        .route(OBJECTS, object.clone())
        .route("/v1/objects/{*path}", object)
        .route("/v1/ops", post(ops::post))
        .route("/v1/scan", get(read::scan))
        .route("/v1/top", get(read::top))
        .route("/v1/rank", get(read::rank))
        .route("/v1/watch", get(live::watch))
        .route("/v1/conflicts", get(conflicts::list))
        .route("/v1/conflicts/resolve", post(conflicts::resolve))
        .route("/v1/status", get(status::status))
        .route("/v1/evict", post(evict::evict))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(status::health))
        .route("/readyz", get(status::ready))
        .route("/openapi.json", get(describe::description))
        .route("/", get(page::page))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/icon.svg", get(page::icon))
        .fallback(async || {
            let advice = "Look at /openapi.json for what there is.";
            Problem::new(StatusCode::NOT_FOUND, "no_such_request", "nothing is asked for like that", advice)
        })
        .method_not_allowed_fallback(async || {
            let advice = "Look at /openapi.json for what there is, and at the header Allow.";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", "this is not done there", advice)
        })
        .with_state(app)
}
