//! What replicas say to the log: whose event it is, always; what users keep in them, never.
//!
//! Paths and values are the users' own, and logs go where buckets do not. Method: replicas that keep nothing but words that
//! cannot come from anywhere else, and meet whatever makes them speak: snapshots, damage, lost history, refusals, evictions.

use std::{
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use replica::MarkValue;
use sim::{Damage, Image};
use tests::stage::{Actor, Stage};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Stands in every path, element, value and mark.
const SECRET: &str = "z8q";

/// Keeps every event.
struct Listener;

static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());

#[derive(Clone, Debug, Default)]
struct Heard {
    level: Option<Level>,
    replica: Option<String>,
    says: String,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("replica")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut heard = Heard { level: Some(*event.metadata().level()), ..Heard::default() };
        event.record(&mut heard);
        HEARD.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _always_fits = write!(self.says, " {}={value:?}", field.name());
        if field.name() == "replica" {
            self.replica = Some(format!("{value:?}"));
        }
    }
}

/// What has been heard since this was asked last.
fn heard() -> Vec<Heard> {
    std::mem::take(&mut *HEARD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Every kind of object, with nothing but secrets, and what is refused.
fn write(actor: &Actor, round: i64) {
    let path = |kind: &str| format!("{SECRET}/{kind}/{}", round % 7);
    let replica = &actor.replica;
    actor.add(&path("pn"), 1).expect("it counts");
    let _written = replica.g_counter(&path("g")).expect("a path").add(1).expect("it counts");
    let _written = replica.lww_register::<str>(&path("lww")).expect("a path").set(SECRET).expect("it is written");
    let _written = replica.mv_register::<str>(&path("mv")).expect("a path").set(SECRET).expect("it is written");
    let set = replica.or_set::<str>(&path("set")).expect("a path");
    let _written = set.add(SECRET).expect("it is added");
    let _written = set.remove(&format!("{SECRET} {round}")).expect("it was not there");
    let batch = replica.batch(|batch| {
        batch.pn_counter(&path("pn")).add(1);
        batch.mark(SECRET, MarkValue::Number(1));
        Ok(())
    });
    let _written = batch.expect("it is made");
    if round % 5 == 0 {
        let _written = replica.delete(&path("set")).expect("it is deleted");
    }
    let _refused = replica.or_set::<str>(&path("pn")).map(|set| set.add(SECRET));
    let _refused = replica.pn_counter(&format!("{SECRET}\n"));
    let _refused = actor.add(&path("pn"), i64::MAX).and_then(|()| actor.add(&path("pn"), i64::MAX));
}

/// Reads the first words of events, demands what holds of each, and returns their text.
#[track_caller]
fn demand(after: &str) -> Vec<String> {
    let heard = heard();
    for event in &heard {
        let level = event.level.expect("every event has a level");
        assert!(event.replica.is_some(), "after {after}: an event does not say whose it is: {level}{}", event.says);
        let tells = event.says.contains(SECRET);
        assert!(!tells, "after {after}: a path or a value is in the log: {level}{}", event.says);
    }
    heard.into_iter().map(|event| event.says).collect()
}

/// One test: a subscriber is there for the whole process.
#[test]
fn every_event_says_whose_it_is_and_none_tells_paths_or_values() {
    tracing::subscriber::set_global_default(Listener).expect("there is no other");
    let mut stage = Stage::new(1, 3);
    let [first, second] = [stage.open("first", 0), stage.open("second", 1)];
    for round in 0..40 {
        write(&first, round);
        write(&second, round);
        stage.pass(1);
    }
    let said = demand("writes and snapshots");
    for words in ["opened", "segment cut", "segment written", "segment applied", "snapshot taken", "collected"] {
        assert!(said.iter().any(|event| event.contains(words)), "nobody has said {words:?}");
    }

    let third = stage.open("third", 2);
    stage.pass(5);
    assert!(demand("a third").iter().any(|event| event.contains("snapshot merged")));

    // The newest object of a log is damaged, which nobody has read yet; and then a snapshot, when its owner comes back.
    let now = stage.executor.world().now();
    second.links[0].unreachable(now..now + Duration::from_secs(10));
    write(&first, 1);
    stage.executor.pass(Duration::from_millis(500));
    stage.crash(first);
    let whole = stage.stores[0].image();
    let damage = |stage: &Stage, folder: &str, damage: Damage| {
        let key = stage.stores[0].keys().into_iter().rfind(|key| key.contains(folder)).expect("it is there");
        assert!(stage.stores[0].damage(&key, damage));
    };
    damage(&stage, "/log/first/", Damage::Flip(500));
    let fourth = stage.open("fourth", 2);
    stage.pass(5);
    let _refused = stage.try_open("first", 0).expect_err("the end of its log is damaged");
    assert!(demand("damage").iter().any(|event| event.contains("damaged") && event.contains("fourth")));
    stage.stores[0].restore(&whole);
    damage(&stage, "/snap/first/", Damage::Truncate(90));
    let first = stage.open("first", 0);
    stage.pass(20);
    assert!(demand("a damaged snapshot").iter().any(|event| event.contains("damaged") && event.contains("first")));

    // A process too many, an outage, an emptied bucket, an eviction, an observer, and the end.
    let again = stage.open("second", 1);
    let _cannot_know = second.add(&format!("{SECRET}/pn/0"), 1);
    stage.pass(5);
    assert!(demand("a second process").iter().any(|event| event.contains("stopped")));
    let now = stage.executor.world().now();
    again.links[0].unreachable(now..now + Duration::from_secs(60));
    stage.pass(60);
    assert!(demand("an outage").iter().any(|event| event.contains("out of reach")));
    stage.crash(first);
    stage.stores[0].restore(&Image::default());
    let _refused = stage.try_open("first", 0);
    stage.pass(90);
    assert!(
        demand("an emptied bucket").iter().any(|event| event.contains("history") || event.contains("does not go on"))
    );
    let operator = again.replica.clone();
    stage.wait(async move { operator.evict("third", None).await }).expect("it is evicted");
    stage.pass(30);
    assert!(demand("an eviction").iter().any(|event| event.contains("evicted")));
    let (clock, world) = (again.clock.clone(), stage.executor.world().clone());
    let builder =
        tests::stage::builder("looks-on", 1, &stage.stores, &clock, &world, 99).settings(stage.settings.clone());
    let observer = stage.wait(async move { builder.observe().await }).expect("it looks on");
    drop((observer, third, fourth));
    let closing = again.replica.clone();
    stage.wait(async move { closing.close().await }).expect("it is closed");
    assert!(demand("the end").iter().any(|event| event.contains("observer")));
}
