//! Opening a replica: taking its log over, and recovering from it.
//! Layer 4.

use std::{collections::BTreeMap, sync::Arc};

use crdt_core::{DotSource, HybridClock, Position};
use futures_util::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};

use super::{
    Engine,
    engine::{Opened, Region},
    pull::{Pulled, Puller},
    signal::Signal,
    state::State,
    store::{Patience, Store, World},
    takeover::LogPlace,
};
use crate::{
    error::Error,
    keyspace::Keyspace,
    log::{Keys, MacKey},
    name::ReplicaName,
    ports::Bucket,
    settings::Settings,
};

/// Opens a replica: takes its log over, and replays it.
pub(crate) async fn open(
    name: ReplicaName,
    bucket: Arc<dyn Bucket>,
    peers: Vec<(String, Arc<dyn Bucket>)>,
    keys: Keys,
    mac: Option<MacKey>,
    world: World,
    settings: Settings,
) -> Result<Arc<Engine>, Error> {
    let patience = Patience::For(settings.catch_up);
    let store = Store::new(bucket, world.clone());
    let own = LogPlace { store: store.clone(), keys, mac, name: name.clone() };
    let mut clock = HybridClock::new(settings.clock_ahead.as_millis() as u64);
    let nonce = world.nonce();
    let wall = || world.clock.wall_ms();
    let claim = own.take_over(wall, clock.last(), nonce, patience).await?;

    let keyspace = Keyspace::new(DotSource::new(name.id(), claim.epoch), world.random(), settings.shards);
    let mut state = State::default();
    state.meet(&name)?;
    replay(&own, &keyspace, &mut state, &mut clock, &world, claim.sealed, patience).await?;

    let mut regions = vec![Region { name: name.as_str().to_owned(), store }];
    regions.extend(peers.into_iter().map(|(name, bucket)| Region { name, store: Store::new(bucket, world.clone()) }));
    Ok(Engine::new(Opened { settings, world, own, regions, nonce, keyspace, state, clock, durable: claim.sealed }))
}

/// Applies the own log from its first object to the seal with which it was taken over.
async fn replay(
    own: &LogPlace,
    keyspace: &Keyspace,
    state: &mut State,
    clock: &mut HybridClock,
    world: &World,
    sealed: Position,
    patience: Patience,
) -> Result<(), Error> {
    use crate::log::LogObject;
    let mut next = Position::FIRST;
    loop {
        match own.read(next, patience).await? {
            Some(LogObject::Segment(segment)) => {
                state.apply(keyspace, &segment)?;
                state.published.join(&segment.header().frontier);
                state.published.advance(segment.dot());
                let _counted = clock.observe(segment.header().hlc, world.clock.wall_ms());
                next = next.next().ok_or_else(|| own.lost("the log is full"))?;
            }
            Some(LogObject::Seal(found)) => {
                state.pass_seal(&found)?;
                state.published.join(&found.seal().header.frontier);
                if next == sealed {
                    return Ok(());
                }
                let epoch = found.seal().next_epoch.ok_or_else(|| own.lost("the log goes on behind its last seal"))?;
                next = Position::new(epoch, 0);
            }
            None => return Err(own.lost("an object of the own log is gone")),
        }
    }
}

impl Engine {
    /// Everything that a replica does in the background, in one future: it never ends but with an error that stops it.
    pub(crate) async fn run(self: &Arc<Self>) -> Error {
        let mut tasks: FuturesUnordered<BoxFuture<'_, Option<Error>>> = FuturesUnordered::new();
        let mut looks: BTreeMap<(usize, ReplicaName), Arc<Signal>> = BTreeMap::new();
        tasks.push(async { Some(self.keep_flushing().await) }.boxed());
        loop {
            for (number, log) in self.discover().await {
                let place = (number, log.name.clone());
                if log.name != self.own.name && !looks.contains_key(&place) {
                    let look = Arc::new(Signal::default());
                    looks.insert(place, look.clone());
                    let puller = Puller::new(self, log, look);
                    tasks.push(async { Some(puller.keep_pulling(self).await) }.boxed());
                }
            }
            let mut rest = self.world.clock.sleep(self.settings.discovery_interval).fuse();
            loop {
                futures_util::select_biased! {
                    () = rest => break,
                    ended = tasks.select_next_some() => if let Some(error) = ended { return error },
                }
            }
        }
    }

    /// The logs that there are, with the number of the region they are in. A bucket that does not answer is skipped.
    async fn discover(&self) -> Vec<(usize, LogPlace)> {
        let mut found = Vec::new();
        for (number, region) in self.regions.iter().enumerate() {
            let prefix = self.keys.logs_prefix();
            let folders = region.store.folders(&prefix, Patience::For(self.settings.catch_up)).await;
            for name in folders.unwrap_or_default().iter().filter_map(|folder| ReplicaName::new(folder).ok()) {
                let (store, keys, mac) = (region.store.clone(), self.keys.clone(), self.mac.clone());
                found.push((number, LogPlace { store, keys, mac, name }));
            }
        }
        found
    }

    /// Reads every log until there is nothing new in any of them. Returns whether all of them were read to their ends.
    pub(crate) async fn catch_up(self: &Arc<Self>) -> bool {
        let mut complete = true;
        for (_, log) in self.discover().await {
            if log.name == self.own.name {
                continue;
            }
            let mut puller = Puller::new(self, log, Arc::default());
            loop {
                match puller.pull(self, Patience::For(self.settings.catch_up)).await {
                    Ok(Pulled::Applied) => {}
                    Ok(Pulled::UpToDate | Pulled::Ended) => break,
                    Ok(Pulled::Collected) | Err(_) => {
                        complete = false;
                        break;
                    }
                }
            }
        }
        complete
    }
}
