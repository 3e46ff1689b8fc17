//! The staging folder: where an object is while it is not whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Its name, which is no segment of a key: a list never meets it.
const FOLDER: &str = "#staging";
const LOCK: &str = "lock";

/// The staging folder of a bucket.
///
/// Whoever writes holds a shared lock as long as the bucket is open. So whoever gets the exclusive lock knows that
/// everything there was left behind by a crash.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    held: Mutex<Option<File>>,
}

/// A file in the staging folder, removed when dropped. What is linked elsewhere by then stays there.
#[derive(Debug)]
pub(super) struct Staged(PathBuf);

impl Staging {
    pub(super) fn new(root: &Path) -> Self {
        Self { folder: root.join(FOLDER), held: Mutex::new(None) }
    }

    /// Removes what a crash has left, unless somebody is writing just now. Where that is not possible, for want of
    /// permission or of locks, it stays: it takes room, and is in nobody's way.
    pub(super) fn clean(&self) {
        let lock = self.folder.join(LOCK);
        let Ok(file) = OpenOptions::new().read(true).write(true).open(&lock) else { return };
        if file.try_lock().is_err() {
            return;
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.path() != lock {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// A synced file with these bytes.
    pub(super) fn write(&self, body: &[u8]) -> io::Result<Staged> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.hold()?;
        loop {
            // Two containers can have processes of one number.
            let path = self.folder.join(format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
            let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            let staged = Staged(path);
            file.write_all(body)?;
            file.sync_all()?;
            return Ok(staged);
        }
    }

    /// Takes the shared lock, and makes the folder for it; once, and again should the folder have been removed.
    fn hold(&self) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() && self.folder.exists() {
            return Ok(());
        }
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let path = self.folder.join(LOCK);
        let lock = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
                // For reading: a file that is open for writing keeps a disk from being mounted read-only.
                File::open(&path)?
            }
            opened => opened?,
        };
        // Without locks nobody can get the exclusive one either, so nothing is cleaned.
        let _ = lock.lock_shared();
        *held = Some(lock);
        Ok(())
    }
}

impl Staged {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
