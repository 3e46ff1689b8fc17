//! A container of Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use replica::ports::BucketError;

use super::{Store, answer::Connector, client_options, no_retries, url::CloudUrl};

pub(super) fn open(url: &CloudUrl, variables: Vec<(String, String)>) -> Result<Arc<dyn Store>, BucketError> {
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in variables {
        let key = match name.as_str() {
            // What a host of functions and web apps calls it.
            "IDENTITY_ENDPOINT" => Some(AzureConfigKey::MsiEndpoint),
            name if name.starts_with("AZURE_") => name.to_ascii_lowercase().parse().ok(),
            _ => None,
        };
        if let Some(key) = key {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(account) = url.account() {
        builder = builder.with_account(account);
    }
    let Some(account) = builder.get_config_value(&AzureConfigKey::AccountName) else {
        return Err(url.refused("it names no account; add ?account=NAME, or set AZURE_STORAGE_ACCOUNT_NAME"));
    };
    // The URL says where the bucket is, and no variable of the environment may say otherwise.
    let endpoint = match url.endpoint() {
        Some(endpoint) => endpoint.to_owned(),
        None => format!("https://{account}.blob.core.windows.net"),
    };
    let built = builder
        .with_use_emulator(false)
        .with_endpoint(endpoint.clone())
        .with_container_name(url.bucket())
        .with_client_options(client_options(url))
        .with_retry(no_retries())
        .with_http_connector(Connector::to(&endpoint))
        .build();
    built.map_or_else(
        |error| Err(url.refused("its settings or credentials are incomplete").caused_by(error)),
        |store| Ok(Arc::new(store) as Arc<dyn Store>),
    )
}
