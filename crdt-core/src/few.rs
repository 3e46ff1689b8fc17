//! A container for what is nearly always one.
//! Layer 1.

use alloc::{boxed::Box, vec::Vec};
use core::{fmt, mem, slice};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::merge::{Entries, Entry};

/// No, one or several values; a single one is stored in place.
///
/// An element of a set has one live dot, a register one write, a change of a counter one tally, and now and
/// then a few. `Few<Dot>` takes 16 bytes where `Vec` and `SmallVec` take 24: at a million elements that is the
/// difference between 52 and 69 bytes each (`docs/decisions/0003-few.md`).
#[derive(Clone, PartialEq, Eq)]
pub struct Few<T>(Repr<T>);

/// The niche of a `ReplicaId` tells `One` from `Rest`. `Rest` holds none, or two and more.
#[derive(Clone, PartialEq, Eq)]
enum Repr<T> {
    One(T),
    #[expect(clippy::box_collection, reason = "one word, so that it fits beside the niche")]
    Rest(Option<Box<Vec<T>>>),
}

impl<T> Few<T> {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Rest(None))
    }

    /// Exactly one value, in place.
    #[must_use]
    pub const fn one(value: T) -> Self {
        Self(Repr::One(value))
    }

    /// The values, in the order in which they are kept.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match &self.0 {
            Repr::One(value) => slice::from_ref(value),
            Repr::Rest(Some(values)) => values,
            Repr::Rest(None) => &[],
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::Rest(None))
    }

    /// The values in order.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.as_slice().iter()
    }
}

impl<T> Entries<T> for Few<T> {
    fn as_slice(&self) -> &[T] {
        self.as_slice()
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        match &mut self.0 {
            Repr::One(value) => slice::from_mut(value),
            Repr::Rest(Some(values)) => values,
            Repr::Rest(None) => &mut [],
        }
    }

    fn insert(&mut self, index: usize, value: T) {
        if self.is_empty() {
            *self = Self::one(value);
            return;
        }
        let mut values = Vec::from(mem::take(self));
        values.reserve_exact(1);
        values.insert(index, value);
        *self = Self::from(values);
    }

    fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        if self.iter().all(&mut keep) {
            return;
        }
        let mut values = Vec::from(mem::take(self));
        values.retain(keep);
        *self = Self::from(values);
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps the order of the vector.
impl<T> From<Vec<T>> for Few<T> {
    fn from(mut values: Vec<T>) -> Self {
        match values.len() {
            0 => Self::new(),
            1 => values.pop().map_or_else(Self::new, Self::one),
            _ => Self(Repr::Rest(Some(Box::new(values)))),
        }
    }
}

/// Keeps the order.
impl<T> From<Few<T>> for Vec<T> {
    fn from(few: Few<T>) -> Self {
        match few.0 {
            Repr::One(value) => Self::from([value]),
            Repr::Rest(Some(values)) => *values,
            Repr::Rest(None) => Self::new(),
        }
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

/// Refuses values that are not in strictly ascending order of their keys.
impl<'de, T: Entry + Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Vec::<T>::deserialize(deserializer)?;
        if values.windows(2).all(|pair| pair[0].key() < pair[1].key()) {
            Ok(Self::from(values))
        } else {
            Err(serde::de::Error::custom("entries are not in strictly ascending order"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dot;

    #[test]
    fn one_dot_costs_no_more_than_the_dot() {
        assert_eq!(size_of::<Few<Dot>>(), size_of::<Dot>());
        assert_eq!(size_of::<Few<Dot>>(), 16);
    }

    #[test]
    fn every_way_to_hold_the_same_values_is_equal() {
        let mut few = Few::new();
        for value in [3, 1, 2] {
            let index = few.iter().take_while(|held| **held < value).count();
            few.insert(index, value);
        }
        assert_eq!(few, Few::from(Vec::from([1, 2, 3])));
        few.retain(|value| *value == 2);
        assert_eq!(few, Few::one(2));
        few.retain(|_| false);
        assert_eq!(few, Few::new());
        assert!(few.is_empty());
    }
}
