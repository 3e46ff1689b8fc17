//! What an embedder reads and writes: values, limits, scans, conflicts, tokens.
//!
//! Goal: every value comes back as it was written, in every region, and what cannot be kept is refused by a kind of error
//! that says what to do. Method: one replica on a bucket in memory for what one process does; several on the stage, in
//! virtual time, for what regions do to each other.
#![expect(clippy::disallowed_types, reason = "a hash table in no order is what a value of a user may hold")]

use std::{
    collections::{BTreeMap, HashMap},
    error::Error as _,
    time::Duration,
};

use crdt_core::{Kind, Position};
use replica::{Dot, Error, ErrorKind, Replica, Token, Value, blocking};
use serde::{Deserialize, Serialize};
use store_object::MemoryBucket;
use tests::stage::Stage;

fn open() -> blocking::Replica {
    blocking::Replica::open(Replica::builder("eu-west-1", MemoryBucket::new())).expect("it opens")
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (ErrorKind, String) {
    let error = result.expect_err("it is refused");
    (error.kind(), error.to_string())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    sku: String,
    size: Size,
    tags: HashMap<String, u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Size {
    One,
    Cm { wide: u32, high: u32 },
}

fn item(tags: &[&str]) -> Item {
    let tags = tags.iter().zip(1..).map(|(tag, n)| ((*tag).to_owned(), n)).collect();
    Item { sku: "lamp".into(), size: Size::Cm { wide: 20, high: 45 }, tags }
}

// --- Values.

/// A hash table comes in another order in each process: an item that was added in one must be found in another.
#[test]
fn equal_values_are_equal_elements_whatever_the_order_of_their_maps() {
    let replica = open();
    let cart = replica.or_set::<Item>("carts/ada").expect("a path");
    let many: Vec<String> = (0..40).map(|n| format!("tag {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for _ in 0..20 {
        cart.add(&item(&many)).expect("it is added"); // Each has a hash table of its own, seeded at random.
    }
    assert_eq!((cart.len(), cart.contains(&item(&many))), (1, true));
    assert_eq!(cart.elements().expect("items"), [item(&many)]);
    cart.remove(&item(&many)).expect("it is removed");
    assert!(cart.is_empty());
}

#[test]
fn text_bytes_and_other_types_come_back_as_they_were() {
    let replica = open();
    let text = replica.lww_register("text").expect("a path");
    text.set("gr\u{fc}n \u{1f980}").expect("it is written");
    assert_eq!(text.value().expect("text").as_deref(), Some("gr\u{fc}n \u{1f980}"));
    assert_eq!(
        replica.get("text").expect("a path"),
        [Value::LwwRegister(Some("gr\u{fc}n \u{1f980}".as_bytes().into()))]
    );
    let bytes = replica.mv_register::<[u8]>("bytes").expect("a path");
    bytes.set(&[0, 0xff, 7]).expect("it is written");
    assert_eq!(bytes.values().expect("bytes"), [[0, 0xff, 7]]);
    let config = replica.lww_register::<BTreeMap<String, Option<f64>>>("config").expect("a path");
    let value = BTreeMap::from([("a".to_owned(), Some(0.1)), ("b".to_owned(), None)]);
    config.set(&value).expect("it is written");
    assert_eq!(config.value().expect("a map"), Some(value));
    assert_eq!(replica.get("config").expect("a path"), [Value::LwwRegister(Some(br#"{"a":0.1,"b":null}"#[..].into()))]);
    // Owned or borrowed, text is text.
    let owned = replica.or_set::<String>("set").expect("a path");
    owned.add(&"lamp".to_owned()).expect("it is added");
    assert!(replica.or_set("set").expect("a path").contains("lamp"));
    let empty = replica.or_set("empty").expect("a path");
    empty.add("").expect("an empty text is an element");
    assert_eq!(empty.elements().expect("text"), [""]);
}

#[test]
fn what_is_of_another_type_is_an_error_that_says_so() {
    let replica = open();
    replica.lww_register("name").expect("a path").set("Ada").expect("it is written");
    let error = replica.lww_register::<Item>("name").expect("a path").value().expect_err("not an item");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("of another type") && error.to_string().ends_with("bytes=3"), "{error}");
    assert!(error.source().is_some());
    let set = replica.or_set::<[u8]>("set").expect("a path");
    set.add(b"7").expect("it is added");
    set.add(b"\xff").expect("it is added");
    let read: Vec<_> = replica.or_set::<u8>("set").expect("a path").iter().map(Result::ok).collect();
    assert_eq!(read, [Some(7), None], "the others go on");
    assert_eq!(refused(replica.or_set::<str>("set").expect("a path").elements()).0, ErrorKind::Invalid);
    let ratio = replica.lww_register::<f64>("ratio").expect("a path");
    assert_eq!(refused(ratio.set(&f64::NAN)).0, ErrorKind::Invalid);
    assert_eq!(ratio.value().expect("nothing"), None);
}

#[test]
fn an_add_gives_the_new_value() {
    let replica = open();
    let (views, likes) = (replica.g_counter("views").expect("a path"), replica.pn_counter("likes").expect("a path"));
    assert_eq!(views.add(3).expect("it counts").value(), 3);
    assert_eq!(views.add(0).expect("it counts").value(), 3);
    assert_eq!(likes.add(-5).expect("it counts").value(), -5);
    likes.delete().expect("it is deleted");
    assert_eq!(likes.add(1).expect("it counts").value(), 1);
    assert_eq!((views.value(), likes.value()), (3, 1));
}

/// Each add of several threads gives a value of its own: it is read before anybody else can count.
#[test]
fn adds_of_several_threads_give_different_values() {
    let replica = open();
    let mut values: Vec<i128> = std::thread::scope(|scope| {
        let count = || {
            let likes = replica.pn_counter("likes").expect("a path");
            (0..500).map(|_| likes.add(1).expect("it counts").value()).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it counts")).collect()
    });
    values.sort_unstable();
    assert!(values.into_iter().eq(1..=2_000));
}

// --- What is refused.

#[test]
fn what_is_no_path_is_refused_everywhere() {
    let replica = open();
    let long = "x".repeat(1_025);
    for (path, why) in
        [("", "not empty"), (&*long, "at most 1024 bytes"), ("a\nb", "no control"), ("\u{85}", "no control")]
    {
        let refusals = [
            refused(replica.pn_counter(path)),
            refused(replica.g_counter(path)),
            refused(replica.or_set::<str>(path)),
            refused(replica.lww_register::<str>(path)),
            refused(replica.mv_register::<str>(path)),
            refused(replica.get(path)),
            refused(replica.delete(path)),
            refused(replica.batch(|batch| {
                batch.pn_counter(path).add(1);
                Ok(())
            })),
        ];
        for (kind, message) in refusals {
            assert_eq!(kind, ErrorKind::Invalid);
            assert!(message.contains(why) && message.len() < 300, "{message}");
        }
    }
    assert!(replica.pn_counter(&long[1..]).is_ok());
    assert_eq!((replica.scan("").count(), replica.scan(&long).count(), replica.scan("\n").count()), (0, 0, 0));
}

#[test]
fn what_is_too_large_is_refused_to_the_byte() {
    let replica = open();
    let set = replica.or_set::<[u8]>("set").expect("a path");
    let register = replica.lww_register::<[u8]>("register").expect("a path");
    assert!(set.add(&vec![0; 64 << 10]).is_ok() && register.set(&vec![0; 1 << 20]).is_ok());
    let (kind, message) = refused(set.add(&vec![0; (64 << 10) + 1]));
    assert_eq!((kind, &*message), (ErrorKind::Invalid, "an element has at most 64 KiB: bytes=65537 limit=65536"));
    assert_eq!(refused(set.remove(&vec![0; (64 << 10) + 1])).0, ErrorKind::Invalid);
    assert_eq!(refused(register.set(&vec![0; (1 << 20) + 1])).0, ErrorKind::Invalid);
    assert!(!set.contains(&vec![0; (64 << 10) + 1]));
    assert_eq!((set.len(), register.value().expect("bytes").map(|value| value.len())), (1, Some(1 << 20)));
}

#[test]
fn a_counter_past_its_range_stays_as_it_was() {
    let replica = open();
    let (views, likes) = (replica.g_counter("views").expect("a path"), replica.pn_counter("likes").expect("a path"));
    views.add(u64::MAX).expect("just within");
    assert_eq!(refused(views.add(1)).0, ErrorKind::Invalid);
    likes.add(i64::MIN).expect("within");
    likes.add(i64::MIN + 1).expect("just within");
    assert_eq!(refused(likes.add(i64::MIN)).0, ErrorKind::Invalid);
    assert_eq!((views.value(), likes.value()), (u128::from(u64::MAX), -i128::from(u64::MAX)));
    likes.add(i64::MAX).expect("up has a range of its own");
}

#[test]
fn another_kind_at_a_path_is_refused_until_the_first_is_deleted() {
    let replica = open();
    replica.pn_counter("a").expect("a path").add(1).expect("it counts");
    let set = replica.or_set("a").expect("a path");
    let (kind, message) = refused(set.add("x"));
    assert_eq!(kind, ErrorKind::KindMismatch);
    assert!(message.ends_with("path=a stored=pn_counter asked=or_set"), "{message}");
    assert_eq!(set.len(), 0);
    replica.delete("a").expect("it is deleted");
    set.add("x").expect("now it may");
    assert_eq!(replica.get("a").expect("a path"), [Value::OrSet(vec![b"x"[..].into()])]);
}

// --- Many objects.

#[test]
fn scans_give_every_live_object_once_in_order_page_by_page() {
    let replica = open();
    for n in 0..600 {
        replica.pn_counter(&format!("posts/{n:03}")).expect("a path").add(n).expect("it counts");
    }
    replica.or_set("posts").expect("a path").add("x").expect("it is added");
    replica.or_set("postsx").expect("a path").add("x").expect("it is added");
    replica.delete("posts/007").expect("it is deleted");
    let all: Vec<_> = replica.scan("posts/").collect();
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(all.len(), 598, "0 was never counted, 7 is deleted");
    let mut paged = Vec::new();
    while let Some((key, value)) = match paged.last() {
        None => replica.scan("posts/").limit(1).next(),
        Some((last, _)) => replica.scan("posts/").after(last).limit(1).next(),
    } {
        paged.push((key, value));
    }
    assert_eq!(paged, all);
    assert_eq!(replica.scan("posts/").limit(0).count(), 0);
    assert_eq!(replica.scan("").count(), 600);
    assert_eq!(replica.scan("posts/").after(&all[597].0).count(), 0);
}

#[test]
fn a_prefix_is_deleted_and_nothing_else() {
    let replica = open();
    for n in 0..600 {
        replica.or_set(&format!("carts/{n}")).expect("a path").add("lamp").expect("it is added");
    }
    replica.pn_counter("cart").expect("a path").add(1).expect("it counts");
    let deleted = replica.delete_prefix("carts/").expect("they are deleted");
    assert_eq!(deleted.value(), 600);
    replica.durable(deleted).expect("it is flushed");
    assert_eq!((replica.scan("").count(), replica.delete_prefix("carts/").expect("nothing").value()), (1, 0));
}

// --- Regions.

#[test]
fn conflicts_are_the_same_everywhere_and_one_write_resolves_them() {
    let mut stage = Stage::new(3, 2);
    let (ann, bob) = (stage.open("ann", 0), stage.open("bob", 1));
    for (actor, name) in [(&ann, "Ada"), (&bob, "Eve")] {
        actor.replica.lww_register("users/1/name").expect("a path").set(name).expect("it is written");
        actor.replica.mv_register("users/2/name").expect("a path").set(name).expect("it is written");
        actor.replica.or_set("users/3").expect("a path").add(name).expect("it is added");
        actor.replica.lww_register("other").expect("a path").set(name).expect("it is written");
    }
    stage.pass(10);
    let found: Vec<_> = ann.replica.conflicts("users/").collect();
    assert_eq!(found, bob.replica.conflicts("users/").collect::<Vec<_>>());
    let kinds: Vec<_> = found.iter().map(|conflict| (conflict.key.path(), conflict.key.kind())).collect();
    assert_eq!(kinds, [("users/1/name", Kind::LwwRegister), ("users/2/name", Kind::MvRegister)]);
    for conflict in &found {
        let mut writes: Vec<_> = conflict
            .writes
            .iter()
            .map(|write| (write.replica.as_str(), write.decode::<str>().expect("text")))
            .collect();
        writes.sort_unstable();
        assert_eq!(writes, [("ann", "Ada".to_owned()), ("bob", "Eve".to_owned())]);
        assert!(conflict.writes[0].timestamp >= conflict.writes[1].timestamp);
    }
    let name = ann.replica.lww_register::<str>("users/1/name").expect("a path");
    assert_eq!(
        name.value().expect("text"),
        Some(found[0].writes[0].decode::<str>().expect("text")),
        "the latest is read"
    );
    name.set("Ada Eve").expect("it is written");
    stage.pass(10);
    assert_eq!(bob.replica.conflicts("users/1").count(), 0);
}

/// What is looked at may change before it is acted upon: then nothing is done, of the whole batch.
#[test]
fn a_batch_that_expects_other_writes_is_refused() {
    let mut stage = Stage::new(3, 2);
    let [ann, bob] = [stage.open("ann", 0), stage.open("bob", 1)];
    for (at, name) in [(&ann, "Ada"), (&bob, "Grace")] {
        at.replica.lww_register("name").and_then(|register| register.set(name)).expect("it is set");
    }
    stage.pass(5);
    let looked_at = |at: &Replica| at.conflicts("name").flat_map(|conflict| conflict.writes).map(|write| write.dot);
    let mut seen: Vec<_> = looked_at(&ann.replica).collect();
    seen.reverse(); // In whatever order.
    let resolve = |seen: &[Dot]| {
        ann.replica.batch(|batch| {
            batch.pn_counter("resolved").add(1);
            batch.lww_register("name").expect(seen).set("Ada G.");
            batch.mv_register::<str>("none").expect(&[]);
            Ok(())
        })
    };
    for wrong in
        [&seen[..1], &[], &[seen[0], seen[1], Dot { replica: seen[0].replica, position: Position::new(u32::MAX, 0) }]]
    {
        assert_eq!(refused(resolve(wrong)).0, ErrorKind::Changed, "{wrong:?}");
    }
    assert_eq!(ann.count("resolved"), 0, "nothing of it is done");
    let _written = bob.replica.lww_register("name").and_then(|register| register.set("Hedy")).expect("it is set");
    stage.pass(5);
    assert_eq!(refused(resolve(&seen)).0, ErrorKind::Changed);
    for (at, name) in [(&ann, "Ada"), (&bob, "Grace")] {
        at.replica.lww_register("name").and_then(|register| register.set(name)).expect("it is set");
    }
    stage.pass(5);
    let seen: Vec<_> = looked_at(&ann.replica).collect();
    resolve(&seen).expect("it is as it was looked at");
    stage.pass(5);
    let name = bob.replica.lww_register::<str>("name").and_then(|register| register.value()).expect("text");
    assert_eq!((name.as_deref(), bob.count("resolved")), (Some("Ada G."), 1));
}

#[test]
fn whoever_waits_for_a_token_reads_what_its_holder_had_written() {
    let mut stage = Stage::new(4, 2);
    let (ann, bob) = (stage.open("ann", 0), stage.open("bob", 1));
    ann.replica.pn_counter("likes").expect("a path").add(1).expect("it counts");
    stage.pass(10);
    let text = ann.replica.token().to_string();
    let token: Token = text.parse().expect("a token");
    assert_eq!(token, ann.replica.token());
    let replica = bob.replica.clone();
    let waited = stage.wait(async move {
        replica.wait_for(&token).await.expect("it arrives");
        let never: Token = [crdt_core::Dot { replica: crdt_core::ReplicaId::named("cyd"), position: Position::FIRST }]
            .into_iter()
            .collect::<crdt_core::Frontier>()
            .into();
        let patience = Duration::from_secs(30);
        (replica.wait_for_within(&token, patience).await, replica.wait_for_within(&never, patience).await)
    });
    assert!(matches!(waited, (Ok(true), Ok(false))), "{waited:?}");
    assert_eq!(bob.replica.pn_counter("likes").expect("a path").value(), 1);
    let error = Error::from("00ff".parse::<Token>().expect_err("no token"));
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

// --- Without async.

#[test]
fn a_blocking_replica_flushes_waits_and_closes() {
    let [ours, theirs] = [MemoryBucket::new(), MemoryBucket::new()];
    let ann =
        blocking::Replica::open(Replica::builder("ann", ours.clone()).peer("b", theirs.clone())).expect("it opens");
    let written = ann.or_set("s").expect("a path").add("x").expect("it is added");
    ann.durable(written).expect("it is flushed");
    let bob = blocking::Replica::open(Replica::builder("bob", theirs).peer("a", ours)).expect("it opens");
    assert!(bob.wait_for(&ann.token(), Duration::from_secs(60)).expect("it arrives"));
    let set = bob.or_set("s").expect("a path");
    assert!(set.contains("x"));
    set.add("y").expect("it is added");
    bob.flush().expect("it is flushed");
    bob.close().expect("it closes");
    assert_eq!(refused(set.add("z")).0, ErrorKind::Closed);
    let likes = ann.pn_counter("likes").expect("a path");
    drop(ann);
    // The runtime ends on a thread of its own.
    let gone = (0..1_000_000).any(|_| std::hint::black_box(likes.add(1).is_err()));
    assert!(gone, "what would never be flushed is refused");
}

#[test]
fn a_blocking_call_on_an_async_thread_is_refused() {
    let replica = open();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (opened, flushed) = runtime.block_on(async {
        let opened = blocking::Replica::open(Replica::builder("ann", MemoryBucket::new()));
        (opened.map(drop), replica.flush())
    });
    assert_eq!((refused(opened).0, refused(flushed).0), (ErrorKind::Invalid, ErrorKind::Invalid));
}
