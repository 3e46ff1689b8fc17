//! Handles: one object of one kind, at a path.
//! Layer 5.

use core::fmt;

use crdt_core::{Bytes, Kind, Object};

use crate::{
    error::{Error, ErrorKind},
    key::{ELEMENT_BYTES_MAX, ObjectKey, VALUE_BYTES_MAX},
    keyspace::Change,
    replica::{Replica, Written},
};

/// What every handle has: its replica and its key.
#[derive(Clone)]
struct Handle {
    replica: Replica,
    key: ObjectKey,
}

impl Handle {
    fn change(&self, change: Change) -> Result<Written, Error> {
        self.replica.write(&[(self.key.clone(), change)])
    }

    fn read<R>(&self, read: impl FnOnce(&Object) -> R) -> Option<R> {
        self.replica.engine().keyspace.read(self.key.path(), self.key.kind(), read)
    }
}

macro_rules! handle {
    ($name:ident, $kind:ident, $what:literal) => {
        #[doc = $what]
        ///
        /// Cheap to clone. It refers to what is at its path now, whatever was there when it was made.
        #[derive(Clone)]
        pub struct $name(Handle);

        impl $name {
            pub(crate) fn new(replica: Replica, key: ObjectKey) -> Self {
                debug_assert_eq!(key.kind(), Kind::$kind);
                Self(Handle { replica, key })
            }

            /// The key of the object.
            #[must_use]
            pub const fn key(&self) -> &ObjectKey {
                &self.0.key
            }

            /// Deletes what is there, as far as this replica has seen.
            ///
            /// # Errors
            ///
            /// Those that stop every write: [`ErrorKind::Backpressure`], [`ErrorKind::Fenced`], [`ErrorKind::Closed`].
            pub fn delete(&self) -> Result<Written, Error> {
                self.0.change(Change::Delete)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0.key).finish()
            }
        }
    };
}

handle!(GCounter, GCounter, "A grow-only counter at a path.");
handle!(PnCounter, PnCounter, "A counter at a path.");
handle!(LwwRegister, LwwRegister, "A last-writer-wins register at a path.");
handle!(MvRegister, MvRegister, "A multi-value register at a path.");
handle!(OrSet, OrSet, "A set at a path.");

impl GCounter {
    /// Counts `amount`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KindMismatch`], [`ErrorKind::Invalid`] past the range of a u64, and what stops every write.
    pub fn add(&self, amount: u64) -> Result<Written, Error> {
        self.0.change(Change::Increment(amount))
    }

    /// The sum of all that was counted and not deleted.
    #[must_use]
    pub fn value(&self) -> u128 {
        let value = self.0.read(|object| if let Object::GCounter(counter) = object { counter.value() } else { 0 });
        value.unwrap_or(0)
    }
}

impl PnCounter {
    /// Counts `amount`, up or down.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KindMismatch`], [`ErrorKind::Invalid`] past the range of a u64 of increments or decrements, and what
    /// stops every write.
    pub fn add(&self, amount: i64) -> Result<Written, Error> {
        self.0.change(Change::Count(amount))
    }

    /// The sum of all that was counted and not deleted.
    #[must_use]
    pub fn value(&self) -> i128 {
        let value = self.0.read(|object| if let Object::PnCounter(counter) = object { counter.value() } else { 0 });
        value.unwrap_or(0)
    }
}

impl LwwRegister {
    /// Writes `value`, at most 1 MiB.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] beyond the limit, [`ErrorKind::KindMismatch`], [`ErrorKind::ClockSkew`], and what stops every
    /// write.
    pub fn set(&self, value: impl Into<Bytes>) -> Result<Written, Error> {
        set(&self.0, value.into())
    }

    /// The live write of the greatest timestamp.
    #[must_use]
    pub fn value(&self) -> Option<Bytes> {
        let value = |object: &Object| match object {
            Object::LwwRegister(register) => register.value().cloned(),
            _ => None,
        };
        self.0.read(value).flatten()
    }
}

impl MvRegister {
    /// Writes `value`, at most 1 MiB.
    ///
    /// # Errors
    ///
    /// As [`LwwRegister::set`].
    pub fn set(&self, value: impl Into<Bytes>) -> Result<Written, Error> {
        set(&self.0, value.into())
    }

    /// Every live write: several, if they were concurrent.
    #[must_use]
    pub fn values(&self) -> Vec<Bytes> {
        let values = |object: &Object| match object {
            Object::MvRegister(register) => register.values().cloned().collect(),
            _ => Vec::new(),
        };
        self.0.read(values).unwrap_or_default()
    }
}

impl OrSet {
    /// Puts `element` into the set, at most 64 KiB.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] beyond the limit, [`ErrorKind::KindMismatch`], and what stops every write.
    pub fn add(&self, element: impl Into<Bytes>) -> Result<Written, Error> {
        self.0.change(Change::Add(limited(element.into(), ELEMENT_BYTES_MAX, "an element has at most 64 KiB")?))
    }

    /// Takes `element` out of the set, as far as this replica has seen it added.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn remove(&self, element: impl Into<Bytes>) -> Result<Written, Error> {
        self.0.change(Change::Remove(limited(element.into(), ELEMENT_BYTES_MAX, "an element has at most 64 KiB")?))
    }

    /// True when `element` is in the set.
    #[must_use]
    pub fn contains(&self, element: &[u8]) -> bool {
        let contains = |object: &Object| matches!(object, Object::OrSet(set) if set.contains(element));
        self.0.read(contains).unwrap_or(false)
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.read(|object| if let Object::OrSet(set) = object { set.len() } else { 0 }).unwrap_or(0)
    }

    /// True when there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in ascending order. Cost: a copy of every reference, and sorting them.
    #[must_use]
    pub fn elements(&self) -> Vec<Bytes> {
        let elements = |object: &Object| match object {
            Object::OrSet(set) => set.elements().into_iter().cloned().collect(),
            _ => Vec::new(),
        };
        self.0.read(elements).unwrap_or_default()
    }
}

fn set(handle: &Handle, value: Bytes) -> Result<Written, Error> {
    let value = limited(value, VALUE_BYTES_MAX, "a value has at most 1 MiB")?;
    let time = handle.replica.engine().tick()?;
    handle.change(Change::Write(value, time))
}

fn limited(bytes: Bytes, limit: usize, says: &str) -> Result<Bytes, Error> {
    if bytes.len() <= limit {
        return Ok(bytes);
    }
    Err(Error::new(ErrorKind::Invalid, format!("{says}: bytes={} limit={limit}", bytes.len())))
}
