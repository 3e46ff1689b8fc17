//! Buckets that are missing, damaged or stuck; readers that go away; signals.

mod support;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use support::*;

const GOOD: &str = "{\"op\":\"add\",\"kind\":\"pn_counter\",\"path\":\"goals/Ada\"}\n";

/// Runs it with a standard output that nobody reads. Returns its code and what it complains of.
fn unread(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = command(folder, arguments).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_closed_pipe_replaces_no_failure() {
    let folder = configured();
    let folder = folder.path();
    std::fs::write(folder.join("bad.ndjson"), format!("{GOOD}nonsense\n")).expect("it is written");
    let (code, says) = unread(folder, &["apply", "bad.ndjson"]);
    assert_eq!((code, says.contains("bad.ndjson:2:1:")), (Some(1), true), "{says}");
    assert_eq!(unread(folder, &["get", "nothing"]).0, Some(3));
    for arguments in [&["get", "goals/Ada"][..], &["completions", "bash"], &["man"], &["init", "--dir", "other"]] {
        assert_eq!(unread(folder, arguments), (Some(0), String::new()), "{arguments:?}");
    }
    // Snapshots that cannot be read, printed to nobody.
    support::says(folder, &["sync"]);
    let manifest = key_of(folder, "us-east-1", "snapshot");
    std::fs::write(folder.join("buckets/us-east-1").join(manifest), "damaged").expect("it is written");
    for arguments in [&["verify"][..], &["verify", "--json"]] {
        assert_eq!(unread(folder, arguments).0, Some(1), "{arguments:?}");
    }
}

/// The key of an object in a region's bucket.
fn key_of(folder: &Path, region: &str, what: &str) -> String {
    let listed = objects(&says(folder, &["--region", region, "log", "--json"]));
    let entry = listed.iter().rfind(|entry| entry["what"] == what).unwrap_or_else(|| panic!("{what}: {listed:?}"));
    entry["key"].as_str().expect("a key").to_owned()
}

#[test]
fn a_full_disk_is_told() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder = configured();
    for arguments in [&["completions", "bash"][..], &["man"], &["init", "--dir", "other"], &["status"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it opens");
        let output = command(folder.path(), arguments).stdout(full).output().expect("it runs");
        let says = text(&output.stderr);
        assert_eq!((output.status.code(), says.contains("No space left")), (Some(1), true), "{arguments:?}: {says}");
    }
}

#[test]
fn a_watch_that_nobody_reads_ends() {
    let folder = configured();
    let mut child = command(folder.path(), &["watch"]).spawn().expect("it runs");
    drop(child.stdout.take());
    let ended = until(|| child.try_wait().expect("it can be asked"));
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn reading_makes_no_directory_and_writing_only_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let region = |name: &str, at: &str| format!("[[region]]\nname = \"{name}\"\nbucket = \"file:{at}\"\n");
    let file = folder.join("archipelago.toml");
    std::fs::write(&file, region("here", "here") + &region("there", "not/mounted")).expect("it is written");
    for arguments in [&["get", "a"][..], &["scan"], &["status"], &["export"], &["watch"]] {
        let (code, says) = fails(folder, arguments);
        assert_eq!((code, says.contains("there is no directory") && says.contains("/here")), (2, true), "{says}");
    }
    for arguments in [&["log"][..], &["verify"]] {
        let (code, says) = fails(folder, arguments);
        assert_eq!((code, says.contains("there is no directory")), (1, true), "{arguments:?}: {says}");
    }
    assert!(!folder.join("here").exists() && !folder.join("not").exists());

    let output = applied(folder, &[], GOOD.as_bytes());
    let says = text(&output.stderr);
    assert!(
        output.status.success() && says.contains("there is no directory") && says.contains("not/mounted"),
        "{says}"
    );
    assert!(folder.join("here").exists() && !folder.join("not").exists());
    let output = run(folder, &["get", "goals/Ada", "--json"]);
    let warned = objects(&text(&output.stderr)).remove(0);
    assert!(warned["warning"].as_str().is_some_and(|says| says.contains("not/mounted")), "{warned}");
    assert!(output.status.success() && !folder.join("not").exists());
}

#[test]
fn a_watch_tells_what_it_cannot_read() {
    let folder = configured();
    let bucket = folder.path().join("buckets/eu-west-1");
    std::fs::remove_dir_all(&bucket).expect("it is removed");
    let mut watches = [
        Running::start(folder.path(), "plain", &["watch"]),
        Running::start(folder.path(), "json", &["watch", "--json"]),
    ];
    until(|| watches.iter().all(|watch| watch.complained().contains("buckets/eu-west-1")).then_some(()));
    for watch in &mut watches {
        watch.signal("-TERM");
        assert_eq!(watch.end(), Some(0));
    }
    let [plain, json] = watches.map(|watch| watch.complained());
    assert!(plain.starts_with("warning: region eu-west-1: store: "), "{plain}");
    assert!(objects(&json)[0]["warning"].as_str().is_some_and(|says| says.contains("region=eu-west-1")), "{json}");
}

#[test]
fn a_peers_bucket_that_is_gone_is_told() {
    let folder = configured();
    let folder = folder.path();
    assert!(applied(folder, &["--region", "eu-west-1"], GOOD.as_bytes()).status.success());
    says(folder, &["sync"]);
    assert!(applied(folder, &["--region", "eu-west-1"], GOOD.as_bytes()).status.success());
    let (bucket, away) = (folder.join("buckets/eu-west-1"), folder.join("away"));
    std::fs::rename(&bucket, &away).expect("it is moved");
    // Gone, and in its place an empty one.
    for is_there in [false, true] {
        if is_there {
            std::fs::create_dir(&bucket).expect("it is made");
        }
        let output = run(folder, &["get", "goals/Ada"]);
        let says = text(&output.stderr);
        assert_eq!((text(&output.stdout), says.contains("warning: ")), ("1\n".to_owned(), true), "{says}");
        let (code, says) = fails(folder, &["sync"]);
        assert_eq!((code, says.contains("not all that there is could be read")), (1, true), "{says}");
    }
    std::fs::remove_dir(&bucket).expect("it is empty");
    std::fs::rename(&away, &bucket).expect("it is moved back");
    let output = run(folder, &["get", "goals/Ada"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("2\n".to_owned(), String::new()));
    says(folder, &["sync"]);
}

/// Its log is read from the snapshot of another one, which does not say when it was written.
#[test]
fn what_came_from_a_snapshot_has_no_lag_since_1970() {
    let folder = configured();
    let folder = folder.path();
    assert!(applied(folder, &["--region", "eu-west-1"], GOOD.as_bytes()).status.success());
    says(folder, &["sync"]);
    let status = objects(&says(folder, &["status", "--json"])).remove(0);
    for log in status["logs"].as_array().expect("logs") {
        assert!(log["lag_seconds"].as_f64().is_none_or(|lag| lag < 1_000.0), "{log}");
    }
    let eu = folder.join("buckets/eu-west-1");
    std::fs::remove_dir_all(&eu).expect("it is removed");
    std::fs::create_dir(&eu).expect("it is made");
    let plain = run(folder, &["status"]);
    assert!(!text(&plain.stdout).contains("00 s behind"), "{}", text(&plain.stdout));
}

#[test]
fn verify_names_every_fault_and_goes_on() {
    let folder = configured();
    let folder = folder.path();
    for region in ["us-east-1", "eu-west-1"] {
        let line = format!("{{\"op\":\"add\",\"kind\":\"g_counter\",\"path\":\"{region}\"}}\n");
        assert!(applied(folder, &["--region", region], line.as_bytes()).status.success());
    }
    for region in REGIONS {
        says(folder, &["sync", "--region", region]);
    }
    for region in REGIONS {
        says(folder, &["sync", "--region", region]);
    }
    let manifest = folder.join("buckets/us-east-1").join(key_of(folder, "us-east-1", "snapshot"));
    let shown = objects(&says(folder, &["--region", "eu-west-1", "show", &key_of(folder, "eu-west-1", "snapshot")]));
    let part = shown[1]["part"].as_str().expect("a part").to_owned();
    std::fs::remove_file(folder.join("buckets/eu-west-1").join(&part)).expect("it is removed");
    let mut bytes = std::fs::read(&manifest).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&manifest, &bytes).expect("it is written");

    let output = run(folder, &["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let found = objects(&text(&output.stdout));
    let faults: Vec<&Value> = found.iter().filter(|found| found["fault"].is_string()).collect();
    let is_at = |region: &str, key: &str| {
        faults.iter().any(|fault| fault["region"] == region && fault["key"].as_str().is_some_and(|at| at.contains(key)))
    };
    assert!(is_at("us-east-1", "/snap/") && is_at("eu-west-1", &part), "{found:?}");
    let plain = run(folder, &["verify"]);
    assert!(text(&plain.stdout).contains(&part) && text(&plain.stderr).contains("cannot be read"), "{plain:?}");

    let listed = objects(&says(folder, &["log", "--json"]));
    assert!(listed.iter().any(|entry| entry["what"] == "damaged"), "{listed:?}");
    assert!(listed.iter().any(|entry| entry["what"] == "segment"), "{listed:?}");
}

#[test]
fn a_newer_format_is_called_so() {
    let folder = configured();
    let folder = folder.path();
    assert!(applied(folder, &[], GOOD.as_bytes()).status.success());
    says(folder, &["sync"]);
    for what in ["segment", "snapshot"] {
        let object = folder.join("buckets/us-east-1").join(key_of(folder, "us-east-1", what));
        let mut bytes = std::fs::read(&object).expect("it is there");
        // The version stands behind the magic.
        bytes[4] += 1;
        std::fs::write(&object, bytes).expect("it is written");
    }
    let listed = objects(&says(folder, &["log", "--json"]));
    assert_eq!(listed.iter().filter(|entry| entry["what"] == "newer").count(), 2, "{listed:?}");
}

#[test]
fn memory_that_is_written_to_is_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let regions = "[[region]]\nname = \"a\"\nbucket = \"memory:\"\n";
    std::fs::write(folder.path().join("archipelago.toml"), regions).expect("it is written");
    let output = applied(folder.path(), &[], GOOD.as_bytes());
    let says = text(&output.stderr);
    assert!(output.status.success() && says.contains("nothing is kept"), "{says}");
}

#[test]
fn init_writes_where_it_is_told_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let said = objects(&says(folder, &["--config", "conf/mine.toml", "init", "--json", "paris"])).remove(0);
    assert_eq!(said, json!({"config": "conf/mine.toml", "regions": ["paris"]}));
    assert!(folder.join("conf/buckets/paris").is_dir() && !folder.join("archipelago.toml").exists());
    assert_eq!(fails(folder, &["--config", "x.toml", "init", "--dir", "y"]).0, 2);
    assert!(says(folder, &["init"]).contains("their directories are made below ./buckets"));
}

/// A bucket that takes nothing more: in the place of the folder in which it stages what it writes is a file.
fn stick(bucket: &Path) {
    let staging = bucket.join("#staging");
    std::fs::rename(&staging, bucket.join("#away")).expect("it has been written to");
    std::fs::write(staging, "").expect("it is written");
}

#[test]
fn a_stuck_bucket_is_told_and_holds_up_nobody_who_is_told_to_stop() {
    let folder = configured();
    let folder = folder.path();
    let start = |name: &str| {
        let mut apply = Running::start(folder, name, &["--replica", name, "apply"]);
        apply.give(GOOD.as_bytes());
        // Its seal, and a segment.
        until(|| (log_len(folder, "us-east-1", name) > 1).then_some(()));
        apply
    };
    let mut running = [start("patient"), start("hurried")];
    stick(&folder.join("buckets/us-east-1"));
    running.iter_mut().for_each(|apply| apply.give(GOOD.repeat(7).as_bytes()));
    until(|| running.iter().all(|apply| apply.complained().contains("warning: create ")).then_some(()));

    let [patient, hurried] = &mut running;
    patient.interrupt();
    hurried.interrupt();
    pause(Duration::from_millis(500));
    hurried.interrupt();
    pause(Duration::from_millis(1_000));
    assert_eq!(hurried.ended().and_then(|status| status.code()), Some(130), "{}", hurried.complained());
    assert!(patient.ended().is_none(), "it waits a little");
    assert_eq!(patient.end(), Some(130));
    for apply in running {
        assert_eq!(summary(apply.printed().as_bytes())["applied"], 1, "{}", apply.complained());
        assert!(apply.complained().contains("7 operations behind that"), "{}", apply.complained());
    }
}

#[test]
fn signals_leave_what_the_summary_counts() {
    let folder = configured();
    for (signal, code) in [("-TERM", 143), ("-HUP", 129), ("-INT", 130)] {
        let mut apply = Running::start(folder.path(), &signal[1..], &["apply"]);
        let before = log_len(folder.path(), "us-east-1", "us-east-1-cli");
        apply.give(GOOD.repeat(100).as_bytes());
        until(|| (log_len(folder.path(), "us-east-1", "us-east-1-cli") > before + 1).then_some(()));
        apply.signal(signal);
        assert_eq!(apply.end(), Some(code), "{}", apply.complained());
        assert_eq!(summary(apply.printed().as_bytes())["applied"], 100);
        assert!(apply.complained().contains("interrupted; what the summary counts is durable"));
    }
    assert_eq!(value(folder.path(), "us-east-1", "goals/Ada"), json!(300));
}
