//! What a URL of a bucket may say, and what is answered to the others.

use replica::ports::Outcome;
use store_s3::S3Url;

fn parsed(text: &str) -> S3Url {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    let error = text.parse::<S3Url>().expect_err(text);
    assert_eq!(error.outcome, Outcome::Refused, "{text}");
    error.to_string()
}

#[test]
fn a_bucket_alone_is_enough() {
    let url = parsed("s3://likes-eu");
    assert_eq!((url.bucket(), url.prefix()), ("likes-eu", ""));
    assert_eq!((url.region(), url.endpoint(), url.profile(), url.owner()), (None, None, None, None));
    assert!(!url.allows_http());
    assert_eq!(url.to_string(), "s3://likes-eu");
}

#[test]
fn every_parameter_is_kept_and_written_as_it_was_read() {
    for text in [
        "s3://likes-eu/a/b.c_d-e?region=eu-west-1",
        "s3://likes-eu?region=us-gov-west-1&profile=prod",
        "s3://likes.eu?endpoint=http://127.0.0.1:5003&style=virtual&checksum=none",
        "s3://likes-eu?endpoint=https://s3.example.com:9000/base&style=path&checksum=crc64nvme",
        "s3://likes-eu?sse=AES256&storage_class=INTELLIGENT_TIERING&owner=123456789012",
        "s3://likes-eu?sse=aws:kms&kms_key=arn:aws:kms:eu-west-1:123456789012:key/1-2",
        "s3://likes-eu?endpoint=http://minio.internal:9000&checksum=crc32&allow_http=yes",
        "s3://likes-eu?profile=a%20b%26c%3D%25",
    ] {
        let url = parsed(text);
        assert_eq!(url.to_string(), text);
        assert_eq!(parsed(&url.to_string()), url, "{text}");
    }
}

#[test]
fn what_means_the_same_is_written_in_one_way() {
    assert_eq!(parsed("s3://likes-eu/").to_string(), "s3://likes-eu");
    assert_eq!(parsed("s3://likes-eu?").to_string(), "s3://likes-eu");
    assert_eq!(parsed("s3://likes-eu/a/?checksum=auto"), parsed("s3://likes-eu/a"));
    assert_eq!(parsed("s3://likes-eu?region=a&profile=b"), parsed("s3://likes-eu?profile=b&region=%61"));
    assert_eq!(parsed("s3://likes-eu/a").prefix(), "a/");
}

#[test]
fn plain_http_is_for_this_machine_unless_it_is_allowed_by_name() {
    for here in ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1", "http://localhost:1", "HTTP://LOCALHOST"] {
        parsed(&format!("s3://likes-eu?endpoint={here}"));
    }
    for there in [
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://[::]",
        "http://s3.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://[::ffff:10.0.0.1]",
    ] {
        let said = refusal(&format!("s3://likes-eu?endpoint={there}"));
        assert!(said.contains("`allow_http=yes`"), "{there}: {said}");
        parsed(&format!("s3://likes-eu?endpoint={there}&allow_http=yes"));
    }
    parsed("s3://likes-eu?endpoint=https://s3.example.com");
    assert!(refusal("s3://likes-eu?allow_http=yes").contains("for an `endpoint`"));
}

#[test]
fn what_is_wrong_is_named_and_what_to_write_instead() {
    for (text, says) in [
        ("likes-eu", "begin with `s3://`"),
        ("https://likes-eu", "begin with `s3://`"),
        ("S3://likes-eu", "begin with `s3://`"),
        ("s3://", "3 to 63 letters"),
        ("s3:///a", "3 to 63 letters"),
        ("s3://ab", "3 to 63 letters"),
        ("s3://Likes", "a-z 0-9 - ."),
        ("s3://likes_eu", "a-z 0-9 - ."),
        ("s3://likes-eu:443", "a-z 0-9 - ."),
        ("s3://-likes", "begins and ends with"),
        ("s3://likes.", "begins and ends with"),
        ("s3://likes..eu", "two dots"),
        ("s3://10.0.0.1", "no address"),
        ("s3://likes--euw1-az1--x-s3", "directory bucket"),
        ("s3://likes-eu//", "prefix"),
        ("s3://likes-eu/a//b", "prefix"),
        ("s3://likes-eu/../b", "prefix"),
        ("s3://likes-eu/a b", "prefix"),
        ("s3://likes-eu#a", "`%23`"),
        ("s3://likes-eu?region=eu-west-1&region=eu-west-2", "twice"),
        ("s3://likes-eu?region=", "no value"),
        ("s3://likes-eu?region", "no value"),
        ("s3://likes-eu?region=Europe!", "`eu-west-1`"),
        ("s3://likes-eu?colour=red", "no parameter `colour`; there are region, endpoint"),
        ("s3://likes-eu?Region=eu-west-1", "no parameter `Region`"),
        ("s3://likes-eu?style=sideways", "`path` or `virtual`"),
        ("s3://likes-eu?checksum=md5", "`crc64nvme`"),
        ("s3://likes-eu?sse=aes256", "`AES256` or `aws:kms`"),
        ("s3://likes-eu?kms_key=a", "needs `sse=aws:kms`"),
        ("s3://likes-eu?sse=AES256&kms_key=a", "needs `sse=aws:kms`"),
        ("s3://likes-eu?storage_class=GLACIER", "read at once"),
        ("s3://likes-eu?owner=me", "12 digits"),
        ("s3://likes-eu?endpoint=s3.example.com", "`https://s3.example.com`"),
        ("s3://likes-eu?endpoint=ftp://s3.example.com", "begins with `https://`"),
        ("s3://likes-eu?endpoint=https://s3.example.com?a=b", "no parameters"),
        ("s3://likes-eu?endpoint=http://127.0.0.1&allow_http=no", "`yes`"),
    ] {
        let said = refusal(text);
        assert!(said.contains(says), "{text}: {said}");
    }
    refusal(&format!("s3://likes-eu/{}", "x".repeat(124)));
    assert_eq!(parsed(&format!("s3://likes-eu/{}", "x".repeat(123))).prefix().len(), 124);
}

/// Messages end up in logs.
#[test]
fn credentials_are_refused_and_never_repeated() {
    for text in [
        "s3://AKIAhunter2:hunter2@likes-eu",
        "s3://hunter2@likes-eu/a?region=eu-west-1",
        "s3://likes-eu?access_key_id=hunter2",
        "s3://likes-eu?SecretAccessKey=hunter2",
        "s3://likes-eu?session_token=hunter2",
        "s3://likes-eu?endpoint=https://user:hunter2@s3.example.com",
        "s3://likes-eu?endpoint=http://hunter2@127.0.0.1",
    ] {
        let said = refusal(text);
        assert!(said.contains("usual chain of AWS") && !said.contains("hunter2"), "{text}: {said}");
    }
}
