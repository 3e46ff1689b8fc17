//! A bucket of Google Cloud Storage.

use std::sync::Arc;

use object_store::{ObjectStore, gcp::GoogleCloudStorageBuilder};
use replica::ports::BucketError;

use super::{
    answer::Connector,
    location::{Location, no_retries},
};

pub(super) fn open(location: &Location) -> Result<Arc<dyn ObjectStore>, BucketError> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&location.bucket)
        .with_client_options(location.client())
        .with_retry(no_retries())
        .with_http_connector(Connector::default());
    if let Some(endpoint) = &location.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    let built = builder.build();
    built.map_or_else(
        |error| Err(location.refused("its settings or credentials are incomplete").caused_by(error)),
        |store| Ok(Arc::new(store) as Arc<dyn ObjectStore>),
    )
}
