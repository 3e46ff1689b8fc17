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
    output::{Output, counted},
    session::Session,
    stored::{self, FoundAt},
};

/// A snapshot, and the region that it is in.
struct Found {
    region: usize,
    key: String,
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

/// An object that cannot be read, or a bucket.
#[derive(Serialize)]
struct Fault {
    region: String,
    key: String,
    fault: String,
}

impl Fault {
    fn new(session: &Session, region: usize, key: &str, fault: impl Into<String>) -> Self {
        Self { region: session.regions[region].name.clone(), key: key.to_owned(), fault: fault.into() }
    }

    fn line(&self) -> String {
        format!("{}: {}: {}", self.region, self.key, self.fault)
    }
}

pub(crate) async fn verify(session: &Session, out: &mut Output) -> Outcome {
    let mut groups: BTreeMap<BTreeMap<ReplicaId, Position>, Vec<Found>> = BTreeMap::new();
    let mut faults = Vec::new();
    for region in 0..session.regions.len() {
        match snapshots(session, region, &mut faults).await {
            Ok(found) => found.into_iter().for_each(|one| groups.entry(one.manifest.changes()).or_default().push(one)),
            Err(failure) => faults.push(Fault::new(session, region, "the bucket", failure.to_string())),
        }
    }
    let (mut compared, mut differ) = (0, 0);
    for group in groups.values() {
        // Reading one proves that its parts are whole; the others are held against the first that is.
        let mut whole: Option<(&Found, Vec<Part>)> = None;
        for found in group {
            let parts = match parts(session, found).await {
                Ok(Some(parts)) => parts,
                Ok(None) => continue,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            let Some((first, of_first)) = &whole else {
                whole = Some((found, parts));
                continue;
            };
            let shown = Compared::new(session, found, first, differences(of_first, &parts));
            compared += 1;
            differ += u64::from(!shown.same);
            shown.print(&place(session, found), out)?;
        }
    }
    for fault in &faults {
        if out.is_json() {
            out.object(fault)?;
        } else {
            out.line(fault.line())?;
        }
    }
    out.flush()?;
    let mut wrong = Vec::new();
    if differ > 0 {
        wrong.push(format!("{differ} of {compared} snapshots differ from one of the same changes"));
    }
    if let Some(first) = faults.first() {
        wrong.push(format!("{} cannot be read, such as {}", counted(faults.len() as u64, "object"), first.line()));
    }
    if !wrong.is_empty() {
        return Err(Failure::failed(wrong.join("; ")));
    }
    if compared == 0 && !out.is_json() {
        out.line(
            "no two snapshots hold the same changes, so there is nothing to compare; `sync` in each region first",
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

impl<'a> Compared<'a> {
    fn new(session: &'a Session, found: &'a Found, with: &Found, differing: Vec<String>) -> Self {
        Self {
            region: &session.regions[found.region].name,
            replica: found.manifest.replica.as_str(),
            position: found.manifest.position.to_string(),
            with: place(session, with),
            same: differing.is_empty(),
            differing,
        }
    }

    fn print(&self, place: &str, out: &mut Output) -> Outcome<()> {
        if out.is_json() {
            return out.object(self);
        }
        let verdict = if self.same { "the same as" } else { "DIFFERS from" };
        out.line(format_args!("{place}  {verdict}  {}", self.with))?;
        self.differing.iter().try_for_each(|what| out.line(format_args!("  {what}")))
    }
}

/// The snapshots in a region. Those that cannot be read are faults.
async fn snapshots(session: &Session, region: usize, faults: &mut Vec<Fault>) -> Outcome<Vec<Found>> {
    let bucket = &*session.regions[region].bucket;
    let mut found = Vec::new();
    for name in stored::replicas(bucket).await? {
        for FoundAt { key, manifest, .. } in stored::manifests(bucket, &name).await? {
            match manifest {
                Ok(manifest) => found.push(Found { region, key, manifest }),
                Err(error) => faults.push(Fault::new(session, region, &key, told(&error))),
            }
        }
    }
    Ok(found)
}

fn place(session: &Session, found: &Found) -> String {
    let Found { region, manifest, .. } = found;
    format!("{}: {} at {}", session.regions[*region].name, manifest.replica, manifest.position)
}

/// The parts of a snapshot, read from end to end. `None` if it has been collected meanwhile.
async fn parts(session: &Session, found: &Found) -> Result<Option<Vec<Part>>, Fault> {
    let bucket = &*session.regions[found.region].bucket;
    let mut parts = Vec::new();
    for PartRef { written, content, .. } in &found.manifest.parts {
        let fault = |key: &str, says: String| Fault::new(session, found.region, key, says);
        let key = match stored::keys() {
            Ok(keys) => keys.part(&found.manifest.replica, *written, *content),
            Err(failure) => return Err(fault(&found.key, failure.to_string())),
        };
        match bucket.get(&key).await {
            Ok(Some(object)) => {
                parts.push(decode_part(&object, &key, None).map_err(|error| fault(&key, told(&error)))?);
            }
            Ok(None) if matches!(bucket.get(&found.key).await, Ok(None)) => return Ok(None),
            Ok(None) => return Err(fault(&key, format!("it is missing, and {} names it", found.key))),
            Err(error) => return Err(fault(&key, told(&error))),
        }
    }
    Ok(Some(parts))
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
