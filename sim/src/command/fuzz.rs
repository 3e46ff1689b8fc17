//! `sim fuzz`: plays stories drawn from seeds, on several threads, and tells which failed.
//! Layer 6.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    num::NonZero,
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;
use sim::{Effort, Failure, Outcome, Shrunk, StoryFile, generate, play, play_beginning, shrink};

use super::{
    Ended, Refused, clock, figures,
    progress::Progress,
    report, source,
    tally::{Tally, Took},
};

/// How many failures are looked for.
const FAILURES_MAX: usize = 20;

/// How many of them are made small.
const SHRUNK_MAX: usize = 3;

/// What can be asked.
#[derive(Args)]
pub(super) struct Options {
    /// How many stories are played [default: 1000]
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    seeds: Option<u64>,
    /// For how long stories are played, rather than how many
    #[arg(long, value_name = "M", value_parser = minutes)]
    minutes: Option<Duration>,
    /// The first seed, or `random` [default: 0; with --minutes: random]
    #[arg(long, value_name = "S", value_parser = start)]
    start: Option<Start>,
    /// Of each story only the beginning, about so many events: it breaks off, and does not get quiet
    #[arg(long, value_name = "E")]
    events: Option<u64>,
    /// How many regions there are
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=7))]
    regions: u8,
    /// How many threads play, which changes nothing but the time it takes [default: one for each processor]
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
    /// Prints one JSON object; what failed goes to standard error
    #[arg(long)]
    json: bool,
    /// Where the files of stories that failed are written [default: `archipelago-sim` in the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy)]
enum Start {
    At(u64),
    Random,
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "random" => Ok(Start::Random),
        _ => text.parse().map(Start::At).map_err(|_| "a seed is a number, or `random`".to_owned()),
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number of minutes".to_owned())?;
    let seconds = minutes * 60.0;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or("not a number of minutes".to_owned())
}

pub(super) fn run(options: &Options, out: &mut dyn Write) -> Ended {
    if let Some(folder) = options.out.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(Refused(format!("there is no such folder: {}", folder.display())));
    }
    let default = if options.minutes.is_some() { Start::Random } else { Start::At(0) };
    let first = match options.start.unwrap_or(default) {
        Start::At(first) => first,
        Start::Random => clock::fresh_seed(),
    };
    let (began, before) = (clock::now(), clock::processor());
    let tally = play_all(options, first, began);
    let took = Took { processor: clock::processor().saturating_sub(before), real: clock::now() - began };
    let (mut errors, is_json) = (io::stderr().lock(), options.json);
    let told: &mut dyn Write = if is_json { &mut errors } else { &mut *out };
    let mut failures = Vec::new();
    for (index, (seed, failure)) in tally.failures.iter().enumerate() {
        let file = tell(options, *seed, failure, index < SHRUNK_MAX, told)?;
        failures.push(json!({
            "seed": seed,
            "check": failure.check,
            "must": failure.must,
            "seen": failure.seen,
            "at_seconds": failure.at.as_secs_f64(),
            "replay": again(options, *seed),
            "file": file,
        }));
    }
    // Where fewer regions are, or more, no one has counted.
    let missing = if options.regions == 3 { tally.missing() } else { Vec::new() };
    if is_json {
        let mut object = tally.json(took);
        object["missing"] = missing.clone().into();
        object["first_seed"] = first.into();
        object["regions"] = options.regions.into();
        object["failures"] = failures.into();
        writeln!(out, "{object}")?;
    } else {
        let last = first.saturating_add(tally.seeds.saturating_sub(1));
        writeln!(
            out,
            "{} regions, seeds {first} to {last} (--start {first} --seeds {})",
            options.regions, tally.seeds
        )?;
        tally.tell(out, took)?;
        if !missing.is_empty() {
            writeln!(out, "FAILED: so many stories must reach these points, and have not: {}", missing.join("; "))?;
        }
    }
    Ok(tally.failures.is_empty() && missing.is_empty())
}

/// Plays on all threads. What comes of it is put together in the order of seeds, so that it does not depend on them.
fn play_all(options: &Options, first: u64, began: Instant) -> Tally {
    let most = if options.minutes.is_some() { u64::MAX } else { options.seeds.unwrap_or(1_000) };
    let jobs = options.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let (next, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let is_over =
        || enough.load(Ordering::Relaxed) || options.minutes.is_some_and(|minutes| clock::now() - began >= minutes);
    let (sender, receiver) = mpsc::channel::<(u64, Outcome)>();
    let mut progress = Progress::new(began);
    let mut tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, is_over) = (sender.clone(), &next, &is_over);
            scope.spawn(move || {
                while !is_over() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = first.checked_add(number).filter(|_| number < most) else { return };
                    let story = generate(seed, usize::from(options.regions));
                    let outcome = options.events.map_or_else(|| play(&story), |events| play_beginning(&story, events));
                    if sender.send((number, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        for (number, outcome) in receiver {
            waiting.insert(number, outcome);
            while let Some(outcome) = waiting.remove(&tally.seeds).filter(|_| tally.failures.len() < FAILURES_MAX) {
                tally.add(first + tally.seeds, outcome);
            }
            if tally.failures.len() >= FAILURES_MAX {
                enough.store(true, Ordering::Relaxed);
            }
            progress.tell(|| so_far(options, began, &tally));
        }
    });
    progress.end();
    tally
}

/// Tells of a failure, and gives the file in which the story was written.
fn tell(
    options: &Options,
    seed: u64,
    failure: &Failure,
    is_to_shrink: bool,
    out: &mut dyn Write,
) -> Result<Option<String>, Refused> {
    let name = format!("seed {seed}");
    if !is_to_shrink {
        let seen = failure.seen.lines().next().unwrap_or_default().to_owned();
        report::failure(out, &name, &Failure { seen, ..failure.clone() })?;
        writeln!(out, "  again:     {}\n", again(options, seed))?;
        return Ok(None);
    }
    let Shrunk { story, plays, .. } =
        shrink(&generate(seed, usize::from(options.regions)), failure.check, Effort::default());
    // What was seen in the small story is easier to understand.
    let small = play(&story).failure.unwrap_or_else(|| failure.clone());
    report::failure(out, &name, &small)?;
    writeln!(out, "  in short, found in {} plays:", figures::grouped(plays))?;
    report::story(out, &story)?;
    let path = folder(options)?.join(format!("fail-{seed}.json"));
    let about = format!("What is left of seed {seed} with {} regions.", options.regions);
    source::write(&path, &StoryFile::new(story, about, Some(failure.check)).write())?;
    writeln!(out, "  again:     sim replay {}", path.display())?;
    writeln!(out, "  as it was: {}", again(options, seed))?;
    writeln!(out, "  a picture: sim draw {} --out {}\n", path.display(), path.with_extension("svg").display())?;
    Ok(Some(path.display().to_string()))
}

/// Where stories are written: nothing is left in the folder in which the command is run.
fn folder(options: &Options) -> Result<PathBuf, Refused> {
    if let Some(folder) = &options.out {
        return Ok(folder.clone());
    }
    let folder = std::env::temp_dir().join("archipelago-sim");
    let made = fs::create_dir_all(&folder);
    made.map_err(|error| Refused(format!("{}: it cannot be made: {error}", folder.display())))?;
    Ok(folder)
}

fn again(options: &Options, seed: u64) -> String {
    match options.regions {
        3 => format!("sim replay {seed}"),
        regions => format!("sim replay {seed} --regions {regions}"),
    }
}

/// How far it has got.
fn so_far(options: &Options, began: Instant, tally: &Tally) -> String {
    let most = if options.minutes.is_some() { None } else { Some(options.seeds.unwrap_or(1_000)) };
    let of = most.map_or(String::new(), |most| format!(" of {}", figures::grouped(most)));
    let speed = figures::grouped(figures::rate(tally.events as f64, clock::now() - began));
    let (seeds, failed) = (figures::grouped(tally.seeds), tally.failures.len());
    format!("{seeds}{of} seeds, {failed} failed, {speed} events/s")
}
