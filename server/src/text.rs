//! What the address of a request says: a path, and parameters. Whatever is not exactly one of those is refused.
//! Layer 1.

use std::collections::BTreeMap;

use axum::http::Uri;
use core::{ops::RangeInclusive, str::FromStr};

use replica::{Kind, key::check_path};

use crate::{problem::Problem, routes::OBJECTS};

/// The path of an object that an address names. `%2F` is a `/` like any other, and `..` means nothing.
pub(crate) fn path_of(uri: &Uri) -> Result<String, Problem> {
    let path = decoded(uri.path().strip_prefix(OBJECTS).unwrap_or_default(), false)?;
    check_path(&path).map_err(|invalid| Problem::invalid(invalid.to_string()))?;
    Ok(path)
}

/// Text without its percent signs, and in a query its plus signs.
pub(crate) fn decoded(text: &str, is_query: bool) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' if is_query => bytes.push(b' '),
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(Problem::invalid("behind a % in the address stand two hexadecimal digits"));
                };
                bytes.push((high << 4 | low) as u8);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::invalid("the address is not UTF-8"))
}

/// The parameters of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Those of `known` that stand in an address. None stands twice, and no other one is there.
    pub(crate) fn read(uri: &Uri, known: &[&'static str]) -> Result<Self, Problem> {
        let mut found = BTreeMap::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name, true)?;
            let Some(name) = known.iter().find(|known| **known == name) else {
                let says = match known {
                    [] => "this request takes no parameters".to_owned(),
                    known => format!("an unknown parameter; there are {}", known.join(", ")),
                };
                return Err(Problem::invalid(says));
            };
            if found.insert(*name, decoded(value, true)?).is_some() {
                return Err(Problem::invalid(format!("the parameter {name} stands twice")));
            }
        }
        Ok(Self(found))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that has to be there.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Problem> {
        self.text(name).ok_or_else(|| Problem::invalid(format!("the parameter {name} is missing")))
    }

    /// A path that has to be there.
    pub(crate) fn path(&self, name: &str) -> Result<&str, Problem> {
        let path = self.needed(name)?;
        check_path(path).map_err(|invalid| Problem::invalid(format!("{name}: {invalid}")))?;
        Ok(path)
    }

    /// What paths begin with: nothing, or what a path can begin with.
    pub(crate) fn prefix(&self) -> Result<&str, Problem> {
        let prefix = self.text("prefix").unwrap_or_default();
        if !prefix.is_empty() {
            check_path(prefix).map_err(|invalid| Problem::invalid(format!("prefix: {invalid}")))?;
        }
        Ok(prefix)
    }

    pub(crate) fn number(&self, name: &str, default: usize, range: RangeInclusive<usize>) -> Result<usize, Problem> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        number
            .and_then(|text| text.parse().ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| Problem::invalid(format!("{name} is a number from {} to {}", range.start(), range.end())))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid(format!("{name} is true or false"))),
        }
    }

    pub(crate) fn kind(&self) -> Result<Option<Kind>, Problem> {
        let kind = self.text("kind").map(Kind::from_str).transpose();
        kind.map_err(|unknown| Problem::invalid(unknown.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_is_what_stands_there_and_nothing_is_resolved() {
        let path = |text: &str| path_of(&uri(&format!("/v1/objects/{text}")));
        for (text, is) in [
            ("a/b", "a/b"),
            ("a%2Fb", "a/b"),
            ("../../etc/passwd", "../../etc/passwd"),
            ("%2e%2e/x", "../x"),
            ("/a//b/", "/a//b/"),
            ("gr%C3%BCn", "gr\u{fc}n"),
            ("a+b", "a+b"),
            ("a%25b", "a%b"),
        ] {
            assert_eq!(path(text), Ok(is.to_owned()));
        }
        for text in
            ["", "%00", "a%0Ab", "a%", "a%4", "a%4g", "%+4", "%ff", "%C3", &"x".repeat(1_025), &"%61".repeat(1_025)]
        {
            assert_eq!(path(text).unwrap_err().status, 400, "{text}");
        }
        assert_eq!(path(&"%61".repeat(1_024)), Ok("a".repeat(1_024)));
    }

    #[test]
    fn parameters_are_known_and_stand_once() {
        let read = |text: &str| Parameters::read(&uri(&format!("/?{text}")), &["prefix", "n", "durable"]);
        let parameters = read("prefix=a+b%26&&n=10").unwrap();
        assert_eq!((parameters.text("prefix"), parameters.number("n", 1, 1..=10)), (Some("a b&"), Ok(10)));
        assert_eq!(parameters.flag("durable"), Ok(false));
        for wrong in ["m=1", "n=1&n=1", "n=%ff", "%=1"] {
            assert_eq!(read(wrong).unwrap_err().status, 400, "{wrong}");
        }
        for wrong in ["n=0", "n=11", "n=-1", "n=+1", "n=1.0", "n=", "n", "n=99999999999999999999999"] {
            assert!(read(wrong).unwrap().number("n", 1, 1..=10).is_err(), "{wrong}");
        }
        for wrong in ["durable=1", "durable=", "durable=TRUE"] {
            assert!(read(wrong).unwrap().flag("durable").is_err(), "{wrong}");
        }
    }

    quickcheck! {
        fn whatever_is_encoded_is_decoded(text: String) -> bool {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            decoded(&encoded, false) == Ok(text.clone()) && decoded(&encoded, true) == Ok(text)
        }

        fn no_text_is_too_strange(text: String, is_query: bool) -> bool {
            decoded(&text, is_query).is_ok_and(|decoded| decoded.len() <= text.len()) || text.contains('%')
        }
    }
}
