//! The body of `POST /v1/ops`: one operation, an array of them, or a line for each.
//! Layer 1.

use core::fmt;

use axum::http::{HeaderMap, StatusCode, header};
use operations::{Operation, Texts, Wrong};
use serde::{
    Deserializer as _,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::problem::Problem;

/// How the operations of a body stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One, or an array.
    Json,
    /// A line for each, blank ones aside.
    Lines,
}

impl Form {
    /// What the headers of a request say. Only what a browser asks the server about before it sends it is taken: so no page of
    /// somebody else sends operations.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let unsupported = |detail: &str| {
            let advice = "Send `Content-Type: application/json`, or `application/x-ndjson` for a line each, as it is.";
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail, advice)
        };
        if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(unsupported("a body that is compressed is not taken"));
        }
        let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match &*essence {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            _ => Err(unsupported("operations are JSON or lines of JSON")),
        }
    }
}

/// Operations, and the texts that they speak of.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    pub(crate) operations: Vec<Operation>,
    pub(crate) texts: Texts,
}

/// The operations of a body: all of them, or what is wrong with the first that is none.
pub(crate) fn operations(form: Form, body: &[u8], limit: usize) -> Result<Operations, Problem> {
    let mut read = Operations::default();
    match form {
        Form::Lines => {
            let lines = body.split(|byte| *byte == b'\n').enumerate();
            for (number, line) in lines.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace)) {
                read.push(line, limit, || format!("line {}", number + 1))?;
            }
        }
        Form::Json if first(body) == Some(b'[') => {
            let mut array = Array { read: &mut read, limit, wrong: None };
            let mut text = serde_json::Deserializer::from_slice(body);
            let whole = text.deserialize_seq(&mut array).and_then(|()| text.end());
            if let Some(wrong) = array.wrong {
                return Err(wrong);
            }
            whole.map_err(|error| Problem::invalid(format!("not an array of operations: {error}")))?;
        }
        Form::Json => read.push(body, limit, || "the operation".to_owned())?,
    }
    if read.operations.is_empty() {
        return Err(Problem::invalid("there is no operation in it"));
    }
    Ok(read)
}

impl Operations {
    fn push(&mut self, text: &[u8], limit: usize, name: impl Fn() -> String) -> Result<(), Problem> {
        if self.operations.len() == limit {
            let detail = format!("a request has at most {limit} operations");
            let advice = "Send them in several requests. Nothing was changed.";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", detail, advice));
        }
        let operation = Operation::parse(text, &mut self.texts)
            .map_err(|Wrong { column, says }| Problem::invalid(format!("{}, column {column}: {says}", name())))?;
        self.operations.push(operation);
        Ok(())
    }
}

/// An array of operations, which is read no further than to the first that is wrong or one too many: however many there are, they
/// take no memory.
struct Array<'a> {
    read: &'a mut Operations,
    limit: usize,
    wrong: Option<Problem>,
}

impl<'de> Visitor<'de> for &mut Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(item) = items.next_element::<&RawValue>()? {
            number += 1;
            if let Err(wrong) = self.read.push(item.get().as_bytes(), self.limit, || format!("operation {number}")) {
                self.wrong = Some(wrong);
                return Err(A::Error::custom("it is read no further"));
            }
        }
        Ok(())
    }
}

fn first(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen, quickcheck};

    use super::*;

    const ADD: &str = r#"{"op":"add","kind":"pn_counter","path":"a","by":1}"#;

    fn count(form: Form, body: &str) -> Result<usize, String> {
        let read = operations(form, body.as_bytes(), 3);
        read.map(|read| read.operations.len()).map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn one_an_array_and_lines_are_read() {
        assert_eq!(count(Form::Json, ADD), Ok(1));
        assert_eq!(count(Form::Json, &format!("\n [{ADD} , {ADD}]\r\n")), Ok(2));
        assert_eq!(count(Form::Lines, &format!("{ADD}\r\n\n  \n{ADD}\n{ADD}")), Ok(3));
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_is_read() {
        for (form, body, says) in [
            (Form::Json, "", "the operation, column 1: EOF"),
            (Form::Json, "[]", "there is no operation"),
            (Form::Lines, "\n \n", "there is no operation"),
            (Form::Json, "[1]", "operation 1, column 1: expected an object"),
            (Form::Json, "{\"op\":\"add\"", "column 11: EOF"),
            (Form::Json, &format!("[{ADD}"), "not an array of operations: EOF"),
            (Form::Json, &format!("[{ADD},{ADD},{ADD},{ADD}]"), "at most 3 operations"),
            (Form::Json, &format!("[{ADD},{ADD},{ADD},{ADD},]]"), "at most 3 operations"),
            (Form::Json, &format!("[{ADD},7,]]"), "operation 2, column 1: expected an object"),
            (Form::Json, &format!("[{ADD}] [{ADD}]"), "not an array of operations: trailing characters"),
            (Form::Json, &format!("{ADD}\n{ADD}"), "trailing characters"),
            (Form::Lines, &format!("{ADD}\n[{ADD}]"), "line 2, column 1: expected an object"),
            (Form::Lines, &format!("{ADD}\n\n{{}}"), "line 3, column 2: missing field `op`"),
        ] {
            let wrong = count(form, body).unwrap_err();
            assert!(wrong.contains(says), "{body}: {wrong}");
        }
    }

    #[test]
    fn what_nests_without_end_is_refused() {
        let deep = |depth: usize| {
            format!(r#"{{"op":"add","kind":"or_set","path":"a","value":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth))
        };
        for body in [deep(1_000_000), format!("[{}]", deep(1_000_000)), "[".repeat(1_000_000)] {
            assert!(count(Form::Json, &body).is_err());
            assert!(count(Form::Lines, &body).is_err());
        }
        assert_eq!(count(Form::Json, &deep(50)), Ok(1));
    }

    #[test]
    fn only_what_a_browser_asks_about_first_is_taken() {
        let form = |said: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, said.parse().unwrap());
            Form::of(&headers).map_err(|problem| problem.status.as_u16())
        };
        assert_eq!(form("application/json"), Ok(Form::Json));
        assert_eq!(form("Application/JSON; charset=utf-8"), Ok(Form::Json));
        assert_eq!(form("application/x-ndjson"), Ok(Form::Lines));
        for said in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
            assert_eq!(form(said), Err(415), "{said}");
        }
        assert_eq!(Form::of(&HeaderMap::new()).unwrap_err().status, 415);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(Form::of(&headers).unwrap_err().status, 415);
    }

    /// Pieces of what is right and wrong, in any order.
    #[derive(Clone, Debug)]
    struct Body(Vec<u8>);

    impl Arbitrary for Body {
        fn arbitrary(g: &mut Gen) -> Self {
            const PIECES: [&[u8]; 24] = [
                b"{",
                b"}",
                b"[",
                b"]",
                b",",
                b":",
                b"\"",
                b"\n",
                b" ",
                b"\"op\":",
                b"\"add\"",
                b"\"set\"",
                b"\"kind\":",
                b"\"or_set\"",
                b"\"path\":\"a\"",
                b"\"by\":",
                b"-1",
                b"1e999",
                b"\"value\":",
                b"null",
                b"\\u0000",
                b"\\ud800",
                b"\xff",
                ADD.as_bytes(),
            ];
            Self((0..usize::arbitrary(g) % 12).flat_map(|_| g.choose(&PIECES).unwrap().to_vec()).collect())
        }
    }

    quickcheck! {
        fn any_bytes_are_operations_or_a_problem(body: Vec<u8>) -> bool {
            [Form::Json, Form::Lines].into_iter().all(|form| match operations(form, &body, 3) {
                Ok(read) => (1..=3).contains(&read.operations.len()),
                Err(problem) => problem.status.is_client_error(),
            })
        }

        fn pieces_of_operations_are_operations_or_a_problem(body: Body) -> bool {
            [Form::Json, Form::Lines].into_iter().all(|form| match operations(form, &body.0, 3) {
                Ok(read) => (1..=3).contains(&read.operations.len()),
                Err(problem) => problem.status.is_client_error(),
            })
        }

        fn an_array_and_lines_of_the_same_are_the_same(paths: Vec<String>) -> bool {
            let line = |path: &String| serde_json::json!({"op": "delete", "path": path}).to_string();
            let lines: Vec<String> = paths.iter().take(3).map(line).collect();
            let array = operations(Form::Json, format!("[{}]", lines.join(",")).as_bytes(), 3);
            let each = operations(Form::Lines, lines.join("\n").as_bytes(), 3);
            array.map(|read| read.operations).ok() == each.map(|read| read.operations).ok()
        }
    }
}
