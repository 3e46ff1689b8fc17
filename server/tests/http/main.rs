//! The server as its clients see it: over TCP, on 127.0.0.1, with real replicas in buckets that fail on demand.

mod access;
mod answers;
mod bucket;
mod client;
mod clients;
mod described;
mod live;
mod metrics;
mod once;
mod running;
mod secrets;
mod trouble;
