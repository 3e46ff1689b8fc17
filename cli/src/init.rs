//! `init`: a first configuration.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use crate::{
    config,
    failure::{Failure, Outcome},
    output::Output,
};

/// Writes `file`, or what a configuration is called unless told otherwise, and makes the directories that it names.
/// `text` makes the configuration of the names.
pub(crate) fn init(
    file: Option<&Path>,
    dir: Option<&Path>,
    names: &[String],
    text: impl FnOnce(&[String]) -> Outcome<String>,
    out: &mut Output,
) -> Outcome {
    let file = match (file, dir) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--config names the file, and --dir its folder: give one of them"));
        }
        (Some(file), None) => file.to_owned(),
        (None, dir) => dir.map_or_else(PathBuf::new, Path::to_owned).join(config::FILE),
    };
    let names = if names.is_empty() { config::REGIONS.map(str::to_owned).to_vec() } else { names.to_vec() };
    let text = text(&names)?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::failed(format!("{} is there already", file.display())),
        _ => Failure::failed(format!("{}: {error}", file.display())),
    };
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut created = OpenOptions::new().write(true).create_new(true).open(&file).map_err(failed)?;
    created.write_all(text.as_bytes()).map_err(failed)?;
    let regions = config::read(&file)?;
    regions.iter().try_for_each(config::Region::make)?;
    let are_made = regions.iter().all(|region| matches!(region.place, config::Place::Directory(_)));
    if out.is_json() {
        out.object(&json!({"config": file.display().to_string(), "regions": names}))?;
    } else if !are_made {
        out.line(format_args!(
            "{} names the regions {}; `archipelago provision` makes what they need",
            file.display(),
            names.join(", ")
        ))?;
    } else {
        out.line(format_args!(
            "{} names the regions {}; their directories are made below {}",
            file.display(),
            names.join(", "),
            folder.join("buckets").display()
        ))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
