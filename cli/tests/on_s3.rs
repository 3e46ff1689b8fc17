//! What the command says of buckets on S3 without asking any: configurations, what is printed, and what is wrong at
//! start.

mod support;

use std::{fs, path::Path};

use serde_json::Value;

use support::{fails, run, says, text};

/// A folder with a configuration of this text.
fn with(configuration: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("archipelago.toml"), configuration).expect("it is written");
    folder
}

fn region(name: &str, rest: &str) -> String {
    format!("[[region]]\nname = \"{name}\"\n{rest}\n")
}

fn on_s3() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let said = says(folder.path(), &["init", "--s3", "likes", "us-east-1", "eu-west-1"]);
    assert!(said.contains("`archipelago provision` makes what they need"), "{said}");
    folder
}

#[test]
fn init_names_a_bucket_and_a_queue_for_each_region() {
    let folder = on_s3();
    let written = fs::read_to_string(folder.path().join("archipelago.toml")).expect("it is there");
    assert!(written.contains("bucket = \"s3://likes-us-east-1?region=us-east-1\""), "{written}");
    assert!(written.contains("hints = \"sqs://likes-eu-west-1?region=eu-west-1\""), "{written}");
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = ["--endpoint", "http://127.0.0.1:9", "--polling", "one", "two"];
    says(folder.path(), &[&["init", "--s3", "likes"], &endpoint[..]].concat());
    let written = fs::read_to_string(folder.path().join("archipelago.toml")).expect("it is there");
    assert!(
        written.contains("s3://likes-one?region=one&endpoint=http://127.0.0.1:9") && !written.contains("hints ="),
        "{written}"
    );
}

#[test]
fn what_is_printed_asks_nobody() {
    let folder = on_s3();
    let printed = |arguments: &[&str]| -> Value {
        serde_json::from_str(&says(folder.path(), &[&["provision", "--print"], arguments].concat())).expect("JSON")
    };
    let policies = printed(&["policy", "--account", "123456789012", "--region", "eu-west-1"]);
    let resource = &policies["writer"]["Statement"][0]["Resource"][0];
    assert_eq!(resource, "arn:aws:s3:::likes-eu-west-1/v1/log/eu-west-1/*");
    let policies =
        printed(&["policy", "--account", "123456789012", "--replica", "eu-west-1-cli", "--region", "eu-west-1"]);
    assert_eq!(
        policies["collector"]["Statement"][0]["Resource"][0],
        "arn:aws:s3:::likes-eu-west-1/v1/log/eu-west-1-cli/*"
    );
    let template = printed(&["cloudformation"]);
    assert_eq!(template["Resources"]["Bucket"]["Properties"]["BucketName"], "likes-us-east-1");
    let (code, says) = fails(folder.path(), &["provision", "--print", "policy"]);
    assert!(code == 2 && says.contains("--account"), "{says}");
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused_at_once() {
    for (configuration, part) in [
        (region("a", "bucket = \"s3://L\""), "3 to 63"),
        (region("a", "bucket = \"s3://likes?secret_key=1\""), "usual chain of AWS"),
        (region("a", "bucket = \"s3://likes\"\nhints = \"likes\""), "not the URL of a queue"),
        (region("a", "bucket = \"ftp://likes\""), "file:DIR, memory:, s3://BUCKET"),
        (
            region("a", "bucket = \"s3://likes/x?region=eu-west-1\"") + &region("b", "bucket = \"s3://likes/x/y\""),
            "have one bucket, or one lies in the other",
        ),
        (
            region("a", "bucket = \"s3://one\"\nhints = \"sqs://q?region=eu-west-1\"")
                + &region("b", "bucket = \"s3://two\"\nhints = \"sqs://q?region=eu-west-1\""),
            "a message has one reader",
        ),
    ] {
        let folder = with(&configuration);
        let (code, says) = fails(folder.path(), &["status"]);
        assert!(code == 2 && says.contains(part), "{configuration}: {says}");
    }
    let apart = region("a", "bucket = \"s3://likes/x\"") + &region("b", "bucket = \"s3://likes/y\"");
    let says = fails(with(&apart).path(), &["provision", "--check"]).1;
    assert!(says.contains("`?region=`"), "two prefixes of one bucket are two buckets: {says}");
}

#[test]
fn what_needs_a_queue_or_a_bucket_on_s3_says_so() {
    let folder = with(&region("a", "bucket = \"file:a\""));
    let (code, says) = fails(folder.path(), &["provision"]);
    assert!(code == 2 && says.contains("no bucket of the configuration is on S3"), "{says}");
    let (code, says) = fails(folder.path(), &["dlq", "list"]);
    assert!(code == 2 && says.contains("no queue is configured for a"), "{says}");
}

/// Nobody listens at this address.
#[test]
fn a_service_that_cannot_be_reached_is_named() {
    let nowhere = "endpoint=http://127.0.0.1:9";
    let bucket = format!(
        "bucket = \"s3://likes?region=eu-west-1&{nowhere}\"\nhints = \"sqs://likes?region=eu-west-1&{nowhere}\""
    );
    let folder = with(&region("a", &bucket));
    for arguments in [&["dlq", "list"][..], &["provision", "--check"]] {
        let (code, says) = asked(folder.path(), arguments);
        assert!(code == 1 && says.contains("cannot be reached"), "{arguments:?}: {says}");
    }
}

/// With credentials that nobody has to look for.
fn asked(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = support::command(folder, arguments);
    let command = command.env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
    let output = command.output().expect("it runs");
    (output.status.code().expect("it has not been killed"), text(&output.stderr))
}

#[test]
fn help_tells_of_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["provision", "--help"]);
    assert!(text(&output.stdout).contains("--check"));
    assert!(text(&run(folder.path(), &["dlq", "--help"]).stdout).contains("replay"));
}
