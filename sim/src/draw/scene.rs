//! What of a run is drawn: who was there when, what got into buckets, who applied it, what went wrong.
//! Layer 5.

use std::{collections::BTreeMap, time::Duration};

use replica::log::{LogObject, decode};

use crate::{
    play::Outcome,
    ports::{Told, What},
    story::{Act, Story},
};

/// How long what follows the quiet is shown, and what comes before the end, when much happens there.
const AFTER_QUIET: Duration = Duration::from_secs(6);
const BEFORE_END: Duration = Duration::from_secs(3);

/// A process.
pub(super) struct Life {
    pub(super) region: usize,
    process: u32,
    pub(super) from: Duration,
    pub(super) open: Option<Duration>,
    pub(super) until: Duration,
    /// How many processes had been in the region that still ran when this one started, for older ones; 0 for the newest.
    pub(super) depth: usize,
}

/// A time at which a region cannot reach a bucket.
pub(super) struct Cut {
    pub(super) region: usize,
    pub(super) bucket: usize,
    pub(super) from: Duration,
    pub(super) until: Duration,
}

/// A segment on its way to a reader.
pub(super) struct Arrow {
    pub(super) author: usize,
    pub(super) reader: usize,
    pub(super) sent: Duration,
    pub(super) applied: Duration,
    pub(super) is_empty: bool,
}

/// Something at one place and time.
pub(super) struct Mark {
    pub(super) region: usize,
    pub(super) at: Duration,
    pub(super) depth: usize,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Segment { is_empty: bool },
    Seal,
    Snapshot,
    Open,
    Gone,
    Ended(String),
    Step { number: usize, is_fault: bool },
    Fault(String),
}

/// All that is drawn.
pub(super) struct Scene {
    pub(super) lives: Vec<Life>,
    pub(super) cuts: Vec<Cut>,
    pub(super) arrows: Vec<Arrow>,
    pub(super) marks: Vec<Mark>,
    /// When, of which class, what it says.
    pub(super) moments: Vec<(Duration, &'static str, String)>,
}

impl Scene {
    pub(super) fn of(story: &Story, outcome: &Outcome) -> Self {
        let end = outcome.failure.as_ref().map_or(outcome.lasted, |failure| failure.at);
        let quiet = story.steps.last().map_or(story.quiet_from, |last| last.at.max(story.quiet_from));
        let told: Vec<&Told> = outcome.told.iter().filter(|told| told.at <= end).collect();
        let mut scene =
            Self { lives: Vec::new(), cuts: Vec::new(), arrows: Vec::new(), marks: Vec::new(), moments: Vec::new() };
        scene.lives(&told, end);
        scene.segments(&told);
        scene.others(story, &told);
        let cut = |region: usize, at: Duration, bucket: usize, lasts: Duration| Cut {
            region,
            bucket,
            from: at,
            until: (at + lasts).min(end).min(quiet),
        };
        scene.cuts = story
            .steps
            .iter()
            .filter(|step| step.at <= end)
            .filter_map(|step| match step.act {
                Act::Cut { from, lasts } => Some(cut(step.region, step.at, from, lasts)),
                _ => None,
            })
            .collect();
        if quiet < end {
            scene.moments.push((quiet, "quiet", "it gets quiet".to_owned()));
        }
        if let Some(failure) = &outcome.failure {
            scene.moments.push((failure.at, "fail", format!("FAILED: {}", failure.check)));
        }
        scene.leave_out((quiet + AFTER_QUIET)..end.saturating_sub(BEFORE_END).max(quiet + AFTER_QUIET));
        scene
    }

    /// Every time that must have its place.
    pub(super) fn times(&self) -> Vec<Duration> {
        let lives = self.lives.iter().flat_map(|life| [Some(life.from), life.open, Some(life.until)]).flatten();
        let cuts = self.cuts.iter().flat_map(|cut| [cut.from, cut.until]);
        let arrows = self.arrows.iter().flat_map(|arrow| [arrow.sent, arrow.applied]);
        let marks = self.marks.iter().map(|mark| mark.at);
        let moments = self.moments.iter().map(|(at, ..)| *at);
        lives.chain(cuts).chain(arrows).chain(marks).chain(moments).collect()
    }

    /// Nothing happens here that anybody wants to see: replicas that are in step tell each other so.
    fn leave_out(&mut self, times: std::ops::Range<Duration>) {
        self.arrows.retain(|arrow| !times.contains(&arrow.sent) && !times.contains(&arrow.applied));
        let is_common = |kind: &Kind| matches!(kind, Kind::Segment { .. } | Kind::Seal | Kind::Snapshot);
        self.marks.retain(|mark| !times.contains(&mark.at) || !is_common(&mark.kind));
    }

    fn lives(&mut self, told: &[&Told], end: Duration) {
        for Told { at, by, what } in told.iter().copied() {
            match what {
                What::Started => {
                    let until = end;
                    self.lives.push(Life {
                        region: by.region,
                        process: by.process,
                        from: *at,
                        open: None,
                        until,
                        depth: 0,
                    });
                }
                What::Open | What::Gone | What::Ended(_) => {
                    let Some(life) = self.lives.iter_mut().find(|life| life.process == by.process) else { continue };
                    if *what == What::Open { life.open = Some(*at) } else { life.until = life.until.min(*at) }
                }
                _ => {}
            }
        }
        // A process that goes on beside a newer one is drawn below it, from when that one starts.
        let starts: Vec<(usize, u32, Duration)> =
            self.lives.iter().map(|life| (life.region, life.process, life.from)).collect();
        let mut zombies = Vec::new();
        for life in &mut self.lives {
            let newer = starts.iter().find(|(region, process, from)| {
                *region == life.region && *process > life.process && *from < life.until
            });
            if let Some((_, _, from)) = newer {
                zombies.push(Life { from: *from, open: Some(*from), depth: 1, ..*life });
                life.until = *from;
            }
        }
        self.lives.append(&mut zombies);
    }

    /// How far below its region's line a process is at some time.
    fn depth(&self, process: u32, at: Duration) -> usize {
        self.lives
            .iter()
            .filter(|life| life.process == process && life.from <= at)
            .map(|life| life.depth)
            .max()
            .unwrap_or(0)
    }

    /// What gets into the logs, and who applies it.
    fn segments(&mut self, told: &[&Told]) {
        // When each position of each log got into its bucket, and whether it changes nothing.
        let mut landed: BTreeMap<(usize, u64), (Duration, bool)> = BTreeMap::new();
        let mut applied: BTreeMap<(u32, usize), u64> = BTreeMap::new();
        for Told { at, by, what } in told.iter().copied() {
            match what {
                What::Landed { key, created: Some(body), .. } => {
                    let (region, at, depth) = (by.region, *at, self.depth(by.process, *at));
                    let kind = match decode(body, key, None) {
                        Ok(LogObject::Segment(segment)) => {
                            let is_empty =
                                segment.is_empty() && segment.evictions().is_empty() && segment.marks().is_empty();
                            landed.insert((region, u64::from(segment.dot().position)), (at, is_empty));
                            Kind::Segment { is_empty }
                        }
                        Ok(LogObject::Seal(_)) => Kind::Seal,
                        Err(_) if key.contains("/snap/") => Kind::Snapshot,
                        Err(_) => continue,
                    };
                    self.marks.push(Mark { region, at, depth, kind });
                }
                What::Applied { log, position } => {
                    let before = applied.insert((by.process, *log), *position);
                    // What a process finds when it opens has not come to it: it was there.
                    let (Some(before), false) = (before, *log == by.region) else { continue };
                    for ((_, _), (sent, is_empty)) in landed.range((*log, before + 1)..=(*log, *position)) {
                        self.arrows.push(Arrow {
                            author: *log,
                            reader: by.region,
                            sent: *sent,
                            applied: *at,
                            is_empty: *is_empty,
                        });
                    }
                }
                _ => {}
            }
        }
    }

    fn others(&mut self, story: &Story, told: &[&Told]) {
        let mut armed: Vec<usize> = Vec::new();
        for Told { at, by, what } in told.iter().copied() {
            let (region, at, depth) = (by.region, *at, self.depth(by.process, *at));
            let kind = match what {
                What::Open => Kind::Open,
                What::Gone => Kind::Gone,
                What::Ended(why) => Kind::Ended(format!("ends: {}", why.split(':').next().unwrap_or_default())),
                What::Step(index) => match &story.steps[*index].act {
                    // It is marked where it is met.
                    Act::Meet { .. } => {
                        armed.push(*index);
                        continue;
                    }
                    act => {
                        self.marks.push(Mark {
                            region,
                            at,
                            depth: 0,
                            kind: Kind::Step { number: index + 1, is_fault: act.is_fault() },
                        });
                        continue;
                    }
                },
                What::Asked { bucket, request, fault: Some(fault), .. } => {
                    let is_it = |index: &usize| {
                        let step = &story.steps[*index];
                        matches!(step.act, Act::Meet { bucket: b, request: r, fault: f, .. } if (step.region, b, r, f) == (region, *bucket, *request, *fault))
                    };
                    if let Some(place) = armed.iter().position(is_it) {
                        let number = armed.remove(place) + 1;
                        self.marks.push(Mark { region, at, depth: 0, kind: Kind::Step { number, is_fault: true } });
                    }
                    Kind::Fault(format!("{} of r{bucket}'s bucket {}", request.name(), fault.says()))
                }
                _ => continue,
            };
            self.marks.push(Mark { region, at, depth, kind });
        }
    }
}
