//! A service of a user's own: its requests, its types, and what must hold of them.
//! Layer 1.

use std::fmt;

use replica::{Error, Position, Replica};
use serde::{Serialize, de::DeserializeOwned};

use crate::random::Random;

/// A service that embeds a replica in every region, to be put under a [`Simulation`](crate::Simulation).
///
/// It is called between two polls of the replicas, so a request is served at one instant of simulated time. What it keeps
/// outside its replica does not crash with the region: keep nothing.
pub trait Service {
    /// What a client asks. It is data, so that a story can be written to a file, replayed and made smaller.
    type Request: Serialize + DeserializeOwned + fmt::Debug;

    /// Draws what a client asks next. All that varies must come from `random`, or a seed is not one story.
    fn request(&self, random: &mut Random) -> Self::Request;

    /// Serves a request in a region, and answers with the position of what it wrote: [`Written::position`](replica::Written::position).
    /// Write all of a request in one [`batch`](Replica::batch) or one call: what takes several can be cut in two by a crash.
    ///
    /// # Errors
    ///
    /// Those of the replica: one that was overtaken refuses, for instance. Then the request was not served, and nothing is
    /// wrong.
    fn serve(&self, replica: &Replica, request: &Self::Request) -> Result<Position, Error>;

    /// What must hold in each region at any time. A region may have seen any part of what was served.
    ///
    /// # Errors
    ///
    /// What is there instead.
    fn always(&self, replica: &Replica, served: &Served<Self::Request>) -> Result<(), String> {
        let _ = (replica, served);
        Ok(())
    }

    /// What must hold in each region at the end, when all have seen everything.
    ///
    /// # Errors
    ///
    /// What is there instead.
    fn finally(&self, replica: &Replica, served: &Served<Self::Request>) -> Result<(), String> {
        let _ = (replica, served);
        Ok(())
    }
}

/// The requests that were served so far, in any region, in the order of simulated time.
#[derive(Clone, Debug)]
pub struct Served<R>(Vec<(R, bool)>);

impl<R> Served<R> {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &R> {
        self.0.iter().map(|(request, _)| request)
    }

    /// Those whose effects got into a bucket: they survive. The others are lost if their region has crashed, and otherwise on
    /// their way.
    pub fn durable(&self) -> impl Iterator<Item = &R> {
        self.0.iter().filter(|(_, durable)| *durable).map(|(request, _)| request)
    }
}

/// Looks for three of these values on which `merge` is no merge: it must give the same whatever the order (commutative,
/// associative), and nothing new when it is repeated (idempotent). Only then do regions agree that merge the same values in
/// other orders and numbers (Shapiro and others, *Conflict-free Replicated Data Types*, 2011, definition 7).
///
/// # Errors
///
/// The law that does not hold, and the values.
///
/// # Cost
///
/// The cube of the number of values.
///
/// # Examples
///
/// ```
/// use sim::merge_laws;
///
/// assert!(merge_laws(&[1, 5, 7], |a, b| *a.max(b)).is_ok());
/// assert!(merge_laws(&[1, 5, 7], |a, b| a + b).unwrap_err().starts_with("not idempotent"));
/// ```
pub fn merge_laws<T: PartialEq + fmt::Debug>(values: &[T], merge: impl Fn(&T, &T) -> T) -> Result<(), String> {
    for a in values {
        let twice = merge(a, a);
        if twice != *a {
            return Err(format!("not idempotent: {a:?} merged with itself is {twice:?}"));
        }
        for b in values {
            let (ab, ba) = (merge(a, b), merge(b, a));
            if ab != ba {
                return Err(format!("not commutative: {a:?} and {b:?} give {ab:?} or {ba:?}"));
            }
            for c in values {
                let (left, right) = (merge(&ab, c), merge(a, &merge(b, c)));
                if left != right {
                    return Err(format!("not associative: {a:?}, {b:?} and {c:?} give {left:?} or {right:?}"));
                }
            }
        }
    }
    Ok(())
}

/// A service as a run sees it: requests are text.
pub(crate) trait Desk {
    /// The number of the request, and the position of what it wrote; nothing if the replica refused.
    fn serve(&mut self, replica: &Replica, request: &str) -> Result<Option<(usize, Position)>, String>;
    fn survives(&mut self, request: usize);
    fn always(&self, replica: &Replica) -> Result<(), String>;
    fn finally(&self, replica: &Replica) -> Result<(), String>;
}

/// A service, and what it has served in one run.
pub(crate) struct Serving<'a, S: Service> {
    service: &'a S,
    served: Served<S::Request>,
}

impl<'a, S: Service> Serving<'a, S> {
    pub(crate) const fn new(service: &'a S) -> Self {
        Self { service, served: Served(Vec::new()) }
    }
}

impl<S: Service> Desk for Serving<'_, S> {
    fn serve(&mut self, replica: &Replica, request: &str) -> Result<Option<(usize, Position)>, String> {
        let request = serde_json::from_str(request).map_err(|error| format!("{error}: {request}"))?;
        let Ok(position) = self.service.serve(replica, &request) else { return Ok(None) };
        self.served.0.push((request, false));
        Ok(Some((self.served.0.len() - 1, position)))
    }

    fn survives(&mut self, request: usize) {
        self.served.0[request].1 = true;
    }

    fn always(&self, replica: &Replica) -> Result<(), String> {
        self.service.always(replica, &self.served)
    }

    fn finally(&self, replica: &Replica) -> Result<(), String> {
        self.service.finally(replica, &self.served)
    }
}

/// Nobody's service: the stories of the engine itself have no requests.
pub(crate) struct Nobody;

impl Desk for Nobody {
    fn serve(&mut self, _: &Replica, request: &str) -> Result<Option<(usize, Position)>, String> {
        Err(format!("there is no service that it could be asked of: {request}"))
    }

    fn survives(&mut self, _: usize) {}

    fn always(&self, _: &Replica) -> Result<(), String> {
        Ok(())
    }

    fn finally(&self, _: &Replica) -> Result<(), String> {
        Ok(())
    }
}
