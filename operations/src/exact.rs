//! JSON that is kept as it stands: what would come back as another value is refused.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// A value in whose objects no key stands twice.
pub(crate) struct Exact(pub(crate) Value);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
                Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::String(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Value, E> {
                Ok(Value::String(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut array = Vec::new();
                while let Some(Exact(item)) = items.next_element()? {
                    array.push(item);
                }
                Ok(Value::Array(array))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                let mut object = Map::new();
                while let Some(key) = entries.next_key::<String>()? {
                    if object.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("an object has the key {key:?} twice")));
                    }
                    let Exact(value) = entries.next_value()?;
                    object.insert(key, value);
                }
                Ok(Value::Object(object))
            }
        }

        deserializer.deserialize_any(Any).map(Self)
    }
}

impl Exact {
    /// True when a floating-point number is in it: what was read may not be what stood there.
    pub(crate) fn has_float(&self) -> bool {
        has_float(&self.0)
    }
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(entries) => entries.values().any(has_float),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// The first number in a line of JSON that would come back as another one, and its column, counted from 1. A line that is not
/// JSON gives anything.
pub(crate) fn inexact(line: &[u8]) -> Option<(usize, &str)> {
    let mut place = 0;
    while let Some(byte) = line.get(place) {
        match byte {
            b'"' => place = behind_text(line, place),
            b'-' | b'0'..=b'9' => {
                let length = line[place..].iter().take_while(|byte| is_of_number(**byte)).count();
                let number = str::from_utf8(&line[place..place + length]).unwrap_or_default();
                if !is_exact(number) {
                    return Some((place + 1, number));
                }
                place += length;
            }
            _ => place += 1,
        }
    }
    None
}

/// Where the text ends that begins here.
fn behind_text(line: &[u8], mut place: usize) -> usize {
    place += 1;
    while let Some(byte) = line.get(place) {
        match byte {
            b'"' => return place + 1,
            b'\\' => place += 2,
            _ => place += 1,
        }
    }
    place
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
}

/// True for a whole number of 64 bits, and for what the nearest floating-point number says in its fewest digits. A negative
/// zero is kept as zero, and so is another one.
fn is_exact(number: &str) -> bool {
    if number.parse::<i64>().is_ok_and(|whole| whole != 0 || !number.starts_with('-')) || number.parse::<u64>().is_ok()
    {
        return true;
    }
    number.parse::<f64>().is_ok_and(|float| !(float == 0.0 && number.starts_with('-')))
        && number.parse::<f64>().is_ok_and(|float| decimal(number) == decimal(&format!("{float:e}")))
}

/// A number as its digits, without zeros before and behind them, and the power of ten of the last one.
fn decimal(number: &str) -> (String, i64) {
    let number = number.trim_start_matches('-');
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return (String::new(), 0);
    }
    let exponent = exponent.trim_start_matches('+').parse().unwrap_or(i64::MIN / 2);
    (kept.to_owned(), exponent - part.len() as i64 + (digits.len() - kept.len()) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_exact_if_it_comes_back_as_it_is() {
        for exact in [
            "0",
            "7",
            "-7",
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "1.50",
            "1e3",
            "2.5E-7",
            "1e22",
            "0.0",
        ] {
            assert!(is_exact(exact), "{exact}");
        }
        for inexact in [
            "12345678901234567890123",
            "18446744073709551617",
            "-0",
            "-0.0",
            "0.1000000000000000055511151231257827",
            "9007199254740993.0",
            "1e-400",
            "-0e5",
        ] {
            assert!(!is_exact(inexact), "{inexact}");
        }
    }

    #[test]
    fn numbers_in_text_are_text() {
        assert_eq!(inexact(br#"{"a-0":"-0.0 \" -0","b":[1,-0.0]}"#), Some((28, "-0.0")));
        assert_eq!(inexact(br#"{"a":"-0.0\\","b":[1.5]}"#), None);
    }
}
