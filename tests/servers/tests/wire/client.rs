//! A client that is none of the servers' own: plain sockets, and signatures made from the document of AWS.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use servers::Keys;
use sha2::{Digest, Sha256};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) service: &'static str,
    pub(crate) region: String,
    pub(crate) method: &'static str,
    /// Percent-encoded, as is the query.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Seconds by which the clock of the client is ahead.
    pub(crate) skew: i64,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What stands between the first `<name>` and its end.
    pub(crate) fn xml(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    }

    /// All that stand so.
    pub(crate) fn xmls(&self, name: &str) -> Vec<String> {
        let (text, opens, closes) = (self.text(), format!("<{name}>"), format!("</{name}>"));
        let parts = text.split(&opens).skip(1);
        parts.filter_map(|rest| Some(rest.split_once(&closes)?.0.to_owned())).collect()
    }
}

impl Request {
    pub(crate) fn s3(method: &'static str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        };
        Self {
            service: "s3",
            region: "eu-west-1".to_owned(),
            method,
            path: path.to_owned(),
            query: query.split('&').filter(|part| !part.is_empty()).map(pair).collect(),
            headers: Vec::new(),
            body: Vec::new(),
            skew: 0,
        }
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    /// Sends it on a connection of its own, and reads to the end.
    pub(crate) fn send(&self, address: SocketAddr, keys: &Keys) -> io::Result<Reply> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(&self.signed(address, keys))?;
        let mut bytes = Vec::new();
        let mut piece = [0; 65_536];
        loop {
            let read = stream.read(&mut piece)?;
            bytes.extend_from_slice(&piece[..read]);
            let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            };
            let reply = parsed(&bytes, at);
            let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a number"));
            if self.method == "HEAD" || reply.status == 304 || reply.body.len() >= length {
                return Ok(reply);
            }
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn signed(&self, address: SocketAddr, keys: &Keys) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        let date = amz_date(now.saturating_add_signed(self.skew));
        let day = &date[..8];
        let digest = hex(&Sha256::digest(&self.body));
        let mut headers = self.headers.clone();
        headers.push(("host".to_owned(), address.to_string()));
        headers.push(("x-amz-date".to_owned(), date.clone()));
        if self.service == "s3" {
            headers.push(("x-amz-content-sha256".to_owned(), digest.clone()));
        }
        headers.sort();
        let mut query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        query.sort();
        let query = query.join("&");
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{}\n{}\n{query}\n{lines}\n{names}\n{digest}", self.method, self.path);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let mut key = format!("AWS4{}", keys.secret_key).into_bytes();
        for part in [day, &self.region, self.service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        let signature = hex(&mac(&key, to_sign.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            keys.access_key
        );
        let target = if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) };
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = self.body.len();
        let head = format!(
            "{} {target} HTTP/1.1\r\n{lines}authorization: {authorization}\r\ncontent-length: {length}\r\n\r\n",
            self.method
        );
        [head.into_bytes(), self.body.clone()].concat()
    }
}

fn parsed(bytes: &[u8], at: usize) -> Reply {
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header has a colon");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let (headers, body) = (lines.map(header).collect(), bytes[at + 4..].to_vec());
    Reply { status: status.expect("there is a status"), headers, body }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Days to dates, after Hinnant's `civil_from_days`.
fn amz_date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}
