//! What is counted of requests.
//! Layer 1.

use core::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use axum::http::StatusCode;

use crate::routes::Route;

/// The upper ends of the buckets of the histogram, in microseconds.
pub(crate) const BUCKETS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];

/// The first digits of a status.
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

const ROUTES: usize = Route::ALL.len();

/// Counts that only grow, and gauges.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    routes: [OfRoute; ROUTES],
    connections: AtomicI64,
    refused_connections: AtomicU64,
    watchers: AtomicI64,
    lagged: AtomicU64,
    limited: AtomicU64,
}

/// What is counted of one place.
#[derive(Debug, Default)]
pub(crate) struct OfRoute {
    by_class: [AtomicU64; CLASSES.len()],
    /// By the first end that is not below; the last is what is beyond all of them.
    by_time: [AtomicU64; BUCKETS_US.len() + 1],
    micros: AtomicU64,
}

impl Meter {
    /// Counts a request that has been answered; of a watch, that has begun.
    pub(crate) fn answered(&self, route: Route, status: StatusCode, took: Duration) {
        let of = &self.routes[route as usize];
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        of.by_class[class].fetch_add(1, Ordering::Relaxed);
        let micros = took.as_micros() as u64;
        of.by_time[BUCKETS_US.partition_point(|end| *end < micros)].fetch_add(1, Ordering::Relaxed);
        of.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn watchers(&self, change: i64) {
        self.watchers.fetch_add(change, Ordering::Relaxed);
    }

    pub(crate) fn lagged(&self) {
        self.lagged.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn limited(&self) {
        self.limited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn watches(&self) -> i64 {
        self.watchers.load(Ordering::Relaxed)
    }

    pub(crate) fn of(&self, route: Route) -> &OfRoute {
        &self.routes[route as usize]
    }

    /// Connections now, those refused so far, watches now, those that lagged so far, requests refused by the rate.
    pub(crate) fn read(&self) -> (i64, u64, i64, u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (
            self.connections.load(Ordering::Relaxed),
            count(&self.refused_connections),
            self.watches(),
            count(&self.lagged),
            count(&self.limited),
        )
    }
}

impl OfRoute {
    /// How many answers of each class, how many took how long at most, and all of their microseconds.
    pub(crate) fn read(&self) -> ([u64; CLASSES.len()], [u64; BUCKETS_US.len() + 1], u64) {
        let counts = |counts: &AtomicU64| counts.load(Ordering::Relaxed);
        (self.by_class.each_ref().map(counts), self.by_time.each_ref().map(counts), counts(&self.micros))
    }
}
