//! What is written in a story: to which objects, by whom, how often.
//! Layer 3.

use std::time::Duration;

use super::{Act, Step, generate::between};
use crate::{
    history::{Did, Object, Sort},
    random::Random,
};

/// Values from here on are as large as there may be.
pub(crate) const LARGE: u16 = 60_000;

/// What is written.
pub(super) struct Workload {
    /// Which objects, the hot ones first.
    objects: Vec<Object>,
    /// Who writes.
    writers: Vec<usize>,
    /// Between two changes.
    pause: u64,
    /// Of 10 changes, how many are to the first object.
    heat: u64,
    /// Of 100 changes, how many delete.
    deletes: u64,
    /// How many objects a batch changes at most.
    batch: u64,
    elements: u64,
    /// Of 1,000,000 changes of a set, how many take something out.
    takes: u32,
    /// Of 1,000,000 values, how many are as large as there may be.
    large: u32,
    /// True when several regions change the same in the same instant.
    together: bool,
    /// True when every region keeps a leaderboard.
    is_ranked: bool,
}

impl Workload {
    pub(super) fn draw(random: &mut Random, regions: usize) -> Self {
        let any = Self::any(random, regions);
        match random.below(20) {
            0 | 1 => any.leaderboard(random),
            2 => any.storm(random),
            _ => any,
        }
    }

    /// Many counters, which every region ranks.
    fn leaderboard(self, random: &mut Random) -> Self {
        let sort = if random.chance(500_000) { Sort::Counter } else { Sort::Grows };
        let objects = (0..8 + random.below(40)).map(|player| (format!("board/{player}"), sort)).collect();
        Self { objects, is_ranked: true, ..self }
    }

    /// Few elements, which are put into a set and taken out again all the time, everywhere.
    fn storm(self, random: &mut Random) -> Self {
        let objects = vec![("storm".to_owned(), Sort::Set)];
        Self { objects, elements: 1 + random.below(3), takes: 500_000, pause: 20, together: true, ..self }
    }

    fn any(random: &mut Random, regions: usize) -> Self {
        let count = 1 + random.below(8);
        let mut objects = Vec::new();
        for number in 0..count {
            let sort = Sort::ALL[random.below(5) as usize];
            // Now and then one path holds objects of several kinds.
            let path = if random.chance(150_000) { "mixed".to_owned() } else { path(random, number) };
            objects.push((path, sort));
        }
        let one = random.below(regions as u64) as usize;
        let mut writers: Vec<usize> = (0..regions).collect();
        match random.below(20) {
            0 | 1 => writers = vec![one],
            // One region is idle for long.
            2..=4 => writers.retain(|writer| *writer != one),
            _ => {}
        }
        Self {
            objects,
            writers,
            pause: [20, 200, 1_500][random.below(3) as usize],
            heat: random.below(10),
            deletes: [0, 5, 30][random.below(3) as usize],
            batch: 1 + random.below(4),
            elements: 1 + random.below(6),
            takes: 400_000,
            large: if random.chance(20_000) { 30_000 } else { 0 },
            together: random.chance(200_000),
            is_ranked: false,
        }
    }

    pub(super) fn changes(&self, random: &mut Random, regions: usize, until: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        for region in (0..regions).filter(|_| self.is_ranked) {
            // Once more where a process has ended meanwhile.
            for _ in 0..3 {
                steps.push(Step { at: between(random, 1_000, until.as_millis() as u64), region, act: Act::Rank });
            }
        }
        let most = 60 + random.below(240);
        let mut at = Duration::from_millis(500);
        for _ in 0..most {
            at += Duration::from_millis(random.below(2 * self.pause + 1));
            if at >= until {
                break;
            }
            let mut region = self.writers[random.below(self.writers.len() as u64) as usize];
            // The second replica of the region, if there is one.
            if random.chance(100_000) {
                region += regions;
            }
            let changes = (0..1 + random.below(self.batch)).map(|_| self.change(random)).collect();
            steps.push(Step { at, region, act: Act::Change(changes) });
            if self.together && random.chance(300_000) {
                for region in (0..regions).filter(|region| self.writers.contains(region)) {
                    steps.push(Step { at, region, act: Act::Change(vec![self.change(random)]) });
                }
            }
            if random.chance(200_000) {
                steps.push(Step { at, region, act: Act::Rely });
            }
        }
        steps
    }

    fn change(&self, random: &mut Random) -> (Object, Did) {
        let hot = random.below(10) < self.heat;
        let object = if hot { 0 } else { random.below(self.objects.len() as u64) as usize };
        let object = self.objects[object].clone();
        if random.below(100) < self.deletes {
            return (object, Did::Delete);
        }
        let large = if random.chance(self.large) { LARGE } else { 0 };
        let value = large + u16::try_from(random.below(self.elements)).unwrap_or(0);
        let did = match object.1 {
            Sort::Grows => Did::Count(random.below(5) as i64),
            Sort::Counter => Did::Count(random.below(9) as i64 - 4),
            Sort::Last | Sort::Every => Did::Write(large + u16::try_from(random.below(1_000)).unwrap_or(0)),
            Sort::Set if random.chance(self.takes) => Did::Take(value),
            Sort::Set => Did::Put(value),
        };
        (object, did)
    }
}

fn path(random: &mut Random, number: u64) -> String {
    match random.below(12) {
        0 => format!("a b+c%2F/{number}"),
        1 => format!("\u{e9}\u{4e16}/{number}"),
        2 => format!("{}{number}", "long/".repeat(100)),
        3 => format!("{}{number}", "x".repeat(1_023)),
        4 => format!("../{number}//"),
        _ => format!("o/{number}"),
    }
}
