//! S3, SQS and SNS in the process of a test, on 127.0.0.1: atomic, strict, and faulty on demand.
//!
//! A [`Cloud`] is an account with its principals, buckets, queues and topics. Servers are started on it, each on a port and a
//! thread of its own, so a test may block while it waits. A server stops when it is dropped; the cloud stays.
//!
//! ```no_run
//! use servers::{Cloud, Fault, Rule, S3Server};
//!
//! let cloud = Cloud::new();
//! cloud.create_bucket("europe", "eu-west-1");
//! let server = S3Server::start(&cloud)?;
//! server.faults().add(Rule::new(Fault::AnswerLost).on("PutObject").key("v1/log/").times(1));
//! // A client of `server.url()` that signs with `cloud.admin()`, in path style, …
//! assert_eq!(server.faults().injected()["AnswerLost"], 1);
//! assert_eq!(server.meter().of("PutObject").requests, 2);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! `docs/architecture.md` says what is where, and what is not there.

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
pub use random::Random;
pub use s3::S3Server;
pub use sns::SnsServer;
pub use sqs::SqsServer;
