//! The clients of AWS beside the bucket's: one way to make them, with the retries and times of each.

use core::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an attempt may take, from its start to the end of the answer.
const ATTEMPT: Duration = Duration::from_secs(20);

/// Where a client works, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Access<'a> {
    pub(crate) region: &'a str,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) profile: Option<&'a str>,
    /// Instead of those of the usual chain.
    pub(crate) credentials: Option<SharedCredentialsProvider>,
}

impl Access<'_> {
    /// What all clients of these share. `retries` is how often a call is tried again by the SDK; what asks in a loop of
    /// its own wants none. `wait` is how long the service may take to have something to say.
    pub(crate) async fn config(self, retries: u32, wait: Duration) -> SdkConfig {
        let times = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(wait + ATTEMPT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.to_owned()))
            .retry_config(RetryConfig::standard().with_max_attempts(1 + retries))
            .timeout_config(times)
            // A long poll is a stream that stalls on purpose.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(endpoint) = self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(profile) = self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(credentials) = self.credentials {
            loader = loader.credentials_provider(credentials);
        }
        loader.load().await
    }
}
