//! The directory: what create, read and delete do to files. Every call blocks.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use replica::ports::{BucketError, Created, Outcome};

use super::{
    failure::{error_at, failed, is_absence},
    staging::Staging,
};

/// How often a create begins anew because somebody removed the folder under it.
const ATTEMPTS: u32 = 100;

/// Of how many folders it is remembered that their names are durable. Each takes about as much as its path.
const DURABLE_MAX: usize = 4_096;

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    identity: u64,
    staging: Staging,
    /// The folders whose names have been synced, so that a create need not sync them again.
    durable: Mutex<BTreeSet<PathBuf>>,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, BucketError> {
        let refused = |what: &str, error| failed(what, path, error, Outcome::Refused);
        make_all(path).map_err(|error| refused("make the directory of the bucket", error))?;
        let root = fs::canonicalize(path).map_err(|error| refused("open the bucket", error))?;
        fs::read_dir(&root).map_err(|error| refused("open the bucket", error))?;
        let identity = identity(&root).map_err(|error| refused("open the bucket", error))?;
        let staging = Staging::new(&root);
        staging.clean();
        Ok(Self { root, identity, staging, durable: Mutex::default() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn create(&self, key: &str, body: &[u8]) -> Result<Created, BucketError> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        for _ in 0..ATTEMPTS {
            // Asked before the body is written, so that a slot that is taken costs nothing; decided by the link.
            if fs::symlink_metadata(&path).is_ok()
                && let Some(answer) = taken(&path, folder)?
            {
                return Ok(answer);
            }
            self.check_presence()?;
            self.make_folder(folder)?;
            let staged = self
                .staging
                .write(body)
                .map_err(|error| failed("create an object", &path, error, Outcome::Unavailable))?;
            match fs::hard_link(staged.path(), &path) {
                Ok(()) => {
                    // If the folder is gone, somebody has deleted the new object already.
                    return sync_folder(folder)
                        .or_else(pardon_absence)
                        .map_err(|error| not_synced(&path, error))
                        .map(|()| Created::New);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if let Some(answer) = taken(&path, folder)? {
                        return Ok(answer);
                    }
                }
                // A delete has emptied the folder and removed it, or somebody has removed the staged file.
                Err(error) if error.kind() == ErrorKind::NotFound => self.forget(folder),
                Err(error) => return Err(failed("create an object", &path, error, Outcome::Indeterminate)),
            }
        }
        Err(error_at(Outcome::Unavailable, "cannot create an object: its folder is removed again and again", &path))
    }

    pub(super) fn read(&self, key: &str, start: u64, length: u64) -> Result<Option<Bytes>, BucketError> {
        let path = self.root.join(key);
        match read_range(&path, start, length) {
            Ok(Some(body)) => Ok(Some(body)),
            Ok(None) => self.check_presence().map(|()| None),
            Err(error) => Err(failed("read an object", &path, error, Outcome::Unavailable)),
        }
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), BucketError> {
        let path = self.root.join(key);
        match fs::remove_file(&path) {
            Ok(()) => self.prune(&path),
            Err(error) if is_absence(&error) => self.check_presence()?,
            Err(_) if path.is_dir() => {}
            Err(error) => return Err(failed("delete an object", &path, error, Outcome::Indeterminate)),
        }
        Ok(())
    }

    /// Fails if the directory is not the one that was opened, so that nothing is concluded from what it lacks.
    ///
    /// The device is not compared: it may be another after the same disk has been mounted again.
    pub(super) fn check_presence(&self) -> Result<(), BucketError> {
        match identity(&self.root) {
            Ok(found) if found == self.identity => Ok(()),
            Ok(_) => Err(error_at(
                Outcome::Unavailable,
                "the directory of the bucket is not the one that was opened: mount it again, or open the bucket anew",
                &self.root,
            )),
            Err(error) => Err(failed("find the directory of the bucket", &self.root, error, Outcome::Unavailable)),
        }
    }

    /// Makes the folder and those above it, and makes their names durable.
    ///
    /// A folder that is there already may have been made a moment ago by another process that has not synced it yet. So
    /// each is synced the first time that this process needs it, whoever made it. Another process that removes it later
    /// is one that deletes under this replica's name, and its folders are not used again.
    fn make_folder(&self, folder: &Path) -> Result<(), BucketError> {
        let missing: Vec<_> = {
            let durable = self.durable();
            folder.ancestors().take_while(|above| *above != self.root && !durable.contains(*above)).collect()
        };
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    // It can be gone again, which is nothing to complain of.
                    if fs::metadata(folder).is_ok_and(|found| !found.is_dir()) {
                        let message = "not created: an object has the name of a folder that the key needs";
                        return Err(error_at(Outcome::Refused, message, folder));
                    }
                }
                // Removed by a delete just now. The link will fail, and all this is done again.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed("make a folder", folder, error, Outcome::Unavailable)),
                Ok(()) => {}
            }
            let above = folder.parent().unwrap_or(&self.root);
            match sync_folder(above) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed("sync a folder", above, error, Outcome::Unavailable)),
                Ok(()) => {}
            }
            let mut durable = self.durable();
            if durable.len() >= DURABLE_MAX {
                durable.clear();
            }
            durable.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Removes the folders that an object has left empty: without objects there is no folder.
    fn prune(&self, path: &Path) {
        for folder in path.ancestors().skip(1).take_while(|above| *above != self.root) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
            self.forget(folder);
        }
    }

    /// Forgets that the folder is durable, with those above it: they may have been removed as well.
    fn forget(&self, folder: &Path) {
        let mut durable = self.durable();
        for above in folder.ancestors().take_while(|above| *above != self.root) {
            durable.remove(above);
        }
    }

    fn durable(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer for a key under which there is something; none if that has been deleted since.
///
/// SUBTLE: the folder is synced here too. A creator that was killed between its link and its sync has left an object
/// that is not durable yet, and whoever repeats that create takes this answer for the proof that it is.
fn taken(path: &Path, folder: &Path) -> Result<Option<Created>, BucketError> {
    if path.is_dir() {
        let message = "not created: the key is the folder of other objects";
        return Err(error_at(Outcome::Refused, message, path));
    }
    match sync_folder(folder) {
        Ok(()) => Ok(Some(Created::Exists)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(not_synced(path, error)),
    }
}

/// The object is there, but may be gone after a loss of power.
fn not_synced(path: &Path, error: io::Error) -> BucketError {
    error_at(Outcome::Indeterminate, "created, but not synced", path).caused_by(error)
}

/// No error where there is nothing.
fn pardon_absence(error: io::Error) -> io::Result<()> {
    if is_absence(&error) { Ok(()) } else { Err(error) }
}

/// The bytes from `start`, `None` if there is no file.
fn read_range(path: &Path, start: u64, length: u64) -> io::Result<Option<Bytes>> {
    let mut file = match File::open(path) {
        Err(error) if is_absence(&error) => return Ok(None),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let length = length.min(metadata.len().saturating_sub(start));
    if length == 0 {
        return Ok(Some(Bytes::new()));
    }
    let mut body = Vec::new();
    body.try_reserve_exact(usize::try_from(length).map_err(|_| ErrorKind::OutOfMemory)?)
        .map_err(|_| ErrorKind::OutOfMemory)?;
    if start > 0 {
        file.seek(SeekFrom::Start(start))?;
    }
    file.take(length).read_to_end(&mut body)?;
    Ok(Some(Bytes::from(body)))
}

/// Makes a directory and those above it, durably.
fn make_all(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    above.map_or(Ok(()), make_all)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Err(_) if !path.is_dir() => return Err(ErrorKind::NotADirectory.into()),
        _ => {}
    }
    sync_folder(above.unwrap_or(Path::new(".")))
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and its names are made durable by the file system itself.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// What tells a directory from another at the same path.
fn identity(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    #[cfg(unix)]
    return Ok(std::os::unix::fs::MetadataExt::ino(&metadata));
    #[cfg(not(unix))]
    return if metadata.is_dir() { Ok(0) } else { Err(ErrorKind::NotADirectory.into()) };
}
