//! What is seen while it plays: on a terminal a table that changes in its place, elsewhere a line each second, or objects.

use std::{fmt::Write as _, io::IsTerminal, time::Duration};

use anstream::{AutoStream, ColorChoice};
use serde_json::{Value, json};

use super::measure::Sight;
use crate::{
    failure::{Failure, Outcome},
    output::Output,
};

/// How wide a region's column is, and what stands between two: three of them fit a terminal of 80 columns.
const COLUMN: usize = 24;
const GAP: &str = "  ";

/// How wide a line is that is broken.
const WIDTH: usize = 80;

/// How many players are seen while it plays.
const PLAYERS_LIVE: usize = 5;

/// How something is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Title,
    Quiet,
    Good,
    Bad,
    Odd,
}

/// Something that has happened.
#[derive(Debug)]
pub(crate) struct Event {
    name: &'static str,
    says: String,
    data: Value,
    tone: Tone,
}

impl Event {
    pub(crate) fn new(name: &'static str, says: String, data: Value) -> Self {
        Self { name, says, data, tone: Tone::Plain }
    }

    /// True for what is told when the writers begin.
    pub(crate) fn begins_writing(&self) -> bool {
        self.name == "opened"
    }

    pub(crate) fn with(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// What is known of the regions at a moment.
pub(crate) struct Scene<'a> {
    pub(crate) at: Duration,
    pub(crate) of: Duration,
    pub(crate) names: &'a [String],
    pub(crate) sights: &'a [Option<Sight>],
    pub(crate) cut_off: Option<usize>,
}

/// Where it is seen.
pub(crate) struct Screen<'a> {
    out: &'a mut Output,
    is_terminal: bool,
    has_colours: bool,
    /// How many lines of the table are there to be replaced.
    drawn: usize,
    /// The last second that a line was printed for.
    second: u64,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(out: &'a mut Output) -> Self {
        let stdout = std::io::stdout();
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let has_colours = !out.is_json() && AutoStream::choice(&stdout) != ColorChoice::Never;
        Self { is_terminal: stdout.is_terminal() && !is_dumb && !out.is_json(), has_colours, out, drawn: 0, second: 0 }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.out.is_json()
    }

    /// Text in the colour of its tone, where there are colours.
    pub(crate) fn paint(&self, tone: Tone, text: impl std::fmt::Display) -> String {
        let code = match tone {
            Tone::Title => "1",
            Tone::Quiet => "2",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Odd => "33",
            Tone::Plain => return text.to_string(),
        };
        if self.has_colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// A line that stays.
    pub(crate) fn line(&mut self, line: impl std::fmt::Display) -> Outcome<()> {
        self.clear()?;
        self.out.line(line)
    }

    /// An object, as a line.
    pub(crate) fn object(&mut self, object: &Value) -> Outcome<()> {
        self.out.object(object)
    }

    /// Only who has seen the regions agree exits with 0, so this fails when nobody looks any more.
    pub(crate) fn flush(&mut self) -> Outcome<()> {
        self.out.flush()?;
        if self.out.is_closed() { Err(Failure::unread()) } else { Ok(()) }
    }

    /// Tells an event.
    pub(crate) fn tell(&mut self, at: Duration, event: &Event) -> Outcome<()> {
        if self.is_json() {
            let mut object = json!({"event": event.name, "at_seconds": at.as_secs_f64()});
            if let (Some(object), Some(data)) = (object.as_object_mut(), event.data.as_object()) {
                object.extend(data.clone());
            }
            self.object(&object)?;
        } else {
            let clock = clock(at);
            for (number, part) in broken(&event.says, WIDTH - clock.len() - 2).into_iter().enumerate() {
                let margin = if number == 0 { &clock } else { "" };
                let line = format!("{margin:9}  {}", self.paint(event.tone, part));
                self.line(line)?;
            }
        }
        self.flush()
    }

    /// Says what will be in the lines of each second.
    pub(crate) fn head(&mut self, at: Duration, names: &[String]) -> Outcome<()> {
        self.second = at.as_secs();
        if self.is_terminal || self.is_json() {
            return Ok(());
        }
        let mut head = " ".repeat(9);
        for name in names {
            // Writing to a string does not fail.
            let _ok = write!(head, "  {name:<21}");
        }
        self.line("")?;
        self.line("           Each second: each region's writes, and how many it has not seen")?;
        self.line(head.trim_end())
    }

    /// Shows how it stands.
    pub(crate) fn show(&mut self, scene: &Scene<'_>) -> Outcome<()> {
        let second = scene.at.as_secs();
        let is_due = std::mem::replace(&mut self.second, second) < second;
        if self.is_terminal {
            return self.draw(scene);
        }
        if !is_due {
            return Ok(());
        }
        if self.is_json() {
            let regions: Vec<Value> =
                scene.names.iter().zip(scene.sights).map(|(name, sight)| progress(name, sight.as_ref())).collect();
            self.object(&json!({"event": "progress", "at_seconds": scene.at.as_secs_f64(), "regions": regions}))?;
        } else {
            let mut line = clock(scene.at);
            for sight in scene.sights {
                let says = sight.as_ref().map_or_else(
                    || "down".to_owned(),
                    |sight| format!("{:>9} ({})", count(sight.done), count(sight.missing)),
                );
                let _ok = write!(line, "  {says:<21}");
            }
            self.line(line.trim_end())?;
        }
        self.flush()
    }

    /// Draws the table in the place of the one before.
    fn draw(&mut self, scene: &Scene<'_>) -> Outcome<()> {
        let mut lines = vec![String::new()];
        let rule = |text: &str| text.repeat(COLUMN);
        lines.push(self.across(scene.names.iter().map(|name| (Tone::Title, name.clone()))));
        lines.push(self.across(scene.sights.iter().enumerate().map(|(region, sight)| match sight {
            None => (Tone::Bad, "DOWN".to_owned()),
            Some(_) if scene.cut_off == Some(region) => (Tone::Bad, "writing, CUT OFF".to_owned()),
            Some(_) => (Tone::Good, "writing".to_owned()),
        })));
        let fact = |says: fn(&Sight) -> u64, what: &str, bad: u64| {
            let fact = move |sight: &Option<Sight>| match sight {
                None => (Tone::Quiet, format!("{:>9} {what}", "-")),
                Some(sight) => {
                    let number = says(sight);
                    (if number > bad { Tone::Odd } else { Tone::Plain }, format!("{:>9} {what}", count(number)))
                }
            };
            scene.sights.iter().map(fact).collect::<Vec<_>>()
        };
        lines.push(self.across(fact(|sight| sight.done, "writes made", u64::MAX)));
        lines.push(self.across(fact(|sight| sight.waiting, "not yet durable", u64::MAX)));
        lines.push(self.across(fact(|sight| sight.missing, "not yet seen", 8_000)));
        lines.push(self.across(scene.names.iter().map(|_| (Tone::Quiet, rule("\u{2500}")))));
        let tops: Vec<&[(String, i128)]> =
            scene.sights.iter().map(|sight| sight.as_ref().map_or(&[][..], |sight| &sight.top)).collect();
        lines.extend(self.boards(&tops, PLAYERS_LIVE));
        lines.push(String::new());
        lines.push(self.bar(scene));
        let mut text = String::new();
        if self.drawn > 0 {
            let _ok = write!(text, "\x1b[{}F", self.drawn);
        }
        // What does not fit is cut off, so that a line is one line.
        text.push_str("\x1b[?7l");
        for line in &lines {
            let _ok = writeln!(text, "{line}\x1b[K");
        }
        text.push_str("\x1b[?7h");
        self.drawn = lines.len();
        self.out.text(&text)?;
        self.flush()
    }

    /// Takes the table away.
    fn clear(&mut self) -> Outcome<()> {
        match std::mem::take(&mut self.drawn) {
            0 => Ok(()),
            drawn => self.out.text(&format!("\x1b[{drawn}F\x1b[J")),
        }
    }

    /// The first players of each region, side by side. Whoever stands elsewhere than in the first region is marked.
    pub(crate) fn boards(&self, tops: &[&[(String, i128)]], players: usize) -> Vec<String> {
        let row = |rank: usize| {
            self.across(tops.iter().map(|top| match top.get(rank) {
                None => (Tone::Quiet, format!("{:>2}", "-")),
                Some((player, points)) => {
                    let is_same = tops[0].get(rank) == top.get(rank);
                    let tone = if is_same { Tone::Plain } else { Tone::Odd };
                    (tone, format!("{:>2}  {player:<9}{:>11}", rank + 1, count(*points)))
                }
            }))
        };
        (0..players).map(row).collect()
    }

    /// A cell for each region.
    pub(crate) fn across(&self, cells: impl IntoIterator<Item = (Tone, String)>) -> String {
        let cells = cells.into_iter().map(|(tone, text)| self.paint(tone, format!("{text:<COLUMN$}")));
        format!("  {}", cells.collect::<Vec<_>>().join(GAP).trim_end())
    }

    fn bar(&self, scene: &Scene<'_>) -> String {
        const WIDTH: usize = 54;
        let part = (scene.at.as_secs_f64() / scene.of.as_secs_f64().max(0.001)).min(1.0);
        let done = (part * WIDTH as f64) as usize;
        let bar = format!("{}{}", "\u{2501}".repeat(done), self.paint(Tone::Quiet, "\u{2500}".repeat(WIDTH - done)));
        format!("  {bar}  {} of {}", seconds(scene.at), seconds(scene.of))
    }
}

fn progress(name: &str, sight: Option<&Sight>) -> Value {
    match sight {
        None => json!({"region": name, "is_up": false}),
        Some(sight) => json!({
            "region": name, "is_up": true, "writes": sight.done, "not_durable": sight.waiting, "unseen": sight.missing
        }),
    }
}

/// Text in lines of at most so many characters, broken between words.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last =
            lines.last_mut().filter(|last| last.is_empty() || last.chars().count() + 1 + word.chars().count() <= width);
        match last {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) => *last += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A moment of the run.
fn clock(at: Duration) -> String {
    format!("{:>7.1} s", at.as_secs_f64())
}

/// A time as people say it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A number with its thousands apart.
pub(crate) fn count(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("one two-or-more three", 7), ["one", "two-or-more", "three"]);
        assert_eq!(broken("", 7), [""]);
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567"), (-12, "-12")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(count(i128::MIN).len(), 40 + 12);
    }
}
