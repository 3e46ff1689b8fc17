//! Handles: one object of one kind, at a path.
//! Layer 5.

use core::{fmt, marker::PhantomData};

use crdt_core::{Bytes, Kind, Object};
use foldhash::fast::FixedState;

use crate::{
    content::Content,
    error::{Error, ErrorKind},
    key::{ELEMENT_BYTES_MAX, ObjectKey, VALUE_BYTES_MAX},
    keyspace::Change,
    replica::Replica,
    written::Written,
};

/// What every handle has: its replica and its key.
#[derive(Clone)]
struct Handle {
    replica: Replica,
    key: ObjectKey,
}

impl Handle {
    fn change(&self, change: &Change) -> Result<Written, Error> {
        self.replica.change(&self.key, change, |_| ())
    }

    /// Changes, and reads what it came to before anybody else can change it.
    fn count<R: Default>(&self, change: &Change, read: impl Fn(&Object<FixedState>) -> R) -> Result<Written<R>, Error> {
        self.replica.change(&self.key, change, |object| object.map_or_else(R::default, &read))
    }

    fn read<R: Default>(&self, read: impl FnOnce(&Object<FixedState>) -> R) -> R {
        self.replica.engine().keyspace.read(self.key.path(), self.key.kind(), read).unwrap_or_default()
    }
}

macro_rules! handle {
    ($name:ident $(<$of:ident>)?, $($doc:literal),*) => {
        $(#[doc = $doc])*
        ///
        /// It refers to what is at its path now, whatever was there when it was made, and making it makes no object. Cheap to
        /// clone, and used from any thread. No call waits for I/O.
        pub struct $name $(<$of: ?Sized = str>)? {
            handle: Handle,
            of: PhantomData<fn($(&$of)?)>,
        }

        impl $(<$of: ?Sized>)? $name $(<$of>)? {
            pub(crate) fn new(replica: Replica, key: ObjectKey) -> Self {
                debug_assert_eq!(key.kind(), Kind::$name);
                Self { handle: Handle { replica, key }, of: PhantomData }
            }

            /// The key of the object.
            #[must_use]
            pub const fn key(&self) -> &ObjectKey {
                &self.handle.key
            }

            /// Deletes what is there, as far as this replica has seen it: what is changed concurrently elsewhere stays. Deleting
            /// nothing changes nothing.
            ///
            /// # Errors
            ///
            /// [What stops every write](crate::Replica#what-stops-every-write). [`ErrorKind::Invalid`] when what
            /// is there does not fit into one segment, which only a set of some 15 MiB does not: each element counts its bytes,
            /// 12, and 16 for each dot. [`Replica::delete_prefix`] deletes it in steps. Nothing is changed.
            pub fn delete(&self) -> Result<Written, Error> {
                self.handle.change(&Change::Delete)
            }
        }

        impl $(<$of: ?Sized>)? Clone for $name $(<$of>)? {
            fn clone(&self) -> Self {
                Self { handle: self.handle.clone(), of: PhantomData }
            }
        }

        impl $(<$of: ?Sized>)? fmt::Debug for $name $(<$of>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(self.key()).finish()
            }
        }
    };
}

handle!(
    GCounter,
    "A grow-only counter at a path: every increment of every replica counts.",
    "",
    "```",
    "# let replica = replica::blocking::Replica::open(replica::Replica::builder(\"eu\", store_object::MemoryBucket::new()))?;",
    "let views = replica.g_counter(\"posts/42/views\")?;",
    "assert_eq!(views.add(3)?.value(), 3);",
    "# Ok::<(), replica::Error>(())",
    "```"
);
handle!(
    PnCounter,
    "A counter at a path, up and down: every increment and decrement of every replica counts.",
    "",
    "```",
    "# let replica = replica::blocking::Replica::open(replica::Replica::builder(\"eu\", store_object::MemoryBucket::new()))?;",
    "let likes = replica.pn_counter(\"posts/42/likes\")?;",
    "likes.add(3)?;",
    "assert_eq!(likes.add(-1)?.value(), 2);",
    "# Ok::<(), replica::Error>(())",
    "```"
);
handle!(
    LwwRegister<T>,
    "A last-writer-wins register at a path, of any [`Content`].",
    "",
    "A write supersedes what it has seen. Of concurrent writes the latest is read, by the hybrid clocks of the writers; the",
    "others can be seen, with [`Replica::conflicts`], until the next write.",
    "",
    "```",
    "# let replica = replica::blocking::Replica::open(replica::Replica::builder(\"eu\", store_object::MemoryBucket::new()))?;",
    "let name = replica.lww_register(\"users/ada/name\")?;",
    "name.set(\"Ada\")?;",
    "assert_eq!(name.value()?.as_deref(), Some(\"Ada\"));",
    "",
    "let limit = replica.lww_register::<u64>(\"settings/limit\")?;",
    "limit.set(&250)?;",
    "assert_eq!(limit.value()?, Some(250));",
    "# Ok::<(), replica::Error>(())",
    "```"
);
handle!(
    MvRegister<T>,
    "A multi-value register at a path, of any [`Content`].",
    "",
    "A write supersedes what it has seen. Concurrent writes are all read, until the next write.",
    "",
    "```",
    "# let replica = replica::blocking::Replica::open(replica::Replica::builder(\"eu\", store_object::MemoryBucket::new()))?;",
    "let title = replica.mv_register(\"docs/7/title\")?;",
    "title.set(\"Draft\")?;",
    "assert_eq!(title.values()?, [\"Draft\"]);",
    "# Ok::<(), replica::Error>(())",
    "```"
);
handle!(
    OrSet<T>,
    "A set at a path, of any [`Content`]. An add wins over a concurrent remove.",
    "",
    "```",
    "# let replica = replica::blocking::Replica::open(replica::Replica::builder(\"eu\", store_object::MemoryBucket::new()))?;",
    "let cart = replica.or_set(\"carts/ada\")?;",
    "cart.add(\"lamp\")?;",
    "cart.add(\"mug\")?;",
    "cart.remove(\"mug\")?;",
    "assert_eq!(cart.elements()?, [\"lamp\"]);",
    "",
    "let lucky = replica.or_set::<(u8, u8)>(\"games/7/lucky\")?;",
    "lucky.add(&(3, 4))?;",
    "assert!(lucky.contains(&(3, 4)));",
    "# Ok::<(), replica::Error>(())",
    "```"
);

impl GCounter {
    /// Counts `amount`, and gives the new value: in this replica, with all that it has seen of the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KindMismatch`]; [`ErrorKind::Invalid`] when this replica would have counted 2^64 or more here; and
    /// [what stops every write](crate::Replica#what-stops-every-write). Nothing is changed.
    ///
    /// # Cost
    ///
    /// One lock, and time in the number of replicas that counted here.
    pub fn add(&self, amount: u64) -> Result<Written<u128>, Error> {
        self.handle.count(&Change::Increment(amount), g_value)
    }

    /// The sum of all that was counted and not deleted.
    #[must_use]
    pub fn value(&self) -> u128 {
        self.handle.read(g_value)
    }
}

impl PnCounter {
    /// Counts `amount`, up or down, and gives the new value: in this replica, with all that it has seen of the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KindMismatch`]; [`ErrorKind::Invalid`] when this replica would have counted 2^64 or more here, up or
    /// down; and [what stops every write](crate::Replica#what-stops-every-write). Nothing is changed.
    ///
    /// # Cost
    ///
    /// One lock, and time in the number of replicas that counted here.
    pub fn add(&self, amount: i64) -> Result<Written<i128>, Error> {
        self.handle.count(&Change::Count(amount), pn_value)
    }

    /// The sum of all that was counted and not deleted.
    #[must_use]
    pub fn value(&self) -> i128 {
        self.handle.read(pn_value)
    }
}

fn g_value(object: &Object<FixedState>) -> u128 {
    if let Object::GCounter(counter) = object { counter.value() } else { 0 }
}

fn pn_value(object: &Object<FixedState>) -> i128 {
    if let Object::PnCounter(counter) = object { counter.value() } else { 0 }
}

impl<T: Content + ?Sized> LwwRegister<T> {
    /// Writes `content`, at most 1 MiB encoded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] beyond the limit and for what cannot be encoded; [`ErrorKind::KindMismatch`];
    /// [`ErrorKind::ClockSkew`]; and [what stops every write](crate::Replica#what-stops-every-write). Nothing is changed.
    pub fn set(&self, content: &T) -> Result<Written, Error> {
        set(&self.handle, content)
    }

    /// The latest write, if there is one that was not deleted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when what was written is not a `T`.
    pub fn value(&self) -> Result<Option<T::Owned>, Error> {
        let value = self.handle.read(|object| match object {
            Object::LwwRegister(register) => register.value().cloned(),
            _ => None,
        });
        value.map(|bytes| T::decode(&bytes)).transpose()
    }
}

impl<T: Content + ?Sized> MvRegister<T> {
    /// Writes `content`, at most 1 MiB encoded.
    ///
    /// # Errors
    ///
    /// As [`LwwRegister::set`].
    pub fn set(&self, content: &T) -> Result<Written, Error> {
        set(&self.handle, content)
    }

    /// Every live write, in an order that is the same in every replica: several, if they were concurrent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when one of them is not a `T`.
    pub fn values(&self) -> Result<Vec<T::Owned>, Error> {
        let values: Vec<Bytes> = self.handle.read(|object| match object {
            Object::MvRegister(register) => register.values().cloned().collect(),
            _ => Vec::new(),
        });
        values.iter().map(|bytes| T::decode(bytes)).collect()
    }
}

impl<T: Content + ?Sized> OrSet<T> {
    /// Puts `content` into the set, at most 64 KiB encoded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] beyond the limit and for what cannot be encoded; [`ErrorKind::KindMismatch`]; and
    /// [what stops every write](crate::Replica#what-stops-every-write). Nothing is changed.
    pub fn add(&self, content: &T) -> Result<Written, Error> {
        self.handle.change(&Change::Add(element(content)?))
    }

    /// Takes `content` out of the set, as far as this replica has seen it added. Removing what is not there changes nothing.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn remove(&self, content: &T) -> Result<Written, Error> {
        self.handle.change(&Change::Remove(element(content)?))
    }

    /// True when `content` is in the set. What cannot be an element is in none.
    pub fn contains(&self, content: &T) -> bool {
        let Ok(bytes) = content.encode() else { return false };
        self.handle.read(|object| matches!(object, Object::OrSet(set) if set.contains(&*bytes)))
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handle.read(|object| if let Object::OrSet(set) = object { set.len() } else { 0 })
    }

    /// True when there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, in ascending order of their bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when one of them is not a `T`.
    ///
    /// # Cost
    ///
    /// As [`iter`](Self::iter), and all elements decoded at once.
    pub fn elements(&self) -> Result<Vec<T::Owned>, Error> {
        self.iter().collect()
    }

    /// The elements as they are now, in ascending order of their bytes; what changes meanwhile does not show. Each is decoded
    /// when it is reached.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for each that is not a `T`; the others go on.
    ///
    /// # Cost
    ///
    /// One reference for each element, copied under the lock, and O(n log n) to sort them.
    #[must_use]
    pub fn iter(&self) -> Elements<T> {
        let elements: Vec<Bytes> = self.handle.read(|object| match object {
            Object::OrSet(set) => set.elements().into_iter().cloned().collect(),
            _ => Vec::new(),
        });
        Elements { elements: elements.into_iter(), of: PhantomData }
    }
}

impl<T: Content + ?Sized> IntoIterator for &OrSet<T> {
    type Item = Result<T::Owned, Error>;
    type IntoIter = Elements<T>;

    fn into_iter(self) -> Elements<T> {
        self.iter()
    }
}

/// The elements of a set at one moment: [`OrSet::iter`].
pub struct Elements<T: ?Sized> {
    elements: std::vec::IntoIter<Bytes>,
    of: PhantomData<fn(&T)>,
}

impl<T: Content + ?Sized> Iterator for Elements<T> {
    type Item = Result<T::Owned, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.elements.next().map(|bytes| T::decode(&bytes))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.elements.size_hint()
    }
}

impl<T: Content + ?Sized> ExactSizeIterator for Elements<T> {}

impl<T: ?Sized> fmt::Debug for Elements<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elements").field("left", &self.elements.len()).finish()
    }
}

fn set(handle: &Handle, content: &(impl Content + ?Sized)) -> Result<Written, Error> {
    let value = value(content)?;
    let time = handle.replica.engine().tick()?;
    handle.change(&Change::Write(value, time))
}

/// The bytes of an element, within their limit.
pub(crate) fn element(content: &(impl Content + ?Sized)) -> Result<Bytes, Error> {
    limited(content, ELEMENT_BYTES_MAX, "an element has at most 64 KiB")
}

/// The bytes of a register's value, within their limit.
pub(crate) fn value(content: &(impl Content + ?Sized)) -> Result<Bytes, Error> {
    limited(content, VALUE_BYTES_MAX, "a value has at most 1 MiB")
}

fn limited(content: &(impl Content + ?Sized), limit: usize, says: &str) -> Result<Bytes, Error> {
    let bytes = content.encode()?;
    if bytes.len() <= limit {
        return Ok((*bytes).into());
    }
    Err(Error::new(ErrorKind::Invalid, format!("{says}: bytes={} limit={limit}", bytes.len())))
}
