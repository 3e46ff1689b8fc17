//! The services of each region, as a plan is checked and carried out in them.

use core::time::Duration;

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
    async fn of(site: &Place) -> Self {
        let (region, profile) = (&*site.region, site.bucket.profile());
        let config = Access { region, endpoint: site.bucket.endpoint(), profile }.config(RETRIES, Duration::ZERO).await;
        let style = aws_sdk_s3::config::Builder::from(&config).force_path_style(site.bucket.style() == Style::Path);
        let s3 = aws_sdk_s3::Client::from_conf(style.build());
        // Topics are where queues are: what stands in for one of the services stands in for both. A region without a queue
        // may be heard all the same.
        let (endpoint, profile) = match &site.queue {
            Some(queue) => (queue.endpoint(), queue.profile()),
            None => (site.bucket.endpoint(), profile),
        };
        let config = Access { region, endpoint, profile }.config(RETRIES, Duration::ZERO).await;
        Self { s3, sqs: aws_sdk_sqs::Client::new(&config), sns: aws_sdk_sns::Client::new(&config) }
    }
}

impl Cloud {
    /// The services of the plan's regions. Nothing is asked yet, but for the credentials if they come from the network.
    pub async fn connect(plan: Plan) -> Self {
        let mut services = Vec::new();
        for site in &plan.sites {
            services.push(Services::of(site).await);
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
    /// `Refused` when something may not be looked at, which names the permission; `Unavailable` when a service does not answer.
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
