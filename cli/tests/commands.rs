//! The command as its user calls it: configuration, changes, reading, verifying, and what is wrong.

mod support;

use serde_json::{Value, json};
use support::*;

#[test]
fn a_configuration_is_written_once_and_read() {
    let folder = configured();
    let (code, says) = fails(folder.path(), &["init"]);
    assert_eq!((code, says.contains("is there already")), (1, true), "{says}");
    for (text, code, part) in [
        ("", 2, "no [[region]]"),
        ("[[region]]\nname = \"a\"", 2, "missing field `bucket`"),
        ("[[region]]\nname = \"a\"\nbucket = \"file:x\"\nmore = 1", 2, "unknown field `more`"),
        ("[[region]]\nname = \"A b\"\nbucket = \"file:x\"", 2, "the name of a region"),
        ("[[region]]\nname = \"a\"\nbucket = \"s3://x\"", 2, "3 to 63 letters"),
        ("[[region]]\nname = \"a\"\nbucket = \"x\"", 2, "file:DIR"),
        (
            "[[region]]\nname = \"a\"\nbucket = \"file:x\"\n[[region]]\nname = \"a\"\nbucket = \"file:y\"",
            2,
            "two regions",
        ),
        (
            "[[region]]\nname = \"a\"\nbucket = \"file:x\"\n[[region]]\nname = \"b\"\nbucket = \"file:./x\"",
            2,
            "one bucket",
        ),
        (
            "[[region]]\nname = \"a\"\nbucket = \"file:y\"\n[[region]]\nname = \"b\"\nbucket = \"file:w/../y\"",
            2,
            "one bucket",
        ),
        (
            "[[region]]\nname = \"a\"\nbucket = \"file:y/v1\"\n[[region]]\nname = \"b\"\nbucket = \"file:y\"",
            2,
            "one lies in the other",
        ),
        ("[[region", 2, "line 1"),
    ] {
        let file = folder.path().join("wrong.toml");
        std::fs::write(&file, text).expect("it is written");
        let (found, says) = fails(folder.path(), &["--config", "wrong.toml", "status"]);
        assert_eq!((found, says.contains(part)), (code, true), "{text}: {says}");
    }
    let (code, says) = fails(folder.path(), &["--config", "nowhere.toml", "status"]);
    assert_eq!((code, says.contains("nowhere.toml")), (2, true), "{says}");
    let (code, says) = fails(folder.path(), &["--region", "mars", "status"]);
    assert_eq!((code, says.contains("us-east-1, eu-west-1")), (2, true), "{says}");
    assert_eq!(fails(folder.path(), &["frob"]).0, 2);
}

#[test]
fn what_one_region_applies_every_region_reads() {
    let folder = configured();
    let lines = br#"{"op":"add","kind":"pn_counter","path":"goals/Marta","by":3}
{"op":"add","kind":"pn_counter","path":"goals/Ada"}
{"op":"add","kind":"or_set","path":"carts/ada","value":"lamp"}

{"op":"add","kind":"or_set","path":"carts/ada","value":7}
{"op":"remove","kind":"or_set","path":"carts/ada","value":"lamp"}
{"op":"set","kind":"lww_register","path":"users/ada","value":{"name":"Ada","tags":["a",null]}}
{"op":"set","kind":"mv_register","path":"title","value":"Draft"}
{"op":"add","kind":"g_counter","path":"views","by":9223372036854775807}
{"op":"add","kind":"g_counter","path":"gone"}
{"op":"delete","path":"gone"}"#;
    let output = applied(folder.path(), &[], lines);
    let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary");
    assert_eq!((&summary["applied"], &summary["rejected"], &summary["skipped"]), (&json!(10), &json!(0), &json!(1)));
    let other = folder.path();
    for region in ["us-east-1", "eu-west-1", "ap-southeast-1"] {
        let get =
            |path: &str| objects(&says(other, &["--region", region, "--json", "get", path])).remove(0)["value"].clone();
        assert_eq!(get("goals/Marta"), json!(3));
        assert_eq!(get("carts/ada"), json!([7]));
        assert_eq!(get("users/ada"), json!({"name": "Ada", "tags": ["a", null]}));
        assert_eq!(get("title"), json!(["Draft"]));
        assert_eq!(get("views"), json!(9_223_372_036_854_775_807_i64));
        assert_eq!(fails(other, &["--region", region, "get", "gone"]).0, 3);
    }
    assert_eq!(objects(&says(other, &["--json", "status"]))[0]["objects"], 7, "one of them is deleted");

    says(other, &["delete", "goals/Ada", "--region", "eu-west-1"]);
    assert_eq!(fails(other, &["get", "goals/Ada"]).0, 3);
    assert_eq!(fails(other, &["delete", "goals/Ada"]).0, 3);
    assert_eq!(fails(other, &["delete", "goals/Marta", "--kind", "or_set"]).0, 3);
}

#[test]
fn regions_that_have_read_the_same_verify_as_the_same() {
    let folder = configured();
    for region in ["us-east-1", "eu-west-1"] {
        let line = format!("{{\"op\":\"set\",\"kind\":\"lww_register\",\"path\":\"name\",\"value\":\"{region}\"}}\n");
        assert!(applied(folder.path(), &["--region", region], line.as_bytes()).status.success());
    }
    assert!(says(folder.path(), &["verify"]).contains("nothing to compare"));
    for region in ["us-east-1", "eu-west-1"] {
        says(folder.path(), &["sync", "--region", region]);
    }
    let compared = objects(&says(folder.path(), &["verify", "--json"]));
    assert!(compared.iter().any(|compared| compared["region"] == "eu-west-1"), "{compared:?}");
    assert!(compared.iter().all(|compared| compared["same"] == true), "{compared:?}");

    let listed = objects(&says(folder.path(), &["log", "--json"]));
    assert!(["segment", "seal", "snapshot"].iter().all(|what| listed.iter().any(|entry| entry["what"] == *what)));
    for entry in &listed {
        let shown = says(folder.path(), &["show", entry["key"].as_str().expect("a key")]);
        assert_eq!(objects(&shown)[0]["what"], entry["what"], "{shown}");
    }
    let snapshot = listed.iter().find(|entry| entry["what"] == "snapshot").expect("there is one");
    let shown = objects(&says(folder.path(), &["show", snapshot["key"].as_str().expect("a key")]));
    let part = shown[1]["part"].as_str().expect("a part");
    assert_eq!(objects(&says(folder.path(), &["show", part]))[0]["path"], "name");

    // A part that is damaged is found.
    let file = folder.path().join("buckets/us-east-1").join(part);
    let mut bytes = std::fs::read(&file).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("it is written");
    let (code, says) = fails(folder.path(), &["verify"]);
    assert_eq!((code, says.contains(part)), (1, true), "{says}");
}

#[test]
fn concurrent_writes_are_conflicts_and_a_replica_is_evicted() {
    let folder = configured();
    // Neither has read what the other wrote: they write under names of their own, at once.
    let line =
        |value: &str| format!("{{\"op\":\"set\",\"kind\":\"mv_register\",\"path\":\"title\",\"value\":\"{value}\"}}\n");
    let alone = folder.path().join("alone.toml");
    std::fs::write(&alone, "[[region]]\nname = \"eu-west-1\"\nbucket = \"file:buckets/eu-west-1\"\n").expect("written");
    assert!(applied(folder.path(), &["--config", "alone.toml"], line("ours").as_bytes()).status.success());
    let other = "[[region]]\nname = \"us-east-1\"\nbucket = \"file:buckets/us-east-1\"\n";
    std::fs::write(folder.path().join("other.toml"), other).expect("written");
    assert!(applied(folder.path(), &["--config", "other.toml"], line("theirs").as_bytes()).status.success());
    let conflicts = objects(&says(folder.path(), &["conflicts", "--json"]));
    assert_eq!((conflicts.len(), conflicts[0]["writes"].as_array().map(Vec::len)), (1, Some(2)), "{conflicts:?}");

    let evicted = says(folder.path(), &["evict", "eu-west-1-cli"]);
    assert!(evicted.contains("eu-west-1-cli is evicted: its log ends at "), "{evicted}");
    let (code, says) = fails(folder.path(), &["sync", "--region", "eu-west-1"]);
    assert_eq!(code, 4, "{says}");
}
