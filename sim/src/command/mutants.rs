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
use sim::{Limits, MUTANTS, Planted, Verdict};

use super::{Ended, Refused};

#[derive(Args)]
pub(super) struct Options {
    /// Plants this one alone
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// In how many stories each is looked for at most
    #[arg(long, value_name = "N", default_value_t = Limits::default().seeds)]
    seeds: u64,
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
    writeln!(out, "{:30} {:>5} {:>6}  check", "fault", "seeds", "ms")?;
    let verdicts = look_for_all(&chosen, limits, |verdict| tell(verdict, out))?;
    let found = |verdict: &&Verdict| verdict.found.is_some();
    let mut kills: Vec<u64> = verdicts.iter().filter(found).map(|verdict| verdict.seeds).collect();
    kills.sort_unstable();
    let took: Duration = verdicts.iter().map(|verdict| verdict.took).sum();
    let median = kills.get(kills.len() / 2).copied().unwrap_or(0);
    let (killed, all, took) = (kills.len(), chosen.len(), took.as_secs_f64());
    writeln!(out, "{killed} of {all} found, half of them within {median} seeds; {took:.1} s of CPU")?;
    let survivors: Vec<&str> =
        verdicts.iter().filter(|verdict| !found(verdict)).map(|verdict| verdict.planted.name).collect();
    if !survivors.is_empty() {
        writeln!(out, "not found: {}", survivors.join(" "))?;
    }
    Ok(survivors.is_empty())
}

/// On every core: a fault is planted in one thread alone.
fn look_for_all(
    chosen: &[&'static Planted],
    limits: Limits,
    mut tell: impl FnMut(&Verdict) -> io::Result<()>,
) -> io::Result<Vec<Verdict>> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(chosen.len()) {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                while let Some(planted) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody listens any more when the output is closed.
                    if sender.send(planted.look(limits, &cpu_time)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver.into_iter().map(|verdict| tell(&verdict).map(|()| verdict)).collect()
    })
}

fn tell(verdict: &Verdict, out: &mut impl Write) -> io::Result<()> {
    let check = verdict.found.as_ref().map_or("NOT FOUND", |(_, failure)| failure.check);
    let others: String = verdict.others.iter().map(|(check, times)| format!("; {check}: {times}")).collect();
    writeln!(out, "{:30} {:>5} {:>6}  {check}{others}", verdict.planted.name, verdict.seeds, verdict.took.as_millis())
}

/// The time that this thread has run; where the system does not say, the time that has passed.
#[expect(clippy::disallowed_methods, reason = "how long a search may take is not part of a run")]
fn cpu_time() -> Duration {
    thread_local!(static BEGAN: std::time::Instant = std::time::Instant::now());
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGAN.with(std::time::Instant::elapsed), Duration::from_nanos)
}
