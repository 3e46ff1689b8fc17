//! What can be asked of `sim`: each subcommand is a file with its options and a function `run`.
//! Layer 6.

mod clock;
mod draw;
mod explore;
mod figures;
mod fuzz;
mod mutants;
mod progress;
mod replay;
mod report;
mod shrink;
mod source;
mod tally;

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Plays replicas in virtual time on buckets that fail, and looks for what they must not do.
#[derive(Parser)]
#[command(
    name = "sim",
    version,
    after_help = "Exit codes: 0 when every check held, 1 when one did not, 2 for wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays one story after the other, each drawn from a seed, and tells which checks did not hold
    Fuzz(fuzz::Options),
    /// Plays one story, and tells how it went
    Replay(replay::Options),
    /// Makes a story that fails as small as it gets
    Shrink(shrink::Options),
    /// Draws a story: regions as lines, segments as arrows, what went wrong as marks
    Draw(draw::Options),
    /// Plays all histories of short scenarios: a crash at every await, every fate of each request, every order of deliveries
    Explore(explore::Options),
    /// Plants faults in the engine, one after the other, and looks whether the checks find them
    Mutants(mutants::Options),
}

/// Why something was not done: usage is wrong, or a file cannot be read or written.
#[derive(Debug)]
struct Refused(String);

/// True when every check held.
type Ended = Result<bool, Refused>;

pub(super) fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let ended = match &cli.command {
        Command::Fuzz(options) => fuzz::run(options, &mut out),
        Command::Replay(options) => replay::run(options, &mut out),
        Command::Shrink(options) => shrink::run(options, &mut out),
        Command::Draw(options) => draw::run(options, &mut out),
        Command::Explore(options) => explore::run(options, &mut out),
        Command::Mutants(options) => mutants::run(options, &mut out),
    };
    match ended.and_then(|held| out.flush().map(|()| held).map_err(Refused::from)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Refused(says)) => {
            if !says.is_empty() {
                eprintln!("error: {says}");
            }
            ExitCode::from(2)
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Nobody reads on.
            io::ErrorKind::BrokenPipe => Self(String::new()),
            _ => Self(format!("the output cannot be written: {error}")),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
