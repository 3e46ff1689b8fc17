//! `sim draw`: a story as a picture.
//! Layer 6.

use std::{io::Write, path::PathBuf};

use clap::Args;
use sim::{StoryFile, draw, play_aloud};

use super::{
    Ended,
    source::{self, Source},
};

/// What can be asked.
#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
    /// Where the picture is written
    #[arg(long, value_name = "FILE.svg")]
    out: PathBuf,
}

pub(super) fn run(options: &Options, out: &mut dyn Write) -> Ended {
    let StoryFile { story, about, .. } = options.source.read()?;
    let outcome = play_aloud(&story);
    let svg = draw(&story, &outcome, &about);
    source::write(&options.out, &svg)?;
    writeln!(out, "{}: {} is a picture of it", options.source.name(), options.out.display())?;
    Ok(outcome.failure.is_none())
}
