//! What cannot be left out alone: two steps together, or a step with other delays.
//! Layer 5.

use super::Shrinking;
use crate::story::Story;

/// It is tried when at most so many steps are left.
const FEW: usize = 40;

/// How many other seeds are tried.
const SEEDS: u64 = 6;

impl Shrinking<'_> {
    /// Without two steps at once: what one of them starts the other one ends.
    pub(super) fn pairs(&mut self) {
        let mut later = self.best.steps.len();
        if later > FEW {
            return;
        }
        while later > 1 {
            later -= 1;
            for earlier in (0..later).rev() {
                let without_both = |story: &mut Story| {
                    if later < story.steps.len() {
                        story.steps.remove(later);
                        story.steps.remove(earlier);
                    }
                };
                if self.try_to(without_both) {
                    later = later.min(self.best.steps.len());
                    break;
                }
            }
        }
    }

    /// Without a step, where delays and the order of what is ready are those of another seed: what is left out changes them
    /// anyhow, and the failure may only have been missed.
    pub(super) fn with_other_delays(&mut self) {
        let mut at = self.best.steps.len();
        if at > FEW {
            return;
        }
        while at > 0 {
            at -= 1;
            for seed in 0..SEEDS {
                let without_it = |story: &mut Story| {
                    if at < story.steps.len() {
                        story.seed = seed;
                        story.steps.remove(at);
                    }
                };
                if self.try_to(without_it) {
                    at = at.min(self.best.steps.len());
                    break;
                }
            }
        }
    }
}
