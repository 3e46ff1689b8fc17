//! A deterministic simulator: the same replica code, in virtual time, on buckets that fail as they are told to.
//!
//! *Invariant:* nothing here knows the real time, a thread, a network, a disk or real entropy. One seed is one run.
