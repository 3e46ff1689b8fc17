//! A story in a file: JSON that a person can read and change, one step a line.
//! Layer 3.
//!
//! It holds all that happens and depends on no generator, so it stays the same story when other ones are drawn. A field that is
//! not there has its default; one that nobody knows is refused, for a misspelt one would be passed over in silence.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::{Serializer, Value, ser::Formatter};

use super::{Act, REPLICAS, Story};
use crate::history::{Did, Sort};

/// The version of the format. A later one may say what this one cannot.
pub const FORMAT: u32 = 1;

/// A story as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoryFile {
    format: u32,
    /// What the story is about, in a sentence.
    #[serde(default)]
    pub about: String,
    /// The check that did not hold, when it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The story.
    pub story: Story,
}

impl StoryFile {
    /// A story, and what it is about.
    #[must_use]
    pub fn new(story: Story, about: impl Into<String>, check: Option<&str>) -> Self {
        Self { format: FORMAT, about: about.into(), check: check.map(str::to_owned), story }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        match value.get("format").map(Value::as_u64) {
            None => return Err("it is no story: it lacks the field `format`".to_owned()),
            Some(format) if format != Some(u64::from(FORMAT)) => {
                return Err(format!("another version has written it: format={} known={FORMAT}", value["format"]));
            }
            Some(_) => {}
        }
        // From the text once more, so that an error has its line.
        let file: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        file.story.check()?;
        Ok(file)
    }

    /// The file, in ASCII.
    #[must_use]
    pub fn write(&self) -> String {
        let mut bytes = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut bytes, Lines::default());
        self.serialize(&mut serializer).unwrap_or_else(|error| unreachable!("a story is JSON: {error}"));
        let text = String::from_utf8(bytes).unwrap_or_else(|error| unreachable!("JSON is text: {error}"));
        let mut ascii = String::with_capacity(text.len() + 1);
        for sign in text.chars() {
            if sign.is_ascii() {
                ascii.push(sign);
            } else {
                // It stands in a string: everything else in JSON is ASCII.
                let mut units = [0; 2];
                ascii.extend(sign.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
        ascii.push('\n');
        ascii
    }
}

impl Story {
    /// Why it cannot be played, if so.
    fn check(&self) -> Result<(), String> {
        if !(2..=7).contains(&self.regions) {
            return Err(format!("a story has 2 to 7 regions: regions={}", self.regions));
        }
        for (index, step) in self.steps.iter().enumerate() {
            let refuse = |says: &str| Err(format!("{says}: step={} at_ms={}", index + 1, step.at.as_millis()));
            if index > 0 && step.at < self.steps[index - 1].at {
                return refuse("steps are in the order of time");
            }
            if step.act.bucket().is_some_and(|bucket| *bucket >= self.regions) {
                return refuse("there is no such region");
            }
            if step.region.max(step.act.replica().copied().unwrap_or(0)) >= self.regions * REPLICAS {
                return refuse("there is no such replica");
            }
            if let Act::Meet { request, fault, .. } = step.act
                && !fault.is_met_by(request)
            {
                return refuse("such a request cannot meet this fault");
            }
            if let Act::Change(changes) | Act::ChangeAsZombie(changes) = &step.act
                && !changes.iter().all(|((_, sort), did)| sort.takes(*did))
            {
                return refuse("that cannot be done to an object of this sort");
            }
        }
        Ok(())
    }
}

impl Sort {
    /// True when this can be done to such an object.
    const fn takes(self, did: Did) -> bool {
        match did {
            Did::Count(by) => matches!(self, Self::Counter) || matches!(self, Self::Grows) && by >= 0,
            Did::Put(_) | Did::Take(_) => matches!(self, Self::Set),
            Did::Write(_) => matches!(self, Self::Last | Self::Every),
            Did::Delete => true,
        }
    }
}

/// Lays JSON out: the outer two objects and the lists in them have a line for each entry, and what is in those is on one line.
#[derive(Default)]
struct Lines {
    depth: usize,
    /// For each object and list that is open: whether its entries have lines.
    open: Vec<bool>,
}

impl Lines {
    fn begin<W: ?Sized + io::Write>(&mut self, writer: &mut W, sign: &[u8], deepest: usize) -> io::Result<()> {
        self.open.push(self.depth < deepest && self.open.iter().all(|is_laid_out| *is_laid_out));
        self.depth += 1;
        writer.write_all(sign)
    }

    fn end<W: ?Sized + io::Write>(&mut self, writer: &mut W, sign: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.open.pop() == Some(true) {
            self.line(writer)?;
        }
        writer.write_all(sign)
    }

    fn entry<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        match self.open.last() {
            Some(true) => self.line(writer),
            _ if first => Ok(()),
            _ => writer.write_all(b" "),
        }
    }

    fn line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Lines {
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{", 2)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.entry(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[", 3)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.entry(writer, first)
    }
}
