//! `export`: values as operations that `apply` takes.
//!
//! An operation makes a change here and now, so what concurrent changes have made cannot always be made again. Where it cannot,
//! that is said.

use std::process::ExitCode;

use operations::{json, kind_of};
use replica::{Bytes, Kind, Value};
use serde::Serialize;

use crate::{failure::Outcome, output::Output, session::Session};

pub(crate) async fn export(session: &Session, prefix: &str, out: &mut Output) -> Outcome {
    let replica = session.observe().await?;
    let warnings = session.warnings();
    let mut before: Option<(String, Kind)> = None;
    for (key, value) in replica.scan(prefix) {
        if out.is_closed() {
            break;
        }
        let path = key.path();
        for line in making(path, &value) {
            out.object(&line)?;
        }
        if let Some(says) = lost(&value) {
            warnings.say(&format!("{path}: {says}"));
        }
        if let Some((_, kind)) = before.filter(|(before, _)| before == path) {
            let says =
                format!("{path}: `apply` makes a {kind} of it, and refuses the {} that is there too", key.kind());
            warnings.say(&format!("{says}; `--skip-bad` passes over that"));
        }
        before = Some((path.to_owned(), key.kind()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A line to be written.
#[derive(Debug, Serialize)]
struct Written<'a> {
    op: &'static str,
    kind: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
}

/// What those lines do not make again.
fn lost(value: &Value) -> Option<&'static str> {
    let beyond = |sum: u128| sum > u128::from(u64::MAX);
    match value {
        Value::GCounter(sum) if beyond(*sum) => Some("one replica alone counts no further than 2^64 - 1"),
        Value::PnCounter(sum) if beyond(sum.unsigned_abs()) => {
            Some("one replica alone counts no further than 2^64 - 1")
        }
        Value::GCounter(0) => Some("a g_counter that has counted nothing is not made by counting"),
        Value::MvRegister(values) if values.len() > 1 => Some("of its concurrent values the last that is set stays"),
        _ => None,
    }
}

/// The lines that make what is at a path.
fn making<'a>(path: &'a str, value: &Value) -> Vec<Written<'a>> {
    let kind = kind_of(value).name();
    let count = |by: i64| Written { op: "add", kind, path, by: Some(by), value: None };
    let hold = |op, bytes: &Bytes| Written { op, kind, path, by: None, value: Some(json(bytes)) };
    match value {
        // Counting nothing makes no counter.
        Value::PnCounter(0) => vec![count(1), count(-1)],
        Value::GCounter(sum) => steps(i128::try_from(*sum).unwrap_or(i128::MAX)).map(count).collect(),
        Value::PnCounter(total) => steps(*total).map(count).collect(),
        Value::LwwRegister(value) => value.iter().map(|value| hold("set", value)).collect(),
        Value::MvRegister(values) => values.iter().map(|value| hold("set", value)).collect(),
        Value::OrSet(elements) => elements.iter().map(|element| hold("add", element)).collect(),
    }
}

/// The amounts that come to `total`, each of 64 bits.
fn steps(mut total: i128) -> impl Iterator<Item = i64> {
    core::iter::from_fn(move || {
        let step = i64::try_from(total.clamp(i128::from(i64::MIN), i128::from(i64::MAX))).ok()?;
        total -= i128::from(step);
        (step != 0).then_some(step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use operations::{Operation, Texts};

    fn lines(path: &str, value: &Value) -> Vec<String> {
        making(path, value).iter().map(|line| serde_json::to_string(line).unwrap()).collect()
    }

    #[test]
    fn what_is_exported_is_what_is_read() {
        let bytes = |text: &str| Bytes::from(text.as_bytes());
        assert_eq!(lines("a", &Value::GCounter(3)), [r#"{"op":"add","kind":"g_counter","path":"a","by":3}"#]);
        let large = i128::from(i64::MIN) * 2;
        assert_eq!(lines("a", &Value::PnCounter(large)).len(), 2);
        assert_eq!(
            lines("a\"", &Value::OrSet(vec![bytes("lamp"), bytes("7")])),
            [
                r#"{"op":"add","kind":"or_set","path":"a\"","value":"lamp"}"#,
                r#"{"op":"add","kind":"or_set","path":"a\"","value":7}"#
            ]
        );
        let several =
            Value::MvRegister(vec![bytes("x"), bytes("null"), bytes("0.1"), bytes("100000000000000000000.0")]);
        for line in lines("a", &several) {
            assert!(Operation::parse(line.as_bytes(), &mut Texts::default()).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_made_again_is_told() {
        let bytes = |text: &str| Bytes::from(text.as_bytes());
        let sum = |sum: i128| lost(&Value::PnCounter(sum)).is_some();
        assert!(!sum(0) && !sum(i128::from(u64::MAX)) && sum(i128::from(u64::MAX) + 1) && sum(i128::MIN));
        assert!(lost(&Value::MvRegister(vec![bytes("a"), bytes("b")])).is_some());
        assert_eq!(lost(&Value::MvRegister(vec![bytes("a")])), None);
    }
}
