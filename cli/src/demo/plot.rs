//! What happens: all write, one is cut off, both sides change the same things, it heals, one is killed, all converge.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use replica::{Kind, Replica, Token};
use serde_json::json;
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep, sleep_until},
};

use super::{
    cost::Usage,
    measure::unseen,
    screen::{Event, Tone, count, seconds},
    script::{Act, Change},
    stage::{REGIONS, Stage, marked},
    truth::{Expected, Truth},
    writer::STEPS_PER_SECOND,
};
use crate::failure::{Failure, Outcome};

/// The one that stays where it is, the one that is cut off, and the one that is killed.
pub(crate) const STEADY: usize = 0;
pub(crate) const ALONE: usize = 1;
pub(crate) const KILLED: usize = 2;

/// When things happen, as parts of the time of writing.
const CUT_AT: f64 = 0.2;
const HEAL_AT: f64 = 0.45;
const KILL_AT: f64 = 0.7;

/// How long a region is alone at least.
const ALONE_MIN: Duration = Duration::from_millis(500);

/// How long after a cut a region still asks for what it has missed, and how long a replica that was killed stays away, as parts
/// of the time of writing.
const SETTLING: f64 = 0.05;
const AWAY: f64 = 0.035;

/// How long after one side of a cut the other side changes the same things: long enough that clocks tell it apart.
const APART: Duration = Duration::from_millis(20);

/// The shortest time in step that says what a month would be.
const IN_STEP_MIN: Duration = Duration::from_secs(2);

/// How long is waited until what was written has arrived.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// How long the writers wrote.
    pub(crate) writing: Duration,
    /// How long it took until all had seen everything, if they have.
    pub(crate) converged: Option<Duration>,
    /// How many steps were lost with the replica that was killed, and done again.
    pub(crate) lost: u64,
    /// What each region used while they wrote.
    pub(crate) used: Vec<Usage>,
    /// The same for a time in which all were up and in touch, and how long that was, unless it was too short to tell much.
    pub(crate) in_step: Option<(Vec<Usage>, Duration)>,
    /// Promises that were not kept.
    pub(crate) faults: Vec<String>,
}

/// Where the story is told.
pub(crate) type Told = UnboundedSender<Event>;

/// Plays it.
pub(crate) async fn play(stage: &Stage, seconds_of_writing: u64, told: &Told) -> Outcome<Played> {
    let mut played = Played::default();
    open(stage, told).await?;
    let began = Instant::now();
    let before = used(stage);
    let time = Duration::from_secs(seconds_of_writing);
    let at = |part: f64| sleep_until(began + time.mul_f64(part));

    prepare(stage).await?;
    at(CUT_AT).await;
    cut(stage, told).await?;
    let cut_at = Instant::now();
    at(HEAL_AT).await;
    sleep_until(cut_at + ALONE_MIN).await;
    heal(stage, cut_at.elapsed(), told).await?;
    sleep(time.mul_f64(SETTLING)).await;
    let (settled, settled_at) = (used(stage), Instant::now());
    at(KILL_AT).await;
    played.in_step = Some((since(stage, &settled), settled_at.elapsed())).filter(|(_, time)| *time >= IN_STEP_MIN);
    kill(stage, time.mul_f64(AWAY), told, &mut played).await?;
    at(1.0).await;

    stage.stop().await?;
    played.writing = began.elapsed();
    played.used = since(stage, &before);
    let done: u64 = stage.progress.iter().map(|progress| progress.done.load(Ordering::Relaxed)).sum();
    let after = Instant::now();
    let says = format!("the writers stop after {} writes; what is under way arrives", count(done));
    tell(told, Event::new("stopped", says, json!({"writes": done})));
    let all: Vec<usize> = (0..REGIONS).collect();
    if reach(stage, &all, &all).await? {
        played.converged = Some(after.elapsed());
        let says = format!("every region has seen every write, {} after the last one", seconds(after.elapsed()));
        let data = json!({"seconds": after.elapsed().as_secs_f64()});
        tell(told, Event::new("converged", says, data).with(Tone::Good));
    } else {
        played.faults.push(format!("not every write has arrived everywhere within {}", seconds(PATIENCE)));
    }
    Ok(played)
}

/// What each region has used so far.
fn used(stage: &Stage) -> Vec<Usage> {
    (0..REGIONS).map(|region| stage.used(region)).collect()
}

fn since(stage: &Stage, before: &[Usage]) -> Vec<Usage> {
    used(stage).iter().zip(before).map(|(used, before)| used.since(before)).collect()
}

fn tell(told: &Told, event: Event) {
    // Whoever does not listen any more is not told.
    let _gone = told.send(event);
}

async fn open(stage: &Stage, told: &Told) -> Outcome<()> {
    let began = Instant::now();
    tell(
        told,
        Event::new("opening", "three replicas are opened, each over the log in its own bucket".to_owned(), json!({})),
    );
    let (first, second, third) = tokio::try_join!(stage.open(0), stage.open(1), stage.open(2))?;
    for (region, replica) in [first, second, third].into_iter().enumerate() {
        stage.start(region, replica)?;
    }
    let says = format!(
        "they are open after {}, and each takes {} writes a second from here on",
        seconds(began.elapsed()),
        count(STEPS_PER_SECOND)
    );
    let names: Vec<&str> = (0..REGIONS).map(|region| stage.name(region)).collect();
    tell(told, Event::new("opened", says, json!({"regions": names, "seconds": began.elapsed().as_secs_f64()})));
    Ok(())
}

/// Makes what both sides of the cut will change, and has everybody see it.
async fn prepare(stage: &Stage) -> Outcome<()> {
    let made =
        vec![Change::new("final/bonus", Act::Count(300)), Change::new("final/squad", Act::Add("Cleo".to_owned()))];
    stage.ask(STEADY, made).await?;
    if !reach(stage, &[ALONE, KILLED], &[STEADY]).await? {
        return Err(Failure::failed("what the first region wrote does not arrive in the others"));
    }
    // A new replica may still be reading what there was before it.
    let deadline = Instant::now() + PATIENCE;
    for region in 0..REGIONS {
        while !stage.replica(region)?.status().alarms.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

async fn cut(stage: &Stage, told: &Told) -> Outcome<()> {
    let name = stage.name(ALONE);
    stage.lines.cut(ALONE);
    let says = format!("{name} is CUT OFF: nothing gets in or out. It goes on writing, alone");
    tell(told, Event::new("cut_off", says, json!({"region": name})).with(Tone::Bad));
    stage.ask(ALONE, disputes(ALONE)).await?;
    sleep(APART).await;
    stage.ask(STEADY, disputes(STEADY)).await?;
    let says = format!("{name} and {} change the same four things, knowing nothing of each other", stage.name(STEADY));
    tell(told, Event::new("disputed", says, json!({"paths": DISPUTED.map(|(path, _)| path)})));
    Ok(())
}

/// The things that both sides of the cut change.
pub(crate) const DISPUTED: [(&str, Kind); 4] = [
    ("final/bonus", Kind::PnCounter),
    ("final/squad", Kind::OrSet),
    ("final/captain", Kind::LwwRegister),
    ("final/motto", Kind::MvRegister),
];

/// What one side does.
fn disputes(side: usize) -> Vec<Change> {
    let (bonus, squad, captain, motto) = match side {
        ALONE => (Act::Delete(Kind::PnCounter), Act::Remove("Cleo".to_owned()), "Bea", "Never alone"),
        _ => (Act::Count(7), Act::Add("Cleo".to_owned()), "Ada", "Together"),
    };
    let acts = [bonus, squad, Act::Write(captain.to_owned()), Act::WriteBeside(motto.to_owned())];
    DISPUTED.iter().zip(acts).map(|((path, _), act)| Change::new(*path, act)).collect()
}

/// What must come of it: that is what each type promises for concurrent changes.
pub(crate) fn settle(truth: &mut Truth) {
    let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    let outcomes = [
        Expected::Sum(7),
        Expected::All(set(&["Cleo"])),
        Expected::All(set(&["Ada"])),
        Expected::All(set(&["Never alone", "Together"])),
    ];
    for ((path, kind), outcome) in DISPUTED.into_iter().zip(outcomes) {
        truth.settle(path, kind, outcome);
    }
    truth.conflict("final/captain", Kind::LwwRegister, set(&["Ada", "Bea"]));
    truth.conflict("final/motto", Kind::MvRegister, set(&["Never alone", "Together"]));
}

async fn heal(stage: &Stage, alone: Duration, told: &Told) -> Outcome<()> {
    let name = stage.name(ALONE);
    let (out, inwards) = (unseen(stage, STEADY, ALONE), unseen(stage, ALONE, STEADY) + unseen(stage, ALONE, KILLED));
    let after = Instant::now();
    stage.lines.heal();
    let says = format!(
        "{name} is BACK after {}, {} writes ahead of the others and {} behind them",
        seconds(alone),
        count(out),
        count(inwards)
    );
    let data =
        json!({"region": name, "alone_seconds": alone.as_secs_f64(), "unseen_by_others": out, "unseen": inwards});
    tell(told, Event::new("healed", says, data));
    let others = [STEADY, KILLED];
    let (there, back) = tokio::try_join!(reach(stage, &others, &[ALONE]), reach(stage, &[ALONE], &others))?;
    if !(there && back) {
        return Err(Failure::failed(format!(
            "what was written during the cut has not arrived in {}",
            seconds(PATIENCE)
        )));
    }
    let says = format!("{name} has caught up, and the others with it, in {}", seconds(after.elapsed()));
    let data = json!({"region": name, "seconds": after.elapsed().as_secs_f64()});
    tell(told, Event::new("caught_up", says, data).with(Tone::Good));
    Ok(())
}

async fn kill(stage: &Stage, away: Duration, told: &Told, played: &mut Played) -> Outcome<()> {
    let (name, progress) = (stage.name(KILLED), &stage.progress[KILLED]);
    let count_of = || (progress.done.load(Ordering::Relaxed), progress.durable.load(Ordering::Relaxed));
    // A kill that can lose nothing shows nothing.
    for _ in 0..100 {
        let (done, durable) = count_of();
        if done > durable + STEPS_PER_SECOND / 4 {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    stage.kill(KILLED).await;
    let (done, durable) = count_of();
    let says = format!(
        "{name} is KILLED: its memory is gone, and with it up to {} writes",
        count(done.saturating_sub(durable))
    );
    let data = json!({"region": name, "writes": done, "known_durable": durable});
    tell(told, Event::new("killed", says, data).with(Tone::Bad));
    sleep(away).await;

    let after = Instant::now();
    let replica: Replica = stage.open(KILLED).await?;
    let mark = marked(&replica, &stage.prefix);
    let counted = replica.g_counter(&format!("{}{}", stage.prefix, stage.script.steps_path(KILLED)))?.value();
    if mark < durable {
        played.faults.push(format!("{name} had said that {durable} writes are durable, and {mark} have come back"));
    }
    if counted != u128::from(mark) {
        played.faults.push(format!("the mark of {name} says that {mark} writes were done, and {counted} were counted"));
    }
    stage.start(KILLED, replica)?;
    played.lost = done.saturating_sub(mark);
    let says = format!(
        "{name} is REOPENED in {}: mark and counter in its bucket say {} writes",
        seconds(after.elapsed()),
        count(mark)
    );
    let data = json!({
        "region": name, "seconds": after.elapsed().as_secs_f64(), "recovered": mark, "lost_and_made_again": played.lost
    });
    tell(told, Event::new("reopened", says, data).with(Tone::Good));
    let says = format!("it goes on exactly there, and makes the {} writes again that were lost", count(played.lost));
    tell(told, Event::new("resumed", says, json!({"region": name, "writes": played.lost})));
    Ok(())
}

/// Waits until some regions have seen what was done in others before this call. Returns whether they have.
async fn reach(stage: &Stage, readers: &[usize], writers: &[usize]) -> Outcome<bool> {
    let mut token = Token::default();
    for writer in writers {
        let replica = stage.replica(*writer)?;
        // A token tells of what is durable.
        replica.flush().await?;
        // Only what is its own: what it has seen of others is theirs.
        let own = replica.name().id();
        let dots = replica.token();
        token
            .join(&Token::from(dots.frontier().iter().filter(|dot| dot.replica == own).collect::<replica::Frontier>()));
    }
    let deadline = Instant::now() + PATIENCE;
    for reader in readers {
        let left = deadline.saturating_duration_since(Instant::now());
        if !stage.replica(*reader)?.wait_for_within(&token, left).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
