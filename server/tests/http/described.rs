//! What `/openapi.json` says is so.

use serde_json::Value;

use crate::{client::ask, running::Running};

/// Each request that is described with its method.
fn described(server: &Running) -> Vec<(String, String, Value)> {
    let description = server.get("/openapi.json").ok();
    let paths = description["paths"].as_object().expect("paths").clone();
    let of = |(path, methods): (String, Value)| {
        let methods = methods.as_object().expect("methods").clone();
        methods.into_iter().map(move |(method, what)| (path.clone(), method.to_uppercase(), what)).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(of).collect()
}

#[test]
fn every_request_that_is_described_is_there_and_no_other_one() {
    let server = Running::alone();
    let described = described(&server);
    assert!(described.len() >= 14, "{described:?}");
    for (path, method, what) in &described {
        // Of these the gate has the first word.
        for status in ["408", "414", "421", "429", "431", "500", "503"] {
            assert!(!what["responses"][status].is_null(), "{status} of {method} {path}");
        }
        if path == "/v1/watch" {
            continue;
        }
        let target = path.replace("{path}", "a");
        let status = ask(server.address, method, &target, &[], b"").status.to_string();
        assert!(
            what["responses"].as_object().is_some_and(|known| known.contains_key(&status)),
            "{method} {path}: {status}"
        );
    }
    for path in described.iter().map(|(path, _, _)| path) {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let is_described = described.iter().any(|(of, known, _)| of == path && known == method);
            if is_described {
                continue;
            }
            let target = path.replace("{path}", "a");
            assert_eq!(ask(server.address, method, &target, &[], b"").status, 405, "{method} {path}");
        }
    }
}

#[test]
fn every_parameter_that_is_described_is_taken_and_no_other_one() {
    let server = Running::alone();
    for (path, method, what) in described(&server) {
        let target = path.replace("{path}", "a");
        if path == "/v1/watch" || method == "POST" || path.ends_with('z') {
            continue;
        }
        let parameters = what["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().expect("a name");
            let wrong = ask(server.address, &method, &format!("{target}?{name}=%00"), &[], b"");
            let detail = wrong.json()["detail"].as_str().unwrap_or_default().to_owned();
            assert!(wrong.status == 400 && !detail.contains("unknown parameter"), "{path} {name}: {detail}");
        }
        let unknown = ask(server.address, &method, &format!("{target}?nonsense=1"), &[], b"");
        assert_eq!(unknown.problem(400), "invalid", "{method} {path}");
    }
}
