//! A replica over HTTP: a query API, live changes, metrics, and a page that shows what is going on.
//!
//! ```
//! use replica::Replica;
//! use server::{Access, Options, Place};
//! use store_object::MemoryBucket;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let place = Place { address: ([127, 0, 0, 1], 0).into(), tls: None, is_insecure: false };
//! let options = Options::new("eu-west-1", Access::Open);
//! let listening = place.listen(&options.access).await?;
//! println!("http://{}/", listening.address());
//! let replica = Replica::builder("eu-west-1", MemoryBucket::new()).open().await?;
//! let until_told = async {}; // A signal, as a rule.
//! listening.serve(replica.clone(), options).run(until_told).await;
//! replica.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! `docs/server.md` has every request with an example. The server keeps nothing of its own but what passes with it: what it
//! knows is in the replica, idempotency keys too.

mod access;
mod answer;
mod app;
mod boards;
mod body;
mod changed;
mod conflicts;
mod decode;
mod describe;
mod evict;
mod gate;
mod hub;
mod keys;
mod listen;
mod live;
mod meter;
mod metrics;
mod objects;
mod ops;
mod options;
mod page;
mod problem;
mod rate;
mod read;
mod router;
mod routes;
mod status;
mod stream;
mod text;
mod tls;
mod value;

pub use access::{Access, Scope, Tokens, TokensError};
pub use listen::{ListenError, Listening, Place, Server};
pub use options::{Limits, Options, Sibling};
pub use tls::{Tls, TlsError};
