//! What all requests share: the replica, what is remembered between requests, what is counted.
//! Layer 2.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use replica::{Dot, Position, Replica, Status, SystemClock, Token, Written, ports::Clock};
use tokio::sync::watch;

use crate::{boards::Boards, body::Bodies, hub::Hubs, keys::Keys, meter::Meter, options::Options, rate::Rate};

/// What all requests share.
pub(crate) struct App {
    pub(crate) replica: Replica,
    pub(crate) options: Options,
    pub(crate) clock: SystemClock,
    pub(crate) meter: Meter,
    pub(crate) rate: Option<Rate>,
    pub(crate) bodies: Bodies,
    pub(crate) keys: Keys,
    pub(crate) boards: Boards,
    pub(crate) hubs: Hubs,
    /// How the replica was doing a moment ago.
    status: watch::Sender<Arc<Status>>,
    /// Set when every log that could be read has been read to its end once.
    pub(crate) has_caught_up: AtomicBool,
    /// True when the server is to stop.
    pub(crate) stopping: watch::Sender<bool>,
    /// Hosts and origins by which this server is asked, where nobody needs a token: those of loopback.
    pub(crate) only_loopback: bool,
    /// The last position under which a request was answered as changed.
    made: AtomicU64,
}

impl App {
    pub(crate) fn new(replica: Replica, options: Options, only_loopback: bool) -> Self {
        let clock = SystemClock::new();
        Self {
            keys: Keys::recover(&replica, options.limits.keys, options.limits.keys_kept),
            rate: options.limits.requests_per_second.map(Rate::new),
            bodies: Bodies::new(&options.limits),
            meter: Meter::default(),
            boards: Boards::default(),
            hubs: Hubs::new(),
            status: watch::Sender::new(Arc::new(replica.status())),
            has_caught_up: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
            made: AtomicU64::new(0),
            only_loopback,
            clock,
            replica,
            options,
        }
    }

    /// How the replica was doing a moment ago: half a second at most.
    pub(crate) fn recent(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    pub(crate) fn look(&self) -> Arc<Status> {
        let status = Arc::new(self.replica.status());
        self.status.send_replace(status.clone());
        status
    }

    /// Why nothing gets into the own bucket, if so.
    pub(crate) fn trouble_of_writing(&self) -> Option<String> {
        let status = self.recent();
        status.alarms.iter().find(|(place, _, _)| place.starts_with("create ")).map(|(_, _, says)| says.clone())
    }

    /// What a reader has seen who has seen this change, be it durable or not.
    pub(crate) fn token_of<T>(&self, written: &Written<T>, is_durable: bool) -> Token {
        let mut token = self.replica.token();
        if !is_durable {
            self.made.fetch_max(written.position().into(), Ordering::Relaxed);
            let dot = Dot { replica: self.replica.name().id(), position: written.position() };
            token.join(&Token::from([dot].into_iter().collect::<replica::Frontier>()));
        }
        token
    }

    /// What of a token has to be waited for. What was changed here can be read here from then on, cut or not; the engine waits
    /// until it has been cut.
    pub(crate) fn to_wait_for(&self, token: &Token) -> Token {
        let (own, made) = (self.replica.name().id(), Position::from(self.made.load(Ordering::Relaxed)));
        let is_here = |dot: &Dot| dot.replica == own && dot.position <= made;
        Token::from(token.frontier().iter().filter(|dot| !is_here(dot)).collect::<replica::Frontier>())
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub(crate) fn wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }
}
