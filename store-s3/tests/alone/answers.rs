//! What is sent, and what is believed of the answers: headers, bodies, ranges and lists.

use std::time::Duration;

use crate::scripted::{Act, Scripted, error, http, list};
use bytes::Bytes;
use replica::ports::{Bucket, BucketError, Created, Outcome, Page};

const NEW: &str = "200 OK";

async fn asked_to_create(parameters: &str) -> String {
    let server = Scripted::serves([http(NEW, &[("etag", "\"1\"")], "")]).await;
    let bucket = server.bucket(parameters).await;
    assert_eq!(bucket.create("a/b", Bytes::from_static(b"body")).await.expect("an answer"), Created::New);
    server.asked().remove(0)
}

#[tokio::test]
async fn a_create_says_that_nothing_may_be_there() {
    let head = asked_to_create("").await;
    assert!(head.starts_with("put /likes-eu/prod/a/b?x-id=putobject http/1.1\r\n"), "{head}");
    for header in ["if-none-match: *", "content-length: 4", "x-amz-checksum-crc32: 26glsg=="] {
        assert!(head.lines().any(|line| line == header), "{header}: {head}");
    }
    assert!(head.contains("signedheaders=") && head.contains(";if-none-match;"), "the condition is signed: {head}");
    // The body's own hash is signed with it: a store that knows no checksums still finds damage.
    let hash = head.lines().find_map(|line| line.strip_prefix("x-amz-content-sha256: ")).expect("a hash");
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
}

#[tokio::test]
async fn what_the_url_asks_for_is_sent() {
    for (parameters, headers) in [
        ("&checksum=crc64nvme", &["x-amz-checksum-crc64nvme: "][..]),
        ("&sse=AES256", &["x-amz-server-side-encryption: aes256"]),
        ("&sse=aws:kms", &["x-amz-server-side-encryption: aws:kms"]),
        (
            "&sse=aws:kms&kms_key=alias/likes",
            &["x-amz-server-side-encryption: aws:kms", "x-amz-server-side-encryption-aws-kms-key-id: alias/likes"],
        ),
        ("&storage_class=STANDARD_IA", &["x-amz-storage-class: standard_ia"]),
        ("&owner=123456789012", &["x-amz-expected-bucket-owner: 123456789012"]),
    ] {
        let head = asked_to_create(parameters).await;
        for header in headers {
            assert!(head.lines().any(|line| line.starts_with(header)), "{parameters}: {head}");
        }
    }
    let bare = asked_to_create("&checksum=none").await;
    assert!(!bare.contains("x-amz-checksum") && !bare.contains("x-amz-server-side") && !bare.contains("x-amz-storage"));
}

/// Whoever owns the bucket is checked with each request, or a bucket that was deleted and taken by another would be read.
#[tokio::test]
async fn the_owner_goes_with_every_request() {
    let server = Scripted::serves([error("403 Forbidden", "AccessDenied", "")]).await;
    let bucket = server.bucket("&owner=123456789012").await;
    bucket.create("a", Bytes::new()).await.expect_err("denied");
    bucket.get("a").await.expect_err("denied");
    bucket.get_range("a", 0, 1).await.expect_err("denied");
    bucket.list("", None, 1).await.expect_err("denied");
    bucket.folders("").await.expect_err("denied");
    bucket.delete("a").await.expect_err("denied");
    let asked = server.asked();
    assert_eq!(asked.len(), 6);
    assert!(asked.iter().all(|head| head.contains("x-amz-expected-bucket-owner: 123456789012")), "{asked:?}");
}

async fn got(act: Act) -> Result<Option<Bytes>, BucketError> {
    let server = Scripted::serves([act]).await;
    server.bucket("").await.answer_within(Duration::from_millis(500)).get("a").await
}

#[tokio::test]
async fn a_body_is_whole_or_an_error() {
    let whole = got(http("200 OK", &[("x-amz-checksum-crc32", "26gLsg==")], "body")).await;
    assert_eq!(whole.expect("a body").as_deref(), Some(&b"body"[..]));
    let empty = got(http("200 OK", &[], "")).await;
    assert_eq!(empty.expect("a body").as_deref(), Some(&b""[..]));
    let stops = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\nbody", 1_000);
    for (what, act) in [
        ("cut short", http("200 OK", &[("content-length", "5")], "body")),
        ("another than its checksum", http("200 OK", &[("x-amz-checksum-crc32", "26gLsg==")], "bode")),
        ("standing still", Act::SaysAndWaits(stops)),
    ] {
        let error = got(act).await.expect_err(what);
        assert_eq!(error.outcome, Outcome::Unavailable, "{what}: {error}");
    }
}

/// Something else in the bucket must not take all memory.
#[tokio::test]
async fn an_object_that_is_larger_than_any_of_ours_is_refused_before_it_is_read() {
    let error = got(http("200 OK", &[("content-length", "5000000000")], "body")).await.expect_err("too large");
    assert_eq!(error.outcome, Outcome::Refused, "{error}");
    assert!(error.to_string().contains("size=5000000000"), "{error}");
}

async fn range(act: Act, start: u64, length: u64) -> (Result<Option<Bytes>, BucketError>, String) {
    let server = Scripted::serves([act]).await;
    let answer = server.bucket("").await.get_range("a", start, length).await;
    let head = server.asked().remove(0);
    let range = head.lines().find_map(|line| line.strip_prefix("range: ")).expect("a range").to_owned();
    (answer, range)
}

#[tokio::test]
async fn a_range_is_what_was_asked_for_however_it_is_answered() {
    let part = |range: &str, body: &str| http("206 Partial Content", &[("content-range", range)], body);
    let past = || error("416 Requested Range Not Satisfiable", "InvalidRange", "");
    for (act, start, length, asked, expected) in [
        (part("bytes 2-4/10", "234"), 2, 3, "bytes=2-4", &b"234"[..]),
        (part("bytes 8-9/10", "89"), 8, 5, "bytes=8-12", b"89"),
        // No bytes: whether the object is there must be known all the same.
        (part("bytes 2-2/10", "2"), 2, 0, "bytes=2-2", b""),
        (past(), 10, 1, "bytes=10-10", b""),
        (past(), u64::MAX, u64::MAX, "bytes=1125899906842624-1125899906842624", b""),
        // A store that knows no ranges gives all of it.
        (http("200 OK", &[], "0123456789"), 2, 3, "bytes=2-4", b"234"),
        (http("200 OK", &[], "0123456789"), 20, 3, "bytes=20-22", b""),
        (http("200 OK", &[], ""), 0, 1, "bytes=0-0", b""),
        // A store that sends more than it was asked for.
        (part("bytes 2-9/10", "23456789"), 2, 3, "bytes=2-4", b"234"),
        // The checksum is of the whole object.
        (
            http(
                "206 Partial Content",
                &[("content-range", "bytes 1-2/4"), ("x-amz-checksum-crc32", "26gLsg==")],
                "od",
            ),
            1,
            2,
            "bytes=1-2",
            b"od",
        ),
    ] {
        let (answer, range) = range(act, start, length).await;
        assert_eq!(range, asked);
        assert_eq!(answer.expect("a range").as_deref(), Some(expected), "{asked}");
    }
    let (answer, _) = range(part("bytes 0-2/10", "012"), 2, 3).await;
    assert_eq!(answer.expect_err("another range").outcome, Outcome::Unavailable);
}

fn object(key: &str, size: u64) -> String {
    format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>")
}

fn names(page: &Page) -> Vec<&str> {
    page.objects.iter().map(|stored| stored.key.as_str()).collect()
}

#[tokio::test]
async fn a_list_leaves_out_what_could_not_be_ours_and_goes_on_behind_it() {
    let foreign = ["prod/", "prod/a b", "prod/a//b", "prod/a\u{4e2d}"].map(|key| object(key, 0)).concat();
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>words</NextContinuationToken>";
    let server = Scripted::serves([
        list(&format!("{more}{foreign}")),
        list(&format!("<EncodingType>url</EncodingType>{}", object("prod%2Fz%2Da", 7))),
    ])
    .await;
    let page = server.bucket("").await.list("", None, 10).await.expect("a page");
    assert_eq!((names(&page), page.objects[0].size, page.more), (vec!["z-a"], 7, false));
    let asked = server.asked();
    assert!(asked[0].contains("max-keys=10") && asked[0].contains("prefix=prod%2f"), "{}", asked[0]);
    assert!(asked[1].contains("continuation-token=words"), "{}", asked[1]);
}

#[tokio::test]
async fn a_page_is_one_request_and_says_whether_there_are_more() {
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>words</NextContinuationToken>";
    let server = Scripted::serves([list(&format!("{more}{}", object("prod/a/c", 1)))]).await;
    let page = server.bucket("").await.list("a/", Some("a/b"), 5_000).await.expect("a page");
    assert_eq!((names(&page), page.more), (vec!["a/c"], true));
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("start-after=prod%2fa%2fb") && asked[0].contains("max-keys=1000"), "{}", asked[0]);
}

#[tokio::test]
async fn a_list_that_can_hold_nothing_is_not_asked_for() {
    let server = Scripted::serves([list("")]).await;
    let bucket = server.bucket("").await;
    assert_eq!(bucket.list("a/", Some("b"), 10).await.expect("a page"), Page::default());
    assert_eq!(server.asked(), [""; 0]);
    // What lies before the prefix is left out of the request.
    bucket.list("b/", Some("a"), 10).await.expect("a page");
    assert!(!server.asked()[0].contains("start-after"));
}

/// A log is read by its lists: whatever breaks their order or begins elsewhere could hide a segment, or never end.
#[tokio::test]
async fn a_list_that_is_not_what_was_asked_for_is_refused() {
    let endless = "<IsTruncated>true</IsTruncated>";
    for (what, after, inner) in [
        ("out of order", None, object("prod/b", 0) + &object("prod/a", 0)),
        ("twice", None, object("prod/a", 0) + &object("prod/a", 0)),
        ("not from where they were to begin", Some("c"), object("prod/a", 0)),
        ("the key it was to begin after", Some("a"), object("prod/a", 0)),
        ("outside of the prefix", None, object("elsewhere/a", 0)),
        ("without a way on", None, endless.to_owned()),
    ] {
        let server = Scripted::serves([list(&inner)]).await;
        let error = server.bucket("").await.list("", after, 10).await.expect_err(what);
        assert_eq!(error.outcome, Outcome::Refused, "{what}: {error}");
        assert_eq!(server.asked().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_store_without_words_to_go_on_with_is_asked_behind_the_last_key() {
    let server = Scripted::serves([
        list(&format!("<IsTruncated>true</IsTruncated>{}", object("prod/a b", 0))),
        list(&object("prod/b", 0)),
    ])
    .await;
    let page = server.bucket("").await.list("", None, 1).await.expect("a page");
    assert_eq!(names(&page), ["b"]);
    assert!(server.asked()[1].contains("start-after=prod%2fa%20b"), "{}", server.asked()[1]);
}

#[tokio::test]
async fn folders_come_from_all_pages_in_the_order_of_their_names() {
    let folder = |name: &str| format!("<CommonPrefixes><Prefix>prod/f/{name}/</Prefix></CommonPrefixes>");
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>words</NextContinuationToken>";
    let server = Scripted::serves([
        list(&format!("{more}{}{}{}", object("prod/f/0", 1), folder("a-b"), folder("a"))),
        list(&format!("{}{}", folder("a b"), folder("c"))),
    ])
    .await;
    let folders = server.bucket("").await.folders("f/").await.expect("folders");
    assert_eq!(folders, ["a", "a-b", "c"]);
    assert!(server.asked()[0].contains("delimiter=%2f") && server.asked()[0].contains("prefix=prod%2ff%2f"));
}
