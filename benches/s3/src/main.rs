//! What do replicas on S3 cost, and how fast are they? Measures requests and bytes beside what `docs/operations.md` says,
//! the time from a change in one region to its being seen in another, and what writes and bootstraps take; prints tables, and
//! fails when a bar is missed.
//!
//! ```text
//! cargo run --release -p s3_table [-- --quick] [costs] [delays] [throughput]
//! ```
//!
//! Without any of these words all is measured, which takes some four minutes. The servers are those of `tests/servers`, in
//! this process, on 127.0.0.1, and share its cores. `--quick` takes tiny inputs and short times, and does not judge speed.

mod costs;
mod delays;
mod newcomer;
mod throughput;
mod world;

use std::process::ExitCode;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Scale {
    is_quick: bool,
}

impl Scale {
    /// The one figure, or with `--quick` the other.
    fn of<T>(self, whole: T, quick: T) -> T {
        if self.is_quick { quick } else { whole }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let [word, own, peer] = &*arguments
        && word == newcomer::WORD
    {
        runtime.block_on(newcomer::begin(own, peer));
        return ExitCode::SUCCESS;
    }
    let scale = Scale { is_quick: arguments.iter().any(|argument| argument == "--quick") };
    let asked: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let is_asked = |what: &str| asked.is_empty() || asked.iter().any(|word| *word == what);
    let mut verdicts = Vec::new();
    if is_asked("costs") {
        verdicts.push(runtime.block_on(costs::measure(scale)));
    }
    if is_asked("delays") {
        verdicts.push(runtime.block_on(delays::measure(scale)));
    }
    if is_asked("throughput") {
        verdicts.push(runtime.block_on(throughput::measure(scale)));
    }
    if verdicts.iter().all(|verdict| *verdict == ExitCode::SUCCESS) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
