//! Faults that are met by chance, spelled out: the same run, in which steps say what is met.
//! Layer 5.

use std::time::Duration;

use crate::{
    ports::{Told, What},
    story::{Act, Step, Story},
};

/// The story with a step for each request that met a fault in it, as was told when it was played. Nothing else is met.
#[must_use]
pub fn spell_out(story: &Story, told: &[Told]) -> Story {
    let mut spelled = story.clone();
    spelled.faults.by_chance = false;
    // A step that comes later puts the quiet off.
    let quiet_from = story.steps.last().map_or(story.quiet_from, |last| last.at.max(story.quiet_from));
    let started = |region: usize, process: u32| {
        let of_it = told.iter().find(|told| told.by.process == process && matches!(told.what, What::Started));
        of_it.filter(|told| told.by.region == region).map(|told| told.at)
    };
    for Told { at, by, what } in told {
        let What::Asked { bucket, request, fault: Some(fault), skip, .. } = *what else { continue };
        // It is armed just before the request, or the moment its process starts.
        let just_before = at.saturating_sub(Duration::from_nanos(1));
        let at = if started(by.region, by.process) == Some(*at) { *at } else { just_before };
        let is_gone = |process: u32| {
            told.iter().any(|told| told.by.process == process && told.what == What::Gone && told.at <= at)
        };
        let is_newer = |other: &&Told| {
            matches!(other.what, What::Started)
                && other.by.region == by.region
                && other.by.process > by.process
                && other.at <= at
                && !is_gone(other.by.process)
        };
        let older = told.iter().filter(is_newer).count();
        let act = Act::Meet { bucket, request, fault, skip, older };
        let already = story.steps.iter().any(|step| step.at == at && step.region == by.region && step.act == act);
        if !already && at < quiet_from {
            spelled.steps.push(Step { at, region: by.region, act });
        }
    }
    spelled.steps.sort_by_key(|step| step.at);
    spelled
}
