//! What must hold: each check has a name, says what must be, and what it saw.
//! Layer 4.
//!
//! Those in this file hold of views at any time, those of [`buckets`] of the buckets, those of [`end`] when all has come to rest.

pub(super) mod buckets;
pub(super) mod claims;
pub(super) mod end;

use std::collections::BTreeSet;

use replica::{Replica, Status, Value};

use super::{
    Broken, Play, key_of,
    life::{Life, lock},
};
use crate::history::{Log, Must, Object, Seen, Sort, Truth, Truths, View};

/// What holds of the view of one replica at any time.
pub(super) fn of_view(play: &mut Play<'_>, log: Log) -> Result<(), Broken> {
    let Some((_, replica)) = play.live(log) else { return Ok(()) };
    play.what_the_service_promises(&replica)?;
    if !has_moved(play, log) {
        return Ok(());
    }
    let Some((replica, view)) = play.view(log) else { return Ok(()) };
    frontier_never_goes_back(play, log, &view)?;
    frontier_is_true(play, &view.seen)?;
    let truths = |play: &mut Play<'_>| play.members[log].life.as_mut().map(|life| std::mem::take(&mut life.truths));
    let mut known = truths(play).unwrap_or_default();
    values_are_those_of_the_history(play, &replica, &view, &mut known)?;
    play.members[log].life.iter_mut().for_each(|life| life.truths = std::mem::take(&mut known));
    let status = replica.status();
    caps_hold(play, log, &status)?;
    play.count_status(log, &status);
    let Some(link) = play.members[log].life.as_ref().map(|life| life.link_home) else { return Ok(()) };
    play.note_who_is_known(link, &status);
    let Some(life) = &play.members[log].life else { return Ok(()) };
    leaderboard_is_a_full_count(life, &replica)
}

fn has_moved(play: &Play<'_>, log: Log) -> bool {
    play.members[log].life.as_ref().is_some_and(|life| life.has_moved)
}

/// The same of observers, which must not go back either.
pub(super) fn of_observers(play: &mut Play<'_>) -> Result<(), Broken> {
    for number in 0..play.observers.len() {
        let Some(replica) = lock(&play.observers[number].given).replica.clone() else { continue };
        let view = View { seen: play.seen_by(&replica), of: None };
        let before = &play.observers[number].seen;
        if let Some((log, position)) = before.iter().find(|(log, position)| view.seen.get(log) < Some(position)) {
            let seen = format!("an observer had log {log} at {position:x}, and has {:x?}", view.seen.get(log));
            return Err(("frontier never goes back", "what a process has applied stays applied", seen));
        }
        frontier_is_true(play, &view.seen)?;
        let mut known = std::mem::take(&mut play.observers[number].truths);
        values_are_those_of_the_history(play, &replica, &view, &mut known)?;
        play.observers[number].truths = known;
        if play.is_closed(&view) && !view.seen.is_empty() {
            play.points.reach("an observer has a closed view");
        }
        play.observers[number].seen = view.seen;
    }
    Ok(())
}

/// Who has waited for a token reads what was written before it was taken.
pub(super) fn of_couriers(play: &mut Play<'_>) -> Result<(), Broken> {
    let mut reached = 0;
    for courier in &mut play.couriers {
        let Some(read) = lock(&courier.read).clone() else { continue };
        // What a bucket lost before anybody had read it is nowhere, and its log goes on behind it.
        if courier.was_told() || play.ledger.lost.contains_key(&courier.from()) {
            continue;
        }
        if read != courier.must_read() {
            let seen = format!("{} reads as {read:?}, and must as {:?}", courier.path, courier.must_read());
            return Err(("read your writes", "who has waited for a token reads what was written before it", seen));
        }
        reached += 1;
    }
    (0..reached).for_each(|_| play.points.reach("a token is followed"));
    Ok(())
}

/// Whoever has read what a bucket lost does not follow who took its log over without that.
fn lost_history_is_refused(play: &Play<'_>, before: &Seen, now: &Seen) -> Result<(), Broken> {
    for (log, lost) in &play.ledger.lost {
        let (Some(was), Some(is)) = (before.get(log), now.get(log)) else { continue };
        let is_unclear = play.ledger.rewritten.contains(&(*log, *was));
        // Others hold what was lost, and it is read from their snapshots.
        let is_of_the_lost = lost.positions.contains(is) && !play.ledger.rewritten.contains(&(*log, *is));
        // Unless a process that had claimed its epoch before goes on behind what was lost.
        let is_refused = lost.positions.contains(was)
            && !is_unclear
            && !is_of_the_lost
            && lost.forks.iter().any(|fork| fork.at <= *was);
        if is_refused && !play.ledger.goes_on(*log, *was, *is) {
            let seen = format!("who had read log {log} to {was:x}, which was lost, follows it to {is:x}");
            return Err((
                "lost history is refused",
                "a log that was rolled back is not followed by who had read more",
                seen,
            ));
        }
    }
    Ok(())
}

/// A replica that runs never goes back.
fn frontier_never_goes_back(play: &mut Play<'_>, log: Log, view: &View) -> Result<(), Broken> {
    let Some(life) = &mut play.members[log].life else { return Ok(()) };
    let back = life.seen.iter().find(|(log, position)| view.seen.get(log).is_none_or(|now| now < *position));
    if let Some((of, position)) = back {
        let seen = format!("{log} had log {of} at {position:x}, and has {:x?}", view.seen.get(of));
        return Err(("frontier never goes back", "what a process has applied stays applied", seen));
    }
    let before = std::mem::replace(&mut life.seen, view.seen.clone());
    lost_history_is_refused(play, &before, &view.seen)
}

/// What is applied was in its bucket, and so was what comes before it.
fn frontier_is_true(play: &Play<'_>, seen: &Seen) -> Result<(), Broken> {
    let entries = &play.ledger.entries;
    for (log, position) in seen {
        let slot = *position as u32;
        // Of a log that was rolled back the seals may be others by now.
        let before = play.ledger.lost.contains_key(log)
            || match slot {
                0 => {
                    *position == 0 || {
                        let epoch = (position >> 32) as u32;
                        let mut earlier = entries.range((*log, 0)..(*log, *position));
                        earlier.any(|(_, entry)| entry.next_epoch == Some(epoch))
                    }
                }
                _ => entries.contains_key(&(*log, position - 1)),
            };
        if !before || !entries.contains_key(&(*log, *position)) {
            let key = key_of(&play.members[*log].name, *position);
            let seen = format!("a frontier has {key}, which never was, or nothing before it");
            return Err(("frontier is true", "whatever was applied was in a bucket, without a gap", seen));
        }
    }
    Ok(())
}

/// A causally closed view shows what the history of operations says; in any view what was deleted stays deleted.
fn values_are_those_of_the_history(
    play: &Play<'_>,
    replica: &Replica,
    view: &View,
    known: &mut Truths,
) -> Result<(), Broken> {
    if play.ledger.is_doubtful(&view.seen) {
        return Ok(());
    }
    let is_closed = play.is_closed(view);
    let mut reader = Reader { replica, path: None, values: Vec::new() };
    known.turn_to(&play.history, view);
    for (number, object) in play.history.numbered() {
        if is_closed {
            let Must { truth, last_writes, is_due } = known.of(&play.history, view, (number, object));
            if !is_due {
                continue;
            }
            let read = reader.read(object);
            if !is_true(object, &read, truth) {
                // Of what was lost: who changed it again may have followed the log that was rolled back, and then has not seen what
                // it seems.
                let is_lost = |(log, at)| play.ledger.lost.get(&log).is_some_and(|lost| lost.positions.contains(&at));
                let mut authors = play.history.seen_by_authors(view, object);
                if play.history.changed_at(object).any(is_lost) && authors.any(|seen| play.ledger.is_doubtful(seen)) {
                    continue;
                }
                let (name, view, told) = (replica.name(), &view.seen, play.history.tell(object));
                let seen =
                    format!("{name} reads {object:?} as {read:?}, and it is {truth:?}; its view is {view:x?}{told}");
                return Err(("value oracle", "a causally closed view shows what the history of operations says", seen));
            }
            last_write_is_read(play, replica, object, &read, last_writes)?;
        } else if play.history.deleted_by(view, object).any(|seen| !play.ledger.is_doubtful(seen)) {
            // Who deleted it may have followed a log that was rolled back, too.
            let read = reader.read(object);
            if read != nothing(object.1) {
                let (name, view, told) = (replica.name(), &view.seen, play.history.tell(object));
                let seen = format!("{name} reads {object:?} as {read:?}; its view is {view:x?}{told}");
                return Err(("deleted stays deleted", "what was deleted is not there until it is written again", seen));
            }
        }
    }
    Ok(())
}

/// Where nobody's clock is wrong, the register that reads as its last write reads as that.
fn last_write_is_read(
    play: &Play<'_>,
    replica: &Replica,
    object: &Object,
    read: &Truth,
    last: &BTreeSet<u16>,
) -> Result<(), Broken> {
    let (Sort::Last, Truth::Writes(writes)) = (object.1, read) else { return Ok(()) };
    if !play.clocks_are_right {
        return Ok(());
    }
    if writes.is_subset(last) {
        return Ok(());
    }
    let (name, told) = (replica.name(), play.history.tell(object));
    let seen = format!("{name} reads {object:?} as {writes:?}, and written last was {last:?}{told}");
    Err(("the last write is read", "where all clocks are right, of concurrent writes the last is read", seen))
}

/// Replicas that have applied the same hold the same.
pub(super) fn equal_frontiers_mean_equal_values(play: &mut Play<'_>) -> Result<(), Broken> {
    if !play.there().any(|(log, _)| has_moved(play, log)) {
        return Ok(());
    }
    let live = |(log, _)| play.live(log).map(|(_, replica)| (log, replica));
    let replicas: Vec<(Log, Replica)> = play.there().filter_map(live).collect();
    let has_pending = |replica: &Replica| replica.status().pending_bytes > 0;
    for (number, (log, replica)) in replicas.iter().enumerate() {
        for (other, theirs) in &replicas[number + 1..] {
            if !has_moved(play, *log) && !has_moved(play, *other) {
                continue;
            }
            let seen = |log: &Log| play.members[*log].life.as_ref().map(|life| &life.seen);
            let Some(seen) = seen(log).filter(|both| Some(*both) == seen(other)) else { continue };
            if play.compared.get(&(*log, *other)) == Some(seen) || has_pending(replica) || has_pending(theirs) {
                continue;
            }
            let seen = &seen.clone();
            play.compared.insert((*log, *other), seen.clone());
            play.points.reach("two regions have one frontier");
            // A log that was written twice over under one position is lost history, which is refused later.
            if play.ledger.is_doubtful(seen) {
                continue;
            }
            if let Some(differs) = difference(replica, theirs) {
                let seen = format!("{} and {} at {seen:x?} differ: {differs}", replica.name(), theirs.name());
                return Err((
                    "equal frontiers, equal values",
                    "replicas that have applied the same hold the same",
                    seen,
                ));
            }
        }
    }
    Ok(())
}

/// In what two replicas differ, if in anything.
pub(super) fn difference(ours: &Replica, theirs: &Replica) -> Option<String> {
    let (mine, others): (Vec<_>, Vec<_>) = (ours.scan("").collect(), theirs.scan("").collect());
    if mine != others {
        let only = mine.iter().find(|object| !others.contains(object));
        let only = only.or_else(|| others.iter().find(|object| !mine.contains(object)));
        return Some(format!("{only:?}"));
    }
    let (mine, others): (Vec<_>, Vec<_>) = (ours.conflicts("").collect(), theirs.conflicts("").collect());
    (mine != others).then(|| format!("conflicts: {mine:?} and {others:?}"))
}

/// What waits to be written stays below its limit, nothing is added to a full memory, and requests are not made without end.
fn caps_hold(play: &Play<'_>, log: Log, status: &Status) -> Result<(), Broken> {
    /// A change is made as long as the limit is not passed, so one of them may.
    const ONE_CHANGE: u64 = 9 << 20;
    let limit = play.story.settings.pending_bytes + ONE_CHANGE;
    if status.pending_bytes > limit {
        let seen = format!("{}: {} bytes wait, with a limit of {limit}", status.replica, status.pending_bytes);
        return Err(("caps hold", "what waits for the bucket is bounded", seen));
    }
    if let Some(seen) = &play.over_memory {
        return Err(("caps hold", "nothing is added by a client once the memory limit is reached", seen.clone()));
    }
    let Some(life) = &play.members[log].life else { return Ok(()) };
    // Each log is read some objects ahead and looked over, and one snapshot is read at a time, some parts of it at once.
    let at_once = 12 * (status.logs.len() as u64 + 2) + 16;
    if let Some(link) = life.links.iter().find(|link| link.under_way_max() > at_once) {
        let seen = format!("{} had {} requests under way to one bucket", status.replica, link.under_way_max());
        return Err(("caps hold", "requests under way are bounded", seen));
    }
    let asked: u64 = life.links.iter().map(|link| link.requests().all()).sum();
    let lasted = play.executor.world().now().saturating_sub(life.since).as_secs() + 1;
    let busiest = play.story.settings.poll_min.min(play.story.settings.flush_interval);
    let each_second = 1_000 / (busiest.as_millis() as u64).max(1) + 20;
    let logs = status.logs.len() as u64 + 2;
    let most = 2_000 + lasted * each_second * logs * 8;
    if asked > most {
        let seen = format!("{} has made {asked} requests in {lasted} s, {most} would be many", status.replica);
        return Err(("caps hold", "requests are bounded in each second", seen));
    }
    Ok(())
}

/// What a leaderboard says is what counting everything says.
fn leaderboard_is_a_full_count(life: &Life, replica: &Replica) -> Result<(), Broken> {
    let Some(board) = &life.board else { return Ok(()) };
    let count = |(key, value): (replica::key::ObjectKey, Value)| match value {
        Value::GCounter(count) => Some((key, i128::try_from(count).unwrap_or(i128::MAX))),
        Value::PnCounter(count) => Some((key, count)),
        _ => None,
    };
    let mut all: Vec<_> = replica.scan("").filter_map(count).collect();
    all.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let told: Vec<_> = board.top(usize::MAX).into_iter().map(|ranked| (ranked.key, ranked.value)).collect();
    let sum: i128 = all.iter().map(|(_, value)| *value).sum();
    if told == all && board.sum() == sum && board.len() == all.len() {
        return Ok(());
    }
    let seen = format!("{} ranks {told:?}, and has {all:?}", replica.name());
    Err(("leaderboard", "the index equals a full count", seen))
}

/// What an object reads as; of a register that reads as its last write, that one alone.
pub(super) fn read(replica: &Replica, object: &Object) -> Truth {
    Reader { replica, path: None, values: Vec::new() }.read(object)
}

/// Reads one object after the other, and asks the replica once for each path.
struct Reader<'a> {
    replica: &'a Replica,
    path: Option<&'a str>,
    values: Vec<Value>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, (path, sort): &'a Object) -> Truth {
        if self.path != Some(path) {
            self.values = self.replica.get(path).unwrap_or_default();
            self.path = Some(path);
        }
        shown(&self.values, *sort)
    }
}

/// What a path's values show of one sort.
fn shown(values: &[Value], sort: Sort) -> Truth {
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
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(u16::MAX, |number| u16::from_le_bytes(*number));
    match values.iter().find(|value| is_of_it(value)) {
        Some(Value::GCounter(count)) => Truth::Count(i128::try_from(*count).unwrap_or(i128::MAX)),
        Some(Value::PnCounter(count)) => Truth::Count(*count),
        Some(Value::LwwRegister(write)) => Truth::Writes(write.iter().map(|bytes| number(bytes)).collect()),
        Some(Value::MvRegister(writes)) => Truth::Writes(writes.iter().map(|bytes| number(bytes)).collect()),
        Some(Value::OrSet(elements)) => Truth::Elements(elements.iter().map(|bytes| number(bytes)).collect()),
        None => nothing(sort),
    }
}

const fn nothing(sort: Sort) -> Truth {
    match sort {
        Sort::Grows | Sort::Counter => Truth::Count(0),
        Sort::Set => Truth::Elements(BTreeSet::new()),
        Sort::Last | Sort::Every => Truth::Writes(BTreeSet::new()),
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
