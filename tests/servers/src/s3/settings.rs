//! The settings of a bucket: checked, stored, and given back as S3 does.

use s3s::{S3Error, S3Request, S3Response, S3Result, dto::*, s3_error};

use super::service::Store;
use crate::{bucket::Bucket, policy::Policy};

impl Store {
    /// Looks at a bucket.
    pub(super) fn of<T>(&self, name: &str, look: impl FnOnce(&Bucket) -> S3Result<T>) -> S3Result<S3Response<T>> {
        let buckets = self.cloud.buckets();
        look(buckets.get(name).ok_or_else(|| s3_error!(NoSuchBucket))?).map(S3Response::new)
    }

    /// Changes a bucket.
    pub(super) fn set<T: Default>(&self, name: &str, change: impl FnOnce(&mut Bucket)) -> S3Result<S3Response<T>> {
        let mut buckets = self.cloud.buckets();
        change(buckets.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket))?);
        Ok(S3Response::new(T::default()))
    }

    pub(super) fn put_policy(&self, input: PutBucketPolicyInput) -> S3Result<S3Response<PutBucketPolicyOutput>> {
        let policy = Policy::of_resource(&input.policy).map_err(|why| s3_error!(MalformedPolicy, "{why}"))?;
        self.set(&input.bucket, |bucket| bucket.policy = Some((input.policy, policy)))
    }

    pub(super) fn put_lifecycle(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let input = request.input;
        let configuration = input.lifecycle_configuration.ok_or_else(|| s3_error!(MalformedXML))?;
        let ids: std::collections::BTreeSet<_> =
            configuration.rules.iter().filter_map(|rule| rule.id.as_ref()).collect();
        let named = configuration.rules.iter().filter(|rule| rule.id.is_some()).count();
        if configuration.rules.is_empty() || ids.len() < named {
            return Err(s3_error!(InvalidArgument, "A lifecycle needs rules, and their ids must differ"));
        }
        self.set(&input.bucket, |bucket| bucket.lifecycle = Some(configuration))
    }
}

/// What S3 encrypts with where nobody says.
pub(super) fn default_encryption() -> ServerSideEncryptionConfiguration {
    let algorithm = ServerSideEncryption::from_static(ServerSideEncryption::AES256);
    let default = ServerSideEncryptionByDefault { kms_master_key_id: None, sse_algorithm: algorithm };
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(default),
        bucket_key_enabled: Some(false),
    };
    ServerSideEncryptionConfiguration { rules: vec![rule] }
}

/// A setting that nobody has made.
pub(super) fn unset(code: &'static str) -> S3Error {
    let mut error = S3Error::with_message(s3s::S3ErrorCode::Custom(code.into()), "The configuration does not exist");
    error.set_status_code(hyper::StatusCode::NOT_FOUND);
    error
}
