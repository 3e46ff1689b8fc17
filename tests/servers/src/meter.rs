//! What requests there were, and what they weighed: what costs money.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use hyper::StatusCode;

/// Counts the requests of one server.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<String, Count>>);

/// The requests of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub requests: u64,
    /// Those answered with 4xx.
    pub refused: u64,
    /// Those answered with 5xx.
    pub failed: u64,
    /// Those whose connection was cut instead of an answer.
    pub cut: u64,
    /// Bytes of their bodies, as they came over the wire.
    pub bytes_in: u64,
    /// Bytes of the bodies of the answers, before any fault.
    pub bytes_out: u64,
}

impl Meter {
    /// The counts by operation, such as `PutObject` or `ReceiveMessage`.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The count of one operation.
    #[must_use]
    pub fn of(&self, operation: &str) -> Count {
        self.counts().get(operation).copied().unwrap_or_default()
    }

    /// Starts again from nothing.
    pub fn reset(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn count(&self, operation: &str, bytes_in: usize, answer: Option<(StatusCode, usize)>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(operation.to_owned()).or_default();
        count.requests += 1;
        count.bytes_in += bytes_in as u64;
        match answer {
            Some((status, bytes_out)) => {
                count.refused += u64::from(status.is_client_error());
                count.failed += u64::from(status.is_server_error());
                count.bytes_out += bytes_out as u64;
            }
            None => count.cut += 1,
        }
    }
}
