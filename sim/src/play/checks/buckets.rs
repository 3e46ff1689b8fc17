//! What must hold of the buckets, whatever the replicas say.
//! Layer 4.

use std::time::Duration;

use crate::{
    history::{Log, Seen},
    play::{
        Broken, Knowledge, Play,
        ledger::{Entry, Ledger, Snapshot},
    },
    ports::{Fault, Happened},
    story::{Act, Step},
};

/// How long a process may take from when it decides on deletions to the last of them, while it is awake.
const UNDER_WAY: Duration = Duration::from_secs(400);

fn was_rolled_back(ledger: &Ledger, log: Log) -> bool {
    ledger.lost.contains_key(&log)
}

/// A segment has one content for ever: a dot stands for one change. A delayed seal may reach a slot that was collected, and does
/// not count.
pub(crate) fn one_content_for_ever(
    ledger: &Ledger,
    log: Log,
    key: &str,
    entry: &Entry,
    is_same: bool,
) -> Result<(), Broken> {
    if is_same || !entry.is_segment || was_rolled_back(ledger, log) {
        return Ok(());
    }
    let seen = format!("{key} holds a segment that it did not hold before");
    Err(("one content for ever", "a position of a log maps to one content, for all time", seen))
}

/// A crash, and one damaged snapshot, must leave all that was acknowledged.
///
/// Where all of them were damaged nothing may be left of what was acknowledged before, and it stays acknowledged: it was said.
/// `docs/guarantees.md` assumes that objects stay as they are, but for one of the two.
pub(crate) fn acknowledged_is_in_the_older_snapshot(
    ledger: &Ledger,
    log: Log,
    key: &str,
    entry: &Entry,
) -> Result<(), Broken> {
    if entry.ack.is_empty() || was_rolled_back(ledger, log) {
        return Ok(());
    }
    let all = ledger.snapshots.range((log, 0)..=(log, u64::MAX));
    // The newest of them is not the older one of any two.
    let before = |of: &Log| ledger.damaged.get(&log).and_then(|damaged| damaged.get(of));
    let ack: Seen = entry.ack.iter().filter(|(of, at)| Some(*at) > before(of)).map(|(of, at)| (*of, *at)).collect();
    let holds = |snapshot: &Snapshot| covers(&snapshot.seen, &ack);
    let older = all.rev().skip(1).any(|(_, snapshot)| holds(snapshot));
    if older {
        return Ok(());
    }
    let seen = format!("{key} acknowledges {ack:x?}, which no older snapshot holds");
    Err(("acknowledged is kept twice", "only what the older of two snapshots holds is acknowledged", seen))
}

/// A manifest is created when its log is durable up to it and its parts are there.
pub(crate) fn manifest_comes_last(
    ledger: &Ledger,
    log: Log,
    position: u64,
    key: &str,
    snapshot: &Snapshot,
) -> Result<(), Broken> {
    let must = "a manifest comes after all that it names";
    if !ledger.entries.contains_key(&(log, position)) || snapshot.seen.get(&log) != Some(&position) {
        return Err(("manifest comes last", must, format!("{key} names a position that its log does not have")));
    }
    // A delayed create may come after what it names was collected; there are newer snapshots then.
    let is_late = ledger.snapshots_of(log).next_back().is_some_and(|(newest, _)| newest > position);
    if was_rolled_back(ledger, log) || is_late {
        return Ok(());
    }
    match snapshot.parts.iter().find(|part| !ledger.parts.contains(&(log, (*part).clone()))) {
        Some(part) => Err(("manifest comes last", must, format!("{key} names {part}, which is not there"))),
        None => Ok(()),
    }
}

/// The frontier of a manifest names what was in a bucket.
pub(crate) fn manifest_names_what_was(ledger: &Ledger, key: &str, seen: &Seen) -> Result<(), Broken> {
    match seen.iter().find(|(log, position)| !ledger.entries.contains_key(&(**log, **position))) {
        Some((log, position)) => {
            let seen = format!("{key} holds log {log} up to {position:x}, which never was in a bucket");
            Err(("manifest names what was", "a snapshot holds nothing that is in no log", seen))
        }
        None => Ok(()),
    }
}

/// What is collected is in two snapshots, is no seal and no newest segment, and is acknowledged by every live replica that the
/// process knew that deletes it, unless that replica was silent for `max_lag`. Whoever has just begun is not known to who sleeps,
/// and reads a snapshot.
pub(crate) fn nothing_needed_is_collected(
    play: &Play<'_>,
    log: Log,
    position: u64,
    home: usize,
    Happened { at, link, key, fault, .. }: &Happened,
) -> Result<(), Broken> {
    let (ledger, must) = (&play.ledger, "what somebody may need is not collected");
    let broken = |seen: String| Err(("nothing needed is collected", must, seen));
    let Some(entry) = ledger.entries.get(&(log, position)) else { return Ok(()) };
    if was_rolled_back(ledger, log) {
        return Ok(());
    }
    let epoch_end = position | u64::from(u32::MAX);
    let has_newer = ledger.entries.range((log, position + 1)..=(log, epoch_end)).any(|(_, newer)| newer.is_segment);
    let was_void = ledger.rewritten.contains(&(log, position));
    let may_go = was_void || entry.is_segment && has_newer;
    if !may_go {
        return broken(format!("{key} was a seal, or the newest segment of its epoch, and is deleted"));
    }
    if ledger.snapshots_of(log).filter(|(newer, _)| *newer >= position).count() < 2 {
        return broken(format!("{key} is deleted, and two snapshots that cover it are not there"));
    }
    let Some(Knowledge { known, frozen }) = play.knowledge.get(&(home, *link)) else { return Ok(()) };
    let at = Duration::from_nanos(*at);
    if play.story.settings.max_lag < at + gained(play, log, at) {
        return Ok(());
    }
    let late = if *fault == Some(Fault::Late) { play.story.faults.late_max } else { Duration::ZERO };
    for (other, (since, frozen_before)) in known {
        let member = &play.members[*other];
        let decided = at.saturating_sub(UNDER_WAY + late + (*frozen - *frozen_before));
        if *other == log || !member.counts() || *since > decided {
            continue;
        }
        let acknowledged = ledger.last_of(*other).and_then(|(_, last)| last.ack.get(&log)).copied();
        if acknowledged < Some(position) && !was_rolled_back(ledger, *other) {
            let name = &member.name;
            return broken(format!("{key} is deleted, and {name} has acknowledged {acknowledged:x?} of that log"));
        }
    }
    Ok(())
}

/// How much more than has passed may have passed by the clock of this log's replica, at most.
fn gained(play: &Play<'_>, log: Log, passed: Duration) -> Duration {
    let drift = |step: &Step| if let Act::Drift(ppm) = step.act { u32::try_from(ppm).ok() } else { None };
    let fastest = play.story.steps.iter().filter(|step| step.region == log).filter_map(drift).max().unwrap_or(0);
    passed / 1_000_000 * fastest
}

/// Two snapshots stay, so that a recovery has one when the other is damaged.
pub(crate) fn two_snapshots_stay(ledger: &Ledger, log: Log, key: &str) -> Result<(), Broken> {
    if was_rolled_back(ledger, log) || ledger.snapshots_of(log).count() >= 2 {
        return Ok(());
    }
    let seen = format!("{key} is deleted, and fewer than two are left");
    Err(("two snapshots stay", "two snapshots are kept", seen))
}

/// The parts of the two newest snapshots stay.
pub(crate) fn named_parts_stay(ledger: &Ledger, log: Log, part: &str) -> Result<(), Broken> {
    let is_named = ledger.snapshots_of(log).rev().take(2).any(|(_, snapshot)| snapshot.parts.contains(part));
    if !is_named || was_rolled_back(ledger, log) {
        return Ok(());
    }
    let seen = format!("{part} is deleted, and a snapshot that is kept names it");
    Err(("named parts stay", "no part is deleted that a kept snapshot names", seen))
}

fn covers(seen: &Seen, what: &Seen) -> bool {
    what.iter().all(|(log, position)| seen.get(log).is_some_and(|seen| seen >= position))
}
