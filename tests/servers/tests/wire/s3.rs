//! Keys and bytes: what is put, got, listed, deleted, refused.

use std::{sync::Barrier, thread};

use crate::client::{Reply, Request};
use servers::{Cloud, Keys, S3Server};

struct Stage {
    cloud: Cloud,
    server: S3Server,
    admin: Keys,
}

impl Stage {
    fn new() -> Self {
        let cloud = Cloud::new();
        cloud.create_bucket("europe", "eu-west-1");
        let server = S3Server::start(&cloud).expect("a port is free");
        let admin = cloud.admin();
        Self { cloud, server, admin }
    }

    fn send(&self, request: &Request) -> Reply {
        request.send(self.server.address(), &self.admin).expect("it answers")
    }

    fn put(&self, key: &str, body: &str) {
        assert_eq!(self.send(&Request::s3("PUT", &format!("/europe/{key}")).body(body)).status, 200);
    }
}

fn create(key: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::s3("PUT", &format!("/europe/{key}")).header("if-none-match", "*").body(body)
}

#[test]
fn of_64_creators_exactly_one_wins() {
    let stage = Stage::new();
    for round in 0..20 {
        let barrier = Barrier::new(64);
        let statuses: Vec<(usize, u16)> = thread::scope(|scope| {
            let creators: Vec<_> = (0..64)
                .map(|creator| {
                    let (stage, barrier) = (&stage, &barrier);
                    scope.spawn(move || {
                        let request = create(&format!("slot/{round}"), format!("creator {creator}"));
                        barrier.wait();
                        (creator, stage.send(&request).status)
                    })
                })
                .collect();
            creators.into_iter().map(|creator| creator.join().expect("it ends")).collect()
        });
        let winners: Vec<usize> = statuses.iter().filter(|(_, status)| *status == 200).map(|(who, _)| *who).collect();
        let losers = statuses.iter().filter(|(_, status)| *status == 412).count();
        assert_eq!((winners.len(), losers), (1, 63), "round {round}: {statuses:?}");
        let held = stage.cloud.object("europe", &format!("slot/{round}")).expect("it is there");
        assert_eq!(held, format!("creator {}", winners[0]), "the winner's bytes are those that stay");
    }
    assert_eq!(stage.server.meter().of("PutObject").requests, 20 * 64);
}

#[test]
fn an_object_comes_back_as_it_was_put() {
    let stage = Stage::new();
    let put = Request::s3("PUT", "/europe/v1/a%20b%2Bc").body("hello").header("x-amz-storage-class", "STANDARD_IA");
    let put = stage.send(&put);
    assert_eq!((put.status, put.header("etag")), (200, Some("\"5d41402abc4b2a76b9719d911017c592\"")));
    // What others compute for `hello`.
    assert_eq!(put.header("x-amz-checksum-crc64nvme"), Some("M3eFcAZSQlc="));
    assert_eq!(stage.cloud.keys_in("europe"), ["v1/a b+c"]);
    let get = Request::s3("GET", "/europe/v1/a%20b%2Bc").header("x-amz-checksum-mode", "ENABLED");
    let got = stage.send(&get);
    assert_eq!((got.status, got.text().as_str()), (200, "hello"));
    assert_eq!(got.header("x-amz-checksum-crc64nvme"), put.header("x-amz-checksum-crc64nvme"));
    assert_eq!(got.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert_eq!(got.header("x-amz-server-side-encryption"), Some("AES256"));
    assert_eq!(got.header("x-amz-storage-class"), Some("STANDARD_IA"));
    let head = stage.send(&Request::s3("HEAD", "/europe/v1/a%20b%2Bc"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(stage.send(&Request::s3("DELETE", "/europe/v1/a%20b%2Bc")).status, 204);
    let gone = stage.send(&get);
    assert_eq!((gone.status, gone.xml("Code").as_deref()), (404, Some("NoSuchKey")));
    assert_eq!(stage.send(&Request::s3("DELETE", "/europe/v1/a%20b%2Bc")).status, 204, "deleting is idempotent");
}

#[test]
fn ranges_are_cut_as_asked() {
    let stage = Stage::new();
    stage.put("k", "0123456789");
    let ranged = |range: &str| {
        let reply = stage.send(&Request::s3("GET", "/europe/k").header("range", range));
        (reply.status, reply.text(), reply.header("content-range").map(str::to_owned))
    };
    assert_eq!(ranged("bytes=2-4"), (206, "234".to_owned(), Some("bytes 2-4/10".to_owned())));
    assert_eq!(ranged("bytes=8-"), (206, "89".to_owned(), Some("bytes 8-9/10".to_owned())));
    assert_eq!(ranged("bytes=-3"), (206, "789".to_owned(), Some("bytes 7-9/10".to_owned())));
    assert_eq!(ranged("bytes=5-99"), (206, "56789".to_owned(), Some("bytes 5-9/10".to_owned())));
    assert_eq!(ranged("bytes=10-").0, 416);
}

#[test]
fn lists_are_in_order_and_go_on_where_they_stopped() {
    let stage = Stage::new();
    for key in ["a/1", "a/2", "b", "c/1", "c/2/x", "d", "%E2%86%92"] {
        stage.put(key, "x");
    }
    let list = |query: &str| {
        let reply = stage.send(&Request::s3("GET", &format!("/europe?list-type=2{query}")));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let prefixes = reply.xmls("CommonPrefixes").join("");
        let prefixes = prefixes.replace("<Prefix>", "").replace("</Prefix>", " ");
        (reply.xmls("Key"), prefixes.trim().to_owned(), reply.xml("NextContinuationToken"))
    };
    assert_eq!(list("").0, ["a/1", "a/2", "b", "c/1", "c/2/x", "d", "\u{2192}"]);
    assert_eq!(list("&prefix=c%2F"), (vec!["c/1".to_owned(), "c/2/x".to_owned()], String::new(), None));
    assert_eq!(list("&start-after=a%2F2").0, ["b", "c/1", "c/2/x", "d", "\u{2192}"]);
    assert_eq!(list("&delimiter=%2F"), (vec!["b".into(), "d".into(), "\u{2192}".into()], "a/ c/".to_owned(), None));
    assert_eq!(list("&delimiter=%2F&prefix=c%2F"), (vec!["c/1".to_owned()], "c/2/".to_owned(), None));
    let (mut keys, mut prefixes, mut token, mut pages) = (Vec::new(), Vec::new(), String::new(), 0);
    loop {
        let page = list(&format!("&delimiter=%2F&max-keys=1{token}"));
        keys.extend(page.0);
        prefixes.extend(Some(page.1).filter(|prefix| !prefix.is_empty()));
        pages += 1;
        let Some(next) = page.2 else { break };
        token = format!("&continuation-token={next}");
    }
    assert_eq!(
        (keys, prefixes, pages),
        (vec!["b".into(), "d".into(), "\u{2192}".into()], vec!["a/".into(), "c/".into()], 5)
    );
    let wrong = stage.send(&Request::s3("GET", "/europe?list-type=2&continuation-token=xyz"));
    assert_eq!(wrong.xml("Code").as_deref(), Some("InvalidArgument"));
}

#[test]
fn a_body_that_does_not_match_its_checksum_is_refused() {
    let stage = Stage::new();
    // Computed elsewhere, for `hello`.
    for (header, right) in [
        ("x-amz-checksum-crc32", "NhCmhg=="),
        ("x-amz-checksum-crc32c", "mnG7TA=="),
        ("x-amz-checksum-crc64nvme", "M3eFcAZSQlc="),
        ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        ("x-amz-checksum-sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
    ] {
        let put = |body: &str| stage.send(&Request::s3("PUT", "/europe/k").header(header, right).body(body));
        let wrong = put("hellO");
        assert_eq!((wrong.status, wrong.xml("Code").as_deref()), (400, Some("BadDigest")), "{header}");
        assert_eq!(stage.cloud.object("europe", "k"), None, "{header}: what was refused has no effect");
        let put = put("hello");
        assert_eq!(put.status, 200, "{header}: {}", put.text());
        if header.starts_with("x-amz") {
            let got = stage.send(&Request::s3("GET", "/europe/k").header("x-amz-checksum-mode", "ENABLED"));
            assert_eq!((put.header(header), got.header(header)), (Some(right), Some(right)));
        }
        stage.cloud.forget("europe", "k");
    }
}

#[test]
fn whoever_signs_wrongly_is_refused() {
    let stage = Stage::new();
    let refused = |request: Request, keys: &Keys| {
        let reply = request.send(stage.server.address(), keys).expect("it answers");
        (reply.status, reply.xml("Code").unwrap_or_default())
    };
    let wrong = Keys { secret_key: "guess".to_owned(), ..stage.admin.clone() };
    let unknown = Keys { access_key: "AKIAUNKNOWN".to_owned(), ..stage.admin.clone() };
    let put = || create("k", "x");
    assert_eq!(refused(put(), &wrong), (403, "SignatureDoesNotMatch".to_owned()));
    assert_eq!(refused(put(), &unknown), (403, "InvalidAccessKeyId".to_owned()));
    for skew in [-1_000, 1_000] {
        let late = Request { skew, ..put() };
        assert_eq!(refused(late, &stage.admin), (403, "RequestTimeTooSkewed".to_owned()));
    }
    assert!(stage.cloud.keys_in("europe").is_empty());
    assert_eq!(refused(Request { skew: 600, ..put() }, &stage.admin), (200, String::new()));
}

#[test]
fn a_bucket_is_reached_in_its_own_region_alone() {
    let stage = Stage::new();
    let reply = stage.send(&Request::s3("HEAD", "/europe").region("us-east-1"));
    assert_eq!((reply.status, reply.header("x-amz-bucket-region")), (301, Some("eu-west-1")));
    let reply = stage.send(&create("k", "x").region("us-east-1"));
    assert_eq!((reply.status, reply.xml("Code").as_deref()), (301, Some("PermanentRedirect")));
    let regional = S3Server::start_on(&stage.cloud, 0, Some("eu-west-1")).expect("a port is free");
    let reply = create("k", "x").region("us-east-1").send(regional.address(), &stage.admin).expect("it answers");
    assert_eq!((reply.status, reply.xml("Code").as_deref()), (400, Some("AuthorizationHeaderMalformed")));
    assert_eq!(create("k", "x").send(regional.address(), &stage.admin).expect("it answers").status, 200);
    let reply = stage.send(&Request::s3("HEAD", "/europe"));
    assert_eq!((reply.status, reply.header("x-amz-bucket-region")), (200, Some("eu-west-1")));
    let reply = stage.send(&Request::s3("GET", "/asia/k"));
    assert_eq!((reply.status, reply.xml("Code").as_deref()), (404, Some("NoSuchBucket")));
}

#[test]
fn versions_are_kept_and_a_delete_marker_counts_as_absent() {
    let stage = Stage::new();
    stage.cloud.keep_versions("europe");
    let first = stage.send(&create("k", "one"));
    assert_eq!(stage.send(&create("k", "two")).status, 412);
    let deleted = stage.send(&Request::s3("DELETE", "/europe/k"));
    assert_eq!(deleted.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(stage.send(&Request::s3("GET", "/europe/k")).status, 404);
    assert_eq!(stage.send(&create("k", "three")).status, 200);
    let id = first.header("x-amz-version-id").expect("it has a version").to_owned();
    assert_eq!(stage.send(&Request::s3("GET", &format!("/europe/k?versionId={id}"))).text(), "one");
    assert_eq!(stage.send(&Request::s3("GET", "/europe?versions")).xmls("VersionId").len(), 3);
    assert_eq!(stage.send(&Request::s3("DELETE", &format!("/europe/k?versionId={id}"))).status, 204);
    assert_eq!(stage.send(&Request::s3("GET", &format!("/europe/k?versionId={id}"))).status, 404);
    assert_eq!(stage.send(&Request::s3("GET", "/europe/k")).text(), "three");
}

#[test]
fn what_is_stored_outlives_the_server() {
    let Stage { cloud, server, admin } = Stage::new();
    let address = server.address();
    assert_eq!(create("k", "x").send(address, &admin).expect("it answers").status, 200);
    drop(server);
    assert!(create("l", "x").send(address, &admin).is_err(), "nobody listens");
    let again = S3Server::start_on(&cloud, address.port(), None).expect("the port is free again");
    assert_eq!(create("k", "x").send(again.address(), &admin).expect("it answers").status, 412);
}
