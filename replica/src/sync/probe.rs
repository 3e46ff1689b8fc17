//! The start-up probe: does the bucket do what the log stands on?
//! Layer 4.

use bytes::Bytes;

use super::{store::Patience, takeover::LogPlace};
use crate::{
    error::{Error, ErrorKind},
    ports::Created,
};

/// Tries the bucket before its first use: creates an object, creates it again, reads it, lists it, deletes it.
///
/// A bucket is refused by its behaviour, not by its brand: without creates that are exclusive two processes could write at
/// one place of a log, and without lists that come after writes a seal could not be told from a delayed one.
///
/// # Errors
///
/// [`ErrorKind::Store`], which says what the bucket does otherwise.
///
/// # Cost
///
/// Two PUTs, a GET, a LIST and a DELETE, once for each replica name.
pub(crate) async fn probe(own: &LogPlace, nonce: [u8; 16], patience: Patience) -> Result<(), Error> {
    let key = own.keys.probe(&own.name, nonce);
    let (first, second) = (Bytes::copy_from_slice(&nonce), Bytes::from_static(b"another object"));
    // The answer to the first may have been lost: what matters is what is there after the second.
    own.store.create(&key, &first, patience).await?;
    let again = own.store.create(&key, &second, patience).await?;
    let mut there = own.store.get(&key, patience).await?;
    if there.as_ref() != Some(&first) {
        // Once more: it may have been damaged on its way.
        there = own.store.get(&key, patience).await?;
    }
    let listed = own.store.list(&own.keys.probes_prefix(&own.name), None, patience).await?;
    let refusal = if again == Created::New || there.as_ref().is_some_and(|there| *there == second) {
        Some("it overwrites objects that are to be created only once")
    } else if there.as_ref() != Some(&first) {
        Some("it does not give back what was written to it")
    } else if !listed.contains(&key) {
        Some("its lists leave out what was just written")
    } else {
        None
    };
    own.store.delete(&key, patience).await?;
    match refusal {
        None => Ok(()),
        Some(why) => Err(Error::new(ErrorKind::Store, format!("the bucket cannot hold a log: {why}"))),
    }
}
