//! What was measured: rows with their bars, as a table and as JSON.

use std::process::ExitCode;

use serde_json::{Value, json};

/// What a row must come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    judged: Judged,
    bar: f64,
    goal: f64,
}

#[derive(Clone, Copy, Debug)]
enum Judged {
    /// Ours, which is to be at most this.
    AtMost,
    /// Ours, which is to be at least this.
    AtLeast,
    /// The ratio, which is to be at least this.
    Times,
}

impl Bar {
    /// Ours is at most this, and had better be at most `goal`.
    #[must_use]
    pub(crate) const fn at_most(bar: f64, goal: f64) -> Self {
        Self { judged: Judged::AtMost, bar, goal }
    }

    /// Ours is at least this, and had better be at least `goal`.
    #[must_use]
    pub(crate) const fn at_least(bar: f64, goal: f64) -> Self {
        Self { judged: Judged::AtLeast, bar, goal }
    }

    /// The peer's is at least so many times ours, and had better be `goal` times.
    #[must_use]
    pub(crate) const fn times(bar: f64, goal: f64) -> Self {
        Self { judged: Judged::Times, bar, goal }
    }

    fn holds(self, ours: f64, ratio: Option<f64>) -> bool {
        match self.judged {
            Judged::AtMost => ours <= self.bar,
            Judged::AtLeast => ours >= self.bar,
            Judged::Times => ratio.is_some_and(|ratio| ratio >= self.bar),
        }
    }

    fn shown(self, limit: f64) -> String {
        match self.judged {
            Judged::AtMost => format!("{} or less", figure(limit)),
            Judged::AtLeast => format!("{} or more", figure(limit)),
            Judged::Times => format!("{}x", figure(limit)),
        }
    }
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) work: String,
    /// What it took us.
    pub(crate) ours: f64,
    /// Who else did it, and what it took them.
    pub(crate) peer: Option<(&'static str, f64)>,
    /// Of both figures.
    pub(crate) unit: &'static str,
    /// What it must come to, where that was promised.
    pub(crate) bar: Option<Bar>,
}

impl Row {
    /// How many times as much the peer's is; of a rate, how many times as much ours is.
    #[must_use]
    pub(crate) fn ratio(&self) -> Option<f64> {
        let more_is_better = self.unit.ends_with("/s");
        self.peer.map(|(_, peer)| if more_is_better { self.ours / peer } else { peer / self.ours })
    }

    fn to_json(&self) -> Value {
        json!({
            "work": self.work,
            "ours": self.ours,
            "peer": self.peer.map(|(_, figure)| figure),
            "unit": self.unit,
            "ratio": self.ratio(),
            "against": self.peer.map(|(name, _)| name),
            "bar": self.bar.map(|bar| bar.shown(bar.bar)),
            "goal": self.bar.map(|bar| bar.shown(bar.goal)),
            "holds": self.bar.map(|bar| bar.holds(self.ours, self.ratio())),
        })
    }
}

/// The rows, printed as they are measured.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
    judges: bool,
}

impl Report {
    /// Prints the heads. Bars are not judged where the inputs are tiny.
    #[must_use]
    pub(crate) fn new(judges: bool) -> Self {
        println!("| work | unit | ours | against | theirs | ratio | bar | goal | |");
        println!("|---|---|---|---|---|---|---|---|---|");
        Self { rows: Vec::new(), judges }
    }

    /// Prints a row, and keeps it.
    pub(crate) fn row(&mut self, row: Row) {
        let Row { work, ours, peer, unit, bar } = &row;
        let (name, theirs) = peer.map_or(("", String::new()), |(name, theirs)| (name, figure(theirs)));
        let ratio = row.ratio().map_or(String::new(), |ratio| format!("{}x", figure(ratio)));
        let limits =
            bar.map_or([String::new(), String::new()], |bar| [bar.bar, bar.goal].map(|limit| bar.shown(limit)));
        let verdict = match bar.map(|bar| bar.holds(*ours, row.ratio())) {
            Some(true) if self.judges => "holds",
            Some(false) if self.judges => "**MISSED**",
            _ => "",
        };
        let [bar, goal] = limits;
        println!("| {work} | {unit} | {} | {name} | {theirs} | {ratio} | {bar} | {goal} | {verdict} |", figure(*ours));
        self.rows.push(row);
    }

    /// The rows as JSON.
    #[must_use]
    pub(crate) fn to_json(&self) -> Value {
        self.rows.iter().map(Row::to_json).collect()
    }

    /// Says how many bars hold, and fails when one is missed.
    #[must_use]
    pub(crate) fn finish(self) -> ExitCode {
        let judged = self.rows.iter().filter_map(|row| row.bar.map(|bar| bar.holds(row.ours, row.ratio())));
        let (held, missed) =
            judged.fold((0, 0), |(held, missed), holds| (held + i32::from(holds), missed + i32::from(!holds)));
        if !self.judges {
            println!("\nTiny inputs: every answer was checked, no bar was judged.");
            return ExitCode::SUCCESS;
        }
        println!("\n{held} bars hold, {missed} are missed.");
        if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Three digits that count, and commas.
#[must_use]
pub(crate) fn figure(number: f64) -> String {
    let shown = match number.abs() {
        1_000.0.. => return benches::report::thousands(number.round() as usize),
        100.0.. => return format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    };
    shown.trim_end_matches('0').trim_end_matches('.').to_owned()
}
