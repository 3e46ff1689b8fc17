//! Reading the peers' logs.
//! Layer 4.

use core::{pin::pin, time::Duration};
use std::sync::Arc;

use crdt_core::Position;
use futures_util::future::select;

use super::{Engine, signal::Signal, store::Patience, takeover::LogPlace};
use crate::{error::Error, log::LogObject};

/// One peer's log, and where reading it has got to.
#[derive(Debug)]
pub(crate) struct Puller {
    pub(crate) log: LogPlace,
    /// Raised by a hint: look now.
    pub(crate) look: Arc<Signal>,
    next: Position,
}

/// What asking for the next object gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// Something was applied.
    Applied,
    /// There is nothing new.
    UpToDate,
    /// The log goes on, and its next object has been collected: only a snapshot helps.
    Collected,
    /// The log has ended: its replica was evicted.
    Ended,
}

impl Puller {
    /// Starts where the replica has got to. The first object of any log is at (0, 0) and is never collected.
    pub(crate) fn new(engine: &Engine, log: LogPlace, look: Arc<Signal>) -> Self {
        let state = engine.state();
        let id = log.name.id();
        let after = state.logs.get(&id).and_then(|known| known.lineage.last()).copied();
        let next = match (state.position_of(id), after) {
            (None, _) => Position::FIRST,
            // Behind a seal the log goes on in the epoch that the seal names: the seal is read again for that.
            (Some(at), Some(seal)) if (at.epoch(), at.slot()) == (seal.epoch, seal.slot) => at,
            (Some(at), _) => at.next().unwrap_or(at),
        };
        drop(state);
        Self { log, look, next }
    }

    /// Reads on for ever.
    pub(crate) async fn keep_pulling(mut self, engine: &Engine) -> Error {
        let settings = &engine.settings;
        let mut pause = settings.poll_min;
        loop {
            match self.pull(engine, Patience::For(settings.catch_up)).await {
                Ok(Pulled::Applied) => {
                    pause = settings.poll_min;
                    continue;
                }
                Ok(Pulled::UpToDate) => pause = (pause * 2).min(settings.poll_max),
                Ok(Pulled::Collected | Pulled::Ended) | Err(_) => pause = settings.poll_max,
            }
            self.pause(engine, pause).await;
        }
    }

    async fn pause(&self, engine: &Engine, pause: Duration) {
        let (sleep, look) = (pin!(engine.world.clock.sleep(pause)), pin!(self.look.wait()));
        select(sleep, look).await;
    }

    /// Asks for the next object of the log, and applies it if it is there.
    pub(crate) async fn pull(&mut self, engine: &Engine, patience: Patience) -> Result<Pulled, Error> {
        match self.log.read(self.next, patience).await? {
            Some(LogObject::Segment(segment)) => {
                engine.state().apply(&engine.keyspace, &segment)?;
                self.observe(engine, &segment);
                self.next = self.next.next().ok_or_else(|| self.log.lost("the log is full"))?;
                Ok(Pulled::Applied)
            }
            Some(LogObject::Seal(found)) => {
                if self.log.goes_beyond(self.next, patience).await? {
                    return Ok(Pulled::Collected);
                }
                let id = self.log.name.id();
                let mut state = engine.state();
                if state.position_of(id) != Some(self.next) {
                    state.pass_seal(&found)?;
                }
                match found.seal().next_epoch {
                    Some(epoch) => self.next = Position::new(epoch, 0),
                    None => return Ok(Pulled::Ended),
                }
                Ok(Pulled::Applied)
            }
            None => {
                let heard = engine.state().logs.get(&self.log.name.id()).and_then(|log| log.heard);
                let further = heard.is_some_and(|heard| heard >= self.next);
                if further && self.log.goes_beyond(self.next, patience).await? {
                    return Ok(Pulled::Collected);
                }
                Ok(Pulled::UpToDate)
            }
        }
    }

    fn observe(&self, engine: &Engine, segment: &crate::log::Segment) {
        // Data from too far in the future is merged all the same, and does not drag the clock.
        let _counted = engine.clock().observe(segment.header().hlc, engine.world.clock.wall_ms());
    }
}
