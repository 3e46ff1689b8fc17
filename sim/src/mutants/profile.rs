//! The stories in which a planted fault shows. Most show in any; some need more of what is seldom drawn.
//! Layer 5.

use std::time::Duration;

use crate::{
    history::{Did, Sort},
    play::INGESTED,
    ports::{Fault, Faults, HintFaults},
    random::Random,
    story::{Act, Step, Story, generate},
};

/// What is changed in a story that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing.
    Any,
    /// Logs are read when a hint says so, and hardly ever otherwise: polling would heal what went wrong with a hint.
    HintsOnly,
    /// Counters are deleted again and again, and counted on meanwhile.
    Deletions,
    /// The same, seldom; logs are looked at seldom too, and snapshots are taken and acknowledged much sooner than that.
    Dozing,
    /// Counts are as large as they get.
    Extremes,
    /// Wall clocks are wrong, by less than what is followed, and replicas are opened again.
    Clocks,
    /// Names are taken over from processes that go on, over slow links, and all is collected soon.
    Takeovers,
    /// Links are cut for long, and whoever is silent is soon not waited for.
    Silence,
    /// Snapshots are taken all the time, and replicas crash.
    Snapshots,
    /// A replica crashes, and comes back while nobody else can be reached.
    Isolation,
    /// A replica is evicted while it writes.
    Evictions,
    /// A replica is evicted right after it has ended, by one that reads seldom and so has not read all of it.
    Departures,
    /// A bucket goes back while its replica is down and its opener reaches nobody; the log goes on, with snapshots.
    Rollbacks,
    /// Lists do not show what was written lately.
    StaleLists,
    /// Each replica ingests an input, and marks how far it has come.
    Marks,
}

impl Profile {
    /// The story of a seed.
    #[must_use]
    pub fn story(self, seed: u64) -> Story {
        // In a story of weeks what is done every second takes long to play.
        let drawn = (0..).map(|draw| generate(seed.wrapping_add(draw << 32), 3));
        let is_short = |story: &Story| self == Self::Any || story.quiet_from < Duration::from_secs(100);
        let mut story = drawn.take(100).find(is_short).unwrap_or_else(|| generate(seed, 3));
        let mut random = Random::named(seed, "profile");
        match self {
            Self::Any => {}
            Self::HintsOnly => hints_only(&mut story),
            Self::Deletions => deletions(&mut story, &mut random),
            Self::Dozing => dozing(&mut story, &mut random),
            Self::Extremes => extremes(&mut story),
            Self::Clocks => clocks(&mut story, &mut random),
            Self::Takeovers => takeovers(&mut story, &mut random),
            Self::Silence => silence(&mut story, &mut random),
            Self::Snapshots => snapshots(&mut story, &mut random),
            Self::Isolation => isolation(&mut story, &mut random),
            Self::Evictions => evictions(&mut story, &mut random),
            Self::Departures => departures(&mut story, &mut random),
            Self::Rollbacks => rollbacks(&mut story, &mut random),
            Self::StaleLists => stale_lists(&mut story, &mut random),
            Self::Marks => marks(&mut story, &mut random),
        }
        story.steps.sort_by_key(|step| step.at);
        story
    }
}

/// A time at which something can still happen, and a region.
fn somewhere(story: &Story, random: &mut Random) -> (Duration, usize) {
    let last = story.quiet_from.as_millis() as u64;
    (Duration::from_millis(600 + random.below(last - 600)), random.below(story.regions as u64) as usize)
}

fn soon(story: &mut Story) {
    story.settings.snapshot_interval = Duration::from_secs(1);
    story.settings.ack_interval = Duration::from_millis(500);
    story.settings.retention = Duration::from_millis(500);
}

fn hints_only(story: &mut Story) {
    const SELDOM: Duration = Duration::from_secs(1_000);
    story.settings.poll_min = SELDOM;
    story.settings.poll_max = SELDOM;
    story.faults = Faults::none();
    story.hints = Some(HintFaults::none());
    story.steps.retain(|step| matches!(step.act, Act::Change(_) | Act::Rely));
}

fn deletions(story: &mut Story, random: &mut Random) {
    for step in &mut story.steps {
        if let Act::Change(changes) = &mut step.act {
            for (object, did) in changes {
                *object = (format!("o/{}", random.below(3)), Sort::Counter);
                *did = if random.chance(250_000) { Did::Delete } else { Did::Count(1 + random.below(9) as i64) };
            }
        }
    }
}

fn dozing(story: &mut Story, random: &mut Random) {
    soon(story);
    story.faults = Faults::none();
    story.hints = None;
    story.settings.flush_interval = Duration::from_millis(50);
    story.settings.poll_min = Duration::from_millis(2_000 + random.below(6_000));
    story.settings.poll_max = story.settings.poll_min;
    story.settings.snapshot_interval = Duration::from_millis(300);
    story.settings.ack_interval = Duration::from_millis(100);
    story.steps.clear();
    let mut at = Duration::from_secs(1);
    while at < story.quiet_from {
        let region = random.below(story.regions as u64) as usize;
        let did = if random.chance(300_000) { Did::Delete } else { Did::Count(1 + random.below(9) as i64) };
        let change = (("o".to_owned(), Sort::Counter), did);
        story.steps.push(Step { at, region, act: Act::Change(vec![change]) });
        at += Duration::from_millis(random.below(4_000));
    }
}

fn snapshots(story: &mut Story, random: &mut Random) {
    story.settings.snapshot_interval = Duration::from_millis(200);
    story.settings.flush_interval = story.settings.flush_interval.max(Duration::from_millis(400));
    for _ in 0..6 {
        let (at, region) = somewhere(story, random);
        story.steps.push(Step { at, region, act: Act::Crash });
        story.steps.push(Step { at: at + Duration::from_millis(500), region, act: Act::Open });
    }
}

fn isolation(story: &mut Story, random: &mut Random) {
    story.settings.catch_up = Duration::from_secs(2);
    for _ in 0..3 {
        let (at, region) = somewhere(story, random);
        let [opens, lasts] = [Duration::from_millis(500), Duration::from_secs(10)];
        story.steps.push(Step { at, region, act: Act::Crash });
        story.steps.push(Step { at: at + opens, region, act: Act::Open });
        for from in (0..story.regions).filter(|from| *from != region) {
            story.steps.push(Step { at: at + opens, region, act: Act::Cut { from, lasts } });
        }
    }
}

fn stale_lists(story: &mut Story, random: &mut Random) {
    soon(story);
    story.faults = Faults::none().with(Fault::StaleList, 1_000_000);
    story.faults.stale_max = Duration::from_secs(60);
    story.faults.own_lists = true;
    for _ in 0..6 {
        let (at, region) = somewhere(story, random);
        story.steps.push(Step { at, region, act: Act::Open });
    }
}

fn extremes(story: &mut Story) {
    for step in &mut story.steps {
        if let Act::Change(changes) = &mut step.act {
            for (_, did) in changes {
                if let Did::Count(by) = did {
                    *by = if *by < 0 { -i64::MAX } else { i64::MAX };
                }
            }
        }
    }
}

fn clocks(story: &mut Story, random: &mut Random) {
    story.steps.retain(|step| !matches!(step.act, Act::Clock(_)));
    for _ in 0..6 {
        let (at, region) = somewhere(story, random);
        let act = if random.chance(500_000) { Act::Clock(random.below(240_000) as i64 - 120_000) } else { Act::Open };
        story.steps.push(Step { at, region, act });
    }
}

fn takeovers(story: &mut Story, random: &mut Random) {
    soon(story);
    story.faults = Faults::none().with(Fault::Slow, 60_000).with(Fault::Late, 30_000);
    story.faults = story.faults.clone().taking(Duration::from_millis(2), Duration::from_millis(400));
    for _ in 0..6 {
        let (at, region) = somewhere(story, random);
        story.steps.push(Step { at, region, act: Act::Open });
        for _ in 0..6 {
            let at = at + Duration::from_millis(random.below(12_000));
            let change = ((format!("zombie/{}", random.below(2)), Sort::Counter), Did::Count(1));
            story.steps.push(Step { at, region, act: Act::ChangeAsZombie(vec![change]) });
        }
    }
}

fn silence(story: &mut Story, random: &mut Random) {
    soon(story);
    story.settings.max_lag = Duration::from_secs(3);
    for _ in 0..8 {
        let (at, region) = somewhere(story, random);
        let lasts = Duration::from_millis(3_000 + random.below(15_000));
        story.steps.push(Step { at, region, act: Act::Cut { from: random.below(3) as usize, lasts } });
    }
}

fn evictions(story: &mut Story, random: &mut Random) {
    story.steps.retain(|step| !matches!(step.act, Act::Evict(_)));
    let (at, region) = somewhere(story, random);
    let other = (region + 1 + random.below(story.regions as u64 - 1) as usize) % story.regions;
    story.steps.push(Step { at, region, act: Act::Evict(other) });
}

fn departures(story: &mut Story, random: &mut Random) {
    story.faults = Faults::none();
    story.hints = None;
    story.settings.poll_min = Duration::from_secs(3);
    story.settings.poll_max = Duration::from_secs(6);
    story.steps.retain(|step| matches!(step.act, Act::Change(_) | Act::Rely));
    let (at, region) = somewhere(story, random);
    let other = (region + 1 + random.below(story.regions as u64 - 1) as usize) % story.regions;
    story.steps.retain(|step| step.region % story.regions != other || step.at < at);
    story.steps.push(Step { at, region: other, act: Act::Crash });
    let evicted = at + Duration::from_millis(random.below(1_000));
    story.steps.push(Step { at: evicted, region, act: Act::Evict(other) });
}

fn rollbacks(story: &mut Story, random: &mut Random) {
    soon(story);
    story.faults = Faults::none();
    story.settings.catch_up = Duration::from_secs(2);
    story.steps.retain(|step| matches!(step.act, Act::Change(_) | Act::Rely));
    let last = story.quiet_from.as_millis() as u64;
    let at = Duration::from_millis(3_000 + random.below(last / 2));
    let region = random.below(story.regions as u64) as usize;
    let image = Duration::from_millis(random.below(at.as_millis() as u64 - 1_000));
    story.steps.push(Step { at: image, region, act: Act::Image });
    story.steps.push(Step { at, region, act: Act::Crash });
    story.steps.push(Step { at, region, act: Act::RollBack });
    story.steps.push(Step { at, region, act: Act::Open });
    for from in (0..story.regions).filter(|from| *from != region) {
        story.steps.push(Step { at, region, act: Act::Cut { from, lasts: Duration::from_secs(8) } });
    }
    let mut writes = at;
    while writes < story.quiet_from {
        writes += Duration::from_millis(100 + random.below(900));
        let change = ((format!("o/{}", random.below(3)), Sort::Set), Did::Put(random.below(9) as u16));
        story.steps.push(Step { at: writes, region, act: Act::Change(vec![change]) });
    }
}

fn marks(story: &mut Story, random: &mut Random) {
    for number in 1..=40 {
        let (at, region) = somewhere(story, random);
        let ingested = ((format!("{INGESTED}{region}"), Sort::Grows), Did::Count(number));
        story.steps.push(Step { at, region, act: Act::Change(vec![ingested]) });
    }
}
