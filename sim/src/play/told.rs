//! Telling a run while it is played. It is the same run, event by event.
//! Layer 4.

use std::time::Duration;

use super::{
    Play,
    life::{Life, lock},
};
use crate::{
    history::Seen,
    machine::Region,
    ports::{Party, What},
};

/// How often it is looked how far everybody has got, when everything is told.
const OFTEN: Duration = Duration::from_millis(5);

/// How far a process has got, as far as it was told.
#[derive(Debug, Default)]
pub(super) struct Progress {
    is_open: bool,
    has_ended: bool,
    seen: Seen,
}

impl Life {
    pub(super) const fn party(&self) -> Party {
        Party { region: self.log, process: self.process }
    }
}

impl Play<'_> {
    /// How long may pass before somebody looks.
    pub(super) fn until_next_look(&self, time: Duration) -> Duration {
        if self.journal.has_all() { time.min(OFTEN) } else { time }
    }

    pub(super) fn tell_step(&self, index: usize) {
        if self.journal.has_all() {
            let region = self.story.steps[index].region;
            let process = self.members[region].life.as_ref().map_or(0, |life| life.process);
            self.journal.tell(self.executor.world().now(), Party { region, process }, What::Step(index));
        }
    }

    /// The process in this place is about to be forgotten.
    pub(super) fn tell_gone(&self, place: Region) {
        let lives = self.members.iter().flat_map(|member| member.life.iter().chain(&member.zombies));
        for life in lives.filter(|life| life.place == place) {
            self.journal.tell(self.executor.world().now(), life.party(), What::Gone);
        }
    }

    pub(super) fn tell_progress(&mut self) {
        if !self.journal.has_all() {
            return;
        }
        let mut told = Vec::new();
        for life in self.members.iter().flat_map(|member| member.life.iter().chain(&member.zombies)) {
            let progress = self.progress.entry(life.process).or_default();
            let given = lock(&life.given);
            if let Some(replica) = &given.replica {
                if !progress.is_open {
                    progress.is_open = true;
                    told.push((life.party(), What::Open));
                }
                let token = replica.token();
                for dot in token.frontier().iter() {
                    let Some(log) = self.ledger.ids.get(&dot.replica) else { continue };
                    let position = u64::from(dot.position);
                    if progress.seen.insert(*log, position) != Some(position) {
                        told.push((life.party(), What::Applied { log: *log, position }));
                    }
                }
            }
            if let Some((kind, says)) = given.ended.as_ref().filter(|_| !progress.has_ended) {
                progress.has_ended = true;
                told.push((life.party(), What::Ended(format!("{kind:?}: {says}"))));
            }
        }
        let now = self.executor.world().now();
        told.into_iter().for_each(|(by, what)| self.journal.tell(now, by, what));
    }
}
