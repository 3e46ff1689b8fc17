//! A process of a region: it opens the replica, writes without a pause, and says what the bucket has acknowledged.
//!
//! It prints a line for each thing that whoever started it must know:
//!
//! | line | meaning |
//! |---|---|
//! | `open` | the replica takes writes |
//! | `acknowledged N` | its N-th change, from 0, is durable |
//! | `outcomes JSON` | what its requests have come to so far |
//! | `differs` | it has found that a peer holds something else than it does |
//! | `stopped KIND` | it does not go on, and why |

use std::{env, io::Write, process::ExitCode, time::Duration};

use replica::{Builder, ErrorKind, Replica, Settings};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::{
    counting::{Counted, Counter},
    store::{self, REGIONS},
};

/// What a worker is told by its environment.
pub(crate) const NAME: &str = "ARCHIPELAGO_CHAOS_NAME";
pub(crate) const LIFE: &str = "ARCHIPELAGO_CHAOS_LIFE";
pub(crate) const BUCKETS: &str = "ARCHIPELAGO_CHAOS_BUCKETS";
pub(crate) const KEYS: &str = "ARCHIPELAGO_CHAOS_KEYS";

/// Between two changes, and how many may wait for the bucket at once.
const PAUSE: Duration = Duration::from_millis(10);
const WAITING_MAX: usize = 256;

/// Elements lie in so many sets, so that none becomes large.
pub(crate) const SETS: u64 = 16;

/// What a worker is to do.
#[derive(Debug)]
pub(crate) struct Orders {
    name: String,
    life: u64,
    buckets: Vec<String>,
    keys: (String, String),
}

impl Orders {
    pub(crate) fn from_environment() -> Option<Self> {
        let (name, life) = (env::var(NAME).ok()?, env::var(LIFE).ok()?.parse().ok()?);
        let buckets = env::var(BUCKETS).ok()?.split(' ').map(str::to_owned).collect();
        let keys = env::var(KEYS).ok()?;
        let (access_key, secret_key) = keys.split_once(' ')?;
        Some(Self { name, life, buckets, keys: (access_key.to_owned(), secret_key.to_owned()) })
    }
}

/// Everything happens often, so that much of it happens within a minute.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(50);
    settings.poll_min = Duration::from_millis(100);
    settings.poll_max = Duration::from_secs(1);
    settings.discovery_interval = Duration::from_secs(2);
    settings.catch_up = Duration::from_secs(2);
    settings.snapshot_interval = Duration::from_secs(1);
    settings.ack_interval = Duration::from_millis(300);
    settings.retention = Duration::from_secs(1);
    settings
}

pub(crate) async fn work(orders: Orders) -> ExitCode {
    let counter = Counter::default();
    let replica = match open(&orders, &counter).await {
        Ok(replica) => replica,
        Err(says) => {
            tell_outcomes(&counter);
            say(&format!("stopped {says}"));
            return ExitCode::SUCCESS;
        }
    };
    say("open");
    tokio::spawn(tell(counter.clone(), replica.clone()));
    let kind = write(&orders, &replica).await;
    tell_outcomes(&counter);
    say(&format!("stopped {}", kind.name()));
    ExitCode::SUCCESS
}

async fn open(orders: &Orders, counter: &Counter) -> Result<Replica, String> {
    let mut buckets = Vec::new();
    for url in &orders.buckets {
        let bucket = store::open(url, &orders.keys.0, &orders.keys.1).await?.answer_within(Duration::from_secs(2));
        buckets.push(Some(Counted::new(bucket, counter)));
    }
    let home = REGIONS.iter().position(|region| *region == orders.name).ok_or("no such region")?;
    let own = buckets[home].take().ok_or("no bucket")?;
    let mut builder: Builder = Replica::builder(&orders.name, own).settings(settings());
    for (region, bucket) in REGIONS.into_iter().zip(buckets) {
        if let Some(bucket) = bucket {
            builder = builder.peer(region, bucket);
        }
    }
    // The store may fail for as long as it likes; whoever watches over a process starts it again.
    builder.open().await.map_err(|error| error.kind().name().to_owned())
}

async fn write(orders: &Orders, replica: &Replica) -> ErrorKind {
    let (name, life) = (&orders.name, orders.life);
    let mut waiting = JoinSet::new();
    let (stop, mut stopped) = mpsc::unbounded_channel();
    let mut number: u64 = 0;
    loop {
        let element = format!("{name}/{life}/{number}");
        let written = replica.batch(|batch| {
            batch.pn_counter("likes").add(1);
            batch.g_counter(&format!("by/{name}")).add(1);
            batch.or_set(&format!("seen/{}", number % SETS)).add(&*element);
            batch.lww_register("last").set(&*element);
            batch.pn_counter("deleted").add(1);
            if number.is_multiple_of(5) {
                batch.or_set("cart").add(&*format!("thing {}", number % 20));
            }
            if number.is_multiple_of(7) {
                batch.or_set("cart").remove(&*format!("thing {}", number % 20));
            }
            if number.is_multiple_of(11) {
                batch.delete("deleted");
            }
            Ok(())
        });
        match written {
            Ok(written) => {
                let stop = stop.clone();
                waiting.spawn(async move {
                    match written.durable().await {
                        Ok(()) => say(&format!("acknowledged {number}")),
                        Err(error) => _ = stop.send(error.kind()),
                    }
                });
                number += 1;
            }
            Err(error) if matches!(error.kind(), ErrorKind::Backpressure | ErrorKind::ClockSkew) => {
                sleep(PAUSE * 10).await;
            }
            Err(error) => return error.kind(),
        }
        if let Ok(kind) = stopped.try_recv() {
            return kind;
        }
        while waiting.len() >= WAITING_MAX {
            tokio::select! {
                _ = waiting.join_next() => {}
                Some(kind) = stopped.recv() => return kind,
            }
        }
        while waiting.try_join_next().is_some() {}
        sleep(PAUSE).await;
    }
}

async fn tell(counter: Counter, replica: Replica) {
    let mut differs = false;
    loop {
        sleep(Duration::from_millis(500)).await;
        tell_outcomes(&counter);
        if !differs && replica.status().logs.iter().any(|log| log.agrees == Some(false)) {
            differs = true;
            say("differs");
        }
    }
}

fn tell_outcomes(counter: &Counter) {
    say(&format!("outcomes {}", serde_json::json!(counter.counted())));
}

/// A whole line at once: it may be the last.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
