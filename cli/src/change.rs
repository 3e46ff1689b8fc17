//! Changing: `delete`, `sync`, `evict`.

use std::process::ExitCode;

use replica::{Kind, Position, key::check_path};
use serde::Serialize;

use crate::{
    failure::{Failure, Outcome},
    output::{Output, counted},
    session::Session,
};

#[derive(Serialize)]
struct Deleted<'a> {
    path: &'a str,
    deleted: usize,
}

pub(crate) async fn delete(session: &Session, path: &str, kind: Option<Kind>, out: &mut Output) -> Outcome {
    check_path(path).map_err(|invalid| Failure::usage(format!("{invalid}: {path:?}")))?;
    let replica = session.open().await?;
    // A deletion undoes what it has seen: all that there is.
    session.catch_up(replica, &mut session.warnings()).await;
    let there = replica.get(path)?.into_iter().map(|value| operations::kind_of(&value));
    let meant: Vec<Kind> = there.filter(|there| kind.is_none_or(|kind| kind == *there)).collect();
    if meant.is_empty() {
        return Err(Failure::missing(path));
    }
    let written = replica.batch(|batch| {
        meant.iter().for_each(|kind| batch.delete_kind(path, *kind));
        Ok(())
    })?;
    written.durable().await?;
    let meant = meant.len();
    if out.is_json() {
        out.object(&Deleted { path, deleted: meant })?;
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Synced {
    complete: bool,
    objects: usize,
    snapshot: Option<String>,
}

pub(crate) async fn sync(session: &Session, out: &mut Output) -> Outcome {
    let replica = session.open().await?;
    let complete = session.catch_up(replica, &mut session.warnings()).await;
    replica.close().await?;
    let status = replica.status();
    let snapshot = status.snapshots.last().map(Position::to_string);
    if out.is_json() {
        out.object(&Synced { complete, objects: status.objects, snapshot })?;
    } else {
        let snapshot = snapshot.unwrap_or_else(|| "none: there is nothing yet".to_owned());
        out.line(format_args!("{}, snapshot {snapshot}", counted(status.objects as u64, "object")))?;
    }
    if complete { Ok(ExitCode::SUCCESS) } else { Err(Failure::failed("not all that there is could be read")) }
}

#[derive(Serialize)]
struct Evicted<'a> {
    replica: &'a str,
    at: String,
    sealed: bool,
}

pub(crate) async fn evict(session: &Session, name: &str, at: Option<Position>, out: &mut Output) -> Outcome {
    if name == session.replica() {
        return Err(Failure::usage(format!(
            "{name} cannot evict itself, and this command would write as {name}: have another one declare it, as with \
             `--replica {}-ops`",
            session.region().name
        )));
    }
    let replica = session.open().await?;
    session.catch_up(replica, &mut session.warnings()).await;
    let evicted = replica.evict(name, at).await?;
    let (end, sealed) = (evicted.last.to_string(), evicted.is_sealed);
    if out.is_json() {
        out.object(&Evicted { replica: name, at: end, sealed })?;
        return Ok(ExitCode::SUCCESS);
    }
    let seal = if sealed { "" } else { "; its bucket could not be sealed: should it come back, its peers tell it" };
    out.line(format_args!("{name} is evicted: its log ends at {end}{seal}"))?;
    let log = replica.status().logs.into_iter().find(|log| log.replica.as_str() == name);
    if let Some(applied) = log.and_then(|log| log.applied).filter(|applied| *applied > evicted.last) {
        out.line(format_args!("what this region has read of it beyond that, up to {applied}, stays"))?;
    }
    Ok(ExitCode::SUCCESS)
}
