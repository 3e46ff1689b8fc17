//! What a server is told: who may do what, and its limits.
//! Layer 1.

use core::time::Duration;

use crate::access::Access;

/// What a server is told.
#[derive(Debug)]
pub struct Options {
    /// What the region is called, on the page and in the metrics.
    pub region: String,
    /// Who may do what.
    pub access: Access,
    /// Pages of these origins, such as `https://ops.example.com`, may call this server from a browser. None unless told.
    pub origins: Vec<String>,
    /// The servers of other regions, whose columns the page shows beside its own.
    pub siblings: Vec<Sibling>,
    /// What is refused as too much.
    pub limits: Limits,
}

impl Options {
    /// The options of a server in this region: no siblings, no other origins, the limits of [`Limits::default`].
    #[must_use]
    pub fn new(region: &str, access: Access) -> Self {
        let (origins, siblings) = (Vec::new(), Vec::new());
        Self { region: region.to_owned(), access, origins, siblings, limits: Limits::default() }
    }
}

/// A server in another region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// What its region is called.
    pub region: String,
    /// Where its page is: an origin such as `https://eu.example.com:7070`, without a `/` at its end.
    pub origin: String,
}

/// What is refused as too much, or has taken too long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest body of a request, in bytes. 8 MiB, which is also the largest batch.
    pub body_bytes: usize,
    /// The most bytes of bodies, of all requests that are under way. 256 MiB.
    pub bodies_bytes: usize,
    /// The most operations in one request: each must fit into one batch. 10,000.
    pub operations: usize,
    /// The longest head of a request, in bytes. 32 KiB.
    pub head_bytes: usize,
    /// How many connections there are at once. 10,000.
    pub connections: usize,
    /// How many requests a second an address may make, twice as many at once. No limit unless told: behind a proxy, all of
    /// them come from one address.
    pub requests_per_second: Option<u32>,
    /// How long a client may take to send the head of a request, or to begin the next one. 30 s.
    pub head: Duration,
    /// How long a request may take, its body included; a watch is none of that. 30 s.
    pub request: Duration,
    /// How long a client may take none of what it is sent. 30 s.
    pub stall: Duration,
    /// How long `durable=true` is waited for. 10 s.
    pub durable: Duration,
    /// How long a read waits for its `X-Archipelago-Frontier`. 5 s.
    pub frontier: Duration,
    /// How long a watch lasts: then it is told `closing`, and goes on where it was when it comes back. For ever unless told; a
    /// balancer that has connections moved needs an end.
    pub watch: Option<Duration>,
    /// How often a watch with nothing to tell says that it is there. 15 s.
    pub heartbeat: Duration,
    /// How long requests under way may go on when the server stops. 10 s.
    pub stopping: Duration,
    /// For how many requests their `Idempotency-Key` is remembered. 100,000; 76 bytes of every snapshot each.
    pub keys: u32,
    /// How long it is remembered. 24 h.
    pub keys_kept: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 << 20,
            bodies_bytes: 256 << 20,
            operations: 10_000,
            head_bytes: 32 << 10,
            connections: 10_000,
            requests_per_second: None,
            head: Duration::from_secs(30),
            request: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            durable: Duration::from_secs(10),
            frontier: Duration::from_secs(5),
            watch: None,
            heartbeat: Duration::from_secs(15),
            stopping: Duration::from_secs(10),
            keys: 100_000,
            keys_kept: Duration::from_secs(24 * 3_600),
        }
    }
}
