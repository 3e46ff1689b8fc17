//! What it came to: the tables at the end, or one object.

use std::collections::BTreeMap;

use operations::json as as_json;
use replica::{Conflict, Kind, Value};
use serde_json::json;

use super::{
    cost::{PRICES, Usage},
    measure::{Lag, Measures, TOP},
    plot::{ALONE, DISPUTED, Played, STEADY},
    screen::{Screen, Tone, count, seconds},
    stage::{REGIONS, Stage},
    truth::{Difference, Key, Truth, text},
};
use crate::{failure::Outcome, output::bytes};

/// How many differences are named.
const DIFFERENCES: usize = 12;

/// How many conflicts are shown.
const CONFLICTS: usize = 4;

/// All that is reported.
pub(crate) struct Report<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) played: &'a Played,
    pub(crate) measures: &'a Measures,
    pub(crate) truth: &'a Truth,
    /// What each region shows, without the prefix of the run.
    pub(crate) seen: &'a [(String, BTreeMap<Key, Value>)],
    /// The first on the leaderboard of each region.
    pub(crate) tops: &'a [Vec<(String, i128)>],
    /// The conflicts that each region lists.
    pub(crate) conflicts: &'a [Vec<Conflict>],
    pub(crate) differences: &'a [Difference],
    pub(crate) writes: u64,
}

impl Report<'_> {
    pub(crate) fn print(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        if screen.is_json() {
            return self.print_object(screen);
        }
        self.boards(screen)?;
        self.disputes(screen)?;
        self.conflicts(screen)?;
        self.lags(screen)?;
        self.kinds(screen)?;
        self.costs(screen)?;
        self.verdict(screen)?;
        screen.flush()
    }

    fn agrees(&self) -> bool {
        self.differences.is_empty() && self.played.faults.is_empty()
    }

    fn name(&self, region: usize) -> &str {
        self.stage.name(region)
    }

    fn title(screen: &mut Screen<'_>, title: &str, says: &str) -> Outcome<()> {
        let line = format!("{} {says}", screen.paint(Tone::Title, title));
        screen.line("")?;
        screen.line(line.trim_end())
    }

    fn boards(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        let is_alike = self.tops.iter().all(|top| *top == self.tops[0]);
        Self::title(
            screen,
            "Top ten",
            if is_alike { "as each region sees it: the same everywhere" } else { "as each region sees it" },
        )?;
        let names = screen.across((0..REGIONS).map(|region| (Tone::Title, format!("    {}", self.name(region)))));
        screen.line(names)?;
        let tops: Vec<&[(String, i128)]> = self.tops.iter().map(Vec::as_slice).collect();
        for line in screen.boards(&tops, TOP) {
            screen.line(line)?;
        }
        Ok(())
    }

    fn disputes(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        let (alone, steady) = (self.name(ALONE), self.name(STEADY));
        let did = [
            format!("{alone} deleted it at 300, {steady} added 7 to it"),
            format!("{alone} removed Cleo, {steady} added her once more"),
            format!("{alone} wrote Bea, {steady} wrote Ada"),
            format!("{alone} wrote Never alone, {steady} wrote Together"),
        ];
        let rules = [
            "what it deleted stays so, what it had not seen counts",
            "an add wins over a remove",
            "the later one is read, the other one is kept as a conflict",
            "both are read, until somebody writes again",
        ];
        let is_told = |difference: &Difference| DISPUTED.iter().any(|(path, _)| difference.key.0 == *path);
        let is_alike = !self.differences.iter().any(is_told);
        Self::title(
            screen,
            "Changed on both sides of the cut",
            if is_alike { "and the same everywhere now" } else { "and not the same everywhere" },
        )?;
        for (((path, kind), did), rule) in DISPUTED.into_iter().zip(did).zip(rules) {
            let key = (path.to_owned(), kind);
            let now =
                self.seen.first().and_then(|(_, seen)| seen.get(&key)).map_or_else(|| "nothing".to_owned(), short);
            screen.line(format_args!("  {path:<15}{kind}"))?;
            screen.line(format_args!("  {:<15}{did}", ""))?;
            let now = screen.paint(Tone::Good, now);
            screen.line(format_args!("  {:<15}\u{2192} {now}", ""))?;
            let rule = screen.paint(Tone::Quiet, format!("({rule})"));
            screen.line(format_args!("  {:<15}  {rule}", ""))?;
        }
        Ok(())
    }

    fn conflicts(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        let Some(conflicts) = self.conflicts.first() else { return Ok(()) };
        let is_alike = self.conflicts.iter().all(|listed| listed == conflicts);
        let says = format!(
            "{} registers hold concurrent writes; {} in all regions",
            conflicts.len(),
            if is_alike { "the same list" } else { "not the same list" }
        );
        Self::title(screen, "Conflicts:", &says)?;
        // Those that were told of first.
        let is_told = |conflict: &&Conflict| {
            let path = conflict.key.path().strip_prefix(&*self.stage.prefix);
            DISPUTED.iter().any(|(disputed, _)| path == Some(disputed))
        };
        let (first, then) = (conflicts.iter().filter(is_told), conflicts.iter().filter(|one| !is_told(one)));
        for Conflict { key, writes, .. } in first.chain(then).take(CONFLICTS) {
            let path = key.path().strip_prefix(&self.stage.prefix).unwrap_or(key.path());
            for (place, write) in writes.iter().enumerate() {
                let path = if place == 0 { path } else { "" };
                let role = match (key.kind(), place) {
                    (Kind::MvRegister, _) => "beside",
                    (_, 0) => "read",
                    _ => "kept",
                };
                let from = self.stage.region_of(&write.replica).map_or(&*write.replica, |region| self.name(region));
                let says = shortened(&text(&write.value), 32);
                screen.line(format_args!("  {path:<16} {role:<7} {from:<16} {says}"))?;
            }
        }
        match conflicts.len().saturating_sub(CONFLICTS) {
            0 => Ok(()),
            more => screen.line(format_args!("  and {more} more")),
        }
    }

    fn lags(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        let says = "the age of the oldest write not yet seen: usual when in touch, and worst";
        Self::title(screen, "Lag,", says)?;
        let mut head = format!("  {:<18}", "");
        for of in 0..REGIONS {
            head += &format!("{:<20}", format!("of {}", self.name(of)));
        }
        screen.line(head.trim_end())?;
        for viewer in 0..REGIONS {
            let mut line = format!("  {:<18}", self.name(viewer));
            for of in 0..REGIONS {
                let Lag { typical, worst } = self.measures.lag(viewer, of);
                let cell = if viewer == of { "-".to_owned() } else { format!("{typical:.1} s, {worst:.1} s") };
                line += &format!("{cell:<20}");
            }
            screen.line(line.trim_end())?;
        }
        Ok(())
    }

    fn kinds(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        let title = "Objects by kind,";
        Self::title(screen, title, "and the changes that made them")?;
        for kind in Kind::ALL {
            let changes = self.truth.changes.get(&kind).copied().unwrap_or_default();
            screen.line(format_args!("  {kind:<14}{:>10}{:>16}", count(self.objects(kind)), count(changes)))?;
        }
        Ok(())
    }

    /// How many objects of a kind there are.
    fn objects(&self, kind: Kind) -> u64 {
        self.seen.first().map_or(0, |(_, seen)| seen.keys().filter(|(_, of)| *of == kind).count() as u64)
    }

    fn costs(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        let mut says = format!("in {} of writing", seconds(self.played.writing));
        if let Some((_, time)) = &self.played.in_step {
            says += &format!("; a month as in {} in touch", seconds(*time));
        }
        Self::title(screen, "Requests and bytes", &says)?;
        screen.line(format_args!(
            "  {:<18}{:>6}{:>7}{:>7}{:>9}{:>14}{:>13}",
            "", "PUT", "GET", "LIST", "written", "from others", "a month"
        ))?;
        let row = |name: &str, used: &Usage, dollars: Option<f64>| {
            format!(
                "  {name:<18}{:>6}{:>7}{:>7}{:>9}{:>14}{:>13}",
                count(used.puts),
                count(used.gets),
                count(used.lists),
                bytes(used.bytes_written),
                bytes(used.bytes_fetched),
                dollars.map_or_else(|| "-".to_owned(), |dollars| format!("about ${dollars:.0}"))
            )
        };
        let mut all = Usage::default();
        for (region, used) in self.played.used.iter().enumerate() {
            all.add(used);
            screen.line(row(self.name(region), used, self.a_month(region)))?;
        }
        let dollars: Option<Vec<f64>> = (0..REGIONS).map(|region| self.a_month(region)).collect();
        screen.line(row("all", &all, dollars.as_ref().map(|dollars| dollars.iter().sum())))?;
        let prices = if dollars.is_some() { &PRICES[..] } else { &[] };
        for line in prices {
            let line = screen.paint(Tone::Quiet, line);
            screen.line(format_args!("  {line}"))?;
        }
        Ok(())
    }

    /// What a region would cost in a month, if the run was long enough to tell.
    fn a_month(&self, region: usize) -> Option<f64> {
        let (used, time) = self.played.in_step.as_ref()?;
        Some(used.get(region)?.a_month(time.as_secs_f64()))
    }

    fn verdict(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        screen.line("")?;
        for fault in &self.played.faults {
            let line = screen.paint(Tone::Bad, fault);
            screen.line(line)?;
        }
        if !self.differences.is_empty() {
            let title = format!("{} differences:", self.differences.len());
            let title = screen.paint(Tone::Bad, title);
            screen.line(title)?;
            for Difference { region, key: (path, kind), expected, seen } in self.differences.iter().take(DIFFERENCES) {
                let (expected, seen) = (shortened(expected, 200), shortened(seen, 200));
                screen.line(format_args!("  {region:<16} {path} ({kind}): expected {expected}, seen {seen}"))?;
            }
        }
        let objects: u64 = Kind::ALL.into_iter().map(|kind| self.objects(kind)).sum();
        let verdict = if self.agrees() {
            screen.line(format_args!("{} objects, {} writes:", count(objects), count(self.writes)))?;
            screen.paint(Tone::Good, "All three regions agree with the independently kept truth.")
        } else {
            screen.paint(Tone::Bad, "The regions do not agree with the independently kept truth.")
        };
        screen.line(verdict)
    }

    fn print_object(&self, screen: &mut Screen<'_>) -> Outcome<()> {
        let time = self.played.writing.as_secs_f64();
        let names: Vec<&str> = (0..REGIONS).map(|region| self.name(region)).collect();
        let tops: BTreeMap<&str, Vec<_>> = names
            .iter()
            .copied()
            .zip(self.tops.iter().map(|top| {
                top.iter().map(|(player, points)| json!({"player": player, "points": *points as i64})).collect()
            }))
            .collect();
        let kinds: BTreeMap<&str, _> = Kind::ALL
            .into_iter()
            .map(|kind| {
                let changes = self.truth.changes.get(&kind).copied().unwrap_or_default();
                (kind.name(), json!({"objects": self.objects(kind), "changes": changes}))
            })
            .collect();
        let pairs = (0..REGIONS)
            .flat_map(|viewer| (0..REGIONS).map(move |of| (viewer, of)))
            .filter(|(viewer, of)| viewer != of);
        let lags: Vec<_> = pairs.map(|(viewer, of)| {
            let Lag { typical, worst } = self.measures.lag(viewer, of);
            json!({"region": self.name(viewer), "of": self.name(of), "typical_seconds": typical, "worst_seconds": worst})
        }).collect();
        let rows = self.played.used.iter().enumerate();
        let used: Vec<_> = rows
            .map(|(region, used)| {
                json!({"region": self.name(region), "used": used, "dollars_a_month": self.a_month(region)})
            })
            .collect();
        let conflicts: Vec<_> = self.conflicts.first().into_iter().flatten().map(|conflict| {
            let writes = conflict.writes.iter().map(|write| json!({"value": as_json(&write.value), "replica": write.replica.as_str()}));
            json!({"path": conflict.key.path(), "kind": conflict.key.kind().name(), "writes": writes.collect::<Vec<_>>()})
        }).collect();
        let differences: Vec<_> = self
            .differences
            .iter()
            .map(|difference| {
                let Difference { region, key: (path, kind), expected, seen } = difference;
                json!({"region": region, "path": path, "kind": kind.name(), "expected": expected, "seen": seen})
            })
            .collect();
        screen.object(&json!({
            "event": "summary",
            "agrees": self.agrees(),
            "writes": self.writes,
            "lost_and_made_again": self.played.lost,
            "seconds_of_writing": time,
            "converged_seconds": self.played.converged.map(|time| time.as_secs_f64()),
            "prefix": self.stage.prefix,
            "top": tops,
            "kinds": kinds,
            "lag": lags,
            "conflicts": conflicts,
            "used": used,
            "prices": PRICES,
            "faults": self.played.faults,
            "differences": differences,
        }))?;
        screen.flush()
    }
}

/// A value in a few words.
fn short(value: &Value) -> String {
    let texts: Vec<&replica::Bytes> = match value {
        Value::GCounter(sum) => return sum.to_string(),
        Value::PnCounter(sum) => return sum.to_string(),
        Value::LwwRegister(value) => value.iter().collect(),
        Value::MvRegister(values) | Value::OrSet(values) => values.iter().collect(),
    };
    texts.into_iter().map(text).collect::<Vec<_>>().join(" and ")
}

/// At most so many characters.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
    }
}
