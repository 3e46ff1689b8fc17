//! Where a bucket is and how it is used, in one line: `s3://bucket/prefix?region=eu-west-1`.

use core::{fmt, str::FromStr};
use std::net::IpAddr;

use replica::ports::{BucketError, Outcome, own_prefix};
use url::{Host, Url, form_urlencoded};

/// A bucket on S3, or on what speaks its protocol.
///
/// ```
/// # use store_s3::S3Url;
/// let url: S3Url = "s3://likes-eu/production?region=eu-west-1".parse()?;
/// assert_eq!((url.bucket(), url.prefix(), url.region()), ("likes-eu", "production/", Some("eu-west-1")));
/// # Ok::<(), replica::ports::BucketError>(())
/// ```
///
/// After the bucket comes the prefix under which all keys lie, of `A-Z a-z 0-9 . _ - /` and at most [`PREFIX_BYTES_MAX`](replica::ports::PREFIX_BYTES_MAX)
/// bytes. Then come any of these, each at most once, with `%` before the two digits of what a URL cannot hold:
///
/// | parameter | meaning | without it |
/// |---|---|---|
/// | `region` | the region of AWS | what the AWS chain says; with an endpoint `us-east-1` |
/// | `endpoint` | the address of a store that is not AWS | AWS |
/// | `profile` | the profile of the AWS configuration that has the credentials | what the AWS chain says |
/// | `style` | `path` or `virtual`: where a request names the bucket | `virtual` on AWS, `path` with an endpoint |
/// | `checksum` | `crc64nvme`, `crc32` or `none`; `auto` is the default | CRC64NVME on AWS, CRC32 with an endpoint |
/// | `sse` | `AES256` or `aws:kms`: how objects are encrypted | as the bucket's default has it |
/// | `kms_key` | the key of `sse=aws:kms` | the account's key for S3 |
/// | `storage_class` | one that is read at once, such as `STANDARD_IA` | `STANDARD` |
/// | `owner` | the AWS account that must own the bucket, 12 digits | whoever owns it |
/// | `allow_http` | `yes`: send plain HTTP beyond this machine | only to a loopback address |
///
/// Credentials are not among them. They come from the usual chain of AWS: the environment, the files of configuration,
/// web identity, and the metadata of containers and machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Url {
    bucket: String,
    prefix: String,
    region: Option<String>,
    endpoint: Option<String>,
    profile: Option<String>,
    style: Option<Style>,
    checksum: Option<Checksum>,
    encryption: Option<Encryption>,
    storage_class: Option<String>,
    owner: Option<String>,
    allow_http: bool,
}

/// Where a request names the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// In the path.
    Path,
    /// In the host.
    Virtual,
}

/// The checksum that goes with an object, beside the hash in its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Crc64Nvme,
    Crc32,
    None,
}

/// How objects are encrypted where they lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// With keys of S3.
    S3,
    /// With a key of KMS; without a name the account's own for S3.
    Kms(Option<String>),
}

/// The classes whose objects are read at once. The others would have to be restored first.
const STORAGE_CLASSES: [&str; 6] =
    ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"];

impl S3Url {
    /// The name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What all keys begin with: empty, or ending with `/`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The region, if the URL names one.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The address of the store, if it is not AWS.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The profile with the credentials, if the URL names one.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The account that must own the bucket, if the URL names one.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Whether plain HTTP may leave this machine.
    #[must_use]
    pub fn allows_http(&self) -> bool {
        self.allow_http
    }

    pub(crate) fn style(&self) -> Style {
        self.style.unwrap_or(if self.endpoint.is_some() { Style::Path } else { Style::Virtual })
    }

    pub(crate) fn checksum(&self) -> Checksum {
        self.checksum.unwrap_or(if self.endpoint.is_some() { Checksum::Crc32 } else { Checksum::Crc64Nvme })
    }

    pub(crate) fn encryption(&self) -> Option<&Encryption> {
        self.encryption.as_ref()
    }

    /// Whether objects are encrypted with a key of KMS.
    #[cfg(feature = "provision")]
    pub(crate) fn is_kms(&self) -> bool {
        matches!(self.encryption, Some(Encryption::Kms(_)))
    }

    /// The key of KMS, if the URL names one.
    #[cfg(feature = "provision")]
    pub(crate) fn kms_key(&self) -> Option<&str> {
        match &self.encryption {
            Some(Encryption::Kms(key)) => key.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn storage_class(&self) -> Option<&str> {
        self.storage_class.as_deref()
    }
}

/// # Errors
///
/// `Refused`, with what is wrong and what to write instead. A URL that holds credentials is not repeated.
impl FromStr for S3Url {
    type Err = BucketError;

    fn from_str(text: &str) -> Result<Self, BucketError> {
        let rest = text.strip_prefix("s3://").ok_or_else(|| refused("it must begin with `s3://`"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if place.contains('@') {
            return Err(refused("it holds credentials; leave them out, they come from the usual chain of AWS"));
        }
        if text.contains('#') {
            return Err(refused("write `%23` for `#`"));
        }
        check_bucket(bucket)?;
        let mut url = Self {
            bucket: bucket.to_owned(),
            prefix: own_prefix(prefix).map_err(refused)?,
            region: None,
            endpoint: None,
            profile: None,
            style: None,
            checksum: None,
            encryption: None,
            storage_class: None,
            owner: None,
            allow_http: false,
        };
        let mut parameters = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(refused(format!("`{name}` is there twice; keep one")));
            }
            if value.is_empty() {
                return Err(refused(format!("`{name}` has no value; give it one or leave it out")));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        let mut kms_key = None;
        for (name, value) in parameters {
            match name.as_str() {
                "region" => url.region = Some(checked_region(value)?),
                "endpoint" => url.endpoint = Some(value),
                "profile" => url.profile = Some(value),
                "style" => {
                    url.style = Some(one_of(&name, &value, &[("path", Style::Path), ("virtual", Style::Virtual)])?);
                }
                "checksum" => url.checksum = checked_checksum(&value)?,
                "sse" => url.encryption = Some(checked_encryption(&value)?),
                "kms_key" => kms_key = Some(value),
                "storage_class" => url.storage_class = Some(checked_storage_class(value)?),
                "owner" => url.owner = Some(checked_owner(value)?),
                "allow_http" => url.allow_http = one_of(&name, &value, &[("yes", true)])?,
                _ => return Err(unknown(&name)),
            }
        }
        match (&mut url.encryption, kms_key) {
            (_, None) => {}
            (Some(Encryption::Kms(key)), Some(named)) => *key = Some(named),
            (_, Some(_)) => return Err(refused("`kms_key` needs `sse=aws:kms`")),
        }
        match (&url.endpoint, url.allow_http) {
            (Some(endpoint), allow_http) => check_endpoint(endpoint, allow_http)?,
            (None, true) => return Err(refused("`allow_http` is for an `endpoint`; AWS is reached over TLS")),
            (None, false) => {}
        }
        Ok(url)
    }
}

/// The shortest text that says the same. It never holds credentials.
impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if let Some(prefix) = self.prefix.strip_suffix('/') {
            write!(f, "/{prefix}")?;
        }
        let style = self.style.map(|style| match style {
            Style::Path => "path",
            Style::Virtual => "virtual",
        });
        let checksum = self.checksum.map(|checksum| match checksum {
            Checksum::Crc64Nvme => "crc64nvme",
            Checksum::Crc32 => "crc32",
            Checksum::None => "none",
        });
        let (encryption, kms_key) = match &self.encryption {
            None => (None, None),
            Some(Encryption::S3) => (Some("AES256"), None),
            Some(Encryption::Kms(key)) => (Some("aws:kms"), key.as_deref()),
        };
        let parameters = [
            ("region", self.region()),
            ("endpoint", self.endpoint()),
            ("profile", self.profile()),
            ("style", style),
            ("checksum", checksum),
            ("sse", encryption),
            ("kms_key", kms_key),
            ("storage_class", self.storage_class()),
            ("owner", self.owner()),
            ("allow_http", self.allow_http.then_some("yes")),
        ];
        let there = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (number, (name, value)) in there.enumerate() {
            write!(f, "{}{name}=", if number == 0 { '?' } else { '&' })?;
            for &byte in value.as_bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b':' | b'/' => {
                        write!(f, "{}", char::from(byte))?;
                    }
                    _ => write!(f, "%{byte:02X}")?,
                }
            }
        }
        Ok(())
    }
}

fn refused(why: impl fmt::Display) -> BucketError {
    BucketError::new(Outcome::Refused, format!("not the URL of a bucket on S3: {why}"))
}

/// A name that nobody knows. What looks like a secret is answered with where secrets belong.
fn unknown(name: &str) -> BucketError {
    let lower = name.to_ascii_lowercase();
    if ["secret", "password", "token", "credential", "access_key", "accesskey"].iter().any(|word| lower.contains(word))
    {
        return refused(format!("`{name}` has no place in it; credentials come from the usual chain of AWS"));
    }
    refused(format!(
        "there is no parameter `{name}`; there are region, endpoint, profile, style, checksum, sse, kms_key, \
         storage_class, owner and allow_http"
    ))
}

fn one_of<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, BucketError> {
    choices.iter().find(|(choice, _)| *choice == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let choices: Vec<_> = choices.iter().map(|(choice, _)| format!("`{choice}`")).collect();
        refused(format!("`{name}` is {}: {name}={value:?}", choices.join(" or ")))
    })
}

/// The rules of S3 for names, and what a log cannot lie in.
fn check_bucket(bucket: &str) -> Result<(), BucketError> {
    let refuse = |why: &str| Err(refused(format!("{why}: bucket={bucket:?}")));
    if !(3..=63).contains(&bucket.len()) {
        return refuse("the name of a bucket has 3 to 63 letters");
    }
    if !bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')) {
        return refuse("the name of a bucket is of a-z 0-9 - .");
    }
    let ends = [bucket.as_bytes()[0], bucket.as_bytes()[bucket.len() - 1]];
    if ends.iter().any(|byte| !byte.is_ascii_alphanumeric()) || bucket.contains("..") {
        return refuse("the name of a bucket begins and ends with a letter or digit, and has no two dots in a row");
    }
    if bucket.parse::<IpAddr>().is_ok() {
        return refuse("the name of a bucket is no address");
    }
    if bucket.ends_with("--x-s3") {
        return refuse(
            "a directory bucket cannot hold a log, since its lists are in no order; take a general purpose one",
        );
    }
    Ok(())
}

fn checked_region(region: String) -> Result<String, BucketError> {
    if region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Ok(region);
    }
    Err(refused(format!("`region` is of a-z 0-9 -, as in `eu-west-1`: region={region:?}")))
}

fn checked_checksum(checksum: &str) -> Result<Option<Checksum>, BucketError> {
    let choices = [
        ("auto", None),
        ("crc64nvme", Some(Checksum::Crc64Nvme)),
        ("crc32", Some(Checksum::Crc32)),
        ("none", Some(Checksum::None)),
    ];
    one_of("checksum", checksum, &choices)
}

fn checked_encryption(sse: &str) -> Result<Encryption, BucketError> {
    match sse {
        "AES256" => Ok(Encryption::S3),
        "aws:kms" => Ok(Encryption::Kms(None)),
        _ => Err(refused(format!("`sse` is `AES256` or `aws:kms`: sse={sse:?}"))),
    }
}

fn checked_storage_class(class: String) -> Result<String, BucketError> {
    if STORAGE_CLASSES.contains(&class.as_str()) {
        return Ok(class);
    }
    let classes = STORAGE_CLASSES.join(", ");
    Err(refused(format!("`storage_class` is one that is read at once, of {classes}: storage_class={class:?}")))
}

fn checked_owner(owner: String) -> Result<String, BucketError> {
    if owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(owner);
    }
    Err(refused(format!("`owner` is the number of an AWS account, 12 digits: owner={owner:?}")))
}

fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<(), BucketError> {
    let Ok(url) = Url::parse(endpoint) else {
        return Err(refused("`endpoint` is the address of a store, as in `https://s3.example.com`"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("`endpoint` holds credentials; leave them out, they come from the usual chain of AWS"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused(format!("`endpoint` has no parameters of its own: endpoint={endpoint:?}")));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_http || is_loopback(&url) => Ok(()),
        "http" => Err(refused(format!(
            "plain HTTP would show everything to the network; use `https://`, or allow it with `allow_http=yes`: \
             endpoint={endpoint:?}"
        ))),
        _ => Err(refused(format!("`endpoint` begins with `https://` or `http://`: endpoint={endpoint:?}"))),
    }
}

/// Whether the host is this machine: what goes there is seen by nobody else.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
