//! Operations and values as JSON: what the command and the server take and show.
//!
//! One operation is one JSON object, such as `{"op":"add","kind":"pn_counter","path":"goals/Marta","by":1}`. It is read by
//! [`Operation::parse`] and made by [`Operation::put`], in a batch with others. What is at a path is shown as [`Shown`].
//!
//! ```
//! use operations::{Operation, Shown, Texts};
//! use replica::blocking::Replica;
//! use store_object::MemoryBucket;
//!
//! let replica = Replica::open(replica::Replica::builder("eu-west-1", MemoryBucket::new()))?;
//! let mut texts = Texts::default();
//! let line = br#"{"op":"add","kind":"or_set","path":"carts/ada","value":"lamp"}"#;
//! let operation = Operation::parse(line, &mut texts).expect("it is one");
//! replica.batch(|batch| {
//!     operation.put(&texts, batch);
//!     Ok(())
//! })?;
//! let (key, value) = replica.scan("carts/").next().expect("it is there");
//! let shown = serde_json::to_string(&Shown::new(&key, Some(&value))).expect("JSON");
//! assert_eq!(shown, r#"{"path":"carts/ada","kind":"or_set","value":["lamp"]}"#);
//! # Ok::<(), replica::Error>(())
//! ```

mod exact;
mod operation;
mod shown;
mod told;

pub use operation::{Operation, Texts, Wrong};
pub use shown::{Shown, ShownValue, json, kind_of, moment, shown};
pub use told::told;
