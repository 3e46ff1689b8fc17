//! The wall clock, and how the services write times.

use std::time::{SystemTime, UNIX_EPOCH};

use s3s::dto::{Timestamp, TimestampFormat};

/// Now.
#[expect(clippy::disallowed_methods, reason = "a server has the clock of its machine")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since 1970.
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-30T12:00:00.000Z`.
pub(crate) fn iso(time: SystemTime) -> String {
    let mut text = Vec::new();
    Timestamp::from(time).format(TimestampFormat::DateTime, &mut text).expect("a vector takes everything");
    String::from_utf8(text).expect("times are ASCII")
}

/// The time that a signature names, `20261130T120000Z`, in seconds since 1970.
pub(crate) fn signed_at(text: &str) -> Option<u64> {
    let (digits, is_whole) = (text.as_bytes(), text.len() == 16 && text.is_ascii());
    if !is_whole || digits[8] != b'T' || digits[15] != b'Z' {
        return None;
    }
    let iso = format!(
        "{}-{}-{}T{}:{}:{}.000Z",
        &text[..4],
        &text[4..6],
        &text[6..8],
        &text[9..11],
        &text[11..13],
        &text[13..15]
    );
    let parsed = Timestamp::parse(TimestampFormat::DateTime, &iso).ok()?;
    let mut seconds = Vec::new();
    parsed.format(TimestampFormat::EpochSeconds, &mut seconds).ok()?;
    String::from_utf8(seconds).ok()?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_the_services_write_them() {
        let time = UNIX_EPOCH + Duration::from_millis(1_796_040_000_250);
        assert_eq!(iso(time), "2026-11-30T12:00:00.250Z");
        assert_eq!(milliseconds(time), 1_796_040_000_250);
        assert_eq!(signed_at("20261130T120000Z"), Some(1_796_040_000));
        for wrong in ["", "20261130", "20261130T1200000", "20261399T120000Z", "2026\u{e9}130T12000Z"] {
            assert_eq!(signed_at(wrong), None, "{wrong}");
        }
    }
}
