//! Everything that a replica does in the background, in one future.
//! Layer 4.

use core::{pin::pin, sync::atomic::Ordering};
use std::{collections::BTreeMap, sync::Arc};

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{Dot, Frontier};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all, select},
    stream::FuturesUnordered,
};

use super::{
    Engine,
    engine::Region,
    pull::{Pulled, Puller},
    signal::Signal,
    store::Patience,
    takeover::LogPlace,
};
use crate::{
    error::{Error, ErrorKind},
    log::BucketKey,
    name::ReplicaName,
    ports::{Hint, Hints},
};

/// Where the alarm is raised that a new replica has not read what its peers hold.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// Who reads which log: hints wake them.
type Looks = BTreeMap<(usize, ReplicaName), Arc<Signal>>;

impl Engine {
    /// Runs until an error stops the replica, or it is closed. Dropping it is a crash: it cannot be run again, because what
    /// was under way is not known any more.
    pub(crate) async fn run(self: &Arc<Self>) -> Error {
        let error = select(pin!(self.work()), pin!(self.ended())).await.factor_first().0;
        if error.kind() == ErrorKind::Evicted && self.writes {
            let (wall, hlc) = (self.world.clock.wall_ms(), self.clock().last());
            // Whoever opens this log again is told by it; if this fails, by the peers, a little later.
            let patience = Patience::For(self.settings.catch_up);
            if let Ok(tail) = self.own.tail(patience).await {
                let _sealed = self.own.seal_for_good(&tail, wall, hlc, self.nonce, patience).await;
            }
        }
        error
    }

    async fn work(self: &Arc<Self>) -> Error {
        let looks: std::sync::Mutex<Looks> = std::sync::Mutex::default();
        let mut tasks: FuturesUnordered<BoxFuture<'_, Option<Error>>> = FuturesUnordered::new();
        if self.writes {
            tasks.push(async { Some(self.keep_flushing().await) }.boxed());
            tasks.push(async { Some(self.keep_snapshots().await) }.boxed());
            tasks.push(async { Some(self.keep_minding().await) }.boxed());
            tasks.push(self.keep_comparing().map(|()| None).boxed());
        }
        if !self.writes {
            tasks.push(self.keep_open().map(|()| None).boxed());
        }
        tasks.push(self.keep_completing().map(|()| None).boxed());
        for hints in &self.hints {
            tasks.push(self.keep_listening(&**hints, &looks).map(|()| None).boxed());
        }
        if self.alarms.is_raised(BOOTSTRAP) {
            tasks.push(self.finish_bootstrap().map(|()| None).boxed());
        }
        loop {
            // Beside the tasks: a region that does not answer delays nothing but what comes from it.
            let found = {
                let mut discovered = pin!(self.discover().fuse());
                loop {
                    futures_util::select_biased! {
                        found = discovered => break found,
                        ended = tasks.select_next_some() => if let Some(error) = ended { return error },
                    }
                }
            };
            for (number, log) in found {
                let place = (number, log.name.clone());
                let mut looks = looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if log.name != self.own.name && !looks.contains_key(&place) {
                    let look = Arc::new(Signal::default());
                    looks.insert(place, look.clone());
                    let puller = Puller::new(self, log, look);
                    tasks.push(puller.keep_pulling(self).map(|()| None).boxed());
                }
            }
            let (sleep, met) = (self.world.clock.sleep(self.settings.discovery_interval), pin!(self.discover.wait()));
            let mut rest = pin!(select(sleep, met).fuse());
            loop {
                futures_util::select_biased! {
                    _ = rest => break,
                    ended = tasks.select_next_some() => if let Some(error) = ended { return error },
                }
            }
        }
    }

    /// Goes on where opening had to stop, until everything that there was has been read once.
    async fn finish_bootstrap(self: &Arc<Self>) {
        let mut pause = self.settings.poll_max;
        loop {
            // What fails here is read from the logs, or fails there too.
            let _merged = self.bootstrap().await;
            if self.catch_up().await {
                return;
            }
            self.world.clock.sleep(pause).await;
            pause = (pause * 2).min(self.settings.discovery_interval.max(pause));
        }
    }

    /// An observer has nothing to write when it is closed.
    async fn keep_open(&self) {
        while !self.closing.load(Ordering::Acquire) {
            self.snapshot.wait().await;
        }
        self.end(ErrorKind::Closed, "the observer was closed");
    }

    /// The logs that there are, with the number of the region they are in. A bucket that does not answer is skipped.
    pub(crate) async fn discover(&self) -> Vec<(usize, LogPlace)> {
        let patience = Patience::For(self.settings.catch_up);
        let listed = join_all(self.regions.iter().map(|region| logs_in(region, &self.own, patience))).await;
        let mut found = Vec::new();
        for (number, (region, logs)) in self.regions.iter().zip(listed).enumerate() {
            let place = place_of(region);
            match logs {
                Ok(logs) => {
                    self.alarms.clear(&place);
                    found.extend(logs.into_iter().map(|log| (number, log)));
                }
                Err(error) => self.alarms.raise(&place, &error),
            }
        }
        let mut state = self.state();
        found.retain(|(_, log)| match state.meet(&log.name) {
            Ok(_) => true,
            Err(error) => {
                self.alarms.raise(&format!("log {}", log.name), &error);
                false
            }
        });
        found
    }

    /// Reads every log until there is nothing new in any of them. Returns whether all of them were read to their ends.
    pub(crate) async fn catch_up(self: &Arc<Self>) -> bool {
        let patience = Patience::For(self.settings.catch_up);
        let logs = self.discover().await;
        let mut complete = !self.regions.iter().any(|region| self.alarms.is_raised(&place_of(region)));
        let others = logs.into_iter().map(|(_, log)| log).filter(|log| log.name != self.own.name);
        let read = join_all(others.map(|log| self.read_once(log, patience))).await;
        complete &= read.into_iter().all(|is_whole| is_whole);
        if complete {
            self.alarms.clear(BOOTSTRAP);
        }
        self.complete_evicted(|_| true).await && complete
    }

    /// Reads a log to its end, and makes sure that it is the end. Returns whether that could be.
    pub(crate) async fn read_once(&self, log: LogPlace, patience: Patience) -> bool {
        let place = format!("log {}", log.name);
        let mut puller = Puller::once(log);
        loop {
            match puller.advance(self, patience).await {
                Ok(Pulled::Applied) => {}
                // It has been looked over since this began.
                Ok(Pulled::UpToDate | Pulled::NotThere | Pulled::Ended | Pulled::Collected(_)) => return true,
                Err(error) => {
                    self.alarms.raise(&place, &error);
                    return false;
                }
            }
        }
    }

    /// Waits until all of `token` has been applied.
    pub(crate) async fn wait_for(&self, token: &Frontier) -> Result<(), Error> {
        loop {
            let seen = self.applied.reached();
            if self.state().applied.frontier.covers_all(token) {
                return Ok(());
            }
            self.applied.wait(seen + 1).await.map_err(|(kind, message)| Error::new(kind, message))?;
        }
    }

    /// Wakes whoever reads the log that a hint points to.
    async fn keep_listening(&self, hints: &dyn Hints, looks: &std::sync::Mutex<Looks>) {
        let mut under_way: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        loop {
            let hint = futures_util::select_biased! {
                hint = hints.next().fuse() => hint,
                () = under_way.select_next_some() => continue,
            };
            let target = hint.key.as_deref().and_then(|key| self.keys.parse(key));
            self.count_hint(&hint, target.as_ref());
            let is_meant = |name: &ReplicaName| match &target {
                Some(BucketKey::Log { replica, .. }) => replica == name,
                _ => hint.key.is_none(),
            };
            let mut woken = 0;
            for ((_, name), look) in &*looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
                if is_meant(name) && !is_planted(Mutant::HintIgnored) {
                    look.raise();
                    woken += 1;
                }
            }
            // A log that is new, or anything at all.
            let is_new = match &target {
                Some(BucketKey::Log { replica, .. }) => woken == 0 && *replica != self.own.name,
                _ => hint.key.is_none(),
            };
            if is_new {
                self.discover.raise();
            }
            under_way.push(self.deal_with(hints, hint, target).boxed());
        }
    }

    /// The hint is done when what it points to has been applied, or will not be soon.
    async fn deal_with(&self, hints: &dyn Hints, hint: Hint, target: Option<BucketKey>) {
        if let Some(BucketKey::Log { replica, position }) = target {
            let token: Frontier = [Dot { replica: replica.id(), position }].into_iter().collect();
            self.state().hear_of_known(Dot { replica: replica.id(), position });
            select(pin!(self.wait_for(&token)), pin!(self.world.clock.sleep(self.settings.catch_up))).await;
        }
        hints.done(hint).await;
    }
}

/// Where the alarm is raised that a region does not answer.
fn place_of(region: &Region) -> String {
    format!("region {}", region.name)
}

/// The logs in one region's bucket. `like` says where in a bucket they are.
pub(crate) async fn logs_in(region: &Region, like: &LogPlace, patience: Patience) -> Result<Vec<LogPlace>, Error> {
    let folders = region.store.folders(&like.keys.logs_prefix(), patience).await?;
    let place = |name| {
        let (store, keys, mac) = (region.store.clone(), like.keys.clone(), like.mac.clone());
        LogPlace { store, keys, mac, name }
    };
    Ok(folders.iter().filter_map(|folder| ReplicaName::new(folder).ok()).map(place).collect())
}
