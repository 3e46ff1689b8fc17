//! How the SDK is set up: credentials, region, time limits, and no retries.

use core::time::Duration;

use aws_config::{AppName, BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use replica::ports::{BucketError, Outcome};

use crate::S3Url;

/// How long a connection may take, with the name's resolution and the TLS handshake.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take, with the connection, unless a bucket is told otherwise.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a body is given more time for: a second for each so many bytes (2 Mbit/s).
const BODY_BYTES_PER_SECOND: u64 = 256 << 10;

/// What a body of this size may take beside the answer.
pub(crate) fn body_time(body_bytes: u64) -> Duration {
    Duration::from_secs(body_bytes.div_ceil(BODY_BYTES_PER_SECOND))
}

/// What every client of this crate is made of.
///
/// The SDK retries nothing: of a create that it repeated by itself, the answer to the second attempt would be "exists", and
/// whose object that is would be a riddle. The engine repeats, and knows. Nor does the SDK correct a wrong clock behind our
/// back: the clock decides between concurrent writes, so whoever runs the machine must hear of it.
///
/// # Errors
///
/// `Refused` if no region is known.
pub(crate) async fn load(
    url: &S3Url,
    credentials: Option<SharedCredentialsProvider>,
) -> Result<SdkConfig, BucketError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .disable_read_timeout()
        .disable_operation_timeout()
        .disable_operation_attempt_timeout()
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .app_name(AppName::new("archipelago").expect("a name of letters"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .disable_clock_skew_correction(true);
    if let Some(credentials) = credentials {
        loader = loader.credentials_provider(credentials);
    }
    if let Some(profile) = url.profile() {
        loader = loader.profile_name(profile);
    }
    // What is not AWS has no regions, but signatures need one: this is the one that all of them take.
    if let Some(region) = url.region().or(url.endpoint().map(|_| "us-east-1")) {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        let message = format!(
            "no region is known for the bucket; write `?region=` behind its URL, or set AWS_REGION: bucket={}",
            url.bucket()
        );
        return Err(BucketError::new(Outcome::Refused, message));
    }
    Ok(config)
}
