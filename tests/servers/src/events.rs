//! What S3 says of its changes.

/// A key as events have it: all but letters, digits and `-_.*/` in percent signs, and `+` for a space.
pub(crate) fn quoted(key: &str) -> String {
    form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>().replace("%2F", "/")
}
