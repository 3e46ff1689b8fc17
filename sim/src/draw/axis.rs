//! Where a time is on paper. Long waits are shortened, and marked.
//! Layer 5.

use std::time::Duration;

/// The narrowest and the widest that the wait between two things can be.
const NARROW: f64 = 1.5;
const WIDEST: f64 = 170.0;

/// The times of a drawing, and where each is.
pub(super) struct Axis {
    /// In the order of time; between two of them places follow a straight line.
    places: Vec<(Duration, f64)>,
    breaks: Vec<f64>,
}

impl Axis {
    /// An axis with these times, from a place on, that is so wide if all fits.
    pub(super) fn new(mut times: Vec<Duration>, from: f64, wide: f64) -> Self {
        times.push(Duration::ZERO);
        times.sort_unstable();
        times.dedup();
        let waits: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let width = |wait: f64, scale: f64| (wait * scale).clamp(NARROW, WIDEST);
        // The scale at which it is as wide as it should be; where there is too much for that, it gets wider.
        let (mut low, mut high) = (0.0, 1e6);
        for _ in 0..60 {
            let scale = f64::midpoint(low, high);
            let all: f64 = waits.iter().map(|wait| width(*wait, scale)).sum();
            if all > wide { high = scale } else { low = scale }
        }
        let (mut x, mut places, mut breaks) = (from, vec![(Duration::ZERO, from)], Vec::new());
        for (time, wait) in times.iter().skip(1).zip(&waits) {
            let step = width(*wait, low);
            if wait * low > 1.6 * WIDEST {
                breaks.push(x + step / 2.0);
            }
            x += step;
            places.push((*time, x));
        }
        Self { places, breaks }
    }

    pub(super) fn x(&self, time: Duration) -> f64 {
        let after = self.places.partition_point(|(at, _)| *at < time);
        match (after.checked_sub(1).map(|before| self.places[before]), self.places.get(after)) {
            (_, Some((at, x))) if *at == time => *x,
            (Some((before, x)), Some((at, end))) => {
                let share = (time - before).as_secs_f64() / (*at - before).as_secs_f64();
                x + share * (end - x)
            }
            (None, Some((_, x))) => *x,
            (_, None) => self.end(),
        }
    }

    pub(super) fn end(&self) -> f64 {
        self.places.last().map_or(0.0, |(_, x)| *x)
    }

    /// In the middle of what was shortened.
    pub(super) fn breaks(&self) -> impl Iterator<Item = f64> {
        self.breaks.iter().copied()
    }

    /// The times that could be told, and how little it matters that they are.
    pub(super) fn wanted(&self) -> Vec<(Duration, u32)> {
        self.places.iter().map(|(time, _)| (*time, u32::from(!time.is_zero()))).collect()
    }
}
