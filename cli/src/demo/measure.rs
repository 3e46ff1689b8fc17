//! What a region sees of the others: how many of their steps have arrived, and how old the first that has not is.

use std::{collections::VecDeque, sync::atomic::Ordering, time::Duration};

use super::stage::{Stage, View};

/// What is to be seen of a region at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// The steps that it has done itself.
    pub(crate) done: u64,
    /// Those of them that it does not know to be durable.
    pub(crate) waiting: u64,
    /// How many of the others' steps have not arrived.
    pub(crate) missing: u64,
    /// Its first players, with their points.
    pub(crate) top: Vec<(String, i128)>,
}

/// How old what a region sees of another one was, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lag {
    /// While both were up and in touch.
    pub(crate) typical: f64,
    pub(crate) worst: f64,
}

/// Measurements of all pairs of regions.
#[derive(Debug)]
pub(crate) struct Measures {
    /// For each region when it had done how many steps.
    history: Vec<VecDeque<(Duration, u64)>>,
    /// For each region and each that it sees how old that was, while both were up and in touch, and at any time.
    lags: Vec<Vec<Vec<f32>>>,
    worst: Vec<Vec<f32>>,
}

impl Measures {
    pub(crate) fn new(regions: usize) -> Self {
        let (lags, worst) = (vec![vec![Vec::new(); regions]; regions], vec![vec![0.0; regions]; regions]);
        Self { history: vec![VecDeque::new(); regions], lags, worst }
    }

    /// Looks at every region. `None` is one that is down.
    pub(crate) fn look(&mut self, stage: &Stage, now: Duration) -> Vec<Option<Sight>> {
        let regions = self.history.len();
        for (region, history) in self.history.iter_mut().enumerate() {
            let done = done(stage, region);
            if history.back().is_some_and(|(_, before)| done < *before) {
                // It was killed, and what it has lost is not missed by anybody.
                history.clear();
            }
            history.push_back((now, done));
        }
        let mut least: Vec<u64> = (0..regions).map(|region| done(stage, region)).collect();
        let mut sights = Vec::new();
        for viewer in 0..regions {
            let Some(view) = stage.view(viewer) else {
                sights.push(None);
                continue;
            };
            let mut missing = 0;
            for of in (0..regions).filter(|of| *of != viewer) {
                let arrived = arrived(stage, &view, of);
                missing += done(stage, of).saturating_sub(arrived);
                least[of] = least[of].min(arrived);
                let history = &self.history[of];
                let first = history.partition_point(|(_, done)| *done <= arrived);
                let lag = history.get(first).map_or(Duration::ZERO, |(at, _)| now.saturating_sub(*at));
                let lag = lag.as_secs_f32();
                let pair = [viewer, of];
                let is_cut = stage.lines.cut_off().is_some_and(|region| pair.contains(&region));
                if !is_cut && stage.view(of).is_some() {
                    self.lags[viewer][of].push(lag);
                }
                self.worst[viewer][of] = self.worst[viewer][of].max(lag);
            }
            let progress = &stage.progress[viewer];
            let done = done(stage, viewer);
            sights.push(Some(Sight {
                done,
                waiting: done.saturating_sub(progress.durable.load(Ordering::Relaxed)),
                missing,
                top: top(&view),
            }));
        }
        for (history, least) in self.history.iter_mut().zip(least) {
            while history.len() > 1 && history.front().is_some_and(|(_, done)| *done < least) {
                history.pop_front();
            }
        }
        sights
    }

    /// How old what a region saw of another one was.
    pub(crate) fn lag(&self, viewer: usize, of: usize) -> Lag {
        let mut lags = self.lags[viewer][of].clone();
        lags.sort_unstable_by(f32::total_cmp);
        let typical = lags.get(lags.len() / 2).map_or(0.0, |lag| f64::from(*lag));
        Lag { typical, worst: f64::from(self.worst[viewer][of]) }
    }
}

/// How many of a region's steps another one has not seen; those that it sees are counted there.
pub(crate) fn unseen(stage: &Stage, viewer: usize, of: usize) -> u64 {
    let arrived = stage.view(viewer).map_or(0, |view| arrived(stage, &view, of));
    done(stage, of).saturating_sub(arrived)
}

fn done(stage: &Stage, region: usize) -> u64 {
    stage.progress[region].done.load(Ordering::Relaxed)
}

fn arrived(stage: &Stage, view: &View, of: usize) -> u64 {
    let path = format!("{}{}", stage.prefix, stage.script.steps_path(of));
    view.replica.g_counter(&path).map_or(0, |counter| u64::try_from(counter.value()).unwrap_or(u64::MAX))
}

/// How many of a leaderboard are shown.
pub(crate) const TOP: usize = 10;

/// The first on a region's leaderboard.
pub(crate) fn top(view: &View) -> Vec<(String, i128)> {
    let player = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    view.board.top(TOP).iter().map(|ranked| (player(ranked.key.path()), ranked.value)).collect()
}
