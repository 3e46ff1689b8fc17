//! What a replica does in the background, until it ends.
//! Layer 5.

use core::pin::pin;
use std::sync::Arc;

use crdt_core::Position;
use futures_util::future::{Either, select};

use crate::{
    error::{Error, ErrorKind},
    sync::Engine,
};

/// Runs the engine until it ends, and returns why.
///
/// SUBTLE: to drop this, be it before its first poll, is to crash the replica, and it cannot be run again: a segment that was
/// cut and not written would leave a hole in the log. So whoever writes from then on is told that nothing will come of it.
pub(crate) fn drive(engine: Arc<Engine>) -> impl Future<Output = Error> + Send {
    let dropped = Dropped(engine);
    async move {
        let engine = &dropped.0;
        let ended = ended(engine);
        let error = match select(pin!(engine.run()), pin!(ended)).await {
            Either::Left((error, _)) | Either::Right((error, _)) => error,
        };
        engine.end(error.kind(), error.to_string());
        tracing::info!(replica = %engine.own.name, kind = error.kind().name(), "stopped: {error}");
        error
    }
}

/// Waits until the replica has ended, and returns why.
pub(crate) async fn ended(engine: &Engine) -> Error {
    loop {
        // No log gets so far.
        if let Err((kind, message)) = engine.durable.wait(Position::from(u64::MAX)).await {
            return Error::new(kind, message);
        }
    }
}

/// Ends the replica when it is no longer run. Of several reasons to end the first one stays.
struct Dropped(Arc<Engine>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let message =
            "what ran this replica in the background has been dropped, or its runtime has ended; open it anew";
        self.0.end(ErrorKind::Closed, message);
    }
}
