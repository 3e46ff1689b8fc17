//! What goes wrong in a story beside single requests: who goes down and when, who is cut off, which clocks are wrong.
//! Layer 3.

use std::time::Duration;

use super::{Act, Step, generate::between};
use crate::{
    history::{Did, Sort},
    ports::{Moment, Way},
    random::Random,
};

/// Adds troubles to a story, each sort of them in some seeds only.
pub(super) fn troubles(random: &mut Random, regions: usize, until: Duration, steps: &mut Vec<Step>) {
    let last = until.as_millis() as u64 - 2_000;
    let mut troubles = Troubles { random, regions, last, steps };
    troubles.late_starts();
    troubles.crashes();
    troubles.crashes_at_a_request();
    troubles.cuts();
    troubles.outages();
    troubles.zombies();
    troubles.frozen();
    troubles.closings();
    troubles.clocks();
    troubles.eviction();
    troubles.rollback();
    troubles.others();
}

struct Troubles<'a> {
    random: &'a mut Random,
    regions: usize,
    /// The last time for something to happen, in milliseconds.
    last: u64,
    steps: &'a mut Vec<Step>,
}

impl Troubles<'_> {
    /// How many there are, up to `most`; in so many of 1,000,000 seeds none at all.
    fn some(&mut self, most: u64, none: u32) -> u64 {
        if self.random.chance(none) { 0 } else { self.random.below(most) + 1 }
    }

    fn time(&mut self) -> Duration {
        between(self.random, 800, self.last)
    }

    fn region(&mut self) -> usize {
        self.random.below(self.regions as u64) as usize
    }

    /// Another region than this one.
    fn other(&mut self, region: usize) -> usize {
        (region + 1 + self.random.below(self.regions as u64 - 1) as usize) % self.regions
    }

    fn add(&mut self, at: Duration, region: usize, act: Act) {
        self.steps.push(Step { at, region, act });
    }

    /// It comes back soon, late, or when it gets quiet; and often it goes down again while it comes back.
    fn comes_back(&mut self, at: Duration, region: usize) {
        if !self.random.chance(800_000) {
            return;
        }
        let at = at + between(self.random, 10, 9_000);
        self.add(at, region, Act::Open);
        if self.random.chance(300_000) {
            let act = match self.random.below(3) {
                0 => Act::CrashAfter(1 + self.random.below(40)),
                _ => {
                    let moments = [
                        Moment::Seal,
                        Moment::ListLog,
                        Moment::ReadLog,
                        Moment::ReadSnapshot,
                        Moment::ReadSnapshot,
                        Moment::Segment,
                    ];
                    let moment = moments[self.random.below(6) as usize];
                    Act::CrashAt { moment, left: self.random.below(4) as u32, after: self.random.chance(500_000) }
                }
            };
            self.add(at, region, act);
            let at = at + between(self.random, 100, 4_000);
            self.add(at, region, Act::Open);
        }
    }

    /// Regions that begin later, and second replicas of a region.
    fn late_starts(&mut self) {
        if self.random.chance(250_000) {
            for region in 0..self.regions {
                if self.random.chance(400_000) {
                    self.add(Duration::ZERO, region, Act::Crash);
                    let at = self.time();
                    self.add(at, region, Act::Open);
                }
            }
        }
        if self.random.chance(150_000) {
            let (at, region) = (self.time(), self.region() + self.regions);
            self.add(at, region, Act::Open);
            if self.random.chance(300_000) {
                let at = at + between(self.random, 100, 9_000);
                let act = if self.random.chance(500_000) { Act::Close } else { Act::Crash };
                self.add(at, region, act);
                self.comes_back(at, region);
            }
        }
    }

    fn crashes(&mut self) {
        for _ in 0..self.some(8, 450_000) {
            let (at, region) = (self.time(), self.region());
            let act = if self.random.chance(500_000) { Act::Crash } else { Act::CrashAfter(1 + self.random.below(60)) };
            self.add(at, region, act);
            self.comes_back(at, region);
        }
    }

    fn crashes_at_a_request(&mut self) {
        for _ in 0..self.some(5, 500_000) {
            let (at, region) = (self.time(), self.region());
            let moment = Moment::ALL[self.random.below(Moment::ALL.len() as u64) as usize];
            let most = if moment == Moment::Segment { 20 } else { 3 };
            let left = self.random.below(most) as u32;
            let after = self.random.chance(500_000);
            self.add(at, region, Act::CrashAt { moment, left, after });
            let at = at + between(self.random, 1_000, 9_000);
            self.comes_back(at, region);
        }
    }

    fn cuts(&mut self) {
        for _ in 0..self.some(6, 450_000) {
            let (at, region, from) = (self.time(), self.region(), self.region());
            let lasts = between(self.random, 200, 30_000);
            self.add(at, region, Act::Cut { from, lasts });
        }
        if self.random.chance(100_000) {
            // Nobody reads what it writes, and it reads nothing, for longer than anything is kept.
            let (at, region) = (self.time(), self.region());
            let lasts = between(self.random, 20_000, 60_000);
            for other in (0..self.regions).filter(|other| *other != region) {
                self.add(at, region, Act::Cut { from: other, lasts });
                self.add(at, other, Act::Cut { from: region, lasts });
            }
        }
    }

    fn outages(&mut self) {
        for _ in 0..self.some(3, 700_000) {
            let (at, region) = (self.time(), self.region());
            let way = Way::ALL[self.random.below(3) as usize];
            let lasts = between(self.random, 200, 30_000);
            self.add(at, region, Act::Away { way, lasts });
        }
    }

    fn zombie_changes(&mut self, at: Duration, region: usize) {
        for _ in 0..self.random.below(4) {
            let object = (format!("zombie/{}", self.random.below(2)), Sort::Counter);
            let at = at + between(self.random, 0, 4_000);
            self.add(at, region, Act::ChangeAsZombie(vec![(object, Did::Count(1))]));
        }
    }

    fn zombies(&mut self) {
        for _ in 0..self.some(2, 500_000) {
            let (at, region) = (self.time(), self.region());
            self.add(at, region, Act::Open);
            self.zombie_changes(at, region);
        }
    }

    fn frozen(&mut self) {
        for _ in 0..self.some(2, 650_000) {
            let (at, region) = (self.time(), self.region());
            let lasts = between(self.random, 100, 40_000);
            self.add(at, region, Act::Freeze(lasts));
            if self.random.chance(700_000) {
                let taken = at + between(self.random, 10, 4_000);
                self.add(taken, region, Act::Open);
                self.zombie_changes(at + lasts, region);
            }
        }
    }

    fn closings(&mut self) {
        for _ in 0..self.some(2, 500_000) {
            let (at, region) = (self.time(), self.region());
            self.add(at, region, Act::Close);
            let at = at + between(self.random, 500, 9_000);
            self.add(at, region, Act::Open);
        }
    }

    fn clocks(&mut self) {
        const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;
        for _ in 0..self.some(3, 500_000) {
            let (at, region) = (self.time(), self.region());
            let act = match self.random.below(8) {
                0 => Act::Clock(YEAR_MS),
                1 => Act::Clock(-YEAR_MS / 100),
                2 => Act::StopClock,
                3 => Act::Drift(self.random.below(1_000_000) as i32 - 500_000),
                _ => Act::Clock(self.random.below(20 * 60_000) as i64 - 10 * 60_000),
            };
            self.add(at, region, act.clone());
            if self.random.chance(200_000) {
                // It is opened anew under that clock, and put right later.
                self.add(at, region, Act::Open);
                self.add(at, region, act);
                let at = at + between(self.random, 1_000, 20_000);
                self.add(at, region, Act::Clock(0));
            }
        }
    }

    fn eviction(&mut self) {
        if self.regions < 3 || !self.random.chance(150_000) {
            return;
        }
        let (at, region) = (self.time(), self.region());
        let other = self.other(region);
        if self.random.chance(300_000) {
            // It has not been there for a while, and its bucket may be gone with it.
            let before = at.saturating_sub(between(self.random, 100, 9_000));
            self.add(before, other, Act::Crash);
            if self.random.chance(500_000) {
                let lasts = between(self.random, 5_000, 60_000);
                self.add(before, other, Act::Away { way: Way::Both, lasts });
            }
        }
        self.add(at, region, Act::Evict(other));
        if self.random.chance(400_000) {
            let at = at + between(self.random, 100, 9_000);
            self.add(at, other, Act::Open);
        }
        if self.random.chance(400_000) {
            let at = at + between(self.random, 100, 9_000);
            self.add(at, other + self.regions, Act::Open);
        }
    }

    /// A bucket goes back to what it was, or is emptied: with its process gone, as by a lost disk, or under it.
    fn rollback(&mut self) {
        if !self.random.chance(80_000) {
            return;
        }
        let (at, region) = (self.time(), self.region());
        if self.random.chance(700_000) {
            let before = at.saturating_sub(between(self.random, 100, 15_000));
            self.add(before, region, Act::Image);
        }
        let is_gone = self.random.chance(750_000);
        if is_gone {
            self.add(at, region, Act::Crash);
        }
        self.add(at, region, Act::RollBack);
        if is_gone && self.random.chance(800_000) {
            let at = at + between(self.random, 10, 9_000);
            self.add(at, region, Act::Open);
            if self.random.chance(400_000) {
                // Nobody is in reach who could tell.
                let lasts = between(self.random, 10_000, 30_000);
                for from in (0..self.regions).filter(|from| *from != region) {
                    self.add(at, region, Act::Cut { from, lasts });
                }
                if self.random.chance(300_000) {
                    self.add(at, region, Act::Clock(-20_000));
                }
            }
        }
    }

    /// What is no trouble, and is not there in every story.
    fn others(&mut self) {
        for _ in 0..self.some(2, 800_000) {
            let (at, region) = (self.time(), self.region());
            self.add(at, region, Act::Observe);
        }
        for _ in 0..self.some(6, 600_000) {
            let (at, region) = (self.time(), self.region());
            let to = self.other(region);
            self.add(at, region, Act::Follow(to));
        }
        for _ in 0..self.some(2, 800_000) {
            let (at, region) = (self.time(), self.region());
            self.add(at, region, Act::Rank);
        }
        if self.random.chance(50_000) {
            let (at, region) = (self.time(), self.region());
            let is_snapshot = self.random.chance(300_000);
            self.add(at, region, Act::Newer { is_snapshot });
        }
    }
}
