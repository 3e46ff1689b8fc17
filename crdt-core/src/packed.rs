//! A container for what is held by the million.
//! Layer 1.

use alloc::{boxed::Box, vec::Vec};
use core::{fmt, mem};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Few,
    merge::{Entries, Entry},
};

/// No, one or several values in one allocation of just their size; two words in place.
///
/// A keyspace holds its objects in tables whose slots are half empty, so what an object takes in place counts double.
/// `Few` suits what is large when it is alone, or must not be allocated at all (`docs/decisions/0010-small-objects.md`).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Packed<T>(Box<[T]>);

impl<T> Packed<T> {
    pub(crate) fn iter(&self) -> core::slice::Iter<'_, T> {
        self.0.iter()
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let mut values = mem::take(&mut self.0).into_vec();
        let result = change(&mut values);
        self.0 = values.into_boxed_slice();
        result
    }
}

impl<T> Entries<T> for Packed<T> {
    fn as_slice(&self) -> &[T] {
        &self.0
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }

    fn insert(&mut self, index: usize, value: T) {
        self.change(|values| {
            values.reserve_exact(1);
            values.insert(index, value);
        });
    }

    fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        if !self.iter().all(&mut keep) {
            self.change(|values| values.retain(keep));
        }
    }
}

impl<T> Default for Packed<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Refuses what [`Few`] refuses.
impl<'de, T: Entry + Deserialize<'de>> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Few::deserialize(deserializer).map(|few| Self(Vec::from(few).into_boxed_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_inserted_and_not_dropped() {
        let mut packed = Packed::default();
        assert_eq!(size_of_val(&packed), 16);
        for value in [3, 1, 2] {
            let index = packed.iter().take_while(|held| **held < value).count();
            packed.insert(index, value);
        }
        assert_eq!(packed.as_slice(), [1, 2, 3]);
        assert_eq!(alloc::format!("{packed:?}"), "[1, 2, 3]");
        packed.as_mut_slice()[0] = 5;
        packed.retain(|value| *value > 2);
        assert_eq!(packed.as_slice(), [5, 3]);
        packed.retain(|_| false);
        assert_eq!(packed, Packed::default());
    }
}
