//! Operations: one change each, as a line of JSON.
//!
//! ```json
//! {"op":"add","kind":"pn_counter","path":"goals/Marta","by":1}
//! ```

use std::{borrow::Cow, fmt, ops::Range};

use replica::{Batch, Content, Json, Kind, key::check_path};
use serde::{Deserialize, Deserializer, de::Visitor};

use crate::{
    exact::{self, Exact},
    told::told,
};

/// A change that a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Where in the paths of its [`Texts`] its own is.
    path: Range<usize>,
    change: Change,
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    Increment(u64),
    Count(i64),
    /// Values are in those of the [`Texts`].
    Set(Register, Range<usize>),
    Add(Range<usize>),
    Remove(Range<usize>),
    /// Of one kind, or of all.
    Delete(Option<Kind>),
}

/// The paths and the values of many operations, one behind the other. Memory of their own would be asked for in the thread
/// that reads and given back in the one that applies, a million times.
#[derive(Debug, Default)]
pub struct Texts {
    paths: String,
    /// As they are stored.
    values: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Lww,
    Mv,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Counted in bytes from 1, where one is known.
    pub column: usize,
    /// In words, for whoever wrote it.
    pub says: String,
}

impl Operation {
    /// The operation that a line is. What it speaks of is added to `texts`.
    ///
    /// # Errors
    ///
    /// [`Wrong`], for a line that is none: nothing can be made of it, now or later.
    pub fn parse(line: &[u8], texts: &mut Texts) -> Result<Self, Wrong> {
        // An array of its fields would be read as well.
        if let Some(first) = line.iter().position(|byte| !byte.is_ascii_whitespace())
            && line[first] != b'{'
        {
            return Err(Wrong { column: first + 1, says: "expected an object, as {\"op\":…}".to_owned() });
        }
        let read: Line<'_> = serde_json::from_slice(line).map_err(|error| {
            let says = error.to_string();
            // The line that the parser counts is always the first.
            let says = says.rsplit_once(" at line ").map_or(&*says, |(says, _)| says).to_owned();
            Wrong { column: error.column().max(1), says }
        })?;
        if read.value.as_ref().is_some_and(Exact::has_float)
            && let Some((column, number)) = exact::inexact(line)
        {
            let says = format!("the number {number} would be kept as another one; as text, \"{number}\", it stays");
            return Err(Wrong { column, says });
        }
        let from = texts.paths.len();
        texts.paths += &read.path.0;
        let path = from..texts.paths.len();
        let change = read.change(&mut texts.values).map_err(|(field, says)| {
            let named = format!("\"{field}\"");
            let place = line.windows(named.len()).position(|window| window == named.as_bytes());
            Wrong { column: place.map_or(line.len().max(1), |place| place + 1), says }
        })?;
        Ok(Self { path, change })
    }

    /// Adds the change to a batch. `texts` are those to which it was parsed.
    pub fn put(&self, texts: &Texts, batch: &mut Batch<'_>) {
        let path = &texts.paths[self.path.clone()];
        let stored = |value: &Range<usize>| &texts.values[value.clone()];
        match &self.change {
            Change::Increment(by) => drop(batch.g_counter(path).add(*by)),
            Change::Count(by) => drop(batch.pn_counter(path).add(*by)),
            Change::Set(Register::Lww, value) => drop(batch.lww_register(path).set(stored(value))),
            Change::Set(Register::Mv, value) => drop(batch.mv_register(path).set(stored(value))),
            Change::Add(value) => drop(batch.or_set(path).add(stored(value))),
            Change::Remove(value) => drop(batch.or_set(path).remove(stored(value))),
            Change::Delete(None) => batch.delete(path),
            Change::Delete(Some(kind)) => batch.delete_kind(path, *kind),
        }
    }

    /// True when what it does depends on what the operations before it have made.
    #[must_use]
    pub const fn looks_back(&self) -> bool {
        matches!(self.change, Change::Delete(None))
    }
}

/// A line as it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    op: Op,
    #[serde(default, deserialize_with = "given")]
    kind: Option<OfKind>,
    #[serde(borrow)]
    path: Path<'a>,
    #[serde(default, deserialize_with = "given")]
    by: Option<By>,
    #[serde(default, deserialize_with = "given")]
    value: Option<Exact>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Op {
    Add,
    Remove,
    Set,
    Delete,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OfKind {
    GCounter,
    PnCounter,
    LwwRegister,
    MvRegister,
    OrSet,
}

impl Line<'_> {
    /// What it asks for, or the field that does not fit and why. Its value is added to `values`.
    fn change(self, values: &mut Vec<u8>) -> Result<Change, (&'static str, String)> {
        let kind = match self.kind {
            Some(OfKind::GCounter) => Some(Kind::GCounter),
            Some(OfKind::PnCounter) => Some(Kind::PnCounter),
            Some(OfKind::LwwRegister) => Some(Kind::LwwRegister),
            Some(OfKind::MvRegister) => Some(Kind::MvRegister),
            Some(OfKind::OrSet) => Some(Kind::OrSet),
            None if self.op == Op::Delete => None,
            None => return Err(("", "missing field `kind`".to_owned())),
        };
        let counts = matches!((self.op, kind), (Op::Add, Some(Kind::GCounter | Kind::PnCounter)));
        let takes_value = matches!(
            (self.op, kind),
            (Op::Add | Op::Remove, Some(Kind::OrSet)) | (Op::Set, Some(Kind::LwwRegister | Kind::MvRegister))
        );
        let kind_name = kind.map_or("", Kind::name);
        if !(counts || takes_value || self.op == Op::Delete) {
            let (op, ops) = match self.op {
                Op::Add => ("add", "g_counter, pn_counter and or_set"),
                Op::Remove => ("remove", "or_set"),
                Op::Set => ("set", "lww_register and mv_register"),
                Op::Delete => ("delete", "every kind"),
            };
            return Err(("kind", format!("`{op}` is for {ops}, not for {kind_name}")));
        }
        if self.by.is_some() && !counts {
            return Err(("by", "`by` is for counters that are added to".to_owned()));
        }
        if self.value.is_some() && !takes_value {
            return Err(("value", "`value` is for sets and for registers that are set".to_owned()));
        }
        let by = self.by.map_or(1, |by| by.0);
        let value = || {
            let json = Json(self.value.ok_or(("", "missing field `value`".to_owned()))?.0);
            let from = values.len();
            values.extend_from_slice(&json.encode().map_err(|error| ("value", told(&error)))?);
            Ok(from..values.len())
        };
        Ok(match (self.op, kind) {
            (Op::Add, Some(Kind::GCounter)) => {
                let negative = |_| ("by", format!("a g_counter only grows: {by}; a pn_counter goes both ways"));
                Change::Increment(u64::try_from(by).map_err(negative)?)
            }
            (Op::Add, Some(Kind::PnCounter)) => Change::Count(by),
            (Op::Add, _) => Change::Add(value()?),
            (Op::Remove, _) => Change::Remove(value()?),
            (Op::Set, Some(Kind::LwwRegister)) => Change::Set(Register::Lww, value()?),
            (Op::Set, _) => Change::Set(Register::Mv, value()?),
            (Op::Delete, kind) => Change::Delete(kind),
        })
    }
}

/// A field that may be missing. To be `null` is something else.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An amount: a whole number of 64 bits with a sign.
#[derive(Clone, Copy)]
struct By(i64);

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = By;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number between -2^63 and 2^63 - 1")
            }

            fn visit_i64<E>(self, by: i64) -> Result<By, E> {
                Ok(By(by))
            }

            fn visit_u64<E: serde::de::Error>(self, by: u64) -> Result<By, E> {
                let beyond = |_| E::invalid_value(serde::de::Unexpected::Unsigned(by), &self);
                i64::try_from(by).map(By).map_err(beyond)
            }
        }

        deserializer.deserialize_any(Whole)
    }
}

/// A path that is one.
struct Path<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Path<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Checked;

        impl<'de> Visitor<'de> for Checked {
            type Value = Path<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, path: &'de str) -> Result<Path<'de>, E> {
                check_path(path).map_err(E::custom)?;
                Ok(Path(Cow::Borrowed(path)))
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Path<'de>, E> {
                check_path(path).map_err(E::custom)?;
                Ok(Path(Cow::Owned(path.to_owned())))
            }
        }

        deserializer.deserialize_str(Checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line asks for, and what would be stored.
    fn parsed(line: &str) -> (Change, String) {
        let mut texts = Texts::default();
        let change = Operation::parse(line.as_bytes(), &mut texts).unwrap().change;
        (change, String::from_utf8(texts.values).unwrap())
    }

    fn wrong(line: &str) -> String {
        let Wrong { column, says } = Operation::parse(line.as_bytes(), &mut Texts::default()).unwrap_err();
        format!("{column}: {says}")
    }

    #[test]
    fn every_operation_is_read() {
        let counted = |change| (change, String::new());
        let stored = |change: fn(Range<usize>) -> Change, text: &str| (change(0..text.len()), text.to_owned());
        assert_eq!(parsed(r#"{"op":"add","kind":"g_counter","path":"a"}"#), counted(Change::Increment(1)));
        assert_eq!(parsed(r#"{"op":"add","kind":"pn_counter","path":"a","by":-3}"#), counted(Change::Count(-3)));
        assert_eq!(
            parsed(r#"{"op":"set","kind":"lww_register","path":"a","value":null}"#),
            stored(|value| Change::Set(Register::Lww, value), "null")
        );
        assert_eq!(
            parsed(r#"{"op":"set","kind":"mv_register","path":"a","value":{"c":[ 1 ],"b":"\u00fc"}}"#),
            stored(|value| Change::Set(Register::Mv, value), "{\"b\":\"\u{fc}\",\"c\":[1]}")
        );
        assert_eq!(parsed(r#"{"op":"add","kind":"or_set","path":"a","value":"x"}"#), stored(Change::Add, "x"));
        assert_eq!(parsed(r#"{"op":"add","kind":"or_set","path":"a","value":"7"}"#), stored(Change::Add, "\"7\""));
        assert_eq!(parsed(r#"{"op":"remove","kind":"or_set","path":"a","value":7}"#), stored(Change::Remove, "7"));
        assert_eq!(parsed(r#"{"op":"delete","path":"a"}"#), counted(Change::Delete(None)));
        assert_eq!(parsed(r#"{"op":"delete","kind":"or_set","path":"a"}"#), counted(Change::Delete(Some(Kind::OrSet))));
        let mut texts = Texts::default();
        for line in [br#" {"path":"gr\u00fcn\/\"1\"","op":"delete"} "#, &br#"{"path":"b","op":"delete"}"#[..]] {
            Operation::parse(line, &mut texts).unwrap();
        }
        assert_eq!(texts.paths, "gr\u{fc}n/\"1\"b");
    }

    #[test]
    fn whatever_is_wrong_is_named_with_its_column() {
        for (line, says) in [
            ("", "1: EOF while parsing a value"),
            ("{", "1: EOF while parsing an object"),
            (r#" ["delete",null,"a"]"#, r#"2: expected an object, as {"op":…}"#),
            (
                r#"{"op":"jump","kind":"or_set","path":"a"}"#,
                "12: unknown variant `jump`, expected one of `add`, `remove`, `set`, `delete`",
            ),
            (
                r#"{"op":"add","kind":"heap","path":"a"}"#,
                "25: unknown variant `heap`, expected one of `g_counter`, `pn_counter`, `lww_register`, `mv_register`, `or_set`",
            ),
            (r#"{"op":"add","path":"a"}"#, "23: missing field `kind`"),
            (r#"{"kind":"or_set","path":"a","value":1}"#, "38: missing field `op`"),
            (r#"{"op":"add","kind":"or_set","value":1}"#, "38: missing field `path`"),
            (r#"{"op":"add","kind":"or_set","path":"a"}"#, "39: missing field `value`"),
            (
                r#"{"op":"add","kind":"or_set","path":"a","value":1,"by":1}"#,
                "50: `by` is for counters that are added to",
            ),
            (
                r#"{"op":"add","kind":"g_counter","path":"a","value":1}"#,
                "43: `value` is for sets and for registers that are set",
            ),
            (
                r#"{"op":"add","kind":"g_counter","path":"a","by":-1}"#,
                "43: a g_counter only grows: -1; a pn_counter goes both ways",
            ),
            (
                r#"{"op":"set","kind":"or_set","path":"a","value":1}"#,
                "13: `set` is for lww_register and mv_register, not for or_set",
            ),
            (r#"{"op":"remove","kind":"g_counter","path":"a"}"#, "16: `remove` is for or_set, not for g_counter"),
            (
                r#"{"op":"add","kind":"g_counter","path":"a","x":1}"#,
                "45: unknown field `x`, expected one of `op`, `kind`, `path`, `by`, `value`",
            ),
            (r#"{"op":"add","op":"add","kind":"g_counter","path":"a"}"#, "16: duplicate field `op`"),
            (
                r#"{"op":"add","kind":"or_set","path":"a","value":{"b":1,"b":2}}"#,
                "57: an object has the key \"b\" twice",
            ),
            (
                r#"{"op":"add","kind":"or_set","path":"a","value":[12345678901234567890123]}"#,
                "49: the number 12345678901234567890123 would be kept as another one; as text, \"12345678901234567890123\", it stays",
            ),
            (
                r#"{"op":"add","kind":"or_set","path":"a","value":-0.0}"#,
                "48: the number -0.0 would be kept as another one; as text, \"-0.0\", it stays",
            ),
        ] {
            assert_eq!(wrong(line), says, "{line}");
        }
        let by = |by: &str| wrong(&format!(r#"{{"op":"add","kind":"g_counter","path":"a","by":{by}}}"#));
        for amount in ["1.5", "1e3", "9223372036854775808", "-9223372036854775809", "\"1\"", "null"] {
            assert!(by(amount).contains("expected a whole number between -2^63 and 2^63 - 1"), "{}", by(amount));
        }
        for path in ["", "a\\u0000", "a\\n"] {
            let says = wrong(&format!(r#"{{"op":"delete","path":"{path}"}}"#));
            assert!(says.contains("path"), "{says}");
        }
        let long = wrong(&format!(r#"{{"op":"delete","path":"{}"}}"#, "x".repeat(1_025)));
        assert!(long.contains("1,024") || long.contains("1024"), "{long}");
        let not_utf8 = Operation::parse(b"{\"op\":\"delete\",\"path\":\"\xff\"}", &mut Texts::default());
        assert_eq!(not_utf8.unwrap_err().column, 24);
    }
}
