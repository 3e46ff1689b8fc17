//! What needs no server of S3: URLs, and answers that a script gives byte for byte.

mod answers;
mod faults;
mod scripted;
mod url;
