//! Who may do what, and from where.

use std::fs;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use server::{Access, ListenError, Listening, Options, Place, Sibling, Tls, Tokens};

use crate::{
    bucket::Moody,
    client::{Answer, ask},
    running::{Running, builder, limits, options, place},
};

const TOKENS: &str = "ann read aaaaaaaaaaaaaaaa\nbob write bbbbbbbbbbbbbbbb\ncat admin cccccccccccccccc\n";

fn with_tokens() -> Options {
    let mut options = Options::new("eu-west-1", Access::Tokens(Tokens::parse(TOKENS).expect("tokens")));
    options.limits = limits();
    options
}

fn ask_as(server: &Running, token: Option<&str>, method: &str, target: &str, body: &str) -> Answer {
    let bearer = token.map(|token| format!("Bearer {}", token.repeat(16)));
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(bearer.iter().map(|bearer| ("Authorization", &**bearer)));
    ask(server.address, method, target, &headers, body.as_bytes())
}

#[test]
fn a_token_is_needed_and_is_good_for_its_scope() {
    let server = Running::start(builder("eu-west-1", &Moody::new()), with_tokens());
    let operation = r#"{"op":"add","kind":"pn_counter","path":"a"}"#;
    let eviction = r#"{"replica":"nobody"}"#;
    for (method, target, body, statuses) in [
        ("GET", "/v1/objects/a", "", [401, 401, 404, 404, 404]),
        ("GET", "/v1/scan", "", [401, 401, 200, 200, 200]),
        ("GET", "/v1/status", "", [401, 401, 200, 200, 200]),
        ("GET", "/v1/conflicts", "", [401, 401, 200, 200, 200]),
        ("GET", "/metrics", "", [401, 401, 200, 200, 200]),
        ("GET", "/nothing", "", [401, 401, 404, 404, 404]),
        ("POST", "/v1/ops", operation, [401, 401, 403, 200, 200]),
        ("DELETE", "/v1/objects/b", "", [401, 401, 403, 404, 404]),
        ("POST", "/v1/conflicts/resolve", "{}", [401, 401, 403, 400, 400]),
        ("POST", "/v1/evict", eviction, [401, 401, 403, 403, 400]),
        ("GET", "/healthz", "", [200, 200, 200, 200, 200]),
        ("GET", "/openapi.json", "", [200, 200, 200, 200, 200]),
        ("GET", "/", "", [200, 200, 200, 200, 200]),
    ] {
        for (token, status) in [None, Some("x"), Some("a"), Some("b"), Some("c")].into_iter().zip(statuses) {
            let answer = ask_as(&server, token, method, target, body);
            assert_eq!(answer.status, status, "{method} {target} {token:?}: {}", answer.text());
            if status == 401 {
                assert!(answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")));
            }
        }
        if target == "/v1/ops" {
            ask_as(&server, Some("b"), "DELETE", "/v1/objects/a", "").ok();
        }
    }
}

/// One key of two callers is two keys.
#[test]
fn an_idempotency_key_is_its_callers() {
    let server = Running::start(builder("eu-west-1", &Moody::new()), with_tokens());
    for token in ["b", "c"] {
        let bearer = format!("Bearer {}", token.repeat(16));
        let headers = [("Content-Type", "application/json"), ("Authorization", &*bearer), ("Idempotency-Key", "one")];
        let body = br#"{"op":"add","kind":"pn_counter","path":"a"}"#;
        assert_eq!(ask(server.address, "POST", "/v1/ops", &headers, body).ok()["repeated"], false);
    }
}

#[test]
fn beyond_loopback_a_server_takes_tokens_and_tls_or_an_explicit_word() {
    let server = Running::alone();
    let bind = |address: [u8; 4], tls: Option<Tls>, is_insecure, options: Options| {
        let place = Place { address: (address, 0).into(), tls, is_insecure };
        server.runtime.block_on(place.listen(&options.access))
    };
    let tls = || Some(certified().0);
    let lacks = |bound: Result<Listening, ListenError>| match bound {
        Err(error @ ListenError::Open(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(lacks(bind([0, 0, 0, 0], None, false, options())).contains("no token file"));
    assert!(lacks(bind([0, 0, 0, 0], tls(), false, options())).contains("no token file"));
    assert!(lacks(bind([0, 0, 0, 0], None, false, with_tokens())).contains("no certificate"));
    assert!(bind([127, 0, 0, 1], None, false, options()).is_ok());
    assert!(bind([127, 9, 9, 9], tls(), false, with_tokens()).is_ok());
    let taken = Place { address: server.address, ..place() };
    let bound = server.runtime.block_on(taken.listen(&Access::Open));
    assert!(matches!(bound, Err(ListenError::System(_, _))), "{bound:?}");
}

/// A page of somebody else can have a browser ask this machine. The browser says so, and cannot be kept from it.
#[test]
fn a_page_of_somebody_else_gets_nothing_done() {
    let server = Running::alone();
    let operation = json!({"op": "add", "kind": "pn_counter", "path": "a"});
    let own = format!("http://{}", server.address);
    let host = server.address.to_string();
    server.post_with("/v1/ops", &[("Origin", &own), ("Host", &host)], &operation).ok();
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost.evil.example"] {
        assert_eq!(server.post_with("/v1/ops", &[("Origin", origin)], &operation).problem(403), "wrong_origin");
        let delete = ask(server.address, "DELETE", "/v1/objects/a", &[("Origin", origin)], b"");
        assert_eq!(delete.problem(403), "wrong_origin");
        let asked = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        let preflight = ask(server.address, "OPTIONS", "/v1/ops", &asked, b"");
        assert_eq!(preflight.problem(403), "wrong_origin");
        assert!(preflight.header("access-control-allow-origin").is_none());
        // A browser asks for a document, and does not let the page read it.
        let read = ask(server.address, "GET", "/v1/scan", &[("Origin", origin)], b"");
        assert!(read.header("access-control-allow-origin").is_none());
    }
    // What needs no question of the browser beforehand is no operation.
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = [("Content-Type", content_type)];
        let answer = ask(server.address, "POST", "/v1/ops", &headers, operation.to_string().as_bytes());
        assert_eq!(answer.problem(415), "unsupported_media_type");
    }
    // A name that somebody else has given to this address.
    for host in ["evil.example", "evil.example:7070", ""] {
        let answer = ask(server.address, "GET", "/v1/scan", &[("Host", host)], b"");
        assert_eq!(answer.problem(421), "wrong_host", "{host}");
    }
    assert_eq!(server.value("a"), 1);
}

#[test]
fn origins_that_were_named_and_siblings_may_call() {
    let mut options = options();
    options.origins = vec!["https://ops.example".to_owned()];
    options.siblings = vec![Sibling { region: "us".to_owned(), origin: "http://127.0.0.1:7071".to_owned() }];
    let server = Running::start(builder("eu-west-1", &Moody::new()), options);
    for origin in ["https://ops.example", "http://127.0.0.1:7071"] {
        let asked = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        let preflight = ask(server.address, "OPTIONS", "/v1/ops", &asked, b"");
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some(origin));
        assert!(preflight.header("access-control-allow-headers").is_some_and(|allow| allow.contains("authorization")));
        let operation = json!({"op": "add", "kind": "pn_counter", "path": "a"});
        let written = server.post_with("/v1/ops", &[("Origin", origin)], &operation);
        written.ok();
        assert_eq!(written.header("access-control-allow-origin"), Some(origin));
        assert_eq!(written.header("vary"), Some("origin"));
    }
    let policy = server.get("/").header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.contains("connect-src 'self' http://127.0.0.1:7071;"), "{policy}");
}

#[test]
fn too_many_requests_of_an_address_are_told_when_to_come_back() {
    let mut options = options();
    options.limits.requests_per_second = Some(5);
    let server = Running::start(builder("eu-west-1", &Moody::new()), options);
    let answers: Vec<Answer> = (0..20).map(|_| server.get("/healthz")).collect();
    assert!(answers.iter().filter(|answer| answer.status == 200).count() >= 10);
    let refused = answers.iter().find(|answer| answer.status == 429).expect("one is refused");
    assert_eq!(refused.problem(429), "too_many_requests");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

/// A certificate for localhost, and what a client believes.
fn certified() -> (Tls, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    fs::write(&chain, cert.pem()).expect("a file");
    fs::write(&key, signing_key.serialize_pem()).expect("a file");
    (Tls::read(&chain, &key).expect("they belong together"), cert.pem())
}

#[test]
fn requests_are_answered_over_tls() {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{
        TlsConnector,
        rustls::{
            ClientConfig, RootCertStore,
            crypto::aws_lc_rs,
            pki_types::{CertificateDer, ServerName, pem::PemObject},
        },
    };
    let (tls, pem) = certified();
    let server =
        Running::start_at(Place { tls: Some(tls), ..place() }, builder("eu-west-1", &Moody::new()), with_tokens());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let answered = server.runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
        let head = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer aaaaaaaaaaaaaaaa\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("it is sent");
        let mut answer = String::new();
        let _unclean = stream.read_to_string(&mut answer).await;
        answer
    });
    assert!(answered.starts_with("HTTP/1.1 200 OK"), "{answered}");
    // Whoever speaks HTTP without it is not answered.
    let mut plain = crate::client::Connection::open(server.address);
    plain.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(plain.rest().is_none());
}

#[test]
fn a_certificate_and_a_key_that_are_none_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").expect("a file");
    for (chain, key) in [(empty.clone(), empty.clone()), (folder.path().join("none"), empty)] {
        let error = Tls::read(&chain, &key).expect_err("they are none");
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }
}
