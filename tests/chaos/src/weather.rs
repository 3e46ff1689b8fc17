//! What goes wrong, and when: drawn from a seed, so that it can be asked for again.

use std::{collections::BTreeMap, time::Duration};

use servers::{Fault, Random, Refusal, Rule};
use tokio::time::{Instant, sleep};

use crate::{
    fleet::Fleet,
    link::State,
    store::{REGIONS, World},
};

/// What was done on purpose, by name.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    pub(crate) done: BTreeMap<&'static str, u64>,
    /// What the store in this process did wrong, by name.
    pub(crate) injected: BTreeMap<&'static str, u64>,
    /// Changes acknowledged while it blew.
    pub(crate) acknowledged: usize,
}

/// Of 1,000 requests to the store in this process, how many meet each of these.
const STORE_FAULTS: [(Fault, f64); 13] = [
    (Fault::Refuse(Refusal::InternalError), 0.006),
    (Fault::Refuse(Refusal::ServiceUnavailable), 0.006),
    (Fault::Refuse(Refusal::SlowDown), 0.004),
    (Fault::Refuse(Refusal::ExpiredToken), 0.002),
    (Fault::Refuse(Refusal::RequestTimeTooSkewed), 0.002),
    (Fault::Refuse(Refusal::SignatureDoesNotMatch), 0.002),
    (Fault::RefuseAfterEffect(Refusal::InternalError), 0.006),
    (Fault::ResetBefore, 0.006),
    (Fault::ResetInRequest, 0.006),
    (Fault::AnswerLost, 0.010),
    (Fault::ResetInAnswer, 0.006),
    (Fault::FlipRequest, 0.004),
    (Fault::WrongLength(7), 0.004),
];

/// The longest that a bucket is away.
const AWAY_MAX: Duration = Duration::from_secs(180);

/// Lets it blow for so long, and then clears all.
pub(crate) async fn blow(world: &World, fleet: &mut Fleet<'_>, seed: u64, lasts: Duration) -> Result<Weather, String> {
    let mut weather = Weather::default();
    let random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    if let Some(server) = world.server() {
        let faults = server.faults();
        faults.seed(seed);
        faults.add(Rule::new(Fault::Refuse(Refusal::ConditionalRequestConflict)).on("PutObject").rate(0.01));
        // Lists have no checksum: what flips there only TLS would notice.
        faults.add(Rule::new(Fault::FlipAnswer).on("GetObject").rate(0.01));
        STORE_FAULTS.iter().for_each(|(fault, rate)| faults.add(Rule::new(*fault).rate(*rate)));
        faults.add(Rule::new(Fault::SlowAnswer { pieces: 5, pause: Duration::from_millis(50) }).rate(0.01));
        faults.latency(Duration::ZERO, Duration::from_millis(20));
    }
    // One region's bucket is away for a good part of it, for everybody.
    let until = Instant::now() + lasts;
    let (away, from) = (random.below(3), Instant::now() + lasts / 5);
    let outage = from..from + (lasts / 5).min(AWAY_MAX);
    let mut is_away = false;
    while Instant::now() < until {
        sleep(Duration::from_millis(200 + random.below(400) as u64)).await;
        let (here, there) = (random.below(3), random.below(3));
        let mut state = State::default();
        match random.below(10) {
            0 | 1 => state.is_cut = true,
            2 => state.is_silent = true,
            3 | 4 => state.delay = Duration::from_millis(random.below(300) as u64),
            5 | 6 => state.resets = 200,
            _ => {}
        }
        world.link(here, there).set(state);
        let was_away = is_away;
        is_away = outage.contains(&Instant::now());
        if is_away || was_away {
            (0..REGIONS.len())
                .for_each(|from| world.link(from, away).set(State { is_cut: is_away, ..State::default() }));
        }
        if is_away && !was_away {
            weather.count("a bucket is away for everybody");
        }
        match random.below(12) {
            0 if fleet.kill(here).await => weather.count("a process is killed"),
            1 if fleet.launch(here).is_ok() => weather.count("a second process of one name"),
            _ => {}
        }
        *weather.done.entry("a process is started again").or_default() += fleet.mind()?;
    }
    weather.acknowledged = fleet.acknowledged();
    world.links().for_each(|link| link.set(State::default()));
    if let Some(server) = world.server() {
        server.faults().clear();
    }
    weather.injected = world.injected();
    // Whoever is left gets what is pending through, or is killed with it.
    sleep(Duration::from_secs(1)).await;
    Ok(weather)
}

impl Weather {
    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }
}
