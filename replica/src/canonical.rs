//! Canonical JSON: equal values become equal bytes.
//! Layer 0.
//!
//! Of all the ways to write a value in JSON this is one: no white space; keys in ascending order of their bytes as written,
//! each once; text escaped only where it must be; whole numbers in digits; floating-point numbers in the fewest digits that
//! read back, without an exponent, and with a point. `serde_json` reads it.

use std::io::Write as _;

use serde::{
    Serialize,
    ser::{self, Error as _, Serializer},
};
use serde_json::Error;

/// The deepest nesting. `serde_json` does not read beyond 127.
const DEPTH_MAX: usize = 100;

/// The canonical JSON of a value.
///
/// # Errors
///
/// A number that is not finite, a key that is neither text nor number nor boolean, a key twice, nesting beyond 100 levels,
/// and what the value itself objects to.
pub(crate) fn encode(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Error> {
    encode_at(value, 0)
}

fn encode_at(value: &(impl Serialize + ?Sized), depth: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    value.serialize(Json { bytes: &mut bytes, depth })?;
    Ok(bytes)
}

/// Writes one value.
struct Json<'a> {
    bytes: &'a mut Vec<u8>,
    depth: usize,
}

impl<'a> Json<'a> {
    fn write(self, text: &str) -> Result<(), Error> {
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn number(self, number: impl core::fmt::Display) -> Result<(), Error> {
        write!(self.bytes, "{number}").map_err(Error::io)
    }

    /// A number in decimals: `{}` writes the fewest digits that read back. Both zeros are equal, and so is what they become.
    fn decimal(self, number: impl core::fmt::Display, is_finite: bool, is_zero: bool) -> Result<(), Error> {
        if !is_finite {
            return Err(Error::custom("a number must be finite"));
        }
        if is_zero {
            return self.write("0.0");
        }
        let text = number.to_string();
        let point = if text.contains('.') { "" } else { ".0" };
        self.write(&format!("{text}{point}"))
    }

    fn deeper(&self) -> Result<usize, Error> {
        let within = || Error::custom(format!("a value nests at most {DEPTH_MAX} levels deep"));
        (self.depth < DEPTH_MAX).then_some(self.depth + 1).ok_or_else(within)
    }

    /// `{"name":`, to be closed with `}`.
    fn variant(self, name: &str) -> Result<Self, Error> {
        let depth = self.deeper()?;
        self.bytes.push(b'{');
        serde_json::to_writer(&mut *self.bytes, name)?;
        self.bytes.push(b':');
        Ok(Json { bytes: self.bytes, depth })
    }

    fn list(self, ends: &'static str) -> Result<List<'a>, Error> {
        let depth = self.deeper()?;
        self.bytes.push(b'[');
        Ok(List { bytes: self.bytes, depth, is_first: true, ends })
    }

    fn entries(self, ends: &'static str) -> Result<Entries<'a>, Error> {
        let depth = self.deeper()?;
        Ok(Entries { bytes: self.bytes, depth, key: Vec::new(), entries: Vec::new(), ends })
    }
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Entries<'a>;
    type SerializeStructVariant = Entries<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.decimal(value, value.is_finite(), value == 0.0)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.decimal(value, value.is_finite(), value == 0.0)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        serde_json::to_writer(self.bytes, value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.write("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.write("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.write("null")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let Json { bytes, depth } = self.variant(variant)?;
        value.serialize(Json { bytes: &mut *bytes, depth })?;
        bytes.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, Error> {
        self.list("]")
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, Error> {
        self.list("]")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, Error> {
        self.list("]")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Error> {
        self.variant(variant)?.list("]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'a>, Error> {
        self.entries("}")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Entries<'a>, Error> {
        self.entries("}")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries<'a>, Error> {
        self.variant(variant)?.entries("}}")
    }
}

/// Writes an array.
struct List<'a> {
    bytes: &'a mut Vec<u8>,
    depth: usize,
    is_first: bool,
    ends: &'static str,
}

impl List<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !core::mem::take(&mut self.is_first) {
            self.bytes.push(b',');
        }
        value.serialize(Json { bytes: &mut *self.bytes, depth: self.depth })
    }

    fn end(self) -> Result<(), Error> {
        self.bytes.extend_from_slice(self.ends.as_bytes());
        Ok(())
    }
}

/// Gathers the entries of an object, to write them in order.
struct Entries<'a> {
    bytes: &'a mut Vec<u8>,
    depth: usize,
    key: Vec<u8>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    ends: &'static str,
}

impl Entries<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, key: Vec<u8>, value: &T) -> Result<(), Error> {
        self.entries.push((key, encode_at(value, self.depth)?));
        Ok(())
    }

    fn end(mut self) -> Result<(), Error> {
        self.entries.sort_unstable();
        if self.entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::custom("a key occurs twice"));
        }
        let mut sign = b'{';
        for (key, value) in self.entries {
            self.bytes.push(sign);
            self.bytes.extend_from_slice(&key);
            self.bytes.push(b':');
            self.bytes.extend_from_slice(&value);
            sign = b',';
        }
        if sign == b'{' {
            self.bytes.push(sign);
        }
        self.bytes.extend_from_slice(self.ends.as_bytes());
        Ok(())
    }
}

/// Keys are text: numbers and booleans are put in quotes.
fn quoted(key: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Error> {
    let key = encode_at(key, DEPTH_MAX)?;
    match key.first() {
        Some(b'"') => Ok(key),
        Some(b'0'..=b'9' | b'-' | b't' | b'f') => Ok([b"\"", &*key, b"\""].concat()),
        _ => Err(Error::custom("a key must be text, a number or a boolean")),
    }
}

macro_rules! parts {
    ($($part:ident :: $method:ident),*) => {$(
        impl ser::$part for List<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.push(value)
            }

            fn end(self) -> Result<(), Error> {
                List::end(self)
            }
        }
    )*};
}

parts!(SerializeSeq::serialize_element, SerializeTuple::serialize_element);
parts!(SerializeTupleStruct::serialize_field, SerializeTupleVariant::serialize_field);

macro_rules! fields {
    ($($part:ident),*) => {$(
        impl ser::$part for Entries<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
                self.push(quoted(key)?, value)
            }

            fn end(self) -> Result<(), Error> {
                Entries::end(self)
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = quoted(key)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = core::mem::take(&mut self.key);
        self.push(key, value)
    }

    fn end(self) -> Result<(), Error> {
        Entries::end(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Item {
        sku: String,
        count: u64,
        price: f64,
        notes: Option<Vec<String>>,
        by_size: BTreeMap<i32, bool>,
        paint: Vec<Paint>,
        weight: f32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Paint {
        Bare,
        Plain(u8),
        Mixed(u8, u8),
        Named { name: String, glossy: bool },
    }

    fn json(value: &impl Serialize) -> String {
        String::from_utf8(encode(value).unwrap()).unwrap()
    }

    #[test]
    fn a_value_is_read_back_as_it_was() {
        let item = Item {
            sku: "a\"\\\n\u{1}\u{e4}\u{1f980}".into(),
            count: u64::MAX,
            price: 0.1 + 0.2,
            notes: Some(vec![String::new(), "two".into()]),
            by_size: [(-3, true), (20, false), (3, true)].into(),
            paint: vec![
                Paint::Bare,
                Paint::Plain(1),
                Paint::Mixed(2, 3),
                Paint::Named { name: "x".into(), glossy: true },
            ],
            weight: 0.1,
        };
        let text = json(&item);
        let read: Item = serde_json::from_str(&text).unwrap();
        assert_eq!(read, item);
        let expected = concat!(
            r#"{"by_size":{"-3":true,"20":false,"3":true},"count":18446744073709551615,"notes":["","two"],"#,
            r#""paint":["Bare",{"Plain":1},{"Mixed":[2,3]},{"Named":{"glossy":true,"name":"x"}}],"#,
            r#""price":0.30000000000000004,"sku":"a\"\\\n\u0001"#,
            "\u{e4}\u{1f980}\",\"weight\":0.1}"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn numbers_have_one_text() {
        assert_eq!(json(&[1.0, -2.5, 1e21, 1e-7, 0.0, -0.0]), "[1.0,-2.5,1000000000000000000000.0,0.0000001,0.0,0.0]");
        assert_eq!(json(&(u128::MAX, i128::MIN, 'x', ())), format!("[{},{},\"x\",null]", u128::MAX, i128::MIN));
        for value in [f64::MAX, f64::MIN_POSITIVE, 5e-324, core::f64::consts::PI, 1.0 / 3.0] {
            assert_eq!(serde_json::from_str::<f64>(&json(&value)).unwrap().to_bits(), value.to_bits());
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(encode(&value).is_err(), "{value}");
        }
    }

    /// A field that moves within its struct, or a map of another sort, changes nothing.
    #[test]
    fn the_order_in_which_entries_come_does_not_matter() {
        #[derive(Serialize)]
        struct Ab {
            a: u8,
            b: u8,
        }
        #[derive(Serialize)]
        struct Ba {
            b: u8,
            a: u8,
        }
        assert_eq!(json(&Ab { a: 1, b: 2 }), json(&Ba { b: 2, a: 1 }));
        assert_eq!(json(&BTreeMap::<u8, u8>::new()), "{}");
    }

    #[test]
    fn what_could_not_be_read_back_is_refused() {
        assert!(encode(&BTreeMap::from([(vec![1], 2)])).is_err(), "a key that is a list");
        assert!(encode(&BTreeMap::from([(None::<u8>, 2)])).is_err(), "a key that is nothing");
        #[derive(Serialize)]
        struct Twice {
            a: u8,
            #[serde(flatten)]
            more: BTreeMap<&'static str, u8>,
        }
        assert!(encode(&Twice { a: 1, more: [("a", 2)].into() }).is_err(), "a key twice");

        #[derive(Serialize, Deserialize)]
        struct Nest(Vec<Nest>);
        let nest = |levels| (1..levels).fold(Nest(Vec::new()), |nest, _| Nest(vec![nest]));
        let deepest = json(&nest(DEPTH_MAX));
        assert!(serde_json::from_str::<Nest>(&deepest).is_ok());
        assert!(encode(&nest(DEPTH_MAX + 1)).is_err());
    }
}
