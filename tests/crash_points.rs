//! A crash at every await.
//!
//! Goal: there is no moment at which dropping what a replica does loses or doubles anything that was acknowledged. Method:
//! one short life of a replica that opens, writes, deletes, takes snapshots, purges and collects, beside a peer that does
//! the same; it is repeated, and crashed at its first poll, at its second, and so on to its last. Each time it is opened
//! again, and both must agree with each other and with what was acknowledged.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use replica::Replica;
use sim::SimClock;
use tests::stage::{Actor, Stage, builder};

/// What the crashed life had been told.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    attempted: u64,
    durable: u64,
    deleted: bool,
}

/// The short life. It notes what it is told.
async fn live(replica: Replica, world: sim::World, told: Arc<Mutex<Told>>) {
    let note = |change: &dyn Fn(&mut Told)| change(&mut told.lock().expect("not poisoned"));
    let gone = replica.pn_counter("gone").expect("a path");
    gone.add(5).expect("it counts").durable().await.expect("it is durable");
    for _ in 0..6 {
        note(&|told| told.attempted += 1);
        let batch = replica.batch(|batch| {
            batch.pn_counter("likes").add(1);
            batch.or_set::<u64>("seen").add(&told.lock().expect("not poisoned").attempted);
            Ok(())
        });
        batch.expect("it is made").durable().await.expect("it is durable");
        note(&|told| told.durable = told.attempted);
        world.sleep(Duration::from_millis(300)).await;
    }
    replica.delete("gone").expect("it is deleted").durable().await.expect("it is durable");
    note(&|told| told.deleted = true);
    world.sleep(Duration::from_millis(2_500)).await;
    replica.close().await.expect("it is closed");
}

/// Runs the short life, crashes it after so many polls, and looks. Returns how often it was polled.
fn crash_after(polls: u64) -> u64 {
    let mut stage = Stage::new(polls, 2);
    stage.settings.snapshot_interval = Duration::from_millis(400);
    (stage.settings.ack_interval, stage.settings.retention) = (Duration::from_millis(200), Duration::from_millis(600));
    let peer = stage.open("peer", 1);
    peer.add("gone", 1).expect("it counts");
    peer.add("others", 1).expect("it counts");
    let told: Arc<Mutex<Told>> = Arc::default();
    let place = stage.executor.region("the short life");
    stage.executor.crash_after(place, polls);
    let world = stage.executor.world().clone();
    let (links, clock) = (stage.stores.clone(), SimClock::new(&world));
    let opening = builder("short", 0, &links, &clock, &world, 77).settings(stage.settings.clone());
    let notes = told.clone();
    stage.executor.spawn(place, async move {
        let replica = opening.open().await.expect("it opens");
        let background = replica.clone();
        world.spawn(place, async move { background.run().await });
        live(replica, world, notes).await;
    });
    for _ in 0..20 {
        peer.add("others", 1).expect("it counts");
        stage.executor.pass(Duration::from_millis(400));
    }
    let polled = stage.executor.polls(place);
    stage.executor.crash(place);
    // What was under way still lands.
    stage.pass(60);
    let short = stage.open("short", 0);
    stage.pass(30);

    let told = *told.lock().expect("not poisoned");
    let look = |actor: &Actor| {
        let seen = actor.replica.or_set::<u64>("seen").expect("a path").len() as i128;
        (actor.count("likes"), seen, actor.count("gone"), actor.count("others"))
    };
    let (likes, seen, gone, others) = look(&short);
    assert_eq!(look(&short), look(&peer), "after {polls} polls: {told:?}");
    assert_eq!((likes, others), (seen, 21), "after {polls} polls: {told:?}");
    let expected = i128::from(told.durable)..=i128::from(told.attempted);
    assert!(expected.contains(&likes), "after {polls} polls: {likes} of {told:?}");
    // The deletion had seen all there was, or it had not been made.
    let may_be = if told.deleted { &[0][..] } else { &[0, 1, 6][..] };
    assert!(may_be.contains(&gone), "after {polls} polls: {gone} of {told:?}");
    for actor in [&short, &peer] {
        let status = actor.status();
        assert_eq!((status.alarms, status.ended), (vec![], None), "after {polls} polls");
    }
    polled
}

#[test]
fn a_crash_at_any_await_loses_nothing_that_was_acknowledged() {
    let whole = crash_after(u64::MAX);
    assert!(whole > 300, "a life of {whole} polls is too short to tell");
    for polls in 1..whole {
        crash_after(polls);
    }
}
