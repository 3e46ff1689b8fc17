//! Where a bucket is, as a URL says it.

use std::{collections::BTreeMap, fmt};

use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use replica::ports::{BucketError, Outcome, check_key};
use std::time::Duration;
use url::{Host, Url};

/// How long a request may take, and a connection.
const REQUEST_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The parts of a bucket's URL. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) scheme: String,
    pub(super) bucket: String,
    /// What all keys begin with: empty, or with a `/` at its end.
    pub(super) prefix: String,
    pub(super) account: Option<String>,
    pub(super) endpoint: Option<String>,
    allow_http: bool,
}

impl Location {
    pub(super) fn parse(text: &str) -> Result<Self, BucketError> {
        let refuse = |why: &str| Err(refused(text, why));
        let Ok(url) = Url::parse(text) else { return refuse("it is no URL") };
        if !url.username().is_empty() || url.password().is_some() {
            // Without the text: it would end in a log.
            return Err(refused(&format!("{}://…", url.scheme()), "credentials do not belong in it"));
        }
        let Some(bucket) = url.host_str().filter(|bucket| !bucket.is_empty()) else {
            return refuse("it names no bucket");
        };
        if url.port().is_some() || url.fragment().is_some() {
            return refuse("it has a port or a fragment; `endpoint` names a server");
        }
        let folder = url.path().trim_matches('/');
        if !folder.is_empty() && check_key(folder).is_err() {
            return refuse("its prefix is not made of A-Z a-z 0-9 . _ - and single slashes");
        }
        let mut asked: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            if asked.insert(name.to_string(), value.into_owned()).is_some() {
                return refuse(&format!("the parameter {name} is there twice"));
            }
        }
        let scheme = url.scheme().to_owned();
        let account = if scheme == "az" { asked.remove("account") } else { None };
        let endpoint = asked.remove("endpoint").map(|endpoint| endpoint.trim_end_matches('/').to_owned());
        let allow_http = match asked.remove("allow_http").as_deref() {
            None | Some("no") => false,
            Some("yes") => true,
            Some(_) => return refuse("allow_http is yes or no"),
        };
        if let Some(unknown) = asked.keys().next() {
            return refuse(&format!("there is no parameter {unknown}"));
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let location = Self { scheme, bucket: bucket.to_owned(), prefix, account, endpoint, allow_http };
        location.check_endpoint()?;
        Ok(location)
    }

    fn check_endpoint(&self) -> Result<(), BucketError> {
        let Some(endpoint) = &self.endpoint else { return Ok(()) };
        let Ok(url) = Url::parse(endpoint) else { return Err(self.refused("the endpoint is no URL")) };
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(self.refused("the endpoint names no host")),
        };
        match url.scheme() {
            "https" => Ok(()),
            "http" if is_loopback || self.allow_http => Ok(()),
            "http" => Err(self.refused("plain HTTP is for loopback only; use https, or say allow_http=yes")),
            _ => Err(self.refused("the endpoint is neither https nor http")),
        }
    }

    /// The full name of a key in its bucket.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(super) fn refused(&self, why: &str) -> BucketError {
        refused(&self.to_string(), why)
    }

    /// How its service is spoken to.
    pub(super) fn client(&self) -> ClientOptions {
        let is_plain = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:"));
        ClientOptions::new().with_timeout(REQUEST_MAX).with_connect_timeout(CONNECT_MAX).with_allow_http(is_plain)
    }
}

/// Nothing is repeated but by the engine, which knows what is safe.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: REQUEST_MAX }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix.trim_end_matches('/')) }
    }
}

fn refused(url: &str, why: &str) -> BucketError {
    BucketError::new(Outcome::Refused, format!("not a bucket that can be used: {why}: url={url}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(url: &str) -> String {
        Location::parse(url).map_or_else(|error| error.to_string(), |location| format!("{location:?}"))
    }

    #[test]
    fn a_url_names_bucket_prefix_and_server() {
        let location = Location::parse("az://data/some/where/?account=acme&endpoint=http://127.0.0.1:1/acme").unwrap();
        assert_eq!((location.bucket.as_str(), location.prefix.as_str()), ("data", "some/where/"));
        assert_eq!(location.account.as_deref(), Some("acme"));
        assert_eq!(location.full("v1/log/a"), "some/where/v1/log/a");
        assert_eq!(location.to_string(), "az://data/some/where");
        assert_eq!(Location::parse("gs://data").unwrap().full("a"), "a");
    }

    #[test]
    fn what_is_no_bucket_is_refused_and_says_why() {
        for (url, why) in [
            ("data", "no URL"),
            ("gs:///prefix", "no bucket"),
            ("gs://a:1/", "a port"),
            ("gs://data/a b", "prefix"),
            ("gs://data/a//b", "prefix"),
            ("gs://data?account=x", "no parameter account"),
            ("az://data?acount=x", "no parameter acount"),
            ("az://data?account=x&account=y", "twice"),
            ("gs://data?endpoint=nowhere", "endpoint is no URL"),
            ("gs://data?endpoint=ftp://127.0.0.1", "neither https nor http"),
            ("gs://data?endpoint=http://example.com", "loopback only"),
            ("gs://data?endpoint=http://127.0.0.1.example.com", "loopback only"),
            ("gs://data?allow_http=1", "yes or no"),
        ] {
            assert!(says(url).contains(why), "{url}: {}", says(url));
        }
    }

    #[test]
    fn plain_http_goes_to_loopback_or_where_it_is_allowed_by_name() {
        for url in [
            "gs://data?endpoint=http://127.0.0.1:1",
            "gs://data?endpoint=http://[::1]:1",
            "gs://data?endpoint=http://localhost:1",
            "gs://data?endpoint=http://10.0.0.1:1&allow_http=yes",
            "gs://data?endpoint=https://example.com",
        ] {
            assert!(Location::parse(url).is_ok(), "{url}: {}", says(url));
        }
    }

    #[test]
    fn a_secret_in_a_url_is_refused_and_not_repeated() {
        let says = says("az://user:hunter2@data/prefix");
        assert!(says.contains("credentials do not belong"), "{says}");
        assert!(!says.contains("hunter2"), "{says}");
    }
}
