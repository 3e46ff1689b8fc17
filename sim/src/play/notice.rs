//! What has happened in the buckets since they were looked at last: into the ledger, held against the rules, counted.
//! Layer 4.

use replica::{ErrorKind, Status};

use crate::{
    history::{Log, Seen},
    ports::{Effect, Fault, Happened, Moment},
};

use super::{
    Broken, Play,
    checks::buckets,
    ledger::{Place, Sealed},
    life::lock,
};

impl Play<'_> {
    /// Takes note of all that has happened in the buckets.
    pub(super) fn take_note(&mut self) -> Result<(), Broken> {
        let mut named = Vec::new();
        let homes = self.stores.iter().enumerate();
        let mut all: Vec<(usize, Happened)> =
            homes.flat_map(|(home, store)| store.take_happened().into_iter().map(move |it| (home, it))).collect();
        all.sort_by_key(|(_, happened)| happened.at);
        for (home, happened) in &all {
            let place = self.ledger.place(&happened.key);
            self.count(*home, place, happened);
            self.note(*home, place, happened, &mut named)?;
        }
        named.iter().try_for_each(|(key, seen)| buckets::manifest_names_what_was(&self.ledger, key, seen))
    }

    fn note(
        &mut self,
        home: usize,
        place: Place,
        happened: &Happened,
        named: &mut Vec<(String, Seen)>,
    ) -> Result<(), Broken> {
        let Happened { key, what, .. } = happened;
        match (place, what) {
            (Place::Log(log, position), Effect::Created(body)) => {
                let Some(entry) = self.ledger.entry(key, body, home) else { return Ok(()) };
                let is_there_before = self.ledger.entries.contains_key(&(log, position));
                let is_same = self.stores[home].created(key).is_none_or(|first| first == *body);
                if is_there_before {
                    self.points.reach(if is_same { "a create lands again" } else { "a slot holds another object" });
                    buckets::one_content_for_ever(&self.ledger, log, key, &entry, is_same)?;
                }
                buckets::acknowledged_is_in_the_older_snapshot(&self.ledger, log, key, &entry)?;
                // What was there before may land once more: that is no other history.
                let is_other = !(is_same && is_there_before);
                let sealed = entry.next_epoch.map(|names| Sealed { at: position, names: names.into() });
                match self.ledger.lost.get_mut(&log) {
                    Some(lost) if is_other && lost.positions.last().is_some_and(|last| position <= *last) => {
                        lost.is_forked = true;
                        if sealed.is_some_and(|sealed| lost.forks.insert(sealed)) {
                            self.points.reach("a rolled back log is taken over");
                        }
                    }
                    _ => self.ledger.seals.entry(log).or_default().extend(sealed),
                }
                if entry.is_segment {
                    self.history.publish(log, position);
                }
                if !is_same && is_there_before {
                    self.ledger.rewritten.insert((log, position));
                }
                self.ledger.entries.insert((log, position), entry);
            }
            (Place::Manifest(log, position), Effect::Created(body)) => {
                let Some(snapshot) = self.ledger.snapshot(key, body) else { return Ok(()) };
                buckets::manifest_comes_last(&self.ledger, log, position, key, &snapshot)?;
                named.push((key.clone(), snapshot.seen.clone()));
                self.ledger.snapshots.insert((log, position), snapshot);
            }
            (Place::Part(log), Effect::Created(_)) => {
                self.ledger.parts.insert((log, key.clone()));
            }
            (Place::Log(log, position), Effect::Deleted) => {
                if let Some(entry) = self.ledger.entries.get_mut(&(log, position)) {
                    entry.is_there = false;
                }
                buckets::nothing_needed_is_collected(self, log, position, home, happened)?;
                let deleted = self.ledger.deleted.entry(log).or_default();
                *deleted = position.max(*deleted);
            }
            (Place::Manifest(log, position), Effect::Deleted) => {
                if let Some(snapshot) = self.ledger.snapshots.get_mut(&(log, position)) {
                    snapshot.is_there = false;
                }
                buckets::two_snapshots_stay(&self.ledger, log, key)?;
            }
            (Place::Part(log), Effect::Deleted) => {
                self.ledger.parts.remove(&(log, key.clone()));
                buckets::named_parts_stay(&self.ledger, log, key)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts the points that show in a request.
    fn count(&mut self, home: usize, place: Place, happened: &Happened) {
        let Happened { at, link, what, fault, alone, moment, .. } = happened;
        let Some(moment) = moment else { return };
        let log = match place {
            Place::Log(log, _) | Place::Manifest(log, _) | Place::Part(log) => log,
            Place::Other => return,
        };
        let is_current = self.is_current(log, home, *link);
        let points = &mut self.points;
        let late = *fault == Some(Fault::Late);
        match (what, moment, fault) {
            (Effect::Created(_), Moment::Segment, Some(Fault::OwnExists)) => {
                points.reach("own segment answered Exists");
            }
            (Effect::Created(_), Moment::Seal, Some(Fault::OwnExists)) => points.reach("own seal answered Exists"),
            (Effect::Created(_), Moment::Manifest, Some(Fault::OwnExists)) => {
                points.reach("own manifest answered Exists");
            }
            (Effect::Created(_), Moment::Segment, Some(Fault::AnswerLost)) => {
                points.reach("a segment's answer is lost");
            }
            (Effect::Created(_), Moment::Seal, Some(Fault::AnswerLost)) => points.reach("a seal's answer is lost"),
            (Effect::Created(_), Moment::Manifest, Some(Fault::AnswerLost)) => {
                points.reach("a manifest's answer is lost");
            }
            (Effect::Nothing, Moment::Segment, Some(Fault::Conflict)) => points.reach("a conflict on a segment"),
            (Effect::Nothing, Moment::Seal, Some(Fault::Conflict)) => points.reach("a conflict on a seal"),
            (Effect::Nothing, Moment::Seal, Some(Fault::Unsure)) => points.reach("a seal fails without a word"),
            (Effect::Nothing, Moment::Segment, Some(Fault::Throttled)) => points.reach("a segment is throttled"),
            (Effect::Nothing, Moment::Manifest, Some(Fault::Refused)) => points.reach("a manifest is refused"),
            (Effect::NotThere, Moment::DropSegment, _) => points.reach("a segment is deleted twice"),
            (Effect::Deleted, _, Some(Fault::AnswerLost)) => points.reach("a deletion's answer is lost"),
            _ => {}
        }
        match (what, moment) {
            (Effect::Created(_), Moment::Segment) if *alone => points.reach("a segment lands without its process"),
            (Effect::Created(_), Moment::Seal) if *alone => points.reach("a seal lands without its process"),
            (Effect::Created(_), Moment::Manifest) if *alone => points.reach("a manifest lands without its process"),
            (Effect::Deleted, _) if *alone => points.reach("a deletion lands without its process"),
            _ => {}
        }
        match (what, moment) {
            (Effect::Created(_), Moment::Segment) if !is_current => points.reach("a zombie's segment lands"),
            (Effect::Created(_), Moment::Seal) if late => points.reach("a late seal lands"),
            (Effect::Exists { same: false }, Moment::Seal) if late => points.reach("a late seal meets another object"),
            (Effect::Exists { same: false }, Moment::Segment) if !is_current => {
                points.reach("a zombie's create meets a seal");
            }
            (Effect::Exists { same: false }, Moment::Seal) => points.reach("a seal meets another object"),
            (Effect::Exists { same: true }, Moment::Segment) => points.reach("a segment is created twice"),
            (Effect::Exists { same: true }, Moment::Manifest) => points.reach("a manifest is created twice"),
            (Effect::Deleted, Moment::DropSegment) if !is_current => points.reach("a zombie collects"),
            _ => {}
        }
        if matches!(what, Effect::Deleted) && *moment == Moment::DropSegment {
            let now = std::time::Duration::from_nanos(*at);
            if let Some((before, since)) = self.collected.insert(log, (*link, now))
                && before != *link
                && now.saturating_sub(since) < std::time::Duration::from_secs(10)
            {
                self.points.reach("two processes collect one log");
            }
            if self.cuts.iter().any(|(member, until)| *member != log && *until > now) {
                self.points.reach("a collection while a peer is cut off");
            }
            let opens = |(other, member): (Log, &super::life::Member)| {
                other != log && member.life.as_ref().is_some_and(|life| lock(&life.given).replica.is_none())
            };
            if self.there().any(opens) {
                self.points.reach("a collection while a peer is opening");
            }
        }
    }

    /// Counts the points that show in what a replica says of itself.
    pub(crate) fn count_status(&mut self, log: Log, status: &Status) {
        let points = &mut self.points;
        if status.is_behind {
            points.reach("a replica is behind what it had published");
        }
        if status.early_removals > 0 {
            points.reach("a removal waits for its add");
        }
        for (place, kind, says) in &status.alarms {
            match kind {
                ErrorKind::LostHistory if place.starts_with("log ") => {
                    let is_lost = self.members.iter().enumerate().any(|(of, member)| {
                        self.ledger.lost.contains_key(&of) && place.ends_with(member.name.as_str())
                    });
                    points.reach(if is_lost { "a reader notices a rollback" } else { "a list makes a log look lost" });
                }
                ErrorKind::Unsupported => points.reach("a reader stops at a later version"),
                ErrorKind::Corrupt if place.starts_with("log ") => points.reach("a reader stops at a damaged object"),
                ErrorKind::Store if place == "bootstrap" => points.reach("a new replica serves before it has read all"),
                ErrorKind::Store if says.contains("no snapshot in reach") => {
                    points.reach("no snapshot covers what was collected");
                }
                _ => {}
            }
        }
        let applied =
            status.logs.iter().any(|other| other.lag.is_some_and(|lag| lag > std::time::Duration::from_secs(60)));
        if applied {
            points.reach("a replica lags by more than a minute");
        }
        let ended = self.members[log].life.as_ref().and_then(|life| lock(&life.given).ended.clone());
        let ends = ended.and_then(|(kind, _)| match kind {
            ErrorKind::Fenced => Some("a process is fenced"),
            ErrorKind::Evicted => Some("an evicted replica is told"),
            ErrorKind::LostHistory => Some("a running replica finds its history lost"),
            ErrorKind::Closed => Some("a replica is closed"),
            _ => None,
        });
        ends.into_iter().for_each(|ends| points.reach(ends));
    }

    /// True when a link is that of the process to which the log belongs now.
    fn is_current(&self, log: Log, home: usize, link: u32) -> bool {
        self.members[log].life.as_ref().is_some_and(|life| life.links[home].number() == link)
    }
}
