//! The works: what is done by both sides, checked, and reported.

mod bytes;
mod deltas;
mod documents;
mod local;
mod memory;
mod reads;
mod sets;
mod snapshots;

use crate::report::Report;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How many objects or elements there are.
    pub(crate) n: usize,
    /// How many rows a delta has: a hundredth.
    pub(crate) rows: usize,
    /// How often what is cheap is done.
    pub(crate) turns: usize,
    /// How often what is dear is done.
    pub(crate) few: usize,
}

/// One group of rows: its name, and what measures it.
pub(crate) type Work = (&'static str, fn(&mut Report, Scale));

/// All of them, in the order of the report.
pub(crate) const WORKS: [Work; 8] = [
    ("sets", sets::measure),
    ("deltas", deltas::measure),
    ("documents", documents::measure),
    ("snapshots", snapshots::measure),
    ("local", local::measure),
    ("memory", memory::measure),
    ("bytes", bytes::measure),
    ("reads", reads::measure),
];
