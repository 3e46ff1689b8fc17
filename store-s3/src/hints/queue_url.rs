//! Where a queue is, in one line: `https://sqs.eu-west-1.amazonaws.com/123456789012/likes-eu` or
//! `sqs://likes-eu?region=eu-west-1`.

use core::{fmt, str::FromStr};

use replica::ports::{BucketError, Outcome};
use url::{Url, form_urlencoded};

use crate::url::is_loopback;

/// A queue on SQS, or on what speaks its protocol.
///
/// ```
/// # use store_s3::QueueUrl;
/// let url: QueueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/likes-eu".parse()?;
/// assert_eq!((url.name(), url.region(), url.account()), ("likes-eu", "eu-west-1", Some("123456789012")));
/// let url: QueueUrl = "sqs://likes-eu?region=eu-west-1".parse()?;
/// assert_eq!((url.name(), url.region(), url.account()), ("likes-eu", "eu-west-1", None));
/// # Ok::<(), replica::ports::BucketError>(())
/// ```
///
/// The first form is what SQS calls the queue. The second names it, and SQS is asked for the address once, which takes
/// the permission `sqs:GetQueueUrl`. After either come any of these, each at most once:
///
/// | parameter | meaning | without it |
/// |---|---|---|
/// | `region` | the region of AWS | that in the address; needed where none is in it |
/// | `account` | the account that owns the queue, 12 digits | that in the address, or the reader's own |
/// | `endpoint` | the address of a service that is not AWS | AWS, or that of the first form |
/// | `profile` | the profile of the AWS configuration that has the credentials | what the AWS chain says |
/// | `allow_http` | `yes`: send plain HTTP beyond this machine | only to a loopback address |
///
/// Credentials are not among them. They come from the usual chain of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUrl {
    name: String,
    region: String,
    account: Option<String>,
    /// What SQS calls the queue, if that was said.
    address: Option<String>,
    endpoint: Option<String>,
    profile: Option<String>,
    allow_http: bool,
}

impl QueueUrl {
    /// The name of the queue.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region it is in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account that owns it, if the URL names one.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The address of the service, if it is not AWS.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The profile with the credentials, if the URL names one.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    pub(super) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Another queue of the same service.
    pub(super) fn neighbour(&self, name: &str, account: &str) -> Result<Self, BucketError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), account: Some(account.to_owned()), address: None, ..self.clone() })
    }
}

/// # Errors
///
/// `Refused`, with what is wrong and what to write instead. A URL that holds credentials is not repeated.
impl FromStr for QueueUrl {
    type Err = BucketError;

    fn from_str(text: &str) -> Result<Self, BucketError> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        if place.contains('@') {
            return Err(refused("it holds credentials; leave them out, they come from the usual chain of AWS"));
        }
        let mut parameters = Parameters::read(query)?;
        let mut url = match place.strip_prefix("sqs://") {
            Some(name) => Self {
                name: name.to_owned(),
                region: String::new(),
                account: None,
                address: None,
                endpoint: None,
                profile: None,
                allow_http: false,
            },
            None => addressed(place)?,
        };
        check_name(&url.name)?;
        url.allow_http = parameters.is_yes("allow_http")?;
        url.profile = parameters.take("profile");
        url.endpoint = parameters.take("endpoint").or(url.endpoint);
        url.account = parameters.take("account").or(url.account);
        url.region = parameters.take("region").unwrap_or(url.region);
        parameters.end()?;
        if url.region.is_empty() {
            return Err(refused("no region can be seen in it; add `?region=`, as in `?region=eu-west-1`"));
        }
        if !url.region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err(refused(format!("`region` is of a-z 0-9 -, as in `eu-west-1`: region={:?}", url.region)));
        }
        if let Some(account) = &url.account
            && !is_account(account)
        {
            return Err(refused(format!("`account` is the number of an AWS account, 12 digits: account={account:?}")));
        }
        if let Some(endpoint) = &url.endpoint {
            check_endpoint(endpoint, url.allow_http)?;
        } else if url.allow_http {
            return Err(refused("`allow_http` is for an `endpoint`; AWS is reached over TLS"));
        }
        Ok(url)
    }
}

/// The shortest text that says the same. It never holds credentials.
impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_own, is_said) = match &self.address {
            Some(address) => {
                f.write_str(address)?;
                (addressed(address).ok(), true)
            }
            None => {
                write!(f, "sqs://{}", self.name)?;
                (None, false)
            }
        };
        let implied = is_own.as_ref();
        let parameters = [
            ("region", Some(&self.region), implied.map(|url| &url.region)),
            ("account", self.account.as_ref(), implied.and_then(|url| url.account.as_ref())),
            ("endpoint", self.endpoint.as_ref(), implied.and_then(|url| url.endpoint.as_ref())),
            ("profile", self.profile.as_ref(), None),
        ];
        let mut written = form_urlencoded::Serializer::new(String::new());
        for (name, value, implied) in parameters {
            if let Some(value) = value
                && !(is_said && implied == Some(value))
            {
                written.append_pair(name, value);
            }
        }
        if self.allow_http {
            written.append_pair("allow_http", "yes");
        }
        match written.finish() {
            none if none.is_empty() => Ok(()),
            written => write!(f, "?{written}"),
        }
    }
}

/// What the address says that SQS gives to a queue: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, or that on another
/// host.
fn addressed(address: &str) -> Result<QueueUrl, BucketError> {
    let shape = "it is `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME` or `sqs://NAME?region=REGION`";
    let url = Url::parse(address).map_err(|_| refused(shape))?;
    let (Some(host), "https" | "http") = (url.host_str(), url.scheme()) else { return Err(refused(shape)) };
    let mut folders: Vec<&str> = url.path().split('/').filter(|folder| !folder.is_empty()).collect();
    let Some(name) = folders.pop() else { return Err(refused(format!("it names no queue: {shape}"))) };
    let account = folders.pop().filter(|account| is_account(account));
    let region = ["sqs.", "sqs-fips."].iter().find_map(|service| host.strip_prefix(service)).and_then(|rest| {
        let region = rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"));
        region.filter(|region| !region.contains('.'))
    });
    let is_aws = region.is_some() && url.scheme() == "https" && url.port().is_none();
    Ok(QueueUrl {
        name: name.to_owned(),
        region: region.unwrap_or_default().to_owned(),
        account: account.map(str::to_owned),
        address: Some(address.to_owned()),
        endpoint: (!is_aws).then(|| url.origin().ascii_serialization()),
        profile: None,
        allow_http: false,
    })
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_name(name: &str) -> Result<(), BucketError> {
    if name.ends_with(".fifo") {
        return Err(refused("S3 tells nothing to a FIFO queue; take a standard one"));
    }
    if (1..=80).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return Ok(());
    }
    Err(refused(format!("the name of a queue is 1 to 80 of A-Z a-z 0-9 - _: name={name:?}")))
}

fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<(), BucketError> {
    let Ok(url) = Url::parse(endpoint) else {
        return Err(refused("`endpoint` is the address of a service, as in `https://sqs.example.com`"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("`endpoint` holds credentials; leave them out, they come from the usual chain of AWS"));
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

fn refused(why: impl fmt::Display) -> BucketError {
    BucketError::new(Outcome::Refused, format!("not the URL of a queue on SQS: {why}"))
}

/// What stands behind the `?`.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(query: &str) -> Result<Self, BucketError> {
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if read.iter().any(|(known, _)| *known == name) {
                return Err(refused(format!("`{name}` is there twice; keep one")));
            }
            if value.is_empty() {
                return Err(refused(format!("`{name}` has no value; give it one or leave it out")));
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(read))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn is_yes(&mut self, name: &str) -> Result<bool, BucketError> {
        match self.take(name).as_deref() {
            None => Ok(false),
            Some("yes") => Ok(true),
            Some(other) => Err(refused(format!("`{name}` is `yes` or left out: {name}={other:?}"))),
        }
    }

    /// Whatever is left is unknown. It may be a secret, so its value is not repeated.
    fn end(self) -> Result<(), BucketError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(refused(format!(
                "there is no parameter `{name}`; there are region, account, endpoint, profile and allow_http, and credentials \
                 come from the usual chain of AWS"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> QueueUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn says(text: &str) -> String {
        text.parse::<QueueUrl>().expect_err(text).to_string()
    }

    #[test]
    fn both_forms_say_where_the_queue_is() {
        let url = parsed("https://sqs.eu-west-1.amazonaws.com/123456789012/likes");
        assert_eq!(
            (url.name(), url.region(), url.account(), url.endpoint()),
            ("likes", "eu-west-1", Some("123456789012"), None)
        );
        let url = parsed("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/likes");
        assert_eq!((url.region(), url.endpoint()), ("cn-north-1", None));
        let url = parsed("http://127.0.0.1:5003/123456789012/likes?region=us-east-1");
        assert_eq!((url.region(), url.endpoint()), ("us-east-1", Some("http://127.0.0.1:5003")));
        let url = parsed("https://vpce-1a.sqs.eu-west-1.vpce.amazonaws.com/123456789012/likes?region=eu-west-1");
        assert_eq!(url.endpoint(), Some("https://vpce-1a.sqs.eu-west-1.vpce.amazonaws.com"));
        let url =
            parsed("sqs://likes?region=us-east-1&endpoint=http://127.0.0.1:5003&profile=dev&account=123456789012");
        assert_eq!((url.endpoint(), url.profile()), (Some("http://127.0.0.1:5003"), Some("dev")));
    }

    #[test]
    fn what_is_printed_says_the_same() {
        for text in [
            "https://sqs.eu-west-1.amazonaws.com/123456789012/likes",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/likes?profile=dev",
            "sqs://likes?region=eu-west-1",
            "sqs://likes?region=eu-west-1&account=123456789012&profile=a%26b",
            "http://127.0.0.1:5003/123456789012/likes?region=us-east-1",
            "sqs://likes?region=eu-west-1&endpoint=http%3A%2F%2Fqueue.example&allow_http=yes",
        ] {
            assert_eq!(parsed(text).to_string(), text);
            assert_eq!(parsed(&parsed(text).to_string()), parsed(text));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        for (text, part) in [
            ("likes", "it is `https://sqs.REGION"),
            ("ftp://a/b/c", "it is `https://sqs.REGION"),
            ("https://sqs.eu-west-1.amazonaws.com/", "names no queue"),
            ("sqs://likes", "add `?region=`"),
            ("http://127.0.0.1:1/123456789012/likes", "add `?region=`"),
            ("sqs://likes.fifo?region=eu-west-1", "FIFO"),
            ("sqs://li kes?region=eu-west-1", "1 to 80"),
            ("sqs://likes?region=EU", "`region` is of a-z"),
            ("sqs://likes?region=eu-west-1&account=12", "12 digits"),
            ("sqs://likes?region=a&region=b", "twice"),
            ("sqs://likes?region=", "no value"),
            ("sqs://likes?region=eu-west-1&endpoint=http://queue.example", "allow_http=yes"),
            ("sqs://likes?region=eu-west-1&endpoint=ftp://a", "begins with"),
            ("sqs://likes?region=eu-west-1&allow_http=yes", "AWS is reached over TLS"),
            ("http://queue.example/123456789012/likes?region=eu-west-1", "allow_http=yes"),
        ] {
            assert!(says(text).contains(part), "{text}: {}", says(text));
        }
    }

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        for text in [
            "sqs://key:hidden@likes?region=eu-west-1",
            "sqs://likes?region=eu-west-1&secret_access_key=hidden",
            "sqs://likes?region=eu-west-1&endpoint=https://key:hidden@a",
        ] {
            assert!(says(text).contains("usual chain of AWS") && !says(text).contains("hidden"), "{}", says(text));
        }
    }
}
