//! Opening a replica: taking its log over, and recovering from it.
//! Layer 4.

use core::{pin::pin, time::Duration};
use std::sync::Arc;

use crdt_core::{
    DotSource, HybridClock, Position,
    planted::{Mutant, Point, is_planted, reached},
};
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
    takeover::{LogPlace, Tail, evicted},
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
    /// What the own region is called.
    pub(crate) region: String,
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
        let own = region(&self.region, &self.bucket);
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
    let elsewhere = look_elsewhere(&regions[1..], &own, &plan.world, plan.settings.catch_up).await;
    let tail = own.tail(patience).await?;
    check_elsewhere(&own.name, &tail, elsewhere)?;
    if tail.position == Position::FIRST && !is_planted(Mutant::ProbeSkipped) {
        probe::probe(&own, nonce, patience).await?;
    }
    let wall = || plan.world.clock.wall_ms();
    let claim = own.take_over(wall, clock.last(), nonce, patience).await?;
    let epoch = if is_planted(Mutant::EpochReused) { claim.sealed.epoch() } else { claim.epoch };
    let keyspace = Keyspace::new(DotSource::new(own.name.id(), epoch), plan.world.random(), plan.settings.shards);
    let (world, name) = (&plan.world, own.name.clone());
    let mut recovery = Recovery { own: &own, keyspace: &keyspace, world, clock: &mut clock, alarms: &alarms, patience };
    let (mut state, mut kept) = recovery.recover(&claim).await?;
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

/// What the other regions know of a replica that is opened.
#[derive(Debug, Default)]
struct Elsewhere {
    /// The regions in whose buckets there is a log of its name.
    namesakes: Vec<String>,
    /// Who has read its log, and how far.
    read: Vec<(ReplicaName, Position)>,
}

/// Asks the other regions. One that is out of reach does not keep this one from starting: what was read there is checked when
/// it is read.
async fn look_elsewhere(regions: &[Region], own: &LogPlace, world: &World, limit: Duration) -> Elsewhere {
    let patience = Patience::For(limit);
    let looking = pin!(async {
        let listed = join_all(regions.iter().map(|region| logs_in(region, own, patience))).await;
        let logs: Vec<Vec<LogPlace>> = listed.into_iter().map(Result::unwrap_or_default).collect();
        let has_one = |logs: &Vec<LogPlace>| logs.iter().any(|log| log.name == own.name);
        let namesakes = regions.iter().zip(&logs).filter(|(_, logs)| has_one(logs));
        let namesakes = namesakes.map(|(region, _)| region.name.clone()).collect();
        Elsewhere { namesakes, read: read_by_peers(&own.name, logs.concat(), patience).await }
    });
    match select(looking, world.clock.sleep(limit)).await {
        Either::Left((elsewhere, _)) => elsewhere,
        Either::Right(_) => Elsewhere::default(),
    }
}

/// Fails when the log that ends in `tail` is not the one to open.
fn check_elsewhere(own: &ReplicaName, tail: &Tail, elsewhere: Elsewhere) -> Result<(), Error> {
    if tail.is_final {
        return Err(evicted(own));
    }
    // A second log of one name would be taken for the first, and read by nobody who has read that.
    if let (Position::FIRST, Some(region)) = (tail.position, elsewhere.namesakes.first()) {
        let says = "the log of this name is in another region's bucket, and there is none in the own one; open it there, or open another name";
        return Err(Error::new(ErrorKind::Invalid, format!("{says}: replica={own} region={region}")));
    }
    for (reader, position) in elsewhere.read {
        if position == tail.position || !lineage::holds(&tail.lineage, tail.position, position) {
            reached(Point::OpenerFindsHistoryLost);
            return Err(own_history_lost(own, &reader, position));
        }
    }
    Ok(())
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
