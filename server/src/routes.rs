//! What can be asked for: each place with the scope that it takes, and its name in the metrics.
//! Layer 1.

use axum::http::Method;

use crate::access::Scope;

/// A place that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Object,
    Operations,
    Scan,
    Top,
    Rank,
    Watch,
    Conflicts,
    Resolve,
    Status,
    Evict,
    Metrics,
    Health,
    Ready,
    Description,
    Page,
    Other,
}

/// Where the paths of objects begin.
pub(crate) const OBJECTS: &str = "/v1/objects/";

impl Route {
    pub(crate) const ALL: [Self; 16] = [
        Self::Object,
        Self::Operations,
        Self::Scan,
        Self::Top,
        Self::Rank,
        Self::Watch,
        Self::Conflicts,
        Self::Resolve,
        Self::Status,
        Self::Evict,
        Self::Metrics,
        Self::Health,
        Self::Ready,
        Self::Description,
        Self::Page,
        Self::Other,
    ];

    /// The place of this path.
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with(OBJECTS) {
            return Self::Object;
        }
        match path {
            "/v1/ops" => Self::Operations,
            "/v1/scan" => Self::Scan,
            "/v1/top" => Self::Top,
            "/v1/rank" => Self::Rank,
            "/v1/watch" => Self::Watch,
            "/v1/conflicts" => Self::Conflicts,
            "/v1/conflicts/resolve" => Self::Resolve,
            "/v1/status" => Self::Status,
            "/v1/evict" => Self::Evict,
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/openapi.json" => Self::Description,
            "/" | "/page.css" | "/page.js" | "/icon.svg" => Self::Page,
            _ => Self::Other,
        }
    }

    /// What it is called in the metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Object => "/v1/objects/{path}",
            Self::Operations => "/v1/ops",
            Self::Scan => "/v1/scan",
            Self::Top => "/v1/top",
            Self::Rank => "/v1/rank",
            Self::Watch => "/v1/watch",
            Self::Conflicts => "/v1/conflicts",
            Self::Resolve => "/v1/conflicts/resolve",
            Self::Status => "/v1/status",
            Self::Evict => "/v1/evict",
            Self::Metrics => "/metrics",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Description => "/openapi.json",
            Self::Page => "/",
            Self::Other => "other",
        }
    }

    /// What it takes to ask for it. The page has no data in it, and whoever looks after processes has no token.
    pub(crate) fn scope(self, method: &Method) -> Option<Scope> {
        match self {
            Self::Health | Self::Ready | Self::Description | Self::Page => None,
            Self::Evict => Some(Scope::Admin),
            _ if matches!(*method, Method::GET | Method::HEAD) => Some(Scope::Read),
            _ => Some(Scope::Write),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_by_its_name_and_stands_where_it_is_counted() {
        for (number, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(Route::of(route.name()), route);
            assert_eq!(route as usize, number);
        }
    }

    #[test]
    fn what_changes_takes_more_than_what_reads() {
        for route in Route::ALL {
            let (get, post) = (route.scope(&Method::GET), route.scope(&Method::POST));
            assert!(post >= get && (post >= Some(Scope::Write) || post.is_none()), "{route:?}");
            assert_eq!(route.scope(&Method::DELETE), post);
        }
        assert_eq!(Route::Evict.scope(&Method::POST), Some(Scope::Admin));
    }
}
