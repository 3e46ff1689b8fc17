//! What a server says to the log at any level: nothing that a client has sent.

use std::{
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
};

use serde_json::json;
use server::{Access, Options, Tokens};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::{
    bucket::{Mood, Moody},
    client::{Answer, Connection, ask},
    running::{Running, builder, limits, until},
};

/// Stands in every token, path, value, key and header, and comes from nowhere else.
const SECRET: &str = "q7zsecret";

/// Keeps what every library of the process says, at every level, spans included.
struct Listener;

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _always_fits = write!(self.0, " {}={value:?}", field.name());
    }
}

fn keep(metadata: &Metadata<'_>, record: impl FnOnce(&mut Line)) {
    let mut line = Line(format!("{} {}", metadata.level(), metadata.target()));
    record(&mut line);
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        keep(span.metadata(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        HEARD.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        keep(event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Every request there is, right and wrong, by those who may and those who may not, while all is well and while the bucket is away:
/// it is told that there was one, and how it was answered, and nothing of what was in it.
#[test]
fn the_log_holds_neither_tokens_nor_paths_nor_values() {
    tracing::subscriber::set_global_default(Listener).expect("there is no other");
    let tokens = format!("reader read {SECRET}-reader-token\nwriter write {SECRET}-writer-token\n");
    let mut options = Options::new("eu-west-1", Access::Tokens(Tokens::parse(&tokens).expect("tokens")));
    options.limits = limits();
    options.limits.durable = std::time::Duration::from_millis(200);
    let bucket = Moody::new();
    let server = Running::start(builder("eu-west-1", &bucket), options);
    let send = |token: &str, method: &str, target: &str, more: &[(&str, &str)], body: &str| -> Answer {
        let bearer = format!("Bearer {SECRET}-{token}");
        let (key, frontier) = (format!("{SECRET} key"), server.replica.token().to_string());
        let mut headers = vec![
            ("Authorization", &*bearer),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", &*key),
            ("X-Archipelago-Frontier", &*frontier),
            ("Cookie", SECRET),
        ];
        headers.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        ask(server.address, method, target, &[&headers, more].concat(), body.as_bytes())
    };
    let path = format!("{SECRET}/path");
    let set = json!({"op": "set", "kind": "lww_register", "path": path, "value": SECRET}).to_string();
    let wrong = json!({"op": "add", "kind": "pn_counter", "path": path, "by": SECRET}).to_string();
    let another = json!({"op": "add", "kind": "or_set", "path": path, "value": SECRET}).to_string();
    let other_kind = json!({"op": "add", "kind": "pn_counter", "path": path}).to_string();
    let mut statuses = Vec::new();
    for mood in [Mood::Well, Mood::Away, Mood::Full] {
        bucket.set(mood);
        for token in ["writer-token", "reader-token", "no-such-token"] {
            let mut send = |method: &str, target: &str, more: &[(&str, &str)], body: &str| {
                statuses.push(send(token, method, target, more, body).status);
            };
            send("POST", "/v1/ops?durable=true", &[], &set);
            send("POST", "/v1/ops", &[], &wrong);
            send("POST", "/v1/ops", &[], &another);
            send("POST", "/v1/ops", &[("Idempotency-Key", "another")], &other_kind);
            send("POST", "/v1/ops", &[("Content-Type", "text/plain")], &set);
            send("POST", "/v1/ops", &[("Idempotency-Key", SECRET)], &format!("{{\"{SECRET}\": {SECRET}"));
            send("GET", &format!("/v1/objects/{path}"), &[], "");
            send("GET", &format!("/v1/objects/{path}?kind={SECRET}"), &[], "");
            send("GET", &format!("/v1/objects/{SECRET}%00"), &[], "");
            send("GET", &format!("/v1/objects/{path}"), &[("X-Archipelago-Frontier", SECRET)], "");
            send("GET", &format!("/v1/scan?prefix={SECRET}&after={SECRET}"), &[], "");
            send("GET", &format!("/v1/top?prefix={SECRET}"), &[], "");
            send("GET", &format!("/v1/rank?prefix={SECRET}&path={SECRET}"), &[], "");
            send("GET", &format!("/v1/conflicts?prefix={SECRET}"), &[], "");
            send(
                "POST",
                "/v1/conflicts/resolve",
                &[],
                &json!({"path": path, "kind": "lww_register", "value": SECRET}).to_string(),
            );
            send("POST", "/v1/evict", &[], &json!({"replica": SECRET}).to_string());
            send("DELETE", &format!("/v1/objects/{path}?durable=true"), &[], "");
            send("GET", &format!("/{SECRET}"), &[("Origin", &*format!("https://{SECRET}.example"))], "");
            send("POST", &format!("/v1/{SECRET}"), &[("Origin", &*format!("https://{SECRET}.example"))], SECRET);
            send("GET", &format!("/v1/objects/{}", SECRET.repeat(2_000)), &[], "");
            send("GET", "/v1/status", &[("X-Long", &*SECRET.repeat(5_000))], "");
        }
        if mood != Mood::Well {
            until(|| server.get("/readyz").status == 503);
        }
        // What is no request at all, and one that breaks off.
        for bytes in [format!("{SECRET}\r\n\r\n"), format!("GET /{SECRET} HTTP/1.1\r\nAuthorization: {SECRET}")] {
            let mut connection = Connection::open(server.address);
            connection.send(bytes.as_bytes());
            connection.finish();
            connection.rest();
        }
        let mut watch = Connection::open(server.address);
        let head = format!("Host: localhost\r\nAuthorization: Bearer {SECRET}-reader-token\r\nLast-Event-ID: {SECRET}");
        watch.send(format!("GET /v1/watch?prefix={SECRET} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes());
        watch.until(&mut String::new(), |come| come.contains("event: snapshot"));
    }
    bucket.set(Mood::Well);
    until(|| server.get("/readyz").status == 200);
    server.close();

    for status in [200, 202, 400, 401, 403, 404, 409, 414, 415, 422, 431] {
        assert!(statuses.contains(&status), "no request was answered with {status}: {statuses:?}");
    }
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    for level in ["WARN", "INFO", "DEBUG"] {
        assert!(heard.iter().any(|line| line.starts_with(level)), "nothing was said at {level}");
    }
    assert!(heard.iter().filter(|line| line.contains("answered")).count() >= statuses.len());
    let telling: Vec<_> = heard.iter().filter(|line| line.contains(SECRET)).collect();
    assert!(telling.is_empty(), "the log tells: {telling:#?}");
}
