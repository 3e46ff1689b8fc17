//! Looking: what each command prints to people and to programs, and what it says of itself.

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
};

use serde_json::{Value, json};
use support::*;
use tempfile::TempDir;

/// Something of each kind, and a conflict.
fn filled() -> TempDir {
    let folder = configured();
    let lines = br#"{"op":"add","kind":"pn_counter","path":"goals/Marta","by":17}
{"op":"add","kind":"pn_counter","path":"goals/Ada","by":-3}
{"op":"add","kind":"g_counter","path":"views"}
{"op":"add","kind":"or_set","path":"carts/ada","value":"lamp"}
{"op":"add","kind":"or_set","path":"carts/ada","value":{"sku":7}}
{"op":"set","kind":"lww_register","path":"users/ada","value":{"name":"Ada"}}
"#;
    assert!(applied(folder.path(), &[], lines).status.success());
    // Each in a region that knows nothing of the other.
    for region in ["us-east-1", "eu-west-1"] {
        let alone = folder.path().join(format!("{region}.toml"));
        let regions = format!("[[region]]\nname = \"{region}\"\nbucket = \"file:buckets/{region}\"\n");
        std::fs::write(&alone, regions).expect("it is written");
        let title = format!("{{\"op\":\"set\",\"kind\":\"mv_register\",\"path\":\"title\",\"value\":\"{region}\"}}\n");
        let output = applied(folder.path(), &["--config", &format!("{region}.toml")], title.as_bytes());
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    folder
}

fn json_of(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    objects(&says(folder, &[arguments, &["--json"]].concat()))
}

#[test]
fn values_are_printed_as_text_and_as_json() {
    let folder = filled();
    let folder = folder.path();
    for (path, plain, kind, value) in [
        ("goals/Marta", "17\n", "pn_counter", json!(17)),
        ("views", "1\n", "g_counter", json!(1)),
        ("carts/ada", "lamp\n{\"sku\":7}\n", "or_set", json!(["lamp", {"sku": 7}])),
        ("users/ada", "{\"name\":\"Ada\"}\n", "lww_register", json!({"name": "Ada"})),
        ("title", "eu-west-1\nus-east-1\n", "mv_register", json!(["eu-west-1", "us-east-1"])),
    ] {
        let sorted = |text: String| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(says(folder, &["get", path])), sorted(plain.to_owned()));
        let mut found = json_of(folder, &["get", path]).remove(0);
        if let Some(values) = found["value"].as_array_mut().filter(|_| kind == "mv_register") {
            values.sort_by_key(Value::to_string);
        }
        assert_eq!(found, json!({"path": path, "kind": kind, "value": value}));
    }
    let (code, complaint) = fails(folder, &["get", "nothing/here"]);
    assert_eq!((code, complaint.as_str()), (3, "error: nothing is at \"nothing/here\"\n"));
    assert_eq!(fails(folder, &["get", "nothing/here", "--json"]).0, 3);
    for arguments in
        [&["get", ""][..], &["delete", ""], &["sync", "--replica", "A b"], &["get", "views", "--replica", ""]]
    {
        let (code, complaint) = fails(folder, arguments);
        assert_eq!(code, 2, "{arguments:?}: {complaint}");
        let reason = complaint.trim_start_matches("error: ").split(':').next().expect("a reason");
        assert_eq!(complaint.matches(reason).count(), 1, "{complaint}");
    }
}

#[test]
fn lists_and_ranks_are_printed_as_text_and_as_json() {
    let folder = filled();
    let folder = folder.path();
    assert_eq!(says(folder, &["scan", "goals/"]), "goals/Ada\tpn_counter\t-3\ngoals/Marta\tpn_counter\t17\n");
    let scanned = json_of(folder, &["scan"]);
    assert_eq!(
        scanned.iter().map(|found| &found["path"]).collect::<Vec<_>>(),
        ["carts/ada", "goals/Ada", "goals/Marta", "title", "users/ada", "views"]
    );
    let page = json_of(folder, &["scan", "--after", "carts/ada", "--limit", "1"]);
    assert_eq!(page, [json!({"path": "goals/Ada", "kind": "pn_counter", "value": -3})]);

    assert_eq!(says(folder, &["top", "goals/"]), "   1  17  goals/Marta\n   2  -3  goals/Ada\n");
    assert_eq!(
        json_of(folder, &["top", "goals/", "-n", "1"]),
        [json!({"rank": 1, "path": "goals/Marta", "kind": "pn_counter", "value": 17})]
    );
    assert_eq!(says(folder, &["rank", "goals/", "goals/Ada"]), "2 of 2: -3\n");
    assert_eq!(json_of(folder, &["rank", "goals/", "goals/Ada"])[0]["rank"], 2);
    assert_eq!(
        fails(folder, &["rank", "goals/", "views"]),
        (3, "error: no counter below \"goals/\" is at \"views\"\n".into())
    );

    let conflict = json_of(folder, &["conflicts"]).remove(0);
    let mut values: Vec<_> =
        conflict["writes"].as_array().expect("writes").iter().map(|write| &write["value"]).collect();
    values.sort_by_key(ToString::to_string);
    assert_eq!((&conflict["path"], values), (&json!("title"), vec![&json!("eu-west-1"), &json!("us-east-1")]));
    let plain = says(folder, &["conflicts", "ti"]);
    assert!(
        plain.starts_with("title\tmv_register\n  ") && plain.contains("Z  eu-west-1-cli  \"eu-west-1\""),
        "{plain}"
    );

    for (command, complaint) in [
        (["scan", "no/"], "nothing is there below \"no/\"\n"),
        (["top", "no/"], "no counter is there below \"no/\"\n"),
        (["conflicts", "no/"], "no conflict is there below \"no/\"\n"),
    ] {
        let output = run(folder, &command);
        assert_eq!(
            (output.status.success(), text(&output.stdout), text(&output.stderr)),
            (true, String::new(), complaint.into())
        );
        assert_eq!(says(folder, &[&command[..], &["--json"]].concat()), "");
    }
}

#[test]
fn status_sync_delete_and_verify_speak_to_people_and_to_programs() {
    let folder = filled();
    let folder = folder.path();
    let status = json_of(folder, &["status"]).remove(0);
    assert_eq!(
        (&status["region"], &status["objects"], &status["alarms"]),
        (&json!("us-east-1"), &json!(6), &json!([]))
    );
    let logs: Vec<_> = status["logs"].as_array().expect("logs").iter().map(|log| &log["replica"]).collect();
    assert_eq!(logs, ["eu-west-1-cli", "us-east-1-cli"]);
    let plain = says(folder, &["status", "--region", "eu-west-1"]);
    assert!(plain.starts_with("eu-west-1: 6 objects, ") && plain.contains("up to date"), "{plain}");
    assert!(plain.lines().all(|line| line.chars().count() <= 100), "{plain}");

    assert!(says(folder, &["verify"]).contains("nothing to compare"));
    assert!(json_of(folder, &["verify"]).is_empty());
    let synced = says(folder, &["sync"]);
    assert!(synced.starts_with("6 objects, snapshot "), "{synced}");
    let synced = json_of(folder, &["sync", "--region", "eu-west-1"]).remove(0);
    assert_eq!((&synced["complete"], &synced["objects"]), (&json!(true), &json!(6)));
    let position = synced["snapshot"].as_str().expect("a snapshot").replace('/', "-");
    assert!(folder.join("buckets/eu-west-1/v1/snap/eu-west-1-cli").join(position).exists());
    assert!(says(folder, &["verify"]).contains("  the same as  us-east-1: us-east-1-cli at "));

    assert_eq!(says(folder, &["delete", "views"]), "");
    assert_eq!(
        json_of(folder, &["delete", "carts/ada", "--kind", "or_set"]),
        [json!({"path": "carts/ada", "deleted": 1})]
    );
    assert_eq!(fails(folder, &["delete", "views"]).0, 3);
    assert_eq!(fails(folder, &["delete", "title", "--kind", "or_set"]).0, 3);
    assert_eq!(fails(folder, &["delete", "title", "--kind", "heap"]).0, 2);
    assert_eq!(json_of(folder, &["scan"]).len(), 4);
}

/// Two worlds that know nothing of each other, in which one replica wrote something else at one position.
#[test]
fn snapshots_of_the_same_changes_that_hold_something_else_are_told_apart() {
    let written = |value: &str| {
        let folder = configured();
        let line = format!("{{\"op\":\"set\",\"kind\":\"lww_register\",\"path\":\"name\",\"value\":\"{value}\"}}\n");
        let output = applied(folder.path(), &[], line.as_bytes());
        (folder, summary(&output.stdout)["position"].clone())
    };
    // Positions begin with the second in which they were made.
    let (ours, theirs) = until(|| {
        let ((ours, here), (theirs, there)) = (written("Ada"), written("Eve"));
        (here == there).then_some((ours, theirs))
    });
    for folder in [&ours, &theirs] {
        says(folder.path(), &["sync"]);
    }
    let regions = [("ours", &ours), ("theirs", &theirs)].map(|(name, folder)| {
        let bucket = folder.path().join("buckets/us-east-1");
        format!("[[region]]\nname = \"{name}\"\nbucket = \"file:{}\"\n", bucket.display())
    });
    std::fs::write(ours.path().join("both.toml"), regions.concat()).expect("it is written");
    for arguments in [&["verify", "--config", "both.toml"][..], &["verify", "--config", "both.toml", "--json"]] {
        let output = run(ours.path(), arguments);
        let (out, complaint) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{out}{complaint}");
        assert!(complaint.contains("1 of 1 snapshots differ from one of the same changes"), "{complaint}");
        assert!(out.contains("name lww_register: ") && out.contains("Ada") && out.contains("Eve"), "{out}");
    }
}

#[test]
fn every_object_of_a_bucket_is_listed_and_shown() {
    let folder = filled();
    let folder = folder.path();
    says(folder, &["sync"]);
    let plain = says(folder, &["log"]);
    assert!(plain.lines().all(|line| line.chars().count() <= 100), "{plain}");
    let listed = json_of(folder, &["log", "us-east-1-cli"]);
    assert_eq!(plain.lines().count(), listed.len());
    for what in ["seal", "segment", "snapshot"] {
        let entry = listed.iter().find(|entry| entry["what"] == what).expect("there is one");
        let (key, rows) = (entry["key"].as_str().expect("a key"), &entry["rows"]);
        let shown = objects(&says(folder, &["show", key]));
        assert_eq!((&shown[0]["what"], &shown[0]["replica"]), (&json!(what), &json!("us-east-1-cli")));
        match what {
            "seal" => assert!(shown.len() == 1 && shown[0]["next_epoch"].is_string(), "{shown:?}"),
            "segment" => assert_eq!(json!(shown.len() - 1), *rows),
            _ => {
                let part = shown[1]["part"].as_str().expect("a part");
                let rows = objects(&says(folder, &["show", part]));
                assert_eq!((rows.len(), &rows[0]["path"]), (6, &json!("carts/ada")));
            }
        }
    }
    assert_eq!(fails(folder, &["log", "nobody"]), (3, "error: nobody has no log in the bucket of us-east-1\n".into()));
    let empty = run(folder, &["log", "--region", "ap-southeast-1"]);
    assert_eq!(
        (text(&empty.stdout), text(&empty.stderr)),
        (String::new(), "nothing is in the bucket of ap-southeast-1\n".into())
    );
    assert_eq!(fails(folder, &["show", "v1/nonsense"]).0, 2);
    assert_eq!(fails(folder, &["show", "v1/log/us-east-1-cli/00000000/0000ffff"]).0, 3);
}

#[test]
fn a_watch_tells_what_another_process_changes() {
    let folder = configured();
    let mut watches = [
        Running::start(folder.path(), "plain", &["watch", "goals/", "--region", "eu-west-1"]),
        Running::start(folder.path(), "json", &["watch", "--json"]),
    ];
    // It tells what comes from when it has begun to look, so something comes until it does.
    until(|| {
        let line = b"{\"op\":\"add\",\"kind\":\"pn_counter\",\"path\":\"goals/Marta\"}\n";
        assert!(applied(folder.path(), &[], line).status.success());
        watches.iter().all(|watch| !watch.printed().is_empty()).then_some(())
    });
    assert!(
        applied(folder.path(), &[], b"{\"op\":\"add\",\"kind\":\"or_set\",\"path\":\"other\",\"value\":1}\n")
            .status
            .success()
    );
    says(folder.path(), &["delete", "goals/Marta"]);
    let [plain, json] = &mut watches;
    until(|| plain.printed().contains("goals/Marta\tpn_counter\t(deleted)\tus-east-1-cli\n").then_some(()));
    until(|| {
        json.printed()
            .contains(r#"{"path":"goals/Marta","kind":"pn_counter","value":null,"origin":"us-east-1-cli"}"#)
            .then_some(())
    });
    for watch in &mut watches {
        watch.interrupt();
        assert_eq!((watch.end(), watch.complained()), (Some(0), String::new()));
    }
    let [plain, json] = watches.map(|watch| watch.printed());
    assert!(plain.starts_with("goals/Marta\tpn_counter\t") && !plain.contains("other"), "{plain}");
    let changes = objects(&json);
    assert!(changes.iter().any(|change| change["path"] == "other" && change["value"] == json!([1])), "{json}");
}

#[test]
fn a_reader_that_goes_away_ends_a_scan_quietly() {
    let folder = configured();
    let lines: String = (0..20_000)
        .map(|path| format!("{{\"op\":\"add\",\"kind\":\"g_counter\",\"path\":\"views/of/page/{path:05}\"}}\n"))
        .collect();
    assert!(applied(folder.path(), &[], lines.as_bytes()).status.success());
    for arguments in [&["scan"][..], &["scan", "--json"], &["export"]] {
        let mut scan = command(folder.path(), arguments).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut first = String::new();
        let mut out = BufReader::new(scan.stdout.take().expect("a pipe"));
        out.read_line(&mut first).expect("a line");
        drop(out);
        assert!(first.contains("views/of/page/00000"), "{first}");
        let mut complaint = String::new();
        scan.stderr.take().expect("a pipe").read_to_string(&mut complaint).expect("text");
        assert_eq!((scan.wait().expect("it ends").code(), complaint), (Some(0), String::new()));
    }
}

/// Every command, with what it cannot do without.
const COMMANDS: [&[&str]; 20] = [
    &["init"],
    &["apply"],
    &["get", "a"],
    &["scan"],
    &["top", "a"],
    &["rank", "a", "b"],
    &["conflicts"],
    &["status"],
    &["watch"],
    &["delete", "a"],
    &["sync"],
    &["evict", "a"],
    &["verify"],
    &["export"],
    &["log"],
    &["show", "a"],
    &["completions", "bash"],
    &["man"],
    &["help"],
    &["--version"],
];

#[test]
fn the_help_of_each_command_has_an_example() {
    let folder = tempfile::tempdir().expect("a folder");
    let listed = says(folder.path(), &["--help"]);
    for name in COMMANDS.iter().map(|command| command[0]).filter(|name| !["help", "--version"].contains(name)) {
        assert!(listed.contains(&format!("\n  {name} ")), "{name}: {listed}");
        let help = says(folder.path(), &[name, "--help"]);
        assert!(help.contains("\nExample:\n") && help.contains(&format!("archipelago {name}")), "{help}");
        assert!(help.contains("Global options:") && help.contains("--json"), "{help}");
        assert_eq!(says(folder.path(), &["help", name]), help);
    }
    assert!(listed.contains("Exit codes: 0 done"), "{listed}");
    for lines in listed.lines() {
        assert!(lines.chars().count() <= 100, "{lines}");
    }
}

#[test]
fn without_a_configuration_every_command_says_how_to_get_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let without = ["init", "completions", "man", "help", "--version"];
    for arguments in COMMANDS.iter().filter(|command| !without.contains(&command[0])) {
        let (code, complaint) = fails(folder.path(), arguments);
        assert_eq!(
            (code, complaint.contains("`archipelago init` writes one")),
            (2, true),
            "{arguments:?}: {complaint}"
        );
    }
    assert!(says(folder.path(), &["--version"]).starts_with("archipelago "));
    assert_eq!(fails(folder.path(), &[]).0, 2);
    assert_eq!(fails(folder.path(), &["get"]).0, 2);
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let script = says(folder.path(), &["completions", shell]);
        for name in ["apply", "conflicts", "evict", "skip-bad"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    assert_eq!(fails(folder.path(), &["completions", "tcsh"]).0, 2);
    let manual = says(folder.path(), &["man"]);
    assert!(manual.starts_with(".ie") || manual.contains(".TH archipelago"), "{manual}");
    for name in COMMANDS.iter().map(|command| command[0]).filter(|name| !["help", "--version"].contains(name)) {
        let head = format!("\n.SH {}\n", name.to_uppercase());
        let (_, section) = manual.split_once(&head).unwrap_or_else(|| panic!("{name}: {manual}"));
        let section = section.split("\n.SH ").next().expect("its end");
        let example = format!("archipelago {name}");
        assert!(
            section.contains(".SS SYNOPSIS") && section.contains(".SS EXAMPLE") && section.contains(&example),
            "{name}: {section}"
        );
    }
    assert!(manual.contains(".SH \"EXIT STATUS\""), "{manual}");
    for option in ["skip\\-bad", "resume", "seed", "limit", "\\-\\-json"] {
        assert!(manual.contains(option), "{option}: {manual}");
    }
}
