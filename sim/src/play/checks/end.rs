//! What must hold when all has come to rest.
//! Layer 4.

use std::{collections::BTreeMap, time::Duration};

use replica::{ErrorKind, Replica, Status};

use super::{difference, frontier_is_true};
use crate::{
    history::{Did, Log, Seen, Sort, View},
    play::{Broken, Play, act::step_of, life::Member, life::lock},
    ports::HintFaults,
};

/// Everybody is back, in step, and holds nothing superfluous.
pub(crate) fn is_settled(play: &Play<'_>) -> Result<(), Broken> {
    let waits = |(log, member): &(Log, &Member)| {
        member.evicted.as_ref().is_some_and(|eviction| !eviction.is_done()) && !has_no_end(play, *log)
    };
    if let Some((_, member)) = play.there().find(waits) {
        let seen = format!("{} is not evicted yet", member.name);
        return Err(("evictions are done", "an operator who asks again and again is answered", seen));
    }
    let mut first: Option<(Log, Replica)> = None;
    for (log, member) in play.there().filter(|(_, member)| member.counts()) {
        let must = "when it is quiet, everybody comes back";
        let ended = member.life.as_ref().and_then(|life| lock(&life.given).ended.clone());
        let Some((replica, _)) = play.view(log).filter(|_| ended.is_none()) else {
            return Err(("all come back", must, format!("{} does not: {ended:?}", member.name)));
        };
        let status = replica.status();
        let is_behind = status.is_behind && !is_behind_for_good(play, &status);
        if is_behind || status.pending_bytes > 0 {
            let seen = format!(
                "{} is behind: {}, pending: {}, alarms: {:?}, logs: {:x?}",
                member.name, status.is_behind, status.pending_bytes, status.alarms, status.logs
            );
            return Err(("catches up", must, seen));
        }
        if (status.dead_tallies > 0 || status.early_removals > 0) && !waits_for_good(play) {
            let all = play.there().filter_map(|(log, _)| {
                let (replica, view) = play.view(log)?;
                let status = replica.status();
                Some(format!(
                    "\n    {}: dead {}, early {}, snapshots {:?}, view {:x?}",
                    replica.name(),
                    status.dead_tallies,
                    status.early_removals,
                    status.snapshots,
                    view.seen
                ))
            });
            let all: String = all.collect();
            let seen = format!(
                "{} holds {} dead tallies and {} early removals{all}",
                member.name, status.dead_tallies, status.early_removals
            );
            return Err(("nothing dead is left", "when all is acknowledged, what was deleted takes no memory", seen));
        }
        // The beginning of a log that nobody holds anything of is missed by who has heard of it.
        let is_missed = |place: &str| {
            place
                .strip_prefix("log ")
                .is_some_and(|name| play.there().any(|(of, member)| is_gone(play, of) && member.name.as_str() == name))
        };
        if status.alarms.iter().any(|(place, kind, _)| *kind != ErrorKind::Store || !is_missed(place)) {
            let seen = format!("{}: {:?}", member.name, status.alarms);
            return Err(("alarms end", "when it is quiet, nothing is wrong any more", seen));
        }
        if status.logs.iter().any(|log| log.agrees == Some(false)) {
            let seen = format!("{}: {:?}", member.name, status.logs);
            return Err(("digests agree", "equal changes give equal parts", seen));
        }
        let live = replica.scan("").count();
        // What is dead and waits was looked at above.
        if live != status.objects && status.dead_tallies == 0 && status.early_removals == 0 {
            let seen = format!("{} holds {} objects, and {live} are live", member.name, status.objects);
            return Err(("nothing dead is left", "when all is acknowledged, what was deleted takes no memory", seen));
        }
        if let Some((other, theirs)) = &first {
            if let Some(differs) = difference(&replica, theirs) {
                let seen = format!("{log} and {other} differ: {differs}");
                return Err(("convergence", "when it is quiet, all end with the same values", seen));
            }
        } else {
            first = Some((log, replica));
        }
    }
    Ok(())
}

/// True when a log was lost before anybody had kept anything of it: it has no position at which it could be evicted.
fn has_no_end(play: &Play<'_>, of: Log) -> bool {
    let counting = play.there().filter(|(_, member)| member.counts());
    let mut views = counting.filter_map(|(log, _)| play.view(log));
    play.ledger.lost.contains_key(&of) && !views.any(|(_, view)| view.seen.contains_key(&of))
}

/// True when a log was evicted that has no end.
fn is_gone(play: &Play<'_>, of: Log) -> bool {
    play.members[of].is_evicted() && has_no_end(play, of)
}

/// True when something waits for the end of a log that has none: it waits for ever.
fn waits_for_good(play: &Play<'_>) -> bool {
    play.there().any(|(of, _)| is_gone(play, of))
}

/// True when what is missing was in a bucket that was rolled back, and nobody else has it: it says so for ever.
fn is_behind_for_good(play: &Play<'_>, status: &Status) -> bool {
    status.logs.iter().filter(|log| log.heard > log.applied).all(|missing| {
        let Some(of) = play.ledger.ids.get(&missing.replica.id()) else { return false };
        let has_more = |(other, _): (Log, &Member)| {
            let view = play.view(other).map(|(_, view)| view.seen);
            view.is_some_and(|seen| seen.get(of).copied() > missing.applied.map(u64::from))
        };
        play.ledger.lost.contains_key(of) && !play.there().filter(|(_, member)| member.counts()).any(has_more)
    })
}

/// What was said to be durable is in every view, and every view is closed.
pub(crate) fn nothing_relied_on_is_lost(play: &Play<'_>) -> Result<(), Broken> {
    let is_whole = !play.members.iter().any(Member::is_evicted) && play.ledger.lost.is_empty();
    for (log, member) in play.there().filter(|(_, member)| member.counts()) {
        let Some((_, view)) = play.view(log) else { continue };
        // What an evicted replica wrote beyond its end is waited for by nobody.
        if is_whole && !play.is_closed(&view) {
            let seen = format!("{}: {:x?}", member.name, view.seen);
            return Err(("closed at the end", "when it is quiet, every view is causally closed", seen));
        }
        let is_whole = |of: &Log| !play.ledger.lost.contains_key(of);
        for (of, other) in play.there().filter(|(of, other)| other.counts() && is_whole(of)) {
            for position in &other.relied_on {
                let is_seen = view.seen.get(&of).is_some_and(|seen| seen >= position);
                if !is_seen || !play.history.is_published(of, *position) {
                    let is_published = play.history.is_published(of, *position);
                    let (name, theirs, seen) = (&member.name, &other.name, &view.seen);
                    let seen =
                        format!("{theirs}'s {position:x} was durable, published: {is_published}; {name} has {seen:x?}");
                    return Err(("nothing acknowledged is lost", "what was said to be durable is in every view", seen));
                }
            }
        }
    }
    Ok(())
}

/// What holds beyond that.
pub(crate) fn all(play: &mut Play<'_>) -> Result<(), Broken> {
    evicted_logs_are_whole(play)?;
    newcomers_read_the_same(play)?;
    if !play.story.seed.is_multiple_of(REST_EVERY) {
        return changes_arrive_soon(play);
    }
    changes_arrive_soon(play)?;
    nothing_is_asked_at_rest(play)
}

/// Where nothing is in the way, an eviction counts a log to its last object, the final seal: of a replica that writes no more
/// nothing is given up.
fn evicted_logs_are_whole(play: &Play<'_>) -> Result<(), Broken> {
    if !play.story.is_calm() {
        return Ok(());
    }
    let is_over = |member: &Member| member.evicted.as_ref().is_some_and(|eviction| eviction.of_one_that_is_over);
    for (of, member) in play.there().filter(|(_, member)| is_over(member)) {
        let Some((end, _)) = play.ledger.last_of(of).filter(|(_, last)| !last.is_segment) else { continue };
        for (log, _) in play.there().filter(|(_, member)| member.counts()) {
            let Some((replica, _)) = play.view(log) else { continue };
            let counted = replica.status().logs.into_iter().find(|log| log.replica == member.name);
            if let Some(last) = counted.and_then(|log| log.evicted).filter(|last| u64::from(*last) < end) {
                let (name, by) = (&member.name, replica.name());
                let seen = format!("{by} counts {name} to {:x}, and it was sealed at {end:x}", u64::from(last));
                let must = "nothing is given up of a log whose replica has ended before it was evicted";
                return Err(("an evicted log is whole", must, seen));
            }
        }
    }
    Ok(())
}

/// Of so many stories one is followed to its rest, which takes long.
const REST_EVERY: u64 = 8;

/// Whoever begins with a snapshot ends with the same values as who has merged every delta.
fn newcomers_read_the_same(play: &mut Play<'_>) -> Result<(), Broken> {
    let counts = |log: &Log| play.members[*log].counts() && play.view(*log).is_some();
    let Some(log) = (0..play.members.len()).find(counts) else { return Ok(()) };
    let is_whole =
        play.ledger.deleted.is_empty() && play.ledger.lost.is_empty() && !play.members.iter().any(Member::is_evicted);
    let home = play.members[log].home;
    let modes: &[bool] = if is_whole { &[false, true] } else { &[false] };
    for logs_only in modes {
        let observer = play.observe(home, false, *logs_only);
        play.points.reach(if *logs_only { "a newcomer reads logs alone" } else { "a newcomer reads a snapshot" });
        let (began, pause) = (play.executor.world().now(), play.story.settings.poll_max);
        let outcome = loop {
            let now = play.executor.world().now();
            play.pass_until(now + pause)?;
            play.take_note()?;
            let Some(newcomer) = lock(&observer.given).replica.clone() else {
                if now > began + play.round() * 4 {
                    break Some("it does not open".to_owned());
                }
                continue;
            };
            let Some((replica, view)) = play.view(log) else { break None };
            let seen = View { seen: play.seen_by(&newcomer), of: None };
            frontier_is_true(play, &seen.seen)?;
            // Whose snapshot it began with may have read what a bucket lost since: then it refuses the rest of that log.
            let alarms = newcomer.status().alarms;
            let refuses = |log: &Log| {
                let place = format!("log {}", play.members[*log].name);
                let says =
                    |(at, kind, _): &(String, ErrorKind, String)| *at == place && *kind == ErrorKind::LostHistory;
                play.ledger.lost.contains_key(log) && alarms.iter().any(says)
            };
            let short: Vec<&Log> =
                view.seen.iter().filter(|(log, at)| seen.seen.get(log) < Some(*at)).map(|(log, _)| log).collect();
            if !short.is_empty() && short.iter().all(|log| refuses(log)) {
                break None;
            }
            if short.is_empty() || now > began + play.round() * 4 {
                let missing =
                    (!short.is_empty()).then(|| format!("it has {:x?} of {:x?}: {alarms:?}", seen.seen, view.seen));
                break missing.or_else(|| difference(&newcomer, &replica));
            }
        };
        play.executor.crash(observer.place);
        // What is collected meanwhile cannot be read without a snapshot.
        let is_gone = *logs_only && !play.ledger.deleted.is_empty();
        if let Some(differs) = outcome.filter(|_| !is_gone) {
            let by = if *logs_only { "the logs" } else { "a snapshot" };
            let seen = format!("who begins with {by} differs from {}: {differs}", play.members[log].name);
            return Err(("deltas equal states", "merging snapshots gives what merging every delta gives", seen));
        }
    }
    Ok(())
}

/// When all is well, what is written anywhere is read everywhere within a flush, a poll or a hint, and some round trips.
fn changes_arrive_soon(play: &mut Play<'_>) -> Result<(), Broken> {
    let mut written: BTreeMap<Log, u64> = BTreeMap::new();
    let before: BTreeMap<Log, Seen> = play.there().filter_map(|(log, _)| Some((log, play.view(log)?.1.seen))).collect();
    let ends: BTreeMap<Log, u64> =
        play.there().filter_map(|(log, _)| Some((log, play.ledger.last_of(log)?.0))).collect();
    let counting: Vec<Log> = play.there().filter(|(_, member)| member.counts()).map(|(log, _)| log).collect();
    for log in &counting {
        let object = (format!("end/{log}"), Sort::Last);
        if let Some(position) = play.change(*log, &[(object, Did::Write(7))], false) {
            written.insert(*log, position);
        }
    }
    // By now no hint is lost. Of its own bucket nobody is told.
    let began = play.executor.world().now();
    let settings = &play.story.settings;
    let least = settings.flush_interval + Duration::from_secs(2);
    let by_hint = play.story.hints.as_ref().map(|_| (least + HintFaults::none().latency, true));
    for (bound, is_by_hint) in by_hint.into_iter().chain([(least + settings.poll_max, false)]) {
        play.pass_until(began + bound)?;
        play.look()?;
        for log in &counting {
            let Some((replica, view)) = play.view(*log) else { continue };
            // A log of which it was not at the end takes a discovery more: what comes next in it may have been collected. So does
            // one where that has happened meanwhile, which it may to who polls more seldom than `retention`.
            let next = |of: &Log| {
                let behind = view.seen.get(of).map_or(0, |at| at + 1);
                play.ledger.entries.range((*of, behind)..=(*of, u64::MAX)).next()
            };
            let is_met = |of: &Log| {
                before.get(log).and_then(|seen| seen.get(of)).is_some_and(|at| Some(at) >= ends.get(of))
                    && next(of).is_none_or(|(_, entry)| entry.is_there)
            };
            let is_told = |of: &Log| !is_by_hint || play.members[*of].home != play.members[*log].home;
            let is_late =
                |(of, position): &(&Log, &u64)| is_met(of) && is_told(of) && view.seen.get(of) < Some(position);
            if let Some((of, position)) = written.iter().find(is_late) {
                let (reader, name, at) = (replica.name(), &play.members[*of].name, view.seen.get(of));
                let seen = format!("{reader} is at {at:x?} of {name} after {bound:?}, not at {position:x}");
                let must = "when all is well, a change is everywhere within a flush and a poll, or a hint";
                return Err(("changes arrive soon", must, seen));
            }
        }
    }
    Ok(())
}

/// A replica with nothing to do writes nothing, asks what its settings say, and its bucket holds what it must.
fn nothing_is_asked_at_rest(play: &mut Play<'_>) -> Result<(), Broken> {
    let (round, pause) = (play.round(), step_of(play.round()));
    let until = play.executor.world().now() + round * 6;
    while play.executor.world().now() < until {
        let now = play.executor.world().now();
        play.pass_until(now + pause)?;
        play.look()?;
    }
    if let Err(broken) = is_settled(play) {
        // Two histories of one log may be found out late.
        return if play.is_split() { Ok(()) } else { Err(broken) };
    }
    let settings = &play.story.settings;
    let watched = (settings.poll_max + settings.discovery_interval) * 4;
    let asked = |play: &Play<'_>| -> BTreeMap<Log, (u64, u64)> {
        let counted = play.there().filter_map(|(log, member)| {
            let life = member.life.as_ref().filter(|_| member.counts())?;
            let writes = life.links.iter().map(|link| link.requests().creates + link.requests().deletes).sum();
            let reads = life.links.iter().map(|link| link.requests().gets + link.requests().ranges).sum();
            Some((log, (writes, reads)))
        });
        counted.collect()
    };
    let before = asked(play);
    let now = play.executor.world().now();
    play.pass_until(now + watched)?;
    play.look()?;
    let logs = play.there().count() as u64;
    let settings = &play.story.settings;
    let polls = watched.as_millis() as u64 / settings.poll_max.as_millis().max(1) as u64;
    let snapshots = watched.as_millis() as u64 / settings.snapshot_interval.as_millis().max(1) as u64;
    let most = logs * (polls * 2 + snapshots * 4 + 20);
    for (log, (writes, reads)) in asked(play) {
        let (writes_before, reads_before) = before.get(&log).copied().unwrap_or_default();
        let name = &play.members[log].name;
        if writes > writes_before {
            let seen = format!("{name} has made {} writes in {watched:?}", writes - writes_before);
            return Err(("nothing is written at rest", "a replica with nothing to do writes nothing", seen));
        }
        if reads - reads_before > most {
            let seen = format!("{name} has made {} reads in {watched:?}, {most} would do", reads - reads_before);
            return Err(("little is read at rest", "polling costs what the settings say", seen));
        }
    }
    play.points.reach("all is at rest");
    // A replica that lost its history and could not be evicted, since nobody has anything of it, is waited for.
    if play.ledger.lost.is_empty() { buckets_hold_what_they_must(play) } else { Ok(()) }
}

/// What a bucket holds is bounded by what its log and its snapshots must keep.
fn buckets_hold_what_they_must(play: &Play<'_>) -> Result<(), Broken> {
    /// Segments of the open epoch that the last snapshots and acknowledgements need.
    const TAIL: usize = 10;
    let broken = |seen: String| Err(("space", "at rest a bucket holds live data and what recovery needs", seen));
    for (log, member) in play.there().filter(|(_, member)| member.counts()) {
        let keys = play.stores[member.home].keys();
        let under = |folder: &str| -> Vec<&String> {
            let prefix = format!("v1/{folder}/{}/", member.name);
            keys.iter().filter(|key| key.starts_with(&prefix)).collect()
        };
        let (objects, manifests, parts) = (under("log"), under("snap"), under("part"));
        let entries = play.ledger.entries.range((log, 0)..=(log, u64::MAX));
        let seals = entries.filter(|(_, entry)| !entry.is_segment).count();
        if objects.len() > 2 * seals + TAIL {
            return broken(format!("{}: {} objects in the log, with {seals} seals", member.name, objects.len()));
        }
        if manifests.len() > 3 {
            return broken(format!("{}: {} manifests", member.name, manifests.len()));
        }
        let named =
            |part: &&&String| play.ledger.snapshots_of(log).any(|(_, snapshot)| snapshot.parts.contains(**part));
        if let Some(orphan) = parts.iter().find(|part| !named(part)) {
            return broken(format!("{orphan} is named by no snapshot"));
        }
    }
    Ok(())
}
