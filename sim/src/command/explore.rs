//! `sim explore`: plays all histories of short scenarios, and says how many there are.
//! Layer 6.

use std::{
    io::{self, Write},
    num::NonZero,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use clap::Args;
use serde_json::{Value, json};
use sim::{Branch, Effort, Explored, POINTS, SCENARIOS, Scenario, Share, StoryFile, play, shrink};

use super::{Ended, Refused, clock, figures, progress::Progress, report, source, tally::Took};

/// What can be asked.
#[derive(Args)]
pub(super) struct Options {
    /// One scenario alone
    #[arg(long, value_name = "SCENARIO", value_parser = scenario)]
    only: Option<&'static Scenario>,
    /// A part of the branches: the N-th of M equal parts, such as 1/40
    #[arg(long, value_name = "N/M", default_value = "1/1", value_parser = share)]
    share: Share,
    /// How many threads play, which changes nothing but the time it takes [default: one for each processor]
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
    /// Prints one JSON object; what failed goes to standard error
    #[arg(long)]
    json: bool,
    /// Where the files of stories that failed are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

fn scenario(text: &str) -> Result<&'static Scenario, String> {
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    Scenario::named(text).ok_or(format!("there are: {}", names.join(" ")))
}

fn share(text: &str) -> Result<Share, String> {
    let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    let share = numbers.map(|(part, of)| Share { part, of });
    share.filter(|Share { part, of }| (1..=*of).contains(part)).ok_or("a share is N/M, with N from 1 to M".to_owned())
}

pub(super) fn run(options: &Options, out: &mut dyn Write) -> Ended {
    if !options.out.is_dir() {
        return Err(Refused(format!("there is no such folder: {}", options.out.display())));
    }
    let scenarios: Vec<&'static Scenario> =
        options.only.map_or_else(|| SCENARIOS.iter().collect(), |scenario| vec![scenario]);
    let (began, before) = (clock::now(), clock::processor());
    let explored = explore_all(options, &scenarios, began);
    let took = Took { processor: clock::processor().saturating_sub(before), real: clock::now() - began };
    let (mut errors, is_json) = (io::stderr().lock(), options.json);
    let told: &mut dyn Write = if is_json { &mut errors } else { &mut *out };
    let mut failures = Vec::new();
    for (scenario, explored) in scenarios.iter().zip(&explored) {
        if let Some(failure) = tell(options, scenario, explored, told)? {
            failures.push(failure);
        }
    }
    let holds = failures.is_empty();
    if is_json {
        writeln!(out, "{}", object(options.share, &scenarios, &explored, &failures, took))?;
    } else {
        table(out, options.share, &scenarios, &explored, took)?;
    }
    Ok(holds)
}

/// On all threads: first what each scenario begins with, then the branches. What comes of it is put together in their
/// order.
fn explore_all(options: &Options, scenarios: &[&'static Scenario], began: Instant) -> Vec<Explored> {
    let jobs = options.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let mut progress = Progress::new(began);
    let begun = on_threads(jobs, scenarios, |scenario| scenario.begin(), |_| ());
    let mut all = Vec::new();
    let mut branches: Vec<(usize, Branch)> = Vec::new();
    for (number, (explored, found)) in begun.into_iter().enumerate() {
        if explored.failure.is_none() {
            branches.extend(options.share.of(found).into_iter().map(|branch| (number, branch)));
        }
        all.push(explored);
    }
    let failed: Vec<Mutex<bool>> = scenarios.iter().map(|_| Mutex::new(false)).collect();
    let is_failed = |number: usize| failed[number].lock().unwrap_or_else(PoisonError::into_inner);
    let follow = |(number, branch): &(usize, Branch)| {
        if *is_failed(*number) {
            return Explored::default();
        }
        let explored = scenarios[*number].follow(branch);
        *is_failed(*number) |= explored.failure.is_some();
        explored
    };
    let so_far = |done| format!("{} of {} branches", figures::grouped(done), figures::grouped(branches.len() as u64));
    let followed = on_threads(jobs, &branches, follow, |done| progress.tell(|| so_far(done)));
    progress.end();
    for ((number, _), explored) in branches.iter().zip(followed) {
        all[*number].add(explored);
    }
    all
}

/// What `work` makes of each, in their order. `tell` is told how many are done.
fn on_threads<T: Sync, R: Send>(
    jobs: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut tell: impl FnMut(u64),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.min(items.len()) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { return };
                    if sender.send((number, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut done: Vec<(usize, R)> = Vec::with_capacity(items.len());
        for made in receiver {
            done.push(made);
            tell(done.len() as u64);
        }
        done.sort_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, made)| made).collect()
    })
}

/// Tells of a failure, if there was one, made small, and writes its story to a file.
fn tell(
    options: &Options,
    scenario: &Scenario,
    explored: &Explored,
    out: &mut dyn Write,
) -> Result<Option<Value>, Refused> {
    let Some((story, failure)) = &explored.failure else { return Ok(None) };
    let shrunk = shrink(story, failure.check, Effort::default());
    let small = play(&shrunk.story).failure.unwrap_or_else(|| failure.clone());
    report::failure(out, scenario.name, &small)?;
    writeln!(out, "  in short, found in {} plays:", figures::grouped(shrunk.plays))?;
    report::story(out, &shrunk.story)?;
    let paths = [("fail", &shrunk.story, "What is left of a history"), ("whole", story, "A history")].map(
        |(name, story, what)| {
            let path = options.out.join(format!("{name}-{}.json", scenario.name));
            let about = format!("{what} of the scenario `{}`.", scenario.name);
            source::write(&path, &StoryFile::new(story.clone(), about, Some(failure.check)).write()).map(|()| path)
        },
    );
    let [short, whole] = paths;
    let (short, whole) = (short?, whole?);
    writeln!(out, "  again:     sim replay {}", short.display())?;
    writeln!(out, "  as it was: sim replay {}", whole.display())?;
    writeln!(out, "  a picture: sim draw {} --out fail-{}.svg\n", short.display(), scenario.name)?;
    Ok(Some(json!({
        "scenario": scenario.name,
        "check": small.check,
        "must": small.must,
        "seen": small.seen,
        "file": short.display().to_string(),
    })))
}

fn table(
    out: &mut dyn Write,
    share: Share,
    scenarios: &[&Scenario],
    explored: &[Explored],
    took: Took,
) -> io::Result<()> {
    writeln!(out, "{:<12} {:>10}  by size, from 0 on", "scenario", "histories")?;
    for (scenario, explored) in scenarios.iter().zip(explored) {
        let sizes: Vec<String> = explored.histories.values().map(|count| figures::grouped(*count)).collect();
        let count = figures::grouped(explored.count());
        writeln!(out, "{:<12} {count:>10}  {}", scenario.name, sizes.join(" + "))?;
    }
    let sum = |of: fn(&Explored) -> u64| explored.iter().map(of).sum::<u64>();
    let mut all = Explored::default();
    explored.iter().for_each(|explored| all.points.merge(&explored.points));
    let mut line = |name: &str, value: String| writeln!(out, "  {name:<16} {value}");
    if share != Share::ALL {
        line("share", format!("{} of {}", share.part, share.of))?;
    }
    line("histories", figures::grouped(sum(Explored::count)))?;
    line("different runs", figures::grouped(sum(|explored| explored.traces.len() as u64)))?;
    line("plays", figures::grouped(sum(|explored| explored.plays)))?;
    let events = sum(|explored| explored.events);
    let per_second = figures::grouped(figures::rate(events as f64, took.processor));
    line("events", format!("{}, {per_second} in a second of processor time", figures::grouped(events)))?;
    line("took", format!("{} of processor time in {}", figures::long(took.processor), figures::long(took.real)))?;
    line("points", format!("{} of {} reached", POINTS.len() - all.points.never_reached().len(), POINTS.len()))?;
    let failed = explored.iter().filter(|explored| explored.failure.is_some()).count();
    line("failed", format!("{failed} of {} scenarios", scenarios.len()))
}

fn object(share: Share, scenarios: &[&Scenario], explored: &[Explored], failures: &[Value], took: Took) -> Value {
    let each = |(scenario, explored): (&&Scenario, &Explored)| {
        json!({
            "scenario": scenario.name,
            "histories": explored.count(),
            "by_size": explored.histories,
            "different_runs": explored.traces.len(),
            "plays": explored.plays,
            "events": explored.events,
        })
    };
    let events: u64 = explored.iter().map(|explored| explored.events).sum();
    json!({
        "share": format!("{}/{}", share.part, share.of),
        "histories": explored.iter().map(Explored::count).sum::<u64>(),
        "events": events,
        "cpu_seconds": took.processor.as_secs_f64(),
        "real_seconds": took.real.as_secs_f64(),
        "events_per_cpu_second": figures::rate(events as f64, took.processor),
        "scenarios": scenarios.iter().zip(explored).map(each).collect::<Vec<_>>(),
        "failures": failures,
    })
}
