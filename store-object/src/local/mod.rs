//! A bucket in a directory.
//!
//! Written on `std::fs`; why not on the `object_store` crate is said in docs/decisions/0008-local-directory.md.

mod directory;
mod failure;
mod listing;
mod staging;

use std::{path::Path, sync::Arc};

use blocking::unblock;
use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Page, check_key, check_prefix};

use self::directory::Directory;

/// A bucket whose objects are files in a directory, under the path that is their key.
///
/// # What it promises
///
/// - A create that has been answered survives a loss of power: the file, its name, and the names of the folders above it
///   have been synced before. So has what is answered with [`Created::Exists`].
/// - An object appears whole or not at all, also when the process is killed: it is written in a staging folder, and
///   enters under its key by one hard link, which also decides between several creators, in this process and in others.
/// - A list reads the folders that it gives objects of, and no others.
/// - A directory that was there when the bucket was opened and is not any more, as when a disk has been unmounted, is an
///   error, not an empty bucket.
///
/// A delete is not synced: after a loss of power an object may be back.
///
/// # What it needs
///
/// A file system with hard links that tells upper from lower case, and on which one `sync` of a folder makes its names
/// durable. To read a bucket, reading it is enough: nothing is written before the first create. Any number of processes
/// may have one directory open.
///
/// # Where it runs
///
/// On any executor: file operations run on the threads of the `blocking` crate. When a call's future is dropped, an
/// operation that has begun goes on to its end.
#[derive(Clone, Debug)]
pub struct LocalBucket {
    directory: Arc<Directory>,
}

impl LocalBucket {
    /// Opens the directory, which is made if it is missing, and removes what a crash has left half-written in it.
    ///
    /// This reads and writes a few directory entries before it returns.
    ///
    /// # Errors
    ///
    /// `Refused` if the directory cannot be made or read, with its path and what to do.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, BucketError> {
        Ok(Self { directory: Arc::new(Directory::open(directory.as_ref())?) })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.root()
    }
}

impl Bucket for LocalBucket {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move {
            check_key(key)?;
            let (directory, key) = (Arc::clone(&self.directory), key.to_owned());
            unblock(move || directory.create(&key, &body)).await
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        self.get_range(key, 0, u64::MAX)
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            check_key(key)?;
            let (directory, key) = (Arc::clone(&self.directory), key.to_owned());
            unblock(move || directory.read(&key, start, length)).await
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            let directory = Arc::clone(&self.directory);
            let (prefix, after) = (prefix.to_owned(), after.unwrap_or("").to_owned());
            unblock(move || directory.list(&prefix, &after, limit.max(1))).await
        })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            let (directory, prefix) = (Arc::clone(&self.directory), prefix.to_owned());
            unblock(move || directory.folders(&prefix)).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move {
            check_key(key)?;
            let (directory, key) = (Arc::clone(&self.directory), key.to_owned());
            unblock(move || directory.delete(&key)).await
        })
    }
}
