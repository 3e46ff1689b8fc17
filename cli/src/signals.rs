//! Being told to stop: Ctrl-C, and what ends a service or a terminal.

use crate::failure::{Failure, Outcome};

/// What tells a command to stop. From the moment that it listens, nothing else happens on these signals.
#[cfg(unix)]
pub(crate) struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> Outcome<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("no signal can be heard: {error}")));
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    /// Waits for the next one. Returns the code that a shell gives who ends by it.
    pub(crate) async fn next(&mut self) -> u8 {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
            _ = hangup.recv() => 129,
        }
    }
}

/// What tells a command to stop: Ctrl-C alone.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(crate) fn listen() -> Outcome<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> u8 {
        let _heard = tokio::signal::ctrl_c().await;
        130
    }
}
