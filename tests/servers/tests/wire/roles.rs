//! Policies over the wire: each principal may do what it is allowed, and nothing else.

use crate::client::Request;
use servers::{Cloud, Keys, S3Server};

const WRITER: &str = r#"{ "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::europe/v1/log/eu/*",
      "Condition": { "Null": { "s3:if-none-match": "false" } } },
    { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::europe/v1/*" },
    { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::europe",
      "Condition": { "StringLike": { "s3:prefix": "v1/*" } } }
] }"#;

const READER: &str = r#"{ "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"],
      "Resource": ["arn:aws:s3:::europe", "arn:aws:s3:::europe/*"] },
    { "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::europe/v1/secret/*" }
] }"#;

struct Stage {
    cloud: Cloud,
    server: S3Server,
}

impl Stage {
    fn new() -> Self {
        let cloud = Cloud::new();
        cloud.create_bucket("europe", "eu-west-1");
        for key in ["v1/log/eu/1", "v1/secret/1", "other"] {
            cloud.overwrite("europe", key, "x");
        }
        let server = S3Server::start(&cloud).expect("a port is free");
        Self { cloud, server }
    }

    fn status(&self, keys: &Keys, request: &Request) -> u16 {
        request.send(self.server.address(), keys).expect("it answers").status
    }
}

#[test]
fn a_role_may_do_its_part_and_nothing_else() {
    let stage = Stage::new();
    let writer = stage.cloud.principal("writer", &[WRITER]).expect("the policy is read");
    let reader = stage.cloud.principal("reader", &[READER]).expect("the policy is read");
    let nobody = stage.cloud.principal("nobody", &[]).expect("there is none");
    let put = |key: &str| Request::s3("PUT", &format!("/europe/{key}")).body("x");
    let create = |key: &str| put(key).header("if-none-match", "*");
    let get = |key: &str| Request::s3("GET", &format!("/europe/{key}"));
    // Who, what, and whether the writer, the reader and nobody may.
    let table = [
        (create("v1/log/eu/2"), 200, 403, 403),
        (create("v1/log/us/2"), 403, 403, 403),
        (put("v1/log/eu/1"), 403, 403, 403),
        (get("v1/log/eu/1"), 200, 200, 403),
        (get("v1/secret/1"), 200, 403, 403),
        (get("other"), 403, 200, 403),
        // A key that is missing is told to those alone who may list without a prefix.
        (get("v1/log/eu/9"), 403, 404, 403),
        (get("?list-type=2&prefix=v1%2Flog%2F"), 200, 200, 403),
        (get("?list-type=2&prefix=other"), 403, 200, 403),
        (get("?list-type=2"), 403, 200, 403),
        (Request::s3("HEAD", "/europe"), 403, 200, 403),
        (Request::s3("DELETE", "/europe/v1/log/eu/1"), 403, 403, 403),
        (get("?policy"), 403, 403, 403),
    ];
    for (request, writers, readers, nobodys) in table {
        let got = [&writer, &reader, &nobody].map(|keys| stage.status(keys, &request));
        assert_eq!(got, [writers, readers, nobodys], "{} {} {:?}", request.method, request.path, request.query);
    }
}

#[test]
fn the_policy_of_a_bucket_binds_even_those_who_may_do_everything() {
    let stage = Stage::new();
    let admin = stage.cloud.admin();
    let policy = r#"{ "Version": "2012-10-17", "Statement": [ {
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::europe", "arn:aws:s3:::europe/*"],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } } } ] }"#;
    let put = stage.status(&admin, &Request::s3("PUT", "/europe?policy").body(policy));
    assert!((200..300).contains(&put), "{put}");
    let get = Request::s3("GET", "/europe/other");
    assert_eq!(stage.status(&admin, &get), 200);
    stage.cloud.count_plain_http_as_secure(false);
    assert_eq!(stage.status(&admin, &get), 403, "now it is what it is: plain");
}

#[test]
fn a_bucket_can_let_in_whom_no_policy_of_his_own_does() {
    let stage = Stage::new();
    let guest = stage.cloud.principal("guest", &[]).expect("there is none");
    let get = Request::s3("GET", "/europe/other");
    assert_eq!(stage.status(&guest, &get), 403);
    let policy = r#"{ "Version": "2012-10-17", "Statement": [ {
        "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::000000000000:user/guest" }, "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::europe/other" } ] }"#;
    let put = Request::s3("PUT", "/europe?policy").body(policy);
    assert_eq!(stage.status(&stage.cloud.admin(), &put) / 100, 2);
    assert_eq!(stage.status(&guest, &get), 200);
    assert_eq!(stage.status(&guest, &Request::s3("GET", "/europe/v1/log/eu/1")), 403);
    let put = Request::s3("PUT", "/europe?policy").body(r#"{"Version":"2012-10-17","Statement":[{}]}"#);
    let refused = put.send(stage.server.address(), &stage.cloud.admin()).expect("it answers");
    assert_eq!(refused.xml("Code").as_deref(), Some("MalformedPolicy"));
}
