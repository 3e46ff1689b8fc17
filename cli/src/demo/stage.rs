//! Where it plays: the regions with their buckets, and the replica and writer that live in each.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use replica::{Leaderboard, MarkValue, Replica, Settings, SystemClock, ports::Clock};
use store_object::FolderHints;
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::sleep,
};

use super::{
    cost::Usage,
    line::{FarBucket, FarHints, Line, Lines},
    script::{Change, Script},
    writer::{Asked, Progress, Writer},
};
use crate::{
    config::{self, Place, Region},
    failure::{Failure, Outcome},
};

/// How many regions take part.
pub(crate) const REGIONS: usize = 3;

/// How long a request to another region takes, there and back, where all is on one machine in truth: from the first to the
/// second, the first to the third, the second to the third. About what it is between Virginia, Ireland and Singapore.
const DISTANCES_MS: [u64; REGIONS] = [70, 220, 175];

/// All that the demonstration plays with.
pub(crate) struct Stage {
    pub(crate) regions: Vec<Region>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) script: Arc<Script>,
    /// What all paths of this run begin with.
    pub(crate) prefix: String,
    /// What stands behind the name of a region in that of its replica.
    suffix: &'static str,
    is_far: bool,
    places: Vec<Mutex<Option<Actor>>>,
    pub(crate) progress: Vec<Arc<Progress>>,
    /// What was used by replicas that have been killed.
    spent: Vec<Mutex<Usage>>,
    folder: Option<TempDir>,
}

/// What lives in a region, and dies with its process.
struct Actor {
    replica: Replica,
    board: Leaderboard,
    /// Until the writers are stopped.
    writer: Option<Pen>,
}

/// What holds a writer.
struct Pen {
    ask: mpsc::Sender<Asked>,
    task: JoinHandle<Result<(), replica::Error>>,
}

/// What can be seen of a region that is up.
pub(crate) struct View {
    pub(crate) replica: Replica,
    pub(crate) board: Leaderboard,
}

impl Stage {
    /// The regions of a configuration; without one, three in a temporary directory.
    pub(crate) fn set(config: Option<&Path>, seed: u64) -> Outcome<Self> {
        let (regions, folder) = match config {
            Some(file) => (configured(file)?, None),
            None => {
                let folder = tempfile::Builder::new().prefix("archipelago-demo-").tempdir().map_err(|error| {
                    Failure::failed(format!(
                        "no temporary directory can be made: {error}; set TMPDIR, or name buckets with --config"
                    ))
                })?;
                (temporary(folder.path())?, Some(folder))
            }
        };
        regions.iter().try_for_each(Region::make)?;
        let names = regions.iter().map(|region| region.name.clone()).collect();
        Ok(Self {
            lines: Lines::new(),
            script: Arc::new(Script::new(seed, names)),
            // No earlier run has left anything under it.
            prefix: format!("demo/{:x}/", SystemClock::new().wall_ms()),
            suffix: if folder.is_some() { "" } else { "-demo" },
            is_far: folder.is_some(),
            places: regions.iter().map(|_| Mutex::default()).collect(),
            progress: regions.iter().map(|_| Arc::default()).collect(),
            spent: regions.iter().map(|_| Mutex::default()).collect(),
            regions,
            folder,
        })
    }

    /// Where the buckets are, if they will be gone.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    pub(crate) fn name(&self, region: usize) -> &str {
        &self.regions[region].name
    }

    /// The region of the replica of this name.
    pub(crate) fn region_of(&self, replica: &str) -> Option<usize> {
        let name = replica.strip_suffix(self.suffix)?;
        self.regions.iter().position(|region| region.name == name)
    }

    /// Opens the replica of a region.
    pub(crate) async fn open(&self, region: usize) -> Outcome<Replica> {
        let Region { name, bucket, .. } = &self.regions[region];
        let mut builder = Replica::builder(&format!("{name}{}", self.suffix), bucket.clone()).settings(settings());
        for (number, peer) in self.regions.iter().enumerate().filter(|(number, _)| *number != region) {
            let distance = Duration::from_millis(if self.is_far { DISTANCES_MS[region + number - 1] } else { 0 });
            let line = Line { lines: self.lines.clone(), ends: [region, number], distance };
            let folder = match &peer.place {
                Place::Directory(path) => FolderHints::watch(path).ok(),
                _ => None,
            };
            builder = builder
                .peer(&peer.name, FarBucket { line: line.clone(), bucket: peer.bucket.clone() })
                .hints(FarHints::new(line, folder));
        }
        #[cfg(feature = "s3")]
        if let Some(hints) = crate::queue::hints(&self.regions, region).await? {
            builder = builder.hints(hints);
        }
        Ok(builder.open().await?)
    }

    /// Has a region's writer write through its replica, behind the last step that is durable. Returns which that was.
    pub(crate) fn start(&self, region: usize, replica: Replica) -> Outcome<u64> {
        let last = marked(&replica, &self.prefix);
        let progress = self.progress[region].clone();
        progress.done.store(last, Ordering::Relaxed);
        progress.durable.store(last, Ordering::Relaxed);
        let (ask, asked) = mpsc::channel(1);
        let board = replica.leaderboard(&format!("{}score/", self.prefix))?;
        let (script, prefix) = (self.script.clone(), self.prefix.clone());
        let writer = Writer { replica: replica.clone(), script, region, prefix, progress };
        let writer = Some(Pen { ask, task: tokio::spawn(writer.run(asked)) });
        *self.place(region) = Some(Actor { replica, board, writer });
        Ok(last)
    }

    /// What can be seen of a region, unless it is down.
    pub(crate) fn view(&self, region: usize) -> Option<View> {
        let place = self.place(region);
        place.as_ref().map(|actor| View { replica: actor.replica.clone(), board: actor.board.clone() })
    }

    /// The same, where it must be up.
    pub(crate) fn seen(&self, region: usize) -> Outcome<View> {
        self.view(region).ok_or_else(|| Failure::failed(format!("{} is down", self.name(region))))
    }

    /// The replica of a region.
    pub(crate) fn replica(&self, region: usize) -> Outcome<Replica> {
        Ok(self.seen(region)?.replica)
    }

    /// Makes these changes the next step of a region.
    pub(crate) async fn ask(&self, region: usize, changes: Vec<Change>) -> Outcome<()> {
        let ask = self.place(region).as_ref().and_then(|actor| Some(actor.writer.as_ref()?.ask.clone()));
        let (done, is_done) = oneshot::channel();
        if let Some(ask) = ask {
            // If its writer has stopped, it says why itself.
            let _stopped = ask.send((changes, done)).await;
        }
        is_done.await.map_err(|_| Failure::failed(format!("nobody writes in {}", self.name(region))))
    }

    /// A writer that has stopped although nobody told it to, and why.
    pub(crate) async fn failed(&self) -> Option<Failure> {
        for region in 0..self.regions.len() {
            let is_over = |pen: &mut Pen| pen.task.is_finished();
            let stopped = self.place(region).as_mut().and_then(|actor| actor.writer.take_if(is_over));
            if let Some(pen) = stopped {
                return Some(match pen.task.await {
                    Ok(Err(error)) => error.into(),
                    _ => Failure::failed(format!("the writer of {} has stopped", self.name(region))),
                });
            }
        }
        None
    }

    /// Kills what lives in a region: all that was not durable is lost.
    pub(crate) async fn kill(&self, region: usize) {
        let Some(actor) = self.place(region).take() else { return };
        lock(&self.spent[region]).add(&Usage::of(&actor.replica.status()));
        if let Some(pen) = actor.writer {
            pen.task.abort();
            // Who lets go of a replica last ends it, and that shall be this.
            let _aborted = pen.task.await;
        }
    }

    /// Has all writers end behind the step that they are at. The replicas go on.
    pub(crate) async fn stop(&self) -> Outcome<()> {
        for region in 0..self.regions.len() {
            let pen = self.place(region).as_mut().and_then(|actor| actor.writer.take());
            if let Some(Pen { ask, task }) = pen {
                drop(ask);
                task.await.map_err(|error| Failure::failed(format!("a writer has failed: {error}")))??;
            }
        }
        Ok(())
    }

    /// What a region has used of all buckets so far.
    pub(crate) fn used(&self, region: usize) -> Usage {
        let mut used = lock(&self.spent[region]).clone();
        if let Some(view) = self.view(region) {
            used.add(&Usage::of(&view.replica.status()));
        }
        used
    }

    /// Ends everything. Buckets that were configured stay; temporary ones go.
    pub(crate) async fn clear(mut self) {
        let places = std::mem::take(&mut self.places);
        for actor in places.into_iter().filter_map(|place| place.into_inner().ok().flatten()) {
            if let Some(pen) = actor.writer {
                pen.task.abort();
            }
            if self.folder.is_none() {
                let _slow = tokio::time::timeout(Duration::from_secs(5), actor.replica.close()).await;
            }
        }
        let Some(folder) = self.folder.take().map(TempDir::keep) else { return };
        // What was being written may appear meanwhile.
        for _ in 0..50 {
            if std::fs::remove_dir_all(&folder).is_ok() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        anstream::eprintln!("\x1b[33mwarning:\x1b[0m {} could not be removed", folder.display());
    }

    fn place(&self, region: usize) -> MutexGuard<'_, Option<Actor>> {
        lock(&self.places[region])
    }
}

/// The last step that a replica has made durable, by its mark.
pub(crate) fn marked(replica: &Replica, prefix: &str) -> u64 {
    match replica.mark(Writer::mark(prefix)).map(|mark| mark.value) {
        Some(MarkValue::Number(number)) => number,
        _ => 0,
    }
}

/// Those that everybody has, but that nobody waits long for a bucket that is out of reach: it is back soon.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.catch_up = Duration::from_secs(1);
    settings.poll_max = Duration::from_secs(5);
    settings
}

fn configured(file: &Path) -> Outcome<Vec<Region>> {
    let mut regions = config::read(file)?;
    if regions.len() < REGIONS {
        let (there, file) = (regions.len(), file.display());
        return Err(Failure::usage(format!("the demonstration needs {REGIONS} regions, and {file} has {there}")));
    }
    regions.truncate(REGIONS);
    Ok(regions)
}

fn temporary(folder: &Path) -> Outcome<Vec<Region>> {
    let file: PathBuf = folder.join(config::FILE);
    let text = config::with_directories(&config::REGIONS.map(str::to_owned))?;
    std::fs::write(&file, text).map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    config::read(&file)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
