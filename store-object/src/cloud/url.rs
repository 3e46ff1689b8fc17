//! Where a bucket is, in one line: `az://container/prefix?account=acme` or `gs://bucket/prefix`.

use core::{fmt, str::FromStr};

use replica::ports::{BucketError, Outcome, own_prefix};
use url::{Host, Url, form_urlencoded};

/// Who keeps the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Azure,
    Google,
}

/// A container of Azure Blob Storage, or a bucket of Google Cloud Storage.
///
/// ```
/// # use store_object::CloudUrl;
/// let url: CloudUrl = "az://likes/production?account=acme".parse()?;
/// assert_eq!((url.bucket(), url.prefix()), ("likes", "production/"));
/// # Ok::<(), replica::ports::BucketError>(())
/// ```
///
/// After the bucket comes the prefix under which all keys lie, of `A-Z a-z 0-9 . _ - /` and at most 123 bytes. Then
/// come any of these, each at most once, with `%` before the two digits of what a URL cannot hold:
///
/// | parameter | meaning | without it |
/// |---|---|---|
/// | `account` | the storage account; of `az://` only | `AZURE_STORAGE_ACCOUNT_NAME` |
/// | `endpoint` | another server that speaks the same protocol, or the same service of another cloud | the service itself |
/// | `allow_http` | `yes`: send plain HTTP beyond this machine | only to a loopback address |
///
/// Credentials are not among them. They come from where the tools of the service look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudUrl {
    pub(super) service: Service,
    bucket: String,
    prefix: String,
    account: Option<String>,
    endpoint: Option<String>,
    allow_http: bool,
}

impl CloudUrl {
    /// The container or bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What all keys begin with: empty, or with a `/` at its end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// True when what is written to one of them appears in the other. Two names of one server are not noticed.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let place = |url: &Self| (url.service, url.bucket.clone(), url.account.clone(), url.endpoint.clone());
        place(self) == place(other)
            && (self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix))
    }

    #[cfg(feature = "azure")]
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    pub(super) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The full name of a key in its bucket.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What to say when it cannot be opened.
    pub(super) fn refused(&self, why: &str) -> BucketError {
        BucketError::new(Outcome::Refused, format!("this bucket cannot be opened: {why}: bucket={self}"))
    }
}

impl Service {
    const fn scheme(self) -> &'static str {
        match self {
            Self::Azure => "az",
            Self::Google => "gs",
        }
    }
}

/// # Errors
///
/// `Refused`, with what is wrong and what to write instead. Of a URL that may hold credentials nothing is repeated.
impl FromStr for CloudUrl {
    type Err = BucketError;

    fn from_str(text: &str) -> Result<Self, BucketError> {
        let (service, rest) = match text.split_once("://") {
            Some(("az", rest)) => (Service::Azure, rest),
            Some(("gs", rest)) => (Service::Google, rest),
            _ => return Err(refused("it must begin with `az://` or `gs://`")),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if place.contains('@') {
            return Err(refused("it holds credentials; leave them out, they come from where the service's tools look"));
        }
        if text.contains('#') {
            return Err(refused("write `%23` for `#`"));
        }
        check_bucket(service, bucket)?;
        let prefix = own_prefix(prefix).map_err(refused)?;
        let mut url =
            Self { service, bucket: bucket.to_owned(), prefix, account: None, endpoint: None, allow_http: false };
        let mut known: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if known.contains(&name.to_string()) {
                return Err(refused(format!("`{name}` is there twice; keep one")));
            }
            if value.is_empty() {
                return Err(refused(format!("`{name}` has no value; give it one or leave it out")));
            }
            match (&*name, service) {
                ("account", Service::Azure) => url.account = Some(checked_account(&value)?),
                ("endpoint", _) => url.endpoint = Some(normalised(&value)?),
                ("allow_http", _) if value == "yes" => url.allow_http = true,
                ("allow_http", _) => return Err(refused("`allow_http` is `yes`, or is left out")),
                _ => return Err(unknown(&name)),
            }
            known.push(name.into_owned());
        }
        match &url.endpoint {
            Some(endpoint) => check_endpoint(endpoint, url.allow_http)?,
            None if url.allow_http => return Err(refused("`allow_http` is for an `endpoint`; the services speak TLS")),
            None => {}
        }
        Ok(url)
    }
}

/// The shortest text that says the same. It never holds credentials.
impl fmt::Display for CloudUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.service.scheme(), self.bucket)?;
        if let Some(prefix) = self.prefix.strip_suffix('/') {
            write!(f, "/{prefix}")?;
        }
        let parameters = [
            ("account", self.account.as_deref()),
            ("endpoint", self.endpoint.as_deref()),
            ("allow_http", self.allow_http.then_some("yes")),
        ];
        let there = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (number, (name, value)) in there.enumerate() {
            // No value has a sign in it that would need escaping: see the checks.
            write!(f, "{}{name}={value}", if number == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

fn refused(why: impl fmt::Display) -> BucketError {
    BucketError::new(Outcome::Refused, format!("not the URL of a bucket in a cloud: {why}"))
}

/// A name that nobody knows. Its value may be a secret.
fn unknown(name: &str) -> BucketError {
    refused(format!(
        "there is no parameter `{name}`; there are account (of az:// only), endpoint and allow_http, and credentials come \
         from where the service's tools look"
    ))
}

/// The rules of the service for names.
fn check_bucket(service: Service, bucket: &str) -> Result<(), BucketError> {
    let refuse = |why: &str| Err(refused(format!("{why}: bucket={bucket:?}")));
    let (longest, signs) = match service {
        Service::Azure => (63, "-"),
        Service::Google => (222, "-_."),
    };
    if !(3..=longest).contains(&bucket.len()) {
        return refuse(&format!("its name has 3 to {longest} letters"));
    }
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !bucket.bytes().all(|byte| is_plain(byte) || signs.contains(char::from(byte))) {
        return refuse(&format!("its name is of a-z 0-9 {signs}"));
    }
    let ends = [bucket.as_bytes()[0], bucket.as_bytes()[bucket.len() - 1]];
    if !ends.into_iter().all(is_plain) || bucket.contains("..") || (service == Service::Azure && bucket.contains("--"))
    {
        return refuse("its name begins and ends with a letter or digit, and has no two dots or hyphens in a row");
    }
    Ok(())
}

fn checked_account(account: &str) -> Result<String, BucketError> {
    let is_plain = account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if is_plain && (3..=24).contains(&account.len()) {
        return Ok(account.to_owned());
    }
    Err(refused(format!("`account` is 3 to 24 of a-z 0-9: account={account:?}")))
}

/// An endpoint as requests to it will begin, so that they can be told from others.
fn normalised(endpoint: &str) -> Result<String, BucketError> {
    let Ok(url) = Url::parse(endpoint) else {
        return Err(refused("`endpoint` is the address of a server, as in `https://storage.example.com`"));
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(refused("`endpoint` is an address alone; credentials come from where the service's tools look"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<(), BucketError> {
    let url = Url::parse(endpoint).map_err(|_| refused("`endpoint` names no host"))?;
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(refused("`endpoint` names no host")),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_http || is_loopback => Ok(()),
        "http" => Err(refused(format!(
            "plain HTTP would show everything to the network; use `https://`, or allow it with `allow_http=yes`: \
             endpoint={endpoint:?}"
        ))),
        _ => Err(refused(format!("`endpoint` begins with `https://` or `http://`: endpoint={endpoint:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(url: &str) -> String {
        url.parse::<CloudUrl>().map_or_else(|error| error.to_string(), |url| format!("taken: {url}"))
    }

    #[test]
    fn a_url_names_bucket_prefix_and_server_and_is_written_as_it_is_read() {
        for text in [
            "az://data",
            "gs://data",
            "gs://data.example.com/some/where",
            "az://data/some/where?account=acme",
            "az://data?account=acme&endpoint=http://127.0.0.1:1/acme",
            "gs://data?endpoint=http://10.0.0.1:1&allow_http=yes",
        ] {
            assert_eq!(text.parse::<CloudUrl>().unwrap().to_string(), text);
        }
        let url: CloudUrl = "az://data/some/where/?account=acme&endpoint=HTTP://LocalHost:80/acme/".parse().unwrap();
        assert_eq!((url.bucket(), url.prefix()), ("data", "some/where/"));
        assert_eq!(url.full("v1/log/a"), "some/where/v1/log/a");
        assert_eq!(url.endpoint(), Some("http://localhost/acme"));
    }

    #[test]
    fn what_is_no_bucket_is_refused_and_says_why() {
        for (url, why) in [
            ("data", "must begin with"),
            ("s3://data", "must begin with"),
            ("gs:///prefix", "3 to 222 letters"),
            ("az://ab", "3 to 63 letters"),
            ("gs://Data", "is of a-z"),
            ("az://da_ta", "is of a-z"),
            ("az://da--ta", "in a row"),
            ("gs://data.", "begins and ends"),
            ("gs://data:1/", "is of a-z"),
            ("gs://data/a b", "a prefix is"),
            ("gs://data/a//b", "a prefix is"),
            ("gs://data/a/../b", "a prefix is"),
            ("gs://data?account=acme", "no parameter `account`"),
            ("az://data?acount=acme", "no parameter `acount`"),
            ("az://data?account=acme&account=acme", "twice"),
            ("az://data?account=", "no value"),
            ("az://data?account=Acme", "3 to 24 of"),
            ("gs://data?endpoint=nowhere", "address of a server"),
            ("gs://data?endpoint=ftp://127.0.0.1", "begins with"),
            ("gs://data?endpoint=http://example.com", "plain HTTP"),
            ("gs://data?endpoint=http://127.0.0.1.example.com", "plain HTTP"),
            ("gs://data?allow_http=1", "is `yes`"),
            ("gs://data?allow_http=yes", "is for an `endpoint`"),
            ("gs://data#a", "%23"),
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
            assert!(says(url).starts_with("taken"), "{url}: {}", says(url));
        }
    }

    #[test]
    fn a_secret_in_a_url_is_refused_and_not_repeated() {
        for url in [
            "az://user:hunter2@data/prefix",
            "az://data?account=acme&sas_token=sv%3D2023%26sig%3Dhunter2",
            "az://data?account=acme&access_key=hunter2",
            "az://data?endpoint=https://acme.blob.core.windows.net?sig=hunter2",
            "gs://data?endpoint=https://user:hunter2@example.com",
        ] {
            assert!(says(url).contains("credentials"), "{}", says(url));
            assert!(!says(url).contains("hunter2"), "{}", says(url));
        }
    }

    #[test]
    fn what_lies_in_another_overlaps_it() {
        let overlaps = |one: &str, other: &str| {
            let (one, other): (CloudUrl, CloudUrl) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.overlaps(&other), other.overlaps(&one));
            one.overlaps(&other)
        };
        assert!(overlaps("gs://data", "gs://data/a"));
        assert!(overlaps("gs://data/a", "gs://data/a/"));
        assert!(!overlaps("gs://data/a", "gs://data/a-"));
        assert!(!overlaps("gs://data", "az://data"));
        assert!(!overlaps("az://data?account=one", "az://data?account=two"));
    }
}
