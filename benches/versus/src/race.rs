//! Two or more who do the same, in turns.

use std::time::Duration;

use benches::report::median;

/// The medians of each runner in nanoseconds, the first turn dropped: it warms what all of them use.
///
/// All runners get the number of the turn; who begins a turn changes with it.
#[must_use]
pub(crate) fn medians<const N: usize>(turns: usize, mut run: impl FnMut(usize, usize) -> Duration) -> [f64; N] {
    let mut times = [(); N].map(|()| Vec::with_capacity(turns));
    for turn in 0..turns {
        for place in 0..N {
            let runner = (place + turn) % N;
            times[runner].push(run(turn, runner));
        }
    }
    times.map(median)
}
