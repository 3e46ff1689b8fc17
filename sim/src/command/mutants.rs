//! `sim mutants`: plants each fault, and says which check has found it.
//! Layer 6.

use std::{
    io::{self, Write},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use clap::Args;
use sim::{Effort, Limits, MUTANTS, Planted, Story, Verdict};

use super::{Ended, Refused};

/// What is left of a story that was shrunk is small when it has at most so many operations and faults, and took so long.
const OPERATIONS_MAX: usize = 12;
const FAULTS_MAX: usize = 3;
const SHRUNK_WITHIN: Duration = Duration::from_secs(60);

/// How many of ten must be small.
const SMALL_OF_TEN: usize = 9;

#[derive(Args)]
pub(super) struct Options {
    /// Plants this one alone
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// In how many stories each is looked for at most
    #[arg(long, value_name = "N", default_value_t = Limits::default().seeds)]
    seeds: u64,
    /// Makes each story small in which a fault was found, and fails unless nine in ten get small
    #[arg(long)]
    shrink: bool,
}

/// What became of one.
struct Looked {
    verdict: Verdict,
    small: Option<Small>,
}

/// The story in which it was found, made small.
struct Small {
    story: Story,
    plays: u64,
    took: Duration,
}

impl Small {
    fn is_small(&self) -> bool {
        let (operations, faults) = (self.story.operations(), self.story.faults());
        operations <= OPERATIONS_MAX && faults <= FAULTS_MAX && self.took <= SHRUNK_WITHIN
    }
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Ended {
    let chosen: Vec<&'static Planted> = match &options.only {
        None => MUTANTS.iter().collect(),
        Some(name) => {
            let named = Planted::named(name);
            let names = || MUTANTS.iter().map(|planted| planted.name).collect::<Vec<_>>().join(" ");
            vec![named.ok_or_else(|| Refused(format!("there is no fault {name:?}, but {}", names())))?]
        }
    };
    let limits = Limits { seeds: options.seeds, ..Limits::default() };
    // What panics under a fault is told in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let left = if options.shrink { " operations faults plays     s " } else { "" };
    writeln!(out, "{:30} {:>5} {:>6} {left} check", "fault", "seeds", "ms")?;
    let all = look_for_all(&chosen, limits, options.shrink, |looked| tell(looked, out))?;
    let found = |looked: &&Looked| looked.verdict.found.is_some();
    let mut kills: Vec<u64> = all.iter().filter(found).map(|looked| looked.verdict.seeds).collect();
    kills.sort_unstable();
    let took: Duration = all.iter().map(|looked| looked.verdict.took).sum();
    let median = kills.get(kills.len() / 2).copied().unwrap_or(0);
    let (killed, chosen, took) = (kills.len(), chosen.len(), took.as_secs_f64());
    writeln!(out, "{killed} of {chosen} found, half of them within {median} seeds; {took:.1} s of CPU")?;
    let survivors: Vec<&str> =
        all.iter().filter(|looked| !found(looked)).map(|looked| looked.verdict.planted.name).collect();
    if !survivors.is_empty() {
        writeln!(out, "not found: {}", survivors.join(" "))?;
    }
    let is_small = !options.shrink || tell_small(&all, out)?;
    Ok(survivors.is_empty() && is_small)
}

/// How many stories got small. True if that is enough of them.
fn tell_small(all: &[Looked], out: &mut impl Write) -> io::Result<bool> {
    let shrunk: Vec<(&str, &Small)> =
        all.iter().filter_map(|looked| Some((looked.verdict.planted.name, looked.small.as_ref()?))).collect();
    let large: Vec<&str> = shrunk.iter().filter(|(_, small)| !small.is_small()).map(|(name, _)| *name).collect();
    let (small, of) = (shrunk.len() - large.len(), shrunk.len());
    let within = SHRUNK_WITHIN.as_secs();
    writeln!(
        out,
        "{small} of {of} shrunk to at most {OPERATIONS_MAX} operations and {FAULTS_MAX} faults within {within} s of CPU"
    )?;
    if !large.is_empty() {
        writeln!(out, "not so small: {}", large.join(" "))?;
    }
    Ok(small * 10 >= of * SMALL_OF_TEN)
}

/// On every core: a fault is planted in one thread alone.
fn look_for_all(
    chosen: &[&'static Planted],
    limits: Limits,
    is_to_shrink: bool,
    mut tell: impl FnMut(&Looked) -> io::Result<()>,
) -> io::Result<Vec<Looked>> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(chosen.len()) {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                while let Some(planted) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = planted.look(limits, &cpu_time);
                    let small = if is_to_shrink { shrunk(&verdict) } else { None };
                    // Nobody listens any more when the output is closed.
                    if sender.send(Looked { verdict, small }).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver.into_iter().map(|looked| tell(&looked).map(|()| looked)).collect()
    })
}

fn shrunk(verdict: &Verdict) -> Option<Small> {
    let (seed, failure) = verdict.found.as_ref()?;
    let (planted, began) = (verdict.planted, cpu_time());
    let shrunk = planted.shrink(&planted.story(*seed), failure.check, Effort::default());
    Some(Small { story: shrunk.story, plays: shrunk.plays, took: cpu_time().saturating_sub(began) })
}

fn tell(Looked { verdict, small }: &Looked, out: &mut impl Write) -> io::Result<()> {
    let check = verdict.found.as_ref().map_or("NOT FOUND", |(_, failure)| failure.check);
    let others: String = verdict.others.iter().map(|(check, times)| format!("; {check}: {times}")).collect();
    let left = small.as_ref().map_or(String::new(), |small| {
        let (operations, faults, took) = (small.story.operations(), small.story.faults(), small.took.as_secs_f64());
        format!(" {operations:>10} {faults:>6} {:>5} {took:>5.1} ", small.plays)
    });
    let (name, seeds, took) = (verdict.planted.name, verdict.seeds, verdict.took.as_millis());
    writeln!(out, "{name:30} {seeds:>5} {took:>6} {left} {check}{others}")?;
    out.flush()
}

/// The time that this thread has run; where the system does not say, the time that has passed.
#[expect(clippy::disallowed_methods, reason = "how long a search may take is not part of a run")]
fn cpu_time() -> Duration {
    thread_local!(static BEGAN: std::time::Instant = std::time::Instant::now());
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGAN.with(std::time::Instant::elapsed), Duration::from_nanos)
}
