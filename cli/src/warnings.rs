//! What is wrong and stops nothing: told on standard error, once each, and as objects where objects are wanted.

use std::{collections::BTreeSet, time::Duration};

use replica::Replica;
use serde_json::json;
use tokio::time::sleep;

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// What has been told.
#[derive(Debug)]
pub(crate) struct Warnings {
    json: bool,
    told: BTreeSet<String>,
}

impl Warnings {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json, told: BTreeSet::new() }
    }

    /// Tells something.
    pub(crate) fn say(&self, says: &str) {
        if self.json {
            anstream::eprintln!("{}", json!({"warning": says}));
        } else {
            anstream::eprintln!("\x1b[33mwarning:\x1b[0m {says}");
        }
    }

    /// Tells the alarms of a replica. One that stands is told once, and again when it has passed and is back.
    pub(crate) fn alarms(&mut self, replica: &Replica) {
        let standing = replica.status().alarms.into_iter();
        let standing = standing.map(|(place, kind, says)| format!("{place}: {}: {says}", kind.name())).collect();
        for alarm in BTreeSet::difference(&standing, &self.told) {
            self.say(alarm);
        }
        self.told = standing;
    }

    /// The same for ever, as soon as something is wrong.
    pub(crate) async fn keep_telling(&mut self, replica: &Replica) -> ! {
        loop {
            self.alarms(replica);
            sleep(LOOK).await;
        }
    }
}
