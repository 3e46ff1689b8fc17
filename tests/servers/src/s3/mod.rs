//! The S3 server: protocol and signatures from the crate `s3s`, everything else from here.

mod access;
mod objects;
mod service;
mod settings;

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Request, Response, http::request::Parts};
use s3s::{
    Body, S3Error, S3ErrorCode, S3Result,
    auth::{S3Auth, SecretKey},
    service::{S3Service, S3ServiceBuilder},
};

use crate::{
    cloud::Cloud,
    faults::{Asked, Faults, Refusal},
    http::{Server, Service},
    meter::Meter,
};

/// S3 on 127.0.0.1, in path style.
///
/// It runs on a thread of its own until it is dropped; what was put stays in the [`Cloud`].
#[derive(Debug)]
pub struct S3Server(Server);

impl S3Server {
    /// Serves the buckets of all regions, on a port that is free.
    ///
    /// # Errors
    ///
    /// No port can be had.
    pub fn start(cloud: &Cloud) -> io::Result<Self> {
        Self::start_on(cloud, 0, None)
    }

    /// Serves on a given port, 0 for any; as the endpoint of one region, if one is named: then a request that is signed for
    /// another one is malformed, as at `s3.eu-west-1.amazonaws.com`.
    ///
    /// # Errors
    ///
    /// The port cannot be had.
    pub fn start_on(cloud: &Cloud, port: u16, region: Option<&str>) -> io::Result<Self> {
        let mut builder = S3ServiceBuilder::new(service::Store { cloud: cloud.clone() });
        builder.set_auth(Signatures(cloud.clone()));
        builder.set_access(access::Access { cloud: cloud.clone(), region: region.map(str::to_owned) });
        Ok(Self(Server::start(port, Protocol(builder.build()))?))
    }

    /// Where it listens: `http://127.0.0.1:` and a port.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What was asked.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.0.meter
    }
}

struct Signatures(Cloud);

#[async_trait::async_trait]
impl S3Auth for Signatures {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.holder_of(access_key) {
            Some((_, secret)) => Ok(SecretKey::from(secret)),
            None => Err(s3s::s3_error!(InvalidAccessKeyId, "The access key `{access_key}` is not known")),
        }
    }
}

struct Protocol(S3Service);

impl Service for Protocol {
    fn asked(&self, head: &Parts, _: Option<&Bytes>) -> Option<Asked> {
        let path = head.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query: Vec<(String, String)> =
            form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let prefix = query.iter().find(|(name, _)| name == "prefix").map(|(_, prefix)| prefix.clone());
        let key = if key.is_empty() { prefix.unwrap_or_default() } else { unquoted(key) };
        let operation = operation(head.method.as_str(), bucket, path.contains('/') && !path.ends_with('/'), &query);
        Some(Asked { operation, place: bucket.to_owned(), key })
    }

    fn answer(&self, request: Request<Bytes>) -> Pin<Box<dyn Future<Output = Response<Bytes>> + Send + '_>> {
        Box::pin(async move {
            let answered = self.0.call(request.map(Body::from)).await;
            let (head, body) = match answered {
                Ok(response) => response.into_parts(),
                Err(_) => return self.refuse(Refusal::InternalError),
            };
            match body.collect().await {
                Ok(body) => Response::from_parts(head, body.to_bytes()),
                Err(_) => self.refuse(Refusal::InternalError),
            }
        })
    }

    fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        let code = S3ErrorCode::from_bytes(refusal.code().as_bytes()).expect("codes are ASCII");
        let mut error = S3Error::with_message(code, "Injected by the test");
        error.set_status_code(refusal.status().try_into().expect("it is a status"));
        let (head, body) = error.to_http_response().expect("an error is well-formed").into_parts();
        Response::from_parts(head, body.bytes().unwrap_or_default())
    }
}

/// What the operation of a request is called.
fn operation(method: &str, bucket: &str, is_object: bool, query: &[(String, String)]) -> String {
    const SETTINGS: [(&str, &str); 8] = [
        ("encryption", "BucketEncryption"),
        ("lifecycle", "BucketLifecycleConfiguration"),
        ("location", "BucketLocation"),
        ("notification", "BucketNotificationConfiguration"),
        ("ownershipControls", "BucketOwnershipControls"),
        ("policy", "BucketPolicy"),
        ("publicAccessBlock", "PublicAccessBlock"),
        ("versioning", "BucketVersioning"),
    ];
    let verb = match method {
        "GET" => "Get",
        "PUT" => "Put",
        "DELETE" => "Delete",
        "HEAD" => "Head",
        other => other,
    };
    let has = |wanted: &str| query.iter().any(|(name, _)| name == wanted);
    let setting = SETTINGS.iter().find(|(name, _)| has(name));
    match (verb, setting) {
        ("Get", _) if bucket.is_empty() => "ListBuckets".to_owned(),
        (_, _) if is_object => format!("{verb}Object"),
        (_, Some((_, setting))) => format!("{verb}{setting}"),
        ("Get", _) if has("versions") => "ListObjectVersions".to_owned(),
        ("Get", _) if has("list-type") => "ListObjectsV2".to_owned(),
        ("Get", _) => "ListObjects".to_owned(),
        ("Put", _) => "CreateBucket".to_owned(),
        _ => format!("{verb}Bucket"),
    }
}

/// A path without its percent signs.
fn unquoted(path: &str) -> String {
    let plus_kept = path.replace('+', "%2B");
    form_urlencoded::parse(format!("x={plus_kept}").as_bytes())
        .next()
        .map_or(String::new(), |(_, text)| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_as_s3_names_them() {
        let named = |method: &str, target: &str| {
            let (head, ()) =
                Request::builder().method(method).uri(target).body(()).expect("it is a request").into_parts();
            let cloud = Cloud::new();
            let protocol = Protocol(S3ServiceBuilder::new(service::Store { cloud }).build());
            let asked = protocol.asked(&head, None).expect("the head tells");
            (asked.operation, asked.place, asked.key)
        };
        let is = |operation: &str, place: &str, key: &str| (operation.to_owned(), place.to_owned(), key.to_owned());
        assert_eq!(named("PUT", "/eu/v1/log/a%2Bb+c%20d"), is("PutObject", "eu", "v1/log/a+b+c d"));
        assert_eq!(named("GET", "/eu/k?x-id=GetObject"), is("GetObject", "eu", "k"));
        assert_eq!(named("HEAD", "/eu/k"), is("HeadObject", "eu", "k"));
        assert_eq!(named("GET", "/eu?list-type=2&prefix=v1%2Flog%2F"), is("ListObjectsV2", "eu", "v1/log/"));
        assert_eq!(named("GET", "/eu/?list-type=2"), is("ListObjectsV2", "eu", ""));
        assert_eq!(named("GET", "/eu?versions"), is("ListObjectVersions", "eu", ""));
        assert_eq!(named("HEAD", "/eu"), is("HeadBucket", "eu", ""));
        assert_eq!(named("PUT", "/eu"), is("CreateBucket", "eu", ""));
        assert_eq!(named("DELETE", "/eu"), is("DeleteBucket", "eu", ""));
        assert_eq!(named("PUT", "/eu?notification"), is("PutBucketNotificationConfiguration", "eu", ""));
        assert_eq!(named("GET", "/"), is("ListBuckets", "", ""));
    }
}
