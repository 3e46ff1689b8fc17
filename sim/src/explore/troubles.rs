//! All histories of up to two troubles: crashes at every await, and every fate of every request.
//! Layer 5.
//!
//! A scenario is a [`Template`] without chance, and says which processes are watched in which span of time: the phase.
//! A trouble is a crash of a watched process after any of its polls in the phase, with what is on its way arriving or
//! vanishing, or a request of its own in the phase that meets any fault it can meet. Who has crashed is opened again
//! when the phase is over. Then the second trouble comes: to the process that recovers, until it gets quiet, to
//! another watched process in the phase, or to the same process later in the phase.
//!
//! How many polls and requests there are is not asked but tried: the trouble after `n` of them is played for each `n`,
//! until one comes too late to come at all. So a run that a first trouble has made longer is explored to its own end.

use std::time::Duration;

use super::Explored;
use crate::{
    play::Outcome,
    ports::{Fault, Party, Request, Told, What},
    story::{Act, Step, Story},
};

/// A scenario that nothing disturbs.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// What happens; it gets quiet at `until`.
    pub(super) story: Story,
    /// The processes to which something happens.
    pub(super) watched: Vec<Watched>,
    /// The end of the phase, when who has crashed is opened again.
    pub(super) until: Duration,
    /// How long a recovery is watched.
    pub(super) recovery: Duration,
}

/// A process to which something happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    /// Whose newest process.
    pub(super) log: usize,
    /// From before which step of the template on.
    pub(super) step: usize,
    /// When that is.
    pub(super) from: Duration,
    /// Whether it is opened again: not where another process has taken its place.
    pub(super) reopens: bool,
}

/// A first trouble, behind which others come.
#[derive(Clone, Debug)]
pub(super) struct Root(Met);

/// A trouble that came.
#[derive(Clone, Copy, Debug)]
struct Met {
    trouble: Trouble,
    /// When its request was made, if it is a fate.
    at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Trouble {
    place: Place,
    what: Hit,
}

/// From where on it is waited for.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the phase: which of the watched.
    Phase(usize),
    /// In the phase, from just before this time on.
    Later(usize, Duration),
    /// In its recovery.
    Recovery(usize),
}

#[derive(Clone, Copy, Debug)]
enum Hit {
    Crash { polls: u64, lands: bool },
    Fate { slot: usize, fault: Fault, skip: u64 },
}

/// The sorts of requests, as they are made most.
const REQUESTS: [Request; 6] =
    [Request::Create, Request::Get, Request::Range, Request::List, Request::Folders, Request::Delete];

/// A story with troubles, and by which process each of them is met.
struct Troubled {
    story: Story,
    met_by: Vec<Party>,
}

impl Template {
    /// Plays the template, and every history of one trouble, which is the root of others.
    pub(super) fn single(&self, explored: &mut Explored) -> Vec<Root> {
        let outcome = explored.play(&self.story);
        explored.note(0, &outcome);
        let mut roots = Vec::new();
        for watched in 0..self.watched.len() {
            let place = Place::Phase(watched);
            self.crashes(&[], place, explored, &mut roots);
            self.fates(&[], place, 0, explored, &mut roots);
        }
        roots.into_iter().map(Root).collect()
    }

    /// Plays every history in which another trouble comes behind this one.
    pub(super) fn behind(&self, Root(first): &Root, explored: &mut Explored) {
        let Trouble { place: Place::Phase(watched), what } = first.trouble else { return };
        let (base, seconds) = ([*first], &mut Vec::new());
        match what {
            Hit::Crash { .. } if self.watched[watched].reopens => {
                self.crashes(&base, Place::Recovery(watched), explored, seconds);
                self.fates(&base, Place::Recovery(watched), 0, explored, seconds);
            }
            Hit::Crash { .. } => {}
            Hit::Fate { slot, .. } => {
                self.crashes(&base, Place::Later(watched, first.at), explored, seconds);
                self.fates(&base, Place::Phase(watched), slot, explored, seconds);
            }
        }
        for other in watched + 1..self.watched.len() {
            self.crashes(&base, Place::Phase(other), explored, seconds);
            self.fates(&base, Place::Phase(other), 0, explored, seconds);
        }
    }

    /// Plays a crash at each await.
    fn crashes(&self, before: &[Met], place: Place, explored: &mut Explored, met: &mut Vec<Met>) {
        // Before its first poll behind a request that request was not made.
        let first = if matches!(place, Place::Later(..)) { 1 } else { 0 };
        for polls in first.. {
            for lands in [true, false] {
                let trouble = Trouble { place, what: Hit::Crash { polls, lands } };
                let (troubled, outcome) = self.play(before, trouble, explored);
                if explored.is_over() {
                    return;
                }
                let crashed = troubled.met_by[before.len()];
                let is_gone = |told: &&Told| told.by == crashed && told.what == What::Gone;
                let gone = outcome.told.iter().find(is_gone).map(|told| told.at);
                if gone.is_none_or(|at| at >= self.end(place)) {
                    return;
                }
                if self.are_met(before, &troubled, &outcome) {
                    explored.note(before.len() + 1, &outcome);
                    met.push(Met { trouble, at: Duration::ZERO });
                }
                let is_left = |told: &Told| told.by == crashed && matches!(told.what, What::Alone { .. });
                if !outcome.told.iter().any(is_left) {
                    break;
                }
            }
        }
    }

    /// Plays every fate of each request, of the sorts from `slot` on.
    fn fates(&self, before: &[Met], place: Place, slot: usize, explored: &mut Explored, met: &mut Vec<Met>) {
        for slot in slot..self.story.regions * REQUESTS.len() {
            let (_, request) = self.slot(slot);
            // Each request can fail, so that tells whether there is one.
            let can_meet = |fault: &Fault| *fault != Fault::Failed && fault.is_met_by(request);
            let others: Vec<Fault> = Fault::ALL.into_iter().filter(can_meet).collect();
            for skip in 0.. {
                if !self.fate(before, place, Hit::Fate { slot, fault: Fault::Failed, skip }, explored, met) {
                    break;
                }
                for fault in others.iter().copied() {
                    self.fate(before, place, Hit::Fate { slot, fault, skip }, explored, met);
                    if explored.is_over() {
                        return;
                    }
                }
            }
            if explored.is_over() {
                return;
            }
        }
    }

    /// Plays one fate. Returns whether a request met it.
    fn fate(&self, before: &[Met], place: Place, what: Hit, explored: &mut Explored, met: &mut Vec<Met>) -> bool {
        let trouble = Trouble { place, what };
        let (troubled, outcome) = self.play(before, trouble, explored);
        let mut all = before.to_vec();
        all.push(Met { trouble, at: Duration::ZERO });
        let Some(at) = self.met_at(&all, &troubled, &outcome) else { return false };
        if self.are_met(before, &troubled, &outcome) {
            explored.note(all.len(), &outcome);
            met.push(Met { trouble, at });
        }
        true
    }

    fn play(&self, before: &[Met], trouble: Trouble, explored: &mut Explored) -> (Troubled, Outcome) {
        let troubles: Vec<Trouble> = before.iter().map(|met| met.trouble).chain([trouble]).collect();
        let troubled = self.with(&troubles);
        let outcome = explored.play(&troubled.story);
        (troubled, outcome)
    }

    /// True when each of these fates was met, as if nothing had come behind it.
    fn are_met(&self, before: &[Met], troubled: &Troubled, outcome: &Outcome) -> bool {
        (1..=before.len()).all(|count| match before[count - 1].trouble.what {
            Hit::Fate { .. } => self.met_at(&before[..count], troubled, outcome).is_some(),
            Hit::Crash { .. } => true,
        })
    }

    /// When the last of these fates was met: those before it may be of the same sort.
    fn met_at(&self, fates: &[Met], troubled: &Troubled, outcome: &Outcome) -> Option<Duration> {
        let of = |index: usize| match fates[index].trouble.what {
            Hit::Fate { slot, fault, .. } => Some((troubled.met_by[index], slot, fault)),
            Hit::Crash { .. } => None,
        };
        let last = fates.len() - 1;
        let (by, slot, met) = of(last)?;
        let (of_bucket, of_request) = self.slot(slot);
        let same = (0..last).filter(|index| of(*index) == of(last)).count();
        let end = self.end(fates[last].trouble.place);
        let is_it = |told: &&Told| {
            told.by == by
                && told.at < end
                && matches!(told.what, What::Asked { bucket, request, fault: Some(fault), .. }
                    if (bucket, request, fault) == (of_bucket, of_request, met))
        };
        outcome.told.iter().filter(is_it).nth(same).map(|told| told.at)
    }

    /// Until when a trouble can come.
    fn end(&self, place: Place) -> Duration {
        match place {
            Place::Phase(_) | Place::Later(..) => self.until,
            Place::Recovery(_) => self.until + self.recovery,
        }
    }

    /// A bucket, and what is asked of it.
    const fn slot(&self, slot: usize) -> (usize, Request) {
        (slot / REQUESTS.len(), REQUESTS[slot % REQUESTS.len()])
    }

    /// The story with these troubles in it.
    fn with(&self, troubles: &[Trouble]) -> Troubled {
        let mut story = self.story.clone();
        let mut inserted: Vec<(usize, Vec<Step>)> = Vec::new();
        let (mut behind, mut reopened) = (Vec::new(), Vec::new());
        for trouble in troubles {
            let (watched, place, at) = match trouble.place {
                Place::Recovery(watched) => {
                    behind.extend(self.acts(trouble.what).map(|act| self.step(watched, self.until, act)));
                    continue;
                }
                Place::Later(watched, at) if at > self.watched[watched].from => {
                    let at = at - Duration::from_nanos(1);
                    (
                        watched,
                        self.story.steps.partition_point(|step| step.at <= at).max(self.watched[watched].step),
                        at,
                    )
                }
                Place::Phase(watched) | Place::Later(watched, _) => {
                    (watched, self.watched[watched].step, self.watched[watched].from)
                }
            };
            inserted.push((place, self.acts(trouble.what).map(|act| self.step(watched, at, act)).collect()));
            if matches!(trouble.what, Hit::Crash { .. }) && self.watched[watched].reopens {
                reopened.push(watched);
            }
        }
        let met_by = troubles.iter().map(|trouble| self.met_by(trouble.place, &reopened)).collect();
        inserted.sort_by_key(|(place, _)| *place);
        for (place, steps) in inserted.into_iter().rev() {
            story.steps.splice(place..place, steps);
        }
        story.steps.extend(reopened.iter().map(|watched| self.step(*watched, self.until, Act::Open)));
        story.steps.extend(behind);
        if !reopened.is_empty() {
            story.quiet_from = self.until + self.recovery;
        }
        Troubled { story, met_by }
    }

    fn step(&self, watched: usize, at: Duration, act: Act) -> Step {
        Step { at, region: self.watched[watched].log, act }
    }

    fn acts(&self, what: Hit) -> impl Iterator<Item = Act> + use<> {
        let (first, second) = match what {
            Hit::Crash { polls, lands } => (Some(Act::Alone { lands }), Act::CrashAfter(polls)),
            Hit::Fate { slot, fault, skip } => {
                let (bucket, request) = self.slot(slot);
                (None, Act::Meet { bucket, request, fault, skip, older: 0 })
            }
        };
        first.into_iter().chain([second])
    }

    /// The process to which something happens: each that is opened has the next number.
    fn met_by(&self, place: Place, reopened: &[usize]) -> Party {
        let opens = |steps: &[Step]| steps.iter().filter(|step| step.act == Act::Open).count();
        let (watched, process) = match place {
            Place::Phase(watched) | Place::Later(watched, _) => {
                let steps = &self.story.steps[..self.watched[watched].step];
                let of_it = |step: &Step| step.region == self.watched[watched].log && step.act == Act::Open;
                let last = steps.iter().rposition(of_it);
                (
                    watched,
                    last.map_or(self.watched[watched].log + 1, |last| self.story.regions + opens(&steps[..=last])),
                )
            }
            Place::Recovery(watched) => {
                let behind = reopened.iter().position(|other| *other == watched).unwrap_or(0);
                (watched, self.story.regions + opens(&self.story.steps) + behind + 1)
            }
        };
        Party { region: self.watched[watched].log, process: u32::try_from(process).unwrap_or(u32::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::phases, *};
    use crate::play::{play, play_aloud};

    fn singles(template: &Template) -> Vec<Met> {
        let mut explored = Explored::default();
        let roots = template.single(&mut explored);
        assert!(!explored.is_over(), "{:?}", explored.failure);
        assert_eq!(explored.count(), roots.len() as u64 + 1);
        roots.into_iter().map(|Root(met)| met).collect()
    }

    #[test]
    fn a_process_crashes_after_each_of_its_polls() {
        let template = phases::flush();
        let met = singles(&template);
        for watched in 0..template.watched.len() {
            let is_crashed = |polls: u64| {
                let trouble = Trouble { place: Place::Phase(watched), what: Hit::Crash { polls, lands: true } };
                let Troubled { story, met_by } = template.with(&[trouble]);
                let is_gone = |told: &Told| told.by == met_by[0] && told.what == What::Gone && told.at < template.until;
                play(&story).told.iter().any(is_gone)
            };
            // From above, so that no gap can end the search.
            let last = (0..200).rev().find(|polls| is_crashed(*polls));
            let mut polls: Vec<u64> = met
                .iter()
                .filter_map(|met| match (met.trouble.place, met.trouble.what) {
                    (Place::Phase(of), Hit::Crash { polls, .. }) if of == watched => Some(polls),
                    _ => None,
                })
                .collect();
            polls.dedup();
            assert!(last.is_some_and(|last| (3..199).contains(&last)), "{last:?}");
            assert_eq!(polls, (0..=last.unwrap_or(0)).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn each_request_meets_each_fault_that_it_can_meet() {
        let template = phases::flush();
        let met = singles(&template);
        let told = play_aloud(&template.story).told;
        for watched in 0..template.watched.len() {
            let Troubled { met_by, .. } =
                template.with(&[Trouble { place: Place::Phase(watched), what: Hit::Crash { polls: 0, lands: true } }]);
            let (from, until) = (template.watched[watched].from, template.until);
            let can_meet = |told: &Told| match told.what {
                What::Asked { request, .. } if told.by == met_by[0] && told.at >= from && told.at < until => {
                    Fault::ALL.into_iter().filter(|fault| fault.is_met_by(request)).count()
                }
                _ => 0,
            };
            let expected: usize = told.iter().map(can_meet).sum();
            let is_fate = |met: &&Met| {
                let Trouble { place, what } = met.trouble;
                matches!(place, Place::Phase(of) if of == watched) && matches!(what, Hit::Fate { .. })
            };
            assert!(expected > 0);
            assert_eq!(met.iter().filter(is_fate).count(), expected);
        }
    }
}
