//! The services of each region, as a plan is checked and carried out in them.

use core::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use replica::ports::BucketError;

use super::{
    compare::{Difference, compare},
    found::Found,
    plan::{Place, Plan},
};
use crate::{clients::Access, url::Style};

/// How often the SDK tries a call again. All of them may be repeated: each says how a thing is to be.
const RETRIES: u32 = 3;

/// The services in which a plan is looked at and carried out.
#[derive(Debug)]
pub struct Cloud {
    pub(super) plan: Plan,
    pub(super) services: Vec<Services>,
}

/// The clients of one region.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) sns: aws_sdk_sns::Client,
}

impl Services {
    async fn of(site: &Place, credentials: Option<&SharedCredentialsProvider>, topics: Option<&str>) -> Self {
        let config = |endpoint, profile| {
            Access { region: &site.region, endpoint, profile, credentials: credentials.cloned() }
                .config(RETRIES, Duration::ZERO)
        };
        let of_bucket = (site.bucket.endpoint(), site.bucket.profile());
        // A region without a queue may be heard all the same.
        let of_queue = site.queue.as_ref().map_or(of_bucket, |queue| (queue.endpoint(), queue.profile()));
        let s3 = config(of_bucket.0, of_bucket.1).await;
        let s3 = aws_sdk_s3::config::Builder::from(&s3).force_path_style(site.bucket.style() == Style::Path).build();
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::new(&config(of_queue.0, of_queue.1).await),
            // Topics are where queues are, unless told otherwise.
            sns: aws_sdk_sns::Client::new(&config(topics.or(of_queue.0), of_queue.1).await),
        }
    }
}

impl Cloud {
    /// The services of the plan's regions. Nothing is asked yet, but for the credentials if they come from the network.
    pub async fn connect(plan: Plan) -> Self {
        Self::with(plan, None, None).await
    }

    /// The same with credentials that are not those of the usual chain, and with the address of the topics where that
    /// is not that of the queues.
    pub async fn connect_as(plan: Plan, credentials: impl ProvideCredentials + 'static, topics: Option<&str>) -> Self {
        Self::with(plan, Some(SharedCredentialsProvider::new(credentials)), topics).await
    }

    async fn with(plan: Plan, credentials: Option<SharedCredentialsProvider>, topics: Option<&str>) -> Self {
        let mut services = Vec::new();
        for site in &plan.sites {
            services.push(Services::of(site, credentials.as_ref(), topics).await);
        }
        Self { plan, services }
    }

    /// What the services are asked for.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What of the plan is missing or wider than needed, region by region, in the order of creation. Changes nothing.
    ///
    /// # Errors
    ///
    /// `Refused` when something may not be looked at, which names the permission; `Unavailable` when a service does not
    /// answer.
    ///
    /// Cost: about 15 requests for each region.
    pub async fn check(&self) -> Result<Vec<Difference>, BucketError> {
        let (account, found) = self.look().await?;
        Ok(self.differences(account.as_deref(), &found))
    }

    pub(super) fn differences(&self, account: Option<&str>, found: &[Found]) -> Vec<Difference> {
        let each = self.plan.sites.iter().zip(found);
        each.flat_map(|(site, found)| compare(&self.plan, site, account, found)).collect()
    }
}
