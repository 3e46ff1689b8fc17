//! `sim replay`: plays one story.
//! Layer 6.

use std::{io::Write, path::PathBuf};

use clap::Args;
use sim::{Outcome, Story, StoryFile, Told, What, play, play_aloud};

use super::{
    Ended, figures, report,
    source::{self, Source},
    tally,
};

/// What can be asked.
#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
    /// Prints everything that happens: steps, requests and answers, hints, crashes
    #[arg(long)]
    trace: bool,
    /// Writes the story to a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(options: &Options, out: &mut dyn Write) -> Ended {
    let StoryFile { story, about, .. } = options.source.read()?;
    let outcome = if options.trace { play_aloud(&story) } else { play(&story) };
    if options.trace {
        outcome.told.iter().try_for_each(|told| trace(out, &story, told))?;
    }
    tell(options, &story, &outcome, out)?;
    if let Some(path) = &options.out {
        let check = outcome.failure.as_ref().map(|failure| failure.check);
        let file = StoryFile::new(story, about, check);
        source::write(path, &file.write())?;
    }
    Ok(outcome.failure.is_none())
}

fn tell(options: &Options, story: &Story, outcome: &Outcome, out: &mut dyn Write) -> Result<(), super::Refused> {
    let changes: usize = story.steps.iter().map(|step| step.act.changes()).sum();
    writeln!(
        out,
        "{}: {} regions, {} steps with {} changes, of which {} were made; {} events in {}; trace {:016x}",
        options.source.name(),
        story.regions,
        figures::grouped(story.steps.len() as u64),
        figures::grouped(changes as u64),
        figures::grouped(outcome.changes as u64),
        figures::grouped(outcome.trace.events),
        figures::long(outcome.lasted),
        outcome.trace.hash,
    )?;
    writeln!(out, "  faults met: {}", tally::faults(&outcome.faults))?;
    match &outcome.failure {
        None => writeln!(out, "  every check held")?,
        Some(failure) => {
            report::failure(out, &options.source.name(), failure)?;
            writeln!(out, "  again:     {}", options.source.again())?;
        }
    }
    Ok(())
}

/// One line of what happened.
fn trace(out: &mut dyn Write, story: &Story, told: &Told) -> std::io::Result<()> {
    let Told { at, by, what } = told;
    let (at, region, process) = (at.as_secs_f64(), by.region, by.process);
    write!(out, "{at:>13.6} s  r{region}.{process:<3} ")?;
    match what {
        What::Started => writeln!(out, "starts"),
        What::Open => writeln!(out, "is open"),
        What::Ended(why) => writeln!(out, "has ended: {why}"),
        What::Gone => writeln!(out, "is gone"),
        What::Step(index) => writeln!(out, "STEP {}: r{region} {}", index + 1, story.steps[*index].act),
        What::Asked { bucket, request, key, fault, .. } => {
            let meets = fault.map_or(String::new(), |fault| format!("   FAULT: it {}", fault.says()));
            writeln!(out, "asks b{bucket}    {} {key}{meets}", request.name())
        }
        What::Landed { bucket, key, created } => match created {
            Some(body) => writeln!(out, "reaches b{bucket} {key} is there, {} bytes", body.len()),
            None => writeln!(out, "reaches b{bucket} {key} is not there any more"),
        },
        What::Alone { bucket, request, key, lands } => {
            let fate = if *lands { "arrives" } else { "vanishes" };
            writeln!(out, "b{bucket}         {} {key} {fate}, and nobody waits for it", request.name())
        }
        What::Answered { bucket, request, key, answer } => {
            writeln!(out, "hears b{bucket}   {} {key}: {answer}", request.name())
        }
        What::Hint { bucket, key, fault } => {
            let fault = fault.map_or(String::new(), |fault| format!("   FAULT: {}", fault.name()));
            writeln!(out, "hint of b{bucket} {key}{fault}")
        }
        What::Applied { log, position } => {
            writeln!(out, "has applied r{log} up to {:x}/{:x}", position >> 32, position & 0xffff_ffff)
        }
    }
}
