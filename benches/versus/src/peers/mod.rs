//! What a user could pick instead, each behind the little that the works ask of it.

mod automerge;
mod document;
mod floor;
mod keyed;
mod loro;
mod redis;
mod yrs;

pub(crate) use automerge::{AutomergeCounters, AutomergeMap};
pub(crate) use document::{Counters, Document};
pub(crate) use floor::{Cell, Floor, Write, below};
pub(crate) use keyed::{Keyed, Op};
pub(crate) use loro::{LoroCounters, LoroMap};
pub(crate) use redis::{Redis, command};
pub(crate) use yrs::YrsMap;
