//! S3, SQS and SNS in this process, for tests.

mod answer;
mod bucket;
mod cloud;
mod events;
mod faults;
mod http;
mod meter;
mod policy;
mod random;
mod s3;
mod signature;
mod time;
mod wire;

pub use cloud::{Cloud, Keys};
pub use faults::{Fault, Faults, Refusal, Rule};
pub use meter::{Count, Meter};
pub use s3::S3Server;
