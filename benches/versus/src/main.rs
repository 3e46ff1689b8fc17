//! What does this project take for the same work as what a user would pick instead? Does it side by side, in one process, in turns;
//! checks that all come to the same; and prints a table with the bars that were promised.
//!
//! ```text
//! cargo run --release -p versus -- [--json FILE] [--quick] [WORK]...
//! cargo run --release -p versus -- draw FILE.json --out FILE.svg
//! ```
//!
//! A `WORK` is one of `sets`, `deltas`, `documents`, `snapshots`, `local`, `memory`, `bytes`, `reads`; without any, all are done.
//! Times are processor times of the one thread, medians without the first turn, and by the wall clock where several threads or
//! processes work. `--quick` takes tiny inputs and judges no bar. Whatever can be chosen is on the corpus of `benches/support/corpus.rs`.

mod draw;
mod peers;
mod race;
mod report;
mod works;

use std::{fs, process::ExitCode};

use peak_alloc::PeakAlloc;

use crate::{
    report::Report,
    works::{Scale, WORKS},
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const USAGE: &str = "usage: versus [--json FILE] [--quick] [WORK]...\n       versus draw FILE.json --out FILE.svg";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode, String> {
    if let [draw, from, out, to] = arguments
        && (draw.as_str(), out.as_str()) == ("draw", "--out")
    {
        let text = fs::read_to_string(from).map_err(|error| format!("{from}: {error}"))?;
        let drawn = draw::picture(&text).map_err(|error| format!("{from}: {error}"))?;
        fs::write(to, drawn).map_err(|error| format!("{to}: {error}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut json, mut quick, mut asked) = (None, false, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--json" => json = Some(rest.next().ok_or(USAGE)?),
            "--quick" => quick = true,
            work if WORKS.iter().any(|(name, _)| *name == work) => asked.push(work),
            other => return Err(format!("{other}: unknown\n{USAGE}")),
        }
    }
    let scale = if quick {
        Scale { n: 20_000, rows: 200, turns: 5, few: 2 }
    } else {
        Scale { n: 1_000_000, rows: 10_000, turns: 21, few: 5 }
    };
    let mut report = Report::new(!quick);
    for (_, measure) in WORKS.iter().filter(|(name, _)| asked.is_empty() || asked.contains(name)) {
        measure(&mut report, scale);
    }
    if let Some(path) = json {
        fs::write(path, format!("{:#}\n", report.to_json())).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(report.finish())
}
