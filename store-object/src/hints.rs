//! Hints from the file system: an object has appeared in the directory of a bucket.

use std::{
    collections::BTreeSet,
    fmt, fs, future,
    future::poll_fn,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{CreateKind, ModifyKind},
};
use replica::ports::{Answer, BucketError, Hint, Hints, Outcome, check_key};

/// How many objects are told one by one; when more have appeared since somebody asked, one hint says "look everywhere".
const KEYS_MAX: usize = 1_024;

/// Watches the directory of a [`LocalBucket`](crate::LocalBucket), of this process or another's.
///
/// It works where the file system tells of changes: on local disks, and rarely on network file systems, where it stays
/// silent and polling does the work.
pub struct FolderHints {
    seen: Arc<Mutex<Seen>>,
    /// Watches as long as it lives.
    _watcher: RecommendedWatcher,
}

/// What has been seen and not been told.
#[derive(Debug, Default)]
struct Seen {
    keys: BTreeSet<String>,
    /// Something has appeared, and it is not known what.
    unknown: bool,
    told: u64,
    waiting: Vec<Waker>,
}

impl FolderHints {
    /// Watches the directory, which must be there.
    ///
    /// # Errors
    ///
    /// `Refused` if it cannot be watched: it is not there, or the system's limit of watches is reached.
    pub fn watch(directory: impl AsRef<Path>) -> Result<Self, BucketError> {
        let directory = directory.as_ref();
        let refused = |error: notify::Error| {
            let message = format!("cannot watch the directory of a bucket: path={directory:?}");
            BucketError::new(Outcome::Refused, message).caused_by(error)
        };
        let root = fs::canonicalize(directory).map_err(|error| refused(error.into()))?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (watched, heard) = (root.clone(), Arc::clone(&seen));
        let mut watcher = notify::recommended_watcher(move |event| hear(&watched, &heard, event)).map_err(refused)?;
        watcher.watch(&root, RecursiveMode::Recursive).map_err(refused)?;
        Ok(Self { seen, _watcher: watcher })
    }
}

impl fmt::Debug for FolderHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderHints").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Hints for FolderHints {
    fn next(&self) -> Answer<'_, Hint> {
        Box::pin(poll_fn(|context| {
            let mut seen = lock(&self.seen);
            let key = match (seen.unknown, seen.keys.pop_first()) {
                (true, first) => {
                    seen.keys.extend(first);
                    seen.unknown = false;
                    None
                }
                (false, Some(key)) => Some(key),
                (false, None) => {
                    if !seen.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                        seen.waiting.push(context.waker().clone());
                    }
                    return Poll::Pending;
                }
            };
            seen.told += 1;
            Poll::Ready(Hint { key, receipt: seen.told })
        }))
    }

    fn done(&self, _: Hint) -> Answer<'_, ()> {
        Box::pin(future::ready(()))
    }
}

/// Notes what an event tells; called by the watcher, on its thread.
fn hear(root: &Path, seen: &Mutex<Seen>, event: notify::Result<Event>) {
    let Ok(event) = event else { return note(seen, [None]) };
    match event.kind {
        _ if event.need_rescan() => note(seen, [None]),
        // SUBTLE: objects can be in a new folder before it is watched.
        EventKind::Create(CreateKind::Folder) => {
            note(seen, event.paths.iter().filter_map(|path| key(root, path)).map(|_| None));
        }
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)) | EventKind::Any => {
            note(seen, event.paths.iter().filter_map(|path| key(root, path)).map(Some));
        }
        _ => {}
    }
}

/// The key of a path; none in the staging folder.
fn key(root: &Path, path: &Path) -> Option<String> {
    let names: Option<Vec<_>> =
        path.strip_prefix(root).ok()?.components().map(|part| part.as_os_str().to_str()).collect();
    names.map(|names| names.join("/")).filter(|key| check_key(key).is_ok())
}

fn note(seen: &Mutex<Seen>, keys: impl IntoIterator<Item = Option<String>>) {
    let mut seen = lock(seen);
    for key in keys {
        match key {
            Some(key) if seen.keys.len() < KEYS_MAX => {
                seen.keys.insert(key);
            }
            Some(_) => {
                seen.keys.clear();
                seen.unknown = true;
            }
            None => seen.unknown = true,
        }
    }
    if seen.unknown || !seen.keys.is_empty() {
        seen.waiting.drain(..).for_each(Waker::wake);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn told(seen: &Mutex<Seen>) -> (bool, Vec<String>) {
        let seen = lock(seen);
        (seen.unknown, seen.keys.iter().cloned().collect())
    }

    fn create(kind: CreateKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(EventKind::Create(kind)).add_path(PathBuf::from(path)))
    }

    #[test]
    fn a_new_file_is_told_by_its_key() {
        let seen = Mutex::default();
        hear(Path::new("/b"), &seen, create(CreateKind::File, "/b/v1/log/eu/0"));
        hear(Path::new("/b"), &seen, create(CreateKind::File, "/b/#staging/1-2"));
        hear(Path::new("/b"), &seen, create(CreateKind::File, "/elsewhere/a"));
        assert_eq!(told(&seen), (false, vec!["v1/log/eu/0".to_owned()]));
    }

    #[test]
    fn a_new_folder_an_error_and_a_lost_event_say_look_everywhere() {
        let lost = Ok(Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan));
        for event in [create(CreateKind::Folder, "/b/v1"), Err(notify::Error::generic("any")), lost] {
            let seen = Mutex::default();
            hear(Path::new("/b"), &seen, event);
            assert_eq!(told(&seen), (true, vec![]));
        }
        let seen = Mutex::default();
        hear(Path::new("/b"), &seen, create(CreateKind::Folder, "/b/#staging"));
        assert_eq!(told(&seen), (false, vec![]));
    }

    #[test]
    fn what_nobody_asks_for_takes_bounded_memory() {
        let seen = Mutex::default();
        for object in 0..=KEYS_MAX {
            hear(Path::new("/b"), &seen, create(CreateKind::File, &format!("/b/{object}")));
        }
        assert_eq!(told(&seen), (true, vec![]));
    }
}
