//! Changing: `delete`, `sync`, `evict`.

use std::process::ExitCode;

use replica::{Kind, Position, Replica};
use serde::Serialize;

use crate::{
    failure::{Failure, Outcome},
    output::{Output, counted},
    session::{Session, warn_of_alarms},
};

#[derive(Serialize)]
struct Deleted<'a> {
    path: &'a str,
    deleted: usize,
}

pub(crate) async fn delete(session: &Session, path: &str, kind: Option<Kind>, out: &mut Output) -> Outcome {
    let replica = session.open().await?;
    // A deletion undoes what it has seen: all that there is.
    catch_up(replica).await;
    let there = replica.get(path)?;
    let meant = there.iter().map(crate::output::kind_of).filter(|there| kind.is_none_or(|kind| kind == *there)).count();
    if meant == 0 {
        return Err(Failure::missing(path));
    }
    let written = match kind {
        None => replica.delete(path)?,
        Some(Kind::GCounter) => replica.g_counter(path)?.delete()?,
        Some(Kind::PnCounter) => replica.pn_counter(path)?.delete()?,
        Some(Kind::LwwRegister) => replica.lww_register::<str>(path)?.delete()?,
        Some(Kind::MvRegister) => replica.mv_register::<str>(path)?.delete()?,
        Some(Kind::OrSet) => replica.or_set::<str>(path)?.delete()?,
    };
    written.durable().await?;
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
    let complete = catch_up(replica).await;
    replica.close().await?;
    let status = replica.status();
    let snapshot = status.snapshots.last().map(Position::to_string);
    if out.is_json() {
        out.object(&Synced { complete, objects: status.objects, snapshot })?;
    } else {
        let snapshot = snapshot.unwrap_or_else(|| "none: there is nothing yet".to_owned());
        out.line(format_args!("{}, snapshot {snapshot}", counted(status.objects as u64, "object")))?;
    }
    if complete { Ok(ExitCode::SUCCESS) } else { Err(Failure::failed("not every log could be read to its end")) }
}

#[derive(Serialize)]
struct Evicted<'a> {
    replica: &'a str,
    at: String,
    sealed: bool,
}

pub(crate) async fn evict(session: &Session, name: &str, at: Option<Position>, out: &mut Output) -> Outcome {
    let replica = session.open().await?;
    catch_up(replica).await;
    let evicted = replica.evict(name, at).await?;
    let (at, sealed) = (evicted.last.to_string(), evicted.is_sealed);
    if out.is_json() {
        out.object(&Evicted { replica: name, at, sealed })?;
    } else {
        let seal = if sealed { "" } else { "; its bucket could not be sealed: should it come back, its peers tell it" };
        out.line(format_args!("{name} is evicted: its log ends at {at}{seal}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn catch_up(replica: &Replica) -> bool {
    let complete = replica.catch_up().await;
    if !complete {
        warn_of_alarms(replica);
    }
    complete
}
