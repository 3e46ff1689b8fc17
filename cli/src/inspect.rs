//! Looking into a bucket: `log`, `show`.

use std::process::ExitCode;

use operations::moment;
use replica::{
    Bytes, Frontier, Kind, MarkValue,
    log::{
        BucketKey, DecodeError, LogHeader, LogObject, PartRow, PartRowBody, PartRows, RowBody, decode, decode_manifest,
        decode_part,
    },
    ports::Stored,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    failure::{Failure, Outcome, told},
    output::{Output, bytes, counted},
    session::Session,
    stored::{self, FoundAt},
};

/// An object of a log, or a snapshot.
#[derive(Serialize)]
struct Entry {
    replica: String,
    position: String,
    what: &'static str,
    bytes: u64,
    rows: Option<u64>,
    time: Option<String>,
    key: String,
}

pub(crate) async fn log(session: &Session, replica: Option<&str>, out: &mut Output) -> Outcome {
    let bucket = &*session.region().bucket;
    let mut found = false;
    for name in stored::replicas(bucket).await? {
        if replica.is_some_and(|wanted| wanted != name.as_str()) {
            continue;
        }
        found = true;
        for Stored { key, size: bytes, .. } in stored::list(bucket, &stored::keys()?.log_prefix(&name)).await? {
            let Some(BucketKey::Log { position, .. }) = stored::keys()?.parse(&key) else { continue };
            let Some(object) = bucket.get(&key).await? else { continue };
            let (what, rows, time) = match decode(&object, &key, None) {
                Ok(LogObject::Segment(segment)) => {
                    ("segment", Some(segment.row_count()), Some(segment.header().wall_ms))
                }
                Ok(LogObject::Seal(found)) => ("seal", None, Some(found.seal().header.wall_ms)),
                Err(error) => (unread(&error), None, None),
            };
            let (replica, position) = (name.to_string(), position.to_string());
            print(out, &Entry { replica, position, what, bytes, rows, time: time.map(moment), key })?;
        }
        for FoundAt { key, bytes, position, manifest } in stored::manifests(bucket, &name).await? {
            let (replica, position) = (name.to_string(), position.to_string());
            let entry = match manifest {
                Ok(manifest) => Entry {
                    replica,
                    position,
                    what: "snapshot",
                    bytes: manifest.parts.iter().map(|part| part.bytes).sum(),
                    rows: Some(manifest.parts.iter().map(|part| part.rows).sum()),
                    time: Some(moment(manifest.wall_ms)),
                    key,
                },
                Err(error) => Entry { replica, position, what: unread(&error), bytes, rows: None, time: None, key },
            };
            print(out, &entry)?;
        }
    }
    match replica {
        Some(wanted) if !found => {
            Err(Failure::absent(format!("{wanted} has no log in the bucket of {}", session.region().name)))
        }
        None if !found => {
            out.nothing(format_args!("nothing is in the bucket of {}", session.region().name))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What an object is called that is not understood.
const fn unread(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::Unsupported { .. } => "newer",
        DecodeError::Key { .. } | DecodeError::Corrupt { .. } => "damaged",
    }
}

fn print(out: &mut Output, entry: &Entry) -> Outcome<()> {
    if out.is_json() {
        return out.object(entry);
    }
    let Entry { what, rows, time, key, .. } = entry;
    let rows = rows.map_or_else(String::new, |rows| counted(rows, "row"));
    let (size, time) = (bytes(entry.bytes), time.as_deref().unwrap_or("-"));
    out.line(format_args!("{what:8}  {size:>7}  {rows:>11}  {time:24}  {key}"))
}

pub(crate) async fn show(session: &Session, key: &str, out: &mut Output) -> Outcome {
    let damaged = |error: &dyn std::error::Error| Failure::failed(format!("{key}: {}", told(error)));
    let Some(what) = BucketKey::parse(key) else {
        return Err(Failure::usage(format!("{key} is not a key of a log or a snapshot; `log` lists them")));
    };
    let object = stored::get(&*session.region().bucket, key).await?;
    match what {
        BucketKey::Log { .. } => match decode(&object, key, None).map_err(|error| damaged(&error))? {
            LogObject::Segment(segment) => {
                let mut head = header("segment", segment.header());
                let marks = segment.marks().iter().map(|mark| {
                    let value = match mark.value {
                        MarkValue::Number(number) => json!(number),
                        MarkValue::Hash(hash) => json!(hex(&hash)),
                    };
                    json!({"name": String::from_utf8_lossy(&mark.name), "value": value})
                });
                head["marks"] = marks.collect();
                let evictions = segment.evictions().iter();
                head["evictions"] = evictions
                    .map(|evicted| json!({"replica": evicted.replica.as_str(), "last": evicted.last.to_string()}))
                    .collect();
                out.line(head)?;
                let mut rows = segment.rows();
                while let Some(row) = rows.next() {
                    let (path, kind) = (row.path.to_owned(), row.kind);
                    out.line(json!({"path": path, "kind": kind.name(), "changes": changes(row.body)}))?;
                }
            }
            LogObject::Seal(found) => {
                let seal = found.seal();
                let mut head = header("seal", &seal.header);
                head["next_epoch"] = json!(seal.next_epoch.map(|epoch| format!("{epoch:08x}")));
                let ended = seal.lineage.iter().map(|ended| json!(format!("{:08x}/{:08x}", ended.epoch, ended.slot)));
                head["ended_epochs"] = ended.collect();
                out.line(head)?;
            }
        },
        BucketKey::Manifest { .. } => {
            let found = decode_manifest(&object, key, None).map_err(|error| damaged(&error))?;
            let manifest = found.manifest();
            let logs = manifest.logs.iter().map(|log| {
                json!({
                    "replica": log.replica.as_str(),
                    "applied": log.applied.map(|position| position.to_string()),
                    "last_change": log.last_change.map(|position| position.to_string()),
                    "acknowledges": frontier(&log.ack),
                    "evicted": log.evicted.as_ref().map(|evicted| evicted.last.to_string()),
                })
            });
            out.line(json!({
                "what": "snapshot",
                "replica": manifest.replica.as_str(),
                "position": manifest.position.to_string(),
                "time": moment(manifest.wall_ms),
                "logs": logs.collect::<Value>(),
                "early_removals": manifest.early.len(),
                "marks": manifest.marks.len(),
            }))?;
            for part in &manifest.parts {
                let key = stored::keys()?.part(&manifest.replica, part.written, part.content);
                out.line(json!({"part": key, "bytes": part.bytes, "rows": part.rows, "dead": part.dead}))?;
            }
        }
        BucketKey::Part { .. } => {
            let part = decode_part(&object, key, None).map_err(|error| damaged(&error))?;
            rows(part.live(), "live", out)?;
            rows(part.dead(), "dead", out)?;
        }
        BucketKey::Probe { .. } => return Err(Failure::usage("there is nothing in a probe")),
    }
    Ok(ExitCode::SUCCESS)
}

fn header(what: &str, header: &LogHeader) -> Value {
    json!({
        "what": what,
        "replica": header.replica.as_str(),
        "position": header.position.to_string(),
        "time": moment(header.wall_ms),
        "frontier": frontier(&header.frontier),
        "acknowledges": frontier(&header.ack),
    })
}

/// By the ids of the replicas: an object names those that its rows speak of.
fn frontier(frontier: &Frontier) -> Value {
    let place = |dot: replica::Dot| (dot.replica.to_string(), json!(dot.position.to_string()));
    Value::Object(frontier.iter().map(place).collect())
}

fn value(bytes: &[u8]) -> Value {
    operations::json(&Bytes::from(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn dots(dots: &[replica::Dot]) -> Value {
    dots.iter().map(|dot| json!(dot.to_string())).collect()
}

fn tallies<'a>(tallies: impl IntoIterator<Item = &'a crdt_core::Tally>) -> Value {
    tallies.into_iter().map(|tally| json!(format!("{tally:?}"))).collect()
}

fn changes(body: RowBody<'_, '_>) -> Value {
    match body {
        RowBody::Counter(counted) => tallies(counted),
        RowBody::Register { written, removed } => {
            json!({"written": written.map(|write| value(write.value)), "removed": dots(removed)})
        }
        RowBody::Set(mut edits) => {
            let mut list = Vec::new();
            while let Some(edit) = edits.next() {
                list.push(json!({"element": value(edit.element), "added": edit.added, "removed": dots(edit.removed)}));
            }
            Value::Array(list)
        }
    }
}

fn rows(mut rows: PartRows<'_>, section: &str, out: &mut Output) -> Outcome<()> {
    while let Some(row) = rows.next() {
        let (path, kind): (String, Kind) = (row.path.to_owned(), row.kind);
        out.line(json!({"section": section, "path": path, "kind": kind.name(), "state": state(row)}))?;
    }
    Ok(())
}

pub(crate) fn state(row: PartRow<'_, '_>) -> Value {
    match row.body {
        PartRowBody::Counter(counted) => tallies(counted),
        PartRowBody::Register(mut writes) => {
            let mut list = Vec::new();
            while let Some(write) = writes.next() {
                list.push(json!({"value": value(write.value), "dot": write.dot.to_string()}));
            }
            Value::Array(list)
        }
        PartRowBody::Set(mut elements) => {
            let mut list = Vec::new();
            while let Some(element) = elements.next() {
                list.push(json!({"element": value(element.element), "dots": dots(element.dots)}));
            }
            Value::Array(list)
        }
    }
}
