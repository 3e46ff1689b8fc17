//! JSON values as what sets contain and registers hold: for commands, files and HTTP, which know no types.
//! Layer 2.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    canonical,
    content::Content,
    error::{Error, ErrorKind},
};

/// Any JSON value. For whoever does not know what type is at a path: a command, an import, an HTTP API.
///
/// # Which bytes it becomes
///
/// What a typed handle would have written, as far as JSON can tell: text is its UTF-8, and everything else canonical JSON
/// ([`Content`]). Every sequence of bytes is a JSON value, and every value is bytes again, the same ones:
///
/// - Text that reads as other JSON, such as `7`, `true` or `[]`, is put in quotes, so the number 7 and the text `"7"` are
///   two things. Text that a typed handle wrote without quotes, and that reads so, is shown as what it reads as.
/// - Bytes that are not UTF-8 are shown as `{"$hex": "ff00"}`.
///
/// ```
/// # let replica = replica::blocking::Replica::open(replica::Replica::builder("eu", store_object::MemoryBucket::new()))?;
/// use replica::Json;
///
/// replica.or_set("carts/ada")?.add("lamp")?;
/// replica.or_set::<Json>("carts/ada")?.add(&Json(serde_json::json!({"sku": 7})))?;
/// let cart: Vec<_> = replica.or_set::<Json>("carts/ada")?.elements()?.into_iter().map(|element| element.0).collect();
/// assert_eq!(cart, [serde_json::json!("lamp"), serde_json::json!({"sku": 7})]);
/// # Ok::<(), replica::Error>(())
/// ```
///
/// # Limits
///
/// As for [`Content`]. A number beyond 64 bits is a floating-point number.
///
/// # Cost
///
/// Text is copied once. Other JSON is written once; to read it, it is parsed and written again.
#[derive(Clone, Debug, PartialEq)]
pub struct Json(pub Value);

/// The only key of an object that stands for bytes.
const HEX: &str = "$hex";

impl Content for Json {
    type Owned = Self;

    fn encode(&self) -> Result<Cow<'_, [u8]>, Error> {
        match &self.0 {
            Value::String(text) if is_plain(text) => Ok(Cow::Borrowed(text.as_bytes())),
            value => match bytes_of(value) {
                Some(bytes) => Ok(Cow::Owned(bytes)),
                None => canonical::encode(value)
                    .map(Cow::Owned)
                    .map_err(|error| Error::new(ErrorKind::Invalid, "a JSON value cannot be stored").caused_by(error)),
            },
        }
    }

    /// Never an error: every sequence of bytes is a value.
    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self(match str::from_utf8(bytes) {
            Ok(text) => read(text).unwrap_or_else(|| Value::String(text.to_owned())),
            Err(_) => {
                let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                Value::Object([(HEX.to_owned(), Value::String(hex))].into_iter().collect())
            }
        }))
    }
}

/// The value that is stored as this text, if it is another one than the text itself.
fn read(text: &str) -> Option<Value> {
    // Most text begins as no JSON does.
    if !text.starts_with(['{', '[', '"', '-', 't', 'f', 'n', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let is_it = match &value {
        // Quotes are taken off only where they had to be put on.
        Value::String(quoted) => !is_plain(quoted),
        value => bytes_of(value).is_none(),
    };
    (is_it && canonical::encode(&value).ok()? == text.as_bytes()).then_some(value)
}

/// True when text is stored as it is: when it would not be read as another value.
fn is_plain(text: &str) -> bool {
    read(text).is_none()
}

/// The bytes that a value stands for, if it stands for bytes that are not text.
fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let hex = object.get(HEX)?.as_str()?.as_bytes();
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = hex.as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes.filter(|bytes| str::from_utf8(bytes).is_err())
}

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen, quickcheck};
    use serde_json::json;

    use super::*;

    fn stored(value: &Value) -> Vec<u8> {
        Json(value.clone()).encode().unwrap().into_owned()
    }

    fn shown(bytes: &[u8]) -> Value {
        <Json as Content>::decode(bytes).unwrap().0
    }

    #[test]
    fn text_is_itself_unless_it_reads_as_something_else() {
        for (value, bytes) in [
            (json!("lamp"), &b"lamp"[..]),
            (json!(""), b""),
            (json!("true story"), b"true story"),
            (json!("07"), b"07"),
            (json!("{\"b\": 1}"), b"{\"b\": 1}"),
            (json!(7), b"7"),
            (json!("7"), b"\"7\""),
            (json!("\"7\""), b"\"\\\"7\\\"\""),
            (json!("\"lamp\""), b"\"lamp\""),
            (json!(null), b"null"),
            (json!("null"), b"\"null\""),
            (json!({"b": [1.5, true], "a": "x"}), b"{\"a\":\"x\",\"b\":[1.5,true]}"),
            (json!({"$hex": "ff00"}), b"\xff\0"),
            (json!({"$hex": "FF"}), b"{\"$hex\":\"FF\"}"),
            (json!({"$hex": "61"}), b"{\"$hex\":\"61\"}"),
            (json!("{\"$hex\":\"ff\"}"), b"{\"$hex\":\"ff\"}"),
        ] {
            assert_eq!(stored(&value), bytes, "{value}");
            assert_eq!(shown(bytes), value, "{value}");
        }
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        let deep = (0..101).fold(json!(0), |inner, _| json!([inner]));
        assert_eq!(Json(deep).encode().unwrap_err().kind(), ErrorKind::Invalid);
    }

    /// Text that looks like JSON, and JSON that looks like text.
    #[derive(Clone, Debug)]
    struct Any(Value);

    fn text(g: &mut Gen) -> String {
        const PIECES: [&str; 14] =
            ["\"", "\\", "7", "-", "[", "]", "{", "}", "true", "null", "{\"$hex\":\"ff\"}", ":", "lamp", "\u{e9}"];
        (0..usize::arbitrary(g) % 6).map(|_| *g.choose(&PIECES).unwrap()).collect()
    }

    fn value(g: &mut Gen, depth: usize) -> Value {
        match u8::arbitrary(g) % if depth == 0 { 6 } else { 9 } {
            0 => Value::Null,
            1 => json!(bool::arbitrary(g)),
            2 => json!(i64::arbitrary(g)),
            3 => json!(u64::arbitrary(g)),
            4 => json!(f64::from(i32::arbitrary(g)) / 64.0),
            5 => Value::String(text(g)),
            6 => (0..3).map(|_| value(g, depth - 1)).collect(),
            7 => Value::Object((0..2).map(|_| (text(g), value(g, depth - 1))).collect()),
            // The text of a value, which is another value.
            _ => Value::String(String::from_utf8(canonical::encode(&value(g, depth - 1)).unwrap()).unwrap()),
        }
    }

    impl Arbitrary for Any {
        fn arbitrary(g: &mut Gen) -> Self {
            Self(value(g, 3))
        }
    }

    quickcheck! {
        fn every_value_is_read_back(any: Any) -> bool {
            shown(&stored(&any.0)) == any.0
        }

        fn all_bytes_are_a_value_and_are_written_back(bytes: Vec<u8>, any: Any) -> bool {
            let text = text_of(&any.0);
            [&bytes[..], text.as_bytes()].iter().all(|bytes| stored(&shown(bytes)) == *bytes)
        }
    }

    fn text_of(value: &Value) -> String {
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }
}
