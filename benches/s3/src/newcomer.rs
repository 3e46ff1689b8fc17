//! A new replica in a process of its own, so that its memory can be told from the servers'.

use std::{process::Stdio, time::Duration};

use replica::Replica;
use store_s3::{S3Bucket, S3Url};
use tokio::{process::Command, time::Instant};

use crate::world::{READER, World};

/// The word that makes this program a newcomer.
pub(crate) const WORD: &str = "newcomer";

/// What a newcomer says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) opened_in: Duration,
    pub(crate) objects: usize,
    /// Resident bytes, at most until all was there.
    pub(crate) peak: u64,
    /// Resident bytes when all was there.
    pub(crate) after: u64,
}

/// Starts a newcomer, and waits for its end.
pub(crate) async fn start(world: &World, peer: &str) -> Told {
    let keys = world.account.admin();
    let own = world.url(READER).to_string();
    let program = std::env::current_exe().expect("a program");
    let mut command = Command::new(program);
    command.args([WORD, &own, peer]).stdout(Stdio::piped()).kill_on_drop(true);
    command.env("AWS_ACCESS_KEY_ID", keys.access_key).env("AWS_SECRET_ACCESS_KEY", keys.secret_key);
    let ended = tokio::time::timeout(Duration::from_secs(120), command.output()).await.expect("it ends in time");
    let ended = ended.expect("it starts");
    assert!(ended.status.success(), "a newcomer failed: {}", ended.status);
    let said = String::from_utf8(ended.stdout).expect("text");
    let figures: Vec<u64> = said.split_whitespace().map(|figure| figure.parse().expect("a number")).collect();
    let [nanos, objects, peak, after] = *figures else { panic!("four figures: {said}") };
    Told { opened_in: Duration::from_nanos(nanos), objects: objects as usize, peak, after }
}

/// Opens a new replica, reads all that its peer holds, and prints what that took.
pub(crate) async fn begin(own: &str, peer: &str) {
    let bucket = async |url: &str| {
        let url: S3Url = url.parse().expect("a bucket");
        S3Bucket::open(&url).await.expect("a bucket")
    };
    let (own, peer) = (bucket(own).await, bucket(peer).await);
    let from = Instant::now();
    let mut settings = replica::Settings::default();
    settings.catch_up = Duration::from_secs(60);
    let replica = Replica::builder(READER, own).peer("peer", peer).settings(settings).open().await.expect("it opens");
    let took = from.elapsed();
    let (peak, after) = (of_process("VmHWM:"), of_process("VmRSS:"));
    let objects = replica.scan("").count();
    println!("{} {objects} {peak} {after}", took.as_nanos());
}

/// A figure that Linux gives of this process, in bytes.
fn of_process(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says what a process takes");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it says this");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kib * 1_024
}
