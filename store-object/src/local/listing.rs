//! Lists of a directory, in the order of keys. Every call blocks.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, DirEntry},
    io,
    path::Path,
};

use replica::ports::{BucketError, Outcome, Page, Stored, check_key};

use super::{
    directory::Directory,
    failure::{failed, is_absence},
};

impl Directory {
    pub(super) fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, BucketError> {
        let mut walk = Walk { root: self.root(), after, limit, page: Page::default() };
        walk.folder(prefix).map_err(|error| failed("list", &self.root().join(prefix), error, Outcome::Unavailable))?;
        if walk.page.objects.is_empty() {
            self.check_presence()?;
        }
        Ok(walk.page)
    }

    pub(super) fn folders(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let names = folders(self.root(), prefix)
            .map_err(|error| failed("list", &self.root().join(prefix), error, Outcome::Unavailable))?;
        if names.is_empty() {
            self.check_presence()?;
        }
        Ok(names)
    }
}

/// A walk through the tree in ascending order of keys, which ends when the page is full.
struct Walk<'a> {
    root: &'a Path,
    after: &'a str,
    limit: usize,
    page: Page,
}

impl Walk<'_> {
    /// Visits the folder of a prefix, and stops at the first object that the page has no room for.
    ///
    /// A folder stands where its name and a `/` would: all its keys begin so, and no other key lies between them. It is
    /// passed over if they all come before `after`. A heap gives the entries in order, and sorts no more than are asked
    /// for.
    fn folder(&mut self, prefix: &str) -> io::Result<()> {
        let after = self.after;
        let mut keys = Vec::new();
        for name in entries(self.root, prefix)? {
            let key = format!("{prefix}{}", name?);
            if key.as_str() > after || (key.ends_with('/') && after.starts_with(&key)) {
                keys.push(Reverse(key));
            }
        }
        let mut keys = BinaryHeap::from(keys);
        while let Some(Reverse(key)) = keys.pop() {
            if key.ends_with('/') {
                self.folder(&key)?;
            } else {
                self.object(key)?;
            }
            if self.page.more {
                break;
            }
        }
        Ok(())
    }

    fn object(&mut self, key: String) -> io::Result<()> {
        match fs::symlink_metadata(self.root.join(&key)) {
            Ok(_) if self.page.objects.len() == self.limit => self.page.more = true,
            Ok(metadata) => self.page.objects.push(Stored { key, size: metadata.len() }),
            // Deleted since.
            Err(error) if is_absence(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The names of the folders directly under a prefix, in ascending order.
fn folders(root: &Path, prefix: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for name in entries(root, prefix)? {
        if let Some(name) = name?.strip_suffix('/')
            && holds_object(root, &format!("{prefix}{name}/"))?
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether there is an object in the folder of a prefix, however deep. A crash can leave a folder without one.
fn holds_object(root: &Path, prefix: &str) -> io::Result<bool> {
    let mut folders = Vec::new();
    for name in entries(root, prefix)? {
        let name = name?;
        if !name.ends_with('/') {
            return Ok(true);
        }
        folders.push(format!("{prefix}{name}"));
    }
    for folder in folders {
        if holds_object(root, &folder)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files in the folder of a prefix, and the folders with a `/` behind their names, in no order. What can be no key or
/// part of one is left out, and so are symbolic links. There is nothing in a folder that is not there.
fn entries(root: &Path, prefix: &str) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    let open = match fs::read_dir(root.join(prefix)) {
        Err(error) if is_absence(&error) => None,
        opened => Some(opened?),
    };
    let entries = open.into_iter().flatten();
    Ok(entries.filter_map(move |entry| entry.and_then(|entry| segment(prefix, &entry)).transpose()))
}

/// What an entry of a folder adds to its prefix.
fn segment(prefix: &str, entry: &DirEntry) -> io::Result<Option<String>> {
    let name = entry.file_name();
    let Some(name) = name.to_str().filter(|name| check_key(&format!("{prefix}{name}")).is_ok()) else {
        return Ok(None);
    };
    match entry.file_type() {
        Ok(kind) if kind.is_dir() => Ok(Some(format!("{name}/"))),
        Ok(kind) => Ok(kind.is_file().then(|| name.to_owned())),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
