//! A container of Azure Blob Storage.

use std::sync::Arc;

use object_store::{
    ObjectStore,
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
};
use replica::ports::BucketError;

use super::{
    answer::Connector,
    location::{Location, no_retries},
};

pub(super) fn open(location: &Location) -> Result<Arc<dyn ObjectStore>, BucketError> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(&location.bucket)
        .with_client_options(location.client())
        .with_retry(no_retries())
        .with_http_connector(Connector::default());
    if let Some(account) = &location.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &location.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if builder.get_config_value(&AzureConfigKey::AccountName).is_none() {
        return Err(location.refused("it names no account; add ?account=NAME, or set AZURE_STORAGE_ACCOUNT_NAME"));
    }
    let built = builder.build();
    built.map_or_else(
        |error| Err(location.refused("its settings or credentials are incomplete").caused_by(error)),
        |store| Ok(Arc::new(store) as Arc<dyn ObjectStore>),
    )
}
