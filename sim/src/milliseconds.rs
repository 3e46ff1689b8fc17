//! Durations as milliseconds, in files that people read: `#[serde(with = "crate::milliseconds")]`.
//! Layer 0.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// What can be written in milliseconds.
pub(crate) trait InMilliseconds: Sized {
    /// Numbers, or something made of numbers.
    type Written: Serialize + for<'de> Deserialize<'de>;

    /// In milliseconds.
    fn write(&self) -> Self::Written;

    /// From milliseconds; nothing if that is none.
    fn read(written: Self::Written) -> Option<Self>;
}

/// A whole number where it is one, for it is read more easily.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Whole(u64),
    Part(f64),
}

impl InMilliseconds for Duration {
    type Written = Number;

    fn write(&self) -> Number {
        match u64::try_from(self.as_millis()) {
            Ok(whole) if Self::from_millis(whole) == *self => Number::Whole(whole),
            _ => Number::Part(self.as_nanos() as f64 / 1e6),
        }
    }

    fn read(written: Number) -> Option<Self> {
        match written {
            Number::Whole(whole) => Some(Self::from_millis(whole)),
            Number::Part(part) if (0.0..1e13).contains(&part) => Some(Self::from_nanos((part * 1e6).round() as u64)),
            Number::Part(_) => None,
        }
    }
}

impl InMilliseconds for (Duration, Duration) {
    type Written = (Number, Number);

    fn write(&self) -> (Number, Number) {
        (self.0.write(), self.1.write())
    }

    fn read((first, second): (Number, Number)) -> Option<Self> {
        Some((Duration::read(first)?, Duration::read(second)?))
    }
}

pub(crate) fn serialize<T: InMilliseconds, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write().serialize(serializer)
}

pub(crate) fn deserialize<'de, T: InMilliseconds, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let written = T::Written::deserialize(deserializer)
        .map_err(|_| D::Error::custom("a time is a number of milliseconds that is not negative"))?;
    T::read(written).ok_or_else(|| D::Error::custom("a time is a number of milliseconds that is not negative"))
}
