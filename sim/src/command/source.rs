//! Where a story comes from: a seed, or a file.
//! Layer 6.

use std::{fs, path::Path};

use clap::Args;
use sim::{StoryFile, generate};

use super::Refused;

/// Which story.
#[derive(Args)]
pub(super) struct Source {
    /// A seed, from which a story is drawn, or a story file
    #[arg(value_name = "SEED|FILE")]
    story: String,
    /// How many regions the story of a seed has [default: 3]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u8).range(2..=7))]
    regions: Option<u8>,
}

impl Source {
    pub(super) fn read(&self) -> Result<StoryFile, Refused> {
        if let Ok(seed) = self.story.parse() {
            let story = generate(seed, usize::from(self.regions.unwrap_or(3)));
            return Ok(StoryFile::new(story, format!("Seed {seed}."), None));
        }
        if self.regions.is_some() {
            return Err(Refused("--regions goes with a seed: a file says how many there are".to_owned()));
        }
        let text = fs::read_to_string(&self.story).map_err(|error| {
            Refused(format!(
                "neither a seed, which is a number, nor a file that can be read: {error}: {:?}",
                self.story
            ))
        })?;
        StoryFile::read(&text).map_err(|says| Refused(format!("{}: {says}", self.story)))
    }

    /// What it is called in a report.
    pub(super) fn name(&self) -> String {
        self.story.parse::<u64>().map_or_else(|_| self.story.clone(), |seed| format!("seed {seed}"))
    }

    /// What plays it again.
    pub(super) fn again(&self) -> String {
        match self.regions {
            Some(regions) => format!("sim replay {} --regions {regions}", self.story),
            None => format!("sim replay {}", self.story),
        }
    }
}

/// Writes a file; an error names it.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Refused> {
    fs::write(path, text).map_err(|error| Refused(format!("{}: it cannot be written: {error}", path.display())))
}
