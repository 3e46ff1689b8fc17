//! What is done to keys: put, get, list, delete.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{HeaderMap, StatusCode};
use s3s::{
    Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Md5, Sha256},
    dto::*,
    s3_error,
};

use super::{access, service::Store};
use crate::{
    bucket::{Demand, Object, Query, Unmet, Version, hex},
    events::Event,
    time::{iso, now},
};

/// The most that a page of a list holds.
const PAGE_MAX: usize = 1_000;

impl Store {
    pub(super) async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let trailers = request.trailing_headers.clone();
        let principal =
            request.credentials.as_ref().map_or(String::new(), |credentials| credentials.access_key.clone());
        let mut input = request.input;
        let bytes = match input.body.take() {
            Some(body) => Body::from(body).collect().await.map_err(|error| broken(&*error))?.to_bytes(),
            None => Bytes::new(),
        };
        if input.content_length.is_some_and(|length| length != i64::try_from(bytes.len()).unwrap_or(i64::MAX)) {
            return Err(s3_error!(IncompleteBody));
        }
        let signed = request.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
        if signed.is_some_and(|digest| digest.len() == 64 && digest != hex(Sha256::checksum(&bytes).as_ref())) {
            let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
            let mut error = S3Error::with_message(code, "The body is not the one that was signed");
            error.set_status_code(StatusCode::BAD_REQUEST);
            return Err(error);
        }
        let trailing = trailers.and_then(|trailers| trailers.take()).unwrap_or_default();
        let checksum = verified(&bytes, &input, &trailing)?;
        let demand = match (&input.if_none_match, &input.if_match) {
            (None, None) => Demand::Nothing,
            (Some(ETagCondition::Any), None) => Demand::Absent,
            (None, Some(ETagCondition::ETag(etag))) => Demand::Etag(etag.value().to_owned()),
            _ => return Err(s3_error!(NotImplemented, "A put takes If-None-Match: * or If-Match with one ETag")),
        };
        let mut object = Object::plain(bytes, checksum, now());
        let mut buckets = self.cloud.buckets();
        let bucket = buckets.get_mut(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        (object.encryption, object.kms_key) = encryption(&input, bucket.encryption.as_ref());
        object.content_type = input.content_type.take();
        object.metadata = input.metadata.take();
        object.storage_class = input.storage_class.take().map(|class| class.as_str().to_owned());
        let version = bucket.put(&input.key, object, &demand).map_err(|unmet| match unmet {
            Unmet::Differs => s3_error!(PreconditionFailed, "At least one of the pre-conditions did not hold"),
            Unmet::Missing => s3_error!(NoSuchKey, "The key `{}` does not exist", input.key),
        })?;
        let region = bucket.region.clone();
        // While the lock is held, so that sequence numbers of a key are in the order of its changes.
        let sequence = self.cloud.next_sequence();
        drop(buckets);
        let object = version.object.clone().expect("an object was put");
        let checksum = object.checksum.clone();
        self.cloud.tell(&Event {
            name: "ObjectCreated:Put",
            bucket: input.bucket,
            region,
            key: input.key,
            object: Some((object.bytes.len(), object.etag.clone())),
            version: shown(&version),
            principal,
            time: iso(version.since),
            sequence,
        });
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(object.etag.clone())),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            server_side_encryption: Some(object.encryption.clone().into()),
            ssekms_key_id: object.kms_key.clone(),
            version_id: shown(&version),
            ..PutObjectOutput::default()
        }))
    }

    pub(super) fn get(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let access_key = request.credentials.as_ref().map(|credentials| credentials.access_key.as_str());
        let input = request.input;
        let version = self.find(access_key, &input.bucket, &input.key, input.version_id.as_deref())?;
        let object = version.object.clone().expect("it was found");
        unchanged(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let length = object.bytes.len() as u64;
        let range = input.range.map(|range| range.check(length)).transpose();
        let range = range.map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))?;
        let is_checked = input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        let checksum = if is_checked && range.is_none() { object.checksum.clone() } else { Checksum::default() };
        let content_range = range.as_ref().map(|range| format!("bytes {}-{}/{length}", range.start, range.end - 1));
        let bytes = match &range {
            Some(range) => object.bytes.slice(as_index(range.start)..as_index(range.end)),
            None => object.bytes.clone(),
        };
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(bytes.len()).ok(),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            content_range,
            content_type: object.content_type.clone().or_else(|| Some("binary/octet-stream".to_owned())),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(object.modified.into()),
            metadata: object.metadata.clone(),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            server_side_encryption: Some(object.encryption.clone().into()),
            ssekms_key_id: object.kms_key.clone(),
            storage_class: object.storage_class.clone().map(Into::into),
            version_id: shown(&version),
            ..GetObjectOutput::default()
        };
        Ok(S3Response::with_status(output, status))
    }

    pub(super) fn head(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let access_key = request.credentials.as_ref().map(|credentials| credentials.access_key.as_str());
        let input = request.input;
        let version = self.find(access_key, &input.bucket, &input.key, input.version_id.as_deref())?;
        let object = version.object.clone().expect("it was found");
        unchanged(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let is_checked = input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        let checksum = if is_checked { object.checksum.clone() } else { Checksum::default() };
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(object.bytes.len()).ok(),
            content_type: object.content_type.clone().or_else(|| Some("binary/octet-stream".to_owned())),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(object.modified.into()),
            metadata: object.metadata.clone(),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            server_side_encryption: Some(object.encryption.clone().into()),
            ssekms_key_id: object.kms_key.clone(),
            storage_class: object.storage_class.clone().map(Into::into),
            version_id: shown(&version),
            ..HeadObjectOutput::default()
        }))
    }

    pub(super) fn list(&self, input: ListObjectsV2Input) -> S3Result<S3Response<ListObjectsV2Output>> {
        let max = input.max_keys.map_or(PAGE_MAX, |max| usize::try_from(max).unwrap_or(0).min(PAGE_MAX));
        let token = input.continuation_token.as_deref().map(resumed).transpose()?;
        let (after, after_prefix) = match &token {
            Some((after, after_prefix)) => (after.as_str(), *after_prefix),
            None => (input.start_after.as_deref().unwrap_or_default(), false),
        };
        let (prefix, delimiter) = (input.prefix.as_deref().unwrap_or_default(), input.delimiter.as_deref());
        let query = Query { prefix, delimiter: delimiter.unwrap_or_default(), after, after_prefix, max };
        let buckets = self.cloud.buckets();
        let page = buckets.get(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?.list(&query);
        drop(buckets);
        let is_quoted = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
        let named = |key: String| if is_quoted { crate::events::quoted(&key) } else { key };
        let listed = |(key, object): (String, std::sync::Arc<Object>)| s3s::dto::Object {
            key: Some(named(key)),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(object.modified.into()),
            size: i64::try_from(object.bytes.len()).ok(),
            storage_class: Some(object.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()).into()),
            ..Default::default()
        };
        let count = page.objects.len() + page.prefixes.len();
        let common = |prefix| CommonPrefix { prefix: Some(named(prefix)) };
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            max_keys: i32::try_from(max).ok(),
            key_count: i32::try_from(count).ok(),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|(after, is_prefix)| resuming(&after, is_prefix)),
            contents: Some(page.objects.into_iter().map(listed).collect()),
            common_prefixes: Some(page.prefixes.into_iter().map(common).collect()),
            ..ListObjectsV2Output::default()
        }))
    }

    pub(super) fn list_versions(
        &self,
        input: ListObjectVersionsInput,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        if input.delimiter.is_some() || input.key_marker.is_some() {
            return Err(s3_error!(NotImplemented, "Versions are listed in one page, without delimiter"));
        }
        let buckets = self.cloud.buckets();
        let bucket = buckets.get(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let (mut versions, mut markers) = (Vec::new(), Vec::new());
        let prefix = input.prefix.as_deref().unwrap_or_default();
        for (key, version, is_latest) in bucket.versions().filter(|(key, ..)| key.starts_with(prefix)) {
            let (key, id) = (Some(key.clone()), Some(version.id.clone()));
            let (is_latest, last_modified) = (Some(is_latest), Some(version.since.into()));
            match &version.object {
                Some(object) => versions.push(ObjectVersion {
                    key,
                    version_id: id,
                    is_latest,
                    last_modified,
                    e_tag: Some(ETag::Strong(object.etag.clone())),
                    size: i64::try_from(object.bytes.len()).ok(),
                    ..ObjectVersion::default()
                }),
                None => {
                    markers.push(DeleteMarkerEntry { key, version_id: id, is_latest, last_modified, owner: None });
                }
            }
        }
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            is_truncated: Some(false),
            versions: Some(versions),
            delete_markers: Some(markers),
            ..ListObjectVersionsOutput::default()
        }))
    }

    pub(super) fn delete(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let principal =
            request.credentials.as_ref().map_or(String::new(), |credentials| credentials.access_key.clone());
        let input = request.input;
        if input.if_match.is_some() {
            return Err(s3_error!(NotImplemented, "A delete takes no condition here"));
        }
        let mut buckets = self.cloud.buckets();
        let bucket = buckets.get_mut(&input.bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let time = now();
        let marker = bucket.delete(&input.key, input.version_id.as_deref(), time);
        let (region, sequence) = (bucket.region.clone(), self.cloud.next_sequence());
        drop(buckets);
        self.cloud.tell(&Event {
            name: if marker.is_some() { "ObjectRemoved:DeleteMarkerCreated" } else { "ObjectRemoved:Delete" },
            bucket: input.bucket,
            region,
            key: input.key,
            object: None,
            version: marker.as_ref().and_then(shown),
            principal,
            time: iso(time),
            sequence,
        });
        let output = DeleteObjectOutput {
            delete_marker: marker.as_ref().map(|_| true),
            version_id: marker.as_ref().and_then(shown).or(input.version_id),
            ..DeleteObjectOutput::default()
        };
        Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
    }

    fn find(&self, access_key: Option<&str>, bucket: &str, key: &str, id: Option<&str>) -> S3Result<Version> {
        let buckets = self.cloud.buckets();
        let found = buckets.get(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        let version = id.map_or_else(|| found.get(key), |id| found.version(key, id)).cloned();
        drop(buckets);
        match version {
            Some(version) if version.object.is_some() => Ok(version),
            Some(_) => Err(s3_error!(MethodNotAllowed, "That version is a delete marker")),
            None if !access::may_list(&self.cloud, access_key, bucket) => Err(s3_error!(AccessDenied, "Access Denied")),
            None if id.is_some() => Err(s3_error!(NoSuchVersion, "The version does not exist")),
            None => Err(s3_error!(NoSuchKey, "The key `{key}` does not exist")),
        }
    }
}

/// The checksums of a body that the request gives, or if it gives none that S3 adds; an error if they are of something else.
fn verified(bytes: &Bytes, input: &PutObjectInput, trailing: &HeaderMap) -> S3Result<Checksum> {
    let trailer = |name: &str| trailing.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let given = Checksum {
        checksum_crc32: input.checksum_crc32.clone().or_else(|| trailer("x-amz-checksum-crc32")),
        checksum_crc32c: input.checksum_crc32c.clone().or_else(|| trailer("x-amz-checksum-crc32c")),
        checksum_crc64nvme: input.checksum_crc64nvme.clone().or_else(|| trailer("x-amz-checksum-crc64nvme")),
        checksum_sha1: input.checksum_sha1.clone().or_else(|| trailer("x-amz-checksum-sha1")),
        checksum_sha256: input.checksum_sha256.clone().or_else(|| trailer("x-amz-checksum-sha256")),
        checksum_type: None,
    };
    let mut hasher = ChecksumHasher {
        crc32: given.checksum_crc32.as_ref().map(|_| s3s::crypto::Crc32::new()),
        crc32c: given.checksum_crc32c.as_ref().map(|_| s3s::crypto::Crc32c::new()),
        sha1: given.checksum_sha1.as_ref().map(|_| s3s::crypto::Sha1::new()),
        sha256: given.checksum_sha256.as_ref().map(|_| Sha256::new()),
        crc64nvme: given.checksum_crc64nvme.as_ref().map(|_| s3s::crypto::Crc64Nvme::new()),
    };
    let is_none_given = given == Checksum::default();
    if is_none_given {
        hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::new());
    }
    hasher.update(bytes);
    let computed = hasher.finalize();
    if !is_none_given && computed != given {
        return Err(s3_error!(BadDigest, "The checksum did not match that of the body"));
    }
    let md5 = input.content_md5.as_ref();
    if md5.is_some_and(|given| *given != crate::signature::base64(Md5::checksum(bytes).as_ref())) {
        return Err(s3_error!(BadDigest, "The Content-MD5 did not match that of the body"));
    }
    Ok(Checksum { checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)), ..computed })
}

/// How an object is encrypted, and with which key: as the request says, else as the bucket does.
fn encryption(
    input: &PutObjectInput,
    of_bucket: Option<&ServerSideEncryptionConfiguration>,
) -> (String, Option<String>) {
    if let Some(asked) = &input.server_side_encryption {
        return (asked.as_str().to_owned(), input.ssekms_key_id.clone());
    }
    let rule = of_bucket.and_then(|configuration| configuration.rules.first());
    match rule.and_then(|rule| rule.apply_server_side_encryption_by_default.as_ref()) {
        Some(default) => (default.sse_algorithm.as_str().to_owned(), default.kms_master_key_id.clone()),
        None => (ServerSideEncryption::AES256.to_owned(), None),
    }
}

fn unchanged(object: &Object, wanted: Option<&ETagCondition>, known: Option<&ETagCondition>) -> S3Result<()> {
    let is_it = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    };
    if wanted.is_some_and(|condition| !is_it(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if known.is_some_and(is_it) {
        let mut error = S3Error::new(S3ErrorCode::NotModified);
        error.set_status_code(StatusCode::NOT_MODIFIED);
        return Err(error);
    }
    Ok(())
}

/// The id of a version, where there are versions.
fn shown(version: &Version) -> Option<String> {
    (version.id != "null").then(|| version.id.clone())
}

/// The token of the page after a key, or after a common prefix: opaque, as that of S3.
fn resuming(after: &str, is_prefix: bool) -> String {
    format!("{}{}", if is_prefix { 'p' } else { 'k' }, hex(after.as_bytes()))
}

fn resumed(token: &str) -> S3Result<(String, bool)> {
    let malformed = || s3_error!(InvalidArgument, "The continuation token provided is incorrect");
    let (digits, is_prefix) = match (token.strip_prefix('p'), token.strip_prefix('k')) {
        (Some(digits), _) => (digits, true),
        (_, Some(digits)) => (digits, false),
        _ => return Err(malformed()),
    };
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    let after = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(malformed)?;
    Ok((after, is_prefix))
}

fn as_index(offset: u64) -> usize {
    usize::try_from(offset).expect("the object is in memory")
}

/// The body came to an end that it should not have.
fn broken(error: &(dyn std::error::Error + 'static)) -> S3Error {
    if error.to_string().contains("SignatureMismatch") {
        return s3_error!(SignatureDoesNotMatch, "The signature of a chunk does not match");
    }
    s3_error!(IncompleteBody, "{error}")
}
