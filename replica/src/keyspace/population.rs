//! How many objects there are in each part of the keyspace, and how often one has come or gone.
//! Layer 2.

use std::sync::atomic::{AtomicU64, Ordering};

use super::stripes::STRIPES;

/// Runs of stripes that are counted together: parts of a snapshot that are smaller are not counted.
const RUNS: usize = 1 << 10;

/// Counted under the locks of their shards. In one number, so that both are always of one moment: the objects in the low half,
/// how often one has come or gone in the high half.
#[derive(Debug)]
pub(super) struct Population(Box<[AtomicU64]>);

/// The objects of one part at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many there were, live or not.
    pub objects: u64,
    /// How many had ever come or gone.
    pub changes: u64,
}

impl Default for Population {
    fn default() -> Self {
        Self((0..RUNS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Population {
    /// An object has come to be in a stripe.
    pub(super) fn came(&self, stripe: usize) {
        self.of(stripe).fetch_add((1 << 32) + 1, Ordering::Relaxed);
    }

    /// One is gone.
    pub(super) fn went(&self, stripe: usize) {
        self.of(stripe).fetch_add((1 << 32) - 1, Ordering::Relaxed);
    }

    fn of(&self, stripe: usize) -> &AtomicU64 {
        &self.0[stripe / (STRIPES / RUNS)]
    }

    /// The objects of a part, one of `parts`; `None` where parts are too small.
    pub(super) fn census(&self, part: usize, parts: usize) -> Option<Census> {
        let width = RUNS / parts;
        let runs = self.0.get(part * width..(part + 1) * width).filter(|runs| !runs.is_empty())?;
        let add = |sum: Census, run: &AtomicU64| {
            let run = run.load(Ordering::Relaxed);
            Census { objects: sum.objects + (run & u64::from(u32::MAX)), changes: sum.changes + (run >> 32) }
        };
        Some(runs.iter().fold(Census::default(), add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::part_of;

    #[test]
    fn what_comes_and_goes_is_counted_in_its_part() {
        let population = Population::default();
        let stripes = [0, 63, 64, 40_000, STRIPES - 1];
        stripes.iter().for_each(|stripe| population.came(*stripe));
        population.went(63);
        for parts in [1, 2, 16, 1_024] {
            let mut expected = vec![Census::default(); parts];
            for stripe in stripes {
                let census = &mut expected[part_of(stripe, parts)];
                *census = Census { objects: census.objects + 1, changes: census.changes + 1 };
            }
            let census = &mut expected[part_of(63, parts)];
            *census = Census { objects: census.objects - 1, changes: census.changes + 1 };
            let counted: Vec<_> = (0..parts).map(|part| population.census(part, parts).unwrap()).collect();
            assert_eq!(counted, expected, "{parts} parts");
        }
        assert_eq!(population.census(0, 2_048), None, "they are not told apart");
    }
}
