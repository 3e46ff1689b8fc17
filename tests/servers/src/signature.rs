//! Signatures of version 4, for the services beside S3.

/// Bytes in base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let joined =
            three.iter().fold(0_usize, |joined, byte| joined << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let sign = if place > three.len() { b'=' } else { SIGNS[joined >> (18 - 6 * place) & 63] };
            text.push(char::from(sign));
        }
    }
    text
}
