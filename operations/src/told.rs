//! Errors in one line.

use std::error::Error as StdError;

/// An error and its causes, in one line. A cause that has been told already is not repeated.
#[must_use]
pub fn told(error: &dyn StdError) -> String {
    let mut says = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !says.contains(&more) {
            says = format!("{says}: {more}");
        }
        cause = error.source();
    }
    says
}
