//! Clients that do as they should not: paths, heads, bodies, connections.

use std::{io::Read, time::Duration};

use quickcheck::{Arbitrary, Gen};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    bucket::Moody,
    client::{Connection, ask, request},
    running::{Running, builder, options, until},
};

const ADD: &str = r#"{"op":"add","kind":"pn_counter","path":"a","by":1}"#;

/// All bodies together have their limit. Those that are refused changed nothing, and whoever sends slowly takes no more than came.
#[test]
fn too_many_bodies_at_once_are_refused() {
    let mut tight = options();
    tight.limits.bodies_bytes = 1 << 20;
    let server = Running::start(builder("eu-west-1", &Moody::new()), tight);
    let head = |length: usize| {
        format!(
            "POST /v1/ops HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // Each says that it will send 8 MiB, and sends little: that is nobody else's trouble.
    let mut slow: Vec<Connection> = (0..20).map(|_| Connection::open(server.address)).collect();
    for connection in &mut slow {
        assert!(connection.send(head(8 << 20).as_bytes()) && connection.send(&[b' '; 30_000]));
    }
    until(|| server.post("/v1/ops", &serde_json::from_str(ADD).expect("JSON")).status == 200);
    // The next ones come nearly whole, and there is no room for all of them.
    let mut large: Vec<Connection> = (0..4).map(|_| Connection::open(server.address)).collect();
    for connection in &mut large {
        assert!(connection.send(head(400_001).as_bytes()) && connection.send(&vec![b' '; 400_000]));
    }
    let headers = [("Content-Type", "application/json")];
    let one_more = || ask(server.address, "POST", "/v1/ops", &headers, &vec![b' '; 400_000]);
    until(|| one_more().status == 503);
    let refused = one_more();
    assert_eq!((&*refused.problem(503), refused.header("retry-after")), ("too_busy", Some("1")));
    drop((slow, large));
    until(|| server.post("/v1/ops", &serde_json::from_str(ADD).expect("JSON")).status == 200);
}

/// Whatever is sent is answered, and nothing of it breaks anything: a whole problem, or what was asked for.
#[test]
fn anything_at_all_is_answered() {
    let server = Running::alone();
    let mut random = quickcheck::Gen::new(24);
    let (mut answered, mut met) = (0, std::collections::BTreeSet::new());
    for _ in 0..1_500 {
        let request = Anything::arbitrary(&mut random);
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let answer = ask(server.address, request.method, &request.target, &headers, &request.body);
        met.insert(answer.status);
        assert!(answer.status < 500 || answer.status == 503, "{request:?}: {answer:?}");
        if answer.status >= 400 && request.method != "HEAD" {
            answer.problem(answer.status);
        }
        answered += usize::from(answer.status < 300);
    }
    assert!(answered > 100 && met.len() >= 5, "{answered} {met:?}");
    assert_eq!(server.get("/readyz").status, 200);
}

/// A request put together from parts that are right, wrong, and neither.
#[derive(Clone, Debug)]
struct Anything {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Arbitrary for Anything {
    fn arbitrary(random: &mut Gen) -> Self {
        // What may stand in an address: with anything else it is no request.
        let text = |random: &mut Gen| -> String {
            let is_of_one = |c: &char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(*c);
            String::arbitrary(random).chars().filter(is_of_one).collect()
        };
        let of = |random: &mut Gen, all: &[&'static str]| *random.choose(all).expect("there are some");
        let method = of(random, &["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"]);
        let mut target = of(
            random,
            &[
                "/v1/objects/a",
                "/v1/objects/",
                "/v1/ops",
                "/v1/scan",
                "/v1/top",
                "/v1/rank",
                "/v1/conflicts",
                "/v1/conflicts/resolve",
                "/v1/status",
                "/v1/evict",
                "/metrics",
                "/readyz",
                "/healthz",
                "/openapi.json",
                "/",
                "/nothing",
            ],
        )
        .to_owned();
        if bool::arbitrary(random) {
            let name =
                of(random, &["prefix", "after", "after_kind", "limit", "kind", "durable", "path", "n", "nonsense"]);
            let value = match of(random, &["right", "wrong"]) {
                "right" => of(random, &["a", "1", "true", "pn_counter", "%2F", "%ff", ""]).to_owned(),
                _ => text(random),
            };
            target += &format!("?{name}={value}");
        }
        let mut headers = Vec::new();
        for (name, right) in [
            ("Content-Type", "application/json"),
            ("Idempotency-Key", "k"),
            ("X-Archipelago-Frontier", "00"),
            ("Last-Event-ID", "1.1"),
            ("Authorization", "Bearer x"),
            ("Content-Encoding", "identity"),
        ] {
            match u8::arbitrary(random) % 4 {
                0 => headers.push((name, right.to_owned())),
                1 if name != "Content-Type" => headers.push((name, text(random))),
                _ if name == "Content-Type" => headers.push((name, right.to_owned())),
                _ => {}
            }
        }
        let pieces = [
            ADD,
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\"op\"",
            "\"set\"",
            "\"kind\"",
            "\"lww_register\"",
            "\"path\"",
            "\"a\"",
            "\"value\"",
            "null",
            "1e999",
            "-1",
            "\"keep\"",
            "\"seen\"",
            "\"replica\"",
            "\"at\"",
            "\\u0000",
            "\n",
        ];
        let body = match u8::arbitrary(random) % 4 {
            0 => ADD.into(),
            1 => Vec::arbitrary(random),
            2 => Vec::new(),
            _ => (0..u8::arbitrary(random) % 12).flat_map(|_| of(random, &pieces).bytes()).collect(),
        };
        Self { method, target, headers, body }
    }
}

#[test]
fn a_path_is_a_path_and_nothing_else() {
    let server = Running::alone();
    let add = |path: &str| json!({"op": "add", "kind": "pn_counter", "path": path});
    server
        .post(
            "/v1/ops",
            &json!([add("../x"), add("a/b"), add("/etc/passwd"), add("a%2Fb"), add("gr\u{fc}n \u{1f30a}")]),
        )
        .ok();
    for target in [
        "../x",
        "%2e%2e/x",
        "..%2Fx",
        "a/b",
        "a%2Fb",
        "%61/b",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "a%252Fb",
        "gr%C3%BCn%20%F0%9F%8C%8A",
    ] {
        assert_eq!(server.value(target), 1, "{target}");
    }
    for target in ["", "%00", "a%00b", "a%0d%0aX: y", "%", "%zz", "%ff", &"x".repeat(1_025), &"%C3%BC".repeat(513)] {
        assert_eq!(
            server.get(&format!("/v1/objects/{}", target.replace(' ', "%20"))).problem(400),
            "invalid",
            "{target}"
        );
    }
    assert_eq!(server.get(&format!("/v1/objects/{}", "x".repeat(1_024))).problem(404), "missing");
    for target in
        ["/v1/objects", "/v1", "/v2/ops", "/v1/ops/", "/page.js/../v1/ops", "//", "/.git/config", "/v1/../v1/scan"]
    {
        assert_eq!(server.get(target).problem(404), "no_such_request", "{target}");
    }
    for (method, target) in
        [("PUT", "/v1/objects/a"), ("GET", "/v1/ops"), ("POST", "/v1/scan"), ("TRACE", "/"), ("PATCH", "/v1/ops")]
    {
        let answer = ask(server.address, method, target, &[], b"");
        assert_eq!(answer.problem(405), "no_such_method", "{method} {target}");
        assert!(answer.header("allow").is_some());
    }
}

#[test]
fn what_is_no_request_is_refused_and_harms_nobody() {
    let server = Running::alone();
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/scan HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        b"POST /v1/ops HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/ops HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/ops HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut connection = Connection::open(server.address);
        connection.send(bytes);
        connection.finish();
        let answer = connection.rest();
        assert!(answer.as_ref().is_none_or(|answer| (400..=505).contains(&answer.status)), "{answer:?}");
    }
    // What is only too long is told what to do.
    let answer = server.get(&format!("/v1/objects/{}", "x".repeat(20 << 10)));
    assert_eq!(answer.problem(414), "too_long");
    let answer = ask(server.address, "GET", "/v1/scan", &[("X-Long", &*"y".repeat(40 << 10))], b"");
    assert_eq!(answer.problem(431), "too_long");
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let many: String = (0..10_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    for head in [long, many] {
        let mut connection = Connection::open(server.address);
        connection.send(head.as_bytes());
        let status = connection.rest().expect("an answer").status;
        assert!([414, 431].contains(&status), "{status}");
    }
    assert_eq!(server.get("/healthz").status, 200);
}

/// Whoever sends too much is told so, while still sending it.
#[test]
fn a_hundred_megabytes_are_refused_before_they_are_read() {
    let server = Running::alone();
    let megabyte = vec![b' '; 1 << 20];
    let head = "POST /v1/ops HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let mut connection = Connection::open(server.address);
    connection.send(format!("{head}Content-Length: {}\r\n\r\n", 100 << 20).as_bytes());
    for _ in 0..100 {
        if !connection.send(&megabyte) {
            break;
        }
    }
    let answer = connection.rest().expect("an answer");
    assert_eq!(answer.problem(413), "too_long");
    assert_eq!(answer.header("connection"), Some("close"));

    let mut connection = Connection::open(server.address);
    connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
    for _ in 0..100 {
        if !(connection.send(b"100000\r\n") && connection.send(&megabyte) && connection.send(b"\r\n")) {
            break;
        }
    }
    assert_eq!(connection.rest().expect("an answer").problem(413), "too_long");

    // Whoever asks first does not have to send it.
    let mut connection = Connection::open(server.address);
    connection.send(format!("{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", 100 << 20).as_bytes());
    assert_eq!(connection.rest().expect("an answer").problem(413), "too_long");
}

#[test]
fn bombs_are_refused() {
    let server = Running::alone();
    let post = |body: &[u8], headers: &[(&str, &str)]| {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        ask(server.address, "POST", "/v1/ops", &headers, body)
    };
    let value = |value: &str| format!(r#"{{"op":"add","kind":"or_set","path":"a","value":{value}}}"#);
    let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    assert_eq!(post(value(&deep).as_bytes(), &[]).problem(400), "invalid");
    assert_eq!(post("[".repeat(8 << 20).as_bytes(), &[]).problem(400), "invalid");
    assert_eq!(post(value("1e999999999").as_bytes(), &[]).problem(400), "invalid");
    assert_eq!(post(value(&"9".repeat(1 << 20)).as_bytes(), &[]).problem(400), "invalid");
    assert_eq!(post(value(&format!("\"{}\"", "x".repeat(65 << 10))).as_bytes(), &[]).problem(400), "invalid");
    let many = vec![ADD; 10_001].join("\n");
    let lines = ask(server.address, "POST", "/v1/ops", &[("Content-Type", "application/x-ndjson")], many.as_bytes());
    assert_eq!(lines.problem(413), "too_long");
    // Ten thousand deletions, each of which looks at those before it.
    let deletions = vec![r#"{"op":"delete","path":"a"}"#; 10_000].join("\n");
    let began = Instant::now();
    ask(server.address, "POST", "/v1/ops", &[("Content-Type", "application/x-ndjson")], deletions.as_bytes()).ok();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(post(&[0x1f, 0x8b, 8, 0], &[("Content-Encoding", "gzip")]).problem(415), "unsupported_media_type");
    assert_eq!(server.get("/v1/objects/a").problem(404), "missing");
}

#[test]
fn whoever_is_slow_is_given_up_and_holds_up_nobody() {
    let mut options = options();
    options.limits.head = Duration::from_millis(300);
    options.limits.request = Duration::from_millis(300);
    let server = Running::start(builder("eu-west-1", &Moody::new()), options);
    // A head that never ends.
    let mut head = Connection::open(server.address);
    head.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow");
    // A body that never ends.
    let mut body = Connection::open(server.address);
    let whole = request("POST", "/v1/ops", &[("Content-Type", "application/json")], ADD.as_bytes());
    body.send(&whole[..whole.len() - 1]);
    // Nothing at all.
    let nothing = Connection::open(server.address);
    for _ in 0..10 {
        assert_eq!(server.get("/healthz").status, 200);
    }
    let answer = head.rest();
    assert!(answer.is_none_or(|answer| answer.status == 408));
    assert_eq!(body.rest().expect("an answer").problem(408), "late_body");
    assert!(nothing.rest().is_none());
    assert_eq!(server.get("/v1/objects/a").problem(404), "missing");
    until(|| server.get("/metrics").text().contains("archipelago_http_connections 1\n"));
}

/// A client who takes nothing of a long answer is given up. How long that takes is set; here it is short.
#[test]
fn whoever_takes_nothing_is_given_up() {
    let mut options = options();
    options.limits.stall = Duration::from_millis(300);
    let server = Running::start(builder("eu-west-1", &Moody::new()), options);
    for number in 0..20 {
        let value = "x".repeat(1 << 20);
        let set = json!({"op": "set", "kind": "lww_register", "path": format!("r/{number}"), "value": value});
        server.post("/v1/ops", &set).ok();
    }
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = Connection::open(server.address);
        reader.send(&request("GET", "/v1/watch", &[], b""));
        readers.push(reader);
    }
    until(|| server.get("/v1/status").ok()["watches"] == 4);
    until(|| server.get("/v1/status").ok()["watches"] == 0);
    until(|| server.get("/metrics").text().contains("archipelago_http_connections 1\n"));
}

#[test]
fn whoever_has_sent_all_and_still_reads_is_answered() {
    let server = Running::alone();
    let mut connection = Connection::open(server.address);
    connection.send(&request("POST", "/v1/ops?durable=true", &[("Content-Type", "application/json")], ADD.as_bytes()));
    connection.finish();
    assert_eq!(connection.rest().expect("an answer").ok()["durable"], true);
    // Whoever breaks off within a body has asked for nothing.
    let mut connection = Connection::open(server.address);
    let whole = request("POST", "/v1/ops", &[("Content-Type", "application/json")], ADD.as_bytes());
    connection.send(&whole[..whole.len() - 10]);
    connection.finish();
    let answer = connection.rest();
    assert!(answer.is_none_or(|answer| answer.status == 400));
    assert_eq!(server.value("a"), 1);
}

#[test]
fn several_requests_on_a_connection_are_answered_in_their_order() {
    let server = Running::alone();
    let mut connection = Connection::open(server.address);
    let headers = [("Connection", "keep-alive"), ("Content-Type", "application/json")];
    let mut requests = Vec::new();
    for _ in 0..50 {
        requests.extend(request("POST", "/v1/ops", &headers, ADD.as_bytes()));
    }
    requests.extend(request("GET", "/v1/objects/a", &[], b""));
    connection.send(&requests);
    let mut bytes = Vec::new();
    connection.0.read_to_end(&mut bytes).expect("it ends");
    let text = String::from_utf8(bytes).expect("text");
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 51);
    assert!(text.contains("\"value\":50"), "{text}");
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let mut options = options();
    options.limits.connections = 3;
    let server = Running::start(builder("eu-west-1", &Moody::new()), options);
    let mut held: Vec<Connection> = (0..3).map(|_| Connection::open(server.address)).collect();
    for connection in &mut held {
        connection.send(&request("GET", "/healthz", &[("Connection", "keep-alive")], b""));
        connection.until(&mut String::new(), |come| come.contains("alive"));
    }
    let mut connection = Connection::open(server.address);
    connection.send(&request("GET", "/healthz", &[], b""));
    let answer = connection.rest().expect("an answer");
    assert_eq!((answer.problem(503), answer.header("retry-after")), ("too_many_connections".to_owned(), Some("1")));
    drop(held);
    until(|| {
        let mut connection = Connection::open(server.address);
        connection.send(&request("GET", "/healthz", &[], b""))
            && connection.rest().is_some_and(|answer| answer.status == 200)
    });
}
