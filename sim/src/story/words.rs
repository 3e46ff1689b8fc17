//! A story in words, for a person who was not there.
//! Layer 3.

use std::{fmt, time::Duration};

use super::{Act, Spoiled, Step, Story};
use crate::{
    history::{Did, Object, Sort},
    ports::{Fault, HintFault, Moment, Request, Way},
};

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (settings, faults) = (&self.settings, &self.faults);
        writeln!(f, "{} regions; requests take {} to {}.", self.regions, ms(faults.latency.0), ms(faults.latency.1))?;
        let chances = Fault::ALL.into_iter().map(|fault| (fault.name(), faults.rate(fault)));
        chance(f, "By chance, of 1,000,000 requests:", chances.filter(|_| faults.by_chance))?;
        match &self.hints {
            None => writeln!(f, "Without hints.")?,
            Some(hints) => {
                writeln!(f, "Hints take up to {}.", ms(hints.latency))?;
                let chances = HintFault::ALL.into_iter().map(|fault| (fault.name(), hints.rate(fault)));
                chance(f, "By chance, of 1,000,000 hints:", chances)?;
            }
        }
        writeln!(
            f,
            "Flush {}, poll {} to {}, discovery {}, snapshot {}, acknowledging {}, retention {}, max_lag {}.",
            ms(settings.flush_interval),
            ms(settings.poll_min),
            ms(settings.poll_max),
            ms(settings.discovery_interval),
            ms(settings.snapshot_interval),
            ms(settings.ack_interval),
            ms(settings.retention),
            ms(settings.max_lag),
        )?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        write!(
            f,
            "{:>9.3} s  it gets quiet: no more faults, clocks are right, all are opened anew",
            seconds(self.quiet_from)
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  r{} {}", seconds(self.at), self.region, self.act)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(changes) => listed(f, changes),
            Self::ChangeAsZombie(changes) => {
                write!(f, "as a zombie: ")?;
                listed(f, changes)
            }
            Self::Ask(request) => write!(f, "serves {request}"),
            Self::Rely => write!(f, "relies on what was changed, once it is durable"),
            Self::Crash => write!(f, "crashes"),
            Self::CrashAfter(polls) => write!(f, "crashes when it has been polled {polls} times more"),
            Self::Open => write!(f, "is opened; a process that runs there becomes a zombie"),
            Self::Close => write!(f, "is closed"),
            Self::Cut { from, lasts } => write!(f, "cannot reach r{from}'s bucket for {}", ms(*lasts)),
            Self::Clock(off) if *off < 0 => {
                write!(f, "has its clock set back by {}", ms(Duration::from_millis(off.unsigned_abs())))
            }
            Self::Clock(off) => {
                write!(f, "has its clock set ahead by {}", ms(Duration::from_millis(off.unsigned_abs())))
            }
            Self::Evict(other) => write!(f, "evicts r{other}"),
            Self::Away { way, lasts } => {
                let what = match way {
                    Way::Both => "answers nobody",
                    Way::Reads => "answers no reads",
                    Way::Writes => "takes no writes",
                };
                write!(f, "has a bucket that {what} for {}", ms(*lasts))
            }
            Self::Image => write!(f, "has its bucket copied"),
            Self::RollBack => write!(f, "has its bucket put back to the last copy, or emptied if there is none"),
            Self::Freeze(lasts) => write!(f, "does nothing for {}", ms(*lasts)),
            Self::Drift(ppm) => write!(f, "has clocks that run {ppm} millionths too fast"),
            Self::StopClock => write!(f, "has its clock stand still"),
            Self::CrashAt { moment, left, after } => {
                let when = if *after { "after" } else { "before" };
                let of = if *left == 0 { "next".to_owned() } else { format!("{}th", left + 1) };
                write!(f, "crashes {when} its {of} {}", moment.name())
            }
            Self::Observe => write!(f, "is observed by a process that only reads"),
            Self::Follow(to) => write!(f, "has a client that writes, and reads it at replica {to} with a token"),
            Self::Hear(other) => write!(f, "is told of what r{other} has written"),
            Self::Alone { lands: true } => write!(f, "has what is on its way arrive if its process ends"),
            Self::Alone { lands: false } => write!(f, "has what is on its way vanish if its process ends"),
            Self::Rank => write!(f, "keeps a leaderboard"),
            Self::Newer { is_snapshot: true } => write!(f, "has a snapshot of a later version in its bucket"),
            Self::Newer { is_snapshot: false } => write!(f, "has a segment of a later version in its log"),
            Self::Spoil(what) => {
                let what = match what {
                    Spoiled::LogEnd => "the last object of its log",
                    Spoiled::Manifest => "its newest manifest",
                    Spoiled::Manifests => "all of its manifests",
                    Spoiled::Part => "a part of its newest snapshot",
                };
                write!(f, "has {what} damaged in its bucket")
            }
            Self::Meet { bucket, request, fault, skip, older } => {
                let who = if *older > 0 { "has a zombie whose" } else { "is in trouble: its" };
                let (request, says) = (request.name(), fault.says());
                match skip {
                    0 => write!(f, "{who} next {request} in r{bucket}'s bucket {says}"),
                    skip => write!(f, "{who} {request} in r{bucket}'s bucket, {skip} such requests later, {says}"),
                }
            }
        }
    }
}

impl Request {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Range => "get of a range",
            Self::List => "list",
            Self::Folders => "list of folders",
            Self::Delete => "delete",
        }
    }
}

impl Moment {
    /// What the request is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seal => "create of a seal",
            Self::Segment => "create of a segment",
            Self::Part => "create of a part",
            Self::Manifest => "create of a manifest",
            Self::ListParts => "list of parts",
            Self::ListLog => "list of a log",
            Self::ReadLog => "read of a log",
            Self::ReadSnapshot => "read of a snapshot",
            Self::DropSegment => "deletion of a segment",
            Self::DropSnapshot => "deletion of a snapshot",
        }
    }
}

impl Fault {
    /// What it is called, as in files.
    #[must_use]
    pub fn name(self) -> String {
        snake(&format!("{self:?}"))
    }

    /// What becomes of a request that meets it.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::Failed => "fails without effect",
            Self::Throttled => "is throttled",
            Self::Refused => "is refused",
            Self::Slow => "takes a hundred times as long",
            Self::Unsure => "fails, and does not say that it had no effect",
            Self::Conflict => "is told of a conflict, and had no effect",
            Self::AnswerLost => "has its effect, and the answer is lost",
            Self::Late => "is given up, and has its effect later",
            Self::OwnExists => "has its effect, and the answer is that the object was there",
            Self::Truncated => "is read short",
            Self::Flipped => "is read with one bit flipped",
            Self::WrongBody => "is answered with another object's body",
            Self::PartialList => "leaves some keys out",
            Self::GhostKeys => "names keys that were deleted",
            Self::StaleList => "shows what was there some time ago",
            Self::Unreachable => "does not reach it",
        }
    }
}

impl HintFault {
    /// What it is called, as in files.
    #[must_use]
    pub fn name(self) -> String {
        snake(&format!("{self:?}"))
    }
}

/// What was done to some objects, in a line.
fn listed(f: &mut fmt::Formatter<'_>, changes: &[(Object, Did)]) -> fmt::Result {
    for (index, ((path, sort), did)) in changes.iter().enumerate() {
        if index > 0 {
            write!(f, ", and ")?;
        }
        let (path, sort) = (path.escape_debug(), sort_name(*sort));
        match did {
            Did::Count(by) if *by < 0 => write!(f, "counts {} down in {sort} {path}", by.unsigned_abs())?,
            Did::Count(by) => write!(f, "counts {by} in {sort} {path}")?,
            Did::Put(element) => write!(f, "puts {element} into {sort} {path}")?,
            Did::Take(element) => write!(f, "takes {element} out of {sort} {path}")?,
            Did::Write(value) => write!(f, "writes {value} to {sort} {path}")?,
            Did::Delete => write!(f, "deletes {path}")?,
        }
    }
    Ok(())
}

const fn sort_name(sort: Sort) -> &'static str {
    match sort {
        Sort::Grows => "grow-only counter",
        Sort::Counter => "counter",
        Sort::Last => "register",
        Sort::Every => "multi-value register",
        Sort::Set => "set",
    }
}

fn chance(f: &mut fmt::Formatter<'_>, what: &str, chances: impl Iterator<Item = (String, u32)>) -> fmt::Result {
    let told: Vec<_> = chances.filter(|(_, rate)| *rate > 0).map(|(name, rate)| format!("{name} {rate}")).collect();
    if told.is_empty() { Ok(()) } else { writeln!(f, "{what} {}.", told.join(", ")) }
}

/// `AnswerLost` as `answer_lost`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for sign in name.chars() {
        if sign.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(sign.to_ascii_lowercase());
    }
    snake
}

fn ms(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds >= 3_600.0 => format!("{} h", seconds / 3_600.0),
        seconds if seconds >= 10.0 => format!("{seconds:.1} s"),
        seconds => format!("{} ms", (seconds * 1e6).round() / 1e3),
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
