//! The body of a request: all of it, within limits, or the one object that it is.
//! Layer 1.

use core::{ops::Deref, time::Duration};
use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{decode::Form, options::Limits, problem::Problem};

/// In what room is counted: so many bytes.
const UNIT: usize = 1 << 10;

/// Takes the bodies of requests, each and all together within limits.
#[derive(Debug)]
pub(crate) struct Bodies {
    /// What all have together. One takes of it what has come, and not what it says will come: who sends slowly keeps nobody else
    /// from it.
    room: Arc<Semaphore>,
    bytes: usize,
    time: Duration,
}

/// A whole body. It takes room until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    bytes: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(crate) fn new(limits: &Limits) -> Self {
        let room = Arc::new(Semaphore::new((limits.bodies_bytes / UNIT).min(Semaphore::MAX_PERMITS)));
        Self { room, bytes: limits.body_bytes, time: limits.request }
    }

    /// All of a body, if it is not too long, and if there is room for it.
    pub(crate) async fn whole(&self, body: Body, headers: &HeaderMap) -> Result<Whole, Problem> {
        let limit = self.bytes;
        let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if said.is_some_and(|said| said > limit as u64) {
            return Err(Problem::too_long(limit));
        }
        let collected = timeout(self.time, self.collect(body, limit)).await;
        collected.unwrap_or_else(|_| {
            let advice = "Send the body faster, or less of it. Nothing was changed.";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "late_body", "the body has not come in time", advice))
        })
    }

    async fn collect(&self, mut body: Body, limit: usize) -> Result<Whole, Problem> {
        let (mut whole, mut joined) = (Whole::default(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let Ok(come) = frame.map_err(|_| Problem::invalid("the body has broken off"))?.into_data() else {
                continue;
            };
            let length = whole.bytes.len() + joined.len() + come.len();
            if length > limit {
                return Err(Problem::too_long(limit));
            }
            self.take(&mut whole.room, length)?;
            // Most bodies come at once, and are not copied.
            if whole.bytes.is_empty() && joined.is_empty() {
                whole.bytes = come;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut whole.bytes));
                joined.extend_from_slice(&come);
            }
        }
        if !joined.is_empty() {
            whole.bytes = joined.freeze();
        }
        Ok(whole)
    }

    /// Has `held` be enough for so many bytes.
    fn take(&self, held: &mut Option<OwnedSemaphorePermit>, length: usize) -> Result<(), Problem> {
        let more = length.div_ceil(UNIT) - held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(more) = self.room.clone().try_acquire_many_owned(more) else {
            let advice = "Try again, with less at a time or fewer requests at once. Nothing was changed.";
            let problem =
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_busy", "too many bodies are under way", advice);
            return Err(problem.later(1));
        };
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }

    /// The JSON object that a body is; `what` names it, as in "an eviction".
    pub(crate) async fn object<T: DeserializeOwned>(
        &self,
        what: &str,
        body: Body,
        headers: &HeaderMap,
    ) -> Result<T, Problem> {
        if Form::of(headers)? != Form::Json {
            return Err(Problem::invalid(format!("{what} is one JSON object")));
        }
        let body = self.whole(body, headers).await?;
        serde_json::from_slice(&body).map_err(|error| Problem::invalid(format!("not {what}: {error}")))
    }
}

impl Deref for Whole {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
