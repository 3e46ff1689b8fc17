//! `sim shrink`: makes a story that fails as small as it gets.
//! Layer 6.

use std::{io::Write, path::PathBuf};

use clap::Args;
use sim::{Effort, StoryFile, play, shrink};

use super::{
    Ended, figures, report,
    source::{self, Source},
};

/// What can be asked.
#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
    /// Writes the small story to a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(options: &Options, out: &mut dyn Write) -> Ended {
    let (StoryFile { story, .. }, name) = (options.source.read()?, options.source.name());
    let Some(failure) = play(&story).failure else {
        writeln!(out, "{name}: every check held, so there is nothing to shrink")?;
        return Ok(true);
    };
    let shrunk = shrink(&story, failure.check, Effort::default());
    let failure = play(&shrunk.story).failure.unwrap_or(failure);
    report::failure(out, &name, &failure)?;
    writeln!(
        out,
        "  in short, found in {} plays with {} events: {} of {} steps",
        figures::grouped(shrunk.plays),
        figures::grouped(shrunk.events),
        shrunk.story.steps.len(),
        figures::grouped(story.steps.len() as u64),
    )?;
    report::story(out, &shrunk.story)?;
    if let Some(path) = &options.out {
        let about = format!("What is left of {name}.");
        source::write(path, &StoryFile::new(shrunk.story, about, Some(failure.check)).write())?;
        writeln!(out, "  again:     sim replay {}", path.display())?;
    }
    Ok(false)
}
