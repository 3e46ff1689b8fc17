//! Groups of operations, read ahead: what is applied in one batch.

use indicatif::ProgressBar;
use operations::{Operation, Texts, Wrong};
use tokio::sync::mpsc;

use crate::{
    failure::{Failure, Outcome, told},
    lines::{LINE_BYTES_MAX, Lines, Next},
};

/// The most lines in a group.
const GROUP_LINES: usize = 1_024;

/// The most bytes of lines in a group, but for a single line: far below what a batch may have.
const GROUP_BYTES: usize = 1 << 20;

/// Where a source was left: how many lines were done, and the hash of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) lines: u64,
    pub(crate) hash: [u8; 32],
}

/// Lines that are applied together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) operations: Vec<Operation>,
    /// What they speak of.
    pub(crate) texts: Texts,
    /// The number of each operation's line.
    lines: Vec<u64>,
    /// How many lines came before, and their hash.
    before: u64,
    hasher: blake3::Hasher,
    /// What is hashed of the lines since, and where each of them ends in it.
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Lines that were done before, or are blank.
    pub(crate) skipped: u64,
    /// Lines that are wrong and were passed over.
    pub(crate) rejected: u64,
    /// What is wrong with the line behind this group, if the run ends there.
    pub(crate) wrong: Option<String>,
}

impl Group {
    fn new(before: u64, hasher: blake3::Hasher) -> Self {
        Self {
            operations: Vec::new(),
            texts: Texts::default(),
            lines: Vec::new(),
            before,
            hasher,
            text: Vec::new(),
            ends: Vec::new(),
            skipped: 0,
            rejected: 0,
            wrong: None,
        }
    }

    /// How many lines are done when it is.
    pub(crate) const fn read(&self) -> u64 {
        self.before + self.ends.len() as u64
    }

    /// The hash of all of them.
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash_at(self.read())
    }

    /// The number of the line that an operation stands in.
    pub(crate) fn line_of(&self, operation: usize) -> u64 {
        self.lines[operation]
    }

    /// The hash of the lines up to one of the group.
    pub(crate) fn hash_at(&self, line: u64) -> [u8; 32] {
        let end = (line - self.before).checked_sub(1).map_or(0, |last| self.ends[last as usize]);
        *self.hasher.clone().update(&self.text[..end]).finalize().as_bytes()
    }

    fn push(&mut self, operation: Operation, line: u64) {
        self.operations.push(operation);
        self.lines.push(line);
    }

    /// Counts a line as read.
    fn pass(&mut self, line: &Next<'_>) {
        match line {
            Next::Line(line) => {
                self.text.extend_from_slice(line);
                self.text.push(b'\n');
            }
            // No line holds an end of line, so no other text hashes alike.
            Next::TooLong(bytes, hash) => self.text.extend_from_slice(format!("\n{bytes} {hash}\n").as_bytes()),
        }
        self.ends.push(self.text.len());
    }

    /// Begins the group behind this one.
    fn next(&self) -> Self {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.text);
        Self::new(self.read(), hasher)
    }

    fn is_full(&self) -> bool {
        self.ends.len() >= GROUP_LINES || self.text.len() >= GROUP_BYTES
    }
}

/// Reads lines, and sends groups of them.
pub(crate) struct Reader {
    name: String,
    begun: Option<Begun>,
    skip_bad: bool,
    send: mpsc::Sender<Outcome<Group>>,
    bar: ProgressBar,
    group: Group,
}

/// Whoever applies the groups has ended, or is told that nothing more comes.
struct Ended;

impl Reader {
    pub(crate) fn new(
        name: String,
        begun: Option<Begun>,
        skip_bad: bool,
        send: mpsc::Sender<Outcome<Group>>,
        bar: ProgressBar,
    ) -> Self {
        Self { name, begun, skip_bad, send, bar, group: Group::new(0, blake3::Hasher::new()) }
    }

    /// Reads the input to its end, or to the first line that is wrong.
    pub(crate) fn run(mut self, mut input: Lines) {
        let _ended = self.read(&mut input);
    }

    fn read(&mut self, input: &mut Lines) -> Result<(), Ended> {
        loop {
            let line = match input.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => return self.fail(told(&error)),
            };
            self.bar.inc(match line {
                Next::Line(line) => line.len() as u64 + 1,
                Next::TooLong(bytes, _) => bytes + 1,
            });
            if self.begun.is_some_and(|begun| self.group.read() < begun.lines) {
                self.pass_done(&line)?;
                continue;
            }
            let parsed = match line {
                Next::Line(line) if line.iter().all(u8::is_ascii_whitespace) => None,
                Next::Line(line) => Some(Operation::parse(line, &mut self.group.texts)),
                Next::TooLong(..) => {
                    let says = format!("a line has at most {LINE_BYTES_MAX} bytes");
                    Some(Err(Wrong { column: LINE_BYTES_MAX, says }))
                }
            };
            let number = self.group.read() + 1;
            match parsed {
                None => self.group.skipped += 1,
                Some(Ok(operation)) if operation.looks_back() && !self.group.operations.is_empty() => {
                    // What stands before it has to be there when it is made.
                    self.send()?;
                    if let Next::Line(line) = line
                        && let Ok(again) = Operation::parse(line, &mut self.group.texts)
                    {
                        self.group.push(again, number);
                    }
                }
                Some(Ok(operation)) => self.group.push(operation, number),
                Some(Err(Wrong { column, says })) => {
                    let says = format!("{}:{number}:{column}: {says}", self.name);
                    if !self.skip_bad {
                        self.group.wrong = Some(says);
                        self.send()?;
                        return Err(Ended);
                    }
                    anstream::eprintln!("\x1b[33mskipped:\x1b[0m {says}");
                    self.group.rejected += 1;
                }
            }
            self.group.pass(&line);
            if self.group.is_full() || input.may_wait() {
                self.send()?;
            }
        }
        if let Some(begun) = self.begun.filter(|begun| self.group.read() < begun.lines) {
            let (read, done) = (self.group.read(), begun.lines);
            return self.fail(format!(
                "it has {read} lines, and {done} were done; another source needs another --resume name"
            ));
        }
        self.send()
    }

    /// Passes over a line that was done before. The last of them tells whether they are the same lines.
    fn pass_done(&mut self, line: &Next<'_>) -> Result<(), Ended> {
        self.group.skipped += 1;
        self.group.pass(line);
        let is_last = self.begun.is_some_and(|begun| begun.lines == self.group.read());
        if is_last && self.begun.is_some_and(|begun| begun.hash != self.group.hash()) {
            let lines = self.group.read();
            return self.fail(format!(
                "its first {lines} lines are not those that were done; another source needs another --resume name"
            ));
        }
        if is_last || self.group.is_full() {
            let skipped = self.group.skipped;
            self.group = self.group.next();
            self.group.skipped = skipped;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Ended> {
        let next = self.group.next();
        let group = std::mem::replace(&mut self.group, next);
        self.send.blocking_send(Ok(group)).map_err(|_| Ended)
    }

    fn fail(&self, says: impl std::fmt::Display) -> Result<(), Ended> {
        let _gone = self.send.blocking_send(Err(Failure::failed(format!("{}: {says}", self.name))));
        Err(Ended)
    }
}
