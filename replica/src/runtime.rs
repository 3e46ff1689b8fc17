//! The world as it is: the system's clock and entropy, and the background of a replica on the tokio runtime.
//! Layer 5. *Invariant:* nothing else in this crate knows tokio, but for the blocking facade.

use core::time::Duration;
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio::{runtime::Handle, task::AbortHandle};

use crate::{
    drive::drive,
    error::{Error, ErrorKind},
    ports::{Answer, Clock, Entropy},
    sync::Engine,
};

/// The clock of this machine.
///
/// The wall clock is the system's: it may jump, and need not be right. Elapsed time comes from the monotonic clock and
/// begins when this is made. It waits on the timer of the tokio runtime, so [`sleep`](Clock::sleep) has to be polled inside
/// of one that has its time enabled, and panics elsewhere.
#[derive(Clone, Debug)]
pub struct SystemClock {
    began: Instant,
}

impl SystemClock {
    /// The clock of this machine.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock port of the real world")]
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    /// A clock that stands before 1970 shows 0.
    #[expect(clippy::disallowed_methods, reason = "this is the clock port of the real world")]
    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Answer<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The entropy of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    ///
    /// When the operating system has none to give, which is a fault of its set-up.
    #[expect(clippy::expect_used, reason = "a nonce that could be guessed or repeated would be worse")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives entropy");
    }
}

/// A replica's background on the runtime. It ends when this is dropped.
///
/// Those who hold the replica share it; the background itself holds no more than the engine. So the last of them to let go
/// ends it, and nothing is left behind.
#[derive(Debug)]
pub(crate) struct Background(AbortHandle);

impl Background {
    /// The runtime that a background can be started on.
    pub(crate) fn runtime() -> Result<Handle, Error> {
        Handle::try_current().map_err(|error| {
            let message = "a replica that runs by itself is opened on a tokio runtime; open it on one, use \
                           `replica::blocking`, or make it `manual` and poll `run`";
            Error::new(ErrorKind::Invalid, message).caused_by(error)
        })
    }

    pub(crate) fn start(runtime: &Handle, engine: Arc<Engine>) -> Self {
        Self(runtime.spawn(drive(engine)).abort_handle())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}
