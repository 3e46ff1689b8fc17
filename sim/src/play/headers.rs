//! What must hold of the headers of a log, object by object.
//! Layer 4.

use std::collections::BTreeMap;

use replica::{
    Dot,
    log::{LogObject, decode},
};

use super::{Broken, Play, key_of};
use crate::{
    history::{Log, Seen},
    story::Act,
};

/// How far every log has been looked at.
#[derive(Debug, Default)]
pub(crate) struct Headers {
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

/// Looks at what has come, in the order of each log.
pub(crate) fn follow(play: &mut Play<'_>) -> Result<(), Broken> {
    let mut headers = std::mem::take(&mut play.headers_looked_at);
    let mut result = Ok(());
    let mut is_more = true;
    while is_more && result.is_ok() {
        is_more = false;
        for log in 0..play.members.len() {
            match headers.step(play, log) {
                Ok(stepped) => is_more |= stepped,
                Err(broken) => result = Err(broken),
            }
        }
    }
    play.headers_looked_at = headers;
    result
}

impl Headers {
    /// Looks at the next object of a log. False if it is not there, or speaks of what has not been looked at.
    fn step(&mut self, play: &Play<'_>, log: Log) -> Result<bool, Broken> {
        let reached = self.logs.get(&log).cloned().unwrap_or_default();
        let at = reached.next;
        let key = key_of(&play.members[log].name, at);
        let Some(object) = play.stores[log].created(&key) else { return Ok(false) };
        let Ok(object) = decode(&object, &key, None) else { return Ok(false) };
        let header = object.header();
        let known = |dot: Dot| Some((*play.ids.get(&dot.replica)?, u64::from(dot.position)));
        let published: Seen = header.frontier.iter().filter_map(known).collect();
        let mut after = reached.time;
        for (of, position) in published.iter().filter(|(of, _)| **of != log) {
            match self.times.get(&(*of, *position)) {
                Some(time) => after = after.max(*time),
                None => return Ok(false),
            }
        }
        if let Some((of, before)) = reached.published.iter().find(|(of, before)| published.get(of) < Some(before)) {
            let seen = format!("{key} has published {:x?} of log {of}, and {before:x} before", published.get(of));
            return Err(("published frontiers grow", "what a log has published stays published", seen));
        }
        let mut time = after;
        let next = match &object {
            LogObject::Segment(_) => {
                let own = u64::from(header.hlc);
                if own < after && are_clocks_near(play) {
                    let seen = format!("{key} was cut at {own:x}, and had applied what was written at {after:x}");
                    return Err(("the clock follows", "a clock is never behind what is merged", seen));
                }
                time = time.max(own);
                at + 1
            }
            LogObject::Seal(found) => match found.seal().next_epoch {
                Some(epoch) => u64::from(epoch) << 32,
                None => u64::MAX,
            },
        };
        self.times.insert((log, at), time);
        self.logs.insert(log, Reached { next, time, published });
        Ok(true)
    }
}

/// What comes from too far ahead is not followed.
fn are_clocks_near(play: &Play<'_>) -> bool {
    const NEAR_MS: u64 = 120_000;
    play.story.steps.iter().all(|step| !matches!(step.act, Act::Clock(off) if off.unsigned_abs() > NEAR_MS))
}
