//! Buckets of Azure and Google against a server that says what it is told to: what an emulator never says.

mod scripted;

use std::time::Duration;

use bytes::Bytes;
use replica::ports::{Bucket, BucketError, Created, Outcome, Stored};
use scripted::{Act, Scripted, error, http, opened};

const MADE: &[(&str, &str)] = &[("etag", "\"1\""), ("last-modified", "Mon, 30 Nov 2026 08:00:00 GMT")];

/// What each call comes to when all of them fail: create, get, list, folders, delete.
async fn all(bucket: &impl Bucket) -> [Outcome; 5] {
    let outcome = |error: BucketError| {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "no secret is told: {error:?}");
        error.outcome
    };
    [
        outcome(bucket.create("a", Bytes::from_static(b"body")).await.expect_err("create")),
        outcome(bucket.get("a").await.expect_err("get")),
        outcome(bucket.list("", None, 1).await.expect_err("list")),
        outcome(bucket.folders("").await.expect_err("folders")),
        outcome(bucket.delete("a").await.expect_err("delete")),
    ]
}

#[tokio::test]
async fn a_request_is_sent_once_whatever_is_answered() {
    use Outcome::{Indeterminate, Refused, Throttled, Unavailable};
    let unsure = [Indeterminate, Unavailable, Unavailable, Unavailable, Indeterminate];
    for (act, outcomes) in [
        (error(500, "InternalError"), unsure),
        (error(503, "ServerBusy"), unsure),
        (error(408, ""), unsure),
        (error(429, "TooManyRequests"), [Throttled; 5]),
        (error(403, "AuthenticationFailed"), [Refused; 5]),
        (error(404, "ContainerNotFound"), [Refused; 5]),
        (http("404 Not Found", &[("content-type", "text/html")], "<html>Nobody is here.</html>"), [Refused; 5]),
        // The connection is closed: before an answer, and in one.
        (Act::Says(String::new()), unsure),
        (Act::Says("HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\n<Error><Code>NoSu".to_owned()), unsure),
    ] {
        let server = Scripted::serves([act.clone()]).await;
        for bucket in server.both() {
            let before = server.asked().len();
            assert_eq!(all(&bucket).await, outcomes, "{bucket:?}: {act:?}");
            assert_eq!(server.asked().len() - before, 5, "{bucket:?}: {act:?}");
        }
    }
}

/// A success without what belongs to it. Google's deletes have nothing that does.
#[tokio::test]
async fn a_success_that_is_not_understood_is_none() {
    let server = Scripted::serves([http("200 OK", &[], "a page of somebody else")]).await;
    for bucket in server.both() {
        assert_eq!(bucket.create("a", Bytes::new()).await.expect_err("no tag").outcome, Outcome::Indeterminate);
        assert_eq!(bucket.get("a").await.expect_err("no tag").outcome, Outcome::Unavailable);
        assert_eq!(bucket.list("", None, 1).await.expect_err("no list").outcome, Outcome::Unavailable);
    }
    let error = server.azure_with_key().delete("a").await.expect_err("no batch");
    assert_eq!(error.outcome, Outcome::Indeterminate, "{error}");
}

#[tokio::test]
async fn a_create_says_that_nothing_may_be_there() {
    let server = Scripted::serves([http("201 Created", MADE, "")]).await;
    for bucket in server.both() {
        assert_eq!(bucket.create("a", Bytes::from_static(b"body")).await.expect("an answer"), Created::New);
    }
    let [azure, google] = server.asked().try_into().expect("two requests");
    assert!(azure.starts_with("PUT /data/prod/a ") && azure.contains("if-none-match: *"), "{azure}");
    assert!(google.starts_with("PUT /data/prod%2Fa ") && google.contains("x-goog-if-generation-match: 0"), "{google}");
    for (status, code) in [(409, "BlobAlreadyExists"), (412, "ConditionNotMet"), (412, "PreconditionFailed")] {
        let server = Scripted::serves([error(status, code)]).await;
        for bucket in server.both() {
            assert_eq!(bucket.create("a", Bytes::new()).await.expect("an answer"), Created::Exists, "{code}");
        }
    }
}

/// A 303 turns a create into a GET of another place, whose success would look like that of the create.
#[tokio::test]
async fn nothing_is_sent_on_elsewhere() {
    let elsewhere = Scripted::serves([http("200 OK", MADE, "a page")]).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let server = Scripted::serves([http(status, &[("location", elsewhere.endpoint())], "")]).await;
        for bucket in server.both() {
            assert_eq!(all(&bucket).await, [Outcome::Refused; 5], "{bucket:?}: {status}");
        }
    }
    assert_eq!(elsewhere.asked(), [""; 0]);
}

/// Who gives credentials may say 404 as well, which is no word about an object.
#[tokio::test]
async fn without_credentials_nothing_was_asked_and_nothing_is_known() {
    let server = Scripted::serves([error(500, "")]).await;
    for (act, outcome) in [
        (http("404 Not Found", &[], "{\"error\": \"not_found\"}"), Outcome::Unavailable),
        (error(404, "BlobNotFound"), Outcome::Unavailable),
        (error(500, ""), Outcome::Unavailable),
        (Act::Says(String::new()), Outcome::Unavailable),
        (http("400 Bad Request", &[], "{\"error\": \"invalid_request\"}"), Outcome::Refused),
    ] {
        let identity = Scripted::serves([act.clone()]).await;
        let bucket = server.azure(&[("IDENTITY_ENDPOINT", &format!("{}/token", identity.endpoint()))]);
        assert_eq!(all(&bucket).await, [outcome; 5], "{act:?}");
        let error = bucket.get("a").await.expect_err("no credentials");
        assert!(error.to_string().starts_with("no credentials"), "{error}");
        assert_eq!(identity.asked().len(), 6, "each time once");
    }
    assert_eq!(server.asked(), [""; 0], "the service was asked nothing");
}

#[tokio::test]
async fn who_is_not_there_has_done_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for (url, variable) in
        [("az://data?account=acme&", "AZURE_STORAGE_ACCOUNT_KEY"), ("gs://data?", "GOOGLE_BEARER_TOKEN")]
    {
        let bucket = opened(&format!("{url}endpoint={gone}"), &[(variable, "c2VjcmV0")]);
        assert_eq!(all(&bucket).await, [Outcome::Unavailable; 5], "{bucket:?}");
    }
}

#[tokio::test]
async fn a_shared_access_signature_is_sent_and_never_told() {
    for status in [403, 404, 500] {
        let server = Scripted::serves([error(status, "")]).await;
        let bucket = server.azure(&[("AZURE_STORAGE_SAS_KEY", "sv=2023-11-03&sp=rcdl&sig=hunter2")]);
        all(&bucket).await;
        let asked = server.asked();
        assert!(asked.iter().all(|head| head.contains("sig=hunter2")), "{asked:?}");
    }
}

/// The environment has credentials, and no say in where a bucket is.
#[tokio::test]
async fn no_variable_moves_a_bucket() {
    let elsewhere = Scripted::serves([error(500, "")]).await;
    let server = Scripted::serves([error(500, "")]).await;
    let azure = server.azure(&[
        ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "other"),
        ("AZURE_STORAGE_ENDPOINT", elsewhere.endpoint()),
        ("AZURE_STORAGE_USE_EMULATOR", "true"),
        ("AZURE_CONTAINER_NAME", "other"),
        ("AZURE_PROXY_URL", elsewhere.endpoint()),
    ]);
    let google = opened(
        &format!("gs://data/prod?endpoint={}", server.endpoint()),
        &[
            ("GOOGLE_BEARER_TOKEN", "hunter2"),
            ("GOOGLE_BASE_URL", elsewhere.endpoint()),
            ("GOOGLE_BUCKET", "other"),
            ("GOOGLE_PROXY_URL", elsewhere.endpoint()),
        ],
    );
    all(&azure).await;
    all(&google).await;
    assert_eq!(elsewhere.asked(), [""; 0]);
    assert!(
        server.asked().iter().all(|head| head.contains(" /data") && !head.contains("other")),
        "{:?}",
        server.asked()
    );
}

/// A delete in Azure is a batch of one. It succeeds; its part may not.
#[tokio::test]
async fn the_answer_to_a_delete_is_looked_into() {
    let says = |part: &str, code: &str| {
        let body = format!(
            "--batch_1\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {part}\r\n\
             x-ms-error-code: {code}\r\n\r\n--batch_1--\r\n"
        );
        http("202 Accepted", &[("content-type", "multipart/mixed; boundary=batch_1")], &body)
    };
    for (part, code) in [("202 Accepted", "none"), ("404 The specified blob does not exist.", "BlobNotFound")] {
        let server = Scripted::serves([says(part, code)]).await;
        server.azure_with_key().delete("a").await.expect("it is not there");
        assert!(server.asked()[0].starts_with("POST /data?restype=container&comp=batch "), "{:?}", server.asked());
    }
    for (part, code, outcome, message) in [
        ("403 No", "AuthorizationPermissionMismatch", Outcome::Refused, "Storage Blob Data Contributor"),
        ("404 No", "ContainerNotFound", Outcome::Refused, "no such bucket"),
        ("409 No", "BlobImmutableDueToPolicy", Outcome::Refused, "keeps the object"),
        ("429 No", "TooManyRequests", Outcome::Throttled, "fewer requests"),
        ("500 No", "InternalError", Outcome::Indeterminate, "has failed"),
    ] {
        let server = Scripted::serves([says(part, code)]).await;
        let error = server.azure_with_key().delete("a").await.expect_err("it is there still");
        assert_eq!(error.outcome, outcome, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

fn azure_list(names: &[&str], marker: &str) -> Act {
    let blobs: String = names
        .iter()
        .map(|name| {
            format!(
                "<Blob><Name>prod/{name}</Name><Properties><Last-Modified>Mon, 30 Nov 2026 08:00:00 GMT</Last-Modified>\
                 <Content-Length>3</Content-Length><Content-Type>a</Content-Type></Properties></Blob>"
            )
        })
        .collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>{blobs}</Blobs>\
         <NextMarker>{marker}</NextMarker></EnumerationResults>"
    );
    http("200 OK", &[("content-type", "application/xml")], &body)
}

/// A service that does not know where a list is to begin gives it from its beginning.
#[tokio::test]
async fn a_list_begins_behind_a_key_whether_the_service_knows_how_or_not() {
    let server = Scripted::serves([azure_list(&["x/a", "x/b"], "more"), azure_list(&["x/c", "x/d", "x/e"], "")]).await;
    let page = server.azure_with_key().list("x/", Some("x/b~"), 2).await.expect("a page");
    let stored = |key: &str| Stored { key: key.to_owned(), size: 3 };
    assert_eq!(page.objects, [stored("x/c"), stored("x/d")]);
    assert!(page.more);
    let [first, second] = server.asked().try_into().expect("two requests");
    assert!(first.contains("prefix=prod%2Fx%2F&startFrom=prod%2Fx%2Fb&maxresults=3 "), "{first}");
    assert!(second.contains("marker=more ") && !second.contains("maxresults"), "{second}");
}

/// An account with a hierarchical namespace lists a folder before what is called like it and goes on.
#[tokio::test]
async fn a_list_out_of_order_is_refused() {
    for names in [["x/a", "x/a-"], ["x/a", "x/a"]] {
        let order = [names[1], names[0]];
        let server = Scripted::serves([azure_list(&order, "")]).await;
        let error = server.azure_with_key().list("x/", None, 10).await.expect_err("out of order");
        assert_eq!(error.outcome, Outcome::Refused, "{error}");
        assert!(error.to_string().contains("not in the order of bytes"), "{error}");
    }
}

#[tokio::test]
async fn what_comes_in_part_or_too_large_is_not_given() {
    let head = |length: u64| {
        format!(
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\nlast-modified: Mon, 30 Nov 2026 08:00:00 GMT\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let cut = Scripted::serves([Act::Says(head(10) + "01234")]).await;
    let huge = Scripted::serves([Act::SaysAndWaits(head(1 << 40))]).await;
    for bucket in cut.both() {
        assert_eq!(bucket.get("a").await.expect_err("half of it").outcome, Outcome::Unavailable);
    }
    assert_eq!(cut.asked().len(), 2, "it is not read on by itself");
    for bucket in huge.both() {
        let error = bucket.get("a").await.expect_err("it is too large");
        assert_eq!(error.outcome, Outcome::Refused, "{error}");
    }
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let silent = Scripted::serves([Act::SaysAndWaits(String::new())]).await;
    use Outcome::{Indeterminate, Unavailable};
    for bucket in silent.both() {
        let bucket = bucket.answer_within(Duration::from_millis(100));
        let began = tokio::time::Instant::now();
        assert_eq!(all(&bucket).await, [Indeterminate, Unavailable, Unavailable, Unavailable, Indeterminate]);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
