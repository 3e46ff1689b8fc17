//! What commands print: values as text and as JSON, a line each.

use std::{
    io::{self, BufWriter, Write},
    time::Duration,
};

use replica::{Bytes, Content, Json, Kind, Value, key::ObjectKey};
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

/// An object of the keyspace, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    pub(crate) path: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) value: Option<ShownValue>,
}

/// A value as JSON.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ShownValue {
    Sum(u128),
    Total(i128),
    One(serde_json::Value),
    Several(Vec<serde_json::Value>),
}

impl<'a> Shown<'a> {
    pub(crate) fn new(key: &'a ObjectKey, value: Option<&Value>) -> Self {
        Self { path: key.path(), kind: key.kind().name(), value: value.map(shown) }
    }
}

/// The kind that a value is of.
pub(crate) const fn kind_of(value: &Value) -> Kind {
    match value {
        Value::GCounter(_) => Kind::GCounter,
        Value::PnCounter(_) => Kind::PnCounter,
        Value::LwwRegister(_) => Kind::LwwRegister,
        Value::MvRegister(_) => Kind::MvRegister,
        Value::OrSet(_) => Kind::OrSet,
    }
}

/// A counter as a number, a register as what it holds, a set and a multi-value register as arrays.
pub(crate) fn shown(value: &Value) -> ShownValue {
    match value {
        Value::GCounter(sum) => ShownValue::Sum(*sum),
        Value::PnCounter(total) => ShownValue::Total(*total),
        Value::LwwRegister(value) => ShownValue::One(value.as_ref().map_or(serde_json::Value::Null, json)),
        Value::MvRegister(values) => ShownValue::Several(values.iter().map(json).collect()),
        Value::OrSet(elements) => ShownValue::Several(elements.iter().map(json).collect()),
    }
}

/// Stored bytes as JSON.
pub(crate) fn json(bytes: &Bytes) -> serde_json::Value {
    // Every sequence of bytes is a value.
    Json::decode(bytes).map_or(serde_json::Value::Null, |json| json.0)
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

/// A moment as people write it, in UTC, from milliseconds since the Unix epoch.
pub(crate) fn moment(millis: u64) -> String {
    // Days to a date: Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let (days, seconds) = ((millis / 86_400_000) as i64 + 719_468, millis / 1_000 % 86_400);
    let era = days / 146_097;
    let of_era = days - era * 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1_000)
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
    use super::*;

    #[test]
    fn moments_are_dates() {
        assert_eq!(moment(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(moment(4_102_444_799_999), "2099-12-31T23:59:59.999Z");
    }

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
