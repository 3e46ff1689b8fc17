//! Which operations of S3 there are. Those that are not here answer NotImplemented.

use s3s::{S3, S3Request, S3Response, S3Result, dto::*, s3_error};

use super::settings::{default_encryption, unset};
use crate::{bucket::Bucket, cloud::Cloud, time::now};

pub(super) struct Store {
    pub(super) cloud: Cloud,
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl S3 for Store {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        self.put(request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        self.get(request)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        self.head(request)
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.delete(request)
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        self.list(request.input)
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> Answer<ListObjectVersionsOutput> {
        self.list_versions(request.input)
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let input = request.input;
        let constraint = input.create_bucket_configuration.and_then(|configuration| configuration.location_constraint);
        let region = constraint.map_or("us-east-1".to_owned(), |region| region.as_str().to_owned());
        let signed_for = request.region.map(|region| region.as_str().to_owned());
        if signed_for.is_some_and(|signed_for| signed_for != region && signed_for != "us-east-1") {
            return Err(s3_error!(
                IllegalLocationConstraintException,
                "The {region} location constraint is incompatible for the region specific endpoint"
            ));
        }
        let mut buckets = self.cloud.buckets();
        if buckets.contains_key(&input.bucket) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        buckets.insert(input.bucket.clone(), Bucket::new(&region, now()));
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> Answer<DeleteBucketOutput> {
        let mut buckets = self.cloud.buckets();
        if buckets.get(&request.input.bucket).is_some_and(|bucket| !bucket.is_empty()) {
            return Err(s3_error!(BucketNotEmpty));
        }
        buckets.remove(&request.input.bucket);
        Ok(S3Response::with_status(DeleteBucketOutput::default(), hyper::StatusCode::NO_CONTENT))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.of(&request.input.bucket, |bucket| {
            Ok(HeadBucketOutput { bucket_region: Some(bucket.region.clone()), ..HeadBucketOutput::default() })
        })
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let listed = |(name, bucket): (&String, &Bucket)| s3s::dto::Bucket {
            bucket_region: Some(bucket.region.clone()),
            creation_date: Some(bucket.created.into()),
            name: Some(name.clone()),
        };
        let buckets = Some(self.cloud.buckets().iter().map(listed).collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, ..ListBucketsOutput::default() }))
    }

    async fn get_bucket_location(&self, request: S3Request<GetBucketLocationInput>) -> Answer<GetBucketLocationOutput> {
        self.of(&request.input.bucket, |bucket| {
            // The oldest region has no name here.
            let region = (bucket.region != "us-east-1").then(|| bucket.region.clone().into());
            Ok(GetBucketLocationOutput { location_constraint: region })
        })
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        self.of(&request.input.bucket, |bucket| {
            Ok(GetBucketVersioningOutput { status: bucket.versioning.clone(), mfa_delete: None })
        })
    }

    async fn put_bucket_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> Answer<PutBucketVersioningOutput> {
        let input = request.input;
        let status = input.versioning_configuration.status.ok_or_else(|| s3_error!(MalformedXML))?;
        self.set(&input.bucket, |bucket| bucket.versioning = Some(status))
    }

    async fn get_bucket_policy(&self, request: S3Request<GetBucketPolicyInput>) -> Answer<GetBucketPolicyOutput> {
        self.of(&request.input.bucket, |bucket| {
            let (policy, _) = bucket.policy.as_ref().ok_or_else(|| unset("NoSuchBucketPolicy"))?;
            Ok(GetBucketPolicyOutput { policy: Some(policy.clone()) })
        })
    }

    async fn put_bucket_policy(&self, request: S3Request<PutBucketPolicyInput>) -> Answer<PutBucketPolicyOutput> {
        self.put_policy(request.input)
    }

    async fn delete_bucket_policy(
        &self,
        request: S3Request<DeleteBucketPolicyInput>,
    ) -> Answer<DeleteBucketPolicyOutput> {
        self.set(&request.input.bucket, |bucket| bucket.policy = None)
    }

    async fn get_public_access_block(
        &self,
        request: S3Request<GetPublicAccessBlockInput>,
    ) -> Answer<GetPublicAccessBlockOutput> {
        self.of(&request.input.bucket, |bucket| {
            let block = bucket.public_access.clone().ok_or_else(|| unset("NoSuchPublicAccessBlockConfiguration"))?;
            Ok(GetPublicAccessBlockOutput { public_access_block_configuration: Some(block) })
        })
    }

    async fn put_public_access_block(
        &self,
        request: S3Request<PutPublicAccessBlockInput>,
    ) -> Answer<PutPublicAccessBlockOutput> {
        let input = request.input;
        self.set(&input.bucket, |bucket| bucket.public_access = Some(input.public_access_block_configuration))
    }

    async fn delete_public_access_block(
        &self,
        request: S3Request<DeletePublicAccessBlockInput>,
    ) -> Answer<DeletePublicAccessBlockOutput> {
        self.set(&request.input.bucket, |bucket| bucket.public_access = None)
    }

    async fn get_bucket_encryption(
        &self,
        request: S3Request<GetBucketEncryptionInput>,
    ) -> Answer<GetBucketEncryptionOutput> {
        self.of(&request.input.bucket, |bucket| {
            let configuration = bucket.encryption.clone().unwrap_or_else(default_encryption);
            Ok(GetBucketEncryptionOutput { server_side_encryption_configuration: Some(configuration) })
        })
    }

    async fn put_bucket_encryption(
        &self,
        request: S3Request<PutBucketEncryptionInput>,
    ) -> Answer<PutBucketEncryptionOutput> {
        let input = request.input;
        self.set(&input.bucket, |bucket| bucket.encryption = Some(input.server_side_encryption_configuration))
    }

    async fn delete_bucket_encryption(
        &self,
        request: S3Request<DeleteBucketEncryptionInput>,
    ) -> Answer<DeleteBucketEncryptionOutput> {
        self.set(&request.input.bucket, |bucket| bucket.encryption = None)
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> Answer<GetBucketLifecycleConfigurationOutput> {
        self.of(&request.input.bucket, |bucket| {
            let lifecycle = bucket.lifecycle.clone().ok_or_else(|| unset("NoSuchLifecycleConfiguration"))?;
            let rules = Some(lifecycle.rules);
            Ok(GetBucketLifecycleConfigurationOutput { rules, ..Default::default() })
        })
    }

    async fn put_bucket_lifecycle_configuration(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> Answer<PutBucketLifecycleConfigurationOutput> {
        self.put_lifecycle(request)
    }

    async fn delete_bucket_lifecycle(
        &self,
        request: S3Request<DeleteBucketLifecycleInput>,
    ) -> Answer<DeleteBucketLifecycleOutput> {
        self.set(&request.input.bucket, |bucket| bucket.lifecycle = None)
    }

    async fn get_bucket_notification_configuration(
        &self,
        request: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> Answer<GetBucketNotificationConfigurationOutput> {
        self.of(&request.input.bucket, |bucket| {
            let configured = bucket.notification.clone();
            Ok(GetBucketNotificationConfigurationOutput {
                event_bridge_configuration: configured.event_bridge_configuration,
                lambda_function_configurations: configured.lambda_function_configurations,
                queue_configurations: configured.queue_configurations,
                topic_configurations: configured.topic_configurations,
            })
        })
    }

    async fn put_bucket_notification_configuration(
        &self,
        request: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> Answer<PutBucketNotificationConfigurationOutput> {
        let input = request.input;
        let validates = !input.skip_destination_validation.unwrap_or(false);
        self.cloud.configure_notifications(&input.bucket, input.notification_configuration, validates)?;
        Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
    }

    async fn get_bucket_ownership_controls(
        &self,
        request: S3Request<GetBucketOwnershipControlsInput>,
    ) -> Answer<GetBucketOwnershipControlsOutput> {
        self.of(&request.input.bucket, |bucket| {
            let controls = bucket.ownership.clone().ok_or_else(|| unset("OwnershipControlsNotFoundError"))?;
            Ok(GetBucketOwnershipControlsOutput { ownership_controls: Some(controls) })
        })
    }

    async fn put_bucket_ownership_controls(
        &self,
        request: S3Request<PutBucketOwnershipControlsInput>,
    ) -> Answer<PutBucketOwnershipControlsOutput> {
        let input = request.input;
        self.set(&input.bucket, |bucket| bucket.ownership = Some(input.ownership_controls))
    }

    async fn delete_bucket_ownership_controls(
        &self,
        request: S3Request<DeleteBucketOwnershipControlsInput>,
    ) -> Answer<DeleteBucketOwnershipControlsOutput> {
        self.set(&request.input.bucket, |bucket| bucket.ownership = None)
    }

    async fn get_bucket_tagging(&self, request: S3Request<GetBucketTaggingInput>) -> Answer<GetBucketTaggingOutput> {
        self.of(&request.input.bucket, |bucket| {
            let tag_set = bucket.tags.clone().ok_or_else(|| unset("NoSuchTagSet"))?;
            Ok(GetBucketTaggingOutput { tag_set })
        })
    }

    async fn put_bucket_tagging(&self, request: S3Request<PutBucketTaggingInput>) -> Answer<PutBucketTaggingOutput> {
        let input = request.input;
        self.set(&input.bucket, |bucket| bucket.tags = Some(input.tagging.tag_set))
    }

    async fn delete_bucket_tagging(
        &self,
        request: S3Request<DeleteBucketTaggingInput>,
    ) -> Answer<DeleteBucketTaggingOutput> {
        self.set(&request.input.bucket, |bucket| bucket.tags = None)
    }
}
