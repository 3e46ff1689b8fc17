//! Opening a replica: taking its log over, and recovering from it.
//! Layer 4.

use core::{pin::pin, time::Duration};
use std::sync::Arc;

use crdt_core::planted::{Mutant, is_planted};
use crdt_core::{DotSource, HybridClock, Position};
use futures_util::future::{Either, join_all, select};

use super::{
    Engine,
    alarm::Alarms,
    engine::{Opened, Region},
    fetch::read_by_peers,
    lineage, probe,
    recover::Recovery,
    run::{BOOTSTRAP, logs_in},
    snapshot::Kept,
    state::{State, own_history_lost},
    store::{Patience, Store, World},
    takeover::{LogPlace, evicted},
};
use crate::{
    error::{Error, ErrorKind},
    keyspace::Keyspace,
    log::{Keys, MacKey},
    name::ReplicaName,
    ports::{Bucket, Hints},
    settings::Settings,
};

/// What a replica or an observer is opened with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: ReplicaName,
    pub(crate) bucket: Arc<dyn Bucket>,
    pub(crate) peers: Vec<(String, Arc<dyn Bucket>)>,
    pub(crate) hints: Vec<Arc<dyn Hints>>,
    pub(crate) keys: Keys,
    pub(crate) mac: Option<MacKey>,
    pub(crate) world: World,
    pub(crate) settings: Settings,
}

impl Plan {
    fn regions(&self, alarms: &Arc<Alarms>) -> Vec<Region> {
        let region = |name: &str, bucket: &Arc<dyn Bucket>| {
            let store = Store::new(bucket.clone(), name, self.world.clone(), alarms.clone());
            Region { name: name.to_owned(), store }
        };
        let own = region(&self.name, &self.bucket);
        [own].into_iter().chain(self.peers.iter().map(|(name, bucket)| region(name, bucket))).collect()
    }

    fn own(&self, regions: &[Region]) -> LogPlace {
        let (keys, mac, name) = (self.keys.clone(), self.mac.clone(), self.name.clone());
        LogPlace { store: regions[0].store.clone(), keys, mac, name }
    }

    fn clock(&self) -> HybridClock {
        HybridClock::new(self.settings.clock_ahead.as_millis() as u64)
    }
}

/// Opens a replica: takes its log over, and recovers what is in its own bucket.
pub(crate) async fn open(plan: Plan) -> Result<Arc<Engine>, Error> {
    let patience = Patience::For(plan.settings.catch_up);
    let alarms = Arc::new(Alarms::new(plan.name.clone()));
    let regions = plan.regions(&alarms);
    let own = plan.own(&regions);
    let (mut clock, nonce) = (plan.clock(), plan.world.nonce());

    // What the peers have read first, then how far the log goes: the other way round it might have grown in between.
    let read = read_elsewhere(&regions[1..], &own, &plan.world, plan.settings.catch_up).await;
    let tail = own.tail(patience).await?;
    if tail.is_final {
        return Err(evicted(&own.name));
    }
    for (reader, position) in read {
        if position == tail.position || !lineage::holds(&tail.lineage, tail.position, position) {
            return Err(own_history_lost(&own.name, &reader, position));
        }
    }
    if tail.position == Position::FIRST && !is_planted(Mutant::ProbeSkipped) {
        probe::probe(&own, nonce, patience).await?;
    }
    let wall = || plan.world.clock.wall_ms();
    let claim = own.take_over(wall, clock.last(), nonce, patience).await?;
    let epoch = if is_planted(Mutant::EpochReused) { claim.sealed.epoch() } else { claim.epoch };
    let keyspace = Keyspace::new(DotSource::new(own.name.id(), epoch), plan.world.random(), plan.settings.shards);
    let (world, name) = (&plan.world, own.name.clone());
    let mut recovery = Recovery { own: &own, keyspace: &keyspace, world, clock: &mut clock, alarms: &alarms, patience };
    let (mut state, mut kept) = recovery.recover(claim.sealed).await?;
    kept.promise_again(&mut state.logs.entry(name.id()).or_default().ack);
    if state.logs.get(&name.id()).is_some_and(|log| log.evicted.is_some()) {
        return Err(evicted(&name));
    }
    // One that was stopped before it had read anything is as new as before.
    let is_new = state.applied.frontier.iter().all(|dot| dot.replica == name.id());
    let Plan { hints, world, settings, .. } = plan;
    let opened = Opened {
        settings,
        world,
        own,
        writes: true,
        regions,
        hints,
        nonce,
        keyspace,
        state,
        clock,
        durable: claim.sealed,
        kept,
        is_new,
        alarms,
    };
    let engine = Engine::new(opened);
    let is_behind = engine.state().is_behind();
    if is_new || is_behind {
        engine.try_to_catch_up(is_new).await;
    }
    Ok(engine)
}

/// What the peers have read of the own log. A region that is out of reach does not keep this one from starting: what was
/// read there is checked when it is read.
async fn read_elsewhere(
    regions: &[Region],
    own: &LogPlace,
    world: &World,
    limit: Duration,
) -> Vec<(ReplicaName, Position)> {
    let patience = Patience::For(limit);
    let reading = pin!(async {
        let logs = join_all(regions.iter().map(|region| logs_in(region, own, patience))).await;
        read_by_peers(&own.name, logs.into_iter().filter_map(Result::ok).flatten().collect(), patience).await
    });
    match select(reading, world.clock.sleep(limit)).await {
        Either::Left((read, _)) => read,
        Either::Right(_) => Vec::new(),
    }
}

/// Opens an observer: it takes nothing over and writes nothing. It goes by a name of its own, which is in no log, since the
/// log of the name that it was given is one of those that it reads.
pub(crate) async fn observe(mut plan: Plan) -> Arc<Engine> {
    plan.name = ReplicaName::observer(plan.world.random());
    let alarms = Arc::new(Alarms::new(plan.name.clone()));
    let regions = plan.regions(&alarms);
    let own = plan.own(&regions);
    let keyspace = Keyspace::new(DotSource::new(own.name.id(), 0), plan.world.random(), plan.settings.shards);
    let (clock, nonce) = (plan.clock(), plan.world.nonce());
    let Plan { hints, world, settings, .. } = plan;
    let opened = Opened {
        settings,
        world,
        own,
        writes: false,
        regions,
        hints,
        nonce,
        keyspace,
        state: State::default(),
        clock,
        durable: Position::FIRST,
        kept: Kept::default(),
        is_new: true,
        alarms,
    };
    let engine = Engine::new(opened);
    engine.try_to_catch_up(true).await;
    engine
}

impl Engine {
    /// Tries for `catch_up` to reach what this replica had seen before, or for a new one what a peer holds. Then it serves
    /// all the same, and says that it is behind.
    async fn try_to_catch_up(self: &Arc<Self>, is_new: bool) {
        let catching_up = async {
            if is_new && let Err(error) = self.bootstrap().await {
                self.alarms.raise(BOOTSTRAP, &error);
            }
            self.catch_up().await;
        };
        let published = self.state().published.clone();
        let enough = async { if is_new { core::future::pending().await } else { self.wait_for(&published).await } };
        let (catching_up, enough) = (pin!(catching_up), pin!(enough));
        let tried = select(select(catching_up, enough), self.world.clock.sleep(self.settings.catch_up)).await;
        // What could not be read within it has an alarm of its own.
        if is_new && matches!(tried, Either::Right(_)) {
            let says = "a new replica has not read all that its peers hold; it goes on, and reads give what has come";
            self.alarms.raise(BOOTSTRAP, &Error::new(ErrorKind::Store, says));
        }
    }
}
