//! `--log`: what happens inside, event by event, on standard error.

use clap::ValueEnum;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

use crate::failure::{Failure, Outcome};

/// The crates whose events are told. What others say of requests is not ours to vouch for.
const OURS: [&str; 4] = ["replica", "server", "store_object", "store_s3"];

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verbosity {
    /// What is wrong
    Warn,
    /// That, and what happens seldom: a replica that opens, a snapshot
    Info,
    /// That, and each segment, request and hint
    Debug,
}

impl From<Verbosity> for LevelFilter {
    fn from(verbosity: Verbosity) -> Self {
        match verbosity {
            Verbosity::Warn => Self::WARN,
            Verbosity::Info => Self::INFO,
            Verbosity::Debug => Self::DEBUG,
        }
    }
}

/// Tells events from here on, as lines or as objects.
pub(crate) fn begin(verbosity: Verbosity, json: bool) -> Outcome<()> {
    let ours = OURS.map(|name| (name, LevelFilter::from(verbosity)));
    let filter = Targets::new().with_targets(ours);
    // Nobody may read what is told: then it is told to nobody, and nothing ends.
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false).log_internal_errors(false);
    let told = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    let began = registry().with(told.with_filter(filter)).try_init();
    began.map_err(|error| Failure::failed(error.to_string()))
}
