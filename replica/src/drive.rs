//! What a replica does in the background, until it ends.
//! Layer 5.

use std::sync::Arc;

use crate::{
    error::{Error, ErrorKind},
    sync::Engine,
};

/// Runs the engine until it ends, and returns why.
///
/// To drop this, be it before its first poll, is to crash the replica, and it cannot be run again. Whoever writes from then on
/// is told that nothing will come of it.
pub(crate) fn drive(engine: Arc<Engine>) -> impl Future<Output = Error> + Send {
    let dropped = Dropped(engine);
    async move {
        let engine = &dropped.0;
        let error = engine.run().await;
        let (replica, kind) = (&engine.own.name, error.kind().name());
        if error.kind() == ErrorKind::Closed {
            tracing::info!(%replica, kind, "stopped: {error}");
        } else {
            tracing::error!(%replica, kind, "stopped: {error}");
        }
        error
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
