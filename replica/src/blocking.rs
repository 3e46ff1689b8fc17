//! A replica for services without async: the same one, on a runtime of its own.
//! Layer 5.

use core::{ops::Deref, time::Duration};
use std::sync::Arc;

use tokio::runtime::{Handle, Runtime};

use crate::{
    builder::Builder,
    error::{Error, ErrorKind},
    keyspace::Event,
    token::Token,
    views::Watch,
    written::Written,
};

/// A replica whose waiting calls block the thread.
///
/// It is a [`replica::Replica`](crate::Replica), and does what that does, with a small runtime of its own: one thread, on which
/// it flushes and reads its peers. Local operations and handles are the same, and cost the same. Cheap to clone: all clones are
/// the same replica.
///
/// When the last clone is dropped, the runtime and the replica end, and handles that are left refuse to write. What was not
/// durable then is lost: call [`close`](Self::close) first.
///
/// ```
/// use replica::blocking::Replica;
/// use store_object::MemoryBucket;
///
/// let replica = Replica::open(replica::Replica::builder("eu-west-1", MemoryBucket::new()))?;
/// let cart = replica.or_set("carts/ada")?;
/// let written = cart.add("lamp")?;
/// replica.durable(written)?;
/// assert!(cart.contains("lamp"));
/// replica.close()?;
/// # Ok::<(), replica::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Replica {
    replica: crate::Replica,
    runtime: Arc<Own>,
}

impl Replica {
    /// Opens the replica: [`Builder::open`].
    ///
    /// # Errors
    ///
    /// Those of [`Builder::open`]; [`ErrorKind::Invalid`] on a thread that runs async tasks, as every call here that waits: it
    /// would stall them.
    pub fn open(builder: Builder) -> Result<Self, Error> {
        may_wait()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("replica")
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Invalid, "no thread for the replica to run on").caused_by(error))?;
        let replica = runtime.block_on(builder.running().open())?;
        Ok(Self { replica, runtime: Arc::new(Own(Some(runtime))) })
    }

    /// Writes what waits to the bucket, and waits until it is there: [`replica::Replica::flush`](crate::Replica::flush).
    ///
    /// # Errors
    ///
    /// As there, and as [`open`](Self::open).
    pub fn flush(&self) -> Result<(), Error> {
        self.wait(self.replica.flush())
    }

    /// Waits until a change is in the bucket: [`Written::durable`].
    ///
    /// # Errors
    ///
    /// As there, and as [`open`](Self::open).
    pub fn durable<T>(&self, written: Written<T>) -> Result<(), Error> {
        self.wait(written.durable())
    }

    /// Waits until all that `token` has seen has been applied here, for at most as long as `patience`. Returns whether it was
    /// reached: [`wait_for_within`](crate::Replica::wait_for_within).
    ///
    /// # Errors
    ///
    /// As there, and as [`open`](Self::open).
    pub fn wait_for(&self, token: &Token, patience: Duration) -> Result<bool, Error> {
        self.wait(self.replica.wait_for_within(token, patience))
    }

    /// Waits for the next event of a watch: [`Watch::next`].
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn next(&self, watch: &mut Watch) -> Result<Option<Event>, Error> {
        self.wait(async { Ok(watch.next().await) })
    }

    /// Reads every peer's log to its end: [`catch_up`](crate::Replica::catch_up).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn catch_up(&self) -> Result<bool, Error> {
        self.wait(async { Ok(self.replica.catch_up().await) })
    }

    /// Flushes what waits, and stops: [`replica::Replica::close`](crate::Replica::close).
    ///
    /// # Errors
    ///
    /// As there, and as [`open`](Self::open).
    pub fn close(&self) -> Result<(), Error> {
        self.wait(self.replica.close())
    }

    fn wait<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        may_wait()?;
        match &self.runtime.0 {
            Some(runtime) => runtime.block_on(call),
            None => unreachable!("the runtime is taken when it is dropped, and not before"),
        }
    }
}

/// Everything that does not wait.
impl Deref for Replica {
    type Target = crate::Replica;

    fn deref(&self) -> &crate::Replica {
        &self.replica
    }
}

/// The runtime, which may be dropped on any thread.
#[derive(Debug)]
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn may_wait() -> Result<(), Error> {
    match Handle::try_current() {
        Ok(_) => {
            let message =
                "a call that blocks its thread was made on one that runs async tasks; use `replica::Replica` there";
            Err(Error::new(ErrorKind::Invalid, message))
        }
        Err(_) => Ok(()),
    }
}
