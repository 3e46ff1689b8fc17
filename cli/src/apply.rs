//! `apply`: operations from a file or standard input.
//!
//! One thread reads and parses, this one applies, and the replica writes segments meanwhile. Groups of lines are batches: each
//! is in one segment, with the mark that says how many lines are done.

use std::{io::IsTerminal, path::Path, process::ExitCode, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use replica::{Error, ErrorKind, MarkValue, Replica};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{
    failure::{Failure, Outcome, told},
    groups::{Begun, Group, Reader},
    lines::Lines,
    operation::Operation,
    output::Output,
    session::Session,
};

/// How many groups wait to be applied.
const GROUPS_WAITING: usize = 8;

/// How long is waited when too much waits for the bucket.
const BACK_OFF: Duration = Duration::from_millis(20);

/// What a shell exits with when it is interrupted.
const INTERRUPTED: u8 = 130;

/// What a run came to.
#[derive(Debug, Default, Serialize)]
struct Summary {
    applied: u64,
    rejected: u64,
    skipped: u64,
    position: String,
}

/// The marks of a source.
struct Source {
    lines: String,
    hash: String,
}

impl Source {
    fn new(name: &str) -> Outcome<Self> {
        if name.is_empty() || name.len() > 200 || name.contains(char::is_control) {
            return Err(Failure::usage("the name of a source has 1 to 200 bytes without control characters"));
        }
        Ok(Self { lines: format!("apply/{name}/lines"), hash: format!("apply/{name}/hash") })
    }

    /// Where this replica left it.
    fn begun(&self, replica: &Replica) -> Option<Begun> {
        match (replica.mark(&self.lines)?.value, replica.mark(&self.hash)?.value) {
            (MarkValue::Number(lines), MarkValue::Hash(hash)) => Some(Begun { lines, hash }),
            _ => None,
        }
    }
}

pub(crate) async fn apply(
    session: &Session,
    file: Option<&Path>,
    resume: Option<&str>,
    skip_bad: bool,
    out: &mut Output,
) -> Outcome {
    let source = resume.map(Source::new).transpose()?;
    let input = Lines::open(file)?;
    let named = file.filter(|file| *file != Path::new("-"));
    let name = named.map_or_else(|| "standard input".to_owned(), |file| file.display().to_string());
    let replica = session.open().await?;
    let begun = source.as_ref().and_then(|source| source.begun(replica));
    if let (Some(source), None) = (&source, begun) {
        refuse_if_begun_elsewhere(replica, source, resume.unwrap_or_default()).await?;
    }
    let bar = progress(file);
    let (send, mut groups) = mpsc::channel(GROUPS_WAITING);
    let reader = Reader::new(name.clone(), begun, skip_bad, send, bar.clone());
    read_aside(reader, input);

    let mut applier = Applier { replica, source, name, skip_bad, summary: Summary::default() };
    let interrupted = tokio::signal::ctrl_c();
    let stopped = tokio::select! {
        stopped = applier.run(&mut groups) => stopped,
        _ = interrupted => Err(Stop::Interrupted),
    };
    bar.finish_and_clear();
    // Whatever stopped it, what the summary counts is durable.
    replica.flush().await?;
    applier.summary.position = replica.status().durable.to_string();
    out.object(&applier.summary)?;
    out.flush()?;
    match stopped {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Interrupted) => {
            anstream::eprintln!("interrupted; what the summary counts is durable");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Nobody waits for its end: a terminal may never say anything more.
#[expect(clippy::disallowed_methods, reason = "reading waits for whoever writes, which no task may")]
fn read_aside(reader: Reader, input: Lines) {
    std::thread::spawn(move || reader.run(input));
}

async fn refuse_if_begun_elsewhere(replica: &Replica, source: &Source, name: &str) -> Outcome<()> {
    let others = replica.marked_by(&source.lines).await?;
    match others.first() {
        None => Ok(()),
        Some(other) => Err(Failure::failed(format!(
            "the source {name} was begun by the replica {other}; go on there with --replica {other}, or evict it first"
        ))),
    }
}

fn progress(file: Option<&Path>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bytes = file.and_then(|file| std::fs::metadata(file).ok()).filter(std::fs::Metadata::is_file);
    let bar = bytes.map_or_else(ProgressBar::new_spinner, |file| ProgressBar::new(file.len()));
    let template = if bar.length().is_some() {
        "{bar:40} {bytes} of {total_bytes}  {bytes_per_sec}  {msg}"
    } else {
        "{spinner} {bytes}  {bytes_per_sec}  {msg}"
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Applies groups of operations.
struct Applier<'a> {
    replica: &'a Replica,
    source: Option<Source>,
    name: String,
    skip_bad: bool,
    summary: Summary,
}

/// Why it ended before the input did.
enum Stop {
    Failed(Failure),
    Interrupted,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Applier<'_> {
    async fn run(&mut self, groups: &mut mpsc::Receiver<Outcome<Group>>) -> Result<(), Stop> {
        while let Some(group) = groups.recv().await {
            let group = group?;
            self.summary.skipped += group.skipped;
            self.summary.rejected += group.rejected;
            match self.change(&group, &group.operations, group.read(), group.hash()).await {
                Ok(()) => self.summary.applied += group.operations.len() as u64,
                Err(error) if matches!(error.kind(), ErrorKind::KindMismatch | ErrorKind::Invalid) => {
                    self.one_by_one(&group).await?;
                }
                Err(error) => return Err(Failure::from(error).into()),
            }
            if let Some(says) = group.wrong {
                return Err(Failure::failed(says).into());
            }
        }
        Ok(())
    }

    /// One of them is refused: those before it are applied all the same.
    async fn one_by_one(&mut self, group: &Group) -> Result<(), Stop> {
        for (number, operation) in group.operations.iter().enumerate() {
            let line = group.line_of(number);
            match self.change(group, core::slice::from_ref(operation), line, group.hash_at(line)).await {
                Ok(()) => self.summary.applied += 1,
                Err(error) if matches!(error.kind(), ErrorKind::KindMismatch | ErrorKind::Invalid) => {
                    let says = format!("{}:{line}:1: {}", self.name, told(&error));
                    if !self.skip_bad {
                        return Err(Failure::failed(says).into());
                    }
                    skip(&says);
                    self.summary.rejected += 1;
                }
                Err(error) => return Err(Failure::from(error).into()),
            }
        }
        Ok(())
    }

    /// Makes changes together with the mark that says how far the source is done, and waits while too much waits already.
    async fn change(&self, group: &Group, operations: &[Operation], read: u64, hash: [u8; 32]) -> Result<(), Error> {
        loop {
            let changed = self.replica.batch(|batch| {
                operations.iter().for_each(|operation| operation.put(&group.texts, batch));
                if let Some(source) = &self.source {
                    batch.mark(&source.lines, MarkValue::Number(read));
                    batch.mark(&source.hash, MarkValue::Hash(hash));
                }
                Ok(())
            });
            match changed {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Backpressure => tokio::time::sleep(BACK_OFF).await,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Says that a line is passed over.
fn skip(says: &str) {
    anstream::eprintln!("\x1b[33mskipped:\x1b[0m {says}");
}
