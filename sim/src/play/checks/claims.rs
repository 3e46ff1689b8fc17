//! What must hold of what logs and replicas say of themselves.
//! Layer 4.

use std::collections::BTreeMap;

use replica::{ErrorKind, MarkValue};

use crate::{
    history::{Log, Seen},
    play::{Broken, INGESTED, Play, key_of, life::lock},
    story::Act,
};

use super::has_moved;

/// How far every log has been looked at.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    logs: BTreeMap<Log, Reached>,
    /// At each position the latest time that whoever has applied it must be after.
    times: BTreeMap<(Log, u64), u64>,
}

#[derive(Clone, Debug, Default)]
struct Reached {
    next: u64,
    time: u64,
    published: Seen,
}

/// All of it, at any time.
pub(in crate::play) fn hold(play: &mut Play<'_>) -> Result<(), Broken> {
    if !play.logs_are_right {
        return Ok(());
    }
    for log in 0..play.members.len() {
        nobody_is_stopped_for_nothing(play, log)?;
        marks_are_with_their_changes(play, log)?;
    }
    follow(play)
}

/// True for what puts into a log, or takes out of it, what its replica has not.
pub(in crate::play) const fn is_wrong(act: &Act) -> bool {
    match act {
        Act::RollBack | Act::Newer { .. } => true,
        Act::Spoil(what) => what.is_fatal(),
        _ => false,
    }
}

/// Looks at the headers that have come, in the order of each log.
fn follow(play: &mut Play<'_>) -> Result<(), Broken> {
    let mut claims = std::mem::take(&mut play.claims);
    let mut result = Ok(());
    let mut is_more = true;
    while is_more && result.is_ok() {
        is_more = false;
        for log in 0..play.members.len() {
            match claims.step(play, log) {
                Ok(stepped) => is_more |= stepped,
                Err(broken) => result = Err(broken),
            }
        }
    }
    play.claims = claims;
    result
}

impl Claims {
    /// Looks at the next object of a log. False if it is not there, or speaks of what has not been looked at.
    fn step(&mut self, play: &Play<'_>, log: Log) -> Result<bool, Broken> {
        let at = self.logs.get(&log).map_or(0, |reached| reached.next);
        // What nobody could read is not in the ledger.
        let Some(entry) = play.ledger.entries.get(&(log, at)) else { return Ok(false) };
        let reached = self.logs.entry(log).or_default();
        let published = &entry.seen;
        let mut after = reached.time;
        for (of, position) in published.iter().filter(|(of, _)| **of != log) {
            match self.times.get(&(*of, *position)) {
                Some(time) => after = after.max(*time),
                None => return Ok(false),
            }
        }
        if let Some((of, before)) = reached.published.iter().find(|(of, before)| published.get(of) < Some(before)) {
            let key = key_of(&play.members[log].name, at);
            let seen = format!("{key} has published {:x?} of log {of}, and {before:x} before", published.get(of));
            return Err(("published frontiers grow", "what a log has published stays published", seen));
        }
        let mut time = after;
        if entry.is_segment {
            if entry.hlc < after && are_clocks_near(play) {
                let key = key_of(&play.members[log].name, at);
                let seen = format!("{key} was cut at {:x}, and had applied what was written at {after:x}", entry.hlc);
                return Err(("the clock follows", "a clock is never behind what is merged", seen));
            }
            time = time.max(entry.hlc);
        }
        let next = match entry.next_epoch {
            _ if entry.is_segment => at + 1,
            Some(epoch) => u64::from(epoch) << 32,
            None => u64::MAX,
        };
        self.times.insert((log, at), time);
        *reached = Reached { next, time, published: published.clone() };
        Ok(true)
    }
}

/// Only who opens a log stops who wrote it.
fn nobody_is_stopped_for_nothing(play: &Play<'_>, log: Log) -> Result<(), Broken> {
    let member = &play.members[log];
    let ended = member.life.as_ref().and_then(|life| lock(&life.given).ended.clone());
    match ended {
        Some((ErrorKind::LostHistory, says)) => {
            Err(("no history is lost for nothing", "a bucket that keeps what it has loses no history", says))
        }
        Some((ErrorKind::Fenced, says)) if !member.was_taken_over && !member.is_evicted() => {
            let seen = format!("{} was opened last, and has stopped: {says}", member.name);
            Err(("nobody is fenced for nothing", "who has opened a log last is stopped by nobody", seen))
        }
        // Whose own object was damaged before it could be read back cannot tell whether it is its own.
        Some((ErrorKind::Corrupt, _)) if play.has_spoiled(log) => Ok(()),
        Some((kind, says)) if !matches!(kind, ErrorKind::Fenced | ErrorKind::Evicted | ErrorKind::Closed) => {
            let must =
                "a process ends when it is fenced, evicted or closed, or has lost its history, and for nothing else";
            Err(("nobody ends for another reason", must, format!("{} has ended: {says}", member.name)))
        }
        _ => Ok(()),
    }
}

/// What a replica has ingested is marked exactly as far as it is counted.
fn marks_are_with_their_changes(play: &Play<'_>, log: Log) -> Result<(), Broken> {
    if !has_moved(play, log) {
        return Ok(());
    }
    for object in play.history.objects_at(&format!("{INGESTED}{log}")) {
        let Some((replica, view)) = play.view(log) else { return Ok(()) };
        let counted = play.history.last_count(&view, object).map(i64::unsigned_abs);
        let marked = replica.mark(&object.0).map(|mark| mark.value);
        if marked != counted.map(MarkValue::Number) {
            let seen = format!("{} has marked {marked:?} and counted {counted:?}", replica.name());
            return Err(("a mark is with its changes", "a mark is there exactly if its changes are", seen));
        }
    }
    Ok(())
}

/// What comes from too far ahead is not followed.
fn are_clocks_near(play: &Play<'_>) -> bool {
    const NEAR_MS: u64 = 120_000;
    play.story.steps.iter().all(|step| match step.act {
        Act::Clock(off) => off.unsigned_abs() <= NEAR_MS,
        Act::Drift(_) | Act::StopClock => false,
        _ => true,
    })
}
