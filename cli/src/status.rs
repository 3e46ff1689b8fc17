//! `status`: what is known of every log.

use std::process::ExitCode;

use operations::moment;
use replica::{LogStatus, RegionStatus, Status};
use serde::Serialize;

use crate::{
    failure::Outcome,
    output::{Output, bytes, counted},
    session::Session,
};

#[derive(Serialize)]
struct Shown<'a> {
    region: &'a str,
    objects: usize,
    memory_bytes: u64,
    logs: Vec<ShownLog>,
    alarms: Vec<Alarm<'a>>,
    requests: Vec<Requests<'a>>,
    #[cfg(feature = "s3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<crate::queue::ShownQueue>,
}

#[derive(Serialize)]
struct ShownLog {
    replica: String,
    applied: Option<String>,
    heard: Option<String>,
    written: Option<String>,
    lag_seconds: Option<f64>,
    pending_bytes: Option<u64>,
    evicted: Option<String>,
}

#[derive(Serialize)]
struct Alarm<'a> {
    place: &'a str,
    kind: &'static str,
    says: &'a str,
}

#[derive(Serialize)]
struct Requests<'a> {
    region: &'a str,
    creates: u64,
    gets: u64,
    lists: u64,
    deletes: u64,
    bytes_out: u64,
    bytes_in: u64,
}

impl ShownLog {
    fn new(log: &LogStatus) -> Self {
        Self {
            replica: log.replica.to_string(),
            applied: log.applied.map(|position| position.to_string()),
            heard: log.heard.map(|position| position.to_string()),
            written: (log.cut_ms > 0).then(|| moment(log.cut_ms)),
            lag_seconds: log.lag.map(|lag| lag.as_secs_f64()),
            pending_bytes: log.pending_bytes,
            evicted: log.evicted.map(|position| position.to_string()),
        }
    }
}

impl<'a> Requests<'a> {
    fn new(status: &'a RegionStatus) -> Self {
        let RegionStatus { region, creates, gets, lists, deletes, bytes_out, bytes_in, .. } = status;
        let [creates, gets, lists, deletes, bytes_out, bytes_in] =
            [creates, gets, lists, deletes, bytes_out, bytes_in].map(|count| *count);
        Self { region, creates, gets, lists, deletes, bytes_out, bytes_in }
    }
}

pub(crate) async fn status(session: &Session, out: &mut Output) -> Outcome {
    let replica = session.observe().await?;
    let status: Status = replica.status();
    let own = status.replica.clone();
    let logs: Vec<ShownLog> = status.logs.iter().filter(|log| log.replica != own).map(ShownLog::new).collect();
    let requests: Vec<_> = status.regions.iter().map(Requests::new).collect();
    let alarms: Vec<_> =
        status.alarms.iter().map(|(place, kind, says)| Alarm { place, kind: kind.name(), says }).collect();
    #[cfg(feature = "s3")]
    let queue = crate::queue::shown(session.region()).await;
    if out.is_json() {
        out.object(&Shown {
            region: &session.region().name,
            objects: status.objects,
            memory_bytes: status.memory_bytes,
            logs,
            alarms,
            requests,
            #[cfg(feature = "s3")]
            queue,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    out.line(format_args!(
        "{}: {}, {} of memory",
        session.region().name,
        counted(status.objects as u64, "object"),
        bytes(status.memory_bytes)
    ))?;
    if !logs.is_empty() {
        let widest = logs.iter().map(|log| log.replica.len()).max().unwrap_or(0).max("replica".len());
        out.line(format_args!("\n{:widest$}  {:17}  {:24}  lag", "replica", "read to", "written"))?;
        for log in &logs {
            let lag = match (&log.evicted, log.lag_seconds) {
                (Some(last), _) => format!("evicted at {last}"),
                (None, Some(0.0)) => "up to date".to_owned(),
                (None, Some(lag)) => format!("{lag:.1} s behind"),
                (None, None) if log.applied.is_some() => "behind".to_owned(),
                (None, None) => "unread".to_owned(),
            };
            let (applied, written) = (log.applied.as_deref().unwrap_or("-"), log.written.as_deref().unwrap_or("-"));
            out.line(format_args!("{:widest$}  {applied:17}  {written:24}  {lag}", log.replica))?;
        }
    }
    let widest = requests.iter().map(|requests| requests.region.len()).max().unwrap_or(0).max("bucket".len());
    out.line(format_args!("\n{:widest$}  {:>6}  {:>6}  {:>6}  {:>10}", "bucket", "PUT", "GET", "LIST", "read"))?;
    for Requests { region, creates, gets, lists, bytes_in, .. } in &requests {
        out.line(format_args!("{region:widest$}  {creates:>6}  {gets:>6}  {lists:>6}  {:>10}", bytes(*bytes_in)))?;
    }
    #[cfg(feature = "s3")]
    if let Some(queue) = &queue {
        queue.print(out)?;
    }
    for Alarm { place, kind, says } in &alarms {
        out.line(format_args!("\n{place}: {kind}: {says}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
