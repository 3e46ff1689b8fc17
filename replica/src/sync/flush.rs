//! Writing the own log.
//! Layer 4.

use core::pin::pin;

use futures_util::future::select;

use super::{Engine, store::Patience};
use crate::{
    error::{Error, ErrorKind},
    log::{LogHeader, decode, encode_segment},
};

impl Engine {
    /// Cuts and writes segments, one at a time, for as long as the log is this replica's.
    pub(crate) async fn keep_flushing(&self) -> Error {
        loop {
            while self.keyspace.pending_bytes() == 0 {
                self.changed.wait().await;
            }
            // What arrives meanwhile goes into the same segment.
            let interval = pin!(self.world.clock.sleep(self.settings.flush_interval));
            select(interval, pin!(self.flush.wait())).await;
            if let Err(error) = self.flush_once().await {
                self.end(error.kind(), error.to_string());
                return error;
            }
        }
    }

    /// Cuts what has changed, or nothing, and writes it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Fenced`] when another process has the slot. Anything that may pass is repeated until it has passed:
    /// what the log owes must not be dropped.
    pub(crate) async fn flush_once(&self) -> Result<(), Error> {
        let (key, bytes) = self.cut()?;
        let position = self.state().position_of(self.own.name.id());
        if !self.own.put_own(&key, &bytes, Patience::Endless).await? {
            let name = &self.own.name;
            return Err(Error::new(
                ErrorKind::Fenced,
                format!(
                    "another process has taken this replica's log over; stop this one, or open another name: \
                     replica={name}"
                ),
            ));
        }
        position.into_iter().for_each(|position| self.durable.rise(position));
        Ok(())
    }

    /// Cuts the open segment. No await: nothing is applied while it is taken.
    fn cut(&self) -> Result<(String, bytes::Bytes), Error> {
        let mut state = self.state();
        let cut = self.keyspace.cut();
        let me = cut.dot.replica;
        let frontier = state.applied.frontier.clone();
        state.published.join(&frontier);
        let header = LogHeader {
            replica: self.own.name.clone(),
            position: cut.dot.position,
            nonce: self.nonce,
            previous: state.logs.get(&me).and_then(|log| log.hash),
            wall_ms: self.world.clock.wall_ms(),
            hlc: self.clock().last(),
            frontier: state.published.clone(),
            ack: state.logs.get(&me).map(|log| log.ack.clone()).unwrap_or_default(),
        };
        let key = self.keys.log(&self.own.name, cut.dot.position);
        let rows = cut.rows.iter().map(|(key, changes)| (key, changes));
        let bytes = encode_segment(&header, &state.roster, rows, &[], &[], &key, self.mac.as_ref())
            .map_err(|error| Error::encoding(&key, error))?;
        let object = decode(&bytes, &key, self.mac.as_ref()).map_err(|error| Error::decoding(&key, error))?;
        state.published.advance(cut.dot);
        state.passed_own(&object);
        Ok((key, bytes))
    }
}
