//! Three regions count the points of a game, each alone, and end up with the same table.
//!
//! `cargo run --release -p replica --example leaderboard`
//!
//! Each region has a directory for its bucket. In production these are three regions of an object store, and nothing else
//! changes.

use std::{error::Error, time::Duration};

use replica::{Leaderboard, Replica, Settings, Token};
use store_object::LocalBucket;

const BOARD: &str = "board/daily/";
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-1"];
/// Who scores where. Bea plays in all three.
const POINTS: [&[(&str, i64)]; 3] = [
    &[("ada", 120), ("bea", 40), ("cyd", 75), ("ada", 15)],
    &[("bea", 90), ("dov", 130), ("dov", -10)],
    &[("eli", 60), ("bea", 25), ("cyd", 30)],
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let mut buckets = Vec::new();
    for region in REGIONS {
        buckets.push((region, LocalBucket::open(home.path().join(region))?));
    }
    let mut replicas = Vec::new();
    let mut boards = Vec::new();
    for (region, bucket) in &buckets {
        let mut builder = Replica::builder(region, bucket.clone()).settings(quick());
        for (peer, bucket) in buckets.iter().filter(|(peer, _)| peer != region) {
            builder = builder.peer(peer, bucket.clone());
        }
        let replica = builder.open().await?;
        boards.push(replica.leaderboard(BOARD)?);
        replicas.push(replica);
    }

    // Nobody is asked: each region counts at once, in memory.
    for ((replica, board), points) in replicas.iter().zip(&boards).zip(POINTS) {
        for (player, points) in points {
            replica.pn_counter(&format!("{BOARD}{player}"))?.add(*points)?;
        }
        print("alone", replica, board);
    }

    // What is flushed is in the bucket, and in the token. Whoever waits for the token has applied it.
    let mut everything = Token::default();
    for replica in &replicas {
        replica.flush().await?;
        everything.join(&replica.token());
    }
    for (replica, board) in replicas.iter().zip(&boards) {
        replica.wait_for(&everything).await?;
        print("together", replica, board);
    }
    let tables: Vec<_> = boards.iter().map(table).collect();
    assert!(tables.iter().all(|table| *table == tables[0]), "the regions have converged");

    for replica in &replicas {
        replica.close().await?;
    }
    Ok(())
}

/// The players by their points, the first first.
fn table(board: &Leaderboard) -> Vec<(i128, String)> {
    let player = |path: &str| path.trim_start_matches(BOARD).to_owned();
    board.top(10).iter().map(|ranked| (ranked.value, player(ranked.key.path()))).collect()
}

fn print(when: &str, replica: &Replica, board: &Leaderboard) {
    println!("{} {when}", replica.name());
    for (place, (points, player)) in table(board).iter().enumerate() {
        println!("  {}. {player:<4}{points:>5}", place + 1);
    }
}

/// Nobody waits long for an example.
fn quick() -> Settings {
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(100);
    settings.poll_min = Duration::from_millis(20);
    settings.poll_max = Duration::from_millis(200);
    settings.discovery_interval = Duration::from_millis(200);
    settings
}
