//! Who may do what: bearer tokens with scopes.
//! Layer 1.

use std::{fmt, fs, io, path::Path};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// The fewest characters of a token.
const TOKEN_CHARS_MIN: usize = 16;

/// What a token is good for. Each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Reads, watches, the status, metrics.
    Read,
    /// Changes, and resolves conflicts.
    Write,
    /// Evicts replicas.
    Admin,
}

/// Who may do what.
pub enum Access {
    /// Everybody may do everything. A server on loopback still refuses what a browser was sent by a page of somebody else.
    Open,
    /// Whoever has one of these tokens.
    Tokens(Tokens),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Tokens(_) => "Tokens",
        })
    }
}

/// Tokens, as their hashes: what is secret is not kept.
pub struct Tokens(Vec<Entry>);

struct Entry {
    name: String,
    scope: Scope,
    hash: blake3::Hash,
}

/// Why there are no tokens to be had of a file.
#[derive(Debug)]
pub struct TokensError {
    says: String,
    source: Option<io::Error>,
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl std::error::Error for TokensError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl Tokens {
    /// Reads a file of tokens.
    ///
    /// # Errors
    ///
    /// When it cannot be read, and those of [`parse`](Self::parse).
    pub fn read(file: &Path) -> Result<Self, TokensError> {
        let says = || format!("the tokens cannot be read: {}", file.display());
        let text = fs::read_to_string(file).map_err(|error| TokensError { says: says(), source: Some(error) })?;
        Self::parse(&text).map_err(|error| TokensError { says: format!("{}: {}", file.display(), error.says), ..error })
    }

    /// Reads tokens, one a line: a name, a scope (`read`, `write` or `admin`) and the token itself, with white space between
    /// them. Blank lines and those that begin with `#` say nothing. A name may stand twice, while its token is being replaced.
    ///
    /// # Errors
    ///
    /// For a line that is none of these, a token of fewer than 16 characters, one that stands twice, and where there is none.
    /// No error tells a token.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |says: &str| TokensError { says: format!("line {}: {says}", number + 1), source: None };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [name, scope, token] = words[..] else {
                return Err(wrong("expected a name, a scope and a token"));
            };
            let scope = match scope {
                "read" => Scope::Read,
                "write" => Scope::Write,
                "admin" => Scope::Admin,
                _ => return Err(wrong("a scope is one of read, write, admin")),
            };
            if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong("a token has at least 16 printable characters"));
            }
            let hash = blake3::hash(token.as_bytes());
            if entries.iter().any(|entry| entry.hash == hash) {
                return Err(wrong("this token stands twice"));
            }
            entries.push(Entry { name: name.to_owned(), scope, hash });
        }
        if entries.is_empty() {
            return Err(TokensError { says: "there is no token in it".to_owned(), source: None });
        }
        Ok(Self(entries))
    }

    /// The entry of a token. How long it takes says nothing of the tokens: hashes are compared, in constant time, and all
    /// of them.
    fn find(&self, token: &[u8]) -> Option<&Entry> {
        let hash = blake3::hash(token);
        self.0.iter().fold(None, |found, entry| if entry.hash == hash { Some(entry) } else { found })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| (&entry.name, entry.scope))).finish()
    }
}

/// Who asks, as far as it is known: the name beside the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller(pub(crate) String);

impl Access {
    /// Whether a request with these headers may do what takes `scope`.
    pub(crate) fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<Caller, Problem> {
        let Self::Tokens(tokens) = self else { return Ok(Caller(String::new())) };
        let Some(token) = headers.get(header::AUTHORIZATION).and_then(bearer) else {
            return Err(unauthorized("a token is needed"));
        };
        let Some(entry) = tokens.find(token) else { return Err(unauthorized("the token is not known")) };
        if entry.scope < scope {
            let detail = "the token is not good for this";
            let advice = "Use a token of a higher scope: read, write, admin.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail, advice));
        }
        Ok(Caller(entry.name.clone()))
    }
}

fn unauthorized(detail: &str) -> Problem {
    let advice = "Send `Authorization: Bearer TOKEN` with a token of the server's token file.";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail, advice)
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# who\nann read aaaaaaaaaaaaaaaa\n\nbob write bbbbbbbbbbbbbbbb\ncat  admin\tcccccccccccccccc\n";

    fn checked(header: Option<&str>, scope: Scope) -> Result<String, u16> {
        let access = Access::Tokens(Tokens::parse(TEXT).unwrap());
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        access.check(&headers, scope).map(|caller| caller.0).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_scope_includes_those_before_it() {
        let (ann, bob, cat) = ("Bearer aaaaaaaaaaaaaaaa", "bearer bbbbbbbbbbbbbbbb", "BEARER cccccccccccccccc");
        assert_eq!(checked(Some(ann), Scope::Read), Ok("ann".to_owned()));
        assert_eq!(checked(Some(ann), Scope::Write), Err(403));
        assert_eq!(checked(Some(bob), Scope::Read), Ok("bob".to_owned()));
        assert_eq!(checked(Some(bob), Scope::Write), Ok("bob".to_owned()));
        assert_eq!(checked(Some(bob), Scope::Admin), Err(403));
        assert_eq!(checked(Some(cat), Scope::Admin), Ok("cat".to_owned()));
    }

    #[test]
    fn whatever_is_no_token_is_refused() {
        for header in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer aaaaaaaaaaaaaaa"),
            Some("Bearer aaaaaaaaaaaaaaaaa"),
            Some("Basic aaaaaaaaaaaaaaaa"),
            Some("aaaaaaaaaaaaaaaa"),
            Some("Bearer # who"),
        ] {
            assert_eq!(checked(header, Scope::Read), Err(401), "{header:?}");
        }
    }

    #[test]
    fn a_wrong_file_is_told_by_its_line_and_no_token_is_shown() {
        for (text, says) in [
            ("", "there is no token in it"),
            ("# none\n", "there is no token in it"),
            ("ann aaaaaaaaaaaaaaaa", "line 1: expected a name, a scope and a token"),
            ("ann root aaaaaaaaaaaaaaaa", "line 1: a scope is one of read, write, admin"),
            ("\nann read secret", "line 2: a token has at least 16 printable characters"),
            ("a read aaaaaaaaaaaaaaaa\nb read aaaaaaaaaaaaaaaa", "line 2: this token stands twice"),
        ] {
            assert_eq!(Tokens::parse(text).unwrap_err().to_string(), says);
        }
        let shown = format!("{:?} {:?}", Tokens::parse(TEXT).unwrap(), Access::Tokens(Tokens::parse(TEXT).unwrap()));
        assert!(shown.contains("ann") && !shown.contains("aaaa"), "{shown}");
    }
}
