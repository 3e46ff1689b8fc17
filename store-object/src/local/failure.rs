//! What an error of the file system means, and what to do about it.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use replica::ports::{BucketError, Outcome};

/// The error for what failed at `path`: refused where only a person can help, otherwise `otherwise`.
///
/// What is refused has had no effect: the system finds each of these before it changes anything.
pub(super) fn failed(what: &str, path: &Path, error: io::Error, otherwise: Outcome) -> BucketError {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => {
            "no permission: let this user read and write it, in a file system with hard links"
        }
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: mount it for writing",
        ErrorKind::StorageFull => "the disk is full: free some space",
        ErrorKind::QuotaExceeded => "the quota is used up: raise it or free some space",
        ErrorKind::FileTooLarge => "larger than a file may be: raise the limit",
        ErrorKind::CrossesDevices => "a folder in it is another file system: keep a bucket in one",
        ErrorKind::Unsupported => "the file system cannot do this: it must have hard links",
        ErrorKind::InvalidFilename => "the path is too long: move the bucket further up",
        ErrorKind::TooManyLinks => "the folder is full: the file system takes no more entries",
        ErrorKind::NotADirectory => "a part of the path is not a folder: move it away",
        _ => return error_at(otherwise, &format!("cannot {what}"), path).caused_by(error),
    };
    error_at(Outcome::Refused, &format!("cannot {what}: {advice}"), path).caused_by(error)
}

/// An error with the path that it is about.
pub(super) fn error_at(outcome: Outcome, message: &str, path: &Path) -> BucketError {
    BucketError::new(outcome, format!("{message}: path={path:?}"))
}

/// Whether the error says that there is nothing of this name.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
