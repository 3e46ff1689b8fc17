//! Against Azurite, the emulator of Azure Blob Storage that Microsoft gives away. Started by its script,
//! tests/with-emulators.sh, which makes the containers and tells the address; without that these tests fail.
//!
//! Azurite checks signatures, and here their keys are right or wrong. What it does otherwise than Azure:
//!
//! - It closes connections that were idle for 5 s, and resets a request that comes at that moment. To the engine that
//!   is a create of which nothing is known; the conformance body does not repeat, so the script has connections kept.
//! - It knows no `startFrom`, so each list comes from its beginning, and what is before the start is left out by the
//!   bucket.
//! - A range that begins at the very end of a blob it gives as `bytes 10-9/10`, where Azure says 416. That is not
//!   understood, so the conformance body meets it through `EndsEarly`, which reads such a blob whole.
//! - A wrong signature it calls `AuthorizationFailure`, where Azure says `AuthenticationFailed`.
//! - It takes names of more than 254 segments, and segments that end with a dot. Azure promises neither, and the engine
//!   makes no such keys; the conformance body does.
//! - It has neither roles nor identities nor throttling, nor a hierarchical namespace. What these answer is played in
//!   `alone`.

mod emulated;

use std::env;

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Page};
use store_object::{CloudBucket, CloudUrl};

/// The account and the key that every Azurite has; both are in its documentation.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

fn opened_as(container: &str, account: &str, key: &str) -> CloudBucket {
    let endpoint = env::var("ARCHIPELAGO_TEST_AZURE").expect("run by tests/with-emulators.sh, which starts the server");
    let url: CloudUrl =
        format!("az://{container}?account={account}&endpoint={endpoint}/{ACCOUNT}").parse().expect("a URL");
    CloudBucket::open_as(&url, [("AZURE_STORAGE_ACCOUNT_KEY".to_owned(), key.to_owned())]).expect("a bucket")
}

fn opened(container: &str) -> CloudBucket {
    opened_as(container, ACCOUNT, KEY)
}

/// The bucket, but that a range which begins at the very end is found out by reading the whole.
#[derive(Debug)]
struct EndsEarly(CloudBucket);

impl Bucket for EndsEarly {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        self.0.create(key, body)
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        self.0.get(key)
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            match self.0.get_range(key, start, length).await {
                Err(error) if error.to_string().contains("not understood") => {
                    let whole = self.0.get(key).await?;
                    let size = whole.as_ref().map(|whole| whole.len() as u64);
                    assert_eq!(size, Some(start), "only a range at the very end is known to be answered wrong: {key}");
                    Ok(Some(Bytes::new()))
                }
                answer => answer,
            }
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        self.0.list(prefix, after, limit)
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        self.0.folders(prefix)
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        self.0.delete(key)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite_conforms() {
    tests::conformance::everything(&EndsEarly(opened("conforms"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite_conforms_under_a_prefix() {
    let below = EndsEarly(opened("prefixed/some/prefix"));
    emulated::conforms_under_a_prefix(&opened("prefixed"), &below).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_missing_is_no_empty_one() {
    opened("checked").check("v1/log/").await.expect("it can be read");
    emulated::is_missing(&opened("no-such-container")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_and_not_shown() {
    let key = KEY.replace("Eby8", "AAAA");
    let (wrong, right) = (opened_as("checked", ACCOUNT, &key), opened("checked"));
    emulated::is_refused(&wrong, &right, "status=403 code=AuthorizationFailure", &key[..20]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_agree_over_three_containers() {
    tests::regions::three_replicas_agree(&["engine-eu", "engine-us", "engine-ap"].map(opened)).await;
}
