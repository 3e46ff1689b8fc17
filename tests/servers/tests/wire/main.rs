//! The servers over the wire, against a client that shares no code with them.

#![expect(clippy::disallowed_methods, reason = "tests of a server have threads and a clock")]

mod client;
mod events;
mod faults;
mod roles;
mod s3;
mod settings;
