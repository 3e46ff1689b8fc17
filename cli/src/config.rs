//! The configuration: which regions there are, and where their buckets are.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use replica::{name::ReplicaName, ports::Bucket};
use serde::Deserialize;
use store_object::MemoryBucket;

use crate::{
    directory::Directory,
    failure::{Failure, Outcome},
};

/// What the configuration is called unless told otherwise.
pub(crate) const FILE: &str = "archipelago.toml";

/// The regions that `init` names unless told otherwise.
pub(crate) const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// The longest name of a region, in bytes: what leaves room for `-demo` behind it.
const REGION_BYTES_MAX: usize = 35;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "region")]
    regions: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    bucket: String,
}

/// A region.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) bucket: Arc<dyn Bucket>,
}

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory.
    Directory(PathBuf),
    /// This process's memory.
    Memory,
}

impl Region {
    /// Makes its directory, if it has one: only who writes there does.
    pub(crate) fn make(&self) -> Outcome<()> {
        match &self.place {
            Place::Directory(path) => fs::create_dir_all(path)
                .map_err(|error| Failure::failed(format!("region {}: {}: {error}", self.name, path.display()))),
            Place::Memory => Ok(()),
        }
    }

    /// Its directory, if it has one and that is not there.
    pub(crate) fn missing(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(path) => Some(&**path).filter(|path| !path.exists()),
            Place::Memory => None,
        }
    }
}

/// Reads a configuration. Directories in it are relative to its own, and none is made by this.
pub(crate) fn read(file: &Path) -> Outcome<Vec<Region>> {
    let text = fs::read_to_string(file).map_err(|error| {
        let init = if file == Path::new(FILE) { "; `archipelago init` writes one" } else { "" };
        Failure::usage(format!("no configuration can be read: {}: {error}{init}", file.display()))
    })?;
    let wrong = |says: String| Failure::usage(format!("{}: {says}", file.display()));
    let File { regions } = toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
    if regions.is_empty() {
        return Err(wrong("there is no [[region]] in it".to_owned()));
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut found: Vec<Region> = Vec::new();
    for Entry { name, bucket } in regions {
        check_name(&name).map_err(&wrong)?;
        let place = place(&bucket, folder).map_err(|says| wrong(format!("region {name}: {says}")))?;
        if found.iter().any(|region| region.name == name) {
            return Err(wrong(format!("two regions are called {name}")));
        }
        if let Some(same) = found.iter().find(|region| region.place.overlaps(&place)) {
            let says =
                format!("the regions {} and {name} have one bucket, or one lies in the other: {bucket}", same.name);
            return Err(wrong(says));
        }
        let bucket = place.bucket();
        found.push(Region { name, place, bucket });
    }
    Ok(found)
}

/// The text of a configuration with a directory for each of these regions beside it.
pub(crate) fn with_directories(names: &[String]) -> Outcome<String> {
    let mut text = String::from(
        "# The regions, and a bucket for each. `file:` directories are relative to this file.\n\
         # Commands work from the first region unless --region names another.\n",
    );
    for (number, name) in names.iter().enumerate() {
        check_name(name).map_err(Failure::usage)?;
        if names[..number].contains(name) {
            return Err(Failure::usage(format!("two regions are called {name}")));
        }
        text += &format!("\n[[region]]\nname = \"{name}\"\nbucket = \"file:buckets/{name}\"\n");
    }
    Ok(text)
}

fn check_name(name: &str) -> Result<(), String> {
    match ReplicaName::new(name) {
        Ok(_) if name.len() <= REGION_BYTES_MAX => Ok(()),
        _ => Err(format!("the name of a region is 1 to {REGION_BYTES_MAX} of a-z, 0-9 and -: {name:?}")),
    }
}

fn place(bucket: &str, folder: &Path) -> Result<Place, String> {
    match bucket.split_once(':') {
        Some(("file", directory)) if !directory.is_empty() => {
            let path = std::path::absolute(folder.join(directory)).map_err(|error| error.to_string())?;
            Ok(Place::Directory(resolved(&path)))
        }
        Some(("memory", "")) => Ok(Place::Memory),
        Some((scheme @ ("s3" | "az" | "gs"), _)) => {
            Err(format!("this build has no buckets of the kind {scheme}: yet; file: and memory: are there: {bucket}"))
        }
        _ => Err(format!("a bucket is file:DIR or memory: and not {bucket:?}")),
    }
}

/// The one name of a directory, as far as it is there: two ways to it are one bucket.
fn resolved(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            part => found.push(part),
        }
        if let Ok(real) = fs::canonicalize(&found) {
            found = real;
        }
    }
    found
}

impl Place {
    /// True when what is written to one of them appears in the other.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(one), Self::Directory(other)) => one.starts_with(other) || other.starts_with(one),
            _ => false,
        }
    }

    fn bucket(&self) -> Arc<dyn Bucket> {
        match self {
            Self::Directory(path) => Arc::new(Directory::new(path.clone())),
            Self::Memory => Arc::new(MemoryBucket::new()),
        }
    }
}
