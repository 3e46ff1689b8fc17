//! `apply`: operations from a file or standard input.
//!
//! One thread reads and parses, this one applies, and the replica writes segments meanwhile. Groups of lines are batches: each
//! is in one segment, with the mark that says how many lines are done.

use std::{
    collections::VecDeque, future::pending, io::IsTerminal, path::Path, pin::pin, process::ExitCode, time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use operations::Operation;
use replica::{Error, ErrorKind, Position, Replica};
use serde::Serialize;
use tokio::{sync::mpsc, time::sleep};

use crate::{
    failure::{Failure, Outcome, told},
    groups::{Group, Reader},
    lines::Lines,
    output::{Output, counted},
    session::Session,
    signals::Signals,
    source::Source,
    warnings::Warnings,
};

/// How many groups wait to be applied.
const GROUPS_WAITING: usize = 8;

/// How long is waited when too much waits for the bucket.
const BACK_OFF: Duration = Duration::from_millis(20);

/// How long is waited for the bucket when the command was told to stop.
const HURRY: Duration = Duration::from_secs(5);

/// What a run came to.
#[derive(Debug, Default, Serialize)]
struct Summary {
    applied: u64,
    rejected: u64,
    skipped: u64,
    position: String,
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
    let mut warnings = session.warnings();
    let replica = session.open().await?;
    // What is deleted, removed or written over is what has been seen: all that there is.
    session.catch_up(replica, &mut warnings).await;
    let begun = source.as_ref().and_then(|source| source.begun(replica));
    if let (Some(source), None) = (&source, begun) {
        source.claim(replica).await?;
    }
    let mut signals = Signals::listen()?;
    let bar = progress(file);
    let (send, mut groups) = mpsc::channel(GROUPS_WAITING);
    let reader = Reader::new(name.clone(), begun, skip_bad, send, bar.clone());
    read_aside(reader, input);

    let mut applier =
        Applier { replica, source, name, skip_bad, summary: Summary::default(), waiting: VecDeque::new() };
    let stopped = tokio::select! {
        stopped = applier.run(&mut groups) => stopped,
        code = signals.next() => Err(Stop::Interrupted(code)),
        never = warnings.keep_telling(replica) => never,
    };
    bar.finish_and_clear();
    let (stopped, is_durable) = settle(replica, stopped, &mut signals, &mut warnings).await;
    let lost = if is_durable { 0 } else { applier.give_up_the_rest() };
    applier.summary.position = replica.status().durable.to_string();
    out.object(&applier.summary)?;
    out.flush()?;
    let rest = match (lost, &applier.source) {
        (0, _) => String::new(),
        (lost, None) => format!("; {} behind that may be lost", counted(lost, "operation")),
        (lost, Some(_)) => format!("; repeat it to do {} behind that again", counted(lost, "operation")),
    };
    match stopped {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Stop::Failed(failure)) if lost == 0 => Err(failure),
        Err(Stop::Failed(failure)) => Err(failure.and(&rest)),
        Err(Stop::Interrupted(code)) => {
            anstream::eprintln!("interrupted; what the summary counts is durable{rest}");
            Ok(ExitCode::from(code))
        }
    }
}

/// Waits until everything that was applied is durable, however that ended: not for long when the command was told to stop, and
/// not at all when it is told so again. Returns how it ended, and whether all is durable.
async fn settle(
    replica: &Replica,
    mut stopped: Result<(), Stop>,
    signals: &mut Signals,
    warnings: &mut Warnings,
) -> (Result<(), Stop>, bool) {
    let mut flush = pin!(replica.flush());
    let mut telling = pin!(warnings.keep_telling(replica));
    loop {
        let is_told = matches!(stopped, Err(Stop::Interrupted(_)));
        let patience = async { if is_told { sleep(HURRY).await } else { pending().await } };
        tokio::select! {
            flushed = &mut flush => {
                return match flushed {
                    Ok(()) => (stopped, true),
                    Err(error) if matches!(stopped, Err(Stop::Failed(_))) => {
                        // Why nothing more is written has been told already, or is told beside it.
                        let _told = error;
                        (stopped, false)
                    }
                    Err(error) => (Err(Stop::Failed(error.into())), false),
                };
            }
            code = signals.next() => {
                if is_told {
                    return (stopped, false);
                }
                stopped = Err(Stop::Interrupted(code));
            }
            () = patience => return (stopped, false),
            never = &mut telling => never,
        }
    }
}

/// Nobody waits for its end: a terminal may never say anything more.
#[expect(clippy::disallowed_methods, reason = "reading waits for whoever writes, which no task may")]
fn read_aside(reader: Reader, input: Lines) {
    std::thread::spawn(move || reader.run(input));
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
    /// How many operations were applied when something was last applied under a position.
    waiting: VecDeque<(Position, u64)>,
}

/// Why it ended before the input did.
enum Stop {
    Failed(Failure),
    /// It was told to, and exits with this.
    Interrupted(u8),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Applier<'_> {
    fn count(&mut self, position: Position, operations: usize) {
        self.summary.applied += operations as u64;
        match self.waiting.back_mut().filter(|(last, _)| *last == position) {
            Some((_, applied)) => *applied = self.summary.applied,
            None => self.waiting.push_back((position, self.summary.applied)),
        }
    }

    /// Counts only what is durable. Returns how many operations that leaves out.
    fn give_up_the_rest(&mut self) -> u64 {
        let durable = self.replica.status().durable;
        let last = self.waiting.iter().take_while(|(position, _)| *position <= durable).last();
        let applied = last.map_or(0, |(_, applied)| *applied);
        std::mem::replace(&mut self.summary.applied, applied) - applied
    }

    async fn run(&mut self, groups: &mut mpsc::Receiver<Outcome<Group>>) -> Result<(), Stop> {
        while let Some(group) = groups.recv().await {
            let group = group?;
            self.summary.skipped += group.skipped;
            self.summary.rejected += group.rejected;
            match self.change(&group, &group.operations, group.read(), group.hash()).await {
                Ok(position) => self.count(position, group.operations.len()),
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
                Ok(position) => self.count(position, 1),
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
    async fn change(
        &self,
        group: &Group,
        operations: &[Operation],
        read: u64,
        hash: [u8; 32],
    ) -> Result<Position, Error> {
        loop {
            let changed = self.replica.batch(|batch| {
                operations.iter().for_each(|operation| operation.put(&group.texts, batch));
                if let Some(source) = &self.source {
                    source.note(batch, read, hash);
                }
                Ok(())
            });
            match changed {
                Ok(written) => return Ok(written.position()),
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
