//! The live views of whole replicas: leaderboards and watches.
//!
//! Goal: a leaderboard is at every moment what a scan and a sort would give, whatever brought the changes, and a read of it
//! visits O(log n + k); a watch tells each visible change, coalesced, in bounded memory. Method: replicas in the simulator
//! that are cut off from each other for so long that they come back through snapshots; and single replicas whose every
//! change is looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use futures_lite::future::block_on;
use replica::{
    Event, Kind, Leaderboard, Origin, Ranked, Replica, Settings, Value, WATCH_KEYS_MAX, Watch, key::ObjectKey,
};
use sim::{Executor, Faults, Random, SimBucket, SimClock, World};
use store_object::MemoryBucket;
use tests::stage::{builder, short_settings};

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
const LONG: Duration = Duration::from_secs(3_600);

fn settings() -> Settings {
    let mut settings = short_settings();
    settings.catch_up = Duration::from_secs(5);
    settings.max_lag = Duration::from_secs(5);
    settings
}

/// The links of each region to the bucket of each.
fn links(world: &World) -> Vec<Vec<SimBucket>> {
    let buckets = REGIONS.map(|region| SimBucket::new(world, region, Faults::none()));
    let links = |from: &str| {
        let link = |(bucket, to): (&SimBucket, &str)| bucket.link(&format!("{to} from {from}"), Faults::none());
        buckets.iter().zip(REGIONS).map(link).collect()
    };
    REGIONS.map(links).into()
}

async fn open(region: usize, links: &[SimBucket], world: &World) -> Replica {
    let builder = builder(REGIONS[region], region, links, &SimClock::new(world), world, 0);
    builder.settings(settings()).open().await.expect("it opens")
}

/// A replica that nobody runs: it is written to and read, and that is all.
fn alone() -> Replica {
    let mut executor = Executor::new(1);
    let world = executor.world().clone();
    let links = links(&world).remove(0);
    executor.run(LONG, async move { open(0, &links, &world).await }).expect("it opens")
}

/// Replicas in both regions, running.
fn pair(seed: u64) -> (Executor, Vec<Vec<SimBucket>>, [Replica; 2]) {
    let mut executor = Executor::new(seed);
    let world = executor.world().clone();
    let links = links(&world);
    let replicas = [0, 1].map(|region| {
        let (world, links) = (world.clone(), links[region].clone());
        let replica = executor.run(LONG, async move { open(region, &links, &world).await }).expect("it opens");
        let place = executor.region(REGIONS[region]);
        let background = replica.clone();
        executor.spawn(place, async move { background.run().await });
        replica
    });
    (executor, links, replicas)
}

fn origin(region: usize) -> Origin {
    Origin::Replica(REGIONS[region].parse().expect("a name"))
}

/// What a board must be: every live counter under the prefix, sorted.
fn sorted(replica: &Replica, prefix: &str) -> Vec<Ranked> {
    let counter = |(key, value): (ObjectKey, Value)| match value {
        Value::GCounter(value) => Some((-i128::try_from(value).expect("small"), key)),
        Value::PnCounter(value) => Some((-value, key)),
        _ => None,
    };
    let mut counters: Vec<_> = replica.scan(prefix).filter_map(counter).collect();
    counters.sort();
    let ranked = |(at, (value, key)): (usize, (i128, ObjectKey))| Ranked { rank: at + 1, key, value: -value };
    counters.into_iter().enumerate().map(ranked).collect()
}

#[track_caller]
fn check(replica: &Replica, board: &Leaderboard) {
    let expected = sorted(replica, board.prefix());
    assert_eq!(board.top(usize::MAX), expected);
    assert_eq!(board.top(3), expected[..expected.len().min(3)]);
    for count in [0, 1, 3, usize::MAX] {
        assert_eq!(replica.top(board.prefix(), count).expect("a prefix"), expected[..expected.len().min(count)]);
    }
    assert_eq!((board.len(), board.is_empty()), (expected.len(), expected.is_empty()));
    assert_eq!(board.sum(), expected.iter().map(|ranked| ranked.value).sum::<i128>());
    for (at, ranked) in expected.iter().enumerate() {
        let path = ranked.key.path();
        let other = expected[..at].iter().find(|better| better.key.path() == path);
        assert_eq!(board.rank(path).as_ref(), other.or(Some(ranked)));
        if other.is_none() {
            assert_eq!(board.around(path, 1), expected[at.saturating_sub(1)..expected.len().min(at + 2)]);
        }
    }
    assert_eq!((board.rank("few/none"), board.around("few/none", 9)), (None, Vec::new()));
}

/// Something happens to one of a few objects of every kind.
fn meddle(replica: &Replica, random: &mut Random) {
    let path = format!("few/{}", random.below(6));
    let small = random.below(4);
    let _done = match random.below(12) {
        0 | 1 => replica.g_counter(&path).expect("a path").add(small).map(drop),
        2..=4 => replica.pn_counter(&path).expect("a path").add(random.below(9) as i64 - 4).map(drop),
        5 => replica.or_set(&path).expect("a path").add(&small).map(drop),
        6 => replica.or_set(&path).expect("a path").remove(&small).map(drop),
        7 => replica.lww_register(&path).expect("a path").set(&small).map(drop),
        8 => replica.mv_register(&path).expect("a path").set(&small).map(drop),
        // Elsewhere: nobody looks.
        9 => replica.pn_counter("other").expect("a path").add(1).map(drop),
        _ => replica.delete(&path).map(drop),
    };
}

/// What somebody knows who reads everything once and then listens.
struct Mirror {
    replica: Replica,
    watch: Watch,
    held: BTreeMap<ObjectKey, Value>,
    origins: BTreeSet<String>,
}

impl Mirror {
    fn new(replica: &Replica) -> Self {
        let watch = replica.watch("few/");
        let mut mirror = Self { replica: replica.clone(), watch, held: BTreeMap::new(), origins: BTreeSet::new() };
        mirror.read();
        mirror
    }

    fn read(&mut self) {
        self.held = self.replica.scan("few/").collect();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Lagged => self.read(),
            Event::Changed { key, value, origin } => {
                self.origins.insert(format!("{origin:?}"));
                match value {
                    Some(value) => drop(self.held.insert(key, value)),
                    None => drop(self.held.remove(&key)),
                }
            }
        }
    }
}

fn run(seed: u64) -> [BTreeSet<String>; 2] {
    let (mut executor, links, replicas) = pair(seed);
    let world = executor.world().clone();
    let cut = Duration::from_secs(12)..Duration::from_secs(40);
    links[0][1].unreachable(cut.clone());
    links[1][0].unreachable(cut);
    let mirrors: Vec<Arc<Mutex<Mirror>>> =
        replicas.iter().map(|replica| Arc::new(Mutex::new(Mirror::new(replica)))).collect();
    for ((replica, mirror), region) in replicas.iter().zip(&mirrors).zip(REGIONS) {
        let board = replica.leaderboard("few/").expect("a prefix");
        let place = executor.region(format!("views of {region}"));
        let (writer, writers_board, sleeper) = (replica.clone(), board.clone(), world.clone());
        let mut random = world.random(&format!("driver {region}"));
        executor.spawn(place, async move {
            while sleeper.now() < Duration::from_secs(60) {
                meddle(&writer, &mut random);
                check(&writer, &writers_board);
                sleeper.sleep(Duration::from_millis(20 + random.below(200))).await;
            }
        });
        let (reader, mirror) = (replica.clone(), mirror.clone());
        let mut watch = replica.watch("");
        executor.spawn(place, async move {
            while watch.next().await.is_some() {
                check(&reader, &board);
                let mut mirror = mirror.lock().expect("not poisoned");
                while let Some(event) = ready(&mut mirror.watch) {
                    mirror.take(event);
                }
            }
        });
    }
    executor.run_until(Duration::from_secs(120));
    assert!(replicas[0].scan("").eq(replicas[1].scan("")), "seed {seed}");
    for (mirror, replica) in mirrors.iter().zip(&replicas) {
        let mirror = mirror.lock().expect("not poisoned");
        let held: BTreeMap<_, _> = replica.scan("few/").collect();
        assert_eq!(mirror.held, held, "seed {seed}: a watch has missed something");
        check(replica, &replica.leaderboard("few/").expect("a prefix"));
    }
    [0, 1].map(|region| mirrors[region].lock().expect("not poisoned").origins.clone())
}

#[test]
fn boards_and_watches_follow_local_and_remote_changes_and_snapshots() {
    for seed in 0..10 {
        let origins = run(seed);
        for (origins, peer) in origins.iter().zip([1, 0]) {
            let expected = [Origin::Here, origin(peer), Origin::Snapshot].map(|origin| format!("{origin:?}"));
            assert_eq!(*origins, expected.into_iter().collect(), "seed {seed}");
        }
    }
}

/// The next event, if it is there.
fn ready(watch: &mut Watch) -> Option<Event> {
    match pin!(watch.next()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(event)) => Some(event),
        Poll::Ready(None) => panic!("the replica has stopped"),
        Poll::Pending => None,
    }
}

fn changed(path: &str, value: Value, origin: Origin) -> Option<Event> {
    let kind = match value {
        Value::GCounter(_) => Kind::GCounter,
        Value::PnCounter(_) => Kind::PnCounter,
        Value::LwwRegister(_) => Kind::LwwRegister,
        Value::MvRegister(_) => Kind::MvRegister,
        Value::OrSet(_) => Kind::OrSet,
    };
    Some(Event::Changed { key: ObjectKey::new(path, kind).expect("a path"), value: Some(value), origin })
}

fn gone(path: &str, kind: Kind) -> Option<Event> {
    Some(Event::Changed { key: ObjectKey::new(path, kind).expect("a path"), value: None, origin: Origin::Here })
}

#[test]
fn several_changes_are_told_once_with_the_value_of_the_moment_and_in_the_order_of_the_first() {
    let replica = alone();
    let mut watch = replica.watch("a/");
    let (likes, cart) = (replica.pn_counter("a/likes").unwrap(), replica.or_set("a/cart").unwrap());
    let _w = likes.add(1).unwrap();
    let _w = cart.add("lamp").unwrap();
    let _w = likes.add(2).unwrap();
    let _w = replica.pn_counter("b/likes").unwrap().add(1).unwrap();
    assert_eq!(ready(&mut watch), changed("a/likes", Value::PnCounter(3), Origin::Here));
    let _w = cart.add("mug").unwrap();
    let elements = vec![b"lamp".as_slice().into(), b"mug".as_slice().into()];
    assert_eq!(ready(&mut watch), changed("a/cart", Value::OrSet(elements), Origin::Here));
    assert_eq!(ready(&mut watch), None);
    let _w = likes.add(1).unwrap();
    assert_eq!(ready(&mut watch), changed("a/likes", Value::PnCounter(4), Origin::Here));
    let _w = replica.batch(|batch| {
        batch.pn_counter("a/likes").delete();
        batch.or_set::<str>("a/cart").delete();
        Ok(())
    });
    assert_eq!(ready(&mut watch), gone("a/likes", Kind::PnCounter));
    assert_eq!(ready(&mut watch), gone("a/cart", Kind::OrSet));
    assert_eq!(ready(&mut watch), None);
}

#[test]
fn what_leaves_the_value_as_it_was_is_not_told() {
    let replica = alone();
    let (likes, cart) = (replica.pn_counter("likes").unwrap(), replica.or_set("cart").unwrap());
    let name = replica.lww_register("name").unwrap();
    let _w = (likes.add(1).unwrap(), cart.add("lamp").unwrap(), name.set("Ada").unwrap());
    let mut watch = replica.watch("");
    let _w = (likes.add(0).unwrap(), cart.add("lamp").unwrap(), name.set("Ada").unwrap());
    let _w = (cart.remove("mug").unwrap(), replica.delete("nothing").unwrap());
    likes.add(i64::MIN).and_then(|_| likes.add(i64::MIN)).expect_err("it overflows");
    assert_eq!(ready(&mut watch), changed("likes", Value::PnCounter(1 + i128::from(i64::MIN)), Origin::Here));
    assert_eq!(ready(&mut watch), None);
    // A counter at zero is there; one that was deleted is not.
    let _w = likes.delete().unwrap();
    assert_eq!(ready(&mut watch), gone("likes", Kind::PnCounter));
    let _w = (likes.delete().unwrap(), likes.add(1).unwrap(), likes.add(-1).unwrap());
    assert_eq!(ready(&mut watch), changed("likes", Value::PnCounter(0), Origin::Here));
}

/// The same counter died in both regions, and each drops its tally when the other has acknowledged that.
#[test]
fn a_purge_and_what_was_known_before_are_not_told() {
    let (mut executor, _, [eu, us]) = pair(3);
    let _w = (eu.pn_counter("likes").unwrap().add(1).unwrap(), eu.or_set::<str>("cart").unwrap().add("lamp").unwrap());
    let mut watch = us.watch("");
    executor.pass(Duration::from_secs(5));
    // A set is merged when its row is reached, a counter with its batch.
    assert_eq!(ready(&mut watch), changed("cart", Value::OrSet(vec![b"lamp".as_slice().into()]), origin(0)));
    assert_eq!(ready(&mut watch), changed("likes", Value::PnCounter(1), origin(0)));
    let _w = (eu.delete("likes").unwrap(), eu.or_set::<str>("cart").unwrap().add("lamp").unwrap());
    let _w = us.delete("likes").unwrap();
    assert_eq!(ready(&mut watch), gone("likes", Kind::PnCounter));
    executor.pass(Duration::from_secs(60));
    assert_eq!([eu.status().dead_tallies, us.status().dead_tallies], [0, 0], "they are purged");
    assert_eq!(ready(&mut watch), None);
}

#[test]
fn a_watcher_that_is_too_slow_is_told_once_and_goes_on() {
    let replica = alone();
    let mut watch = replica.watch("");
    let counter = |number: usize| replica.g_counter(&format!("{number:05}")).unwrap();
    let count = |numbers: std::ops::Range<usize>| numbers.for_each(|number| drop(counter(number).add(1).unwrap()));
    // What waits already takes no room.
    count(0..WATCH_KEYS_MAX);
    count(0..WATCH_KEYS_MAX);
    for number in 0..WATCH_KEYS_MAX {
        assert_eq!(ready(&mut watch), changed(&format!("{number:05}"), Value::GCounter(2), Origin::Here));
    }
    assert_eq!(ready(&mut watch), None);
    for round in 1..4 {
        // Twice as many as there is room for, and more before it looks.
        count(0..2 * WATCH_KEYS_MAX);
        count(0..10);
        assert_eq!(ready(&mut watch), Some(Event::Lagged));
        assert_eq!(ready(&mut watch), None);
        count(7..8);
        let value = Value::GCounter(2 + 3 * round);
        assert_eq!(ready(&mut watch), changed("00007", value, Origin::Here));
        assert_eq!(ready(&mut watch), None);
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn dropping_a_watch_ends_it() {
    let replica = alone();
    let counter = replica.g_counter("a").unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut watch = replica.watch("");
    let waits = |watch: &mut Watch| pin!(watch.next()).poll(&mut Context::from_waker(&waker)).is_pending();
    assert!(waits(&mut watch));
    let _w = (counter.add(1).unwrap(), counter.add(1).unwrap());
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "woken by the first");
    assert!(ready(&mut watch).is_some() && waits(&mut watch));
    drop(watch);
    let _w = counter.add(1).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    drop(waker);
    let left: Weak<Count> = Arc::downgrade(&count);
    drop(count);
    assert_eq!(left.strong_count(), 0, "nothing of the watch is left");
}

#[test]
fn a_watch_ends_with_its_replica() {
    let (mut executor, links, [eu, us]) = pair(5);
    let mut watch = eu.watch("");
    let world = executor.world().clone();
    let again = links[0].clone();
    let _second = executor.run(LONG, async move { open(0, &again, &world).await }).expect("it takes the log over");
    let _w = eu.g_counter("a").unwrap().add(1).unwrap();
    executor.pass(Duration::from_secs(5));
    assert!(eu.status().ended.is_some(), "it was fenced");
    assert_eq!(block_on(watch.next()), changed("a", Value::GCounter(1), Origin::Here));
    assert_eq!(block_on(watch.next()), None);
    assert_eq!(block_on(eu.watch("").next()), None);
    let mut watch = us.watch("");
    executor.run(LONG, async move { us.close().await }).expect("it ends").expect("it closes");
    assert_eq!(block_on(watch.next()), None);
}

#[test]
fn a_watch_can_be_waited_for_without_async() {
    let replica = replica::blocking::Replica::open(Replica::builder("ann", MemoryBucket::new())).expect("it opens");
    let mut watch = replica.watch("a");
    let _w = replica.g_counter("a").unwrap().add(1).unwrap();
    assert_eq!(replica.next(&mut watch).unwrap(), changed("a", Value::GCounter(1), Origin::Here));
    replica.close().expect("it closes");
    assert_eq!(replica.next(&mut watch).unwrap(), None);
}

#[test]
fn a_watch_wakes_a_thread_and_writers_on_several_threads_leave_a_board_that_is_right() {
    let replica = alone();
    let per_thread: u64 = 5_000;
    thread::scope(|scope| {
        for thread in 0..3 {
            let replica = &replica;
            scope.spawn(move || {
                let mut random = Random::named(thread, "writer");
                for _ in 0..per_thread {
                    let path = format!("board/{}", random.below(300));
                    let counter = replica.pn_counter(&path).unwrap();
                    let _w = if random.below(8) == 0 {
                        counter.delete().map(drop)
                    } else {
                        counter.add(random.below(9) as i64).map(drop)
                    };
                }
                let _w = replica.g_counter("end").unwrap().add(1).unwrap();
            });
        }
        // It is made while they write, again and again.
        for _ in 0..20 {
            let board = replica.leaderboard("board/").unwrap();
            let same = replica.leaderboard("board/").unwrap();
            assert!(board.top(10).is_sorted_by(|left, right| left.value >= right.value) && same.len() <= 300);
        }
        let board = replica.leaderboard("board/").unwrap();
        let mut watch = replica.watch("end");
        while replica.g_counter("end").unwrap().value() < 3 {
            assert!(matches!(block_on(watch.next()), Some(Event::Changed { .. })));
        }
        check(&replica, &board);
        check(&replica, &replica.leaderboard("").unwrap());
    });
}

#[test]
fn handles_of_one_prefix_share_a_board_as_long_as_there_is_one() {
    let replica = alone();
    (0..100).for_each(|number| drop(replica.g_counter(&format!("a/{number}")).unwrap().add(number + 1).unwrap()));
    let first = replica.leaderboard("a/").unwrap();
    let made = first.visited();
    let second = replica.leaderboard("a/").unwrap();
    assert_eq!(second.visited(), made, "it was not made again");
    let other = replica.leaderboard("a").unwrap();
    drop(first);
    let _w = replica.g_counter("a/7").unwrap().add(1_000).unwrap();
    for board in [&second, &second.clone(), &other] {
        assert_eq!((board.top(1)[0].key.path(), board.len()), ("a/7", 100));
    }
    let before = second.visited();
    assert!(before > made);
    drop(second);
    assert!(replica.leaderboard("a/").unwrap().visited() <= made + 100, "it was made anew");
    assert!(replica.leaderboard("a\n").is_err() && replica.top("a\n", 1).is_err());
    assert!(replica.leaderboard(&"a".repeat(1_025)).is_err());
}

#[test]
fn a_read_after_a_change_visits_few_entries() {
    let replica = alone();
    let path = |number: u64| format!("board/{number:06}");
    let board = replica.leaderboard("board/").unwrap();
    let mut random = Random::named(1, "scores");
    let mut next = 0;
    for n in [1_000_u64, 10_000, 100_000] {
        while next < n {
            let _w = replica.pn_counter(&path(next)).unwrap().add(random.below(1 << 20) as i64).unwrap();
            next += 1;
        }
        let log = u64::from(n.ilog2()) + 1;
        for _ in 0..1_000 {
            let changed = path(random.below(n));
            let before = board.visited();
            let _w = replica.pn_counter(&changed).unwrap().add(random.below(1 << 20) as i64 - (1 << 19)).unwrap();
            let updated = board.visited();
            let top = board.top(10);
            let read = board.visited();
            let rank = board.rank(&changed).unwrap().rank;
            let ranked = board.visited();
            let around = board.around(&changed, 10);
            assert!(updated - before <= 4 * log, "an update among {n}: {}", updated - before);
            assert!(read - updated <= 10 + log, "the first ten of {n}: {}", read - updated);
            assert!(ranked - read <= 16 * log, "a rank among {n}: {}", ranked - read);
            assert!(board.visited() - ranked <= 21 + 16 * log, "around one of {n}: {}", board.visited() - ranked);
            assert!(top.len() == 10 && around.iter().any(|ranked| ranked.rank == rank));
        }
    }
    assert_eq!(board.top(usize::MAX), sorted(&replica, "board/"));
}
