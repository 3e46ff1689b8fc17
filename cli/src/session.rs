//! Opening a replica or an observer in one of the configured regions.

use std::path::{Path, PathBuf};

use replica::{Builder, Replica};
use store_object::FolderHints;

use crate::{
    args::Global,
    config::{self, Place, Region},
    failure::{Failure, Outcome},
};

/// The regions, and where in them a command works.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) regions: Vec<Region>,
    pub(crate) here: usize,
    replica: Option<String>,
}

impl Session {
    /// What the configuration and the global options say.
    pub(crate) fn new(global: &Global) -> Outcome<Self> {
        let file = global.config.clone().unwrap_or_else(|| PathBuf::from(config::FILE));
        Self::of(config::read(&file)?, global, &file)
    }

    fn of(regions: Vec<Region>, global: &Global, file: &Path) -> Outcome<Self> {
        let here = match &global.region {
            None => 0,
            Some(name) => regions.iter().position(|region| region.name == *name).ok_or_else(|| {
                let names: Vec<&str> = regions.iter().map(|region| &*region.name).collect();
                Failure::usage(format!("no region is called {name} in {}: {}", file.display(), names.join(", ")))
            })?,
        };
        Ok(Self { regions, here, replica: global.replica.clone() })
    }

    /// The region in which a command works.
    pub(crate) fn region(&self) -> &Region {
        &self.regions[self.here]
    }

    /// What a writing command is called: not as a service, so that no command fences one.
    pub(crate) fn replica(&self) -> String {
        self.replica.clone().unwrap_or_else(|| format!("{}-cli", self.region().name))
    }

    fn builder(&self) -> Builder {
        let builder = Replica::builder(&self.replica(), self.region().bucket.clone());
        let peers = self.regions.iter().enumerate().filter(|(number, _)| *number != self.here);
        peers.fold(builder, |builder, (_, region)| builder.peer(&region.name, region.bucket.clone()))
    }

    /// Looks on from this region, after catching up, and does nothing by itself.
    pub(crate) async fn observe(&self) -> Outcome<&'static Replica> {
        let replica = kept(self.builder().manual().observe().await?);
        if !replica.catch_up().await {
            warn_of_alarms(replica);
        }
        Ok(replica)
    }

    /// The same, and goes on reading: as soon as something appears, where a directory tells.
    pub(crate) async fn follow(&self) -> Outcome<&'static Replica> {
        let mut builder = self.builder();
        for region in &self.regions {
            if let Place::Directory(path) = &region.place
                && let Ok(hints) = FolderHints::watch(path)
            {
                builder = builder.hints(hints);
            }
        }
        Ok(kept(builder.observe().await?))
    }

    /// Opens a replica that writes in this region.
    pub(crate) async fn open(&self) -> Outcome<&'static Replica> {
        Ok(kept(self.builder().open().await?))
    }
}

/// It ends with the process. To take a million objects apart one by one first would take as long as to look one up.
fn kept(replica: Replica) -> &'static Replica {
    Box::leak(Box::new(replica))
}

/// Says what of all that there is could not be read.
pub(crate) fn warn_of_alarms(replica: &Replica) {
    for (place, kind, says) in replica.status().alarms {
        anstream::eprintln!("\x1b[33mwarning:\x1b[0m {place}: {}: {says}", kind.name());
    }
}
