//! Signatures of version 4, for the services beside S3.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hyper::{Request, header::AUTHORIZATION};
use sha2::{Digest, Sha256};

use crate::{
    bucket::hex,
    cloud::Cloud,
    time::{milliseconds, now, signed_at},
};

/// By how much clocks may differ.
const SKEW_SECONDS_MAX: u64 = 900;

/// Who signed a request, and for which region.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signer {
    pub(crate) name: String,
    pub(crate) region: String,
}

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disbelief {
    /// It is not signed.
    Missing,
    /// Nobody has this access key.
    Unknown,
    /// It is signed with another secret, or it was changed on its way.
    Wrong,
    /// The clocks differ.
    Skewed,
}

/// Who signed a request for this service.
pub(crate) fn signer(cloud: &Cloud, service: &str, request: &Request<Bytes>) -> Result<Signer, Disbelief> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let header = text(AUTHORIZATION.as_str()).and_then(|header| header.strip_prefix("AWS4-HMAC-SHA256 "));
    let field = |name: &str| header?.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let (Some(credential), Some(names), Some(signature), Some(date)) =
        (field("Credential"), field("SignedHeaders"), field("Signature"), text("x-amz-date"))
    else {
        return Err(Disbelief::Missing);
    };
    let scope: Vec<&str> = credential.split('/').collect();
    let [access_key, day, region, signed_service, "aws4_request"] = scope[..] else { return Err(Disbelief::Missing) };
    let (name, secret) = cloud.holder_of(access_key).ok_or(Disbelief::Unknown)?;
    let signed = signed_at(date).ok_or(Disbelief::Missing)?;
    if signed.abs_diff(milliseconds(now()) / 1_000) > SKEW_SECONDS_MAX {
        return Err(Disbelief::Skewed);
    }
    let mut query: Vec<&str> = request.uri().query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let lines: Option<String> = names.split(';').map(|name| Some(format!("{name}:{}\n", text(name)?.trim()))).collect();
    let lines = lines.ok_or(Disbelief::Wrong)?;
    let digest = hex(&Sha256::digest(request.body()));
    let (method, path, query) = (request.method(), request.uri().path(), query.join("&"));
    let canonical = hex(&Sha256::digest(format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}")));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{day}/{region}/{service}/aws4_request\n{canonical}");
    let key = format!("AWS4{secret}").into_bytes();
    let key = [day, region, service, "aws4_request"].iter().fold(key, |key, part| mac(&key, part));
    let is_right = date.starts_with(day) && signed_service == service && names.split(';').any(|name| name == "host");
    if !is_right || hex(&mac(&key, &to_sign)) != signature {
        return Err(Disbelief::Wrong);
    }
    Ok(Signer { name, region: region.to_owned() })
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Bytes in base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let joined = three.iter().fold(0_usize, |joined, byte| (joined << 8) | usize::from(*byte));
        let joined = joined << (8 * (3 - three.len()));
        for place in 0..4 {
            let sign = if place > three.len() { b'=' } else { SIGNS[(joined >> (18 - 6 * place)) & 63] };
            text.push(char::from(sign));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648.
    #[test]
    fn base64_is_that_of_the_rfc() {
        let table =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in table {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
