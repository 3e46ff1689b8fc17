//! Three regions change the same things at once, hear of each other late, twice and in any order, and end up equal.
//!
//! `cargo run --release -p crdt-core --example converge -- 7` runs seed 7. One seed is one run.

use std::{env, error::Error, ops::Range, process::ExitCode, rc::Rc};

use crdt_core::{DotReuse, GCounter, LwwRegister, MvRegister, OrSet, PnCounter, ReplicaId, Timestamp, Writer};

const NAMES: [&str; 3] = ["eu-west", "us-east", "ap-south"];
const WORDS: [&str; 6] = ["lamp", "mug", "rug", "clock", "chair", "plant"];
const TICKS: u32 = 32;
/// The region that is cut off, and when.
const ALONE: usize = 2;
const CUT: Range<u32> = 8..24;

/// One replica of each type, and the deltas on their way to it.
struct Region {
    views: Writer<GCounter>,
    likes: Writer<PnCounter>,
    title: Writer<LwwRegister<&'static str>>,
    notes: Writer<MvRegister<&'static str>>,
    cart: Writer<OrSet<&'static str>>,
    inbox: Vec<Message>,
}

/// A delta of one of the types: what to merge at the other end.
type Message = Rc<dyn Fn(&mut Region) -> Result<(), DotReuse>>;

impl Region {
    fn new(name: &str) -> Self {
        let id = ReplicaId::named(name);
        let (views, likes, title) = (Writer::new(id), Writer::new(id), Writer::new(id));
        Self { views, likes, title, notes: Writer::new(id), cart: Writer::new(id), inbox: Vec::new() }
    }

    /// Changes something, and returns what to tell the others.
    fn change(&mut self, dice: &mut Dice, now: u32) -> Result<(String, Message), Box<dyn Error>> {
        let (word, amount) = (WORDS[dice.below(6)], u32::try_from(1 + dice.below(9))?);
        let at = Timestamp::from_millis(u64::from(now));
        macro_rules! told {
            ($field:ident, $delta:expr, $($what:tt)*) => {{
                let (what, delta) = (format!($($what)*), $delta);
                (what, Rc::new(move |region: &mut Region| region.$field.merge_delta(&delta)))
            }};
        }
        Ok(match (dice.below(20), self.cart.elements().first().copied().copied()) {
            (0..=3, _) => told!(views, self.views.add(amount.into())?, "views + {amount}"),
            (4..=6, _) => told!(likes, self.likes.add(amount.into())?, "likes + {amount}"),
            (7..=8, _) => told!(likes, self.likes.add(-i64::from(amount))?, "likes - {amount}"),
            (9, _) => told!(likes, self.likes.reset(), "likes deleted at {}", self.likes.value()),
            (10..=11, _) => told!(title, self.title.set(word, at), "title = {word}"),
            (12..=13, _) => told!(notes, self.notes.set(word, at), "notes = {word}"),
            (14..=16, Some(first)) => told!(cart, self.cart.remove(first), "cart  - {first}"),
            _ => told!(cart, self.cart.add(word), "cart  + {word}"),
        })
    }

    /// Merges one of the deltas that wait here, whichever the dice say.
    fn hear(&mut self, dice: &mut Dice) -> Result<(), DotReuse> {
        let merge = self.inbox.swap_remove(dice.below(self.inbox.len()));
        merge(self)
    }

    fn read(&self) -> [(&'static str, String); 5] {
        let words = |words: Vec<&&str>| words.into_iter().copied().collect::<Vec<_>>().join(" ");
        [
            ("views", self.views.value().to_string()),
            ("likes", self.likes.value().to_string()),
            ("title", words(self.title.value().into_iter().collect())),
            ("notes", words(self.notes.values().collect())),
            ("cart", words(self.cart.elements())),
        ]
    }

    /// Not only reads the same: the whole states are equal.
    fn equals(&self, other: &Self) -> bool {
        (&*self.views, &*self.likes, &*self.title) == (&*other.views, &*other.likes, &*other.title)
            && (&*self.notes, &*self.cart) == (&*other.notes, &*other.cart)
    }
}

fn run(seed: u64) -> Result<bool, Box<dyn Error>> {
    let (mut dice, mut regions) = (Dice(seed), NAMES.map(Region::new));
    let (mut held, mut sent, mut twice) = (Vec::new(), 0, 0);
    println!("seed {seed}: each change goes to both other regions, late, in any order, and at times twice\n");
    println!("tick  region    changes                 on the way to {}", NAMES.join(", "));
    for tick in 0..TICKS {
        let cut = CUT.contains(&tick);
        if tick == CUT.start {
            println!("      --- {} is cut off, and goes on reading and writing ---", NAMES[ALONE]);
        } else if tick == CUT.end {
            print("just before the cut is mended", &regions);
            println!("\n      --- {} is back; {} deltas were held up ---", NAMES[ALONE], held.len());
            held.drain(..).for_each(|(to, message): (usize, Message)| regions[to].inbox.push(message));
        }
        let who = dice.below(3);
        let (what, message) = regions[who].change(&mut dice, tick)?;
        for to in (0..3).filter(|to| *to != who) {
            let copies = 1 + usize::from(dice.below(3) == 0);
            (sent, twice) = (sent + 1, twice + copies - 1);
            let apart = cut && (who == ALONE || to == ALONE);
            let way = (0..copies).map(|_| (to, message.clone()));
            if apart { held.extend(way) } else { way.for_each(|(to, message)| regions[to].inbox.push(message)) }
        }
        for region in regions.iter_mut().take(if cut { ALONE } else { 3 }) {
            while !region.inbox.is_empty() && dice.below(2) == 0 {
                region.hear(&mut dice)?;
            }
        }
        let waiting = regions.each_ref().map(|region| format!("{:7}", region.inbox.len())).join("  ");
        println!("{tick:4}  {:<8}  {what:<23} {waiting}", NAMES[who]);
    }
    for region in &mut regions {
        while !region.inbox.is_empty() {
            region.hear(&mut dice)?;
        }
    }
    print("when everything has been delivered", &regions);
    println!("\n{sent} deltas sent, {twice} of them twice");
    Ok(regions.iter().all(|region| region.equals(&regions[0])))
}

fn print(when: &str, regions: &[Region; 3]) {
    let [eu, us, ap] = regions.each_ref().map(Region::read);
    println!("\n{when}:\n       {:<24} {:<24} {}", NAMES[0], NAMES[1], NAMES[2]);
    for (((name, eu), (_, us)), (_, ap)) in eu.iter().zip(&us).zip(&ap) {
        println!("{name:<6} {eu:<24} {us:<24} {ap:<24} {}", if eu == us && us == ap { "=" } else { "differs" });
    }
}

/// A generator of our own, so that a seed means the same run everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let converged = run(env::args().nth(1).map_or(Ok(1), |seed| seed.parse())?)?;
    println!("{}", if converged { "converged: all three regions hold equal states" } else { "DIVERGED" });
    Ok(if converged { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
