//! `init`: a first configuration.

use std::{fs::OpenOptions, io::Write, path::Path, process::ExitCode};

use crate::{
    config,
    failure::{Failure, Outcome},
};

pub(crate) fn init(dir: &Path, names: &[String]) -> Outcome {
    let names = if names.is_empty() { config::REGIONS.map(str::to_owned).to_vec() } else { names.to_vec() };
    let text = config::with_directories(&names)?;
    std::fs::create_dir_all(dir).map_err(|error| Failure::failed(format!("{}: {error}", dir.display())))?;
    let file = dir.join(config::FILE);
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::failed(format!("{} is there already", file.display())),
        _ => Failure::failed(format!("{}: {error}", file.display())),
    };
    let mut created = OpenOptions::new().write(true).create_new(true).open(&file).map_err(failed)?;
    created.write_all(text.as_bytes()).map_err(failed)?;
    anstream::println!("{} names the regions {}", file.display(), names.join(", "));
    Ok(ExitCode::SUCCESS)
}
