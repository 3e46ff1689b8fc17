//! The command on S3, as a new user would try it, against moto. Started by tests/with-moto.sh, which tells the address
//! and gives credentials; without that these tests fail. What moto does otherwise than AWS is told in
//! store-s3/tests/moto_queues.rs.

mod support;

use std::{env, time::Duration};

use support::{Running, fails, pause, says};
use tempfile::TempDir;

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// A configuration with buckets and queues of this name, and all that it needs.
fn provisioned(name: &str) -> TempDir {
    let endpoint = env::var("ARCHIPELAGO_TEST_S3").expect("run by tests/with-moto.sh, which starts the server");
    let folder = tempfile::tempdir().expect("a folder");
    says(folder.path(), &["init", "--s3", name, "--endpoint", &endpoint]);
    let checked = support::run(folder.path(), &["provision", "--check"]);
    assert_eq!(checked.status.code(), Some(1), "{}", support::text(&checked.stderr));
    let made = says(folder.path(), &["provision"]);
    assert!(made.contains("bucket: made") && made.contains("subscriptions: made"), "{made}");
    folder
}

/// Each region applies operations of its own, at once, in a process of its own; then each shows the sum.
#[test]
fn three_processes_over_three_buckets_end_up_equal() {
    let folder = provisioned("three");
    let writers: Vec<Running> = REGIONS
        .into_iter()
        .map(|region| {
            let mut writer = Running::start(folder.path(), region, &["apply", "--region", region]);
            for number in 0..200 {
                let by = number % 7 + 1;
                let line = format!(
                    "{{\"op\":\"add\",\"kind\":\"pn_counter\",\"path\":\"goals/{}\",\"by\":{by}}}\n",
                    number % 10
                );
                writer.give(line.as_bytes());
            }
            writer.give_no_more();
            writer
        })
        .collect();
    for mut writer in writers {
        let code = writer.end();
        assert_eq!(code, Some(0), "{}", writer.complained());
    }
    let shown: Vec<String> =
        REGIONS.map(|region| says(folder.path(), &["scan", "goals/", "--json", "--region", region])).into();
    let expected: i64 = 3 * (0..200).map(|number| number % 7 + 1).sum::<i64>();
    for (region, shown_there) in REGIONS.iter().zip(&shown) {
        let sum: i64 = support::objects(shown_there).iter().filter_map(|object| object["value"].as_i64()).sum();
        assert_eq!(sum, expected, "{region}: {shown_there}");
        assert_eq!(*shown_there, shown[0], "{region}");
    }
    says(folder.path(), &["verify"]);
}

/// With the queue, a change is told as it arrives; and the status has the queue in it.
#[test]
fn watch_is_told_by_the_queue() {
    let folder = provisioned("watched");
    let watch = Running::start(folder.path(), "watch", &["watch", "--hints", "--region", "eu-west-1", "--json"]);
    let applied = support::applied(
        folder.path(),
        &["--region", "us-east-1"],
        b"{\"op\":\"add\",\"kind\":\"pn_counter\",\"path\":\"likes\",\"by\":1}\n",
    );
    assert!(applied.status.success(), "{}", support::text(&applied.stderr));
    for _ in 0..600 {
        if watch.printed().contains("likes") {
            break;
        }
        pause(Duration::from_millis(100));
    }
    assert!(watch.printed().contains("likes"), "{}", watch.complained());
    drop(watch);
    let status = says(folder.path(), &["status", "--region", "eu-west-1"]);
    assert!(status.contains("queue watched-eu-west-1:") && status.contains("dead letters"), "{status}");
    let listed = says(folder.path(), &["dlq", "list", "--region", "eu-west-1"]);
    assert!(listed.contains("in watched-eu-west-1-dead"), "{listed}");
}

/// The demonstration of the README, with one more flag.
#[test]
fn the_demonstration_plays_on_s3() {
    let folder = provisioned("demo");
    let file = folder.path().join("archipelago.toml").display().to_string();
    let said = says(folder.path(), &["demo", "--config", &file, "--seconds", "10"]);
    assert!(said.contains("All three regions agree with the independently kept truth."), "{said}");
}

#[test]
fn a_bucket_that_is_not_there_is_named_at_once() {
    let endpoint = env::var("ARCHIPELAGO_TEST_S3").expect("run by tests/with-moto.sh, which starts the server");
    let folder = tempfile::tempdir().expect("a folder");
    says(folder.path(), &["init", "--s3", "nowhere", "--endpoint", &endpoint]);
    let (code, says) = fails(folder.path(), &["get", "likes"]);
    assert!(code == 1 && says.contains("nowhere-us-east-1"), "{says}");
}
