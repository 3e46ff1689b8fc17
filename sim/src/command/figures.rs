//! Figures as people read them.
//! Layer 6.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// In the two greatest units.
pub(super) fn long(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days {} h", grouped(seconds / 86_400), seconds / 3_600 % 24),
    }
}

/// How much for each second; of no time, nothing.
pub(super) fn rate(amount: f64, of: Duration) -> u64 {
    if of.is_zero() { 0 } else { (amount / of.as_secs_f64()).round() as u64 }
}
