//! `demo`: the main job, live. Three regions write to one leaderboard at once; one is cut off and goes on alone, a replica is
//! killed and reopened; all converge, on what was worked out beside them.

mod cost;
mod line;
mod measure;
mod plot;
mod report;
mod screen;
mod script;
#[cfg(feature = "serve")]
mod serve;
mod stage;
mod truth;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    pin::pin,
    process::ExitCode,
    sync::atomic::Ordering,
    time::Duration,
};

use replica::{Conflict, Replica, Value};
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use self::{
    measure::Measures,
    plot::Played,
    report::Report,
    screen::{Event, Scene, Screen, Tone},
    stage::{REGIONS, Stage},
    truth::{Key, Truth, compare},
};
use crate::{
    args::Global,
    failure::{Failure, Outcome},
    output::Output,
    signals::Signals,
};

/// How often the regions are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What is asked for.
pub(crate) struct Options<'a> {
    pub(crate) config: Option<&'a Path>,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    /// Makes the truth wrong, which must be noticed.
    pub(crate) falsify: bool,
    /// Serves the regions instead, from this port on.
    #[cfg(feature = "serve")]
    pub(crate) serve: Option<u16>,
}

impl<'a> Options<'a> {
    pub(crate) fn new(global: &'a Global, seconds: u64, seed: u64, falsify: bool) -> Outcome<Self> {
        if global.region.is_some() || global.replica.is_some() {
            return Err(Failure::usage(
                "the demonstration is in all regions at once: it takes no --region and no --replica",
            ));
        }
        Ok(Self {
            config: global.config.as_deref(),
            seconds,
            seed,
            falsify,
            #[cfg(feature = "serve")]
            serve: None,
        })
    }
}

pub(crate) async fn demo(options: &Options<'_>, out: &mut Output) -> Outcome {
    let mut signals = Signals::listen()?;
    let stage = Stage::set(options.config, options.seed)?;
    #[cfg(feature = "serve")]
    if let Some(port) = options.serve {
        let outcome = serve::serve(&stage, port, &mut signals, out).await;
        stage.clear().await;
        return outcome;
    }
    let outcome = tokio::select! {
        outcome = perform(options, &stage, out) => outcome,
        code = signals.next() => {
            anstream::eprintln!("interrupted");
            Ok(ExitCode::from(code))
        }
    };
    stage.clear().await;
    outcome
}

async fn perform(options: &Options<'_>, stage: &Stage, out: &mut Output) -> Outcome {
    let mut screen = Screen::new(out);
    introduce(options, stage, &mut screen)?;
    let mut measures = Measures::new(REGIONS);
    let mut played = watch(options, stage, &mut screen, &mut measures).await?;

    let truth = truth(options, stage);
    let (mut seen, mut tops, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
    for region in 0..REGIONS {
        let (name, view) = (stage.name(region), stage.seen(region)?);
        let (top, listed) = (measure::top(&view), view.replica.conflicts(&stage.prefix).collect::<Vec<Conflict>>());
        let wrong = truth
            .check_board("score/", measure::TOP, &top)
            .into_iter()
            .chain(truth.check_conflicts(&texts(stage, &listed)));
        played.faults.extend(wrong.map(|says| format!("{name}: {says}")));
        seen.push((name.to_owned(), shown(&view.replica, &stage.prefix)));
        tops.push(top);
        conflicts.push(listed);
    }
    if conflicts.iter().any(|listed| *listed != conflicts[0]) {
        played.faults.push("the regions list different conflicts".to_owned());
    }
    if tops.iter().any(|top| *top != tops[0]) {
        played.faults.push("the regions show different boards".to_owned());
    }
    let differences = compare(&truth.expected(), &seen);
    let agrees = differences.is_empty() && played.faults.is_empty();
    let writes = (0..REGIONS).map(|region| done(stage, region)).sum();
    let (played, measures, truth) = (&played, &measures, &truth);
    let (seen, tops, conflicts, differences) = (&*seen, &*tops, &*conflicts, &*differences);
    Report { stage, played, measures, truth, seen, tops, conflicts, differences, writes }.print(&mut screen)?;
    conclude(options, stage, &mut screen)?;
    Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what there is to be seen.
fn introduce(options: &Options<'_>, stage: &Stage, screen: &mut Screen<'_>) -> Outcome<()> {
    if screen.is_json() {
        let names: Vec<&str> = (0..REGIONS).map(|region| stage.name(region)).collect();
        let (seed, seconds) = (options.seed, options.seconds);
        let begun = json!({"regions": names, "seed": seed, "seconds": seconds, "prefix": stage.prefix});
        return screen.tell(Duration::ZERO, &Event::new("begun", String::new(), begun));
    }
    let title = screen.paint(Tone::Title, "Three regions keep one leaderboard, and each takes writes at once.");
    screen.line(title)?;
    screen.line("No server and no database is between them: only a bucket in each region, which")?;
    screen.line("the others read.")?;
    let place = match (stage.folder(), options.config) {
        (Some(folder), _) => {
            screen.line("Here each bucket is a directory, synced to the disk, and a request to another")?;
            screen.line("region is made to take 70 to 220 ms, as over an ocean. All of it is removed at")?;
            screen.line("the end; until then it lies in")?;
            format!("  {}", folder.display())
        }
        (None, Some(file)) => {
            format!("The buckets are those of {}; all paths begin with {}.", file.display(), stage.prefix)
        }
        (None, None) => String::new(),
    };
    screen.line(place)?;
    screen.line("")?;
    screen.flush()
}

/// Has it played, and shows it meanwhile.
async fn watch(
    options: &Options<'_>,
    stage: &Stage,
    screen: &mut Screen<'_>,
    measures: &mut Measures,
) -> Outcome<Played> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let began = Instant::now();
    let mut writing_since: Option<Instant> = None;
    let mut play = pin!(plot::play(stage, options.seconds, &tell));
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            Some(event) = told.recv() => {
                screen.tell(began.elapsed(), &event)?;
                if writing_since.is_none() && event.begins_writing() {
                    writing_since = Some(Instant::now());
                    screen.head(began.elapsed(), &stage.script.regions)?;
                }
            }
            played = &mut play => {
                while let Ok(event) = told.try_recv() {
                    screen.tell(began.elapsed(), &event)?;
                }
                return played;
            }
            _ = looks.tick(), if writing_since.is_some() => {
                if let Some(failure) = stage.failed().await {
                    return Err(failure);
                }
                let at = began.elapsed();
                let sights = measures.look(stage, at);
                let before = writing_since.map_or(Duration::ZERO, |since| since - began);
                screen.show(&Scene {
                    at,
                    of: Duration::from_secs(options.seconds) + before,
                    names: &stage.script.regions,
                    sights: &sights,
                    cut_off: stage.lines.cut_off(),
                })?;
            }
        }
    }
}

/// What must be seen, worked out from the steps that were done.
fn truth(options: &Options<'_>, stage: &Stage) -> Truth {
    let mut truth = Truth::default();
    for region in 0..REGIONS {
        for number in 1..=done(stage, region) {
            for change in stage.script.step(region, number) {
                truth.note(region, change);
            }
        }
    }
    plot::settle(&mut truth);
    if options.falsify {
        truth.falsify();
    }
    truth
}

fn done(stage: &Stage, region: usize) -> u64 {
    stage.progress[region].done.load(Ordering::Relaxed)
}

/// All that a region shows of this run.
fn shown(replica: &Replica, prefix: &str) -> BTreeMap<Key, Value> {
    let scan = replica.scan(prefix);
    scan.map(|(key, value)| ((key.path()[prefix.len()..].to_owned(), key.kind()), value)).collect()
}

/// The writes of each conflict, as text.
fn texts(stage: &Stage, listed: &[Conflict]) -> BTreeMap<Key, BTreeSet<String>> {
    let of = |conflict: &Conflict| {
        let path = conflict.key.path()[stage.prefix.len()..].to_owned();
        let writes = conflict.writes.iter().map(|write| truth::text(&write.value)).collect();
        ((path, conflict.key.kind()), writes)
    };
    listed.iter().map(of).collect()
}

/// Says where to look further.
fn conclude(options: &Options<'_>, stage: &Stage, screen: &mut Screen<'_>) -> Outcome<()> {
    if let Some(file) = options.config
        && !screen.is_json()
    {
        let (file, prefix) = (file.display(), &stage.prefix);
        screen.line(format_args!("It is all still there: archipelago --config {file} top {prefix}score/"))?;
    }
    screen.flush()
}
