//! How a command fails: what it says, and the code it exits with.

use std::{fmt, io, process::ExitCode};

pub(crate) use operations::told;
use replica::{Error, ErrorKind, ports::BucketError};

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    says: String,
}

/// What a command comes to: the code that it exits with, or why it failed.
pub(crate) type Outcome<T = ExitCode> = Result<T, Failure>;

impl Failure {
    /// Something could not be done, or is not as it must be: 1.
    pub(crate) fn failed(says: impl Into<String>) -> Self {
        Self { code: 1, says: says.into() }
    }

    /// The command or its configuration is wrong: 2.
    pub(crate) fn usage(says: impl Into<String>) -> Self {
        Self { code: 2, says: says.into() }
    }

    /// There is nothing at a path: 3.
    pub(crate) fn missing(path: &str) -> Self {
        Self::absent(format!("nothing is at {path:?}"))
    }

    /// What is asked for is not there: 3.
    pub(crate) fn absent(says: impl Into<String>) -> Self {
        Self { code: 3, says: says.into() }
    }

    /// Nobody reads what is printed, and so nobody has seen how it ended: as a shell counts SIGPIPE.
    pub(crate) const fn unread() -> Self {
        Self { code: 141, says: String::new() }
    }

    /// The same failure, which says more.
    pub(crate) fn and(self, more: &str) -> Self {
        Self { says: self.says + more, ..self }
    }

    /// Says it, and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.says.is_empty() {
            anstream::eprintln!("\x1b[31merror:\x1b[0m {}", self.says);
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Fenced | ErrorKind::Evicted => 4,
            _ => 1,
        };
        Self { code, says: told(&error) }
    }
}

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Self {
        Self::failed(told(&error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(told(&error))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}
