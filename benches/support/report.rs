//! Figures, and tables of them beside their bars.

use std::{process::ExitCode, time::Duration};

use peak_alloc::PeakAlloc;

pub use crate::thousands::thousands;

/// A table in Markdown, printed as it is measured. Its last column says whether the bar is met.
#[derive(Debug)]
pub struct Table {
    judges_speed: bool,
    missed: bool,
}

impl Table {
    /// Prints the heads. Speed is judged unless the inputs are tiny.
    #[must_use]
    pub fn new(heads: &[&str], judges_speed: bool) -> Self {
        println!("| {} | |", heads.join(" | "));
        println!("|{}", "---|".repeat(heads.len() + 1));
        Self { judges_speed, missed: false }
    }

    /// Prints a row. `met` is `None` where there is nothing to judge.
    pub fn row(&mut self, cells: &[&str], met: Option<bool>) {
        let verdict = match met {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "not judged",
        };
        self.missed |= met == Some(false);
        println!("| {} | {verdict} |", cells.join(" | "));
    }

    /// Whether a bar of speed is met, if it is judged.
    #[must_use]
    pub fn speed(&self, met: bool) -> Option<bool> {
        self.judges_speed.then_some(met)
    }

    /// Fails when a bar was missed.
    #[must_use]
    pub const fn finish(self) -> ExitCode {
        if self.missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// The median of several runs but the first, in nanoseconds.
#[must_use]
pub fn median(mut times: Vec<Duration>) -> f64 {
    times.remove(0);
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64
}

/// What `build` returns, and how many bytes that keeps in use.
pub fn held<R>(memory: &PeakAlloc, build: impl FnOnce() -> R) -> (usize, R) {
    let before = memory.current_usage();
    let built = build();
    (memory.current_usage() - before, built)
}

/// A time for each of something.
#[must_use]
pub fn nanos(each: f64, unit: &str) -> String {
    let figure = if each < 1_000.0 { format!("{each:.1}") } else { thousands(each as usize) };
    format!("{figure} ns per {unit}")
}
