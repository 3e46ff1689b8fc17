//! Large numbers as they are read.

/// A number with commas.
#[must_use]
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let tail = digits.as_bytes()[head..].chunks(3).map(|three| three.iter().map(|digit| char::from(*digit)).collect());
    let parts: Vec<String> = (head > 0).then(|| digits[..head].to_owned()).into_iter().chain(tail).collect();
    parts.join(",")
}
