//! What must hold: each check has a name, says what must be, and what it saw.
//! Layer 4.

use std::{collections::BTreeSet, time::Duration};

use replica::{Content, Replica, Value};

use super::{Broken, Member, Play, key_of, lock};
use crate::history::{Object, Sort, Truth, View};

/// What holds of the view of one region at any time.
pub(crate) fn of_view(play: &mut Play<'_>, region: usize) -> Result<(), Broken> {
    let Some((replica, view)) = play.view(region) else { return Ok(()) };
    frontier_never_goes_back(play, region, &view)?;
    frontier_is_true(play, &view)?;
    values_are_those_of_the_history(play, &replica, &view)
}

fn frontier_never_goes_back(play: &mut Play<'_>, region: usize, view: &View) -> Result<(), Broken> {
    let Some(life) = &mut play.members[region].life else { return Ok(()) };
    let back = life.seen.iter().find(|(log, position)| view.seen.get(log).is_none_or(|now| now < *position));
    if let Some((log, position)) = back {
        let seen = format!("r{region} had log {log} at {position:x}, and has {:x?}", view.seen.get(log));
        return Err(("frontier never goes back", "what a process has applied stays applied", seen));
    }
    life.seen.clone_from(&view.seen);
    Ok(())
}

fn frontier_is_true(play: &Play<'_>, view: &View) -> Result<(), Broken> {
    for (log, position) in &view.seen {
        let key = key_of(&play.members[*log].name, *position);
        if play.stores[*log].created(&key).is_none() {
            let seen = format!("a frontier has {key}, which never was");
            return Err(("frontier is true", "whatever was applied was in a bucket", seen));
        }
    }
    Ok(())
}

fn values_are_those_of_the_history(play: &mut Play<'_>, replica: &Replica, view: &View) -> Result<(), Broken> {
    if !play.is_closed(view) {
        return Ok(());
    }
    for object in play.history.objects() {
        let (read, truth) = (read(replica, object), play.history.truth(view, object));
        if !is_true(object, &read, &truth) {
            let (name, view, told) = (replica.name(), &view.seen, play.history.tell(object));
            let seen = format!("{name} reads {object:?} as {read:?}, and it is {truth:?}; its view is {view:x?}{told}");
            return Err(("value oracle", "a causally closed view shows what the history of operations says", seen));
        }
    }
    Ok(())
}

/// What an object reads as; of a register that reads as its last write, that one alone.
fn read(replica: &Replica, (path, sort): &Object) -> Truth {
    let values = replica.get(path).unwrap_or_default();
    let is_of_it = |value: &Value| {
        matches!(
            (value, sort),
            (Value::GCounter(_), Sort::Grows)
                | (Value::PnCounter(_), Sort::Counter)
                | (Value::LwwRegister(_), Sort::Last)
                | (Value::MvRegister(_), Sort::Every)
                | (Value::OrSet(_), Sort::Set)
        )
    };
    let number = |bytes: &[u8]| u16::decode(bytes).unwrap_or(u16::MAX);
    match values.into_iter().find(is_of_it) {
        Some(Value::GCounter(count)) => Truth::Count(i128::try_from(count).unwrap_or(i128::MAX)),
        Some(Value::PnCounter(count)) => Truth::Count(count),
        Some(Value::LwwRegister(write)) => Truth::Writes(write.iter().map(|bytes| number(bytes)).collect()),
        Some(Value::MvRegister(writes)) => Truth::Writes(writes.iter().map(|bytes| number(bytes)).collect()),
        Some(Value::OrSet(elements)) => Truth::Elements(elements.iter().map(|bytes| number(bytes)).collect()),
        None => match sort {
            Sort::Grows | Sort::Counter => Truth::Count(0),
            Sort::Set => Truth::Elements(BTreeSet::new()),
            _ => Truth::Writes(BTreeSet::new()),
        },
    }
}

fn is_true((_, sort): &Object, read: &Truth, truth: &Truth) -> bool {
    match (sort, read, truth) {
        (Sort::Last, Truth::Writes(read), Truth::Writes(live)) => {
            read.is_subset(live) && read.is_empty() == live.is_empty()
        }
        _ => read == truth,
    }
}

/// Lets time pass until all are in step and nothing superfluous is left, and fails when that is not so in time.
pub(crate) fn settled(play: &mut Play<'_>, within: Duration) -> Result<(), Broken> {
    let began = play.executor.world().now();
    loop {
        let now = play.executor.world().now();
        play.pass_until(now + Duration::from_secs(2))?;
        play.look()?;
        if (now - began).as_secs() % 60 < 2 {
            play.evict_again();
        }
        match is_settled(play).and_then(|()| nothing_relied_on_is_lost(play)) {
            Ok(()) => return Ok(()),
            Err(broken) if now - began > within => return Err(broken),
            Err(_) => {}
        }
    }
}

fn is_settled(play: &Play<'_>) -> Result<(), Broken> {
    let mut first: Option<(usize, View, Vec<_>)> = None;
    for (region, member) in play.members.iter().enumerate().filter(|(_, member)| !member.is_evicted()) {
        let must = "when it is quiet, everybody comes back";
        let ended = member.life.as_ref().and_then(|life| lock(&life.given).ended.clone());
        let Some((replica, view)) = play.view(region).filter(|_| ended.is_none()) else {
            return Err(("all come back", must, format!("{} does not: {ended:?}", member.name)));
        };
        let status = replica.status();
        if status.is_behind || status.pending_bytes > 0 {
            let seen = format!("{} is behind: {}, pending: {}", member.name, status.is_behind, status.pending_bytes);
            return Err(("catches up", must, seen));
        }
        if status.dead_tallies > 0 || status.early_removals > 0 {
            let all = play.members.iter().enumerate().filter_map(|(region, _)| {
                let (replica, view) = play.view(region)?;
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
        if !status.alarms.is_empty() {
            let seen = format!("{}: {:?}", member.name, status.alarms);
            return Err(("alarms end", "when it is quiet, nothing is wrong any more", seen));
        }
        if status.logs.iter().any(|log| log.agrees == Some(false)) {
            let seen = format!("{}: {:?}", member.name, status.logs);
            return Err(("digests agree", "equal changes give equal parts", seen));
        }
        let held: Vec<_> = replica.scan("").collect();
        if held.len() != status.objects {
            let seen = format!("{} holds {} objects, and {} are live", member.name, status.objects, held.len());
            return Err(("nothing dead is left", "when all is acknowledged, what was deleted takes no memory", seen));
        }
        match &first {
            None => first = Some((region, view, held)),
            Some((other, _, theirs)) if *theirs != held => {
                let differs = held.iter().find(|object| !theirs.contains(object));
                let seen = format!("r{region} and r{other} differ: {differs:?}");
                return Err(("convergence", "when it is quiet, all end with the same values", seen));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn nothing_relied_on_is_lost(play: &mut Play<'_>) -> Result<(), Broken> {
    for region in 0..play.members.len() {
        if play.members[region].is_evicted() {
            continue;
        }
        let Some((_, view)) = play.view(region) else { continue };
        let is_closed = play.is_closed(&view);
        let member = &play.members[region];
        // What an evicted replica wrote beyond its end is waited for by nobody.
        if !is_closed && !play.members.iter().any(Member::is_evicted) {
            let seen = format!("{}: {:x?}", member.name, view.seen);
            return Err(("closed at the end", "when it is quiet, every view is causally closed", seen));
        }
        for (log, other) in play.members.iter().enumerate().filter(|(_, other)| !other.is_evicted()) {
            for position in &other.relied_on {
                let is_seen = view.seen.get(&log).is_some_and(|seen| seen >= position);
                if !is_seen || !play.history.is_published(log, *position) && play.history.is_empty() {
                    let seen = format!("{} was told that {}'s {position:x} is durable", member.name, other.name);
                    return Err(("nothing acknowledged is lost", "what was said to be durable is in every view", seen));
                }
            }
        }
    }
    Ok(())
}
