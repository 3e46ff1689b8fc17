//! S3, SQS and SNS in this process, for tests.

mod answer;
mod bucket;
mod cloud;
mod deliveries;
mod events;
mod faults;
mod http;
mod meter;
mod policy;
mod queues;
mod random;
mod s3;
mod signature;
mod sns;
mod sqs;
mod time;
mod topics;
mod wire;

pub use cloud::{Cloud, Keys};
pub use deliveries::{Delivered, Deliveries, Troubles};
pub use faults::{Fault, Faults, Refusal, Rule};
pub use meter::{Count, Meter};
pub use s3::S3Server;
pub use sns::SnsServer;
pub use sqs::SqsServer;
