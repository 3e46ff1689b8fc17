//! A deterministic simulator: the same replica code, in virtual time, on buckets that fail as they are told to.
//!
//! An [`Executor`] polls the futures of any number of regions on one thread, and picks among those that are ready by its
//! seed. Its [`World`] is what they see: the time, which passes only when nothing is ready, and timers. [`SimBucket`],
//! [`SimClock`], [`SimEntropy`] and [`SimHints`] are the ports of a replica. To crash a region is to drop its futures between two polls,
//! which is at an await: the buckets stay, and so does what was under way to them.
//!
//! [`generate`] draws a [`Story`] from a seed: all that happens in a run, as data. [`play`] plays it on real replicas and checks
//! what they promise, and [`shrink`] makes one that fails as small as it gets.
//!
//! *Invariant:* nothing here knows the real time, a thread, a network, a disk or real entropy. One seed is one run, event
//! by event, and [`World::trace`] is the proof.

mod draw;
mod explore;
mod history;
mod machine;
mod milliseconds;
mod mutants;
mod play;
mod points;
mod ports;
mod random;
mod service;
mod shrink;
mod simulation;
mod story;

pub use draw::draw;
pub use explore::{Branch, Explored, SCENARIOS, Scenario, Share, explore};
pub use history::{Did, History, Log, Object, Process, Seen, Sort, Truth, View};
pub use machine::{Executor, Join, Region, Sleep, Stop, Trace, World};
pub use mutants::{Limits, MUTANTS, Planted, Profile, Verdict};
pub use play::{Failure, Outcome, play, play_aloud, play_beginning};
pub use points::{ALL_WITHIN, POINTS, Points, REACHED_SOON, SOON_WITHIN, Situation};
pub use ports::{
    BEGINNING_MS, Damage, Fault, Faults, Gate, HintFault, HintFaults, Image, Lists, Moment, Party, Request, Requests,
    SimBucket, SimClock, SimEntropy, SimHints, Told, Way, What,
};
pub use random::Random;
pub use service::{Served, Service, merge_laws};
pub use shrink::{Effort, Shrunk, shrink, spell_out};
pub use simulation::{Found, Simulation, Summary, Trouble};
pub use story::{Act, FORMAT, Spoiled, Step, Story, StoryFile, generate};
