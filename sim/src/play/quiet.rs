//! The end of a story: faults and outages end, operators do what they must, and all must come to rest.
//! Layer 4.

use std::time::Duration;

use replica::ErrorKind;

use crate::{history::Log, ports::What};

use super::{
    Broken, Play,
    act::step_of,
    checks::{self, end},
    life::{Eviction, lock},
};

/// How long it may take at least from when it gets quiet until all are in step and nothing superfluous is left.
const QUIET: Duration = Duration::from_secs(600);

impl Play<'_> {
    /// The longest of the intervals by which things happen, together.
    pub(super) fn round(&self) -> Duration {
        let settings = &self.story.settings;
        let max_lag = settings.max_lag.min(settings.retention * 2);
        settings.poll_max
            + settings.discovery_interval
            + settings.catch_up
            + settings.snapshot_interval
            + settings.ack_interval
            + settings.retention
            + max_lag
    }

    /// No more faults, and everybody is there.
    pub(super) fn calm(&mut self) {
        self.is_quiet = true;
        for log in 0..self.members.len() {
            self.take_relied_on(log);
            let member = &mut self.members[log];
            for life in member.zombies.drain(..).chain(member.life.take()) {
                super::count_faults(&mut self.met, &life.links);
                self.executor.crash(life.place);
                self.journal.tell(self.executor.world().now(), life.party(), What::Gone);
            }
        }
        for observer in self.observers.drain(..) {
            super::count_faults(&mut self.met, &observer.links);
            self.executor.crash(observer.place);
        }
        for (home, key) in std::mem::take(&mut self.planted) {
            self.stores[home].clear(|other| *other == *key);
        }
        self.mend();
        self.stores.iter().for_each(crate::ports::SimBucket::back);
        // A token that nobody waits for any more is waited for anew.
        self.couriers.iter_mut().for_each(|courier| courier.is_under_way = !courier.is_away());
        // What was under way lands, late as it may be.
        let late = self.story.faults.late_max + Duration::from_secs(10);
        self.executor.pass(late);
        let there: Vec<Log> = self.there().map(|(log, _)| log).collect();
        there.into_iter().for_each(|log| self.open(log, false));
    }

    /// Lets time pass until all are in step and nothing superfluous is left, and fails when that is not so in time.
    pub(super) fn settle(&mut self) -> Result<(), Broken> {
        let within = QUIET.max(self.round() * 10);
        let pause = step_of(self.round());
        let began = self.executor.world().now();
        // Operators begin when their replicas are there.
        let mut operators = began;
        loop {
            let now = self.executor.world().now();
            self.pass_until(now + pause)?;
            self.look()?;
            if operators == began || now >= operators + pause * 8 {
                operators = now;
                self.replace_lost();
                self.evict_again();
            }
            match end::is_settled(self).and_then(|()| end::nothing_relied_on_is_lost(self)) {
                Ok(()) => break,
                Err(broken) if now - began > within => {
                    return if self.is_split() { Ok(()) } else { Err(broken) };
                }
                Err(_) => {}
            }
        }
        checks::end::all(self)
    }

    /// Replicas that have lost their history are evicted, and others opened in their stead, as the message says.
    fn replace_lost(&mut self) {
        let logs: Vec<Log> = self.ledger.lost.keys().copied().collect();
        for log in logs {
            if !self.members[log].counts() || !self.is_lost(log) {
                continue;
            }
            let regions = self.story.regions;
            let others = |other: &Log| *other != log && self.members[*other].counts() && self.live(*other).is_some();
            let Some(by) = (0..self.members.len()).find(others) else { continue };
            let free =
                (log % regions..self.members.len()).step_by(regions).find(|other| !self.members[*other].is_there);
            let Some(free) = free else { continue };
            self.points.reach("a replica that lost its history is replaced");
            if let Some(life) = self.members[log].life.take() {
                super::count_faults(&mut self.met, &life.links);
                self.executor.crash(life.place);
            }
            let name = self.members[log].name.clone();
            // What is left of its log is not the log that was read: whoever names its end is believed where there is none.
            let is_its = |key: &str| key.split('/').nth(2) == Some(name.as_str());
            self.stores[log % regions].clear(is_its);
            self.members[log].evicted = Some(Eviction::new(by));
            for member in &mut self.members {
                if let Some(eviction) = member.evicted.as_mut().filter(|eviction| eviction.by == log) {
                    *eviction = Eviction::new(by);
                }
            }
            self.open(free, false);
        }
    }

    /// True when a replica says that its own history is lost, or a reader of its log does.
    fn is_lost(&self, log: Log) -> bool {
        let member = &self.members[log];
        let ended = member.life.as_ref().and_then(|life| lock(&life.given).ended.clone());
        if ended.is_some_and(|(kind, _)| kind == ErrorKind::LostHistory) {
            return true;
        }
        let place = format!("log {}", member.name);
        let tells = |(reader, _): (Log, _)| {
            let Some((_, replica)) = self.live(reader) else { return false };
            let status = replica.status();
            status.alarms.iter().any(|(at, kind, _)| *at == place && *kind == ErrorKind::LostHistory)
        };
        self.there().filter(|(reader, _)| *reader != log).any(tells)
    }

    /// True when a log was taken over after it had been rolled back, and somebody says that its history is lost: what was read of
    /// a log that went on otherwise is refused for ever.
    pub(super) fn is_split(&mut self) -> bool {
        let is_forked = self.ledger.lost.values().any(|lost| lost.is_forked);
        let says = |(log, _): (Log, _)| {
            let Some((_, replica)) = self.live(log) else { return false };
            replica
                .status()
                .alarms
                .iter()
                .any(|(_, kind, says)| *kind == ErrorKind::LostHistory || says.contains("no snapshot in reach"))
        };
        let is_split = is_forked && self.there().any(says);
        if is_split {
            self.points.reach("two histories of one log refuse each other");
        }
        is_split
    }
}
