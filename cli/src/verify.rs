//! `verify`: snapshots of the same changes must hold the same.

use std::{collections::BTreeMap, process::ExitCode};

use replica::{
    Kind, Position, ReplicaId,
    log::{Manifest, Part, PartRef, decode_part},
};
use serde::Serialize;

use crate::{
    failure::{Failure, Outcome, told},
    inspect,
    output::Output,
    session::Session,
    stored,
};

/// A snapshot, and the region that it is in.
struct Found {
    region: usize,
    manifest: Manifest,
}

#[derive(Serialize)]
struct Compared<'a> {
    region: &'a str,
    replica: &'a str,
    position: String,
    with: String,
    same: bool,
    differing: Vec<String>,
}

pub(crate) async fn verify(session: &Session, out: &mut Output) -> Outcome {
    let mut groups: BTreeMap<BTreeMap<ReplicaId, Position>, Vec<Found>> = BTreeMap::new();
    for (region, configured) in session.regions.iter().enumerate() {
        for name in stored::replicas(&*configured.bucket).await? {
            for manifest in stored::manifests(&*configured.bucket, &name).await? {
                groups.entry(manifest.changes()).or_default().push(Found { region, manifest });
            }
        }
    }
    let (mut compared, mut differ) = (0, 0);
    for group in groups.values() {
        let Some((first, others)) = group.split_first() else { continue };
        // Reading one proves that its parts are whole; the others are held against it.
        let whole = parts(session, first).await?;
        for other in others {
            let found = parts(session, other).await?;
            let differing = differences(&whole, &found);
            compared += 1;
            differ += usize::from(!differing.is_empty());
            let shown = Compared {
                region: &session.regions[other.region].name,
                replica: other.manifest.replica.as_str(),
                position: other.manifest.position.to_string(),
                with: place(session, first),
                same: differing.is_empty(),
                differing,
            };
            if out.is_json() {
                out.object(&shown)?;
            } else {
                let verdict = if shown.same { "the same as" } else { "DIFFERS from" };
                out.line(format_args!("{}  {verdict}  {}", place(session, other), shown.with))?;
                for what in &shown.differing {
                    out.line(format_args!("  {what}"))?;
                }
            }
        }
    }
    out.flush()?;
    if differ > 0 {
        return Err(Failure::failed(format!("{differ} of {compared} snapshots differ from one of the same changes")));
    }
    if compared == 0 && !out.is_json() {
        out.line(
            "no two snapshots hold the same changes, so there is nothing to compare; `sync` in each region first",
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn place(session: &Session, found: &Found) -> String {
    let Found { region, manifest } = found;
    format!("{}: {} at {}", session.regions[*region].name, manifest.replica, manifest.position)
}

/// The parts of a snapshot, read from end to end.
async fn parts(session: &Session, found: &Found) -> Outcome<Vec<Part>> {
    let bucket = &*session.regions[found.region].bucket;
    let mut parts = Vec::new();
    for PartRef { written, content, .. } in &found.manifest.parts {
        let key = stored::keys()?.part(&found.manifest.replica, *written, *content);
        let object = stored::get(bucket, &key).await?;
        let part = decode_part(&object, &key, None);
        parts.push(part.map_err(|error| {
            Failure::failed(format!("{}: {key}: {}", session.regions[found.region].name, told(&error)))
        })?);
    }
    Ok(parts)
}

/// What is live in one and not, or otherwise, in the other. Dead tallies wait to be purged in some replicas longer than in
/// others.
fn differences(left: &[Part], right: &[Part]) -> Vec<String> {
    if left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.content() == right.content()) {
        return Vec::new();
    }
    let (left, right) = (live(left), live(right));
    let mut differing = Vec::new();
    for (key, state) in &left {
        match right.get(key) {
            Some(other) if other == state => {}
            Some(other) => differing.push(format!("{} {}: {other} and {state}", key.0, key.1)),
            None => differing.push(format!("{} {}: nothing and {state}", key.0, key.1)),
        }
    }
    for (key, state) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
        differing.push(format!("{} {}: {state} and nothing", key.0, key.1));
    }
    differing
}

fn live(parts: &[Part]) -> BTreeMap<(String, Kind), String> {
    let mut found = BTreeMap::new();
    for part in parts {
        let mut rows = part.live();
        while let Some(row) = rows.next() {
            let key = (row.path.to_owned(), row.kind);
            found.insert(key, inspect::state(row).to_string());
        }
    }
    found
}
