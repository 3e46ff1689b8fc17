//! How a key is written in an event: as a form writes a value.

/// Undoes `%XX` and `+`. `None` when the result is no UTF-8. A `%` that nothing of the kind follows stands for itself.
///
/// S3 leaves `/` as it is and some stores write `%2F`; a space is `+` or `%20`; a `+` is `%2B`.
pub(super) fn form(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = &after[if escaped.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8(bytes).ok()
}

fn digit(sign: u8) -> Option<u8> {
    char::from(sign).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::form;

    #[test]
    fn a_key_is_read_however_a_store_escapes_it() {
        for (written, key) in [
            ("v1/log/eu/00000000/0000000a", "v1/log/eu/00000000/0000000a"),
            ("v1%2Flog%2Feu", "v1/log/eu"),
            ("v1%2flog", "v1/log"),
            ("a+b%20c", "a b c"),
            ("a%2Bb", "a+b"),
            ("%C3%BC", "\u{fc}"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%%41", "%A"),
            ("", ""),
        ] {
            assert_eq!(form(written).as_deref(), Some(key), "{written}");
        }
        assert_eq!(form("%ff"), None, "no UTF-8");
    }
}
