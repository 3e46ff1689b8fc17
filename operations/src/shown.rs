//! Values and moments as JSON shows them.

use replica::{Bytes, Content, Json, Kind, Value, key::ObjectKey};
use serde::Serialize;

/// An object of the keyspace, as it is shown.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    /// Where it stands.
    pub path: &'a str,
    /// The name of its kind.
    pub kind: &'static str,
    /// What is there; `None` when it was deleted.
    pub value: Option<ShownValue>,
}

/// A value as JSON.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ShownValue {
    /// Of a grow-only counter.
    Sum(u128),
    /// Of a counter.
    Total(i128),
    /// Of a last-writer-wins register.
    One(serde_json::Value),
    /// Of a multi-value register or a set.
    Several(Vec<serde_json::Value>),
}

impl<'a> Shown<'a> {
    /// The object at `key`, of this value.
    #[must_use]
    pub fn new(key: &'a ObjectKey, value: Option<&Value>) -> Self {
        Self { path: key.path(), kind: key.kind().name(), value: value.map(shown) }
    }
}

/// The kind that a value is of.
#[must_use]
pub const fn kind_of(value: &Value) -> Kind {
    match value {
        Value::GCounter(_) => Kind::GCounter,
        Value::PnCounter(_) => Kind::PnCounter,
        Value::LwwRegister(_) => Kind::LwwRegister,
        Value::MvRegister(_) => Kind::MvRegister,
        Value::OrSet(_) => Kind::OrSet,
    }
}

/// A counter as a number, a register as what it holds, a set and a multi-value register as arrays.
#[must_use]
pub fn shown(value: &Value) -> ShownValue {
    match value {
        Value::GCounter(sum) => ShownValue::Sum(*sum),
        Value::PnCounter(total) => ShownValue::Total(*total),
        Value::LwwRegister(value) => ShownValue::One(value.as_ref().map_or(serde_json::Value::Null, json)),
        Value::MvRegister(values) => ShownValue::Several(values.iter().map(json).collect()),
        Value::OrSet(elements) => ShownValue::Several(elements.iter().map(json).collect()),
    }
}

/// Stored bytes as JSON: [`Json`].
#[must_use]
pub fn json(bytes: &Bytes) -> serde_json::Value {
    // Every sequence of bytes is a value.
    Json::decode(bytes).map_or(serde_json::Value::Null, |json| json.0)
}

/// A moment as people write it, in UTC, from milliseconds since the Unix epoch.
#[must_use]
pub fn moment(millis: u64) -> String {
    // Days to a date: Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let (days, seconds) = ((millis / 86_400_000) as i64 + 719_468, millis / 1_000 % 86_400);
    let era = days / 146_097;
    let of_era = days - era * 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates() {
        assert_eq!(moment(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(moment(4_102_444_799_999), "2099-12-31T23:59:59.999Z");
    }
}
