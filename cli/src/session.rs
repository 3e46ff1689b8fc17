//! Opening a replica or an observer in one of the configured regions.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use replica::{Builder, ErrorKind, Position, Replica, Status, name::ReplicaName};
use store_object::FolderHints;

use crate::{
    args::Global,
    config::{self, Place, Region},
    failure::{Failure, Outcome, told},
    stored,
    warnings::Warnings,
};

/// The regions, and where in them a command works.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) regions: Vec<Region>,
    pub(crate) here: usize,
    replica: Option<String>,
    json: bool,
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
        if let Some(name) = &global.replica {
            ReplicaName::new(name).map_err(|invalid| Failure::usage(format!("--replica: {invalid}: {name:?}")))?;
        }
        Ok(Self { regions, here, replica: global.replica.clone(), json: global.json })
    }

    /// The region in which a command works.
    pub(crate) fn region(&self) -> &Region {
        &self.regions[self.here]
    }

    /// What a writing command is called: not as a service, so that no command fences one.
    pub(crate) fn replica(&self) -> String {
        self.replica.clone().unwrap_or_else(|| format!("{}-cli", self.region().name))
    }

    /// What a writing command was told to be called, if it was.
    #[cfg(feature = "s3")]
    pub(crate) fn asked_replica(&self) -> Option<&str> {
        self.replica.as_deref()
    }

    /// What tells of what is wrong.
    pub(crate) const fn warnings(&self) -> Warnings {
        Warnings::new(self.json)
    }

    fn builder(&self) -> Builder {
        self.builder_of(&self.replica())
    }

    fn builder_of(&self, name: &str) -> Builder {
        let own = self.region();
        let builder = Replica::builder(name, own.bucket.clone()).region(&own.name);
        let peers = self.regions.iter().enumerate().filter(|(number, _)| *number != self.here);
        peers.fold(builder, |builder, (_, region)| builder.peer(&region.name, region.bucket.clone()))
    }

    /// Looks on from this region, after catching up, and does nothing by itself.
    pub(crate) async fn observe(&self) -> Outcome<&'static Replica> {
        self.check_presence().await?;
        let replica = kept(self.builder().manual().observe().await?);
        self.catch_up(replica, &mut self.warnings()).await;
        Ok(replica)
    }

    /// The same, and goes on reading: as soon as something appears, where a directory tells, or the region's queue if
    /// it is to be read.
    pub(crate) async fn follow(&self, takes_hints: bool) -> Outcome<&'static Replica> {
        self.check_presence().await?;
        let builder = self.with_hints(self.builder(), takes_hints).await?;
        Ok(kept(builder.observe().await?))
    }

    /// Has a replica look as soon as something appears in a directory, and as the queue tells if that is to be read.
    async fn with_hints(&self, mut builder: Builder, takes_queue: bool) -> Outcome<Builder> {
        for region in &self.regions {
            if let Place::Directory(path) = &region.place
                && let Ok(hints) = FolderHints::watch(path)
            {
                builder = builder.hints(hints);
            }
        }
        if takes_queue { self.with_queue(builder).await } else { Ok(builder) }
    }

    /// Opens a replica that writes in this region.
    pub(crate) async fn open(&self) -> Outcome<&'static Replica> {
        self.prepare().await?;
        opened(self.builder()).await
    }

    /// Opens the replica of a service in this region: it bears the region's name unless it was told another.
    #[cfg(feature = "serve")]
    pub(crate) async fn open_service(&self, takes_hints: bool) -> Outcome<&'static Replica> {
        self.prepare().await?;
        let name = self.replica.clone().unwrap_or_else(|| self.region().name.clone());
        opened(self.with_hints(self.builder_of(&name), takes_hints).await?).await
    }

    /// What is done before a replica is opened that writes.
    async fn prepare(&self) -> Outcome<()> {
        let region = self.region();
        if region.place == Place::Memory {
            let says = format!("the bucket of {} is this process's memory: nothing is kept when it ends", region.name);
            self.warnings().say(&says);
        }
        region.make()?;
        self.check_presence().await
    }

    /// Reads all logs to their ends. Returns whether nothing that is known to be there is missing, and tells what is.
    pub(crate) async fn catch_up(&self, replica: &Replica, warnings: &mut Warnings) -> bool {
        let mut is_whole = replica.catch_up().await;
        let mut gaps = gaps(&replica.status());
        if is_whole && !gaps.is_empty() {
            // Whoever writes meanwhile has read more than was there a moment ago. What is missing for good is so again.
            is_whole = replica.catch_up().await;
            gaps = gaps.intersection(&self::gaps(&replica.status())).cloned().collect();
        }
        warnings.alarms(replica);
        for (name, applied) in &gaps {
            let read = applied.map_or_else(|| "nothing of it".to_owned(), |applied| format!("it up to {applied}"));
            warnings.say(&format!("the log of {name} goes on, as others have read, and {read} can be read here"));
        }
        let lost = if is_whole { self.lost(&replica.status()).await } else { Vec::new() };
        for name in &lost {
            warnings.say(&format!(
                "the log of {name} is in no bucket any more: what is known of it stays, and what it wrote since is missing; \
                 mount its bucket again, or evict it"
            ));
        }
        let is_behind = replica.status().is_behind;
        if is_behind && gaps.is_empty() {
            warnings.say("less has come back than this replica had seen before");
        }
        is_whole && gaps.is_empty() && lost.is_empty() && !is_behind
    }

    /// Whose logs were read before, and are in no bucket. A bucket that does not answer may have them.
    async fn lost(&self, status: &Status) -> Vec<ReplicaName> {
        let mut there = BTreeSet::new();
        for region in &self.regions {
            match stored::replicas(&*region.bucket).await {
                Ok(replicas) => there.extend(replicas),
                Err(_) => return Vec::new(),
            }
        }
        let live = status.logs.iter().filter(|log| log.evicted.is_none() && log.applied.is_some());
        let lost = live.map(|log| &log.replica).filter(|name| **name != status.replica && !there.contains(*name));
        lost.cloned().collect()
    }

    /// Nothing is to be seen from a region whose directory is missing, or whose bucket refuses. One that is out of
    /// reach may be back soon, and the others are there.
    async fn check_presence(&self) -> Outcome<()> {
        let region = self.region();
        if let Some(path) = region.missing() {
            return Err(Failure::usage(format!(
                "there is no directory {}, in which the bucket of {} is; mount it, or mend the configuration",
                path.display(),
                region.name
            )));
        }
        #[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
        if let Err(error) = crate::remote::check(&region.place).await {
            let says = format!("region {}: {}", region.name, told(&error));
            if error.outcome == replica::ports::Outcome::Refused {
                return Err(Failure::failed(says));
            }
            self.warnings().say(&says);
        }
        Ok(())
    }

    #[cfg(feature = "s3")]
    async fn with_queue(&self, builder: Builder) -> Outcome<Builder> {
        match crate::queue::hints(&self.regions, self.here).await? {
            Some(hints) => Ok(builder.hints(hints)),
            None => Err(Failure::usage(format!(
                "no queue is configured for {}: give it `hints = \"sqs://...\"`",
                self.region().name
            ))),
        }
    }

    #[cfg(not(feature = "s3"))]
    #[expect(clippy::unused_async, reason = "as with the feature")]
    async fn with_queue(&self, _: Builder) -> Outcome<Builder> {
        Err(Failure::usage("this build has no queues; build it with the feature s3"))
    }
}

/// The logs of which more is known to be there than was read, with how far they were.
fn gaps(status: &Status) -> BTreeSet<(ReplicaName, Option<Position>)> {
    let short = status.logs.iter().filter(|log| log.replica != status.replica && log.heard > log.applied);
    short.map(|log| (log.replica.clone(), log.applied)).collect()
}

async fn opened(builder: Builder) -> Outcome<&'static Replica> {
    let opened = builder.open().await.map_err(|error| match error.kind() {
        ErrorKind::Invalid => Failure::usage(told(&error)),
        _ => error.into(),
    });
    Ok(kept(opened?))
}

/// It ends with the process. To take a million objects apart one by one first would take as long as to look one up.
fn kept(replica: Replica) -> &'static Replica {
    Box::leak(Box::new(replica))
}
