//! What goes wrong, and when: drawn from a seed, so that it can be asked for again.

use std::{collections::BTreeMap, time::Duration};

use servers::{Fault, Refusal, Rule};
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
    /// Changes acknowledged while it blew.
    pub(crate) acknowledged: usize,
}

/// Of 1,000 requests to the store in this process, how many meet each of these.
const STORE_FAULTS: [(Fault, f64); 14] = [
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
    (Fault::FlipAnswer, 0.004),
    (Fault::WrongLength(7), 0.004),
];

/// Lets it blow for so long, and then clears all.
pub(crate) async fn blow(world: &World, fleet: &mut Fleet<'_>, seed: u64, lasts: Duration) -> Weather {
    let mut weather = Weather::default();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    if let Some(server) = world.server() {
        let faults = server.faults();
        faults.seed(seed);
        faults.add(Rule::new(Fault::Refuse(Refusal::ConditionalRequestConflict)).on("PutObject").rate(0.01));
        STORE_FAULTS.iter().for_each(|(fault, rate)| faults.add(Rule::new(*fault).rate(*rate)));
        faults.add(Rule::new(Fault::SlowAnswer { pieces: 5, pause: Duration::from_millis(50) }).rate(0.01));
        faults.latency(Duration::ZERO, Duration::from_millis(20));
    }
    // One region's bucket is away for a good part of it, for everybody.
    let until = Instant::now() + lasts;
    let (away, from) = (random.below(3), Instant::now() + lasts / 5);
    let back = from + (lasts / 5).min(Duration::from_secs(180));
    let (mut is_away, mut was_away) = (false, false);
    while Instant::now() < until {
        sleep(Duration::from_millis(200 + random.below(400) as u64)).await;
        if !is_away && !was_away && Instant::now() >= from {
            (is_away, was_away) = (true, true);
            weather.count("a bucket is away for everybody");
        }
        is_away &= Instant::now() < back;
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
        if is_away {
            (0..REGIONS.len()).for_each(|from| world.link(from, away).set(State { is_cut: true, ..State::default() }));
        } else if was_away {
            was_away = back > Instant::now();
            (0..REGIONS.len()).for_each(|from| world.link(from, away).set(State::default()));
        }
        match random.below(12) {
            0 => {
                fleet.kill(here).await;
                weather.count("a process is killed");
            }
            1 if fleet.launch(here).is_ok() => weather.count("a second process of one name"),
            _ => {}
        }
        let started = fleet.mind().unwrap_or(0);
        *weather.done.entry("a process is started again").or_default() += started;
    }
    weather.acknowledged = fleet.acknowledged();
    world.links().for_each(|link| link.set(State::default()));
    if let Some(server) = world.server() {
        server.faults().clear();
    }
    // Whoever is left gets what is pending through, or is killed with it.
    sleep(Duration::from_secs(1)).await;
    weather
}

impl Weather {
    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }
}

/// SplitMix64 (Steele and others, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
