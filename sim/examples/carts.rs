//! A shop whose carts are a type of its own, with a bug in how they merge. The simulator finds it and tells the story.
//!
//! A cart is a register that keeps concurrent versions, and whoever reads it merges them. `add_up` counts twice what both
//! versions have from their common past; `greater` does not. `docs/simulator.md` walks through it.
//!
//! ```sh
//! cargo run --release -p sim --example carts
//! ```

use std::{collections::BTreeMap, process::ExitCode};

use replica::{Error, Position, Replica};
use serde::{Deserialize, Serialize};
use sim::{Random, Served, Service, Simulation, merge_laws};

/// Of each thing, how many each replica has put in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cart(BTreeMap<String, BTreeMap<String, u32>>);

impl Cart {
    fn merge(&self, other: &Self, of_both: fn(u32, u32) -> u32) -> Self {
        let mut merged = self.clone();
        for (thing, counts) in &other.0 {
            let ours = merged.0.entry(thing.clone()).or_default();
            for (replica, count) in counts {
                ours.entry(replica.clone()).and_modify(|ours| *ours = of_both(*ours, *count)).or_insert(*count);
            }
        }
        merged
    }

    fn count(&self, thing: &str) -> u32 {
        self.0.get(thing).map_or(0, |counts| counts.values().sum())
    }
}

/// The bug.
fn add_up(ours: u32, theirs: u32) -> u32 {
    ours + theirs
}

/// What it should be: each replica only ever counts up, so the greater count is the later one.
fn greater(ours: u32, theirs: u32) -> u32 {
    ours.max(theirs)
}

struct Shop {
    of_both: fn(u32, u32) -> u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Put {
    cart: u64,
    thing: String,
}

impl Shop {
    fn cart(&self, replica: &Replica, number: u64) -> Result<Cart, Error> {
        let versions = replica.mv_register::<Cart>(&format!("carts/{number}"))?.values()?;
        let merged = versions.into_iter().reduce(|merged, next| merged.merge(&next, self.of_both));
        Ok(merged.unwrap_or_default())
    }
}

impl Service for Shop {
    type Request = Put;

    fn request(&self, random: &mut Random) -> Put {
        let thing = ["lamp", "pen", "book"][random.below(3) as usize];
        Put { cart: random.below(2), thing: thing.to_owned() }
    }

    fn serve(&self, replica: &Replica, put: &Put) -> Result<Position, Error> {
        let mut cart = self.cart(replica, put.cart)?;
        *cart.0.entry(put.thing.clone()).or_default().entry(replica.name().to_string()).or_default() += 1;
        Ok(replica.mv_register::<Cart>(&format!("carts/{}", put.cart))?.set(&cart)?.position())
    }

    fn always(&self, replica: &Replica, served: &Served<Put>) -> Result<(), String> {
        self.compare(replica, |put| served.all().filter(|other| is_same(put, other)).count(), |held, put| held <= put)
    }

    fn finally(&self, replica: &Replica, served: &Served<Put>) -> Result<(), String> {
        self.compare(
            replica,
            |put| served.durable().filter(|other| is_same(put, other)).count(),
            |held, put| held == put,
        )
    }
}

impl Shop {
    fn compare(
        &self,
        replica: &Replica,
        puts: impl Fn(&Put) -> usize,
        is_right: fn(usize, usize) -> bool,
    ) -> Result<(), String> {
        for number in 0..2 {
            let cart = self.cart(replica, number).map_err(|error| error.to_string())?;
            for thing in ["lamp", "pen", "book"] {
                let (held, puts) = (cart.count(thing) as usize, puts(&Put { cart: number, thing: thing.to_owned() }));
                if !is_right(held, puts) {
                    return Err(format!(
                        "cart {number} holds {held} of {thing}, which was put in {puts} times: {cart:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn is_same(put: &Put, other: &Put) -> bool {
    put.cart == other.cart && put.thing == other.thing
}

fn main() -> ExitCode {
    println!("The laws of merging, on three carts:");
    let cart = |count| Cart([("pen".to_owned(), [("r0".to_owned(), count)].into())].into());
    let carts = [cart(1), cart(2), cart(5)];
    for (name, of_both) in [("add_up", add_up as fn(u32, u32) -> u32), ("greater", greater)] {
        println!("  {name}: {:?}", merge_laws(&carts, |a, b| a.merge(b, of_both)));
    }

    println!("\nThe shop that adds up:");
    let found = match Simulation::new(&Shop { of_both: add_up }).run(0..1_000) {
        Err(found) => found,
        Ok(summary) => {
            println!("the bug was not found: {summary:?}");
            return ExitCode::FAILURE;
        }
    };
    println!("{found}");

    println!("The shop that takes the greater, in the same story and 200 others:");
    let mended = Shop { of_both: greater };
    let mended = Simulation::new(&mended);
    let again = mended.play(&found.story).failure;
    let summary = mended.run(0..200);
    println!("{again:?}, {summary:?}");
    if again.is_none() && summary.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
