//! Reading the peers' logs.
//! Layer 4.

use core::{pin::pin, time::Duration};
use std::sync::Arc;

use blake3::Hash;
use crdt_core::{
    Position,
    planted::{Mutant, Point, is_planted, reached},
};
use futures_util::{StreamExt, future::select, stream};

use super::{
    Engine, delays::APPLY_DELAYS_MS, signal::Signal, state::history_lost, store::Patience, takeover::LogPlace,
};
use crate::{
    error::{Error, ErrorKind},
    log::{FoundSeal, LogObject, Segment},
};

/// One peer's log.
#[derive(Debug)]
pub(crate) struct Puller {
    pub(crate) log: LogPlace,
    /// Raised by a hint: look now.
    pub(crate) look: Arc<Signal>,
    /// The seal that was passed last, and the epoch where the log goes on behind it.
    passed: Option<(Position, u32)>,
    /// How many objects are asked for at once.
    ahead: u32,
    /// When the log was last looked over with a list; `None` has it looked over as soon as there is nothing new.
    looked_over: Option<Duration>,
}

/// What asking for the next object gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// Something was applied.
    Applied,
    /// There is nothing new, as far as one GET tells.
    NotThere,
    /// There is nothing new, and the log is the one that was read before.
    UpToDate,
    /// The log goes on, and its next object has been collected: only a snapshot helps.
    Collected(Position),
    /// The log has ended: its replica was evicted.
    Ended,
}

/// Objects are at most 16 MiB each.
const AHEAD_MAX: u32 = 8;

impl Puller {
    /// One that reads on for ever. A log of which nothing is known is looked over at once: its beginning may be collected.
    pub(crate) fn new(engine: &Engine, log: LogPlace, look: Arc<Signal>) -> Self {
        let begun = engine.state().position_of(log.name.id()).is_some();
        let looked_over = begun.then(|| engine.world.clock.elapsed());
        Self { log, look, passed: None, ahead: 1, looked_over }
    }

    /// One that reads to the end, and makes sure that it is the end.
    pub(crate) fn once(log: LogPlace) -> Self {
        Self { log, look: Arc::default(), passed: None, ahead: 1, looked_over: None }
    }

    /// Reads on for ever.
    pub(crate) async fn keep_pulling(mut self, engine: &Engine) {
        let settings = &engine.settings;
        let mut pause = settings.poll_min;
        let place = format!("log {}", self.log.name);
        let _known = engine.knows_evictions.wait(1).await;
        loop {
            let pulled = self.advance(engine, Patience::For(settings.catch_up)).await;
            match &pulled {
                Ok(Pulled::NotThere) => engine.alarms.answered(&place),
                Ok(_) => engine.alarms.clear(&place),
                Err(error) => engine.alarms.raise(&place, error),
            }
            match pulled {
                Ok(Pulled::Applied) => {
                    pause = settings.poll_min;
                    continue;
                }
                Ok(Pulled::UpToDate | Pulled::NotThere | Pulled::Collected(_)) => {}
                Ok(Pulled::Ended) | Err(_) => pause = settings.poll_max,
            }
            let (sleep, look) = (pin!(engine.world.clock.sleep(pause)), pin!(self.look.wait()));
            pause = match select(sleep, look).await {
                futures_util::future::Either::Left(_) => (pause * 2).min(settings.poll_max),
                futures_util::future::Either::Right(_) => settings.poll_min,
            };
        }
    }

    /// Asks for what comes next in the log, and applies what is there; where the log cannot give it, a snapshot does, of any
    /// live replica.
    pub(crate) async fn advance(&mut self, engine: &Engine, patience: Patience) -> Result<Pulled, Error> {
        let pulled = self.pull(engine, patience).await;
        if !matches!(&pulled, Ok(Pulled::Ended) | Err(_)) {
            let now = engine.world.clock.elapsed();
            if let Some(log) = engine.state().logs.get_mut(&self.log.name.id()) {
                log.answered = Some(now);
                log.region = Some(self.log.store.region().clone());
            }
        }
        match pulled {
            Ok(Pulled::Collected(next)) => match engine.fetch_snapshot(&self.log.name, next).await? {
                true => Ok(Pulled::Applied),
                // Somebody else may have merged it meanwhile.
                false if engine.state().position_of(self.log.name.id()) >= Some(next) => Ok(Pulled::Applied),
                false => Err(out_of_reach(&self.log, next)),
            },
            _ => pulled,
        }
    }

    /// Asks for what comes next in the log, and applies what is there.
    async fn pull(&mut self, engine: &Engine, patience: Patience) -> Result<Pulled, Error> {
        let id = self.log.name.id();
        let (at, hash, lineage_end, heard, last) = {
            let state = engine.state();
            let log = state.logs.get(&id);
            let end = log.and_then(|log| log.lineage.last()).map(|ended| Position::new(ended.epoch, ended.slot));
            let hash = log.and_then(|log| log.hash);
            (state.position_of(id), hash, end, log.and_then(|log| log.heard), state.end_of(id))
        };
        let next = match at {
            None => Position::FIRST,
            Some(at) if last.is_some_and(|last| at >= last) => return Ok(Pulled::Ended),
            Some(at) if lineage_end == Some(at) => match self.behind_seal(at, hash, patience).await? {
                Some(next) => next,
                None => return Ok(Pulled::Ended),
            },
            Some(at) => at.next().ok_or_else(|| self.log.lost("the log is full"))?,
        };
        let known = heard.filter(|heard| *heard >= next);
        let count = match known {
            Some(heard) if heard.epoch() == next.epoch() => {
                (heard.slot() - next.slot()).saturating_add(1).min(AHEAD_MAX)
            }
            Some(_) => self.ahead,
            None => 1,
        };
        let log = self.log.clone();
        let positions = (0..count).filter_map(|more| Some(Position::new(next.epoch(), next.slot().checked_add(more)?)));
        let mut objects = stream::iter(positions)
            .map(|position| {
                let log = &log;
                async move { (position, log.read_sized(position, patience).await) }
            })
            .buffered(count as usize);
        let mut applied = 0;
        while let Some((position, object)) = objects.next().await {
            if last.is_some_and(|last| position > last) {
                if applied == 0 {
                    return Ok(Pulled::Ended);
                }
                break;
            }
            match object? {
                Some((LogObject::Segment(segment), bytes)) => {
                    if !self.apply(engine, &segment, bytes)? {
                        return Ok(Pulled::Ended);
                    }
                }
                Some((LogObject::Seal(found), _)) => {
                    if !self.pass_seal(engine, &found, patience).await? {
                        return Ok(Pulled::Collected(position));
                    }
                    self.ahead = 1;
                    return Ok(Pulled::Applied);
                }
                None if applied > 0 => break,
                None => {
                    drop(objects);
                    return self.nothing_at(engine, at, next, known.is_some(), patience).await;
                }
            }
            applied += 1;
        }
        self.ahead = if applied == count { (self.ahead * 2).min(AHEAD_MAX) } else { 1 };
        Ok(Pulled::Applied)
    }

    /// Returns whether it counts.
    fn apply(&self, engine: &Engine, segment: &Segment, bytes: u64) -> Result<bool, Error> {
        let header = segment.header();
        engine.observe(header.hlc);
        let mut state = engine.state();
        // Before what they have read: the seal with which it was evicted is not another process's.
        engine.check_evicted(segment.evictions().iter().map(|eviction| &eviction.replica))?;
        engine.check_read(&state, &header.frontier, &header.replica)?;
        // SUBTLE: it may have been evicted since this pull began.
        if state.end_of(header.replica.id()).is_some_and(|last| header.position > last) {
            reached(Point::EvictedWhileRead);
            return Ok(false);
        }
        state.apply(&engine.keyspace, segment)?;
        state.log_bytes += bytes;
        if let Some(log) = state.logs.get_mut(&self.log.name.id()) {
            log.contact = Some(engine.world.clock.elapsed());
            log.read = (log.read.0 + 1, log.read.1 + bytes);
            let delay_ms = engine.world.clock.wall_ms().saturating_sub(header.wall_ms);
            log.delays.count(&APPLY_DELAYS_MS, Duration::from_millis(delay_ms));
        }
        engine.after_applying(&mut state);
        drop(state);
        let (src, dst, position, paths) = (&header.replica, &engine.own.name, header.position, segment.row_count());
        tracing::debug!(
            replica = %dst, sync_id = %format_args!("{src}/{position}"), %src, %dst, key = engine.keys.log(src, position),
            outcome = "applied", paths, bytes, "segment applied"
        );
        Ok(true)
    }

    /// Passes a seal, if it counts.
    async fn pass_seal(&mut self, engine: &Engine, found: &FoundSeal, patience: Patience) -> Result<bool, Error> {
        let position = found.seal().header.position;
        if self.log.goes_beyond(position, patience).await? {
            reached(Point::VoidSealMet);
            return Ok(false);
        }
        let mut state = engine.state();
        if state.end_of(found.seal().header.replica.id()).is_some_and(|last| position > last) {
            return Ok(true);
        }
        state.pass_seal(found)?;
        engine.after_applying(&mut state);
        self.passed = found.seal().next_epoch.map(|epoch| (position, epoch));
        Ok(true)
    }

    /// Where the log goes on behind the seal that was applied last, or `None` if it does not.
    async fn behind_seal(
        &mut self,
        seal: Position,
        known: Option<Hash>,
        patience: Patience,
    ) -> Result<Option<Position>, Error> {
        if let Some((passed, epoch)) = self.passed
            && passed == seal
        {
            return Ok(Some(Position::new(epoch, 0)));
        }
        match self.log.read(seal, patience).await? {
            Some(LogObject::Seal(found)) if known.is_none_or(|known| known == found.hash()) => {
                self.passed = found.seal().next_epoch.map(|epoch| (seal, epoch));
                Ok(found.seal().next_epoch.map(|epoch| Position::new(epoch, 0)))
            }
            _ => Err(history_lost(&self.log.name, seal)),
        }
    }

    /// The next object is not there. Is there nothing new, was it collected, or is the log another one than before?
    async fn nothing_at(
        &mut self,
        engine: &Engine,
        at: Option<Position>,
        next: Position,
        known: bool,
        patience: Patience,
    ) -> Result<Pulled, Error> {
        let now = engine.world.clock.elapsed();
        if !known && self.looked_over.is_some_and(|at| is_lately(engine, at)) {
            return Ok(Pulled::NotThere);
        }
        // The epochs first: what is in one of them when they are listed is in it afterwards.
        let newest = self.log.epochs(patience).await?.pop();
        // From the last one that was applied on: an epoch may be long.
        let before = at.filter(|at| at.epoch() == next.epoch()).and_then(|at| at.slot().checked_sub(1));
        let before = before.map(|slot| Position::new(next.epoch(), slot));
        let last = self.log.slots(next.epoch(), before, patience).await?.pop();
        self.looked_over = Some(now);
        if last.is_some_and(|last| last >= next) {
            // It may have come since it was asked for, and then it is there the next time.
            return Ok(if self.log.exists(next, patience).await? { Pulled::Applied } else { Pulled::Collected(next) });
        }
        let has_gone_on = newest.is_some_and(|newest| newest > next.epoch());
        let stays = match at {
            None => true,
            // Seals stay, and so does the newest segment of an epoch.
            Some(at) if at.epoch() == next.epoch() => last.is_some_and(|last| last >= at),
            Some(at) => self.log.exists(at, patience).await?,
        };
        if has_gone_on && (at.is_none() || is_planted(Mutant::HistoryUnchecked)) {
            return Ok(Pulled::Collected(next));
        }
        if has_gone_on || !stays {
            reached(Point::LogIsAnother);
            return Err(history_lost(&self.log.name, next));
        }
        // Whoever said that there is more was wrong, or ahead of the log; if there is, it will be said again.
        if known {
            reached(Point::WrongWordOfMore);
        }
        if let Some(log) = engine.state().logs.get_mut(&self.log.name.id()) {
            log.heard = at;
        }
        Ok(Pulled::UpToDate)
    }
}

/// True for what was done since less than a `discovery_interval`: it is not done again.
pub(crate) fn is_lately(engine: &Engine, at: Duration) -> bool {
    engine.world.clock.elapsed().saturating_sub(at) < engine.settings.discovery_interval
}

/// What is missing may come into reach.
fn out_of_reach(log: &LogPlace, next: Position) -> Error {
    let name = &log.name;
    let message = format!(
        "a part of a log was collected, and no snapshot in reach covers it yet: replica={name} position={next}"
    );
    Error::new(ErrorKind::Store, message)
}
