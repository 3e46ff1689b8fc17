//! What each region does, step by step: a function of seed, region and number, so that it can be done again and told apart.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use replica::Kind;

/// Who plays.
pub(crate) const PLAYERS: [&str; 26] = [
    "Ada", "Bea", "Cleo", "Dov", "Eli", "Fay", "Gus", "Hana", "Ida", "Jan", "Kofi", "Lea", "Mina", "Nia", "Omar",
    "Pia", "Quy", "Rui", "Sven", "Tara", "Uma", "Vera", "Wes", "Ximena", "Yuki", "Zoe",
];

/// What they play for.
const TEAMS: [&str; 8] = ["Bears", "Cranes", "Foxes", "Hawks", "Lynxes", "Otters", "Seals", "Wolves"];

/// How many matches a region has at a time, each at a path of that region's own.
const MATCHES: u64 = 40;

/// A change of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: String,
    pub(crate) act: Act,
}

/// What is done to it. Each says which kind the object is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Counts a grow-only counter.
    Increment(u64),
    /// Counts a counter, up or down.
    Count(i64),
    /// Writes a last-writer-wins register.
    Write(String),
    /// Writes a multi-value register.
    WriteBeside(String),
    /// Adds to a set.
    Add(String),
    /// Removes from a set.
    Remove(String),
    /// Deletes the object of this kind.
    Delete(Kind),
}

impl Change {
    pub(crate) fn new(path: impl Into<String>, act: Act) -> Self {
        Self { path: path.into(), act }
    }

    /// The kind of the object.
    pub(crate) const fn kind(&self) -> Kind {
        match self.act {
            Act::Increment(_) => Kind::GCounter,
            Act::Count(_) => Kind::PnCounter,
            Act::Write(_) => Kind::LwwRegister,
            Act::WriteBeside(_) => Kind::MvRegister,
            Act::Add(_) | Act::Remove(_) => Kind::OrSet,
            Act::Delete(kind) => kind,
        }
    }
}

/// The steps of all regions.
#[derive(Debug)]
pub(crate) struct Script {
    seed: u64,
    pub(crate) regions: Vec<String>,
    /// What was asked for at certain steps, by region and number, in place of what is chosen.
    asked: Mutex<BTreeMap<(usize, u64), Vec<Change>>>,
}

impl Script {
    pub(crate) fn new(seed: u64, regions: Vec<String>) -> Self {
        Self { seed, regions, asked: Mutex::default() }
    }

    /// The counter of the steps that a region has done: the others see by it how many of them have arrived.
    pub(crate) fn steps_path(&self, region: usize) -> String {
        format!("steps/{}", self.regions[region])
    }

    /// Makes these changes the step of this number.
    pub(crate) fn ask(&self, region: usize, number: u64, changes: Vec<Change>) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert((region, number), changes);
    }

    /// The changes of a step, the count of the step itself among them.
    pub(crate) fn step(&self, region: usize, number: u64) -> Vec<Change> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&(region, number)).cloned();
        let mut changes = asked.unwrap_or_else(|| self.choose(region, number));
        changes.push(Change::new(self.steps_path(region), Act::Increment(1)));
        changes
    }

    /// What happens most of the time. No step depends on an earlier one, so that one can be done again without them.
    fn choose(&self, region: usize, number: u64) -> Vec<Change> {
        let mut dice = Dice::new(self.seed, region as u64, number);
        let player = PLAYERS[dice.below(PLAYERS.len() as u64) as usize];
        // A player belongs to one region, and only that region says where the player is.
        let own = self.regions.len() * dice.below((PLAYERS.len() / self.regions.len()) as u64) as usize + region;
        let own = PLAYERS[own % PLAYERS.len()];
        let team = TEAMS[dice.below(TEAMS.len() as u64) as usize];
        let one = |path: String, act: Act| vec![Change::new(path, act)];
        match dice.below(100) {
            0..50 => {
                let points = if dice.below(6) == 0 { -(dice.below(20) as i64 + 1) } else { dice.below(100) as i64 + 1 };
                let mut changes = one(format!("score/{player}"), Act::Count(points));
                changes.push(Change::new(format!("plays/{player}"), Act::Increment(1)));
                changes
            }
            50..60 => one(format!("seen/{own}"), Act::Write(format!("with the {team}, step {number}"))),
            60..66 => one(format!("captain/{team}"), Act::Write(format!("{player}, step {number}"))),
            66..72 => one(format!("motto/{team}"), Act::WriteBeside(format!("{player} first! (step {number})"))),
            72..80 => one(format!("squad/{team}"), Act::Add(own.to_owned())),
            80..86 => one(format!("squad/{team}"), Act::Remove(own.to_owned())),
            86..91 => one(format!("fans/{team}"), Act::Add(format!("fan {}", dice.below(200)))),
            _ => self.play(region, &mut dice, player),
        }
    }

    /// Matches begin, go on and are deleted.
    fn play(&self, region: usize, dice: &mut Dice, player: &str) -> Vec<Change> {
        let at = format!("match/{}/{:02}", self.regions[region], dice.below(MATCHES));
        let (goals, umpire, lineup) = (format!("{at}/goals"), format!("{at}/umpire"), format!("{at}/lineup"));
        match dice.below(8) {
            0 => vec![
                Change::new(goals, Act::Delete(Kind::PnCounter)),
                Change::new(umpire, Act::Delete(Kind::LwwRegister)),
                Change::new(lineup, Act::Delete(Kind::OrSet)),
            ],
            1..4 => vec![Change::new(goals, Act::Count(dice.below(3) as i64 + 1))],
            4..6 => vec![Change::new(lineup, Act::Add(player.to_owned()))],
            _ => vec![Change::new(umpire, Act::Write(player.to_owned()))],
        }
    }
}

/// Random numbers that are the same for ever: SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
/// Generators").
struct Dice(u64);

impl Dice {
    fn new(seed: u64, region: u64, number: u64) -> Self {
        let mut dice = Self(seed);
        dice.0 = dice.next() ^ region;
        dice.0 = dice.next() ^ number;
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn script(seed: u64) -> Script {
        Script::new(seed, ["us", "eu", "ap"].map(str::to_owned).to_vec())
    }

    #[test]
    fn a_step_is_the_same_each_time_and_another_with_another_seed() {
        let steps = |seed: u64| (1..200).map(|number| script(seed).step(1, number)).collect::<Vec<_>>();
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
        assert_ne!(script(7).step(0, 1), script(7).step(1, 1));
        let asked = script(7);
        asked.ask(1, 3, vec![Change::new("a", Act::Count(2))]);
        assert_eq!(asked.step(1, 3)[0], Change::new("a", Act::Count(2)));
        assert_eq!(asked.step(1, 4), script(7).step(1, 4));
    }

    /// Else nobody could tell what comes of it without knowing what each region had seen.
    #[test]
    fn what_is_deleted_or_removed_is_one_regions_alone() {
        let script = script(3);
        let (mut deleted, mut removed) = (BTreeMap::new(), BTreeMap::new());
        let mut touched: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
        let mut kinds = BTreeSet::new();
        for region in 0..3 {
            for change in (1..20_000).flat_map(|number| script.step(region, number)) {
                kinds.insert(change.kind());
                let element = match &change.act {
                    Act::Add(element) | Act::Remove(element) => element.clone(),
                    _ => String::new(),
                };
                match &change.act {
                    Act::Delete(_) => drop(deleted.insert(change.path.clone(), region)),
                    Act::Remove(_) => drop(removed.insert((change.path.clone(), element.clone()), region)),
                    _ => {}
                }
                touched.entry((change.path.clone(), String::new())).or_default().insert(region);
                touched.entry((change.path, element)).or_default().insert(region);
            }
        }
        assert_eq!(kinds.len(), Kind::ALL.len());
        assert!(deleted.len() > 100 && removed.len() > 100);
        let alone = |place: (String, String), region: usize| touched[&place] == BTreeSet::from([region]);
        assert!(deleted.into_iter().all(|(path, region)| alone((path, String::new()), region)));
        assert!(removed.into_iter().all(|(place, region)| alone(place, region)));
    }
}
