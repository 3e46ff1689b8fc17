//! What every request passes: whose browser sent it, how many there were, who asks and may, how long it takes.
//! Layer 4.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::{
    access::{Access, Caller},
    app::App,
    problem::{Problem, Told},
    routes::Route,
};

/// What a page of another origin may send and read, if it may at all.
const CORS_METHODS: &str = "GET, POST, DELETE";
const CORS_HEADERS: &str = "authorization, content-type, idempotency-key, last-event-id, x-archipelago-frontier";
const CORS_EXPOSED: &str = "retry-after";

/// The longest address: a prefix, a path and where a page begins, percent-encoded, and some.
const TARGET_BYTES: usize = 12 << 10;

/// Answers a request.
pub(crate) async fn handle(app: &Arc<App>, mut router: Router, from: IpAddr, mut request: Request<Body>) -> Response {
    let began = Instant::now();
    let (route, method) = (Route::of(request.uri().path()), request.method().clone());
    let origin = allowed_origin(app, request.headers());
    let mut response = match admit(app, route, from, &request, origin.is_some()) {
        Err(problem) => problem.into_response(),
        Ok(Admitted::Asked) => preflight(),
        Ok(Admitted::By(caller)) => {
            request.extensions_mut().insert(caller);
            let limits = &app.options.limits;
            let patience = limits.request + limits.durable + limits.frontier;
            match timeout(patience, router.call(request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => late(&method).into_response(),
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(CORS_EXPOSED));
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    let took = began.elapsed();
    app.meter.answered(route, response.status(), took);
    let status = response.status().as_u16();
    // Nothing that a client sends is in the log: neither paths nor values nor tokens.
    let kind = response.extensions().get::<Told>().map_or("", |told| told.0);
    tracing::debug!(route = route.name(), %method, status, kind, micros = took.as_micros() as u64, "answered");
    response
}

/// A request that may go on.
enum Admitted {
    /// A browser asks whether a page of another origin may send it.
    Asked,
    By(Caller),
}

fn admit(
    app: &App,
    route: Route,
    from: IpAddr,
    request: &Request<Body>,
    has_allowed_origin: bool,
) -> Result<Admitted, Problem> {
    let (method, headers) = (request.method(), request.headers());
    head_fits(request.uri(), headers, app.options.limits.head_bytes)?;
    let host = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = host.or_else(|| headers.get(header::HOST).map(HeaderValue::as_bytes)).unwrap_or_default();
    // A page can make a browser take any name for an address of this machine. It cannot make it hide the name.
    if app.only_loopback && matches!(app.options.access, Access::Open) && !is_loopback(host) {
        let advice = "Ask for localhost or 127.0.0.1; a server that has other names needs a token file.";
        let detail = "this server is not called so";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", detail, advice));
    }
    if let Some(rate) = &app.rate
        && let Err(wait) = rate.take(from, Instant::now())
    {
        app.meter.limited();
        let advice = "Send fewer requests, or more operations in each.";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "too many requests", advice);
        return Err(problem.later(wait.as_secs_f64().ceil() as u32));
    }
    let origin = headers.get(header::ORIGIN);
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let is_asked = *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if let Some(origin) = origin
        && !has_allowed_origin
        && (!is_safe || is_asked)
        && !is_same(origin.as_bytes(), host)
    {
        let advice = "Call the server from its own page, or name the origin with --cors.";
        let detail = "pages of this origin may not do that";
        return Err(Problem::new(StatusCode::FORBIDDEN, "wrong_origin", detail, advice));
    }
    if is_asked && has_allowed_origin {
        return Ok(Admitted::Asked);
    }
    match route.scope(method) {
        Some(scope) => app.options.access.check(headers, scope).map(Admitted::By),
        None => Ok(Admitted::By(Caller(String::new()))),
    }
}

/// Refuses a head that is too long. The library refuses what is twice as long, and tells nothing but the status.
fn head_fits(uri: &Uri, headers: &HeaderMap, limit: usize) -> Result<(), Problem> {
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > TARGET_BYTES {
        let advice = "Shorten the address; a path has at most 1,024 bytes.";
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "too_long", "the address is too long", advice));
    }
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    if target + lines.sum::<usize>() > limit {
        let (status, advice) = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Send fewer headers, or shorter ones.");
        return Err(Problem::new(status, "too_long", format!("the head is longer than {limit} bytes"), advice));
    }
    Ok(())
}

/// The origin of a request, if pages of it may call this server.
fn allowed_origin(app: &App, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let said = origin.as_bytes();
    let mut siblings = app.options.siblings.iter().map(|sibling| &sibling.origin);
    let mut allowed = app.options.origins.iter();
    let is_allowed = allowed.any(|allowed| allowed.as_bytes() == said) || siblings.any(|own| own.as_bytes() == said);
    is_allowed.then(|| origin.clone())
}

/// True when an origin is the server of this host itself.
fn is_same(origin: &[u8], host: &[u8]) -> bool {
    let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    !host.is_empty() && authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn is_loopback(host: &[u8]) -> bool {
    let host = match host {
        [b'[', ..] => host.split(|byte| *byte == b']').next().map(|host| &host[1..]),
        host => host.split(|byte| *byte == b':').next(),
    };
    let host = host.and_then(|host| str::from_utf8(host).ok()).unwrap_or_default();
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let allow: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    for (name, value) in allow {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn late(method: &Method) -> Problem {
    let advice = "Try again, with less at once. What changes something may have been done all the same.";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "late", "it has taken too long", advice).later(5);
    if matches!(*method, Method::GET | Method::HEAD) { problem } else { problem.open() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_its_names() {
        for host in ["localhost", "LOCALHOST:7070", "127.0.0.1:7070", "127.1.2.3", "[::1]:7070", "[::1]"] {
            assert!(is_loopback(host.as_bytes()), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "[::2]", "::1"]
        {
            assert!(!is_loopback(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_page_has_the_origin_of_its_host() {
        assert!(is_same(b"http://127.0.0.1:7070", b"127.0.0.1:7070"));
        assert!(is_same(b"https://Eu.example", b"eu.example"));
        for (origin, host) in
            [("null", "a"), ("http://a", "b"), ("http://a:1", "a"), ("", ""), ("http://", ""), ("ftp://a", "a")]
        {
            assert!(!is_same(origin.as_bytes(), host.as_bytes()), "{origin} {host}");
        }
    }
}
