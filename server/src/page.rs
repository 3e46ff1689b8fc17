//! The page: what is embedded of it, and what a browser may do with it.
//! Layer 3.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use crate::{answer::typed, app::App};

/// The page itself, at `/`.
pub(crate) async fn page(State(app): State<Arc<App>>) -> Response {
    let mut response = typed(StatusCode::OK, "text/html; charset=utf-8", include_str!("../page/page.html"));
    // Nothing is loaded from elsewhere, no other page frames it, and it calls this server and its siblings alone.
    let siblings: String = app.options.siblings.iter().map(|sibling| format!(" {}", sibling.origin)).collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{siblings}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

pub(crate) async fn style() -> Response {
    typed(StatusCode::OK, "text/css; charset=utf-8", include_str!("../page/page.css"))
}

pub(crate) async fn script() -> Response {
    typed(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("../page/page.js"))
}

pub(crate) async fn icon() -> Response {
    typed(StatusCode::OK, "image/svg+xml", include_str!("../page/icon.svg"))
}
