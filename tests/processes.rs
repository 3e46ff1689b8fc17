//! Real processes on real directories, killed at random.
//!
//! Goal: what holds in the simulator holds where there is no simulator: files, fsync, hard links, SIGKILL, and two processes
//! of one name. Method: this test starts itself as a worker, which counts, prints what was acknowledged, and is killed; in
//! the end three replicas are opened here and must agree with each other and with what was printed.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use replica::{Builder, ErrorKind, Replica, Settings, blocking};
use store_object::{FolderHints, LocalBucket};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-1"];

/// What a worker is told by its environment.
const HOME: &str = "ARCHIPELAGO_TEST_HOME";
const NAME: &str = "ARCHIPELAGO_TEST_NAME";
const LIFE: &str = "ARCHIPELAGO_TEST_LIFE";

fn builder(home: &Path, name: &str) -> Builder {
    let bucket = |region: &str| LocalBucket::open(home.join(region)).expect("a bucket");
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(5);
    settings.poll_min = Duration::from_millis(20);
    settings.poll_max = Duration::from_millis(200);
    settings.discovery_interval = Duration::from_millis(500);
    settings.snapshot_interval = Duration::from_millis(100);
    settings.ack_interval = Duration::from_millis(100);
    settings.retention = Duration::from_millis(200);
    let mut builder = Replica::builder(name, bucket(name)).settings(settings);
    for peer in REGIONS.into_iter().filter(|peer| *peer != name) {
        let hints = FolderHints::watch(home.join(peer)).expect("a folder that can be watched");
        builder = builder.peer(peer, bucket(peer)).hints(hints);
    }
    builder
}

/// The worker: not a test, unless it is told what to do.
#[test]
fn worker() {
    let (Ok(home), Ok(name), Ok(life)) = (env::var(HOME), env::var(NAME), env::var(LIFE)) else { return };
    let replica = blocking::Replica::open(builder(Path::new(&home), &name)).expect("it opens");
    for number in 0.. {
        let element = format!("{name}/{life}/{number}");
        let written = replica.batch(|batch| {
            batch.pn_counter("likes").add(1);
            batch.or_set("seen").add(&*element);
            batch.pn_counter("deleted").add(1);
            Ok(())
        });
        if number % 7 == 0 {
            let _deleted = replica.delete("deleted");
        }
        match written.and_then(|written| replica.durable(written)) {
            Ok(()) => println!("acknowledged {element}"),
            Err(error) => {
                println!("stopped {}", error.kind().name());
                return;
            }
        }
    }
}

struct Worker(Child);

impl Worker {
    fn start(home: &Path, name: &str, life: usize) -> Self {
        let worker = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "worker", "--nocapture", "--test-threads", "1"])
            .env(HOME, home)
            .env(NAME, name)
            .env(LIFE, life.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(worker.expect("a process"))
    }

    /// Kills it, and returns what it has printed.
    fn kill(mut self) -> Vec<String> {
        // SIGKILL: it has no time for anything.
        self.0.kill().expect("it can be killed");
        self.printed()
    }

    fn printed(&mut self) -> Vec<String> {
        let printed = BufReader::new(self.0.stdout.take().expect("it prints"));
        // A process can be killed while it prints: the end of the last line may be missing.
        let mut lines: Vec<String> = printed.lines().map_while(Result::ok).collect();
        if lines.last().is_some_and(|last| !last.ends_with(|end: char| end.is_ascii_alphanumeric())) {
            lines.pop();
        }
        self.0.wait().expect("it ends");
        lines
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn acknowledged(lines: &[String]) -> impl Iterator<Item = &str> {
    // The harness prints on the same line as the first of ours.
    lines.iter().filter_map(|line| line.split_once("acknowledged ").map(|(_, element)| element))
}

/// Opens every region, lets them read each other, and returns what each of them holds.
fn settle(home: &Path) -> Vec<(i128, BTreeSet<String>, i128)> {
    let replicas: Vec<blocking::Replica> =
        REGIONS.iter().map(|name| blocking::Replica::open(builder(home, name)).expect("it opens")).collect();
    let mut everything = replica::Token::default();
    replicas.iter().for_each(|replica| everything.join(&replica.token()));
    let hold = |replica: &blocking::Replica| {
        assert!(replica.wait_for(&everything, Duration::from_secs(60)).expect("it runs"), "it catches up");
        let seen = replica.or_set::<str>("seen").expect("a path").elements().expect("text");
        let count = |path| replica.pn_counter(path).expect("a path").value();
        (count("likes"), seen.into_iter().collect(), count("deleted"))
    };
    let held = replicas.iter().map(hold).collect();
    replicas.into_iter().for_each(|replica| replica.close().expect("it is closed"));
    held
}

#[test]
fn processes_that_are_killed_lose_nothing_that_was_acknowledged() {
    let home = tempfile::tempdir().expect("a directory");
    REGIONS.iter().for_each(|name| drop(LocalBucket::open(home.path().join(name)).expect("a bucket")));
    let mut told: BTreeSet<String> = BTreeSet::new();
    let mut workers: Vec<Worker> = REGIONS.iter().map(|name| Worker::start(home.path(), name, 0)).collect();
    for life in 1..=12 {
        std::thread::park_timeout(Duration::from_millis(150 + 37 * (life as u64 % 5)));
        let region = life % 3;
        let lines = std::mem::replace(&mut workers[region], Worker::start(home.path(), REGIONS[region], life)).kill();
        told.extend(acknowledged(&lines).map(str::to_owned));
    }
    std::thread::park_timeout(Duration::from_millis(500));
    for worker in workers {
        told.extend(acknowledged(&worker.kill()).map(str::to_owned));
    }
    assert!(told.len() > 50, "{} were acknowledged", told.len());
    let held = settle(home.path());
    assert!(held.iter().all(|here| *here == held[0]), "{held:?}");
    let (likes, seen, _) = &held[0];
    assert_eq!(*likes, seen.len() as i128, "each came with an element");
    let lost: Vec<_> = told.difference(seen).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[test]
fn of_two_processes_of_one_name_the_first_is_told() {
    let home = tempfile::tempdir().expect("a directory");
    REGIONS.iter().for_each(|name| drop(LocalBucket::open(home.path().join(name)).expect("a bucket")));
    let mut first = Worker::start(home.path(), REGIONS[0], 1);
    std::thread::park_timeout(Duration::from_millis(500));
    let second = Worker::start(home.path(), REGIONS[0], 2);
    let lines = first.printed();
    let fenced = ErrorKind::Fenced.name();
    assert!(lines.iter().any(|line| line.ends_with(&format!("stopped {fenced}"))), "{lines:?}");
    std::thread::park_timeout(Duration::from_millis(500));
    let more = second.kill();
    let told: BTreeSet<String> = acknowledged(&lines).chain(acknowledged(&more)).map(str::to_owned).collect();
    assert!(acknowledged(&more).count() > 5, "{more:?}");
    let held = settle(home.path());
    assert!(told.is_subset(&held[0].1));
}
