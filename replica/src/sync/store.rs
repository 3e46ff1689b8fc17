//! Requests to a bucket: counted, and repeated by the one retry policy.
//! Layer 4.

use core::time::Duration;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use crdt_core::planted::{Mutant, Point, is_planted, reached};

use super::{
    alarm::Alarms,
    asked::{Asked, Resolution},
};
use crate::{
    error::{Error, ErrorKind},
    log::DecodeError,
    ports::{Bucket, BucketError, Clock, Created, Entropy, Outcome, Page, Request},
};

/// The world around a replica, but for its buckets.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl World {
    pub(crate) fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn nonce(&self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.entropy.fill(&mut nonce);
        nonce
    }
}

/// A bucket as the engine uses it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    bucket: Arc<dyn Bucket>,
    region: Arc<str>,
    world: World,
    asked: Arc<Asked>,
    alarms: Arc<Alarms>,
}

/// How long a request is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Until it has an answer, however long that takes: what the log owes must not be dropped.
    Endless,
    /// For about so long, then it fails.
    For(Duration),
}

/// The shortest and the longest wait before a request is repeated; each time it doubles, less a random part.
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(10);

impl Store {
    pub(crate) fn new(bucket: Arc<dyn Bucket>, region: &str, world: World, alarms: Arc<Alarms>) -> Self {
        Self { bucket, region: region.into(), world, asked: Arc::default(), alarms }
    }

    pub(crate) const fn region(&self) -> &Arc<str> {
        &self.region
    }

    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Creates the object. [`Created::Exists`] may mean an earlier attempt of this very call: read it back.
    pub(crate) async fn create(&self, key: &str, body: &Bytes, patience: Patience) -> Result<Created, Error> {
        let is_open = AtomicBool::new(false);
        let created = self.repeat(Request::Create, key, patience, || {
            self.asked.sent(body.len());
            let create = self.bucket.create(key, body.clone());
            let is_open = &is_open;
            async move {
                let created = create.await;
                if created.as_ref().is_err_and(|error| error.outcome == Outcome::Indeterminate) {
                    is_open.store(true, Ordering::Relaxed);
                }
                created
            }
        });
        let created = created.await;
        if is_open.into_inner() {
            self.asked.resolve(match created {
                Ok(Created::New) => Resolution::Created,
                Ok(Created::Exists) => Resolution::Exists,
                Err(_) => Resolution::GivenUp,
            });
        }
        created
    }

    pub(crate) async fn get(&self, key: &str, patience: Patience) -> Result<Option<Bytes>, Error> {
        let body = self.repeat(Request::Get, key, patience, || self.bucket.get(key)).await?;
        self.asked.received(body.as_ref().map_or(0, Bytes::len));
        Ok(body)
    }

    /// The object as `decode` understands it, and its size. What is not understood is read once more: it may be whole in the
    /// bucket, and was damaged on its way.
    pub(crate) async fn read<T>(
        &self,
        key: &str,
        patience: Patience,
        decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
    ) -> Result<Option<(T, u64)>, Error> {
        let mut before = None;
        loop {
            let Some(body) = self.get(key, patience).await? else { return Ok(None) };
            match decode(&body) {
                Ok(object) => {
                    if before.is_some() {
                        reached(Point::DamagedOnItsWay);
                    }
                    return Ok(Some((object, body.len() as u64)));
                }
                Err(error) if before.replace(body.clone()).is_some_and(|before| before == body) => {
                    return Err(Error::decoding(key, error));
                }
                Err(_) => self.asked.repeat(),
            }
        }
    }

    /// Every key that begins with `prefix` and comes after `after`.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        patience: Patience,
    ) -> Result<Vec<String>, Error> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let last = keys.last().cloned();
            let after = last.as_deref().or(after);
            let Page { objects, more } = self
                .repeat(Request::List, prefix, patience, || {
                    self.bucket.list(prefix, after, if is_planted(Mutant::FirstPageOnly) { 2 } else { 1_000 })
                })
                .await?;
            keys.extend(objects.into_iter().map(|object| object.key));
            if !more || is_planted(Mutant::FirstPageOnly) {
                return Ok(keys);
            }
        }
    }

    pub(crate) async fn folders(&self, prefix: &str, patience: Patience) -> Result<Vec<String>, Error> {
        self.repeat(Request::List, prefix, patience, || self.bucket.folders(prefix)).await
    }

    /// Deletes the object. To delete what is not there is done too.
    pub(crate) async fn delete(&self, key: &str, patience: Patience) -> Result<(), Error> {
        self.repeat(Request::Delete, key, patience, || self.bucket.delete(key)).await
    }

    /// The one retry policy. Every request of the engine may be repeated: creates are create-only and carry the same
    /// bytes, and everything else changes nothing or is a delete.
    ///
    /// One that is repeated for ever raises an alarm once it is refused, or has not been answered for [`WAIT_MAX`].
    async fn repeat<T, F>(
        &self,
        what: Request,
        key: &str,
        patience: Patience,
        mut request: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BucketError>>,
    {
        let began = self.world.clock.elapsed();
        let name = what.name();
        let mut wait = WAIT_MIN;
        let mut trouble = None;
        loop {
            let asked = self.world.clock.elapsed();
            self.asked.begin(what);
            let answer = request().await;
            let failed = answer.as_ref().err().map(|error| error.outcome);
            self.asked.end(what, failed, self.world.clock.elapsed().saturating_sub(asked));
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let waited = self.world.clock.elapsed().saturating_sub(began);
            let refused = error.outcome == Outcome::Refused;
            let slow = refused || error.outcome == Outcome::Throttled;
            let gives_up = match patience {
                Patience::For(limit) => refused || waited + wait > limit,
                Patience::Endless => false,
            };
            if gives_up {
                return Err(self.failure(name, key, error));
            }
            if refused || waited >= WAIT_MAX {
                let trouble = trouble.get_or_insert_with(|| Trouble { store: self, place: format!("{name} {key}") });
                self.alarms.raise(&trouble.place, &self.failure(name, key, error));
            } else {
                let (replica, region, outcome) = (self.alarms.replica(), &*self.region, error.outcome.name());
                tracing::debug!(%replica, region, what = name, key, outcome, "a request is repeated: {error}");
            }
            if slow {
                wait = wait.max(WAIT_MAX / 8);
            }
            self.asked.repeat();
            // Somewhere between half of it and all: replicas that failed together do not come back together.
            let jitter = self.world.random() % (wait.as_millis() as u64 / 2 + 1);
            self.world.clock.sleep(wait / 2 + Duration::from_millis(jitter)).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    fn failure(&self, what: &str, key: &str, error: BucketError) -> Error {
        let says = match error.outcome {
            Outcome::Refused => "the bucket refuses; mend what it says",
            Outcome::Throttled => "the bucket is asked too often; it will be asked again",
            _ => "the bucket is out of reach, or fails; it will be asked again",
        };
        Error::new(ErrorKind::Store, format!("{says}: region={} request={what} key={key}", self.region))
            .caused_by(error)
    }
}

/// A request that is repeated and repeated: its alarm ends with it.
struct Trouble<'a> {
    store: &'a Store,
    place: String,
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        self.store.alarms.clear(&self.place);
    }
}
