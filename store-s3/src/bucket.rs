//! The bucket: each call of the port is one request, and each answer one of the port's.

use core::{fmt, time::Duration};
use std::{future::Future, sync::Arc};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::{
    Client,
    config::{
        self, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig, http::HttpResponse,
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ServerSideEncryption, StorageClass},
};
use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Outcome, Page, Request, check_key, check_prefix};

use crate::{
    S3Url,
    body::{self, Range},
    connect,
    listing::{self, Listing},
    outcome::{Verdict, verdict},
    trouble::Trouble,
    url::{Checksum, Encryption, Style},
};

/// How long a body may stand still.
const STALLED: Duration = Duration::from_secs(20);

/// A bucket on Amazon S3, or on what speaks its protocol.
///
/// # What it promises
///
/// - A create is a PUT with `If-None-Match: *`, so the store itself lets exactly one of several creators win.
/// - Every request is sent once. Of one whose answer is lost it is said that nothing is known of it; the engine repeats it,
///   and knows when that is safe.
/// - What is read is what was written: beside the hash in its signature an object carries a checksum, which is compared when
///   it is read whole. A list that is not in order, or not where it was asked to begin, is an error.
///
/// # What it needs
///
/// To read: `s3:GetObject` on the objects and `s3:ListBucket` on the bucket. To write also `s3:PutObject`, and to collect
/// `s3:DeleteObject`. Without `s3:ListBucket` S3 answers "denied" for an object that is missing, and so does this bucket.
///
/// # Where it runs
///
/// On a runtime of tokio with time and I/O. Dropping a call's future drops its connection.
///
/// # Time limits
///
/// 5 s for a connection with TLS; 30 s for an answer, and a second more for each 256 KiB of a body, either way. A body that
/// stands still for 20 s is given up before.
///
/// # Cost
///
/// One request a call. `get_range` of no bytes asks for one. A list takes one for each 1,000 objects; folders, one for each
/// 1,000 folders and objects beside them.
#[derive(Clone)]
pub struct S3Bucket {
    client: Client,
    url: Arc<S3Url>,
    region: Arc<str>,
    answer_timeout: Duration,
}

impl fmt::Debug for S3Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Bucket").field("url", &self.url).field("region", &self.region).finish_non_exhaustive()
    }
}

impl S3Bucket {
    /// Makes ready what the URL describes. It reads the AWS configuration, and asks nothing of the bucket.
    ///
    /// # Errors
    ///
    /// `Refused` if no region is known.
    pub async fn open(url: &S3Url) -> Result<Self, BucketError> {
        Self::with(url, None).await
    }

    /// The same with credentials from elsewhere than the chain of AWS, such as a vault.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub async fn open_as(url: &S3Url, credentials: impl ProvideCredentials + 'static) -> Result<Self, BucketError> {
        Self::with(url, Some(SharedCredentialsProvider::new(credentials))).await
    }

    /// Gives an answer so much time instead of 30 s. Less finds a dead store sooner, and a slow one dead.
    #[must_use]
    pub fn answer_within(self, limit: Duration) -> Self {
        Self { answer_timeout: limit, ..self }
    }

    async fn with(url: &S3Url, credentials: Option<SharedCredentialsProvider>) -> Result<Self, BucketError> {
        let sdk = connect::load(url, credentials).await?;
        let region = sdk.region().map(ToString::to_string).unwrap_or_default();
        let checksums = match url.checksum() {
            Checksum::None => (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired),
            _ => (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported),
        };
        let mut config = config::Builder::from(&sdk)
            .force_path_style(url.style() == Style::Path)
            .request_checksum_calculation(checksums.0)
            .response_checksum_validation(checksums.1)
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALLED).build());
        // The URL says where the bucket is, and no variable of the environment may say otherwise.
        config.set_endpoint_url(url.endpoint().map(str::to_owned));
        Ok(Self {
            client: Client::from_conf(config.build()),
            url: Arc::new(url.clone()),
            region: region.into(),
            answer_timeout: connect::ANSWER_TIMEOUT,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &S3Url {
        &self.url
    }

    /// Asks whether a folder can be read: that the bucket is there, in this region, open to these credentials, and that the
    /// clock is right. `prefix` is empty or ends with `/`.
    ///
    /// It writes nothing, so it suits a peer's bucket too. Whether a bucket can hold a log is tried by the engine when a
    /// replica is opened.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to do.
    ///
    /// # Cost
    ///
    /// A LIST and a GET of an object that is missing.
    pub async fn check(&self, prefix: &str) -> Result<(), BucketError> {
        self.list(prefix, None, 1).await?;
        // Where lists are not allowed, what is missing is denied: better now than in the middle of a log.
        self.get(&format!("{prefix}none")).await?;
        Ok(())
    }

    fn key(&self, key: &str) -> Result<String, BucketError> {
        check_key(key)?;
        Ok(format!("{}{key}", self.url.prefix()))
    }

    fn owner(&self) -> Option<String> {
        self.url.owner().map(str::to_owned)
    }

    /// Waits for the answer, no longer than a body of this size may take.
    async fn answer<T, E>(
        &self,
        request: Request,
        body_bytes: u64,
        sent: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Verdict>
    where
        E: ProvideErrorMetadata + core::error::Error + Send + Sync + 'static,
    {
        match tokio::time::timeout(self.time_limit(body_bytes), sent).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match self.verdict(request, &Trouble::of(&error)) {
                Verdict::Failed(failed) => Verdict::Failed(failed.caused_by(error)),
                answered => answered,
            }),
            Err(_) => Err(self.verdict(request, &Trouble::TimedOut)),
        }
    }

    fn time_limit(&self, body_bytes: u64) -> Duration {
        self.answer_timeout + connect::body_time(body_bytes)
    }

    fn verdict(&self, request: Request, trouble: &Trouble) -> Verdict {
        verdict(&self.url, &self.region, request, trouble)
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<Created, BucketError> {
        let key = self.key(key)?;
        let bytes = body.len() as u64;
        let checksum = match self.url.checksum() {
            Checksum::Crc64Nvme => Some(ChecksumAlgorithm::Crc64Nvme),
            Checksum::Crc32 => Some(ChecksumAlgorithm::Crc32),
            Checksum::None => None,
        };
        let (encryption, kms_key) = match self.url.encryption() {
            None => (None, None),
            Some(Encryption::S3) => (Some(ServerSideEncryption::Aes256), None),
            Some(Encryption::Kms(key)) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        };
        let sent = self
            .client
            .put_object()
            .bucket(self.url.bucket())
            .key(key)
            .if_none_match("*")
            .set_checksum_algorithm(checksum)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .set_storage_class(self.url.storage_class().map(StorageClass::from))
            .set_expected_bucket_owner(self.owner())
            .body(ByteStream::from(body))
            .send();
        match self.answer(Request::Create, bytes, sent).await {
            Ok(_) => Ok(Created::New),
            Err(Verdict::Exists) => Ok(Created::Exists),
            Err(other) => Err(unexpected(other)),
        }
    }

    /// The object, or a range of it.
    async fn read(&self, key: &str, range: Option<Range>) -> Result<Option<Bytes>, BucketError> {
        let key = self.key(key)?;
        let request = self
            .client
            .get_object()
            .bucket(self.url.bucket())
            .key(key)
            .set_range(range.map(Range::header))
            .set_expected_bucket_owner(self.owner());
        let answer = match range {
            None => self.answer(Request::Get, 0, request.send()).await,
            // A checksum is of the whole object, and some stores send it with a part.
            Some(_) => {
                let unchecked =
                    config::Config::builder().response_checksum_validation(ResponseChecksumValidation::WhenRequired);
                self.answer(Request::Get, 0, request.customize().config_override(unchecked).send()).await
            }
        };
        let object = match answer {
            Ok(object) => object,
            Err(Verdict::Absent) => return Ok(None),
            Err(Verdict::PastTheEnd) if range.is_some() => return Ok(Some(Bytes::new())),
            Err(other) => return Err(unexpected(other)),
        };
        let size = object.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let begins_with_range = match (range, object.content_range()) {
            (_, None) => false,
            (Some(range), Some(answered)) if range.is_answered_by(answered) => true,
            (_, Some(_)) => {
                let message = "the store answered with another range than it was asked for";
                return Err(BucketError::new(Outcome::Unavailable, message));
            }
        };
        let collected = tokio::time::timeout(self.time_limit(size), body::collect(object.body, size)).await;
        let whole = match collected {
            Ok(Ok(whole)) => whole,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(unexpected(self.verdict(Request::Get, &Trouble::TimedOut))),
        };
        Ok(Some(match range {
            None => whole,
            Some(range) => range.of(&whole, begins_with_range),
        }))
    }

    async fn pages(&self, listing: &Listing<'_>) -> Result<listing::Found, BucketError> {
        let mut found = listing.begin();
        while let Some(asked) = listing.next(&found) {
            let sent = self
                .client
                .list_objects_v2()
                .bucket(self.url.bucket())
                .prefix(asked.prefix)
                .set_delimiter(asked.delimiter)
                .set_start_after(asked.start_after)
                .set_continuation_token(asked.continuation)
                .max_keys(asked.limit)
                .encoding_type(aws_sdk_s3::types::EncodingType::Url)
                .set_expected_bucket_owner(self.owner())
                .send();
            let page = self.answer(Request::List, 0, sent).await.map_err(unexpected)?;
            listing.take(&mut found, &page)?;
        }
        Ok(found)
    }
}

impl Bucket for S3Bucket {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(self.put(key, body))
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(self.read(key, None))
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(self.read(key, Some(Range { start, length })))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            Ok(self.pages(&Listing::of_objects(&self.url, prefix, after, limit)).await?.into_page())
        })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            Ok(self.pages(&Listing::of_folders(&self.url, prefix)).await?.into_folders())
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let sent = self
                .client
                .delete_object()
                .bucket(self.url.bucket())
                .key(self.key(key)?)
                .set_expected_bucket_owner(self.owner())
                .send();
            match self.answer(Request::Delete, 0, sent).await {
                Ok(_) | Err(Verdict::Absent) => Ok(()),
                Err(other) => Err(unexpected(other)),
            }
        })
    }
}

/// What is left when a call has taken the verdicts that it has words for.
fn unexpected(verdict: Verdict) -> BucketError {
    match verdict {
        Verdict::Failed(error) => error,
        Verdict::Exists | Verdict::Absent | Verdict::PastTheEnd => {
            BucketError::new(Outcome::Refused, "the answer does not fit the request; is this a store that speaks S3?")
        }
    }
}
