//! `serve`: the examples of its document, being stopped, and what it refuses to begin.

#![cfg(feature = "serve")]

mod support;

use std::{fs, path::Path, process::Command, time::Duration};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use crate::support::{Running, command, configured, fails, objects, pause, says, text, until, value};

/// A server, and where it is.
fn serve(folder: &Path, name: &str, arguments: &[&str]) -> (Running, String) {
    let arguments = [&["serve", "--listen", "127.0.0.1:0", "--json"], arguments].concat();
    let server = Running::start(folder, name, &arguments);
    let url = until(|| objects(&server.printed()).first()?["url"].as_str().map(str::to_owned));
    (server, url.trim_end_matches('/').to_owned())
}

/// A file of tokens with one that may write, as it is sent.
fn tokens(folder: &Path) {
    fs::write(folder.join("tokens"), "ann write 0123456789abcdef\n").expect("a file");
}

const BEARER: &str = "authorization: Bearer 0123456789abcdef";

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "--max-time", "20"]).args(arguments).output().expect("curl is there");
    text(&output.stdout)
}

fn post(url: &str, operation: &Value) -> String {
    curl(&[&format!("{url}/v1/ops"), "-H", "content-type: application/json", "-d", &operation.to_string()])
}

/// True when an answer is what is shown of it; `"…"` is anything.
fn is_shown(shown: &Value, answer: &Value) -> bool {
    match (shown, answer) {
        (Value::String(shown), _) if shown == "\u{2026}" => true,
        (Value::Object(shown), Value::Object(answer)) => {
            shown.len() == answer.len()
                && shown.iter().all(|(key, value)| answer.get(key).is_some_and(|answer| is_shown(value, answer)))
        }
        (Value::Array(shown), Value::Array(answer)) => {
            shown.len() == answer.len() && shown.iter().zip(answer).all(|(shown, answer)| is_shown(shown, answer))
        }
        (shown, answer) => shown == answer,
    }
}

#[test]
fn every_example_of_the_document_runs() {
    let document =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/server.md")).expect("it is there");
    let folder = configured();
    let (_server, url) = serve(folder.path(), "server", &[]);
    until(|| curl(&[&format!("{url}/readyz")]).contains("true").then_some(()));
    let mut blocks = document.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').expect("a block"));
    let mut run = 0;
    while let Some((kind, example)) = blocks.next() {
        if kind != "sh" {
            continue;
        }
        let Some(("json", shown)) = blocks.next() else { panic!("what comes is not shown: {example}") };
        let script = example.replace("http://localhost:7070", &url);
        let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        let answer =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {example}: {output:?}"));
        let shown = serde_json::from_str(shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert!(is_shown(&shown, &answer), "{example}\nshown: {shown}\ncame:  {answer}");
        run += 1;
    }
    assert!(run >= 12, "{run} examples");
}

/// Whatever was answered before a server is told to stop is there when it has.
#[test]
fn a_server_that_is_told_to_stop_flushes() {
    let folder = configured();
    let (mut server, url) = serve(folder.path(), "server", &["--region", "eu-west-1"]);
    assert_eq!(objects(&server.printed())[0]["replica"], "eu-west-1");
    let add = json!({"op": "add", "kind": "pn_counter", "path": "a", "by": 7});
    assert!(post(&url, &add).contains("\"durable\":false"));
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    assert_eq!(value(folder.path(), "us-east-1", "a"), 7);
    // The same name goes on with the same log.
    let (mut server, url) = serve(folder.path(), "again", &["--region", "eu-west-1"]);
    assert!(curl(&[&format!("{url}/v1/objects/a")]).contains("\"value\":7"));
    server.signal("-INT");
    assert_eq!(server.end(), Some(0));
}

/// While the bucket is away there is no flushing; whoever says it twice does not want to wait for it.
#[test]
fn a_server_that_is_told_twice_does_not_wait() {
    let folder = configured();
    let (mut server, url) = serve(folder.path(), "server", &[]);
    let (bucket, gone) = (folder.path().join("buckets/us-east-1"), folder.path().join("gone"));
    fs::rename(&bucket, &gone).expect("it is moved");
    let add = json!({"op": "add", "kind": "pn_counter", "path": "a"});
    assert!(post(&url, &add).contains("\"durable\":false"));
    server.signal("-TERM");
    until(|| server.complained().contains("stopping").then_some(()));
    pause(Duration::from_millis(500));
    assert!(server.ended().is_none(), "it waits for the bucket");
    server.signal("-TERM");
    assert_eq!(server.end(), Some(143));
}

/// Killed, it loses what it said was in memory alone, and nothing that it said was durable.
#[test]
fn a_server_that_is_killed_has_kept_what_it_called_durable() {
    let folder = configured();
    let (server, url) = serve(folder.path(), "server", &[]);
    let add = json!({"op": "add", "kind": "pn_counter", "path": "a"}).to_string();
    let keyed = |url: &str| {
        let arguments = ["-H", "content-type: application/json", "-H", "idempotency-key: one", "-d", &add];
        curl(&[&[&*format!("{url}/v1/ops?durable=true")], &arguments[..]].concat())
    };
    assert!(keyed(&url).contains("\"durable\":true"));
    server.kill();
    let (_server, url) = serve(folder.path(), "again", &[]);
    assert!(keyed(&url).contains("\"repeated\":true"));
    assert!(curl(&[&format!("{url}/v1/objects/a")]).contains("\"value\":1"));
}

#[test]
fn a_second_server_of_a_name_fences_the_first() {
    let folder = configured();
    let (_first, old) = serve(folder.path(), "first", &[]);
    let (_second, new) = serve(folder.path(), "second", &[]);
    let add = json!({"op": "add", "kind": "pn_counter", "path": "a"});
    until(|| post(&old, &add).contains("\"kind\":\"fenced\"").then_some(()));
    assert!(curl(&[&format!("{old}/readyz")]).contains("fenced"));
    assert!(post(&new, &add).contains("\"applied\":1"));
}

#[test]
fn what_would_be_open_to_everybody_does_not_begin() {
    let folder = configured();
    let (code, complains) = fails(folder.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, 2);
    assert!(complains.contains("needs tokens and TLS, and no token file was given"), "{complains}");
    fs::write(folder.path().join("tokens"), "ann read short\n").expect("a file");
    let (code, complains) = fails(folder.path(), &["serve", "--tokens", "tokens"]);
    assert_eq!(code, 2);
    assert!(complains.contains("line 1") && !complains.contains("short"), "{complains}");
    for wrong in [
        &["--tls-cert", "a.pem"][..],
        &["--tls-cert", "a.pem", "--tls-key", "a.pem"],
        &["--tokens", "none"],
        &["--cors", "evil.example"],
        &["--cors", "http://a b"],
        &["--sibling", "http://a"],
        &["--rate", "0"],
        &["--listen", "localhost"],
        &["--region", "nowhere"],
    ] {
        assert_eq!(fails(folder.path(), &[&["serve"], wrong].concat()).0, 2, "{wrong:?}");
    }
    let (_server, url) = serve(folder.path(), "server", &[]);
    let taken = url.trim_start_matches("http://");
    let (code, complains) = fails(folder.path(), &["serve", "--region", "eu-west-1", "--listen", taken]);
    assert_eq!(code, 2);
    assert!(complains.contains("it cannot listen on"), "{complains}");
}

#[test]
fn tokens_are_asked_for_where_there_are_some() {
    let folder = configured();
    tokens(folder.path());
    let (_server, url) = serve(folder.path(), "server", &["--tokens", "tokens"]);
    assert!(curl(&[&format!("{url}/v1/status")]).contains("unauthorized"));
    assert!(curl(&[&format!("{url}/v1/status"), "-H", BEARER]).contains("\"region\":\"us-east-1\""));
}

/// With a certificate it answers over TLS and nothing else.
#[test]
fn with_a_certificate_it_speaks_tls_alone() {
    let folder = configured();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("a file");
    tokens(folder.path());
    write("cert.pem", cert.pem());
    write("key.pem", signing_key.serialize_pem());
    let arguments = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--tokens", "tokens"];
    let (mut server, url) = serve(folder.path(), "server", &arguments);
    let address = url.strip_prefix("https://").unwrap_or_else(|| panic!("{url}"));
    let port = address.rsplit(':').next().expect("a port");
    let named = format!("https://localhost:{port}");
    let (resolve, known) = (format!("localhost:{port}:127.0.0.1"), folder.path().join("cert.pem"));
    let known = known.to_str().expect("text");
    let ask = |target: &str, more: &[&str]| {
        curl(&[&["--resolve", &*resolve, "--cacert", known, &format!("{named}{target}")], more].concat())
    };
    assert!(ask("/v1/status", &[]).contains("unauthorized"));
    let add = json!({"op": "add", "kind": "pn_counter", "path": "a", "by": 3}).to_string();
    let post = ["-H", BEARER, "-H", "content-type: application/json", "-d", &add];
    assert!(ask("/v1/ops?durable=true", &post).contains("\"durable\":true"));
    assert!(ask("/v1/objects/a", &["-H", BEARER, "--tlsv1.3"]).contains("\"value\":3"));
    assert!(ask("/", &[]).contains("<title>Archipelago</title>"));
    assert!(ask("/healthz", &["--tls-max", "1.2"]).contains("alive"));
    // A watch goes on, until curl gives up.
    let watched = ask("/v1/watch?prefix=a", &["-H", BEARER, "--no-buffer", "--max-time", "2"]);
    assert!(watched.contains("event: snapshot") && watched.contains("\"value\":3"), "{watched}");
    // Neither without TLS, of which curl sees no HTTP, nor to who does not trust the certificate.
    let code_of = |arguments: &[&str]| {
        let status =
            Command::new("curl").args(["-s", "--max-time", "20"]).args(arguments).output().expect("curl").status;
        status.code()
    };
    let (no_http, not_trusted) = ([Some(1), Some(52), Some(56)], Some(60));
    assert!(no_http.contains(&code_of(&[&format!("http://{address}/healthz")])));
    assert_eq!(code_of(&["--resolve", &resolve, &format!("{named}/healthz")]), not_trusted);
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    let (code, complains) = fails(folder.path(), &["serve", "--tls-cert", "cert.pem", "--tls-key", "cert.pem"]);
    assert_eq!(code, 2);
    assert!(complains.contains("the key cannot be read"), "{complains}");
}

/// Everything that a server can be told, at once.
#[test]
fn a_server_does_as_its_flags_say() {
    let folder = configured();
    fs::rename(folder.path().join("archipelago.toml"), folder.path().join("other.toml")).expect("it is moved");
    tokens(folder.path());
    let arguments = [
        "--config",
        "other.toml",
        "--region",
        "eu-west-1",
        "--replica",
        "eu-second",
        "--tokens",
        "tokens",
        "--insecure",
        "--cors",
        "https://ops.example.com",
        "--rate",
        "3",
        "--connections",
        "5",
        "--watch-seconds",
        "0.2",
        "--sibling",
        "us-east-1=https://us.example.com:7070",
    ];
    let (mut server, url) = serve(folder.path(), "server", &arguments);
    let said = &objects(&server.printed())[0];
    assert_eq!((&said["region"], &said["replica"]), (&json!("eu-west-1"), &json!("eu-second")));
    let from = "origin: https://ops.example.com";
    let head = curl(&["-i", &format!("{url}/v1/status"), "-H", BEARER, "-H", from]).to_ascii_lowercase();
    assert!(head.contains("access-control-allow-origin: https://ops.example.com"), "{head}");
    assert!(head.contains("\"origin\":\"https://us.example.com:7070\""), "{head}");
    assert!(
        curl(&[&format!("{url}/v1/watch"), "-H", BEARER]).ends_with("event: closing\ndata: {}\n\n"),
        "it has an end"
    );
    // Twice as many at once as in a second.
    let limited =
        (0..20).filter(|_| curl(&[&format!("{url}/v1/status"), "-H", BEARER]).contains("too_many_requests")).count();
    assert!((1..20).contains(&limited), "{limited}");
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    for wrong in [["--watch-seconds", "0"], ["--watch-seconds", "soon"], ["--connections", "0"], ["--rate", "0"]] {
        assert_eq!(
            fails(folder.path(), &[&["serve", "--config", "other.toml"], &wrong[..]].concat()).0,
            2,
            "{wrong:?}"
        );
    }
}

/// Something in front of it asks for tokens and speaks TLS: whoever says so may listen anywhere, and is asked by any name.
#[test]
fn who_says_that_something_is_in_front_listens_anywhere() {
    let folder = configured();
    let arguments = ["serve", "--listen", "0.0.0.0:0", "--json"];
    assert_eq!(fails(folder.path(), &arguments).0, 2);
    // Nobody else is to reach it, so it is an address of loopback that is not the usual one.
    let mut server =
        Running::start(folder.path(), "server", &["serve", "--listen", "127.0.0.2:0", "--insecure", "--json"]);
    let url = until(|| objects(&server.printed()).first()?["url"].as_str().map(str::to_owned));
    assert!(curl(&[&format!("{url}healthz")]).contains("alive"));
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

/// What happens inside is told to who asks for it, as one object a line, and nothing of what clients have sent is in it.
#[test]
fn a_log_is_kept_for_who_asks_for_it() {
    let folder = configured();
    tokens(folder.path());
    let (mut server, url) = serve(folder.path(), "server", &["--log", "debug", "--tokens", "tokens"]);
    let add = json!({"op": "set", "kind": "lww_register", "path": "secret-path", "value": "secret-value"}).to_string();
    let sent = ["-H", BEARER, "-H", "content-type: application/json", "-d", &add];
    assert!(curl(&[&[&*format!("{url}/v1/ops?durable=true")], &sent[..]].concat()).contains("\"durable\":true"));
    let bucket = folder.path().join("buckets/us-east-1");
    fs::rename(&bucket, folder.path().join("gone")).expect("it is moved");
    assert!(curl(&[&[&*format!("{url}/v1/ops")], &sent[..]].concat()).contains("\"durable\":false"));
    until(|| server.complained().contains("\"WARN\"").then_some(()));
    fs::rename(folder.path().join("gone"), &bucket).expect("it is moved back");
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    let complained = server.complained();
    assert!(["secret-path", "secret-value", "0123456789abcdef"].iter().all(|secret| !complained.contains(secret)));
    let (words, events): (Vec<Value>, Vec<Value>) =
        objects(&complained).into_iter().partition(|event| event["level"].is_null());
    assert_eq!(words, [json!({"message": "stopping; what is under way ends, and what waits is flushed"})]);
    for event in &events {
        let has = |field: &str| event[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(["timestamp", "level", "target", "message"].into_iter().all(has), "{event}");
    }
    let told = |message: &str| events.iter().find(|event| event["message"].as_str() == Some(message)).cloned();
    assert_eq!(told("opened").expect("it is told")["replica"], "us-east-1");
    let written = told("segment written").expect("it is told");
    let id =
        written["sync_id"].as_str().and_then(|id| id.strip_prefix("us-east-1/")).expect("whose log, and where in it");
    assert_eq!(
        (&written["src"], &written["dst"]),
        (&json!("us-east-1"), &json!("us-east-1")),
        "the replica, and its region"
    );
    assert_eq!(written["key"], format!("v1/log/us-east-1/{id}"));
    assert_eq!(written["outcome"], "written");
    let answered = told("answered").expect("it is told");
    assert_eq!((&answered["route"], &answered["status"]), (&json!("/v1/ops"), &json!(200)), "{answered}");
    // Who does not ask for it has alarms alone, in words.
    let (mut server, _) = serve(folder.path(), "quiet", &[]);
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    assert!(!server.complained().contains("timestamp"), "{}", server.complained());
    assert_eq!(fails(folder.path(), &["serve", "--log", "loud"]).0, 2);
}

#[test]
fn the_demonstration_serves_three_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let temporary = tempfile::tempdir().expect("a folder");
    let arguments = ["demo", "--serve", "--port", "0", "--json"];
    let mut demo = Running::start_in(folder.path(), "demo", &arguments, temporary.path());
    let urls = until(|| objects(&demo.printed()).first()?["urls"].as_array().cloned());
    assert_eq!(urls.len(), 3);
    for url in &urls {
        let url = url.as_str().expect("a URL");
        assert!(curl(&[url]).contains("<title>Archipelago</title>"));
        until(|| curl(&[&format!("{url}v1/top?n=3")]).contains("\"rank\":3").then_some(()));
        until(|| curl(&[&format!("{url}v1/conflicts")]).contains("dispute/motto").then_some(()));
    }
    demo.interrupt();
    assert_eq!(demo.end(), Some(130));
    assert_eq!(fs::read_dir(temporary.path()).expect("it is there").count(), 0, "nothing is left");
    let status = command(folder.path(), &["demo", "--serve", "--seconds", "5"]).output().expect("it runs").status;
    assert_eq!(status.code(), Some(2));
    assert!(says(folder.path(), &["demo", "--help"]).contains("--serve"));
}
