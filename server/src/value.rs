//! An object as it is answered, and how much of an answer it takes.
//! Layer 1.

use operations::{Shown, ShownValue};
use replica::{Value, key::ObjectKey};
use serde::Serialize;
use utoipa::ToSchema;

/// An object.
#[derive(Serialize, ToSchema)]
pub(crate) struct Object {
    path: String,
    /// One of `g_counter`, `pn_counter`, `lww_register`, `mv_register`, `or_set`.
    kind: &'static str,
    /// Of a counter a whole number, of an `lww_register` any JSON, of an `mv_register` and an `or_set` an array.
    #[schema(value_type = serde_json::Value)]
    value: ShownValue,
}

impl Object {
    pub(crate) fn new(key: &ObjectKey, value: &Value) -> Self {
        let Shown { kind, value, .. } = Shown::new(key, Some(value));
        Self { path: key.path().to_owned(), kind, value: value.unwrap_or(ShownValue::One(serde_json::Value::Null)) }
    }
}

/// About how many bytes a value is shown in.
pub(crate) fn weight(value: &Value) -> usize {
    const EACH: usize = 16;
    EACH + match value {
        Value::GCounter(_) | Value::PnCounter(_) => EACH,
        Value::LwwRegister(value) => value.as_ref().map_or(0, |value| value.len()),
        Value::MvRegister(values) | Value::OrSet(values) => values.iter().map(|value| EACH + value.len()).sum(),
    }
}
