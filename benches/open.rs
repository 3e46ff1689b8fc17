//! How long does it take until a large replica serves again? Opens one from its snapshot and the log behind it, and fails
//! when the bar is missed.
//!
//! ```text
//! cargo run --release -p benches --bin open [-- --quick]
//! ```
//!
//! Method: counters at 38-byte paths, in a bucket in memory; the replica is closed, which takes a snapshot, then one counter
//! in a hundred is added to, and it is dropped without being closed. It is opened again several times; the time is that on
//! the wall, and the least of them is judged, since other processes only add to it.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use replica::{Replica, Settings, blocking};
use store_object::MemoryBucket;

const BAR: Duration = Duration::from_secs(3);

fn open(bucket: &MemoryBucket) -> Result<blocking::Replica, replica::Error> {
    let mut settings = Settings::default();
    settings.snapshot_interval = Duration::from_secs(1 << 20);
    blocking::Replica::open(Replica::builder("eu-west-1", bucket.clone()).settings(settings))
}

fn path(number: usize) -> String {
    format!("players/by-region/eu-west-1/{number:010}")
}

fn main() -> Result<ExitCode, replica::Error> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rows, runs) = if quick { (20_000, 2) } else { (1_000_000, 5) };
    let bucket = MemoryBucket::new();
    let replica = open(&bucket)?;
    for number in 0..rows {
        let _written = replica.pn_counter(&path(number))?.add(number as i64)?;
    }
    replica.close()?;
    let replica = open(&bucket)?;
    for number in (0..rows).step_by(100) {
        let _written = replica.pn_counter(&path(number))?.add(1)?;
    }
    replica.flush()?;
    drop(replica);

    let mut best = Duration::MAX;
    for _ in 0..runs {
        let began = now();
        let replica = open(&bucket)?;
        best = best.min(began.elapsed());
        assert_eq!(replica.status().objects, rows, "all of it is there");
        assert_eq!(replica.pn_counter(&path(100))?.value(), 101);
    }
    println!("| what | bar | ours | |");
    println!("|---|---|---|---|");
    let met = best <= BAR;
    let verdict = if quick {
        ""
    } else if met {
        "met"
    } else {
        "MISSED"
    };
    println!("| opening {rows} counters from snapshot and tail | {BAR:?} | {best:.2?} | {verdict} |");
    Ok(if met || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> Instant {
    Instant::now()
}
