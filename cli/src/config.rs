//! The configuration: which regions there are, and where their buckets are.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use replica::{name::ReplicaName, ports::Bucket};
use serde::Deserialize;
#[cfg(any(feature = "azure", feature = "gcs"))]
use store_object::CloudUrl;
use store_object::MemoryBucket;
#[cfg(feature = "s3")]
use store_s3::{QueueUrl, S3Url};

#[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
use crate::remote::{At, Remote};
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
    hints: Option<String>,
}

/// A region.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) bucket: Arc<dyn Bucket>,
    /// The queue that tells of new objects in the buckets of the others.
    #[cfg(feature = "s3")]
    pub(crate) hints: Option<QueueUrl>,
}

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory.
    Directory(PathBuf),
    /// This process's memory.
    Memory,
    /// A bucket on S3.
    #[cfg(feature = "s3")]
    S3(Box<S3Url>),
    /// A container in Azure or a bucket at Google.
    #[cfg(any(feature = "azure", feature = "gcs"))]
    Cloud(Box<CloudUrl>),
}

impl Region {
    /// Makes its directory, if it has one: only who writes there does.
    pub(crate) fn make(&self) -> Outcome<()> {
        match &self.place {
            Place::Directory(path) => fs::create_dir_all(path)
                .map_err(|error| Failure::failed(format!("region {}: {}: {error}", self.name, path.display()))),
            _ => Ok(()),
        }
    }

    /// Its directory, if it has one and that is not there.
    pub(crate) fn missing(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(path) => Some(&**path).filter(|path| !path.exists()),
            _ => None,
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
    for Entry { name, bucket, hints } in regions {
        check_name(&name).map_err(&wrong)?;
        let read = hints.map(|hints| queue(&hints)).transpose();
        #[cfg_attr(not(feature = "s3"), expect(unused_variables, reason = "there are none without the feature"))]
        let hints = read.map_err(|says| wrong(format!("region {name}: {says}")))?;
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
        #[cfg(feature = "s3")]
        if let Some(same) = found.iter().find(|region| hints.is_some() && region.hints == hints) {
            return Err(wrong(format!(
                "the regions {} and {name} have one queue; a message has one reader",
                same.name
            )));
        }
        found.push(Region {
            name,
            place,
            bucket,
            #[cfg(feature = "s3")]
            hints,
        });
    }
    Ok(found)
}

#[cfg(feature = "s3")]
fn queue(hints: &str) -> Result<QueueUrl, String> {
    hints.parse().map_err(|error: replica::ports::BucketError| error.to_string())
}

#[cfg(not(feature = "s3"))]
fn queue(hints: &str) -> Result<(), String> {
    Err(format!("this build has no queues; build it with the feature s3: {hints}"))
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

/// The text of a configuration with a bucket on S3 for each of these regions, called after `name` and the region, and a
/// queue of the same name unless they poll. With an endpoint all is there, and else on AWS, in the regions that bear
/// these names.
#[cfg(feature = "s3")]
pub(crate) fn on_s3(name: &str, endpoint: Option<&str>, polls: bool, regions: &[String]) -> Outcome<String> {
    let mut text = String::from(
        "# The regions, a bucket for each, and the queue that tells it of new objects in the others.\n\
         # `archipelago provision` makes them, and with --check says what is missing.\n\
         # Credentials come from the usual chain of AWS: the environment, profiles, roles.\n\
         # Commands work from the first region unless --region names another.\n",
    );
    for (number, region) in regions.iter().enumerate() {
        check_name(region).map_err(Failure::usage)?;
        if regions[..number].contains(region) {
            return Err(Failure::usage(format!("two regions are called {region}")));
        }
        let endpoint = endpoint.map(|endpoint| format!("&endpoint={endpoint}")).unwrap_or_default();
        let bucket = format!("s3://{name}-{region}?region={region}{endpoint}");
        bucket.parse::<S3Url>().map_err(|error| Failure::usage(error.to_string()))?;
        text += &format!("\n[[region]]\nname = \"{region}\"\nbucket = \"{bucket}\"\n");
        if !polls {
            let hints = format!("sqs://{name}-{region}?region={region}{endpoint}");
            queue(&hints).map_err(Failure::usage)?;
            text += &format!("hints = \"{hints}\"\n");
        }
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
        #[cfg(feature = "s3")]
        Some(("s3", _)) => match bucket.parse() {
            Ok(url) => Ok(Place::S3(Box::new(url))),
            Err(error) => Err(error.to_string()),
        },
        #[cfg(not(feature = "s3"))]
        Some(("s3", _)) => Err(format!("this build has no buckets on S3; build it with the feature s3: {bucket}")),
        #[cfg(feature = "azure")]
        Some(("az", _)) => cloud(bucket),
        #[cfg(not(feature = "azure"))]
        Some(("az", _)) => Err("this build has no buckets in Azure; build it with the feature azure".to_owned()),
        #[cfg(feature = "gcs")]
        Some(("gs", _)) => cloud(bucket),
        #[cfg(not(feature = "gcs"))]
        Some(("gs", _)) => Err("this build has no buckets at Google; build it with the feature gcs".to_owned()),
        _ => Err(format!("a bucket is one of {}, and not {bucket:?}", kinds().join(", "))),
    }
}

#[cfg(any(feature = "azure", feature = "gcs"))]
fn cloud(bucket: &str) -> Result<Place, String> {
    match bucket.parse() {
        Ok(url) => Ok(Place::Cloud(Box::new(url))),
        Err(error) => Err(error.to_string()),
    }
}

/// The kinds of buckets that there are.
fn kinds() -> Vec<&'static str> {
    let remote = [
        (cfg!(feature = "s3"), "s3://BUCKET"),
        (cfg!(feature = "azure"), "az://CONTAINER"),
        (cfg!(feature = "gcs"), "gs://BUCKET"),
    ];
    let remote = remote.into_iter().filter_map(|(is_there, kind)| is_there.then_some(kind));
    ["file:DIR", "memory:"].into_iter().chain(remote).collect()
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
            #[cfg(feature = "s3")]
            (Self::S3(one), Self::S3(other)) => {
                let is_one = (one.bucket(), one.endpoint()) == (other.bucket(), other.endpoint());
                is_one && (one.prefix().starts_with(other.prefix()) || other.prefix().starts_with(one.prefix()))
            }
            #[cfg(any(feature = "azure", feature = "gcs"))]
            (Self::Cloud(one), Self::Cloud(other)) => one.overlaps(other),
            _ => false,
        }
    }

    fn bucket(&self) -> Arc<dyn Bucket> {
        match self {
            Self::Directory(path) => Arc::new(Directory::new(path.clone())),
            Self::Memory => Arc::new(MemoryBucket::new()),
            #[cfg(feature = "s3")]
            Self::S3(url) => Arc::new(Remote::new(At::S3((**url).clone()))),
            #[cfg(any(feature = "azure", feature = "gcs"))]
            Self::Cloud(url) => Arc::new(Remote::new(At::Cloud((**url).clone()))),
        }
    }
}
