//! What commands print: values as text and as JSON, a line each.

use std::{
    io::{self, BufWriter, Write},
    time::Duration,
};

use operations::{ShownValue, shown};
use replica::Value;
use serde::Serialize;

use crate::failure::Outcome;

/// How often it is asked whether anybody still reads, where nothing is printed.
const ASK: Duration = Duration::from_millis(200);

/// Standard output, in big pieces.
///
/// Whoever reads it may go away. Then nothing more is printed, and that is no failure: what a command finds wrong decides how
/// it ends, also when nobody reads it.
pub(crate) struct Output {
    out: BufWriter<io::StdoutLock<'static>>,
    json: bool,
    is_closed: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()), json, is_closed: false }
    }

    /// True when objects are wanted and not text.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// True when nobody reads any more: there is no use in going on for the sake of what is printed.
    pub(crate) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Waits until nobody reads any more, though nothing is printed.
    pub(crate) async fn closed(&self) {
        while !is_unread() {
            tokio::time::sleep(ASK).await;
        }
    }

    /// A line as it stands.
    pub(crate) fn line(&mut self, line: impl std::fmt::Display) -> Outcome<()> {
        self.write(|out| writeln!(out, "{line}"))
    }

    /// Text as it stands, be it a line or not.
    pub(crate) fn text(&mut self, text: &str) -> Outcome<()> {
        self.write(|out| out.write_all(text.as_bytes()))
    }

    /// An object in one line.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Outcome<()> {
        self.write(|out| {
            serde_json::to_writer(&mut *out, object)?;
            out.write_all(b"\n")
        })
    }

    /// Says to people that there is nothing to print; programs see that there is no line.
    pub(crate) fn nothing(&mut self, says: impl std::fmt::Display) -> Outcome<()> {
        if !self.json {
            self.flush()?;
            anstream::eprintln!("{says}");
        }
        Ok(())
    }

    /// What has been printed so far is to be seen now.
    pub(crate) fn flush(&mut self) -> Outcome<()> {
        self.write(Write::flush)
    }

    fn write(&mut self, write: impl FnOnce(&mut BufWriter<io::StdoutLock<'static>>) -> io::Result<()>) -> Outcome<()> {
        if self.is_closed {
            return Ok(());
        }
        match write(&mut self.out) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => Ok(written?),
        }
    }
}

/// True when standard output is a pipe, a socket or a terminal whose other end is gone.
#[cfg(unix)]
fn is_unread() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = io::stdout();
    let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok_and(|found| found > 0)
        && asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
}

/// Nobody tells before something is printed.
#[cfg(not(unix))]
fn is_unread() -> bool {
    false
}

/// The lines that a value is as plain text: text is itself, everything else JSON.
pub(crate) fn plain(value: &Value) -> Vec<String> {
    let text = |value: serde_json::Value| match value {
        // What would break the line is shown escaped.
        serde_json::Value::String(text) if !text.contains(char::is_control) => text,
        value => value.to_string(),
    };
    match shown(value) {
        ShownValue::Sum(sum) => vec![sum.to_string()],
        ShownValue::Total(total) => vec![total.to_string()],
        ShownValue::One(value) => vec![text(value)],
        ShownValue::Several(values) => values.into_iter().map(text).collect(),
    }
}

/// A value in one line of text.
pub(crate) fn in_line(value: &Value) -> String {
    match shown(value) {
        ShownValue::Sum(sum) => sum.to_string(),
        ShownValue::Total(total) => total.to_string(),
        ShownValue::One(value) => value.to_string(),
        ShownValue::Several(values) => serde_json::Value::from(values).to_string(),
    }
}

/// So many of something, whose name takes an s when there are several.
pub(crate) fn counted(number: u64, name: &str) -> String {
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

/// Bytes as people read them.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use replica::Bytes;

    use super::*;

    #[test]
    fn values_are_text_and_json() {
        let bytes = |text: &str| Bytes::from(text.as_bytes());
        let set = Value::OrSet(vec![bytes("7"), bytes("lamp"), bytes("a\nb")]);
        assert_eq!(in_line(&set), r#"[7,"lamp","a\nb"]"#);
        assert_eq!(plain(&set), ["7", "lamp", r#""a\nb""#]);
        assert_eq!(in_line(&Value::LwwRegister(Some(bytes("Ada")))), "\"Ada\"");
        assert_eq!(in_line(&Value::GCounter(u128::MAX)), u128::MAX.to_string());
    }
}
