//! Requests that are repeated with their key are done once, whatever happens in between.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    bucket::{Mood, Moody},
    client::{Answer, ask},
    running::{Running, builder, options, until},
};

const ADD: &str = r#"{"op":"add","kind":"pn_counter","path":"a","by":1}"#;

fn post(server: &Running, key: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    ask(server.address, "POST", "/v1/ops?durable=true", &headers, body.as_bytes())
}

#[test]
fn a_repeated_request_is_answered_again_and_not_done_again() {
    let server = Running::alone();
    let first = post(&server, "one", ADD).ok();
    let again = post(&server, "one", ADD).ok();
    assert_eq!((&first["repeated"], &again["repeated"]), (&json!(false), &json!(true)));
    assert_eq!((&first["position"], &first["applied"]), (&again["position"], &again["applied"]));
    assert_eq!(server.value("a"), 1);
    post(&server, "two", ADD).ok();
    assert_eq!(server.value("a"), 2);
}

#[test]
fn a_key_with_another_request_is_refused() {
    let server = Running::alone();
    post(&server, "one", ADD).ok();
    assert_eq!(post(&server, "one", &ADD.replace('1', "2")).problem(422), "key_reused");
    // The same bytes as lines are another request.
    let headers = [("Content-Type", "application/x-ndjson"), ("Idempotency-Key", "one")];
    assert_eq!(ask(server.address, "POST", "/v1/ops", &headers, ADD.as_bytes()).problem(422), "key_reused");
    assert_eq!(server.value("a"), 1);
}

#[test]
fn what_was_refused_is_not_remembered() {
    let server = Running::alone();
    assert_eq!(post(&server, "one", "{}").problem(400), "invalid");
    post(&server, "one", ADD).ok();
    let other = r#"{"op":"add","kind":"or_set","path":"a","value":1}"#;
    assert_eq!(post(&server, "two", other).problem(409), "kind_mismatch");
    post(&server, "two", ADD).ok();
    assert_eq!(server.value("a"), 2);
}

#[test]
fn what_is_no_key_is_refused() {
    let server = Running::alone();
    for key in ["", &"x".repeat(256), "gr\u{fc}n"] {
        assert_eq!(post(&server, key, ADD).problem(400), "invalid", "{key}");
    }
    post(&server, &"x".repeat(255), ADD).ok();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    assert_eq!(ask(server.address, "POST", "/v1/ops", &headers, ADD.as_bytes()).problem(400), "invalid");
    assert_eq!(server.value("a"), 1);
}

/// The mark is in the segment with the effect: after a crash both are there or neither.
#[test]
fn a_crash_forgets_a_request_with_what_it_did_or_neither() {
    let bucket = Moody::new();
    let server = Running::start(builder("eu-west-1", &bucket), options());
    post(&server, "kept", ADD).ok();
    bucket.set(Mood::Away);
    // It is done here, and nobody knows yet whether it will last.
    assert_eq!(post(&server, "lost", ADD).status, 202);
    assert_eq!(post(&server, "lost", ADD).status, 202);
    assert_eq!(server.value("a"), 2);
    let Running { runtime, replica, .. } = server;
    drop(replica);
    runtime.shutdown_background();

    bucket.set(Mood::Well);
    let server = Running::start(builder("eu-west-1", &bucket), options());
    assert_eq!(server.value("a"), 1);
    let kept = post(&server, "kept", ADD).ok();
    assert_eq!((&kept["repeated"], &kept["durable"], &kept["position"]), (&json!(true), &json!(true), &Value::Null));
    assert_eq!(post(&server, "kept", &ADD.replace('1', "3")).problem(422), "key_reused");
    assert_eq!(server.value("a"), 1);
    assert_eq!(post(&server, "lost", ADD).ok()["repeated"], false);
    assert_eq!(server.value("a"), 2);
}

/// However many there are, they take no more room than so many do.
#[test]
fn the_oldest_keys_are_forgotten_for_new_ones_and_across_a_restart() {
    let bucket = Moody::new();
    let few = || {
        let mut options = options();
        options.limits.keys = 4;
        options
    };
    let server = Running::start(builder("eu-west-1", &bucket), few());
    for number in 1..=10 {
        assert_eq!(post(&server, &format!("key {number}"), ADD).ok()["repeated"], false);
    }
    assert_eq!(post(&server, "key 7", ADD).ok()["repeated"], true);
    assert_eq!(server.value("a"), 10);
    server.close();
    let server = Running::start(builder("eu-west-1", &bucket), few());
    for number in 7..=10 {
        assert_eq!(post(&server, &format!("key {number}"), ADD).ok()["repeated"], true, "{number}");
    }
    assert_eq!(post(&server, "key 6", ADD).ok()["repeated"], false);
    assert_eq!(post(&server, "key 7", ADD).ok()["repeated"], false);
    assert_eq!(post(&server, "key 9", ADD).ok()["repeated"], true);
    assert_eq!(server.value("a"), 12);
}

#[test]
fn a_key_is_forgotten_when_its_time_is_over() {
    let mut options = options();
    options.limits.keys_kept = Duration::from_millis(1);
    let server = Running::start(builder("eu-west-1", &Moody::new()), options);
    post(&server, "one", ADD).ok();
    until(|| post(&server, "one", ADD).ok()["repeated"] == false);
}

/// Of many that come at once with one key, one is done.
#[test]
fn of_requests_that_come_at_once_with_one_key_one_is_done() {
    let server = Running::alone();
    let address = server.address;
    let repeated: Vec<bool> = server.runtime.block_on(async {
        let posts = (0..32).map(|_| {
            tokio::task::spawn_blocking(move || {
                let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "one")];
                ask(address, "POST", "/v1/ops?durable=true", &headers, ADD.as_bytes()).ok()["repeated"] == true
            })
        });
        let mut repeated = Vec::new();
        for post in posts.collect::<Vec<_>>() {
            repeated.push(post.await.expect("it ends"));
        }
        repeated
    });
    assert_eq!(repeated.iter().filter(|repeated| !**repeated).count(), 1);
    assert_eq!(server.value("a"), 1);
}
