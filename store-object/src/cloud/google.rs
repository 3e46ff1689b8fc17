//! A bucket of Google Cloud Storage.

use std::sync::Arc;

use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use replica::ports::BucketError;

use super::{Store, answer::Connector, client_options, no_retries, url::CloudUrl};

const ENDPOINT: &str = "https://storage.googleapis.com";

pub(super) fn open(url: &CloudUrl, variables: Vec<(String, String)>) -> Result<Arc<dyn Store>, BucketError> {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (name, value) in variables {
        let key =
            if name.starts_with("GOOGLE_") { name.to_ascii_lowercase().parse::<GoogleConfigKey>().ok() } else { None };
        if let Some(key) = key {
            builder = builder.with_config(key, value);
        }
    }
    // The URL says where the bucket is, and neither a variable of the environment nor a file of credentials.
    let endpoint = url.endpoint().unwrap_or(ENDPOINT);
    let built = builder
        .with_base_url(endpoint)
        .with_bucket_name(url.bucket())
        .with_client_options(client_options(url))
        .with_retry(no_retries())
        .with_http_connector(Connector::to(endpoint))
        .build();
    built.map_or_else(
        |error| Err(url.refused("its settings or credentials are incomplete").caused_by(error)),
        |store| Ok(Arc::new(store) as Arc<dyn Store>),
    )
}
