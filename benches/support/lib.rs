//! What several benches share: the scenarios, built alike for both sides, and the clock.

pub mod clock;
pub mod corpus;
pub mod counter;
pub mod engine;
pub mod or_set;
pub mod register;
pub mod report;
pub mod segments;
mod thousands;
pub mod trio;
pub mod wall;

/// `full`, or `tiny` when every bench is only run once to see that it works.
///
/// As criterion does it: with `--test`, and without the `--bench` that `cargo bench` passes.
#[must_use]
pub fn sized(full: usize, tiny: usize) -> usize {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    if has("--test") || !has("--bench") { tiny } else { full }
}
