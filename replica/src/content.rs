//! What sets contain and registers hold, as types of the language.
//! Layer 2. *Invariant:* the engine below knows bytes alone; which bytes a value becomes is decided here, once.

use core::any::Any;
use std::{borrow::Cow, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    canonical,
    error::{Error, ErrorKind},
};

/// A type whose values can be elements of a set, or be written to a register.
///
/// # Which bytes a value becomes
///
/// - Text (`str`, `String`) is its UTF-8, and bytes (`[u8]`, `Vec<u8>`) are themselves, also in a `Box`, an `Arc` or a `Cow`:
///   [`Bytes`](crate::Bytes), in which stored bytes are handed out, is such a type.
/// - Everything else that serde can write and read is canonical JSON: no white space, the keys of structs and maps in
///   ascending order, floating-point numbers in decimals that read back exactly. So equal values are equal bytes, in every
///   process and region, which is how an element that was added here is removed there. Why JSON:
///   `docs/decisions/0011-typed-values.md`.
///
/// What is at a path says nothing of its type. Everybody who uses a path has to use the same type there, or one that
/// accepts the same JSON: a field that older values lack needs `#[serde(default)]`.
///
/// # Limits
///
/// An element has at most 64 KiB, a value 1 MiB, encoded. Numbers must be finite, keys of maps text, numbers or booleans,
/// nothing nests deeper than 100 levels. A collection without an order of its own, such as `HashSet`, is not canonical: use
/// `BTreeSet`. (Maps of any sort are put in order.)
///
/// # Cost
///
/// Text and bytes are copied once, into the keyspace or out of it. JSON is written and read once for each call.
pub trait Content {
    /// What is read back: `String` for `str`, `Vec<u8>` for `[u8]`, otherwise the type itself.
    type Owned;

    /// The bytes of this value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when it has none.
    fn encode(&self) -> Result<Cow<'_, [u8]>, Error>;

    /// The value of these bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when they are not those of such a value.
    fn decode(bytes: &[u8]) -> Result<Self::Owned, Error>;
}

impl Content for str {
    type Owned = String;

    fn encode(&self) -> Result<Cow<'_, [u8]>, Error> {
        Ok(Cow::Borrowed(self.as_bytes()))
    }

    fn decode(bytes: &[u8]) -> Result<String, Error> {
        str::from_utf8(bytes).map(str::to_owned).map_err(|error| mistyped::<Self>(bytes, error))
    }
}

impl Content for [u8] {
    type Owned = Vec<u8>;

    fn encode(&self) -> Result<Cow<'_, [u8]>, Error> {
        Ok(Cow::Borrowed(self))
    }

    fn decode(bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(bytes.to_vec())
    }
}

/// The bytes of what is text or bytes behind a pointer: those are serde types too, and must be what `str` and `[u8]` are.
fn behind_a_pointer(any: &dyn Any) -> Option<&[u8]> {
    None.or_else(|| any.downcast_ref::<String>().map(String::as_bytes))
        .or_else(|| any.downcast_ref::<Vec<u8>>().map(|bytes| &**bytes))
        .or_else(|| any.downcast_ref::<Box<str>>().map(|text| text.as_bytes()))
        .or_else(|| any.downcast_ref::<Arc<str>>().map(|text| text.as_bytes()))
        .or_else(|| any.downcast_ref::<Cow<'static, str>>().map(|text| text.as_bytes()))
        .or_else(|| any.downcast_ref::<Box<[u8]>>().map(|bytes| &**bytes))
        .or_else(|| any.downcast_ref::<Arc<[u8]>>().map(|bytes| &**bytes))
        .or_else(|| any.downcast_ref::<Cow<'static, [u8]>>().map(|bytes| &**bytes))
}

impl<T: Serialize + DeserializeOwned + 'static> Content for T {
    type Owned = T;

    fn encode(&self) -> Result<Cow<'_, [u8]>, Error> {
        if let Some(bytes) = behind_a_pointer(self) {
            return Ok(Cow::Borrowed(bytes));
        }
        canonical::encode(self).map(Cow::Owned).map_err(|error| {
            let message = format!("a value cannot be written: type={}", core::any::type_name::<T>());
            Error::new(ErrorKind::Invalid, message).caused_by(error)
        })
    }

    fn decode(bytes: &[u8]) -> Result<T, Error> {
        let mut decoded: Option<T> = None;
        let any: &mut dyn Any = &mut decoded;
        let is_it = put::<String>(any, || str::decode(bytes))?
            || put::<Vec<u8>>(any, || Ok(bytes.to_vec()))?
            || put::<Box<str>>(any, || str::decode(bytes).map(Into::into))?
            || put::<Arc<str>>(any, || str::decode(bytes).map(Into::into))?
            || put::<Cow<'static, str>>(any, || str::decode(bytes).map(Into::into))?
            || put::<Box<[u8]>>(any, || Ok(bytes.into()))?
            || put::<Arc<[u8]>>(any, || Ok(bytes.into()))?
            || put::<Cow<'static, [u8]>>(any, || Ok(Cow::Owned(bytes.to_vec())))?;
        match decoded.filter(|_| is_it) {
            Some(decoded) => Ok(decoded),
            None => serde_json::from_slice(bytes).map_err(|error| mistyped::<T>(bytes, error)),
        }
    }
}

/// Decodes into `place`, if it is the place of a `P`.
fn put<P: 'static>(place: &mut dyn Any, decode: impl FnOnce() -> Result<P, Error>) -> Result<bool, Error> {
    let Some(place) = place.downcast_mut::<Option<P>>() else { return Ok(false) };
    *place = Some(decode()?);
    Ok(true)
}

fn mistyped<T: ?Sized>(bytes: &[u8], error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message = format!(
        "what is stored here is of another type; read it as it was written, or as bytes: type={} bytes={}",
        core::any::type_name::<T>(),
        bytes.len()
    );
    Error::new(ErrorKind::Invalid, message).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_themselves_however_they_are_held() {
        assert_eq!("gr\u{fc}n".encode().unwrap(), "gr\u{fc}n".as_bytes());
        assert_eq!(String::from("lamp").encode().unwrap(), "lamp".as_bytes());
        assert_eq!([7_u8, 0].as_slice().encode().unwrap(), [7, 0].as_slice());
        assert_eq!(vec![7_u8, 0].encode().unwrap(), [7, 0].as_slice());
        assert_eq!(<String as Content>::decode(b"7").unwrap(), "7");
        assert_eq!(<Vec<u8> as Content>::decode(b"\xff").unwrap(), [0xff]);
        fn is_itself<T: Content<Owned = T> + Clone + PartialEq + core::fmt::Debug>(value: &T, bytes: &[u8]) {
            assert_eq!(&*value.encode().unwrap(), bytes);
            assert_eq!(T::decode(bytes).unwrap(), *value);
        }
        is_itself(&Box::<str>::from("lamp"), b"lamp");
        is_itself(&Arc::<str>::from("lamp"), b"lamp");
        is_itself(&Cow::<'static, str>::from("lamp"), b"lamp");
        is_itself(&Box::<[u8]>::from([7, 0]), &[7, 0]);
        is_itself(&crate::Bytes::from([7, 0]), &[7, 0]);
        is_itself(&Cow::<'static, [u8]>::from(&[7, 0][..]), &[7, 0]);
    }

    #[test]
    fn bytes_of_another_type_are_an_error_that_says_so() {
        let error = <u64 as Content>::decode(b"lamp").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().ends_with("type=u64 bytes=4"), "{error}");
        assert_eq!(str::decode(b"\xff").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
