//! The faults that can be planted, and the points that were reached, of each thread.
//! Layer 0.

extern crate std;

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::{Mutant, Point};

std::thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    static REACHED: RefCell<BTreeMap<Point, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Plants a fault in what this thread runs from now on, or takes it out.
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}

/// Whether this fault is planted in what this thread runs.
#[inline]
#[must_use]
pub fn is_planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// Notes that this thread has been here.
pub fn reached(point: Point) {
    REACHED.with_borrow_mut(|reached| *reached.entry(point).or_default() += 1);
}

/// Where this thread has been since this was asked last, and how often.
#[must_use]
pub fn take_reached() -> BTreeMap<Point, u64> {
    REACHED.take()
}
