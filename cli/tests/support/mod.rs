//! The command as its user calls it, and what is to be known of it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_archipelago"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("it runs")
}

/// What a command prints that ends well.
pub(crate) fn says(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {:?}\n{out}\n{err}", output.status);
    out
}

/// The code of a command that fails, and what it says.
pub(crate) fn fails(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = run(folder, arguments);
    (output.status.code().expect("it has not been killed"), text(&output.stderr))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

pub(crate) fn applied(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(folder, &[&["apply"], arguments].concat()).stdin(Stdio::piped()).spawn().expect("it runs");
    // A command that has stopped reads no more.
    let _closed = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("it ends")
}

/// A configuration of three regions, and nothing in their buckets.
pub(crate) fn configured() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(says(folder.path(), &["init"]).contains("us-east-1, eu-west-1, ap-southeast-1"));
    folder
}

#[expect(clippy::disallowed_methods, reason = "other processes go on meanwhile")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

pub(crate) fn objects(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// A region of [`configured`].
pub(crate) const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// A command that goes on, with its output in files. It is killed when the test is over, however that ends.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// `name` is that of its files.
    pub(crate) fn start(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        Self::start_in(folder, name, arguments, &std::env::temp_dir())
    }

    /// The same, with a directory for what is temporary.
    pub(crate) fn start_in(folder: &Path, name: &str, arguments: &[&str], temporary: &Path) -> Self {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let file = |path: &Path| File::create(path).expect("a file");
        let mut command = command(folder, arguments);
        command.env("TMPDIR", temporary);
        let child = command.stdin(Stdio::piped()).stdout(file(&out)).stderr(file(&err)).spawn().expect("it runs");
        Self { child, out, err }
    }

    /// Gives it more to read.
    pub(crate) fn give(&mut self, input: &[u8]) {
        self.child.stdin.as_mut().expect("a pipe").write_all(input).expect("it reads");
    }

    /// Nothing more comes.
    pub(crate) fn give_no_more(&mut self) {
        self.child.stdin = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        read(&self.out)
    }

    /// What it has complained of so far.
    pub(crate) fn complained(&self) -> String {
        read(&self.err)
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal("-INT");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    /// As the plug does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is killed");
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be asked")
    }

    /// Waits until it has ended.
    pub(crate) fn end(&mut self) -> Option<i32> {
        until(|| self.ended()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

fn read(file: &Path) -> String {
    let mut text = String::new();
    File::open(file).expect("it is there").read_to_string(&mut text).expect("text");
    text
}

/// Asks until there is an answer.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(answer) = ask() {
            return answer;
        }
        pause(Duration::from_millis(20));
    }
    panic!("it has not come to pass in 20 seconds");
}

/// How many segments and seals a replica of the region has.
pub(crate) fn log_len(folder: &Path, region: &str, replica: &str) -> usize {
    let epochs = std::fs::read_dir(folder.join(format!("buckets/{region}/v1/log/{replica}")));
    let entries = epochs.into_iter().flatten().filter_map(Result::ok);
    entries.map(|epoch| std::fs::read_dir(epoch.path()).map_or(0, Iterator::count)).sum()
}

/// The value at a path, as JSON.
pub(crate) fn value(folder: &Path, region: &str, path: &str) -> Value {
    objects(&says(folder, &["--region", region, "--json", "get", path])).remove(0)["value"].clone()
}

/// The last line that was printed: of `apply`, its summary.
pub(crate) fn summary(printed: &[u8]) -> Value {
    objects(&text(printed)).pop().expect("a summary")
}
