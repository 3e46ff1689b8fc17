//! Counters, registers and sets that converge: the data types of Archipelago, and the one rule that merges them.
//!
//! Everything here is pure. There is no I/O, no clock, no randomness and no async; time is passed in, dots come from a
//! [`DotSource`], and equal histories give equal bytes.
//!
//! # Stand-alone use
//!
//! A [`Writer`] is one replica of one type. A mutation returns a [`Delta`]; the others merge it in any order, any number
//! of times, and end with the same value:
//!
//! ```
//! use crdt_core::{OrSet, ReplicaId, Writer};
//!
//! let mut ann = Writer::<OrSet<String>>::new(ReplicaId::named("ann"));
//! let mut bob = Writer::<OrSet<String>>::new(ReplicaId::named("bob"));
//! let (lamp, mug) = (ann.add("lamp".into()), ann.add("mug".into()));
//! let broken = ann.remove("mug");
//! for delta in [&broken, &lamp, &mug, &broken] {
//!     bob.merge_delta(delta)?; // Out of order, and one of them twice.
//! }
//! assert_eq!(bob.elements(), ["lamp"]);
//! assert_eq!(*ann, *bob);
//! # Ok::<(), crdt_core::DotReuse>(())
//! ```
//!
//! # The types
//!
//! | type | reads as | concurrent changes |
//! |---|---|---|
//! | [`GCounter`] | sum, u128 | all count |
//! | [`PnCounter`] | sum, i128 | all count |
//! | [`LwwRegister`] | one value | the greatest (timestamp, replica) is read, the others are kept until the next write |
//! | [`MvRegister`] | all concurrent values | stand beside each other |
//! | [`OrSet`] | elements in order | an add wins over a remove |
//!
//! Deleting undoes what was observed and leaves alone what was not. It leaves no tombstone; a counter keeps a dead tally of
//! each replica that counted, until it is purged. `docs/semantics.md` has every pair of operations.
//!
//! # How it works
//!
//! A change is made under a [`Dot`], a place in the log of its replica. A state keeps the dots that are live, and a
//! [`CausalContext`] knows all that have been seen. Of two states, an entry that only one side has was removed if the
//! other side has seen its dot, and is news to it otherwise. That rule is written once, in `merge.rs`, and every type
//! and both ways to merge use it: a delta is a small state whose context is just what it names.
//!
//! An engine that holds many objects pairs them with one [`Frontier`] instead: [`Object`] is a state without a context,
//! mutated under an [`OpenDot`] and merged under whatever implements [`Seen`].
//!
//! # Why is there no …
//!
//! * **… tombstone?** The context tells a removed element from one that has not arrived.
//! * **… `iter` on sets?** They are hash tables, whose order must never reach an output. `elements` sorts.
//! * **… operation log?** A delta states what is, not what to do: merging it twice changes nothing.
//! * **… plain PN-counter?** Deleting one and counting on loses or doubles counts (`tests/museum.rs`, R6, R7).
//! * **… clock?** Wall clocks lie. [`HybridClock`] takes the time and bounds how far a lie can carry.
#![no_std]
extern crate alloc;

mod causal;
mod context;
mod counter;
mod edit;
mod few;
mod frontier;
mod g_counter;
mod id;
#[cfg(feature = "crdts")]
mod interop;
mod lww_register;
mod merge;
mod mv_register;
mod object;
mod or_set;
mod packed;
#[doc(hidden)]
pub mod planted;
mod pn_counter;
mod register;
mod source;
mod tally;
mod time;
mod writer;

pub use causal::{Causal, Changes, DataType, Delta};
pub use context::{CausalContext, Seen};
pub use counter::{Counter, Mode};
pub use edit::Edit;
pub use few::Few;
pub use frontier::Frontier;
pub use g_counter::{GCounter, GrowOnly};
pub use id::{Dot, Position, ReplicaId};
pub use lww_register::{LastWriter, LwwRegister};
pub use mv_register::{MultiValue, MvRegister};
pub use object::{Bytes, Kind, Object, ObjectChanges, UnknownKind, Value, WrongKind};
pub use or_set::{OrSet, SetChanges};
pub use pn_counter::{PnCounter, UpAndDown};
pub use register::{Register, RegisterChanges, Write};
pub use source::{DotSource, OpenDot};
pub use tally::{CounterChanges, Overflow, Tally, TallyParts};
pub use time::{ClockSkew, HybridClock, Observed, Timestamp};
pub use writer::{DotReuse, Writer};
