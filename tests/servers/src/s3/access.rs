//! Who may ask S3 for what: regions, then policies.

use hyper::{HeaderMap, StatusCode, header::AUTHORIZATION};
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
    s3_error,
};

use crate::{
    cloud::Cloud,
    policy::{Caller, Context, Request},
};

pub(super) struct Access {
    pub(super) cloud: Cloud,
    /// Of which region this is the endpoint, if it is one region's.
    pub(super) region: Option<String>,
}

/// Operation, the action that allows it, and whether it is done to a key.
const ACTIONS: [(&str, &str, bool); 32] = [
    ("CreateBucket", "s3:CreateBucket", false),
    ("DeleteBucket", "s3:DeleteBucket", false),
    ("DeleteBucketEncryption", "s3:PutEncryptionConfiguration", false),
    ("DeleteBucketLifecycle", "s3:PutLifecycleConfiguration", false),
    ("DeleteBucketOwnershipControls", "s3:PutBucketOwnershipControls", false),
    ("DeleteBucketPolicy", "s3:DeleteBucketPolicy", false),
    ("DeleteBucketTagging", "s3:PutBucketTagging", false),
    ("DeleteObject", "s3:DeleteObject", true),
    ("DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock", false),
    ("GetBucketEncryption", "s3:GetEncryptionConfiguration", false),
    ("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", false),
    ("GetBucketLocation", "s3:GetBucketLocation", false),
    ("GetBucketNotificationConfiguration", "s3:GetBucketNotification", false),
    ("GetBucketOwnershipControls", "s3:GetBucketOwnershipControls", false),
    ("GetBucketPolicy", "s3:GetBucketPolicy", false),
    ("GetBucketTagging", "s3:GetBucketTagging", false),
    ("GetBucketVersioning", "s3:GetBucketVersioning", false),
    ("GetObject", "s3:GetObject", true),
    ("GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock", false),
    ("HeadBucket", "s3:ListBucket", false),
    ("HeadObject", "s3:GetObject", true),
    ("ListBuckets", "s3:ListAllMyBuckets", false),
    ("ListObjectVersions", "s3:ListBucketVersions", false),
    ("ListObjectsV2", "s3:ListBucket", false),
    ("PutBucketEncryption", "s3:PutEncryptionConfiguration", false),
    ("PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration", false),
    ("PutBucketNotificationConfiguration", "s3:PutBucketNotification", false),
    ("PutBucketOwnershipControls", "s3:PutBucketOwnershipControls", false),
    ("PutBucketPolicy", "s3:PutBucketPolicy", false),
    ("PutBucketTagging", "s3:PutBucketTagging", false),
    ("PutBucketVersioning", "s3:PutBucketVersioning", false),
    ("PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock", false),
];

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = cx.s3_op().name().to_owned();
        let (action, is_of_key) = match operation.as_str() {
            "PutObject" => ("s3:PutObject", true),
            other => {
                let found = ACTIONS.iter().find(|(name, ..)| *name == other);
                let (_, action, is_of_key) =
                    found.ok_or_else(|| s3_error!(NotImplemented, "{other} is not served here"))?;
                (*action, *is_of_key)
            }
        };
        let Some(credentials) = cx.credentials() else {
            return Err(s3_error!(AccessDenied, "Anonymous requests are refused"));
        };
        let (name, _) = self.cloud.holder_of(&credentials.access_key).ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        let signed_for = signed_region(cx);
        if let (Some(own), Some(signed_for)) = (&self.region, &signed_for)
            && own != signed_for
        {
            let message =
                format!("The authorization header is malformed; the region '{signed_for}' is wrong; expecting '{own}'");
            return Err(elsewhere(S3ErrorCode::AuthorizationHeaderMalformed, StatusCode::BAD_REQUEST, message, own));
        }
        let query: Vec<(String, String)> =
            form_urlencoded::parse(cx.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        let bucket = cx.s3_path().get_bucket_name().unwrap_or_default().to_owned();
        let action = match (action, query.iter().any(|(name, _)| name == "versionId")) {
            ("s3:GetObject", true) => "s3:GetObjectVersion",
            ("s3:DeleteObject", true) => "s3:DeleteObjectVersion",
            (action, _) => action,
        };
        let key = cx.s3_path().get_object_key().filter(|_| is_of_key);
        let context = self.context(&name, &operation, cx.headers(), &query);
        let resource = key.map_or(format!("arn:aws:s3:::{bucket}"), |key| format!("arn:aws:s3:::{bucket}/{key}"));
        let resource = if bucket.is_empty() { "*".to_owned() } else { resource };
        let buckets = self.cloud.buckets();
        let found = buckets.get(&bucket);
        if found.is_none() && !["CreateBucket", "ListBuckets"].contains(&operation.as_str()) {
            return Err(s3_error!(NoSuchBucket, "The bucket `{bucket}` does not exist"));
        }
        if let Some(home) = found.map(|bucket| &bucket.region)
            && signed_for.as_ref().is_some_and(|signed_for| signed_for != home)
            && operation != "CreateBucket"
        {
            let message = format!("The bucket is in the region {home} and must be addressed there");
            return Err(elsewhere(S3ErrorCode::PermanentRedirect, StatusCode::MOVED_PERMANENTLY, message, home));
        }
        let caller = Caller::Principal(name);
        let request = Request { caller: &caller, action, resource: &resource, context: &context };
        let policy = found.and_then(|bucket| bucket.policy.as_ref()).map(|(_, policy)| policy);
        if !self.cloud.allows(&request, policy) {
            return Err(denied(&caller, action, &resource));
        }
        Ok(())
    }
}

impl Access {
    fn context(&self, name: &str, operation: &str, headers: &HeaderMap, query: &[(String, String)]) -> Context {
        let mut context = self.cloud.context_of(name);
        let mut know = |key: &str, value: &str| context.insert(format!("s3:{key}"), value.to_owned());
        for header in [
            "if-match",
            "if-none-match",
            "x-amz-acl",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-storage-class",
        ] {
            if let Some(value) = headers.get(header).and_then(|value| value.to_str().ok()) {
                know(header, value);
            }
        }
        for parameter in ["delimiter", "max-keys", "prefix", "versionId"] {
            if let Some((_, value)) = query.iter().find(|(name, _)| name == parameter) {
                know(&parameter.to_ascii_lowercase(), value);
            }
        }
        if operation == "PutObject" {
            know("objectcreationoperation", "true");
        }
        context
    }
}

/// Whether a principal may list a bucket: if not, it is not told which keys are missing. As S3 asks it, without a prefix.
pub(super) fn may_list(cloud: &Cloud, access_key: Option<&str>, bucket: &str) -> bool {
    let Some((name, _)) = access_key.and_then(|key| cloud.holder_of(key)) else { return false };
    let (caller, resource) = (Caller::Principal(name.clone()), format!("arn:aws:s3:::{bucket}"));
    let context = cloud.context_of(&name);
    let request = Request { caller: &caller, action: "s3:ListBucket", resource: &resource, context: &context };
    let buckets = cloud.buckets();
    let policy = buckets.get(bucket).and_then(|bucket| bucket.policy.as_ref()).map(|(_, policy)| policy);
    cloud.allows(&request, policy)
}

/// No policy allows it, or one forbids it.
pub(super) fn denied(caller: &Caller, action: &str, resource: &str) -> S3Error {
    let name = match caller {
        Caller::Principal(name) => name.as_str(),
        Caller::Service(name) => name,
    };
    s3_error!(AccessDenied, "{name} is not authorized to perform: {action} on resource: {resource}")
}

/// The region in the scope of the signature.
fn signed_region(cx: &S3AccessContext<'_>) -> Option<String> {
    let header = cx.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_header = header.and_then(|header| header.split_once("Credential=")).map(|(_, scope)| scope.to_owned());
    let in_query = || {
        let mut query = form_urlencoded::parse(cx.uri().query().unwrap_or_default().as_bytes());
        query.find(|(name, _)| name == "X-Amz-Credential").map(|(_, scope)| scope.into_owned())
    };
    in_header.or_else(in_query)?.split('/').nth(2).map(str::to_owned)
}

fn elsewhere(code: S3ErrorCode, status: StatusCode, message: String, region: &str) -> S3Error {
    let mut error = S3Error::with_message(code, message);
    error.set_status_code(status);
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-bucket-region", region.parse().expect("a region is ASCII"));
    error.set_headers(headers);
    error
}
