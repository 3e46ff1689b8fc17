//! Looking at values: `get`, `scan`, `top`, `rank`, `conflicts`.

use std::process::ExitCode;

use operations::{Shown, json, kind_of, moment};
use replica::{
    Conflict, Kind, LiveWrite, Ranked,
    key::{ObjectKey, check_path},
};
use serde::Serialize;

use crate::{
    failure::{Failure, Outcome},
    output::{Output, in_line, plain},
    session::Session,
};

pub(crate) async fn get(session: &Session, path: &str, out: &mut Output) -> Outcome {
    check_path(path).map_err(|invalid| Failure::usage(format!("{invalid}: {path:?}")))?;
    let replica = session.observe().await?;
    let values = replica.get(path)?;
    if values.is_empty() {
        return Err(Failure::missing(path));
    }
    let several = values.len() > 1;
    for value in &values {
        let key = ObjectKey::new(path, kind_of(value)).map_err(|error| Failure::failed(error.to_string()))?;
        if out.is_json() {
            out.object(&Shown::new(&key, Some(value)))?;
            continue;
        }
        if several {
            out.line(format_args!("{}:", key.kind()))?;
        }
        for line in plain(value) {
            out.line(line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn scan(
    session: &Session,
    prefix: &str,
    limit: Option<usize>,
    after: Option<&str>,
    out: &mut Output,
) -> Outcome {
    let replica = session.observe().await?;
    let mut found = replica.scan(prefix).limit(limit.unwrap_or(usize::MAX));
    if let Some(after) = after {
        // Behind every kind at that path.
        let last = Kind::ALL.into_iter().max().unwrap_or(Kind::OrSet);
        found = found.after(&ObjectKey::new(after, last).map_err(|error| Failure::usage(format!("--after: {error}")))?);
    }
    let mut is_empty = true;
    for (key, value) in found {
        if out.is_closed() {
            break;
        }
        is_empty = false;
        if out.is_json() {
            out.object(&Shown::new(&key, Some(&value)))?;
        } else {
            out.line(format_args!("{}\t{}\t{}", key.path(), key.kind(), in_line(&value)))?;
        }
    }
    if is_empty {
        nothing(out, "nothing", prefix)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(out: &mut Output, what: &str, prefix: &str) -> Outcome<()> {
    let place = if prefix.is_empty() { String::new() } else { format!(" below {prefix:?}") };
    out.nothing(format_args!("{what} is there{place}"))
}

#[derive(Serialize)]
struct Standing<'a> {
    rank: usize,
    path: &'a str,
    kind: &'static str,
    value: i128,
}

impl<'a> Standing<'a> {
    fn new(ranked: &'a Ranked) -> Self {
        Self { rank: ranked.rank, path: ranked.key.path(), kind: ranked.key.kind().name(), value: ranked.value }
    }
}

pub(crate) async fn top(session: &Session, prefix: &str, count: usize, out: &mut Output) -> Outcome {
    let replica = session.observe().await?;
    let ranked = replica.top(prefix, count)?;
    if ranked.is_empty() {
        nothing(out, "no counter", prefix)?;
    }
    let widest = ranked.iter().map(|ranked| ranked.value.to_string().len()).max().unwrap_or(0);
    for ranked in &ranked {
        if out.is_json() {
            out.object(&Standing::new(ranked))?;
        } else {
            out.line(format_args!("{:>4}  {:>widest$}  {}", ranked.rank, ranked.value, ranked.key.path()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn rank(session: &Session, prefix: &str, path: &str, out: &mut Output) -> Outcome {
    let replica = session.observe().await?;
    let board = replica.leaderboard(prefix)?;
    let ranked = board.rank(path);
    let ranked = ranked.ok_or_else(|| Failure::absent(format!("no counter below {prefix:?} is at {path:?}")))?;
    if out.is_json() {
        out.object(&Standing::new(&ranked))?;
    } else {
        out.line(format_args!("{} of {}: {}", ranked.rank, board.len(), ranked.value))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct ShownConflict<'a> {
    path: &'a str,
    kind: &'static str,
    writes: Vec<ShownWrite<'a>>,
}

#[derive(Serialize)]
struct ShownWrite<'a> {
    value: serde_json::Value,
    replica: &'a str,
    time: String,
}

pub(crate) async fn conflicts(session: &Session, prefix: &str, out: &mut Output) -> Outcome {
    let replica = session.observe().await?;
    let mut is_empty = true;
    for Conflict { key, writes, .. } in replica.conflicts(prefix) {
        is_empty = false;
        let shown = |write: &LiveWrite| (json(&write.value), moment(write.timestamp.millis()));
        if out.is_json() {
            let writes = writes.iter().map(|write| {
                let (value, time) = shown(write);
                ShownWrite { value, replica: write.replica.as_str(), time }
            });
            out.object(&ShownConflict { path: key.path(), kind: key.kind().name(), writes: writes.collect() })?;
            continue;
        }
        out.line(format_args!("{}\t{}", key.path(), key.kind()))?;
        for write in &writes {
            let (value, time) = shown(write);
            out.line(format_args!("  {time}  {}  {value}", write.replica))?;
        }
    }
    if is_empty {
        nothing(out, "no conflict", prefix)?;
    }
    Ok(ExitCode::SUCCESS)
}
