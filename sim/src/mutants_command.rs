//! `sim mutants`: plants each fault, and says which check has found it.
//! Layer 6.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sim::{Limits, MUTANTS, Planted, Verdict};

/// Runs the command; `None` if it was not understood.
pub(crate) fn run(arguments: &[String]) -> Option<ExitCode> {
    let (mut limits, mut chosen): (Limits, Vec<&'static Planted>) = (Limits::default(), MUTANTS.iter().collect());
    for pair in arguments.chunks(2) {
        match pair {
            [option, name] if option == "--only" => chosen = vec![Planted::named(name)?],
            [option, seeds] if option == "--seeds" => limits.seeds = seeds.parse().ok()?,
            _ => return None,
        }
    }
    // What panics under a fault is told in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let verdicts = look_for_all(&chosen, limits);
    let survivors: Vec<&str> =
        verdicts.iter().filter(|verdict| verdict.found.is_none()).map(|verdict| verdict.planted.name).collect();
    let mut kills: Vec<u64> =
        verdicts.iter().filter(|verdict| verdict.found.is_some()).map(|verdict| verdict.seeds).collect();
    kills.sort_unstable();
    let took: Duration = verdicts.iter().map(|verdict| verdict.took).sum();
    let median = kills.get(kills.len() / 2).copied().unwrap_or(0);
    println!(
        "{} of {} found, half of them within {median} seeds; {:.1} s of CPU",
        kills.len(),
        chosen.len(),
        took.as_secs_f64()
    );
    if survivors.is_empty() {
        return Some(ExitCode::SUCCESS);
    }
    println!("not found: {}", survivors.join(" "));
    Some(ExitCode::FAILURE)
}

/// On every core: a fault is planted in one thread alone.
fn look_for_all(chosen: &[&'static Planted], limits: Limits) -> Vec<Verdict> {
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    println!("{:30} {:>5} {:>6}  check", "fault", "seeds", "ms");
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(chosen.len()) {
            scope.spawn(|| {
                while let Some(planted) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = planted.look(limits, &cpu_time);
                    tell(&verdict);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
                }
            });
        }
    });
    verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn tell(verdict: &Verdict) {
    let check = verdict.found.as_ref().map_or("NOT FOUND", |(_, failure)| failure.check);
    let others: String = verdict.others.iter().map(|(check, times)| format!("; {check}: {times}")).collect();
    println!("{:30} {:>5} {:>6}  {check}{others}", verdict.planted.name, verdict.seeds, verdict.took.as_millis());
}

/// The time that this thread has run; where the system does not say, the time that has passed.
#[expect(clippy::disallowed_methods, reason = "how long a search may take is not part of a run")]
fn cpu_time() -> Duration {
    thread_local!(static BEGAN: std::time::Instant = std::time::Instant::now());
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGAN.with(std::time::Instant::elapsed), Duration::from_nanos)
}
